//! The words of the region's paper and of its screen, in both languages, and how quantities, spans of time and foreign
//! text are written for a terminal.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shouwang_domain::channel::{Answer, Priority};
use shouwang_domain::charter::{Basis, Standing};
use shouwang_domain::region::Region;
use shouwang_domain::region::lifecycle::{MissionState, ObligationState};
use shouwang_domain::region::state::{DebtKind, DiscrepancyKind, Mission};
use shouwang_domain::region::view::LineState;
use shouwang_domain::resource::{Figure, Resource, StockClass};
use shouwang_domain::time::Timestamp;

use crate::cli::output::width;
use crate::lang::Lang;

/// A word of the record: its code for programs, its name for readers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Stable code, lower case with underscores.
    pub code: Cow<'static, str>,
    /// In simplified Chinese.
    pub zh: Cow<'static, str>,
    /// In English.
    pub en: Cow<'static, str>,
}

impl Word {
    const fn fixed(code: &'static str, zh: &'static str, en: &'static str) -> Self {
        Self { code: Cow::Borrowed(code), zh: Cow::Borrowed(zh), en: Cow::Borrowed(en) }
    }

    /// A state whose code is its English name with underscores.
    fn state(code: &'static str, zh: &'static str) -> Self {
        Self { code: Cow::Borrowed(code), zh: Cow::Borrowed(zh), en: Cow::Owned(code.replace('_', " ")) }
    }

    /// The name in `lang`.
    pub fn get(&self, lang: Lang) -> &str {
        match lang {
            Lang::Zh => &self.zh,
            Lang::En => &self.en,
        }
    }
}

/// Fixed lists of words.
pub(super) struct Words;

impl Words {
    /// The stages of a mission, in order.
    pub const STAGES: [Word; 5] = [
        Word::fixed("held_to_ordered", "占用→下令", "held to ordered"),
        Word::fixed("ordered_to_committed", "下令→落实", "ordered to committed"),
        Word::fixed("committed_to_dispatched", "落实→出发", "committed to dispatched"),
        Word::fixed("dispatched_to_received", "出发→送达", "dispatched to received"),
        Word::fixed("received_to_accounted", "送达→核销", "received to accounted"),
    ];
}

/// What a member answered, how much, and why not or not yet.
pub(super) fn answer(answer: &Answer) -> (Word, Option<u64>, Option<String>) {
    match answer {
        Answer::Accept { qty } => (Word::fixed("accept", "同意", "accept"), Some(qty.0), None),
        Answer::Provisional { qty, reason } => {
            (Word::fixed("provisional", "有条件", "provisional"), Some(qty.0), Some(reason.clone()))
        }
        Answer::Decline { reason } => (Word::fixed("decline", "婉拒", "decline"), None, Some(reason.clone())),
    }
}

/// Where a line of a request stands.
pub(super) fn line_state(state: LineState) -> Word {
    Word::state(state.slug(), state.zh())
}

/// Where a mission stands.
pub(super) fn mission_state(state: MissionState) -> Word {
    Word::state(state.slug(), state.zh())
}

/// Where a debt stands.
pub(super) fn obligation_state(state: ObligationState) -> Word {
    Word::state(state.slug(), state.zh())
}

/// How a published figure is meant, without its number.
pub(super) fn figure(figure: Figure) -> Word {
    match figure {
        Figure::Exact(_) => Word::fixed("exact", "确数", "exact"),
        Figure::AtLeast(_) => Word::fixed("banded", "区间", "banded"),
        Figure::AskUs => Word::fixed("ask_us", "请询", "ask us"),
        Figure::Withdrawn => Word::fixed("withdrawn", "不再发布", "withdrawn"),
    }
}

/// The number of a published figure, if it has one.
pub(super) fn figure_qty(figure: Figure) -> Option<u64> {
    match figure {
        Figure::Exact(qty) | Figure::AtLeast(qty) => Some(qty.0),
        Figure::AskUs | Figure::Withdrawn => None,
    }
}

/// Under which scheme stock is kept.
pub(super) fn stock_class(class: StockClass) -> Word {
    match class {
        StockClass::Government => Word::fixed("government", "政府", "government"),
        StockClass::EnterpriseContracted => Word::fixed("enterprise_contracted", "企业代储", "contracted enterprise"),
        StockClass::EnterpriseOwn => Word::fixed("enterprise_own", "企业自储", "enterprise's own"),
        StockClass::Charity => Word::fixed("charity", "慈善", "charity"),
        StockClass::Superior => Word::fixed("superior", "上级", "superior"),
    }
}

/// What a member is in a region.
pub(super) fn standing(standing: Standing) -> Word {
    match standing {
        Standing::Party => Word::fixed("party", "成员", "party"),
        Standing::Superior => Word::fixed("superior", "上级", "superior"),
        Standing::Observer => Word::fixed("observer", "列席", "observer"),
    }
}

