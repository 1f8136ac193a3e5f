//! The paper as text for a terminal or a file.

use std::collections::{BTreeMap, BTreeSet};

use shouwang_domain::ids::MunicipalityCode;

use super::words::yuan;
use super::{LineRow, MissionRow, ObligationRow, RegionReport, RequestRow, Section, Share};
use crate::cli::output::table;
use crate::cli::text::{clean, span};
use crate::lang::Lang;
use crate::words::moment;

/// A sheet that is being written.
struct Sheet<'a> {
    lang: Lang,
    members: BTreeMap<MunicipalityCode, &'a str>,
    out: String,
    /// Where the last heading begins.
    heading_at: usize,
    /// Leaves out what has no rows.
    only_what_is: bool,
}

impl RegionReport {
    /// The paper as tables for people.
    pub fn render_table(&self, lang: Lang) -> String {
        let members = self.members.iter().map(|member| (member.code, member.name.as_str())).collect();
        let mut sheet = Sheet { lang, members, out: String::new(), heading_at: 0, only_what_is: false };
        sheet.header(self);
        sheet.section(&self.actual);
        if self.exercise.has_anything() {
            sheet.out.push('\n');
            sheet.line(
                "======== 演练（与实际互不混计） ========",
                "======== Exercises (never counted with the above) ========",
            );
            sheet.only_what_is = true;
            sheet.section(&self.exercise);
        }
        sheet.out
    }
}

impl Section {
    fn has_anything(&self) -> bool {
        !(self.shares.is_empty() && self.requests.is_empty() && self.obligations.is_empty() && self.missions.is_empty())
    }
}

