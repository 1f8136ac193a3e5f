//! `stock import` and `team import`: a ledger file into the books, with a verdict for every row. The file names its rows
//! (the same file twice names the same lots), so an import may be repeated or resumed at will.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::resource::{Condition, StockClass};
use shouwang_domain::time::Timestamp;
use shouwang_proto::v1::{
    AddStoreRequest, Holding, LotDetails, OpenLotsRequest, OpenLotsResult, OpenLotsRow, Verdict as Decided, holding,
};

use super::client::{Client, ClientArgs, failure, with_node};
use super::lots::holding;
use super::output::{Format, write};
use super::render::heads;
use super::resolve::municipality;
use super::text::clean;
use super::{parse, words};
use crate::documents::catalogue::Catalogue;
use crate::documents::ledger::{Reading, StockRow, read_stock};
use crate::documents::report::{Counts, ImportReport, Verdict};
use crate::documents::units::{UnitRow, read_units};
use crate::documents::{DocumentError, Note, Table};
use crate::exit::{Exit, Failure};
use crate::lang::{Bilingual, Lang};

/// Rows that one call takes: few enough to be across a line of 64 kbit/s well within the call's time.
const PORTION: usize = 200;
/// What the books say where the ledger does not name the district: to be verified.
const DISTRICT_UNKNOWN: &str = "待核";

/// What an import needs.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The ledger: .xlsx, or .csv in UTF-8 or GBK 台账文件
    pub file: PathBuf,
    /// The user's catalogue of codes, words and packages 目录文件
    #[arg(long, value_name = "FILE")]
    pub catalogue: PathBuf,
    /// Which sheet of a workbook 工作表
    #[arg(long)]
    pub sheet: Option<String>,
    /// The store of rows that name none 未写明仓库时的库名
    #[arg(long, value_name = "NAME")]
    pub store: Option<String>,
    /// The owner of rows that name none, when it is another's 未写明物权时的物权单位代码
    #[arg(long, value_name = "CODE", value_parser = parse::municipality)]
    pub owner: Option<String>,
    /// Show the verdicts and change nothing 只给出结论，不入账
    #[arg(long)]
    pub dry_run: bool,
}

/// A store that the rows of a ledger name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct StoreNamed {
    name: String,
    district: Option<String>,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowTold {
    /// Row number in the file.
    row: u32,
    /// accepted, local, rejected or skipped by the reader.
    read: &'static str,
    /// entered, already_there or refused by the books; empty when it was not sent.
    booked: &'static str,
    /// The lot.
    lot: String,
    /// What the ledger calls it.
    title: String,
    /// How much, in base units.
    quantity: u64,
    /// Base unit.
    unit: String,
    /// Why not, or what to look at.
    notes: Vec<Note>,
    /// The record's refusal.
    refusal: Option<Bilingual>,
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The file.
    path: String,
    /// The sheet of a workbook.
    sheet: Option<String>,
    /// Nothing was sent.
    dry_run: bool,
    /// How many rows had each verdict of the reader.
    counts: Counts,
    /// Lots that are new in the books.
    entered: usize,
    /// Lots that were there before.
    already_there: usize,
    /// Lots that the books refused.
    refused: usize,
    /// Columns of which nothing enters the books.
    columns_unread: Vec<String>,
    /// Every row of the file.
    rows: Vec<RowTold>,
}

/// Runs `shouwang stock import`.
///
/// # Errors
/// The file or the catalogue cannot be read; as [`Client::done`]; rows that the books refused.
pub fn stock(node: &ClientArgs, args: &ImportArgs, lang: Lang) -> Result<(), Failure> {
    let (code, catalogue, table) = open(node, args)?;
    let report = read_stock(&table, &reading(code, &catalogue, args)).map_err(|error| unread(&error))?;
    let rows = report.taken().map(|row| goods(row, args.owner.as_deref())).collect();
    let stores = stores(report.taken().map(|row| (row.store_id.to_string(), &row.store, row.district.as_ref())));
    let told = told(&report, |row| (row.row, row.lot.to_string(), row.title(), row.qty.0, row.unit.clone()));
    run(node, args, lang, Plan { imported: told, stores, rows, command: "stock import" })
}

/// Runs `shouwang team import`.
///
/// # Errors
/// As [`stock`].
pub fn teams(node: &ClientArgs, args: &ImportArgs, lang: Lang) -> Result<(), Failure> {
    let (code, catalogue, table) = open(node, args)?;
    let report = read_units(&table, &reading(code, &catalogue, args)).map_err(|error| unread(&error))?;
    let rows = report.taken().map(|row| unit(row, args.owner.as_deref())).collect();
    let stores = stores(report.taken().map(|row| (row.base_id.to_string(), &row.base, row.district.as_ref())));
    let told = told(&report, |row| (row.row, row.lot.to_string(), row.name.clone(), 1, unit_word(row).to_owned()));
    run(node, args, lang, Plan { imported: told, stores, rows, command: "team import" })
}

