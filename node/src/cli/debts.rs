//! `shouwang obligation`, `discrepancy` and `statement`: who owes whom, what contradicts what, and who bears it.

use clap::{Args, Subcommand};
use shouwang_proto::v1::compensation_service_client::CompensationServiceClient;
use shouwang_proto::v1::{
    AcceptFindingRequest, ClaimRequest, ConfirmPaymentRequest, DisputeRequest, Finding, GetStatementRequest,
    ListDiscrepanciesRequest, ListDiscrepanciesResponse, ListObligationsRequest, Obligation, ProposeFindingRequest,
    RecogniseRequest, ReportPaymentRequest,
};
use tonic::transport::Channel;

use super::client::{Client, ClientArgs, PAGE, carry, failure, with_node};
use super::render::Heads;
use super::words::{self, Words, dash, id, resource, yuan};
use super::{Context, parse};
use crate::exit::{Exit, Failure};

/// Arguments of `shouwang obligation`.
#[derive(Debug, Args)]
pub struct ObligationArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: ObligationVerb,
}

#[derive(Debug, Subcommand)]
enum ObligationVerb {
    /// List what members owe each other 列出补偿义务
    List {
        /// Only those this member owes or is owed 仅此成员
        #[arg(long, value_name = "CODE", value_parser = parse::municipality)]
        member: Option<String>,
        /// Only those in this state 仅此状态
        #[arg(long, value_parser = words::OBLIGATION_STATE.parser())]
        state: Option<i32>,
        /// Those that are settled, too 含已结清的
        #[arg(long)]
        settled: bool,
    },
    /// The creditor claims, with evidence 申报（附凭据）
    Claim {
        #[command(flatten)]
        debt: Debt,
        /// For service, injury and late return: the amount in yuan 金额（元，物资以外）
        #[arg(long, value_name = "YUAN", default_value = "0", value_parser = parse::yuan)]
        amount: i64,
        /// A document number or hash 凭据编号
        #[arg(long)]
        evidence: String,
    },
    /// The debtor recognises the claim 认定
    Recognise {
        #[command(flatten)]
        debt: Debt,
        /// On which ground 补偿依据
        #[arg(long, default_value = "restock", value_parser = words::BASIS.parser())]
        basis: i32,
        /// Paid in money rather than restocked 以货币补偿
        #[arg(long)]
        in_money: bool,
    },
    /// The debtor objects 提出争议
    Dispute {
        #[command(flatten)]
        debt: Debt,
        /// Why 理由
        #[arg(long)]
        reason: String,
    },
    /// The debtor says it has paid 报告付款
    Pay {
        #[command(flatten)]
        debt: Debt,
        /// A document number 付款凭据编号
        #[arg(long)]
        evidence: String,
    },
    /// The creditor has the money, or has not 确认到账
    Confirm {
        #[command(flatten)]
        debt: Debt,
        /// It has not come 未到账
        #[arg(long)]
        not_received: bool,
    },
}

/// Which debt.
#[derive(Debug, Args)]
struct Debt {
    /// Of which mission: its id or number, or obligations/MISSION/KIND 调派，或补偿义务全名
    of: String,
    /// Which kind 种类
    #[arg(long, default_value = "goods", value_parser = words::DEBT_KIND.parser())]
    kind: i32,
}

/// Arguments of `shouwang discrepancy`.
#[derive(Debug, Args)]
pub struct DiscrepancyArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: DiscrepancyVerb,
}

#[derive(Debug, Subcommand)]
enum DiscrepancyVerb {
    /// List contradictions between what two sides said 列出差异
    List {
        /// Those that are closed, too 含已关闭的
        #[arg(long)]
        closed: bool,
    },
    /// Propose who bears it 提出认定意见
    Propose {
        /// Which, MISSION/KIND such as discrepancies/…/delivery_short 差异
        discrepancy: String,
        /// How much of it the requester bears; the owner bears the rest 由请求方承担的数量
        #[arg(long)]
        charge: u64,
        /// The reasoning 理由
        #[arg(long)]
        note: String,
    },
    /// Agree with the proposal as it stands 同意认定意见
    Accept {
        /// Which, MISSION/KIND 差异
        discrepancy: String,
        /// Agree without asking, for scripts 不再询问
        #[arg(long)]
        yes: bool,
    },
}

