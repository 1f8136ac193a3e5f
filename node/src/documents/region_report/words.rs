//! The words of the region's paper in both languages, and how its quantities are written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shouwang_domain::channel::Answer;
use shouwang_domain::region::Region;
use shouwang_domain::region::lifecycle::MissionState;
use shouwang_domain::region::state::Mission;
use shouwang_domain::resource::{Figure, Resource};

use crate::lang::Lang;
use crate::words::{self, Words};

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

    /// The word of a value of the contract; its code has underscores.
    pub(super) fn of(words: Words, value: impl Into<i32>) -> Self {
        let value = value.into();
        match words.row(value) {
            Some((slug, zh, en)) => Self { code: slug.replace('-', "_").into(), zh: zh.into(), en: en.into() },
            // Not so for any value the domain has: the tables are tested against the contract.
            None => Self { code: value.to_string().into(), zh: "-".into(), en: "-".into() },
        }
    }

    /// The name in `lang`.
    pub fn get(&self, lang: Lang) -> &str {
        lang.pick(&self.zh, &self.en)
    }
}

/// The stages of a mission, in order, and the way from the request to the delivery as a whole.
pub(super) const STAGES: [Word; 7] = [
    Word::fixed("asked_to_held", "请求→占用", "asked to held"),
    Word::fixed("held_to_ordered", "占用→下令", "held to ordered"),
    Word::fixed("ordered_to_committed", "下令→落实", "ordered to committed"),
    Word::fixed("committed_to_dispatched", "落实→出发", "committed to dispatched"),
    Word::fixed("dispatched_to_received", "出发→送达", "dispatched to received"),
    Word::fixed("received_to_accounted", "送达→核销", "received to accounted"),
    Word::fixed("asked_to_received", "请求→送达（全程）", "asked to received, in all"),
];

/// What a member answered, how much, and why not or not yet.
pub(super) fn answer(answer: &Answer) -> (Word, Option<u64>, Option<String>) {
    use shouwang_proto::v1::AnswerKind as Kind;
    let (kind, qty, reason) = match answer {
        Answer::Accept { qty } => (Kind::Accept, Some(qty.0), None),
        Answer::Provisional { qty, reason } => (Kind::Provisional, Some(qty.0), Some(reason.clone())),
        Answer::Decline { reason } => (Kind::Decline, None, Some(reason.clone())),
    };
    (Word::of(words::ANSWER_KIND, kind), qty, reason)
}

/// How a published figure is meant, without its number.
pub(super) fn figure(figure: Figure) -> Word {
    match figure {
        Figure::Exact(_) => Word::fixed("exact", "精确", "exact"),
        Figure::AtLeast(_) => Word::fixed("banded", "区间", "banded"),
        Figure::AskUs => Word::fixed("ask_us", "面议", "ask us"),
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

/// What resources are called: the first name in the order of the record, so that it is the same on every node. A kind of
/// team or vehicle is called as it is asked for: what is published and pledged are names of single teams.
pub(super) struct Names(BTreeMap<Resource, (String, String)>);

impl Names {
    /// The names that a region knows.
    pub fn of(region: &Region) -> Self {
        let mut names = BTreeMap::new();
        let mut note = |resource: &Resource, name: &str, unit: &str| {
            let known: &mut (String, String) = names.entry(resource.clone()).or_default();
            for (known, told) in [(&mut known.0, name), (&mut known.1, unit)] {
                if known.is_empty() {
                    told.clone_into(known);
                }
            }
        };
        let of_kind = |resource: &Resource| matches!(resource, Resource::Item(_));
        for ((_, resource, _), published) in region.published() {
            let name = if of_kind(resource) { published.publication.name.as_str() } else { "" };
            note(resource, name, &published.publication.unit);
        }
        for (_, pledge) in region.pledges() {
            let name = if of_kind(&pledge.made.resource) { pledge.made.name.as_str() } else { "" };
            note(&pledge.made.resource, name, &pledge.made.unit);
        }
        for (_, request) in region.requests() {
            // A line has no unit of its own: it is counted in the item's.
            request.made.lines.iter().for_each(|line| note(&line.resource, &line.name, ""));
        }
        Self(names)
    }

    /// A resource's name and unit.
    pub fn resource(&self, resource: &Resource) -> (String, String) {
        let (name, unit) = self.0.get(resource).cloned().unwrap_or_default();
        (if name.is_empty() { resource.to_string() } else { name }, unit)
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
    fn money_and_parts_in_words() {
        assert_eq!((yuan(-5).as_str(), yuan(380_000).as_str()), ("-0.05", "3800.00"));
        assert_eq!((percent(44, 60), percent(1, 0), percent(u64::MAX, 1)), (73, 0, u64::MAX));
    }
}