impl Sheet<'_> {
    fn line(&mut self, zh: &'static str, en: &'static str) {
        self.out.push_str(self.lang.pick(zh, en));
        self.out.push('\n');
    }

    fn heading(&mut self, zh: &'static str, en: &'static str) {
        self.heading_at = self.out.len();
        self.out.push('\n');
        self.out.push_str("## ");
        self.line(zh, en);
    }

    /// A table under its heads, or a word that there is nothing.
    fn table(&mut self, heads: &[(&'static str, &'static str)], rows: &[Vec<String>]) {
        let heads: Vec<&str> = heads.iter().map(|(zh, en)| self.lang.pick(*zh, *en)).collect();
        self.rows(&heads, rows);
    }

    fn rows(&mut self, heads: &[&str], rows: &[Vec<String>]) {
        if rows.is_empty() {
            if self.only_what_is {
                self.out.truncate(self.heading_at);
            } else {
                self.line("（无）", "(none)");
            }
            return;
        }
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
        self.out.push_str(&table(heads, &rows));
    }

    fn member(&self, code: MunicipalityCode) -> String {
        self.members.get(&code).map_or_else(|| code.to_string(), |name| (*name).to_owned())
    }

    fn header(&mut self, report: &RegionReport) {
        let h = &report.header;
        let title = format!("{} · {}\n", clean(&h.region), self.lang.pick("区域报表", "region report"));
        self.out.push_str(&title);
        let facts = [
            ("联盟", "federation", h.federation.clone()),
            ("区域编号", "region id", h.region_id.to_string()),
            ("纪元", "epoch", h.epoch.to_string()),
            ("版本", "revision", h.revision.to_string()),
            ("截至", "as of", moment(&h.record_time)),
            ("账本根", "ledger root", h.ledger_root.to_string()),
            ("状态摘要", "state digest", h.state_digest.to_string()),
            ("协议版本", "charter version", h.charter_version.to_string()),
            ("区域中心", "hub", self.member(h.hub)),
        ];
        let rows: Vec<Vec<String>> =
            facts.into_iter().map(|(zh, en, value)| vec![self.lang.pick(zh, en).to_owned(), clean(&value)]).collect();
        self.out.push_str(&table(&[], &rows));
        self.line("时刻均为北京时间，金额以元计", "times are those of Beijing (UTC+8), money is in yuan");
        self.heading("成员", "Members");
        let rows: Vec<Vec<String>> = report
            .members
            .iter()
            .map(|m| {
                let superior = m.superior.map(|code| self.member(code)).unwrap_or_default();
                let standing = m.standing.get(self.lang).to_owned();
                vec![m.code.to_string(), m.name.clone(), standing, superior, m.nodes.to_string(), m.voters.to_string()]
            })
            .collect();
        self.table(
            &[
                ("代码", "CODE"),
                ("名称", "NAME"),
                ("身份", "STANDING"),
                ("上级", "SUPERIOR"),
                ("节点", "NODES"),
                ("投票节点", "VOTING NODES"),
            ],
            &rows,
        );
    }

    fn section(&mut self, section: &Section) {
        self.shares(&section.shares);
        self.fill(section);
        self.requests(section);
        self.refusals(&section.requests);
        self.stages(section);
        self.missions(&section.missions);
        self.discrepancies(section);
        self.obligations(&section.obligations);
        self.pairs(section);
        self.balances(section);
    }

    fn shares(&mut self, shares: &[Share]) {
        self.heading("谁共享什么", "Who shares what");
        let rows: Vec<Vec<String>> = shares
            .iter()
            .map(|share| {
                let figure = match (&share.figure, share.published) {
                    (Some(word), Some(qty)) if word.code == "banded" => format!("≥{qty}"),
                    (Some(_), Some(qty)) => qty.to_string(),
                    (Some(word), None) => word.get(self.lang).to_owned(),
                    (None, _) => "-".to_owned(),
                };
                let owners: BTreeSet<_> = share.pledges.iter().map(|pledge| self.member(pledge.owner)).collect();
                let owners: Vec<String> = owners.into_iter().collect();
                let mut row = vec![self.member(share.member), share.resource.clone(), share.name.clone()];
                row.extend([share.unit.clone(), figure]);
                row.extend([share.pledged, share.held, share.free, share.overdrawn].map(|qty| qty.to_string()));
                row.push(if owners.is_empty() { "-".to_owned() } else { owners.join(" ") });
                row.push(share.as_of.as_deref().map_or_else(|| "-".to_owned(), moment));
                row
            })
            .collect();
        self.table(
            &[
                ("成员", "MEMBER"),
                ("资源", "RESOURCE"),
                ("名称", "NAME"),
                ("单位", "UNIT"),
                ("发布数", "PUBLISHED"),
                ("承诺", "PLEDGED"),
                ("占用", "HELD"),
                ("可占用", "FREE"),
                ("透支", "OVERDRAWN"),
                ("承诺物权", "OWNER OF PLEDGED"),
                ("发布于", "PUBLISHED AT"),
            ],
            &rows,
        );
    }

    fn fill(&mut self, section: &Section) {
        self.heading("满足率", "Fill rate");
        let f = &section.fill;
        let summary = match self.lang {
            Lang::Zh => format!(
                "支援请求 {} 份（已办结 {}），需求 {} 行：到齐 {} 行（{}%），无法满足 {} 行；另撤回 {} 行\n",
                f.requests,
                f.requests_closed,
                f.lines,
                f.lines_filled,
                f.lines_filled_percent,
                f.lines_unmet,
                f.lines_withdrawn
            ),
            Lang::En => format!(
                "{} requests ({} closed), {} lines: {} filled ({}%), {} unmet; {} more withdrawn\n",
                f.requests,
                f.requests_closed,
                f.lines,
                f.lines_filled,
                f.lines_filled_percent,
                f.lines_unmet,
                f.lines_withdrawn
            ),
        };
        self.out.push_str(&summary);
        let rows: Vec<Vec<String>> = f
            .resources
            .iter()
            .map(|sum| {
                let mut row = vec![sum.resource.clone(), sum.name.clone(), sum.unit.clone()];
                row.extend([sum.asked, sum.committed, sum.delivered, sum.damaged].map(|qty| qty.to_string()));
                row.push(format!("{}%", sum.fill_percent));
                row
            })
            .collect();
        self.table(
            &[
                ("资源", "RESOURCE"),
                ("名称", "NAME"),
                ("单位", "UNIT"),
                ("需求", "ASKED"),
                ("落实", "COMMITTED"),
                ("送达", "DELIVERED"),
                ("破损", "DAMAGED"),
                ("满足率", "FILL"),
            ],
            &rows,
        );
    }

    fn requests(&mut self, section: &Section) {
        self.heading("支援请求", "Aid requests");
        // Where the requester named nothing but a code, the resource's own name says more.
        let named = |line: &LineRow| {
            let known = section.fill.resources.iter().find(|known| known.resource == line.resource);
            known.filter(|_| line.name == line.resource).map_or(&line.name, |known| &known.name).clone()
        };
        let requests = &section.requests;
        let row = |request: &RequestRow, line: &LineRow| {
            let mut row = vec![request.number.clone(), self.member(request.requester), request.subject.clone()];
            row.push(request.priority.get(self.lang).to_owned());
            row.extend([line.line.to_string(), named(line)]);
            row.extend([line.asked, line.committed, line.delivered].map(|qty| qty.to_string()));
            row.push(format!("{}%", line.fill_percent));
            row.push(line.state.get(self.lang).to_owned());
            row.extend([moment(&request.made_at), moment(&request.needed_by)]);
            row.push(request.closed_at.as_deref().map_or_else(|| "-".to_owned(), moment));
            row
        };
        let rows: Vec<Vec<String>> = requests
            .iter()
            .flat_map(|request| request.lines.iter().map(|line| row(request, line)).collect::<Vec<_>>())
            .collect();
        self.table(
            &[
                ("编号", "NUMBER"),
                ("请求方", "REQUESTER"),
                ("事由", "SUBJECT"),
                ("紧急程度", "PRIORITY"),
                ("行", "LINE"),
                ("名称", "NAME"),
                ("需求", "ASKED"),
                ("落实", "COMMITTED"),
                ("送达", "DELIVERED"),
                ("满足率", "FILL"),
                ("状态", "STATE"),
                ("提出", "ASKED"),
                ("需于", "NEEDED BY"),
                ("办结", "CLOSED"),
            ],
            &rows,
        );
    }

    /// Declines and conditions, with their reasons: legitimate, and kept.
    fn refusals(&mut self, requests: &[RequestRow]) {
        self.heading("婉拒与附条件答复", "Refusals and conditions");
        let mut rows = Vec::new();
        for request in requests {
            for line in &request.lines {
                for answer in line.answers.iter().filter(|answer| answer.reason.is_some()) {
                    rows.push(vec![
                        request.number.clone(),
                        line.line.to_string(),
                        self.member(answer.by),
                        answer.answer.get(self.lang).to_owned(),
                        answer.reason.clone().unwrap_or_default(),
                        moment(&answer.at),
                    ]);
                }
            }
        }
        self.table(
            &[
                ("编号", "NUMBER"),
                ("行", "LINE"),
                ("答复方", "BY"),
                ("答复", "ANSWER"),
                ("理由", "REASON"),
                ("时间", "AT"),
            ],
            &rows,
        );
    }

    fn stages(&mut self, section: &Section) {
        self.heading("各阶段用时", "Times per stage");
        let time = |seconds: Option<i64>| seconds.map_or_else(|| "-".to_owned(), |seconds| span(seconds, self.lang));
        let rows: Vec<Vec<String>> = section
            .stages
            .iter()
            .filter(|_| !section.missions.is_empty())
            .map(|row| {
                let stage = row.stage.get(self.lang).to_owned();
                vec![stage, row.missions.to_string(), time(row.median_s), time(row.p90_s)]
            })
            .collect();
        self.table(
            &[
                ("阶段", "STAGE"),
                ("调派数", "MISSIONS"),
                ("半数不超过", "HALF WITHIN"),
                ("九成不超过", "NINE IN TEN WITHIN"),
            ],
            &rows,
        );
    }

    fn missions(&mut self, missions: &[MissionRow]) {
        self.heading("调派", "Missions");
        let rows: Vec<Vec<String>> = missions
            .iter()
            .map(|m| {
                let number = if m.number.is_empty() { "-".to_owned() } else { m.number.clone() };
                let mut row = vec![number, self.member(m.holder), self.member(m.requester), m.name.clone()];
                row.push(m.state.get(self.lang).to_owned());
                let sum = |parts: &[u64]| parts.iter().copied().fold(0, u64::saturating_add);
                let arrived = sum(&[m.received, m.received_damaged]);
                let used = sum(&[m.consumed, m.damaged, m.lost, m.lost_in_transit]);
                let back = sum(&[m.returned, m.returned_damaged, m.turned_back]);
                let figures = [m.qty, m.dispatched, arrived, used, back, m.outstanding];
                row.extend(figures.map(|qty| qty.to_string()));
                let times = [&m.ordered_at, &m.dispatched_at, &m.received_at, &m.accounted_at];
                row.extend(times.map(|at| at.as_deref().map_or_else(|| "-".to_owned(), moment)));
                row
            })
            .collect();
        self.table(
            &[
                ("编号", "NUMBER"),
                ("持有方", "HOLDER"),
                ("请求方", "REQUESTER"),
                ("名称", "NAME"),
                ("状态", "STATE"),
                ("数量", "QTY"),
                ("发出", "LEFT"),
                ("收到", "ARRIVED"),
                ("耗损", "USED"),
                ("归还", "BACK"),
                ("未核销", "OUT"),
                ("下令", "ORDERED"),
                ("出发", "LEFT AT"),
                ("送达", "ARRIVED AT"),
                ("核销", "ACCOUNTED"),
            ],
            &rows,
        );
    }

    fn discrepancies(&mut self, section: &Section) {
        self.heading("未关闭差异", "Open discrepancies");
        let closed = section.discrepancies_closed;
        if closed > 0 {
            let told = match self.lang {
                Lang::Zh => format!("另有 {closed} 项已关闭\n"),
                Lang::En => format!("{closed} more are closed\n"),
            };
            self.out.push_str(&told);
        }
        let rows: Vec<Vec<String>> = section
            .discrepancies
            .iter()
            .map(|d| {
                let number = if d.number.is_empty() { d.mission.to_string() } else { d.number.clone() };
                let kind = d.kind.get(self.lang).to_owned();
                vec![number, kind, d.qty.to_string(), self.member(d.reported_by), moment(&d.opened_at)]
            })
            .collect();
        self.table(
            &[("调派", "MISSION"), ("差异", "WHAT"), ("数量", "QTY"), ("报告方", "REPORTED BY"), ("自", "SINCE")],
            &rows,
        );
    }

    fn obligations(&mut self, obligations: &[ObligationRow]) {
        self.heading("补偿义务", "Obligations");
        let rows: Vec<Vec<String>> = obligations
            .iter()
            .map(|o| {
                let number = if o.number.is_empty() { o.mission.to_string() } else { o.number.clone() };
                let mut row = vec![number, self.member(o.debtor), self.member(o.creditor)];
                row.extend([&o.kind, &o.basis, &o.state].map(|word| word.get(self.lang).to_owned()));
                row.extend([o.name.clone(), o.qty.to_string(), o.accepted.to_string(), o.open_units.to_string()]);
                row.extend([yuan(o.amount_fen.into()), yuan(o.open_value_fen), yuan(o.open_money_fen)]);
                row
            })
            .collect();
        self.table(
            &[
                ("调派", "MISSION"),
                ("债务方", "DEBTOR"),
                ("债权方", "CREDITOR"),
                ("类别", "KIND"),
                ("依据", "BASIS"),
                ("状态", "STATE"),
                ("名称", "NAME"),
                ("应补", "OWED"),
                ("已验收", "ACCEPTED"),
                ("未补", "OPEN"),
                ("总值", "VALUE"),
                ("未补价值", "OPEN VALUE"),
                ("应付", "PAYABLE"),
            ],
            &rows,
        );
    }

    fn pairs(&mut self, section: &Section) {
        self.heading("两两往来", "Debts per pair");
        let mut rows = Vec::new();
        for pair in &section.debts.pairs {
            for (debtor, creditor, owed) in [(pair.a, pair.b, &pair.a_owes), (pair.b, pair.a, &pair.b_owes)] {
                let ends = [self.member(debtor), self.member(creditor)];
                for units in &owed.units {
                    let mut row = ends.to_vec();
                    let column = section.debts.resources.iter().find(|column| column.resource == units.resource);
                    row.push(column.map_or_else(
                        || units.resource.clone(),
                        |column| format!("{} {}", column.resource, column.name),
                    ));
                    row.extend([units.incurred, units.restocked, units.open].map(|qty| qty.to_string()));
                    rows.push(row);
                }
                for (zh, en, fen) in [
                    ("未补价值（元）", "open value, yuan", owed.open_value_fen),
                    ("应付（元）", "payable, yuan", owed.open_money_fen),
                ] {
                    if fen != 0 {
                        let mut row = ends.to_vec();
                        row.extend([self.lang.pick(zh, en).to_owned(), String::new(), String::new(), yuan(fen)]);
                        rows.push(row);
                    }
                }
            }
        }
        self.table(
            &[
                ("债务方", "DEBTOR"),
                ("债权方", "CREDITOR"),
                ("资源", "RESOURCE"),
                ("累计应补", "INCURRED"),
                ("已补", "RESTOCKED"),
                ("未清", "OPEN"),
            ],
            &rows,
        );
    }

    fn balances(&mut self, section: &Section) {
        self.heading("成员往来结存（正为应收，负为应付）", "Balance by member (positive is owed to it)");
        let debts = &section.debts;
        let mut heads = vec![self.lang.pick("成员", "MEMBER").to_owned()];
        heads.extend(debts.resources.iter().map(|column| format!("{} {}", column.resource, clean(&column.name))));
        heads.push(self.lang.pick("物资价值（元）", "GOODS VALUE, YUAN").to_owned());
        heads.push(self.lang.pick("款项（元）", "MONEY, YUAN").to_owned());
        let row = |name: String, units: &[super::UnitBalance], value, money| {
            let mut row = vec![name];
            row.extend(units.iter().map(|cell| cell.balance.to_string()));
            row.extend([yuan(value), yuan(money)]);
            row
        };
        let mut rows: Vec<Vec<String>> = debts
            .balances
            .iter()
            .map(|balance| row(self.member(balance.member), &balance.units, balance.value_fen, balance.money_fen))
            .collect();
        if !rows.is_empty() {
            let sums = &debts.sums;
            // A paper whose sums are not zero is never made.
            rows.push(row(
                self.lang.pick("合计（恒为零）", "sum, always zero").to_owned(),
                &sums.units,
                sums.value_fen,
                sums.money_fen,
            ));
        }
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        self.rows(&heads, &rows);
    }
}
