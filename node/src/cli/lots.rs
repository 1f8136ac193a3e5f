//! Lots on the command line: what is known of one when it is entered, and how they are listed.

use clap::Args;
use shouwang_proto::v1::{
    Account, Holding, ListLotsRequest, ListLotsResponse, Lot, LotDetails, OpenLotsRequest, OpenLotsResponse,
    OpenLotsRow, Resource, holding, resource,
};

use super::client::{Client, PAGE};
use super::parse;
use super::render::Heads;
use super::words::{self, dash, id};
use crate::exit::Failure;
use crate::lang::Lang;

/// What may be said of a lot besides what it is.
#[derive(Debug, Args)]
pub struct LotArgs {
    /// The owner's code, when it is another's 物权单位代码（非本级所有时）
    #[arg(long, value_name = "CODE", value_parser = parse::municipality)]
    pub owner: Option<String>,
    /// Under which scheme it is kept 储备类别
    #[arg(long, default_value = "government", value_parser = words::STOCK_CLASS.parser())]
    pub class: i32,
    /// Batch number 批号
    #[arg(long, default_value = "", hide_default_value = true)]
    pub batch: String,
    /// The last day it is good for 有效期至
    #[arg(long, value_name = "DAY", value_parser = parse::day)]
    pub expires: Option<String>,
    /// Value of one unit in yuan 单价（元）
    #[arg(long, value_name = "YUAN", value_parser = parse::yuan)]
    pub price: Option<i64>,
    /// Anything else 备注
    #[arg(long, default_value = "", hide_default_value = true)]
    pub remark: String,
    /// It belongs to an exercise 演练
    #[arg(long)]
    pub exercise: bool,
}

impl LotArgs {
    /// The details of a lot; `condition` in the contract's numbers.
    pub fn details(self, holding: Holding, title: String, unit: String, store: String, condition: i32) -> LotDetails {
        LotDetails {
            holding: Some(holding),
            title,
            unit,
            store,
            owner: self.owner.unwrap_or_default(),
            class: self.class,
            condition,
            batch: self.batch,
            expires: self.expires.unwrap_or_default(),
            unit_price_fen: self.price,
            size: 0,
            endurance_hours: 0,
            remark: self.remark,
            exercise: self.exercise,
        }
    }
}

/// A lot of this resource.
pub fn holding(of: Resource) -> Holding {
    let kind = of.kind.map(|kind| match kind {
        resource::Kind::Item(code) => holding::Kind::Item(code),
        resource::Kind::Team(kind) => holding::Kind::Team(kind),
        resource::Kind::Vehicle(kind) => holding::Kind::Vehicle(kind),
    });
    Holding { kind }
}

/// What a lot is, as written on the command line; a local word as it stands.
pub fn what(details: &LotDetails) -> String {
    match details.holding.as_ref().and_then(|holding| holding.kind.as_ref()) {
        Some(holding::Kind::Item(code)) => code.clone(),
        Some(holding::Kind::Local(word)) => format!("({word})"),
        Some(holding::Kind::Team(kind)) => format!("team:{kind}"),
        Some(holding::Kind::Vehicle(kind)) => format!("vehicle:{kind}"),
        None => "-".to_owned(),
    }
}

/// How much of a lot stands in an account, over all it belongs to.
pub fn balance(lot: &Lot, account: Account) -> u64 {
    let of = lot.balances.iter().filter(|balance| balance.account() == account);
    of.map(|balance| balance.quantity).fold(0, u64::saturating_add)
}

/// Whether the municipality still has anything to do with it.
pub fn is_live(lot: &Lot) -> bool {
    use Account::{Held, InTransit, Local, OnLoan, Overdrawn, Pledged, Repair};
    [Local, Repair, Pledged, Held, InTransit, OnLoan, Overdrawn].into_iter().any(|account| balance(lot, account) > 0)
}

