//! What is held, pledged, asked for and moved.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::IdError;
use crate::quantity::Qty;

/// An item by its seven-digit code in GB/T 38565-2020, layers 1+2+2+2. The deeper table is the user's catalogue; no
/// code is ever made up here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct ItemCode(u32);

impl ItemCode {
    /// Accepts seven digits of which the first is 1 (基本生活保障物资), 2 (应急装备及配套物资) or 3 (工程材料与机械加工设备).
    ///
    /// # Errors
    /// Any other number.
    pub fn new(code: u32) -> Result<Self, IdError> {
        if (1_000_000..=3_999_999).contains(&code) { Ok(Self(code)) } else { Err(IdError::Item(code.to_string())) }
    }
}

impl TryFrom<u32> for ItemCode {
    type Error = IdError;
    fn try_from(code: u32) -> Result<Self, IdError> {
        Self::new(code)
    }
}

impl From<ItemCode> for u32 {
    fn from(code: ItemCode) -> u32 {
        code.0
    }
}

impl FromStr for ItemCode {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError::Item(text.to_owned());
        if text.len() != 7 {
            return Err(wrong());
        }
        text.parse().ok().and_then(|code| Self::new(code).ok()).ok_or_else(wrong)
    }
}

impl fmt::Display for ItemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The kind of a team or vehicle, as the charter's members agree to spell it (`hazmat-team`, `air-refill-truck`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitKind(String);

impl UnitKind {
    /// Accepts 1 to 32 lower-case letters, digits and hyphens.
    ///
    /// # Errors
    /// Any other text.
    pub fn new(text: &str) -> Result<Self, IdError> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(IdError::Kind(text.to_owned())) }
    }
}

impl TryFrom<String> for UnitKind {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(&text)
    }
}

impl From<UnitKind> for String {
    fn from(kind: UnitKind) -> String {
        kind.0
    }
}

impl fmt::Display for UnitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the region knows how to ask for: a catalogued item in units, or whole teams and vehicles.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Goods under a catalogue code.
    Item(ItemCode),
    /// A rescue team (队伍).
    Team(UnitKind),
    /// A vehicle (车辆).
    Vehicle(UnitKind),
}

impl Resource {
    /// Whether it moves as one whole: a team or a vehicle, always in quantity one.
    pub fn is_unit(&self) -> bool {
        !matches!(self, Self::Item(_))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item(code) => write!(f, "{code}"),
            Self::Team(kind) => write!(f, "team:{kind}"),
            Self::Vehicle(kind) => write!(f, "vehicle:{kind}"),
        }
    }
}

impl FromStr for Resource {
    type Err = IdError;
    /// Reads `2160401`, `team:hazmat` or `vehicle:air-refill-truck`.
    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.split_once(':') {
            Some(("team", kind)) => UnitKind::new(kind).map(Self::Team),
            Some(("vehicle", kind)) => UnitKind::new(kind).map(Self::Vehicle),
            _ => text.parse().map(Self::Item),
        }
    }
}

/// Whose money bought the stock and under which scheme it is kept (domain.md §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StockClass {
    /// 政府
    Government,
    /// 企业代储
    EnterpriseContracted,
    /// 企业自储
    EnterpriseOwn,
    /// 慈善
    Charity,
    /// 上级
    Superior,
}

/// Whether the goods can be used as they are. Only 可用 counts as available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// 可用
    Usable,
    /// 待检
    AwaitingInspection,
    /// 待修
    UnderRepair,
    /// 报废
    Condemned,
}

/// A warning colour (预警颜色), set by hand; it chooses which floor holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// No warning.
    #[default]
    None,
    /// 蓝
    Blue,
    /// 黄
    Yellow,
    /// 橙
    Orange,
    /// 红
    Red,
}

/// How an owner lets others see a figure (domain.md §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// The number itself.
    Exact,
    /// The lower end of a band.
    Banded,
    /// "Ask us".
    AskUs,
    /// Nothing leaves the node.
    Hidden,
}

/// A figure as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Exactly this many.
    Exact(Qty),
    /// At least this many: the lower end of its band.
    AtLeast(Qty),
    /// The owner answers when asked.
    AskUs,
    /// No longer published.
    Withdrawn,
}

/// Lower ends of the bands, in units: a banded figure is sent again only when it moves into another.
const BANDS: [u64; 14] = [0, 1, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000, 1_000_000];

impl Figure {
    /// What `qty` looks like under a visibility.
    pub fn of(qty: Qty, visibility: Visibility) -> Self {
        match visibility {
            Visibility::Exact => Self::Exact(qty),
            Visibility::Banded => {
                let band = BANDS.iter().rev().find(|band| **band <= qty.0);
                Self::AtLeast(Qty(band.copied().unwrap_or_default()))
            }
            Visibility::AskUs => Self::AskUs,
            Visibility::Hidden => Self::Withdrawn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_read_back_as_they_are_written() {
        for text in ["2160401", "team:hazmat", "vehicle:air-refill-truck"] {
            assert_eq!(text.parse::<Resource>().unwrap().to_string(), text);
        }
        for text in ["0160401", "4160401", "216040", "21604010", "team:", "team:Hazmat", "boat:x", ""] {
            assert!(text.parse::<Resource>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_band_never_tells_more_than_there_is() {
        for (qty, band) in [(0, 0), (1, 1), (9, 1), (99, 50), (100, 100), (9_999_999, 1_000_000)] {
            assert_eq!(Figure::of(Qty(qty), Visibility::Banded), Figure::AtLeast(Qty(band)));
        }
    }
}
