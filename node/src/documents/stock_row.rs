//! One row of a stock ledger, cell by cell.

use shouwang_domain::ids::{LotId, MunicipalityCode};
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::resource::{Condition, ItemCode, StockClass};
use shouwang_domain::time::Date;

use super::catalogue::{Catalogue, CatalogueItem};
use super::columns::Columns;
use super::dates::{MonthMeans, day};
use super::figures::{PackRule, amounts, fen, is_pack, pack_rule, total};
use super::identity::{RowKey, store_id};
use super::ledger::{At, Reading, StockRow};
use super::text::{fold, is_placeholder, word};
use super::{Cell, Note};

/// What tells a lot from others: store, owner, words for the item, batch, expiry and unit, all as written.
pub(super) fn key(columns: &Columns<At>, cells: &[Cell], with: &Reading<'_>) -> RowKey {
    let text = |at| columns.text(at, cells);
    let store = Some(text(At::Store)).filter(|store| !store.is_empty());
    let store = store.unwrap_or_else(|| fold(with.default_store.unwrap_or_default()));
    let rest = [At::Owner, At::Code, At::Name, At::Spec, At::Batch, At::Tracking, At::Expires, At::Unit];
    RowKey(std::iter::once(store).chain(rest.into_iter().map(text)).collect())
}

/// Reads one row, collecting every reason against it rather than the first.
pub(super) struct RowReader<'a> {
    row: u32,
    cells: &'a [Cell],
    columns: &'a Columns<At>,
    with: &'a Reading<'a>,
    epoch_1904: bool,
    /// Why the row cannot be taken.
    pub reasons: Vec<Note>,
    /// What to look at if it is.
    pub notes: Vec<Note>,
}

/// How a row counts.
struct Counted {
    unit: String,
    qty: Qty,
    packs: Option<(String, u64)>,
    /// Base units in the unit that the price is for.
    priced: u64,
}

impl<'a> RowReader<'a> {
    pub(super) fn new(
        row: u32,
        cells: &'a [Cell],
        columns: &'a Columns<At>,
        with: &'a Reading<'a>,
        epoch_1904: bool,
    ) -> Self {
        Self { row, cells, columns, with, epoch_1904, reasons: Vec::new(), notes: Vec::new() }
    }

    fn text(&self, at: At) -> String {
        self.columns.text(at, self.cells)
    }

    /// The text of a cell, or nothing if it says "nothing".
    fn said(&self, at: At) -> Option<String> {
        Some(self.text(at)).filter(|text| !is_placeholder(text))
    }

    fn reject(&mut self, note: Note) {
        self.reasons.push(note);
    }

    /// The row, unless a reason against it was found.
    pub(super) fn read(&mut self, lot: LotId, key: RowKey) -> Option<StockRow> {
        let name = self.text(At::Name);
        if name.is_empty() {
            self.reject(Note::fixed(
                "NAME_MISSING",
                "没有物资名称；合并的单元格请拆开并逐行填写",
                "has no item name; split merged cells and fill in every row",
            ));
        }
        let (code, item) = self.code(&name);
        let counted = self.count(item);
        let store = self.store();
        let class = self.class();
        let condition = self.condition();
        let (produced, expires) = self.dates();
        let owner = self.owner();
        let (unit_price, price_text) = self.price(counted.as_ref());
        let Counted { unit, qty, packs, .. } = counted?;
        let store = store?;
        Some(StockRow {
            row: self.row,
            lot,
            item_code: code,
            name,
            spec: self.text(At::Spec),
            unit,
            qty,
            packs,
            store_id: store_id(self.with.municipality, &store),
            store,
            district: self.said(At::District),
            class: class?,
            condition: condition?,
            batch: self.said(At::Batch).unwrap_or_default(),
            produced,
            expires,
            unit_price,
            price_text,
            owner,
            remark: self.remark(),
            key,
        })
    }

