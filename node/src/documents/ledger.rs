//! A stock ledger (物资台账): which columns it has, and a verdict for every row.

use serde::Serialize;
use shouwang_domain::ids::{LotId, MunicipalityCode, StoreId};
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::resource::{Condition, ItemCode, StockClass};
use shouwang_domain::time::Date;

use super::catalogue::Catalogue;
use super::columns::{Columns, Field, read_rows};
use super::identity::{Occurrences, RowKey};
use super::report::{ImportReport, SkipReason, Verdict};
use super::stock_row::{RowReader, key};
use super::{Cell, DocumentError, Note, Table};
use crate::lang::Bilingual;

/// One lot of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StockRow {
    /// Row number in the file.
    pub row: u32,
    /// The lot, the same whenever the same row is read.
    pub lot: LotId,
    /// The code, if the ledger or the catalogue gives one.
    pub item_code: Option<ItemCode>,
    /// The item in the ledger's words.
    pub name: String,
    /// Model or size.
    pub spec: String,
    /// Base unit.
    pub unit: String,
    /// Base units.
    pub qty: Qty,
    /// The package the ledger counted in and the base units in one, if it did.
    pub packs: Option<(String, u64)>,
    /// The store's name.
    pub store: String,
    /// The store, the same for the same name.
    pub store_id: StoreId,
    /// District or banner.
    pub district: Option<String>,
    /// Under which scheme.
    pub class: StockClass,
    /// Whether it can be used.
    pub condition: Condition,
    /// Batch number, may be empty.
    pub batch: String,
    /// Day of manufacture.
    pub produced: Option<Date>,
    /// Last day it is good for.
    pub expires: Option<Date>,
    /// Value of one base unit.
    pub unit_price: Option<Fen>,
    /// The price as written, where it is no amount of 分 per base unit (a foreign currency).
    pub price_text: Option<String>,
    /// The owner, where the ledger names one.
    pub owner: Option<MunicipalityCode>,
    /// Anything else, as text.
    pub remark: String,
    #[serde(skip)]
    pub(super) key: RowKey,
}

impl StockRow {
    /// What tells this lot from others of the ledger, as written there; equal for a row that stands there twice.
    pub fn key(&self) -> &RowKey {
        &self.key
    }

    /// Name and model, as the books call the lot.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.spec).trim_end().to_owned()
    }
}

/// How a ledger is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// Whose ledger it is.
    pub municipality: MunicipalityCode,
    /// The day on which expiry is judged.
    pub today: Date,
    /// The user's catalogue.
    pub catalogue: &'a Catalogue,
    /// The store of rows that name none.
    pub default_store: Option<&'a str>,
}

/// The columns of a stock ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum At {
    Index,
    Name,
    Spec,
    Unit,
    Pack,
    Qty,
    Code,
    Store,
    District,
    Produced,
    Expires,
    Price,
    Currency,
    Class,
    Condition,
    Batch,
    Owner,
    Category,
    Tracking,
    Remark,
}

impl Field for At {
    const HEADERS: &'static [(Self, &'static [&'static str])] = &[
        (Self::Index, &["序号", "编号", "no", "no.", "#"]),
        (Self::Name, &["物资名称", "品名", "名称", "物品名称", "装备名称", "itemname", "item", "name"]),
        (Self::Spec, &["规格型号", "规格", "型号", "规格/型号", "规格及型号", "spec", "specification", "model"]),
        (Self::Unit, &["单位", "计量单位", "unitofmeasure", "unit", "uom"]),
        (Self::Pack, &["包装规格", "包装", "装箱规格", "装箱数", "每箱数量", "packsize", "packfactor"]),
        (Self::Qty, &["数量", "库存数量", "库存", "现有数量", "储备数量", "结存数量", "quantity", "qty"]),
        (Self::Code, &["编码", "分类编码", "物资编码", "物资分类编码", "物资代码", "itemcode", "code"]),
        (
            Self::Store,
            &["仓库", "存放地点", "仓库名称", "存放仓库", "储备库", "库房", "存放位置", "warehouse", "store"],
        ),
        (Self::District, &["区", "旗县", "区/旗县", "旗县区", "区县", "所在旗县", "所属旗县", "所在区", "district"]),
        (Self::Produced, &["生产日期", "出厂日期", "生产时间", "produced", "productiondate"]),
        (Self::Expires, &["有效期至", "失效日期", "有效期", "到期日期", "有效期限", "expires", "expirydate"]),
        (Self::Price, &["单价", "单位价值", "unitvalue", "unitprice"]),
        (Self::Currency, &["币种", "currency"]),
        (Self::Class, &["类别", "储备类别", "储备方式", "储备性质", "性质", "stockclass"]),
        (Self::Condition, &["状态", "物资状态", "完好情况", "condition", "status"]),
        (Self::Batch, &["批号", "批次", "批次号", "生产批号", "batch", "lot"]),
        (Self::Owner, &["所有权", "权属单位", "权属", "所有权单位", "产权单位", "owner"]),
        (Self::Category, &["物资类别", "物资种类", "category"]),
        (Self::Tracking, &["trackingnumber"]),
        (Self::Remark, &["备注", "说明", "remark", "remarks", "comments"]),
    ];
    const REQUIRED: &'static [Self] = &[Self::Name, Self::Qty];

