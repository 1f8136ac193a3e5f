//! `shouwang situation`: one screen of the region, from any node, live if asked; when the line is cut it goes on showing
//! the last picture, with its age, and catches up by itself.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use clap::Args;
use shouwang_proto::v1::region_service_client::RegionServiceClient;
use shouwang_proto::v1::{
    GetSituationRequest, GetSituationResponse, MemberFigure, SituationMember, SituationMission, SituationRequest,
    SituationResource, Touch,
};
use tonic::Status;
use tonic::transport::Channel;

use super::Context;
use super::client::{Client, ClientArgs, failed, failure, with_node};
use super::output::{Format, table, text_out, width};
use super::render::{Canonical, Heads, clean, heads};
use super::watch::passes;
use super::words::{self, dash, figure, id, resource, time, yuan};
use crate::exit::{Exit, Failure};
use crate::lang::Lang;

/// Clears a terminal and puts the cursor at its top.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J\u{1b}[3J";

/// Rows that every list keeps on a small terminal.
const ROWS_MIN: usize = 3;

/// Arguments of `shouwang situation`.
#[derive(Debug, Args)]
pub struct SituationArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Stay, and draw the screen again whenever something has changed 持续刷新
    #[arg(long)]
    watch: bool,
    /// How often to look, seconds 刷新间隔（秒）
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Most rows of each list [default: all; with --watch, what fits] 每个列表最多行数
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// Of the exercise 演练
    #[arg(long)]
    exercise: bool,
}

/// Runs `shouwang situation`.
///
/// # Errors
/// [`Failure`]; with `--watch`, a cut line is waited out.
pub fn run(args: &SituationArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| {
        let mut api = RegionServiceClient::new(client.channel.clone());
        if !args.watch {
            let answer = client.done(look(client, &mut api, args.exercise).await)?;
            return put(client, &screen(client.lang, &answer, args.rows.unwrap_or(usize::MAX)), &answer);
        }
        watch(client, &mut api, args).await
    })
}

async fn look(
    client: &Client,
    api: &mut RegionServiceClient<Channel>,
    exercise: bool,
) -> Result<tonic::Response<GetSituationResponse>, Status> {
    let query = GetSituationRequest { region: client.region.clone(), linearizable: client.linearizable, exercise };
    api.get_situation(client.request(query)).await
}

async fn watch(client: &Client, api: &mut RegionServiceClient<Channel>, args: &SituationArgs) -> Result<(), Failure> {
    let live = client.output == Format::Table && std::io::stdout().is_terminal();
    let mut last: Option<(GetSituationResponse, Instant)> = None;
    loop {
        match look(client, api, args.exercise).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                // On a terminal ages run on; a file takes only what has changed.
                let same = last.as_ref().is_some_and(|(last, _)| revision(last) == revision(&answer));
                if !same || live {
                    put(client, &drawn(client.lang, &answer, args.rows, live, None), &answer)?;
                }
                last = Some((answer, Instant::now()));
            }
            Err(status) if !passes(&status) => return Err(failed(&status, client.lang)),
            Err(status) => {
                let why = clean(status.message());
                let age = last.as_ref().map_or(0, |(_, seen)| seen.elapsed().as_secs());
                let told = client.word(
                    &format!("本节点联系不上（{why}）；以下画面为 {age} 秒前"),
                    &format!("this node cannot be reached ({why}); the picture is {age} s old"),
                );
                match &last {
                    Some((answer, _)) if live => {
                        text_out(&drawn(client.lang, answer, args.rows, live, Some(&told)))?;
                    }
                    _ => eprintln!("{told}"),
                }
            }
        }
        tokio::time::sleep(Duration::from_secs(args.every)).await;
    }
}

/// The screen of `--watch`: on a terminal it takes the place of the one before and is cut to what fits.
fn drawn(lang: Lang, answer: &GetSituationResponse, rows: Option<usize>, live: bool, banner: Option<&str>) -> String {
    let banner = banner.map(|text| format!("{text}\n")).unwrap_or_default();
    if !live {
        return banner + &screen(lang, answer, rows.unwrap_or(usize::MAX));
    }
    fitted(lang, answer, rows, &banner, size())
}