    /// The code, from the ledger's own column or by the user's catalogue, and what the catalogue says of the item.
    fn code(&mut self, name: &str) -> (Option<ItemCode>, Option<&'a CatalogueItem>) {
        let catalogue = self.with.catalogue;
        let by_name = catalogue.item_named(name);
        let Some(written) = self.said(At::Code) else {
            return (by_name.map(|item| item.code), by_name);
        };
        let Ok(code) = written.parse::<ItemCode>() else {
            // A local code may stand in the catalogue as an alias.
            let item = catalogue.item_named(&written).or(by_name);
            if item.is_none() {
                self.notes.push(Note::new(
                    "CODE_LOCAL",
                    format!("编码“{written}”不是七位分类编码，目录中也没有；未编码，仅入本地账"),
                    format!("code \"{written}\" is no seven-digit code and not in the catalogue; it stays uncoded"),
                ));
            }
            return (item.map(|item| item.code), item);
        };
        if let Some(other) = by_name.filter(|item| item.code != code) {
            self.reject(Note::new(
                "CODE_NAME_CONFLICT",
                format!("编码是 {code}，但目录中“{name}”是 {}；请改正其一", other.code),
                format!("the code is {code}, but \"{name}\" is {} in the catalogue; correct one", other.code),
            ));
        }
        let item = catalogue.item(code);
        if item.is_none() {
            self.notes.push(Note::new(
                "CODE_NOT_IN_CATALOGUE",
                format!("目录中没有编码 {code}；照台账入账"),
                format!("code {code} is not in the catalogue; entered as the ledger has it"),
            ));
        }
        (Some(code), item)
    }

    fn count(&mut self, item: Option<&CatalogueItem>) -> Option<Counted> {
        self.try_count(item).map_err(|note| self.reject(note)).ok()
    }

    fn try_count(&mut self, item: Option<&CatalogueItem>) -> Result<Counted, Note> {
        let parts = amounts(&self.text(At::Qty))?;
        let rules = self.pack_rules();
        let header = self.columns.get(At::Qty).map(|column| column.qualifier.clone()).unwrap_or_default();
        let unit_cell = word(&self.text(At::Unit));
        let mut written = if is_placeholder(&unit_cell) { header } else { unit_cell };
        if written.is_empty() && parts.len() == 1 {
            written.clone_from(&parts[0].1);
        }
        if written.is_empty() {
            return Err(Note::fixed("UNIT_MISSING", "没有计量单位；请填写", "has no unit; fill it in"));
        }
        let of_rule =
            rules.iter().find(|rule| rule.pack.as_deref() == Some(&written)).and_then(|rule| rule.base.clone());
        let base = item.map(|item| item.unit.clone()).or(of_rule).unwrap_or_else(|| written.clone());
        let factor = |unit: &str| factor(unit, &base, item, &rules);
        let priced = factor(&written)?;
        let mut sum = Vec::new();
        let mut packs = None;
        for (number, unit) in parts {
            let unit = if unit.is_empty() { written.clone() } else { unit };
            let each = factor(&unit)?;
            sum.push((number, each));
            if unit != base && is_pack(&unit) {
                packs = Some((unit, each));
            }
        }
        if is_pack(&base) {
            self.notes.push(Note::new(
                "PACK_AS_UNIT",
                format!("按包装“{base}”计数，没有折算"),
                format!("counted in packages \"{base}\", not converted"),
            ));
        }
        Ok(Counted { qty: total(sum)?, unit: base, packs, priced })
    }

    /// What the row itself says of packages: in a column of its own, or within the model.
    fn pack_rules(&self) -> Vec<PackRule> {
        let spec = self.text(At::Spec);
        let in_spec = spec.split([' ', ',', ';', '，', '；', '、', '(', ')', '*']);
        let in_spec = in_spec.filter_map(|part| pack_rule(part, false));
        let in_spec = in_spec.filter(|rule| rule.pack.as_deref().is_some_and(is_pack) && rule.base.is_some());
        pack_rule(&self.text(At::Pack), true).into_iter().chain(in_spec).collect()
    }

    fn store(&mut self) -> Option<String> {
        let store = self.said(At::Store).or_else(|| self.with.default_store.map(fold));
        if store.is_none() {
            self.reject(Note::fixed(
                "STORE_MISSING",
                "没有存放地点；请填写，或导入时指定仓库",
                "names no warehouse; fill it in, or name one when importing",
            ));
        }
        store
    }

