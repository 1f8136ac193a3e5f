//! The picture on a terminal.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prost_types::Timestamp;
use shouwang_proto::v1::{
    Discrepancy, GetSituationResponse, LineState, MemberFigure, Obligation, RequestLine, SituationMember,
    SituationMission, SituationRequest, SituationResource, Touch,
};

use super::layout::{self, Cut, Line, List, Screen, Style};
use crate::cli::text::{clean, span};
use crate::cli::words::{self, dash, figure, id, resource, short_time, time, yuan};
use crate::lang::Lang;

/// A picture, and how old it is by now.
pub(super) struct Picture<'a> {
    /// As the node gave it.
    pub answer: &'a GetSituationResponse,
    /// How long ago that was.
    pub age: Duration,
    /// Why no newer one has come, if that is so.
    pub trouble: Option<&'a str>,
}

/// The picture on one screen: at most `screen.height` lines, each at most `screen.width` columns wide and ended by a
/// line feed; of each list at most `rows` rows. Made for 80 to 200 columns; smaller screens show less and say so.
pub(super) fn render(picture: &Picture<'_>, lang: Lang, screen: Screen, rows: usize) -> String {
    let answer = picture.answer;
    let titles = answer.members.iter().map(|member| (member.code.as_str(), member.title.as_str())).collect();
    let taken = answer.taken_at.map_or(0, |at| at.seconds);
    let now = taken.saturating_add(i64::try_from(picture.age.as_secs()).unwrap_or(i64::MAX));
    let view = View { picture, answer, lang, titles, now };
    let mut lists = vec![
        view.members(),
        view.missions(),
        view.requests(),
        view.resources(),
        view.discrepancies(),
        view.obligations(),
    ];
    for list in &mut lists {
        let more = list.rows.len().saturating_sub(rows);
        list.rows.truncate(rows);
        list.more += more as u64;
    }
    layout::compose(view.head(), &lists, lang, screen)
}

struct View<'a> {
    picture: &'a Picture<'a>,
    answer: &'a GetSituationResponse,
    lang: Lang,
    titles: BTreeMap<&'a str, &'a str>,
    /// Now by the clock of the node that took the picture, in seconds since 1970.
    now: i64,
}