/// A screen cut to `columns` and `lines`, with as many rows of each list as leave no list out.
fn fitted(
    lang: Lang,
    answer: &GetSituationResponse,
    rows: Option<usize>,
    banner: &str,
    (columns, lines): (usize, usize),
) -> String {
    // The last line stays free, so that the terminal does not roll.
    let lines = lines.saturating_sub(1);
    let whole = |rows| format!("{banner}{}", screen(lang, answer, rows));
    let fitting = || (ROWS_MIN..=lines).rev().map(whole).find(|text| text.lines().count() <= lines);
    let text = rows.map(whole).or_else(fitting).unwrap_or_else(|| whole(ROWS_MIN));
    let shown: Vec<String> = text.lines().take(lines).map(|line| clip(line, columns)).collect();
    format!("{CLEAR}{}\n", shown.join("\n"))
}

/// Columns and lines of the terminal; the usual ones where it does not say.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

/// A line cut to so many columns, the cut shown by an ellipsis.
fn clip(line: &str, columns: usize) -> String {
    if width(line) <= columns {
        return line.to_owned();
    }
    let mut used = 1;
    let fits = |letter: &char| {
        used += width(letter.encode_utf8(&mut [0; 4]));
        used <= columns
    };
    line.chars().take_while(fits).chain(['…']).collect()
}

fn revision(answer: &GetSituationResponse) -> u64 {
    answer.as_of.as_ref().map_or(0, |as_of| as_of.revision)
}

/// Writes the screen, or the message (JSON: one object per line, for a stream of them).
fn put(client: &Client, screen: &str, answer: &GetSituationResponse) -> Result<(), Failure> {
    let unwritable = |error: &dyn std::fmt::Display| failure(Exit::Failure, "OUTPUT", error, error);
    match client.output {
        Format::Table => text_out(screen),
        Format::Json => {
            let json = serde_json::to_string(&Canonical::of(answer)?).map_err(|error| unwritable(&error))?;
            text_out(&(json + "\n"))
        }
        Format::Yaml => {
            let yaml = serde_yaml_ng::to_string(&Canonical::of(answer)?).map_err(|error| unwritable(&error))?;
            text_out(&format!("---\n{yaml}"))
        }
    }
}

/// A span of time as people say it.
fn span(seconds: i64, lang: Lang) -> String {
    let zh = lang == Lang::Zh;
    match seconds.max(0) {
        s @ 0..60 => format!("{s}{}", if zh { "秒" } else { " s" }),
        s @ 60..3_600 => format!("{}{}", s / 60, if zh { "分" } else { " min" }),
        s @ 3_600..172_800 => format!("{}{}{:02}", s / 3_600, if zh { "时" } else { " h " }, s / 60 % 60),
        s => format!("{}{}", s / 86_400, if zh { "天" } else { " d" }),
    }
}

/// The whole screen.
fn screen(lang: Lang, answer: &GetSituationResponse, rows: usize) -> String {
    let view = View { lang, rows };
    let mut text = String::new();
    let as_of = answer.as_of.clone().unwrap_or_default();
    let title = clean(&answer.title);
    let at = time(as_of.at);
    // Writing to a String cannot fail.
    let _ = match lang {
        Lang::Zh => writeln!(text, "{title} · 版本 {} · 截至 {at}", as_of.revision),
        Lang::En => writeln!(text, "{title} · revision {} · as of {at}", as_of.revision),
    };
    if !as_of.in_touch {
        let seconds = i64::try_from(as_of.stale_ms / 1000).unwrap_or(i64::MAX);
        let age = span(seconds, lang);
        let _ = match lang {
            Lang::Zh => writeln!(text, "与区域断开，仅可动用本地储备 · 已失联 {age}，以下为此前的画面"),
            Lang::En => writeln!(
                text,
                "cut off from the region: only local stock can be used · no quorum for {age}; what follows is older"
            ),
        };
    }
    text += &view.members(&answer.members);
    text += &view.resources(&answer.resources);
    text += &view.requests(answer);
    text += &view.missions(answer);
    text += &view.debts(answer);
    text
}