    fn title(self) -> Bilingual {
        let (zh, en) = match self {
            Self::Index => ("序号", "number"),
            Self::Name => ("物资名称", "item name"),
            Self::Spec => ("规格型号", "model"),
            Self::Unit => ("计量单位", "unit"),
            Self::Pack => ("包装规格", "pack factor"),
            Self::Qty => ("数量", "quantity"),
            Self::Code => ("分类编码", "item code"),
            Self::Store => ("仓库", "warehouse"),
            Self::District => ("区/旗县", "district"),
            Self::Produced => ("生产日期", "day of manufacture"),
            Self::Expires => ("有效期至", "expiry"),
            Self::Price => ("单价", "unit price"),
            Self::Currency => ("币种", "currency"),
            Self::Class => ("储备类别", "stock class"),
            Self::Condition => ("状态", "condition"),
            Self::Batch => ("批号", "batch"),
            Self::Owner => ("所有权", "owner"),
            Self::Category => ("物资类别", "category"),
            Self::Tracking => ("跟踪号", "tracking number"),
            Self::Remark => ("备注", "remark"),
        };
        Bilingual::fixed(zh, en)
    }
}

/// Reads a stock ledger. Every row of the table has one entry in the report.
///
/// # Errors
/// The sheet has no header with a name and a quantity, or two columns that mean the same.
pub fn read_stock(table: &Table, with: &Reading<'_>) -> Result<ImportReport<StockRow>, DocumentError> {
    let mut occurrences = Occurrences::default();
    read_rows(table, (At::Name, At::Qty), |row, cells, columns| {
        judge(row, cells, columns, table, with, &mut occurrences)
    })
}

fn judge(
    row: u32,
    cells: &[Cell],
    columns: &Columns<At>,
    table: &Table,
    with: &Reading<'_>,
    occurrences: &mut Occurrences,
) -> (Verdict<StockRow>, Vec<Note>) {
    // Rejected rows count too: mending one later must not rename the rows behind it.
    let key = key(columns, cells, with);
    let (occurrence, first) = occurrences.count(&key, row);
    let mut reader = RowReader::new(row, cells, columns, with, table.epoch_1904);
    let lot = key.lot("goods", with.municipality, occurrence);
    let taken = reader.read(lot, key);
    let RowReader { reasons, mut notes, .. } = reader;
    let Some(taken) = taken.filter(|_| reasons.is_empty()) else {
        return (Verdict::Rejected(reasons), Vec::new());
    };
    if occurrence > 1 {
        notes.push(Note::new(
            "DUPLICATE_ROW",
            format!("与第 {first} 行同库同名同批号同有效期，按另一批入账；若是重复请删去一行"),
            format!(
                "same store, item, batch and expiry as row {first}, entered as another lot; delete one if it is a copy"
            ),
        ));
    }
    if taken.qty.is_zero() {
        return (Verdict::Skipped(SkipReason::Zero), Vec::new());
    }
    let verdict = if taken.item_code.is_some() { Verdict::Accepted(taken) } else { Verdict::Local(taken) };
    (verdict, notes)
}