/// How pressing a request is.
pub(super) fn priority(priority: Priority) -> Word {
    match priority {
        Priority::Routine => Word::fixed("routine", "一般", "routine"),
        Priority::Urgent => Word::fixed("urgent", "紧急", "urgent"),
        Priority::Immediate => Word::fixed("immediate", "特急", "immediate"),
    }
}

/// What a debt is for.
pub(super) fn debt_kind(kind: DebtKind) -> Word {
    match kind {
        DebtKind::Goods => Word::fixed("goods", "物资", "goods"),
        DebtKind::Service => Word::fixed("service", "服务工时", "service"),
        DebtKind::Injury => Word::fixed("injury", "人员伤害", "injury"),
        DebtKind::LateReturn => Word::fixed("late_return", "逾期归还", "late return"),
    }
}

/// On which ground a debt stands.
pub(super) fn basis(basis: Basis) -> Word {
    match basis {
        Basis::Restock => Word::fixed("restock", "协议补库", "restock"),
        Basis::LiableEnterprise => Word::fixed("liable_enterprise", "责任企业承担", "liable enterprise"),
        Basis::FreeAid => Word::fixed("free_aid", "无偿救助", "free aid"),
        Basis::Requisition => Word::fixed("requisition", "征用补偿", "requisition"),
        Basis::ContractPrice => Word::fixed("contract_price", "代储合同价", "contract price"),
        Basis::Charity => Word::fixed("charity", "慈善不补偿", "charity, not repaid"),
    }
}

/// What contradicts what.
pub(super) fn discrepancy(kind: DiscrepancyKind) -> Word {
    use DiscrepancyKind as K;
    match kind {
        K::DispatchedUncommitted => {
            Word::fixed("dispatched_uncommitted", "未落实先发出", "left before its owner had seen the order")
        }
        K::DispatchedAfterEnd => Word::fixed("dispatched_after_end", "终止后发出", "left although it was ended"),
        K::DispatchedTooMuch => Word::fixed("dispatched_too_much", "超量发出", "more left than ordered"),
        K::DeliveryShort => Word::fixed("delivery_short", "到货短少", "less arrived than left"),
        K::DeliveryOver => Word::fixed("delivery_over", "到货超出", "more arrived than left"),
        K::DeliveryDamaged => Word::fixed("delivery_damaged", "到货破损", "arrived damaged"),
        K::SignaturesDiffer => {
            Word::fixed("signatures_differ", "交接数不符", "carrier and receiver signed differently")
        }
        K::ReturnDamaged => Word::fixed("return_damaged", "归还破损", "came back damaged"),
        K::OverAccounted => Word::fixed("over_accounted", "核销超出发出", "more accounted for than left"),
        K::RelayDiffers => Word::fixed("relay_differs", "与电话通报不符", "differs from what was heard by telephone"),
        K::TotalFell => Word::fixed("total_fell", "累计数减少", "a later total is lower"),
        K::UnknownMission => Word::fixed("unknown_mission", "无此调派", "unknown mission"),
        K::NotItsWord => Word::fixed("not_its_word", "非应报方所报", "reported by the wrong side"),
    }
}

/// One of two texts, by language.
pub(super) fn pick(lang: Lang, zh: &'static str, en: &'static str) -> &'static str {
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

/// Part of a whole in percent, rounded down; of nothing, nothing.
pub(super) fn percent(part: u64, whole: u64) -> u64 {
    let share = (u128::from(part) * 100).checked_div(u128::from(whole)).unwrap_or_default();
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Fen as yuan with two decimals.
pub(super) fn yuan(fen: i128) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    let fen = fen.unsigned_abs();
    format!("{sign}{}.{:02}", fen / 100, fen % 100)
}

/// A span of time in words, in its two largest units: `3分05秒`, `2h05m`. Negative spans (a fact that happened before
/// the record heard of the step before it) keep their sign.
pub(super) fn span(seconds: i64, lang: Lang) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let s = seconds.unsigned_abs();
    let (minutes, hours, days) = (s / 60, s / 3600, s / 86_400);
    match lang {
        Lang::Zh if days > 0 => format!("{sign}{days}天{}小时", hours % 24),
        Lang::Zh if hours > 0 => format!("{sign}{hours}小时{:02}分", minutes % 60),
        Lang::Zh if minutes > 0 => format!("{sign}{minutes}分{:02}秒", s % 60),
        Lang::Zh => format!("{sign}{s}秒"),
        Lang::En if days > 0 => format!("{sign}{days}d{}h", hours % 24),
        Lang::En if hours > 0 => format!("{sign}{hours}h{:02}m", minutes % 60),
        Lang::En if minutes > 0 => format!("{sign}{minutes}m{:02}s", s % 60),
        Lang::En => format!("{sign}{s}s"),
    }
}