/// How to show the lists.
struct View {
    lang: Lang,
    rows: usize,
}

impl View {
    fn word<'a>(&self, zh: &'a str, en: &'a str) -> &'a str {
        if self.lang == Lang::Zh { zh } else { en }
    }

    /// A headed list, cut to what fits, saying what it leaves out.
    fn list(&self, title: &str, head: &Heads, cells: &[Vec<String>], of: usize) -> String {
        if cells.is_empty() {
            return String::new();
        }
        let shown: Vec<Vec<String>> =
            cells.iter().take(self.rows).map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
        let mut text = format!("\n── {title}\n{}", table(&heads(head, self.lang), &shown));
        let more = of.saturating_sub(shown.len());
        if more > 0 {
            let told = if self.lang == Lang::Zh {
                format!("… 另有 {more} 行\n")
            } else {
                format!("… and {more} more\n")
            };
            text += &told;
        }
        text
    }

    fn members(&self, members: &[SituationMember]) -> String {
        const HEADS: &Heads = &[
            ("成员", "MEMBER"),
            ("名称", "NAME"),
            ("身份", "STANDING"),
            ("联系", "TOUCH"),
            ("最近联系", "LAST HEARD"),
            ("节点/投票", "NODES/VOTERS"),
            ("待收", "WAITING"),
        ];
        let row = |member: &SituationMember| {
            let touch = match member.touch() {
                Touch::InTouch => self.word("在线", "in touch"),
                Touch::OutOfTouch => self.word("失联", "OUT OF TOUCH"),
                Touch::Unknown | Touch::Unspecified => self.word("未知", "unknown"),
            };
            let mut standing = words::STANDING.get(member.standing, self.lang);
            if member.hub {
                standing += self.word("·中心", ", hub");
            }
            if member.leads {
                standing += self.word("·主", ", leads");
            }
            vec![
                member.code.clone(),
                member.title.clone(),
                standing,
                touch.to_owned(),
                time(member.last_heard),
                format!("{}/{}", member.nodes, member.voters),
                member.waiting.to_string(),
            ]
        };
        self.list(self.word("成员", "Members"), HEADS, &members.iter().map(row).collect::<Vec<_>>(), members.len())
    }

    fn resources(&self, resources: &[SituationResource]) -> String {
        const HEADS: &Heads = &[
            ("资源", "RESOURCE"),
            ("名称", "NAME"),
            ("已发布", "PUBLISHED"),
            ("承诺", "PLEDGED"),
            ("可占用", "FREE"),
            ("已占用", "HELD"),
            ("各成员：发布/可占用", "BY MEMBER: PUBLISHED/FREE"),
        ];
        let by_member = |of: &MemberFigure| {
            let published = figure(of.published.as_ref(), self.lang);
            let over = if of.overdrawn > 0 { format!("!{}", of.overdrawn) } else { String::new() };
            format!("{} {published}/{}{over}", of.member, of.free)
        };
        let row = |of: &SituationResource| {
            let more = if of.published_more { "+" } else { "" };
            vec![
                resource(of.resource.as_ref()),
                of.title.clone(),
                format!("{}{more} {}", of.published, of.unit),
                of.pledged.to_string(),
                of.free.to_string(),
                of.held.to_string(),
                of.members.iter().map(by_member).collect::<Vec<_>>().join("  "),
            ]
        };
        let title = self.word("可用与承诺", "Available and pledged");
        self.list(title, HEADS, &resources.iter().map(row).collect::<Vec<_>>(), resources.len())
    }

