//! The picture on a terminal.

use std::collections::BTreeMap;

use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::time::Timestamp;

use super::layout::{self, Cut, Line, List, Style};
use super::{Board, MemberLine, MissionLine, Screen, Situation, StockLine};
use crate::documents::region_words::{clean, pick, short_time, span, yuan};
use crate::lang::Lang;

impl Situation {
    /// The picture on one screen: at most `screen.height` lines, each at most `screen.width` columns wide and ended by
    /// a line feed. Made for 80 to 200 columns; smaller screens show less and say so.
    pub fn render(&self, lang: Lang, screen: Screen) -> String {
        let view = View { situation: self, lang, names: self.names() };
        let mut lists = view.lists(&self.actual, "");
        if !self.exercise.is_empty() {
            let mark = pick(lang, "【演练】", "[EXERCISE] ");
            lists.extend(view.lists(&self.exercise, mark).into_iter().filter(|list| !list.rows.is_empty()));
        }
        layout::compose(view.head(screen), &lists, lang, screen)
    }

    fn names(&self) -> BTreeMap<MunicipalityCode, &str> {
        self.members.iter().map(|member| (member.code, member.name.as_str())).collect()
    }

    /// What to say when this node cannot speak for the region: nothing while it is in touch. The first sentence is what
    /// domain.md §6.18 asks for.
    pub fn banner(&self, lang: Lang) -> Option<String> {
        if self.in_touch {
            return None;
        }
        let cut_off =
            pick(lang, "与区域断开，仅可动用本地储备", "cut off from the region: only local stock can be used");
        let stale = match (self.silent_ms, lang) {
            (Some(ms), Lang::Zh) => format!("已失联 {}，以下为此前的画面", millis(ms, lang)),
            (Some(ms), Lang::En) => format!("nobody heard for {}; what follows is older than that", millis(ms, lang)),
            (None, Lang::Zh) => format!("启动后未联系上任何成员，以下为 {} 前的画面", self.record_age(lang)),
            (None, Lang::En) => format!("nobody heard since the start; what follows is {} old", self.record_age(lang)),
        };
        Some(format!("{cut_off} · {stale}"))
    }

    /// How old the last record is.
    fn record_age(&self, lang: Lang) -> String {
        age(self.now, self.record_time, lang)
    }
}

impl Board {
    fn is_empty(&self) -> bool {
        self.stock.rows.is_empty()
            && self.requests.rows.is_empty()
            && self.missions.rows.is_empty()
            && self.discrepancies.rows.is_empty()
            && self.obligations.rows.is_empty()
    }
}

/// How long ago something was, never negative: another node's clock may be ahead.
fn age(now: Timestamp, at: Timestamp, lang: Lang) -> String {
    span((now.0.saturating_sub(at.0) / 1000).max(0), lang)
}

/// A span of milliseconds in words.
fn millis(ms: u64, lang: Lang) -> String {
    span(i64::try_from(ms / 1000).unwrap_or(i64::MAX), lang)
}

struct View<'a> {
    situation: &'a Situation,
    lang: Lang,
    names: BTreeMap<MunicipalityCode, &'a str>,
}