/// Arguments of `shouwang statement`.
#[derive(Debug, Args)]
pub struct StatementArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Only pairs with this member 仅此成员
    #[arg(long, value_name = "CODE", value_parser = parse::municipality)]
    member: Option<String>,
    /// Of the exercise's debts 演练
    #[arg(long)]
    exercise: bool,
}

fn api(client: &Client) -> CompensationServiceClient<Channel> {
    CompensationServiceClient::new(client.channel.clone())
}

/// The mission and the kind in `collection/<mission>/<kind>`, `<mission>/<kind>` or `<mission>`.
fn split<'a>(text: &'a str, collection: &str, kinds: Words) -> Result<(&'a str, Option<i32>), String> {
    let text = text.strip_prefix(collection).unwrap_or(text);
    let text = text.strip_prefix("missions/").unwrap_or(text);
    match text.split_once('/') {
        None => Ok((text, None)),
        Some((mission, kind)) => {
            let known = kinds.value(&kind.replace('_', "-"));
            known.map(|kind| (mission, Some(kind))).ok_or_else(|| format!("{kind}: no such kind / 没有这个种类"))
        }
    }
}

fn misnamed(why: &str) -> Failure {
    failure(Exit::Usage, "NAME", why, why)
}

impl Debt {
    async fn told(self, client: &Client) -> Result<(String, i32), Failure> {
        let (mission, kind) = split(&self.of, "obligations/", words::DEBT_KIND).map_err(|why| misnamed(&why))?;
        Ok((client.mission(mission).await?, kind.unwrap_or(self.kind)))
    }
}

/// Runs `shouwang obligation`.
///
/// # Errors
/// [`Failure`].
pub fn obligation(args: ObligationArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| match args.verb {
        ObligationVerb::List { member, state, settled } => obligations(client, member, state, settled).await,
        verb => settle(client, verb).await,
    })
}

async fn settle(client: &Client, verb: ObligationVerb) -> Result<(), Failure> {
    let mut api = api(client);
    let region = client.region.clone();
    match verb {
        ObligationVerb::Claim { debt, amount, evidence } => {
            let (mission, kind) = debt.told(client).await?;
            let amount_fen = amount;
            carry!(client, api, "obligation claim", claim, ClaimRequest { region, mission, kind, amount_fen, evidence })
        }
        ObligationVerb::Recognise { debt, basis, in_money } => {
            let (mission, kind) = debt.told(client).await?;
            carry!(
                client,
                api,
                "obligation recognise",
                recognise,
                RecogniseRequest { region, mission, kind, basis, in_money }
            )
        }
        ObligationVerb::Dispute { debt, reason } => {
            let (mission, kind) = debt.told(client).await?;
            carry!(client, api, "obligation dispute", dispute, DisputeRequest { region, mission, kind, reason })
        }
        ObligationVerb::Pay { debt, evidence } => {
            let (mission, kind) = debt.told(client).await?;
            carry!(
                client,
                api,
                "obligation pay",
                report_payment,
                ReportPaymentRequest { region, mission, kind, evidence }
            )
        }
        ObligationVerb::Confirm { debt, not_received } => {
            let (mission, kind) = debt.told(client).await?;
            let received = !not_received;
            carry!(
                client,
                api,
                "obligation confirm",
                confirm_payment,
                ConfirmPaymentRequest { region, mission, kind, received }
            )
        }
        ObligationVerb::List { member, state, settled } => obligations(client, member, state, settled).await,
    }
}