/// What would be sent.
struct Plan {
    imported: Imported,
    stores: BTreeMap<String, StoreNamed>,
    rows: Vec<OpenLotsRow>,
    command: &'static str,
}

fn run(node: &ClientArgs, args: &ImportArgs, lang: Lang, plan: Plan) -> Result<(), Failure> {
    let mut imported = plan.imported;
    if args.dry_run {
        imported.dry_run = true;
        return tell(&imported, node.output, lang);
    }
    with_node(node, lang, async |client| {
        let known: Vec<String> = client.stores().await?.iter().map(|store| words::id(&store.name)).collect();
        for (store, named) in plan.stores.iter().filter(|(store, _)| !known.contains(store)) {
            add_store(client, store, named).await?;
        }
        let mut results = Vec::with_capacity(plan.rows.len());
        for page in pages(&plan.rows) {
            let answer = client.change_too(plan.command, async |request_id| {
                client.registry().open_lots(client.request(OpenLotsRequest { request_id, rows: page.to_vec() })).await
            });
            results.extend(answer.await?.results);
        }
        imported.book(&plan.rows, results)?;
        tell(&imported, client.output, lang)
    })
}

async fn add_store(client: &Client, store: &str, named: &StoreNamed) -> Result<(), Failure> {
    let district = named.district.clone().unwrap_or_else(|| DISTRICT_UNKNOWN.to_owned());
    let (store, title) = (store.to_owned(), named.name.clone());
    let answer = client.change_too("store add", async |request_id| {
        client.registry().add_store(client.request(AddStoreRequest { request_id, store, title, district })).await
    });
    client.settled(&answer.await?.outcome.unwrap_or_default())
}

/// The rows in portions that one call takes.
fn pages(rows: &[OpenLotsRow]) -> impl Iterator<Item = &[OpenLotsRow]> {
    rows.chunks(PORTION)
}

fn open(node: &ClientArgs, args: &ImportArgs) -> Result<(MunicipalityCode, Catalogue, Table), Failure> {
    let code = municipality(&node.identity()?)?;
    let catalogue = Catalogue::read(&args.catalogue).map_err(|error| unread(&error))?;
    let table = Table::read(&args.file, args.sheet.as_deref()).map_err(|error| unread(&error))?;
    Ok((code, catalogue, table))
}

fn reading<'a>(municipality: MunicipalityCode, catalogue: &'a Catalogue, args: &'a ImportArgs) -> Reading<'a> {
    let today = Timestamp(jiff::Timestamp::now().as_millisecond()).shanghai_date();
    Reading { municipality, today, catalogue, default_store: args.store.as_deref() }
}

fn unread(error: &DocumentError) -> Failure {
    let (zh, en) = (error.message(Lang::Zh), error.message(Lang::En));
    failure(Exit::BadInput, error.code(), zh, en)
}

/// The stores that rows name, each once, with the first district that any of them gives.
fn stores<'a>(named: impl Iterator<Item = (String, &'a String, Option<&'a String>)>) -> BTreeMap<String, StoreNamed> {
    let mut stores = BTreeMap::new();
    for (id, name, district) in named {
        let store: &mut StoreNamed =
            stores.entry(id).or_insert_with(|| StoreNamed { name: name.clone(), district: None });
        if store.district.is_none() {
            store.district = district.cloned();
        }
    }
    stores
}

fn goods(row: &StockRow, owner: Option<&str>) -> OpenLotsRow {
    let holding = match row.item_code {
        Some(code) => holding::Kind::Item(code.to_string()),
        None => holding::Kind::Local(row.name.clone()),
    };
    let mut remarks = vec![row.remark.clone()];
    remarks.extend(row.produced.map(|day| format!("生产日期 {day}")));
    remarks.extend(row.packs.as_ref().map(|(pack, units)| format!("每{pack} {units} {}", row.unit)));
    remarks.extend(row.price_text.as_ref().map(|price| format!("单价 {price}")));
    let details = LotDetails {
        holding: Some(Holding { kind: Some(holding) }),
        title: row.title(),
        unit: row.unit.clone(),
        store: row.store_id.to_string(),
        owner: row.owner.map(|owner| owner.to_string()).or_else(|| owner.map(str::to_owned)).unwrap_or_default(),
        class: class(row.class),
        condition: condition(row.condition),
        batch: row.batch.clone(),
        expires: row.expires.map(|day| day.to_string()).unwrap_or_default(),
        unit_price_fen: row.unit_price.map(|fen| fen.0),
        remark: joined(&remarks),
        ..LotDetails::default()
    };
    OpenLotsRow { lot: row.lot.to_string(), details: Some(details), quantity: row.qty.0 }
}