/// The columns of a list of lots.
pub const HEADS: &Heads = &[
    ("批次", "LOT"),
    ("资源", "RESOURCE"),
    ("名称", "NAME"),
    ("单位", "UNIT"),
    ("在库", "LOCAL"),
    ("承诺", "PLEDGED"),
    ("待发", "HELD"),
    ("在途", "TRANSIT"),
    ("借出", "LOAN"),
    ("待修", "REPAIR"),
    ("状态", "CONDITION"),
    ("有效期", "EXPIRES"),
    ("物权", "OWNER"),
];

/// A lot under those columns.
pub fn row(lot: &Lot, lang: Lang) -> Vec<String> {
    let unknown = LotDetails::default();
    let details = lot.details.as_ref().unwrap_or(&unknown);
    let of = |account| balance(lot, account).to_string();
    let condition = words::CONDITION.get(details.condition, lang);
    let note = if lot.usable || balance(lot, Account::Local) == 0 { "" } else { "*" };
    vec![
        id(&lot.name),
        lot.resource.as_ref().map_or_else(|| what(details), |resource| words::resource(Some(resource))),
        details.title.clone(),
        details.unit.clone(),
        format!("{}{note}", of(Account::Local)),
        of(Account::Pledged),
        of(Account::Held),
        of(Account::InTransit),
        of(Account::OnLoan),
        of(Account::Repair),
        condition,
        dash(&details.expires),
        dash(&details.owner),
    ]
}

/// Reads the lots that match.
///
/// # Errors
/// As [`Client::done`].
pub async fn fetch(client: &Client, query: ListLotsRequest) -> Result<ListLotsResponse, Failure> {
    let mut api = client.registry();
    let query = ListLotsRequest { page_size: PAGE, linearizable: client.linearizable, ..query };
    client
        .all(async |page_token| api.list_lots(client.request(ListLotsRequest { page_token, ..query.clone() })).await)
        .await
}

/// Enters one lot and writes what came of it.
///
/// # Errors
/// As [`Client::change`]; the record's refusal.
pub async fn open(client: &Client, command: &str, row: OpenLotsRow) -> Result<(), Failure> {
    let mut api = client.registry();
    let request_id = client.request_id(command)?;
    let request = OpenLotsRequest { request_id, rows: vec![row] };
    let answer: OpenLotsResponse = client.done(api.open_lots(client.request(request)).await)?;
    let result = answer.results.first().cloned().unwrap_or_default();
    let outcome = result.outcome.unwrap_or_default();
    let told = if result.already_there {
        client.lang.pick("已在账，无变化", "already there, nothing changed").to_owned()
    } else {
        words::VERDICT.get(outcome.verdict, client.lang)
    };
    let row = vec![told, outcome.revision.to_string(), result.lot];
    client.show(&answer, &[("结果", "VERDICT"), ("版本", "REVISION"), ("批次", "LOT")], &[row])?;
    client.settled(&outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shouwang_proto::v1::Balance;

    #[test]
    fn a_lot_is_one_row_of_its_accounts() {
        let balance = |account: Account, quantity| Balance { account: account.into(), of: String::new(), quantity };
        let lot = Lot {
            name: "lots/a".to_owned(),
            details: Some(LotDetails {
                holding: Some(holding(parse::resource("2990101").unwrap())),
                title: "气密型化学防护服".to_owned(),
                unit: "套".to_owned(),
                condition: 1,
                ..LotDetails::default()
            }),
            balances: vec![
                balance(Account::Source, 60),
                balance(Account::Local, 10),
                balance(Account::Pledged, 30),
                balance(Account::Pledged, 20),
            ],
            resource: None,
            usable: true,
            ..Lot::default()
        };
        let cells = row(&lot, Lang::Zh);
        assert_eq!(cells[..6], ["a", "2990101", "气密型化学防护服", "套", "10", "50"].map(str::to_owned));
        assert_eq!((cells[10].as_str(), cells.len()), ("可用", HEADS.len()));
        assert!(is_live(&lot));
        let gone = Lot { balances: vec![balance(Account::Source, 60), balance(Account::Consumed, 60)], ..lot.clone() };
        assert!(!is_live(&gone));
        assert_eq!(row(&Lot { usable: false, ..lot }, Lang::En)[4], "10*", "stock that does not count is marked");
    }
}