    fn class(&mut self) -> Option<StockClass> {
        if self.columns.get(At::Class).is_none() {
            return Some(StockClass::Government);
        }
        let written = word(&self.text(At::Class));
        let class = match written.trim_end_matches("储备") {
            "政府" | "government" => StockClass::Government,
            "企业代储" | "代储" | "enterprise_contracted" => StockClass::EnterpriseContracted,
            "企业自储" | "自储" | "enterprise_own" => StockClass::EnterpriseOwn,
            "慈善" | "慈善捐赠" | "charity" => StockClass::Charity,
            "上级" | "superior" => StockClass::Superior,
            _ => {
                self.reject(Note::new(
                    "CLASS_UNKNOWN",
                    format!("储备类别“{written}”不明；请写政府、企业代储、企业自储、慈善或上级"),
                    format!("stock class \"{written}\" is not known; write 政府, 企业代储, 企业自储, 慈善 or 上级"),
                ));
                return None;
            }
        };
        Some(class)
    }

    fn condition(&mut self) -> Option<Condition> {
        if self.columns.get(At::Condition).is_none() {
            return Some(Condition::Usable);
        }
        let written = word(&self.text(At::Condition));
        let condition = condition(&written);
        if condition.is_none() {
            self.reject(Note::new(
                "CONDITION_UNKNOWN",
                format!("状态“{written}”不明；请写可用、待检、待修或报废"),
                format!("condition \"{written}\" is not known; write 可用, 待检, 待修 or 报废"),
            ));
        }
        condition
    }

    fn date(&mut self, at: At, month: MonthMeans) -> Option<Date> {
        match day(self.columns.cell(at, self.cells), month, self.epoch_1904) {
            Ok((date, note)) => {
                self.notes.extend(note);
                date
            }
            Err(note) => {
                self.reject(note);
                None
            }
        }
    }

    fn dates(&mut self) -> (Option<Date>, Option<Date>) {
        let produced = self.date(At::Produced, MonthMeans::FirstDay);
        let expires = self.date(At::Expires, MonthMeans::LastDay);
        if let (Some(produced), Some(expires)) = (produced, expires)
            && expires < produced
        {
            self.reject(Note::new(
                "DATES_OUT_OF_ORDER",
                format!("有效期 {expires} 早于生产日期 {produced}；请改正"),
                format!("it expires on {expires}, before it was made on {produced}; correct one"),
            ));
        }
        if let Some(expires) = expires.filter(|expires| *expires < self.with.today) {
            self.notes.push(Note::new(
                "EXPIRED",
                format!("已于 {expires} 过期；入账但不算可用"),
                format!("expired on {expires}; entered, but not available"),
            ));
        }
        (produced, expires)
    }

    fn owner(&mut self) -> Option<MunicipalityCode> {
        owner(&self.text(At::Owner), self.with.catalogue).map_err(|note| self.reject(note)).ok().flatten()
    }

    /// The price of a base unit in 分, or the price as text where it is none.
    fn price(&mut self, counted: Option<&Counted>) -> (Option<Fen>, Option<String>) {
        let Some(written) = self.said(At::Price) else { return (None, None) };
        let column = self.columns.get(At::Price);
        let qualifier = column.map(|column| column.qualifier.clone()).unwrap_or_default();
        let chinese = column.is_some_and(|column| !column.header.is_ascii());
        let currency = self.said(At::Currency).map(|currency| word(&currency));
        let (named, per) = qualifier.split_once('/').unwrap_or((&qualifier, ""));
        // Chinese books are kept in yuan; a price in another language says its currency or stays text.
        let yuan = match currency.as_deref().unwrap_or(named) {
            "" => chinese,
            word => matches!(word, "cny" | "rmb" | "人民币" | "元" | "¥" | "人民币元"),
        };
        let foreign_sign = written.contains(['$', '€', '£']);
        let text = format!("{} {written}", currency.as_deref().unwrap_or(&qualifier).to_uppercase()).trim().to_owned();
        let per_known = per.is_empty() || counted.is_none_or(|counted| counted.unit == per);
        if !yuan || foreign_sign || !per_known {
            self.notes.push(Note::new(
                "PRICE_AS_TEXT",
                format!("单价“{text}”不是每{}多少元，只作文字保留", counted.map_or("件", |c| &c.unit)),
                format!("price \"{text}\" is not in yuan for one unit; kept as text"),
            ));
            return (None, Some(text));
        }
        let price = match fen(&written) {
            Ok(price) => price,
            Err(note) => {
                self.reject(note);
                return (None, None);
            }
        };
        let each = if per.is_empty() { counted.map_or(1, |counted| counted.priced) } else { 1 };
        match i64::try_from(each) {
            Ok(each) if price.0 % each == 0 => (Some(Fen(price.0 / each)), None),
            _ => {
                self.notes.push(Note::new(
                    "PRICE_PER_PACK",
                    format!("每包装 {text} 元除不尽，不作舍入，只作文字保留"),
                    format!("{text} yuan for a package cannot be divided exactly; kept as text"),
                ));
                (None, Some(text))
            }
        }
    }

