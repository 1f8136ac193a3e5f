//! A ledger of teams and vehicles (队伍、车辆台账): a verdict for every row.

use serde::Serialize;
use shouwang_domain::ids::{LotId, MunicipalityCode, StoreId};
use shouwang_domain::resource::{Condition, Resource};

use super::columns::{Columns, Field, read_rows};
use super::figures::amounts;
use super::identity::{Occurrences, RowKey, store_id};
use super::ledger::Reading;
use super::report::{ImportReport, Verdict};
use super::stock_row::{condition, owner};
use super::text::{is_placeholder, word};
use super::{Cell, DocumentError, Note, Table};
use crate::lang::Bilingual;

/// Most people in a team, and hours it can work without relief.
const FIGURE_MAX: u64 = 100_000;

/// One team or vehicle of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnitRow {
    /// Row number in the file.
    pub row: u32,
    /// Its lot of quantity one, the same whenever the same row is read.
    pub lot: LotId,
    /// What it is.
    pub resource: Resource,
    /// Its name.
    pub name: String,
    /// People in a team, crew of a vehicle; 0 where a vehicle's ledger says none.
    pub size: u32,
    /// Where it stands.
    pub base: String,
    /// The store of that name.
    pub base_id: StoreId,
    /// District or banner.
    pub district: Option<String>,
    /// The organisation it belongs to.
    pub organisation: String,
    /// Whether it can be sent.
    pub condition: Condition,
    /// How long it can work without relief, hours; 0 where the ledger does not say.
    pub endurance_hours: u32,
    /// The owner, where the ledger names one.
    pub owner: Option<MunicipalityCode>,
    /// Anything else, as text.
    pub remark: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Index,
    Name,
    Kind,
    Size,
    Base,
    District,
    Organisation,
    State,
    Endurance,
    Owner,
    Remark,
}

impl Field for At {
    const HEADERS: &'static [(Self, &'static [&'static str])] = &[
        (Self::Index, &["序号", "编号", "no", "no."]),
        (Self::Name, &["队伍名称", "名称", "车辆名称", "队伍/车辆名称", "name"]),
        (Self::Kind, &["类型", "类型代号", "队伍类型", "车辆类型", "kind", "type"]),
        (Self::Size, &["人数", "队伍人数", "定员", "size"]),
        (Self::Base, &["驻地", "驻地地址", "存放地点", "驻守地点", "base"]),
        (Self::District, &["区", "旗县", "区/旗县", "旗县区", "区县", "district"]),
        (Self::Organisation, &["单位", "所属单位", "管理单位", "主管单位", "organisation", "organization"]),
        (Self::State, &["状态", "status", "condition"]),
        (Self::Endurance, &["值守耐力", "耐力", "持续作战时间", "endurance", "endurancehours"]),
        (Self::Owner, &["所有权", "权属", "owner"]),
        (Self::Remark, &["备注", "说明", "remark", "remarks"]),
    ];
    const REQUIRED: &'static [Self] = &[Self::Name, Self::Kind];

    fn title(self) -> Bilingual {
        let (zh, en) = match self {
            Self::Index => ("序号", "number"),
            Self::Name => ("队伍名称", "name"),
            Self::Kind => ("类型", "kind"),
            Self::Size => ("人数", "people"),
            Self::Base => ("驻地", "base"),
            Self::District => ("区/旗县", "district"),
            Self::Organisation => ("所属单位", "organisation"),
            Self::State => ("状态", "state"),
            Self::Endurance => ("值守耐力", "endurance in hours"),
            Self::Owner => ("所有权", "owner"),
            Self::Remark => ("备注", "remark"),
        };
        Bilingual::fixed(zh, en)
    }
}

/// Reads a ledger of teams and vehicles. Every row of the table has one entry in the report.
///
/// # Errors
/// The sheet has no header with a name and a kind, or two columns that mean the same.
pub fn read_units(table: &Table, with: &Reading<'_>) -> Result<ImportReport<UnitRow>, DocumentError> {
    let mut occurrences = Occurrences::default();
    read_rows(table, (At::Name, At::Kind), |row, cells, columns| judge(row, cells, columns, with, &mut occurrences))
}

