//! `shouwang aid`: "we need", "we give", "we take".

use clap::{Args, Subcommand};
use shouwang_proto::v1::aid_service_client::AidServiceClient;
use shouwang_proto::v1::{
    AidRequest, Answer, CloseRequestRequest, ConfirmPaperRequest, GetRequestRequest, HoldRequest, LineAsked,
    ListRequestsRequest, OrderRequest, ReleaseHoldRequest, RequestAidRequest, RequestLine, WithdrawLineRequest,
};
use tonic::transport::Channel;

use super::answer::{self, AnswerArgs};
use super::client::{Client, ClientArgs, PAGE, carry, with_node};
use super::output::{Format, text_out};
use super::parse::{self, When};
use super::render::Heads;
use super::words::{dash, id, resource, time, yuan};
use super::{Context, words};
use crate::exit::Failure;

/// Arguments of `shouwang aid`.
#[derive(Debug, Args)]
pub struct AidArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Ask the region for help 向区域发出支援请求
    Request(Box<RequestArgs>),
    /// List the requests of the region 列出支援请求
    List {
        /// Only those of this municipality 仅此请求方
        #[arg(long, value_name = "CODE", value_parser = parse::municipality)]
        requester: Option<String>,
        /// Only those with a line in this state 仅有此状态的行
        #[arg(long, value_parser = words::LINE_STATE.parser())]
        state: Option<i32>,
        /// Those that are closed, too 含已办结的
        #[arg(long)]
        closed: bool,
    },
    /// Show a request with its lines and answers 查看一份请求及其各行与答复
    Show {
        /// The request, by id or working number 请求（编号或业务编号）
        request: String,
    },
    /// Answer a line, after seeing what would be left for us 答复一行，签发前先看还剩多少
    Answer(Box<AnswerArgs>),
    #[command(flatten)]
    Take(Take),
}

#[derive(Debug, Subcommand)]
enum Take {
    /// Take from a pledge for a line: a mission in its first state 从承诺中占用
    Hold {
        /// The request, by id or working number 请求
        request: String,
        /// The line, from 1 行号
        #[arg(long)]
        line: u32,
        /// From which pledge 承诺
        #[arg(long)]
        pledge: String,
        /// How much 数量
        #[arg(long, value_parser = parse::quantity)]
        qty: u64,
        /// For how many minutes it waits for the signature [default: 30] 等待签发的分钟数
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        minutes: u32,
        /// The mission's id [default: derived from the request id] 调派编号
        #[arg(long, value_name = "UUID", alias = "id")]
        mission: Option<uuid::Uuid>,
    },
    /// Give a hold back 释放占用
    Release {
        /// The mission 调派
        mission: String,
    },
    /// Sign a hold: the owner is told to send 签发占用，下令发出
    Order {
        /// The mission 调派
        mission: String,
        /// The approval was spoken; paper is owed 口头批准，事后补办手续
        #[arg(long)]
        spoken: bool,
    },
    /// The paper for a spoken approval has come 补办手续
    ConfirmPaper {
        /// The mission 调派
        mission: String,
    },
    /// The line needs no more 撤回一行
    WithdrawLine {
        /// The request 请求
        request: String,
        /// The line, from 1 行号
        #[arg(long)]
        line: u32,
    },
    /// Close a request: everything is accounted for 办结
    Close {
        /// The request 请求
        request: String,
    },
}

#[derive(Debug, Args)]
struct RequestArgs {
    /// What is needed, repeated: 2990101=60:name, team:hazmat=2 需求行：资源=数量[:名称]，可重复
    #[arg(long = "line", required = true, value_name = "RESOURCE=QTY[:NAME]", value_parser = parse::line)]
    lines: Vec<LineAsked>,
    /// For what; no persons 事由（不写个人信息）
    #[arg(long)]
    subject: String,
    /// Whereto 送达地点
    #[arg(long)]
    place: String,
    /// When it is needed: 23:40, +4h, RFC 3339 需要的时刻
    #[arg(long, value_name = "TIME", value_parser = parse::when)]
    needed_by: When,
    /// After this nothing more is taken for it [default: two days after it is asked] 请求有效期至
    #[arg(long, value_name = "TIME", default_value = "+2d", value_parser = parse::when, hide_default_value = true)]
    until: When,
    /// To whom, repeated; nobody named asks everybody 发往，可重复，不写为全体
    #[arg(long = "to", value_name = "CODE", value_parser = parse::municipality)]
    addressed: Vec<String>,
    /// How pressing 紧急程度
    #[arg(long, default_value = "urgent", value_parser = words::PRIORITY.parser())]
    priority: i32,
    /// It belongs to an exercise 演练
    #[arg(long)]
    exercise: bool,
    /// The aid request's id [default: derived from the request id] 请求编号
    #[arg(long, value_name = "UUID")]
    id: Option<uuid::Uuid>,
}