async fn obligations(
    client: &Client,
    member: Option<String>,
    state: Option<i32>,
    settled: bool,
) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("补偿义务", "OBLIGATION"),
        ("调派", "MISSION"),
        ("种类", "KIND"),
        ("状态", "STATE"),
        ("欠方", "DEBTOR"),
        ("应收方", "CREDITOR"),
        ("资源", "RESOURCE"),
        ("名称", "NAME"),
        ("数量", "QTY"),
        ("待补", "OPEN"),
        ("金额(元)", "YUAN"),
        ("依据", "BASIS"),
    ];
    let mut api = api(client);
    let query = ListObligationsRequest {
        region: client.region.clone(),
        page_size: PAGE,
        linearizable: client.linearizable,
        member: member.unwrap_or_default(),
        // A state asked for by name is shown whatever it is.
        show_settled: settled || state.is_some(),
        state: state.unwrap_or_default(),
        ..ListObligationsRequest::default()
    };
    let answer = client
        .all(async |page_token| {
            api.list_obligations(client.request(ListObligationsRequest { page_token, ..query.clone() })).await
        })
        .await?;
    let row = |owed: &Obligation| {
        vec![
            owed.name.clone(),
            dash(&owed.number),
            words::DEBT_KIND.get(owed.kind, client.lang),
            words::OBLIGATION_STATE.get(owed.state, client.lang),
            owed.debtor.clone(),
            owed.creditor.clone(),
            resource(owed.resource.as_ref()),
            owed.title.clone(),
            format!("{} {}", owed.quantity, owed.unit),
            owed.quantity_open.to_string(),
            yuan(owed.amount_fen),
            words::BASIS.get(owed.basis, client.lang),
        ]
    };
    let rows: Vec<_> = answer.obligations.iter().map(row).collect();
    client.list(&answer, HEADS, &rows)
}

/// Runs `shouwang discrepancy`.
///
/// # Errors
/// [`Failure`].
pub fn discrepancy(args: DiscrepancyArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| {
        let mut api = api(client);
        let region = client.region.clone();
        match args.verb {
            DiscrepancyVerb::List { closed } => discrepancies(client, closed).await,
            DiscrepancyVerb::Propose { discrepancy, charge, note } => {
                let (mission, kind) = named(client, &discrepancy).await?;
                let finding = Some(Finding { charge_requester: charge, note });
                carry!(
                    client,
                    api,
                    "discrepancy propose",
                    propose_finding,
                    ProposeFindingRequest { region, mission, kind, finding }
                )
            }
            DiscrepancyVerb::Accept { discrepancy, yes } => {
                let (mission, kind) = named(client, &discrepancy).await?;
                let finding = proposed(client, &mission, kind).await?;
                let (charge, note) = (finding.charge_requester, super::text::clean(&finding.note));
                client.confirm(
                    yes,
                    &format!("同意由请求方承担 {charge}，理由：{note}？"),
                    &format!("Agree that the requester bears {charge}: {note}?"),
                )?;
                let finding = Some(finding);
                carry!(
                    client,
                    api,
                    "discrepancy accept",
                    accept_finding,
                    AcceptFindingRequest { region, mission, kind, finding }
                )
            }
        }
    })
}

async fn named(client: &Client, text: &str) -> Result<(String, i32), Failure> {
    let (mission, kind) = split(text, "discrepancies/", words::DISCREPANCY_KIND).map_err(|why| misnamed(&why))?;
    let kind = kind.ok_or_else(|| misnamed(&format!("{text}: write MISSION/KIND / 请写作 调派/种类")))?;
    Ok((client.mission(mission).await?, kind))
}

/// The proposal as it stands, so that a changed one is not agreed to unseen.
async fn proposed(client: &Client, mission: &str, kind: i32) -> Result<Finding, Failure> {
    let known = read(client, false).await?;
    let of = known.discrepancies.iter().find(|known| id(&known.mission) == id(mission) && known.kind == kind);
    of.and_then(|known| known.proposed.clone()).ok_or_else(|| {
        failure(
            Exit::NotFound,
            "FINDING",
            "没有等待同意的认定意见；shouwang discrepancy list 列出差异",
            "no finding waits for agreement; shouwang discrepancy list shows what is open",
        )
    })
}

async fn read(client: &Client, show_closed: bool) -> Result<ListDiscrepanciesResponse, Failure> {
    let mut api = api(client);
    let query = ListDiscrepanciesRequest {
        region: client.region.clone(),
        page_size: PAGE,
        linearizable: client.linearizable,
        show_closed,
        ..ListDiscrepanciesRequest::default()
    };
    client
        .all(async |page_token| {
            api.list_discrepancies(client.request(ListDiscrepanciesRequest { page_token, ..query.clone() })).await
        })
        .await
}