fn judge(
    row: u32,
    cells: &[Cell],
    columns: &Columns<At>,
    with: &Reading<'_>,
    occurrences: &mut Occurrences,
) -> (Verdict<UnitRow>, Vec<Note>) {
    let key = RowKey([At::Name, At::Kind, At::Base, At::Owner].map(|at| columns.text(at, cells)).to_vec());
    let (occurrence, first) = occurrences.count(&key, row);
    let mut reasons = Vec::new();
    let lot = key.lot("unit", with.municipality, occurrence);
    let Some(unit) = read(row, lot, cells, columns, with, &mut reasons).filter(|_| reasons.is_empty()) else {
        return (Verdict::Rejected(reasons), Vec::new());
    };
    // A team exists once: unlike goods, a second row of the same name is a copy.
    if occurrence > 1 {
        return (
            Verdict::Rejected(vec![Note::new(
                "DUPLICATE_ROW",
                format!("与第 {first} 行是同一队伍或车辆；请删去一行，或改名区分"),
                format!("is the same team or vehicle as row {first}; delete one, or tell them apart by name"),
            )]),
            Vec::new(),
        );
    }
    (Verdict::Accepted(unit), Vec::new())
}

fn read(
    row: u32,
    lot: LotId,
    cells: &[Cell],
    columns: &Columns<At>,
    with: &Reading<'_>,
    reasons: &mut Vec<Note>,
) -> Option<UnitRow> {
    let text = |at| columns.text(at, cells);
    let said = |at| Some(text(at)).filter(|text| !is_placeholder(text));
    let name = said(At::Name);
    if name.is_none() {
        reasons.push(Note::fixed("NAME_MISSING", "没有名称；请填写", "has no name; fill it in"));
    }
    let kind = text(At::Kind);
    let resource = with.catalogue.kind_named(&kind).cloned();
    if resource.is_none() {
        reasons.push(Note::new(
            "UNIT_KIND_UNKNOWN",
            format!("类型“{kind}”不在目录中；请在目录中加一行 team 或 vehicle"),
            format!("kind \"{kind}\" is not in the catalogue; add a team or vehicle row to it"),
        ));
    }
    let mut figure = |at| {
        let Some(written) = said(at) else { return Some(None) };
        figure(&written).map(Some).map_err(|note| reasons.push(note)).ok()
    };
    let (size, endurance) = (figure(At::Size), figure(At::Endurance));
    if size == Some(None) && matches!(resource, Some(Resource::Team(_))) {
        reasons.push(Note::fixed("SIZE_MISSING", "队伍没有人数；请填写", "the team has no head count; fill it in"));
    }
    let base = said(At::Base).or_else(|| with.default_store.map(super::text::fold));
    if base.is_none() {
        reasons.push(Note::fixed("BASE_MISSING", "没有驻地；请填写", "has no base; fill it in"));
    }
    let state = word(&text(At::State));
    let condition = match columns.get(At::State) {
        None => Some(Condition::Usable),
        Some(_) if state == "休整" => Some(Condition::UnderRepair),
        Some(_) => condition(&state),
    };
    if condition.is_none() {
        reasons.push(Note::new(
            "STATE_UNKNOWN",
            format!("状态“{state}”不明；请写待命、休整、待检、待修或停用"),
            format!("state \"{state}\" is not known; write 待命, 休整, 待检, 待修 or 停用"),
        ));
    }
    let owner = owner(&text(At::Owner), with.catalogue).map_err(|note| reasons.push(note)).ok().flatten();
    let base = base?;
    Some(UnitRow {
        row,
        lot,
        resource: resource?,
        name: name?,
        size: size?.unwrap_or_default(),
        base_id: store_id(with.municipality, &base),
        base,
        district: said(At::District),
        organisation: said(At::Organisation).unwrap_or_default(),
        condition: condition?,
        endurance_hours: endurance?.unwrap_or_default(),
        owner,
        remark: said(At::Remark).unwrap_or_default(),
    })
}

/// A count of people or hours, with or without its unit behind it.
fn figure(written: &str) -> Result<u32, Note> {
    let parts = amounts(written)?;
    let fits = match parts.as_slice() {
        [(number, unit)] if matches!(unit.as_str(), "" | "人" | "名" | "小时" | "h") => Some(*number),
        _ => None,
    };
    fits.filter(|number| *number <= FIGURE_MAX).and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
        Note::new(
            "FIGURE_UNREADABLE",
            format!("“{written}”读不出；请只写整数"),
            format!("\"{written}\" cannot be read; write a whole number only"),
        )
    })
}