fn unit(row: &UnitRow, owner: Option<&str>) -> OpenLotsRow {
    let resource = parse::resource(&row.resource.to_string()).unwrap_or_default();
    let details = LotDetails {
        holding: Some(holding(resource)),
        title: row.name.clone(),
        unit: unit_word(row).to_owned(),
        store: row.base_id.to_string(),
        owner: row.owner.map(|owner| owner.to_string()).or_else(|| owner.map(str::to_owned)).unwrap_or_default(),
        class: class(StockClass::Government),
        condition: condition(row.condition),
        size: row.size,
        endurance_hours: row.endurance_hours,
        remark: joined(&[row.organisation.clone(), row.remark.clone()]),
        ..LotDetails::default()
    };
    OpenLotsRow { lot: row.lot.to_string(), details: Some(details), quantity: 1 }
}

fn unit_word(row: &UnitRow) -> &'static str {
    if matches!(row.resource, shouwang_domain::resource::Resource::Team(_)) { "支" } else { "辆" }
}

fn joined(parts: &[String]) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    parts.join("；")
}

fn class(class: StockClass) -> i32 {
    use shouwang_proto::v1::StockClass as Told;
    let told = match class {
        StockClass::Government => Told::Government,
        StockClass::EnterpriseContracted => Told::EnterpriseContracted,
        StockClass::EnterpriseOwn => Told::EnterpriseOwn,
        StockClass::Charity => Told::Charity,
        StockClass::Superior => Told::Superior,
    };
    told.into()
}

fn condition(condition: Condition) -> i32 {
    use shouwang_proto::v1::Condition as Told;
    let told = match condition {
        Condition::Usable => Told::Usable,
        Condition::AwaitingInspection => Told::AwaitingInspection,
        Condition::UnderRepair => Told::UnderRepair,
        Condition::Condemned => Told::Condemned,
    };
    told.into()
}

/// The report of a file before anything is sent.
fn told<T>(report: &ImportReport<T>, row: impl Fn(&T) -> (u32, String, String, u64, String)) -> Imported {
    let rows = report.entries.iter().map(|entry| {
        let taken = |read, taken: &T| {
            let (_, lot, title, quantity, unit) = row(taken);
            RowTold {
                row: entry.row,
                read,
                booked: "",
                lot,
                title,
                quantity,
                unit,
                notes: entry.notes.clone(),
                refusal: None,
            }
        };
        let not = |read, notes: Vec<Note>| RowTold {
            row: entry.row,
            read,
            booked: "",
            lot: String::new(),
            title: joined(&entry.original.iter().filter(|cell| !cell.is_empty()).cloned().collect::<Vec<_>>()),
            quantity: 0,
            unit: String::new(),
            notes,
            refusal: None,
        };
        match &entry.verdict {
            Verdict::Accepted(row) => taken("accepted", row),
            Verdict::Local(row) => taken("local", row),
            Verdict::Rejected(notes) => not("rejected", notes.clone()),
            Verdict::Skipped(reason) => not("skipped", vec![Note { code: "SKIPPED", text: reason.text() }]),
        }
    });
    Imported {
        path: report.path.clone(),
        sheet: report.sheet.clone(),
        dry_run: false,
        counts: report.counts,
        entered: 0,
        already_there: 0,
        refused: 0,
        columns_unread: report.columns_unread.clone(),
        rows: rows.collect(),
    }
}

impl Imported {
    /// Enters what the books said: one result per row that was sent, in their order.
    fn book(&mut self, sent: &[OpenLotsRow], results: Vec<OpenLotsResult>) -> Result<(), Failure> {
        if sent.len() != results.len() {
            let (sent, got) = (sent.len(), results.len());
            let en =
                format!("{sent} rows were sent and {got} answered; import the file again, nothing is entered twice");
            let zh = format!("发送 {sent} 行，答复 {got} 行；请重新导入，不会重复入账");
            return Err(failure(Exit::Failure, "ANSWER", zh, en));
        }
        let mut results = results.into_iter();
        for row in self.rows.iter_mut().filter(|row| !row.lot.is_empty()) {
            let result = results.next().unwrap_or_default();
            let outcome = result.outcome.unwrap_or_default();
            let accepted = outcome.verdict() == Decided::Accepted;
            (row.booked, row.refusal) = match outcome.refusal {
                Some(refusal) => {
                    let told = |text: &str| format!("{text} ({})", refusal.reason);
                    ("refused", Some(Bilingual::new(told(&refusal.zh), told(&refusal.en))))
                }
                None if result.already_there => ("already_there", None),
                None if accepted => ("entered", None),
                None => ("refused", None),
            };
        }
        let count = |booked| self.rows.iter().filter(|row| row.booked == booked).count();
        (self.entered, self.already_there, self.refused) = (count("entered"), count("already_there"), count("refused"));
        Ok(())
    }