    fn requests(&self, answer: &GetSituationResponse) -> String {
        const HEADS: &Heads = &[
            ("业务编号", "NUMBER"),
            ("请求方", "FROM"),
            ("紧急程度", "PRIORITY"),
            ("需求", "NEED"),
            ("需/占/落/发/到", "ASKED/HELD/COMMITTED/SENT/ARRIVED"),
            ("状态", "STATE"),
            ("需要时刻", "NEEDED"),
            ("事由", "SUBJECT"),
        ];
        let states = answer
            .lines
            .iter()
            .map(|count| format!("{} {}", words::LINE_STATE.get(count.state, self.lang), count.lines));
        let states = states.collect::<Vec<_>>().join(" · ");
        let open = answer.requests_open;
        let title = if self.lang == Lang::Zh {
            format!("支援请求 {open} 份（{states}）")
        } else {
            format!("Requests open: {open} ({states})")
        };
        let rows_of = |request: &SituationRequest| {
            let number = if request.number.is_empty() { id(&request.name) } else { request.number.clone() };
            let row = |line: &shouwang_proto::v1::RequestLine| {
                let figures = [line.quantity, line.held, line.committed, line.dispatched, line.received];
                vec![
                    number.clone(),
                    request.requester.clone(),
                    words::PRIORITY.get(request.priority, self.lang),
                    line.title.clone(),
                    figures.map(|figure| figure.to_string()).join("/"),
                    words::LINE_STATE.get(line.state, self.lang),
                    time(request.needed_by),
                    request.subject.clone(),
                ]
            };
            request.lines.iter().map(row).collect::<Vec<_>>()
        };
        let rows: Vec<_> = answer.requests.iter().flat_map(rows_of).collect();
        let of = rows.len();
        self.list(&title, HEADS, &rows, of)
    }

    fn missions(&self, answer: &GetSituationResponse) -> String {
        const HEADS: &Heads = &[
            ("业务编号", "NUMBER"),
            ("状态", "STATE"),
            ("已历时", "FOR"),
            ("物资", "GOODS"),
            ("数量", "QTY"),
            ("路线", "WAY"),
            ("预计到达", "ETA"),
            ("需要时刻", "NEEDED"),
            ("", ""),
        ];
        let row = |mission: &SituationMission| {
            let late = if mission.late { self.word("迟", "LATE") } else { "" };
            vec![
                dash(&mission.number),
                words::MISSION_STATE.get(mission.state, self.lang),
                mission.age.as_ref().map_or_else(|| "-".to_owned(), |age| span(age.seconds, self.lang)),
                mission.title.clone(),
                format!("{} {}", mission.quantity, mission.unit),
                format!("{} → {} {}", mission.holder, mission.requester, mission.place),
                time(mission.eta),
                time(mission.needed_by),
                late.to_owned(),
            ]
        };
        let under_way = usize::try_from(answer.missions_under_way).unwrap_or(usize::MAX);
        let title = format!("{} {under_way}", self.word("在途调派", "Missions under way:"));
        self.list(&title, HEADS, &answer.missions.iter().map(row).collect::<Vec<_>>(), under_way)
    }

    fn debts(&self, answer: &GetSituationResponse) -> String {
        const HEADS: &Heads = &[
            ("欠方", "DEBTOR"),
            ("应收方", "CREDITOR"),
            ("未结", "OPEN"),
            ("待补数量", "UNITS OPEN"),
            ("未结金额(元)", "YUAN OPEN"),
        ];
        let pairs = answer.obligations.iter().filter(|pair| pair.open > 0);
        let rows: Vec<Vec<String>> = pairs
            .map(|pair| {
                vec![
                    pair.debtor.clone(),
                    pair.creditor.clone(),
                    pair.open.to_string(),
                    pair.quantity_open.to_string(),
                    yuan(pair.amount_open_fen),
                ]
            })
            .collect();
        let (owed, open, of) = (answer.obligations_open, answer.discrepancies_open, rows.len());
        let title = if self.lang == Lang::Zh {
            format!("补偿义务未结 {owed}，差异未关闭 {open}")
        } else {
            format!("Obligations open: {owed}, discrepancies open: {open}")
        };
        let list = self.list(&title, HEADS, &rows, of);
        // With nothing owed the two counts still belong on the screen.
        if list.is_empty() { format!("\n── {title}\n") } else { list }
    }
}

#[cfg(test)]
#[path = "situation_tests.rs"]
mod tests;