impl View<'_> {
    fn pick(&self, zh: &'static str, en: &'static str) -> &'static str {
        pick(self.lang, zh, en)
    }

    fn member(&self, code: MunicipalityCode) -> String {
        self.names.get(&code).map_or_else(|| code.to_string(), |name| (*name).to_owned())
    }

    fn ago(&self, at: Timestamp) -> String {
        let age = age(self.situation.now, at, self.lang);
        match self.lang {
            Lang::Zh => format!("{age}前"),
            Lang::En => format!("{age} ago"),
        }
    }

    fn head(&self, screen: Screen) -> Vec<Line> {
        let s = self.situation;
        let leader = s.leader.map_or_else(
            || self.pick("未知", "unknown").to_owned(),
            |node| format!("{} {}", self.member(node.municipality()), node.number()),
        );
        let title = match self.lang {
            Lang::Zh => format!(
                "守望 {}  版本 {}  末条记录 {}前（{}）  日志主节点 {leader}",
                s.region,
                s.revision,
                s.record_age(self.lang),
                s.record_time
            ),
            Lang::En => format!(
                "Shouwang {}  revision {}  last record {} ago ({})  log leader {leader}",
                s.region,
                s.revision,
                s.record_age(self.lang),
                s.record_time
            ),
        };
        let mut head = vec![Line::new(clean(&title), Style::Title)];
        head.extend(s.banner(self.lang).map(|banner| Line::new(format!("!! {banner} !!"), Style::Banner)));
        let words: Vec<String> = s.members.iter().map(|member| self.contact(member)).collect();
        let heard = s.members.iter().filter(|member| member.in_touch).count();
        let lead = format!("{} {heard}/{}", self.pick("成员在线", "in touch"), s.members.len());
        let room = (screen.height / 8).clamp(1, 4);
        let wrapped = layout::wrap(&lead, &words, screen.width, room, self.lang);
        head.extend(wrapped.into_iter().map(|text| Line::new(text, Style::Plain)));
        head
    }

    fn contact(&self, member: &MemberLine) -> String {
        let mark = if member.in_touch { "●" } else { "○" };
        let mut text = format!("{mark}{}", clean(&member.name));
        if member.code == self.situation.own {
            text += self.pick("（本市）", " (own)");
        } else if !member.in_touch {
            text += " ";
            let silence = match (member.last_heard_ms, self.lang) {
                (Some(ms), Lang::Zh) => format!("失联{}", millis(ms, self.lang)),
                (Some(ms), Lang::En) => format!("silent {}", millis(ms, self.lang)),
                (None, Lang::Zh) => "未联系上".to_owned(),
                (None, Lang::En) => "not heard".to_owned(),
            };
            text += &silence;
        }
        text
    }

    /// The lists of one half, the most pressing first.
    fn lists(&self, board: &Board, mark: &str) -> Vec<List> {
        vec![
            self.missions(board, mark),
            self.requests(board, mark),
            self.stock(board, mark),
            self.discrepancies(board, mark),
            self.obligations(board, mark),
        ]
    }

    fn missions(&self, board: &Board, mark: &str) -> List {
        let count = board.missions.rows.len() as u64 + board.missions.more;
        let overdue = board.missions.rows.iter().filter(|mission| mission.overdue).count();
        let mut title = format!("{mark}{} {count}", self.pick("在途调派", "Missions under way"));
        if overdue > 0 {
            let late = match self.lang {
                Lang::Zh => format!("（逾期 {overdue}）"),
                Lang::En => format!(" ({overdue} overdue)"),
            };
            title += &late;
        }
        let row = |mission: &MissionLine| {
            let number = if mission.number.is_empty() { "-".to_owned() } else { mission.number.clone() };
            let route = format!("{}→{}", self.member(mission.holder), self.member(mission.requester));
            let state = mission.state.get(self.lang).to_owned();
            let age = mission.held_at.map_or_else(|| "-".to_owned(), |at| age(self.situation.now, at, self.lang));
            let eta = mission.eta.map_or_else(|| "-".to_owned(), short_time);
            let what = format!("{} {}{}", mission.name, mission.qty, mission.unit);
            let cells = vec![number, route, what, state, age, short_time(mission.needed_by), eta, self.flags(mission)];
            (cells, mission.overdue)
        };
        List {
            title,
            columns: vec![
                (self.pick("编号", "NUMBER"), Cut::Front),
                (self.pick("路线", "ROUTE"), Cut::End),
                (self.pick("内容", "WHAT"), Cut::End),
                (self.pick("状态", "STATE"), Cut::Never),
                (self.pick("历时", "AGE"), Cut::Never),
                (self.pick("需于", "NEEDED"), Cut::Never),
                (self.pick("预计到", "ETA"), Cut::Never),
                (self.pick("标记", "FLAGS"), Cut::Never),
            ],
            rows: board.missions.rows.iter().map(row).collect(),
            more: board.missions.more,
        }
    }

    fn flags(&self, mission: &MissionLine) -> String {
        let late = mission.paper_due.is_some_and(|due| due < self.situation.now);
        let flags = [
            (mission.overdue, "逾期", "overdue"),
            (mission.recalled, "召回", "recalled"),
            (mission.relayed.is_some(), "电话通报", "by phone"),
            (mission.hold_until.is_some(), "待签", "unsigned"),
            (late, "欠补手续", "paper late"),
            (mission.paper_due.is_some() && !late, "待补手续", "paper due"),
        ];
        let set: Vec<&str> = flags.into_iter().filter(|(set, ..)| *set).map(|(_, zh, en)| self.pick(zh, en)).collect();
        set.join(self.pick("、", ", "))
    }

    fn requests(&self, board: &Board, mark: &str) -> List {
        let count = board.requests.rows.len() as u64 + board.requests.more;
        let states: Vec<String> = board
            .line_states
            .iter()
            .map(|count| format!("{} {}", count.state.get(self.lang), count.lines))
            .chain(
                (board.requests_closed > 0)
                    .then(|| format!("{} {}", self.pick("请求已办结", "requests closed"), board.requests_closed)),
            )
            .collect();
        let mut title = format!("{mark}{} {count}", self.pick("需求行", "Request lines"));
        if !states.is_empty() {
            title += "  ";
            title += &states.join(" · ");
        }
        let row = |line: &super::RequestLine| {
            let fill = format!("{}%", line.fill_percent);
            let declined = if line.declined > 0 { line.declined.to_string() } else { String::new() };
            let cells = vec![
                format!("{}-{}", line.number, line.line),
                self.member(line.requester),
                line.priority.get(self.lang).to_owned(),
                line.name.clone(),
                line.asked.to_string(),
                line.committed.to_string(),
                line.delivered.to_string(),
                fill,
                line.state.get(self.lang).to_owned(),
                short_time(line.needed_by),
                declined,
            ];
            (cells, line.overdue)
        };
        List {
            title,
            columns: vec![
                (self.pick("编号", "NUMBER"), Cut::Front),
                (self.pick("请求方", "REQUESTER"), Cut::End),
                (self.pick("等级", "PRIORITY"), Cut::Never),
                (self.pick("名称", "NAME"), Cut::End),
                (self.pick("需", "ASK"), Cut::Never),
                (self.pick("落实", "COM"), Cut::Never),
                (self.pick("到", "GOT"), Cut::Never),
                (self.pick("率", "%"), Cut::Never),
                (self.pick("状态", "STATE"), Cut::Never),
                (self.pick("需于", "NEEDED"), Cut::Never),
                (self.pick("婉拒", "NO"), Cut::Never),
            ],
            rows: board.requests.rows.iter().map(row).collect(),
            more: board.requests.more,
        }
    }

    fn stock(&self, board: &Board, mark: &str) -> List {
        let count = board.stock.rows.len() as u64 + board.stock.more;
        let row = |line: &StockLine| {
            let figure = match (&line.figure, line.published) {
                (Some(word), Some(qty)) if word.code == "banded" => format!("≥{qty}"),
                (Some(_), Some(qty)) => qty.to_string(),
                (Some(word), None) => word.get(self.lang).to_owned(),
                (None, _) => "-".to_owned(),
            };
            let mut cells = vec![line.name.clone(), line.unit.clone(), self.member(line.member), figure];
            cells.extend([line.pledged, line.held, line.free].map(|qty| qty.to_string()));
            cells.push(if line.overdrawn > 0 { line.overdrawn.to_string() } else { String::new() });
            cells.push(line.as_of.map_or_else(|| "-".to_owned(), |at| self.ago(at)));
            (cells, line.overdrawn > 0)
        };
        List {
            title: format!("{mark}{} {count}", self.pick("可用资源", "Resources")),
            columns: vec![
                (self.pick("名称", "NAME"), Cut::End),
                (self.pick("单位", "UNIT"), Cut::Never),
                (self.pick("成员", "MEMBER"), Cut::End),
                (self.pick("发布数", "PUBLISHED"), Cut::Never),
                (self.pick("承诺", "PLEDGED"), Cut::Never),
                (self.pick("占用", "HELD"), Cut::Never),
                (self.pick("可占用", "FREE"), Cut::Never),
                (self.pick("透支", "OVERDRAWN"), Cut::Never),
                (self.pick("发布于", "PUBLISHED AT"), Cut::Never),
            ],
            rows: board.stock.rows.iter().map(row).collect(),
            more: board.stock.more,
        }
    }

    fn discrepancies(&self, board: &Board, mark: &str) -> List {
        let count = board.discrepancies.rows.len() as u64 + board.discrepancies.more;
        let row = |line: &super::DiscrepancyLine| {
            let number = if line.number.is_empty() { line.mission.to_string() } else { line.number.clone() };
            let next = if line.proposed {
                self.pick("待对方确认", "waits for the other side")
            } else {
                self.pick("待提出", "waits for a proposal")
            };
            let kind = line.kind.get(self.lang).to_owned();
            let cells =
                vec![number, kind, line.qty.to_string(), self.member(line.reported_by), self.ago(line.opened_at)];
            (cells.into_iter().chain([next.to_owned()]).collect(), false)
        };
        List {
            title: format!("{mark}{} {count}", self.pick("未闭合差异", "Open discrepancies")),
            columns: vec![
                (self.pick("调派", "MISSION"), Cut::Front),
                (self.pick("差异", "WHAT"), Cut::End),
                (self.pick("数量", "QTY"), Cut::Never),
                (self.pick("报告方", "REPORTED BY"), Cut::End),
                (self.pick("自", "SINCE"), Cut::Never),
                (self.pick("处理", "NEXT"), Cut::Never),
            ],
            rows: board.discrepancies.rows.iter().map(row).collect(),
            more: board.discrepancies.more,
        }
    }

    fn obligations(&self, board: &Board, mark: &str) -> List {
        let count = board.obligations.rows.len() as u64 + board.obligations.more;
        let row = |line: &super::ObligationLine| {
            let number = if line.number.is_empty() { line.mission.to_string() } else { line.number.clone() };
            let owed = if line.in_money || line.kind.code != "goods" {
                format!("{} {}", yuan(i128::from(line.amount_fen)), self.pick("元", "CNY"))
            } else {
                format!("{} {}/{}{}", line.name, line.accepted, line.qty, line.unit)
            };
            let cells = vec![
                number,
                format!("{}→{}", self.member(line.debtor), self.member(line.creditor)),
                line.kind.get(self.lang).to_owned(),
                owed,
                line.state.get(self.lang).to_owned(),
                self.ago(line.opened_at),
            ];
            (cells, false)
        };
        List {
            title: format!("{mark}{} {count}", self.pick("未结补偿义务", "Open obligations")),
            columns: vec![
                (self.pick("调派", "MISSION"), Cut::Front),
                (self.pick("债务方→债权方", "DEBTOR→CREDITOR"), Cut::End),
                (self.pick("类别", "KIND"), Cut::Never),
                (self.pick("已补/应补", "RESTOCKED/OWED"), Cut::End),
                (self.pick("状态", "STATE"), Cut::Never),
                (self.pick("自", "SINCE"), Cut::Never),
            ],
            rows: board.obligations.rows.iter().map(row).collect(),
            more: board.obligations.more,
        }
    }
}