    /// The sums in one sentence, and whether anything changed.
    fn summary(&self) -> Bilingual {
        let Counts { rows, accepted, local, rejected, skipped, flagged } = self.counts;
        let (path, Self { entered, already_there, refused, .. }) = (&self.path, self);
        let mut lines = vec![(
            format!(
                "{path}：共 {rows} 行，入账 {accepted}，未编码（仅本地）{local}，拒收 {rejected}，跳过 {skipped}；\
                 提示 {flagged} 行"
            ),
            format!(
                "{path}: {rows} rows: {accepted} accepted, {local} local (uncoded), {rejected} rejected, {skipped} \
                 skipped; {flagged} with notes"
            ),
        )];
        if !self.columns_unread.is_empty() {
            let (zh, en) = (self.columns_unread.join("、"), self.columns_unread.join(", "));
            lines.push((format!("未读取的列：{zh}"), format!("columns not read: {en}")));
        }
        lines.push(if self.dry_run {
            ("仅试读，未入账".to_owned(), "tried only; nothing was entered".to_owned())
        } else if *entered == 0 && *refused == 0 {
            (
                format!("{already_there} 批均已在账，无变化"),
                format!("all {already_there} lots were there already: nothing changed"),
            )
        } else {
            (
                format!("新入账 {entered} 批，已在账 {already_there} 批，账簿拒绝 {refused} 批"),
                format!("{entered} lots entered, {already_there} already there, {refused} refused by the books"),
            )
        });
        let (zh, en): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
        Bilingual::new(zh.join("\n"), en.join("\n"))
    }

    fn table(&self, lang: Lang) -> Vec<Vec<String>> {
        let zh = lang == Lang::Zh;
        let word = |word: &'static str| match (zh, word) {
            (true, "accepted") => "收",
            (true, "local") => "仅本地",
            (true, "rejected") => "拒收",
            (true, "skipped") => "跳过",
            (true, "entered") => "新入账",
            (true, "already_there") => "已在账",
            (true, "refused") => "被拒绝",
            (false, "already_there") => "already there",
            (_, "") => "-",
            (_, other) => other,
        };
        let row = |row: &RowTold| {
            let mut notes: Vec<String> = row.notes.iter().map(|note| note.text.get(lang).to_owned()).collect();
            notes.extend(row.refusal.as_ref().map(|refusal| refusal.get(lang).to_owned()));
            let quantity = if row.lot.is_empty() { String::new() } else { format!("{} {}", row.quantity, row.unit) };
            let cells = [
                row.row.to_string(),
                word(row.read).to_owned(),
                word(row.booked).to_owned(),
                quantity,
                shortened(&row.title),
                notes.join(if zh { "；" } else { "; " }),
            ];
            cells.iter().map(|cell| clean(cell)).collect()
        };
        self.rows.iter().map(row).collect()
    }
}

/// A title or a rejected row, short enough for a table.
fn shortened(text: &str) -> String {
    const MAX: usize = 40;
    if text.chars().count() <= MAX { text.to_owned() } else { text.chars().take(MAX - 1).chain(['…']).collect() }
}

fn tell(imported: &Imported, output: Format, lang: Lang) -> Result<(), Failure> {
    const HEADS: &super::render::Heads = &[
        ("行", "ROW"),
        ("结论", "READ"),
        ("账簿", "BOOKS"),
        ("数量", "QUANTITY"),
        ("名称", "NAME"),
        ("说明", "NOTES"),
    ];
    write(output, imported, &heads(HEADS, lang), &imported.table(lang))?;
    eprintln!("{}", imported.summary().get(lang));
    if imported.refused == 0 {
        return Ok(());
    }
    let refused = imported.refused;
    Err(failure(
        Exit::Refused,
        "ROWS_REFUSED",
        format!("账簿拒绝了 {refused} 行，其余已入账；改正后重新导入即可"),
        format!("the books refused {refused} rows, the others are entered; mend them and import the file again"),
    ))
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