/// A client of the aid service.
pub(super) fn api(client: &Client) -> AidServiceClient<Channel> {
    AidServiceClient::new(client.channel.clone())
}

/// Runs `shouwang aid`.
///
/// # Errors
/// [`Failure`].
pub fn run(args: AidArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| match args.verb {
        Verb::Request(args) => request(client, *args).await,
        Verb::List { requester, state, closed } => list(client, requester, state, closed).await,
        Verb::Show { request } => show(client, request).await,
        Verb::Answer(args) => answer::run(client, *args).await,
        Verb::Take(verb) => take(client, verb).await,
    })
}

async fn request(client: &Client, args: RequestArgs) -> Result<(), Failure> {
    let mut api = api(client);
    carry!(
        client,
        api,
        "aid request",
        request_aid,
        RequestAidRequest {
            region: client.region.clone(),
            aid_request: args.id.map(|id| id.to_string()).unwrap_or_default(),
            subject: args.subject,
            place: args.place,
            priority: args.priority,
            needed_by: Some(client.moment(args.needed_by)),
            expires_at: Some(client.moment(args.until)),
            addressed: args.addressed,
            lines: args.lines,
            exercise: args.exercise,
        }
    )
}

async fn take(client: &Client, verb: Take) -> Result<(), Failure> {
    let mut api = api(client);
    let region = client.region.clone();
    match verb {
        Take::Hold { request, line, pledge, qty, minutes, mission } => {
            let aid_request = client.aid_request(&request).await?;
            let mission = mission.map(|id| id.to_string()).unwrap_or_default();
            carry!(
                client,
                api,
                "aid hold",
                hold,
                HoldRequest { region, mission, aid_request, line, pledge, quantity: qty, minutes }
            )
        }
        Take::Release { mission } => {
            let mission = client.mission(&mission).await?;
            carry!(client, api, "aid release", release_hold, ReleaseHoldRequest { region, mission })
        }
        Take::Order { mission, spoken } => {
            let mission = client.mission(&mission).await?;
            carry!(client, api, "aid order", order, OrderRequest { region, mission, spoken })
        }
        Take::ConfirmPaper { mission } => {
            let mission = client.mission(&mission).await?;
            carry!(client, api, "aid confirm-paper", confirm_paper, ConfirmPaperRequest { region, mission })
        }
        Take::WithdrawLine { request, line } => {
            let aid_request = client.aid_request(&request).await?;
            carry!(client, api, "aid withdraw-line", withdraw_line, WithdrawLineRequest { region, aid_request, line })
        }
        Take::Close { request } => {
            let aid_request = client.aid_request(&request).await?;
            carry!(client, api, "aid close", close_request, CloseRequestRequest { region, aid_request })
        }
    }
}

async fn list(
    client: &Client,
    requester: Option<String>,
    state: Option<i32>,
    show_closed: bool,
) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("请求", "REQUEST"),
        ("业务编号", "NUMBER"),
        ("请求方", "FROM"),
        ("紧急程度", "PRIORITY"),
        ("行", "LINE"),
        ("资源", "RESOURCE"),
        ("名称", "NAME"),
        ("需求", "ASKED"),
        ("占用", "HELD"),
        ("落实", "COMMITTED"),
        ("发出", "SENT"),
        ("到位", "ARRIVED"),
        ("状态", "STATE"),
        ("需要时刻", "NEEDED"),
    ];
    let query = ListRequestsRequest {
        region: client.region.clone(),
        page_size: PAGE,
        linearizable: client.linearizable,
        requester: requester.unwrap_or_default(),
        state: state.unwrap_or_default(),
        show_closed,
        ..ListRequestsRequest::default()
    };
    let mut api = api(client);
    let answer = client
        .all(async |page_token| {
            api.list_requests(client.request(ListRequestsRequest { page_token, ..query.clone() })).await
        })
        .await?;
    let rows: Vec<_> = answer
        .requests
        .iter()
        .flat_map(|request| request.lines.iter().map(move |line| (request, line)))
        .map(|(request, line)| {
            let head = [
                id(&request.name),
                dash(&request.number),
                request.requester.clone(),
                words::PRIORITY.get(request.priority, client.lang),
            ];
            head.into_iter().chain(line_cells(client, line)).chain([time(request.needed_by)]).collect()
        })
        .collect();
    client.list(&answer, HEADS, &rows)
}