    fn remark(&self) -> String {
        let mut parts: Vec<String> = self.said(At::Remark).into_iter().collect();
        for at in [At::Category, At::Tracking] {
            if let (Some(column), Some(text)) = (self.columns.get(at), self.said(at)) {
                parts.push(format!("{}: {text}", column.header));
            }
        }
        parts.join("; ")
    }
}

/// Base units in one `unit`.
fn factor(unit: &str, base: &str, item: Option<&CatalogueItem>, rules: &[PackRule]) -> Result<u64, Note> {
    if unit == base {
        return Ok(1);
    }
    let known = item.and_then(|item| item.packs.get(unit)).copied();
    let same = |word: &str| word == base || item.and_then(|item| item.packs.get(word)) == Some(&1);
    // A rule counts if it is for this package, or for packages without a name, and its base is ours or unnamed.
    let here = rules.iter().find(|rule| {
        rule.pack.as_deref().map_or(is_pack(unit), |pack| pack == unit) && rule.base.as_deref().is_none_or(same)
    });
    match (known, here.map(|rule| rule.factor)) {
        (Some(known), Some(here)) if known != here => Err(Note::new(
            "PACK_FACTOR_CONFLICT",
            format!("每{unit}本行写 {here} {base}，目录写 {known} {base}；请改正其一"),
            format!("one {unit} is {here} {base} in this row and {known} {base} in the catalogue; correct one"),
        )),
        (Some(factor), _) | (None, Some(factor)) => Ok(factor),
        (None, None) if is_pack(unit) => Err(Note::new(
            "PACK_FACTOR_UNKNOWN",
            format!("不知每{unit}有多少{base}；请在包装规格列写“20{base}/{unit}”，或在目录中写 {unit}=20"),
            format!(
                "how many {base} one {unit} holds is not known; write \"20{base}/{unit}\" in a pack column, or {unit}=20 in the catalogue"
            ),
        )),
        (None, None) => Err(Note::new(
            "UNIT_UNKNOWN",
            format!(
                "单位“{unit}”与“{base}”的关系不明；请在目录的包装列写 {unit}=1（相同）或 {unit}=每{unit}的{base}数"
            ),
            format!(
                "how \"{unit}\" relates to \"{base}\" is not known; write {unit}=1 (the same) or {unit}=how many in the packs of the catalogue"
            ),
        )),
    }
}

/// The condition a word stands for, given as a [`word`].
pub(super) fn condition(written: &str) -> Option<Condition> {
    Some(match written {
        "可用" | "完好" | "良好" | "正常" | "待命" | "usable" => Condition::Usable,
        "待检" | "待检验" | "awaiting_inspection" => Condition::AwaitingInspection,
        "待修" | "维修" | "维修中" | "检修" | "under_repair" => Condition::UnderRepair,
        "报废" | "待报废" | "停用" | "condemned" => Condition::Condemned,
        _ => return None,
    })
}

/// The owner a cell names, by code or in the catalogue's words; `None` if it names none.
pub(super) fn owner(written: &str, catalogue: &Catalogue) -> Result<Option<MunicipalityCode>, Note> {
    if is_placeholder(written) {
        return Ok(None);
    }
    written.parse().ok().or_else(|| catalogue.owner_named(written)).map(Some).ok_or_else(|| {
        Note::new(
            "OWNER_UNKNOWN",
            format!("所有权“{written}”不明；请写六位行政区划代码，或在目录中加一行 owner"),
            format!("owner \"{written}\" is not known; write the six-digit code, or add an owner row to the catalogue"),
        )
    })
}