/// Month, day, hour and minute in Asia/Shanghai: `03-01 23:40`.
pub(super) fn short_time(at: Timestamp) -> String {
    let text = at.to_string();
    // `2026-03-01T23:40:00+08:00`; anything of another length ("never", a year of five digits) is shown whole.
    match text.get(5..16) {
        Some(middle) if text.len() == 25 => middle.replace('T', " "),
        _ => text,
    }
}

/// Text that others wrote, without what could steer a terminal: control characters and those that turn the direction
/// of writing.
pub(super) fn clean(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// A text cut to `columns` of a terminal, the cut shown by an ellipsis.
pub(super) fn clip(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1; // The ellipsis.
    for letter in text.chars() {
        let step = width(letter.encode_utf8(&mut [0; 4]));
        if used + step > columns {
            break;
        }
        used += step;
        out.push(letter);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// A text cut to `columns` of a terminal at its beginning: a working number tells itself apart by its end.
pub(super) fn clip_front(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut rest = text;
    while width(rest) + 1 > columns && !rest.is_empty() {
        rest = rest.chars().next().map_or("", |first| &rest[first.len_utf8()..]);
    }
    if columns > 0 { format!("…{rest}") } else { String::new() }
}

/// What resources are called: the first name in the order of the record, so that it is the same on every node.
pub(super) struct Names(BTreeMap<Resource, (String, String)>);

impl Names {
    /// The names that a region knows.
    pub fn of(region: &Region) -> Self {
        let mut names = BTreeMap::new();
        let mut note = |resource: &Resource, name: &str, unit: &str| {
            if !names.contains_key(resource) {
                names.insert(resource.clone(), (name.to_owned(), unit.to_owned()));
            }
        };
        for ((_, resource, _), published) in region.published() {
            note(resource, &published.publication.name, &published.publication.unit);
        }
        for (_, pledge) in region.pledges() {
            note(&pledge.made.resource, &pledge.made.name, &pledge.made.unit);
        }
        for (_, request) in region.requests() {
            // A line has no unit of its own: it is counted in the item's.
            request.made.lines.iter().for_each(|line| note(&line.resource, &line.name, ""));
        }
        Self(names)
    }

    /// A resource's name and unit.
    pub fn resource(&self, resource: &Resource) -> (String, String) {
        self.0.get(resource).cloned().unwrap_or_else(|| (resource.to_string(), String::new()))
    }
}

/// What came of a line, over its missions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LineFigures {
    /// Committed by owners, departed and delivered included.
    pub committed: u64,
    /// Received, in whatever state.
    pub delivered: u64,
    /// Received damaged.
    pub damaged: u64,
}

impl LineFigures {
    /// Adds the missions of a line up.
    pub fn of<'a>(missions: impl Iterator<Item = &'a Mission>) -> Self {
        let mut sum = Self::default();
        for mission in missions {
            if !mission.state.is_void() && !matches!(mission.state, MissionState::Held | MissionState::Ordered) {
                sum.committed = sum.committed.saturating_add(mission.counts_for_line().0);
            }
            sum.delivered = sum.delivered.saturating_add(mission.amounts.received().0);
            sum.damaged = sum.damaged.saturating_add(mission.amounts.received_damaged.0);
        }
        sum
    }

    /// What arrived fit for use.
    pub fn usable(&self) -> u64 {
        self.delivered.saturating_sub(self.damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_columns_not_by_letters() {
        for (text, columns, cut) in [
            ("防护服", 6, "防护服"),
            ("防护服", 5, "防护…"),
            ("防护服", 4, "防…"),
            ("防护服", 2, "…"),
            ("防护服", 1, "…"),
            ("防护服", 0, ""),
            ("abc", 2, "a…"),
        ] {
            assert_eq!(clip(text, columns), cut);
            assert!(width(&clip(text, columns)) <= columns);
        }
        for (columns, cut) in [(16, "乌-调-2026-0012"), (6, "…-0012"), (1, "…"), (0, "")] {
            assert_eq!(clip_front("乌-调-2026-0012", columns), cut);
        }
        assert_eq!(clean("a\u{1b}[2Jb\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}c");
    }

    #[test]
    fn spans_and_money_in_words() {
        for (seconds, zh, en) in [
            (0, "0秒", "0s"),
            (185, "3分05秒", "3m05s"),
            (-185, "-3分05秒", "-3m05s"),
            (7500, "2小时05分", "2h05m"),
            (97_200, "1天3小时", "1d3h"),
        ] {
            assert_eq!((span(seconds, Lang::Zh).as_str(), span(seconds, Lang::En).as_str()), (zh, en));
        }
        assert_eq!((yuan(-5).as_str(), yuan(380_000).as_str()), ("-0.05", "3800.00"));
        assert_eq!(short_time(Timestamp(1_772_380_000_000)), "03-01 23:46");
        assert_eq!(short_time(Timestamp::NEVER), "never");
        assert_eq!((percent(44, 60), percent(1, 0), percent(u64::MAX, 1)), (73, 0, u64::MAX));
    }
}