fn line_cells(client: &Client, line: &RequestLine) -> Vec<String> {
    vec![
        line.line.to_string(),
        resource(line.resource.as_ref()),
        line.title.clone(),
        line.quantity.to_string(),
        line.held.to_string(),
        line.committed.to_string(),
        line.dispatched.to_string(),
        line.received.to_string(),
        words::LINE_STATE.get(line.state, client.lang),
    ]
}

async fn show(client: &Client, name: String) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("行", "LINE"),
        ("资源", "RESOURCE"),
        ("名称", "NAME"),
        ("需求", "ASKED"),
        ("占用", "HELD"),
        ("落实", "COMMITTED"),
        ("发出", "SENT"),
        ("到位", "ARRIVED"),
        ("状态", "STATE"),
        ("调派", "MISSIONS"),
        ("答复", "ANSWERS"),
    ];
    let query = GetRequestRequest { region: client.region.clone(), name, linearizable: client.linearizable };
    let answer = client.done(api(client).get_request(client.request(query)).await)?;
    let request = answer.aid_request.clone().unwrap_or_default();
    if client.output == Format::Table {
        text_out(&head(client, &request))?;
    }
    let row = |line: &RequestLine| {
        let missions: Vec<_> = line.missions.iter().map(|mission| id(mission)).collect();
        let answers: Vec<_> = line.answers.iter().map(|answer| answer_cell(client, answer)).collect();
        let mut cells = line_cells(client, line);
        cells.push(dash(&missions.join(" ")));
        cells.push(dash(&answers.join("; ")));
        cells
    };
    let rows: Vec<_> = request.lines.iter().map(row).collect();
    client.show(&answer, HEADS, &rows)?;
    client.age(answer.as_of.as_ref());
    Ok(())
}

/// What stands above the lines of a request.
fn head(client: &Client, request: &AidRequest) -> String {
    let clean = super::text::clean;
    let (subject, place) = (clean(&request.subject), clean(&request.place));
    let (needed, until) = (time(request.needed_by), time(request.expires_at));
    let to = if request.addressed.is_empty() {
        client.lang.pick("全体", "all").to_owned()
    } else {
        request.addressed.join(" ")
    };
    let closed = request.closed_at.map(|at| format!(" ✓ {}", time(Some(at)))).unwrap_or_default();
    let exercise =
        if request.exercise { client.lang.pick("【演练】", "[exercise] ").to_owned() } else { String::new() };
    let (name, number, from) = (id(&request.name), dash(&request.number), &request.requester);
    let priority = words::PRIORITY.get(request.priority, client.lang);
    client.lang.pick(
        format!("{exercise}{number}（{name}）{from} → {to} {priority}{closed}\n{subject}；送至 {place}；{needed} 前需要，有效至 {until}\n"),
        format!(
            "{exercise}{number} ({name}) {from} → {to} {priority}{closed}\n{subject}; to {place}; needed by {needed}, \
             stands until {until}\n"
        ),
    )
}

fn answer_cell(client: &Client, answer: &Answer) -> String {
    let mut cell = vec![answer.member.clone(), words::ANSWER_KIND.get(answer.kind, client.lang)];
    if answer.quantity > 0 {
        cell.push(answer.quantity.to_string());
    }
    if !answer.reason.is_empty() {
        cell.push(format!("({})", answer.reason));
    }
    if answer.cost_fen != 0 {
        cell.push(format!("¥{}", yuan(answer.cost_fen)));
    }
    if answer.eta.is_some() {
        cell.push(format!("ETA {}", time(answer.eta)));
    }
    cell.join(" ")
}