async fn discrepancies(client: &Client, closed: bool) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("差异", "DISCREPANCY"),
        ("种类", "KIND"),
        ("数量", "QTY"),
        ("报告方", "REPORTED BY"),
        ("发现时刻", "SINCE"),
        ("认定意见", "FINDING"),
        ("关闭时刻", "CLOSED"),
    ];
    let answer = read(client, closed).await?;
    let row = |open: &shouwang_proto::v1::Discrepancy| {
        let finding = |finding: &Finding, zh: &str, en: &str| {
            format!("{} {} ({})", client.lang.pick(zh, en), finding.charge_requester, finding.note)
        };
        let agreed = open.finding.as_ref().map(|of| finding(of, "双方同意：请求方承担", "agreed, requester bears"));
        let waiting =
            || open.proposed.as_ref().map(|of| finding(of, "待同意：请求方承担", "proposed, requester bears"));
        vec![
            open.name.clone(),
            words::DISCREPANCY_KIND.get(open.kind, client.lang),
            open.quantity.to_string(),
            open.reported_by.clone(),
            words::time(open.opened_at),
            agreed.or_else(waiting).unwrap_or_else(|| "-".to_owned()),
            words::time(open.closed_at),
        ]
    };
    let rows: Vec<_> = answer.discrepancies.iter().map(row).collect();
    client.list(&answer, HEADS, &rows)
}

/// Runs `shouwang statement`.
///
/// # Errors
/// [`Failure`].
pub fn statement(args: StatementArgs, context: &Context) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("欠方", "DEBTOR"),
        ("应收方", "CREDITOR"),
        ("未结", "OPEN"),
        ("已结", "SETTLED"),
        ("待补数量", "UNITS OPEN"),
        ("未结金额(元)", "YUAN OPEN"),
        ("已结金额(元)", "YUAN SETTLED"),
    ];
    with_node(&args.client, context.lang, async |client| {
        let query = GetStatementRequest {
            region: client.region.clone(),
            linearizable: client.linearizable,
            member: args.member.unwrap_or_default(),
            exercise: args.exercise,
        };
        let answer = client.done(api(client).get_statement(client.request(query)).await)?;
        let row = |pair: &shouwang_proto::v1::PairStatement| {
            vec![
                pair.debtor.clone(),
                pair.creditor.clone(),
                pair.open.to_string(),
                pair.settled.to_string(),
                pair.quantity_open.to_string(),
                yuan(pair.amount_open_fen),
                yuan(pair.amount_settled_fen),
            ]
        };
        let rows: Vec<_> = answer.pairs.iter().map(row).collect();
        client.show(&answer, HEADS, &rows)?;
        let balances = answer.balances.iter().map(|of| format!("{} {}", of.member, yuan(of.balance_fen)));
        let balances: Vec<_> = balances.collect();
        if client.output == super::output::Format::Table && !balances.is_empty() {
            let told = balances.join("  ");
            super::output::text_out(&client.lang.pick(
                format!("各成员净额（元，合计为零）：{told}\n"),
                format!("net in yuan, summing to zero: {told}\n"),
            ))?;
        }
        client.age(answer.as_of.as_ref());
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debts_and_discrepancies_are_named_in_full_or_by_their_mission() {
        let debt = |text| split(text, "obligations/", words::DEBT_KIND);
        assert_eq!(debt("obligations/a/late_return"), Ok(("a", Some(4))));
        assert_eq!(debt("a/goods"), Ok(("a", Some(1))));
        assert_eq!(debt("missions/a"), Ok(("a", None)));
        assert_eq!(debt("乌-调-2026-0012"), Ok(("乌-调-2026-0012", None)));
        assert!(debt("obligations/a/love").is_err());
        let open = split("discrepancies/a/delivery_short", "discrepancies/", words::DISCREPANCY_KIND);
        assert_eq!(open, Ok(("a", Some(4))));
    }
}