impl View<'_> {
    fn member(&self, code: &str) -> String {
        self.titles.get(code).copied().filter(|title| !title.is_empty()).unwrap_or(code).to_owned()
    }

    /// For how long something has been so, never negative: another node's clock may be ahead.
    fn since(&self, at: Option<Timestamp>) -> String {
        at.map_or_else(|| "-".to_owned(), |at| span(self.now.saturating_sub(at.seconds).max(0), self.lang))
    }

    fn ago(&self, at: Option<Timestamp>) -> String {
        let since = self.since(at);
        if at.is_none() { since } else { self.lang.pick(format!("{since}前"), format!("{since} ago")) }
    }

    fn is_past(&self, at: Option<Timestamp>) -> bool {
        at.is_some_and(|at| at.seconds < self.now)
    }

    /// A picture that is no longer renewed knows of nobody whether he is in touch now.
    fn touch(&self, member: &SituationMember) -> Touch {
        if self.picture.trouble.is_some() { Touch::Unknown } else { member.touch() }
    }

    fn head(&self) -> Vec<Line> {
        let (answer, as_of) = (self.answer, self.answer.as_of.clone().unwrap_or_default());
        let exercise = if answer.exercise { self.lang.pick("【演练】", "[EXERCISE] ") } else { "" };
        let (title, revision, at, last) = (&answer.title, as_of.revision, time(answer.taken_at), self.ago(as_of.at));
        let title = self.lang.pick(
            format!("{exercise}{title} · {at} · 版本 {revision}（{last}）"),
            format!("{exercise}{title} · {at} · revision {revision} ({last})"),
        );
        let heard = answer.members.iter().filter(|member| self.touch(member) == Touch::InTouch).count();
        let (node, leader, of) = (dash(&answer.node), dash(&answer.leader), answer.members.len());
        let lines = self.lang.pick(
            format!("本节点 {node} · 日志主节点 {leader} · 成员在线 {heard}/{of}"),
            format!("this node {node} · log leader {leader} · members in touch {heard}/{of}"),
        );
        let mut head = vec![Line::new(clean(&title), Style::Title), Line::new(clean(&lines), Style::Plain)];
        let banner = |text: String| Line::new(clean(&format!("!! {text} !!")), Style::Banner);
        // What a node that does not answer said of its own line is no news any more.
        head.extend(self.trouble().or_else(|| self.cut_off()).map(banner));
        head
    }

    /// The terminal cannot reach its node.
    fn trouble(&self) -> Option<String> {
        let why = self.picture.trouble?;
        let age = span(i64::try_from(self.picture.age.as_secs()).unwrap_or(i64::MAX), self.lang);
        Some(self.lang.pick(
            format!("联系不上本节点，以下为 {age} 前的画面（{why}）"),
            format!("this node does not answer; the picture is {age} old ({why})"),
        ))
    }

    /// The node cannot speak for the region. The first sentence is what domain.md §6.18 asks for.
    fn cut_off(&self) -> Option<String> {
        let as_of = self.answer.as_of.as_ref().filter(|as_of| !as_of.in_touch)?;
        let silent = i64::try_from(as_of.stale_ms / 1000).unwrap_or(i64::MAX);
        let age = span(silent.saturating_add(i64::try_from(self.picture.age.as_secs()).unwrap_or(0)), self.lang);
        Some(self.lang.pick(
            format!("与区域断开，仅可动用本地储备 · 已失联 {age}，以下为此前的画面"),
            format!(
                "cut off from the region: only local stock can be used · no quorum for {age}; what follows is older"
            ),
        ))
    }

    fn members(&self) -> List {
        let mut members: Vec<&SituationMember> = self.answer.members.iter().collect();
        let order = [Touch::OutOfTouch, Touch::Unknown, Touch::Unspecified, Touch::InTouch];
        members.sort_by_key(|member| order.iter().position(|touch| *touch == self.touch(member)));
        let is_own = |member: &SituationMember| self.answer.node.starts_with(&format!("{}/", member.code));
        let row = |member: &&SituationMember| {
            let (touch, own) = (self.touch(member), is_own(member));
            let told = if own && touch == Touch::OutOfTouch {
                self.lang.pick("断开", "cut off").to_owned()
            } else {
                words::TOUCH.get(touch.into(), self.lang)
            };
            let cells = vec![
                member.code.clone(),
                member.title.clone(),
                told,
                self.ago(member.last_heard),
                if own { self.lang.pick("本节点", "this node").to_owned() } else { self.heard_by(member) },
                self.standing(member),
                format!("{}/{}", member.nodes, member.voters),
                if member.waiting > 0 { member.waiting.to_string() } else { String::new() },
            ];
            (cells, touch == Touch::OutOfTouch)
        };
        let count = |touch| members.iter().filter(|member| !is_own(member) && self.touch(member) == touch).count();
        let (silent, unknown) = (count(Touch::OutOfTouch), count(Touch::Unknown));
        let mut title = format!("{} {}", self.lang.pick("成员", "Members"), members.len());
        if silent > 0 {
            title += &self.lang.pick(format!(" · 失联 {silent}"), format!(" · {silent} out of touch"));
        }
        if unknown > 0 {
            title += &self.lang.pick(format!(" · 未知 {unknown}"), format!(" · {unknown} unknown"));
        }
        List {
            title,
            columns: vec![
                (self.lang.pick("代码", "CODE"), Cut::Never),
                (self.lang.pick("名称", "NAME"), Cut::End),
                (self.lang.pick("联系", "TOUCH"), Cut::Never),
                (self.lang.pick("最近听到", "LAST HEARD"), Cut::Never),
                (self.lang.pick("由谁听到", "BY"), Cut::End),
                (self.lang.pick("身份", "STANDING"), Cut::Drop),
                (self.lang.pick("节点/投票", "NODES/VOTES"), Cut::Drop),
                (self.lang.pick("待收", "WAITING"), Cut::Drop),
            ],
            rows: members.iter().map(row).collect(),
            more: 0,
        }
    }

    fn heard_by(&self, member: &SituationMember) -> String {
        let (by, answer) = (&member.heard_by, self.answer);
        if by.is_empty() {
            "-".to_owned()
        } else if *by == answer.node {
            self.lang.pick("本节点", "this node").to_owned()
        } else if *by == answer.leader {
            self.lang.pick(format!("主节点 {by}"), format!("leader {by}"))
        } else {
            self.lang.pick(format!("原主节点 {by}"), format!("former leader {by}"))
        }
    }

    fn standing(&self, member: &SituationMember) -> String {
        let mut standing = words::STANDING.get(member.standing, self.lang);
        if member.hub {
            standing += self.lang.pick("·中心", ", hub");
        }
        if member.leads {
            standing += self.lang.pick("·主", ", leads");
        }
        standing
    }

    fn missions(&self) -> List {
        let answer = self.answer;
        let late = answer.missions.iter().filter(|mission| mission.late).count();
        let mut title = format!("{} {}", self.lang.pick("在途调派", "Missions under way"), answer.missions_under_way);
        if late > 0 {
            title += &self.lang.pick(format!(" · 逾期 {late}"), format!(" · {late} late"));
        }
        let row = |mission: &SituationMission| {
            let cells = vec![
                dash(&mission.number),
                format!("{}→{}", self.member(&mission.holder), self.member(&mission.requester)),
                mission.title.clone(),
                format!("{}{}", mission.quantity, mission.unit),
                words::MISSION_STATE.get(mission.state, self.lang),
                self.since(mission.since),
                short_time(mission.eta),
                short_time(mission.needed_by),
                self.flags(mission),
            ];
            (cells, mission.late)
        };
        List {
            title,
            columns: vec![
                (self.lang.pick("编号", "NUMBER"), Cut::Front),
                (self.lang.pick("路线", "ROUTE"), Cut::End),
                (self.lang.pick("内容", "WHAT"), Cut::End),
                (self.lang.pick("数量", "QTY"), Cut::Never),
                (self.lang.pick("状态", "STATE"), Cut::Never),
                (self.lang.pick("已历时", "FOR"), Cut::Never),
                (self.lang.pick("预计到", "ETA"), Cut::Drop),
                (self.lang.pick("需于", "NEEDED"), Cut::Drop),
                (self.lang.pick("标记", "FLAGS"), Cut::End),
            ],
            rows: answer.missions.iter().map(row).collect(),
            more: u64::from(answer.missions_under_way).saturating_sub(answer.missions.len() as u64),
        }
    }

    fn flags(&self, mission: &SituationMission) -> String {
        let paper_late = self.is_past(mission.paper_due);
        let flags = [
            (mission.late, "逾期", "late"),
            (mission.recalled, "召回", "recalled"),
            (mission.relayed.is_some(), "电话通报", "by phone"),
            (mission.hold_until.is_some(), "待签", "unsigned"),
            (paper_late, "欠补手续", "paper late"),
            (mission.paper_due.is_some() && !paper_late, "待补手续", "paper due"),
        ];
        let set: Vec<&str> =
            flags.into_iter().filter(|(set, ..)| *set).map(|(_, zh, en)| self.lang.pick(zh, en)).collect();
        set.join(self.lang.pick("、", ", "))
    }

    fn requests(&self) -> List {
        let answer = self.answer;
        let counts = |count: &shouwang_proto::v1::LineCount| {
            format!("{} {}", words::LINE_STATE.get(count.state, self.lang), count.lines)
        };
        let lines = answer.lines.iter().map(counts).collect::<Vec<_>>().join(" · ");
        let (open, closed) = (answer.requests_open, answer.requests_closed);
        let mut title = self.lang.pick(format!("支援请求未结 {open} 份"), format!("Aid requests open: {open}"));
        if !lines.is_empty() {
            title += &self.lang.pick(format!("（需求行：{lines}）"), format!(" (lines: {lines})"));
        }
        if closed > 0 {
            title += &self.lang.pick(format!("，已办结 {closed} 份"), format!(", closed: {closed}"));
        }
        let rows = answer.requests.iter().flat_map(|request| {
            request.lines.iter().map(move |line| (self.request_line(request, line), self.is_wanting(request, line)))
        });
        let shown = answer.requests.len() as u64;
        List {
            title,
            columns: vec![
                (self.lang.pick("编号-行", "NUMBER-LINE"), Cut::Front),
                (self.lang.pick("请求方", "FROM"), Cut::End),
                (self.lang.pick("紧急", "PRIORITY"), Cut::Drop),
                (self.lang.pick("需求", "NEED"), Cut::End),
                (self.lang.pick("需", "ASK"), Cut::Never),
                (self.lang.pick("落实", "COM"), Cut::Never),
                (self.lang.pick("发", "SENT"), Cut::Never),
                (self.lang.pick("到", "GOT"), Cut::Never),
                (self.lang.pick("状态", "STATE"), Cut::Never),
                (self.lang.pick("需于", "NEEDED"), Cut::Never),
                (self.lang.pick("婉拒", "DECLINED"), Cut::Drop),
                (self.lang.pick("事由", "SUBJECT"), Cut::Drop),
            ],
            rows: rows.collect(),
            more: u64::from(answer.requests_open).saturating_sub(shown),
        }
    }

    fn request_line(&self, request: &SituationRequest, line: &RequestLine) -> Vec<String> {
        let number = if request.number.is_empty() { id(&request.name) } else { request.number.clone() };
        let mut cells = vec![
            format!("{number}-{}", line.line),
            self.member(&request.requester),
            words::PRIORITY.get(request.priority, self.lang),
            line.title.clone(),
        ];
        cells.extend([line.quantity, line.committed, line.dispatched, line.received].map(|qty| qty.to_string()));
        cells.push(words::LINE_STATE.get(line.state, self.lang));
        cells.push(short_time(request.needed_by));
        cells.push(if line.declined > 0 { line.declined.to_string() } else { String::new() });
        cells.push(request.subject.clone());
        cells
    }

    /// Needed by now, and not everything has arrived.
    fn is_wanting(&self, request: &SituationRequest, line: &RequestLine) -> bool {
        let waits = !matches!(line.state(), LineState::Withdrawn | LineState::Expired | LineState::Closed);
        waits && self.is_past(request.needed_by) && line.received < line.quantity
    }

    /// What is overdrawn first, then what is asked for now, then what is promised.
    fn resources(&self) -> List {
        let asked: BTreeSet<String> = self
            .answer
            .requests
            .iter()
            .flat_map(|request| &request.lines)
            .map(|line| resource(line.resource.as_ref()))
            .collect();
        let mut all: Vec<&SituationResource> = self.answer.resources.iter().collect();
        let overdrawn =
            |of: &SituationResource| of.members.iter().map(|member| member.overdrawn).fold(0, u64::saturating_add);
        all.sort_by_key(|of| {
            let wanted = asked.contains(&resource(of.resource.as_ref()));
            (Reverse(overdrawn(of) > 0), Reverse(wanted), Reverse(of.pledged > 0))
        });
        let row = |of: &&SituationResource| {
            let more = if of.published_more { "+" } else { "" };
            let over = overdrawn(of);
            let cells = vec![
                resource(of.resource.as_ref()),
                of.title.clone(),
                of.unit.clone(),
                format!("{}{more}", of.published),
                of.pledged.to_string(),
                of.held.to_string(),
                of.free.to_string(),
                if over > 0 { over.to_string() } else { String::new() },
                of.members.iter().map(|member| self.by_member(member)).collect::<Vec<_>>().join("  "),
            ];
            (cells, over > 0)
        };
        List {
            title: format!("{} {}", self.lang.pick("可用与承诺", "Available and pledged"), all.len()),
            columns: vec![
                (self.lang.pick("资源", "RESOURCE"), Cut::Drop),
                (self.lang.pick("名称", "NAME"), Cut::End),
                (self.lang.pick("单位", "UNIT"), Cut::Never),
                (self.lang.pick("已发布", "PUBLISHED"), Cut::Never),
                (self.lang.pick("承诺", "PLEDGED"), Cut::Never),
                (self.lang.pick("已占用", "HELD"), Cut::Never),
                (self.lang.pick("可占用", "FREE"), Cut::Never),
                (self.lang.pick("透支", "OVER"), Cut::Drop),
                (self.lang.pick("各成员：发布/可占用", "BY MEMBER: PUBLISHED/FREE"), Cut::End),
            ],
            rows: all.iter().map(row).collect(),
            more: 0,
        }
    }

    fn by_member(&self, of: &MemberFigure) -> String {
        let published = figure(of.published.as_ref(), self.lang);
        let over = if of.overdrawn > 0 { format!("!{}", of.overdrawn) } else { String::new() };
        format!("{} {published}/{}{over}", self.member(&of.member), of.free)
    }

    fn discrepancies(&self) -> List {
        let answer = self.answer;
        let row = |known: &Discrepancy| {
            let next = if known.proposed.is_some() {
                self.lang.pick("待对方确认", "waits for the other side")
            } else {
                self.lang.pick("待提出认定", "waits for a proposal")
            };
            let cells = vec![
                if known.number.is_empty() { id(&known.mission) } else { known.number.clone() },
                words::DISCREPANCY_KIND.get(known.kind, self.lang),
                known.quantity.to_string(),
                self.member(&known.reported_by),
                self.ago(known.opened_at),
                next.to_owned(),
            ];
            (cells, false)
        };
        List {
            title: format!("{} {}", self.lang.pick("未关闭差异", "Discrepancies open"), answer.discrepancies_open),
            columns: vec![
                (self.lang.pick("调派", "MISSION"), Cut::Front),
                (self.lang.pick("差异", "WHAT"), Cut::End),
                (self.lang.pick("数量", "QTY"), Cut::Never),
                (self.lang.pick("报告方", "REPORTED BY"), Cut::End),
                (self.lang.pick("自", "SINCE"), Cut::Never),
                (self.lang.pick("处理", "NEXT"), Cut::Drop),
            ],
            rows: answer.discrepancies.iter().map(row).collect(),
            more: u64::from(answer.discrepancies_open).saturating_sub(answer.discrepancies.len() as u64),
        }
    }

    fn obligations(&self) -> List {
        let answer = self.answer;
        let row = |debt: &Obligation| {
            let goods = debt.kind() == shouwang_proto::v1::DebtKind::Goods && !debt.in_money;
            let owed = if goods {
                format!("{} {}/{}{}", debt.title, debt.accepted, debt.quantity, debt.unit)
            } else {
                self.lang.pick(format!("{} 元", yuan(debt.amount_fen)), format!("CNY {}", yuan(debt.amount_fen)))
            };
            let cells = vec![
                if debt.number.is_empty() { id(&debt.mission) } else { debt.number.clone() },
                format!("{}→{}", self.member(&debt.debtor), self.member(&debt.creditor)),
                words::DEBT_KIND.get(debt.kind, self.lang),
                owed,
                words::OBLIGATION_STATE.get(debt.state, self.lang),
                self.ago(debt.opened_at),
            ];
            (cells, false)
        };
        List {
            title: format!("{} {}", self.lang.pick("未结补偿义务", "Obligations open"), answer.obligations_open),
            columns: vec![
                (self.lang.pick("调派", "MISSION"), Cut::Front),
                (self.lang.pick("欠方→应收方", "DEBTOR→CREDITOR"), Cut::End),
                (self.lang.pick("类别", "KIND"), Cut::Drop),
                (self.lang.pick("已补/应补", "RESTOCKED/OWED"), Cut::End),
                (self.lang.pick("状态", "STATE"), Cut::Never),
                (self.lang.pick("自", "SINCE"), Cut::Drop),
            ],
            rows: answer.owed.iter().map(row).collect(),
            more: u64::from(answer.obligations_open).saturating_sub(answer.owed.len() as u64),
        }
    }
}
