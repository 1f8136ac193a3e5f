//! Whole numbers of an item's base unit, and money in 分. No floats, no silent rounding, no overflow.

use std::fmt;
use std::iter::Sum;

use serde::{Deserialize, Serialize};

/// A count of base units (件, 套, 人 …), 0..=[`Qty::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Qty(pub u64);

impl Qty {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One (a team, a vehicle).
    pub const ONE: Self = Self(1);
    /// The largest quantity a single document may name: 10^12. Sums of a million documents still fit in 64 bits.
    pub const MAX: Self = Self(1_000_000_000_000);

    /// Whether this is nothing.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The difference, or `None` if it would go below zero.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The difference, or zero.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::ops::Add for Qty {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::AddAssign for Qty {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Qty {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, |a, b| a + b)
    }
}

impl fmt::Display for Qty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Money in 分 (1/100 yuan); negative amounts are owed the other way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fen(pub i64);

impl Fen {
    /// `qty` times this unit price; saturates at the bounds of 64 bits.
    pub fn times(self, qty: Qty) -> Self {
        Self(self.0.saturating_mul(i64::try_from(qty.0).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Fen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02}", (self.0 / 100).abs(), (self.0 % 100).abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_differences_stay_in_bounds() {
        let (most, one) = (Qty(u64::MAX), Qty::ONE);
        assert_eq!((most + one, [most, one].into_iter().sum::<Qty>()), (most, most));
        assert_eq!((Qty(3).checked_sub(Qty(3)), Qty(3).checked_sub(Qty(4))), (Some(Qty::ZERO), None));
        assert_eq!(Qty(3).saturating_sub(Qty(4)), Qty::ZERO);
        assert_eq!((0..1_000_000).map(|_| Qty::MAX).sum::<Qty>(), Qty(1_000_000 * Qty::MAX.0), "a million documents");
    }

    #[test]
    fn money_is_shown_in_yuan_and_never_wraps() {
        for (fen, shown) in [(0, "0.00"), (5, "0.05"), (380_000, "3800.00"), (-5, "-0.05"), (-12_345, "-123.45")] {
            assert_eq!(Fen(fen).to_string(), shown);
        }
        assert_eq!(Fen(i64::MIN).to_string(), "-92233720368547758.08");
        assert_eq!(Fen(3).times(Qty(4)), Fen(12));
        assert_eq!(Fen(i64::MAX).times(Qty(2)), Fen(i64::MAX));
        assert_eq!(Fen(-1).times(Qty(u64::MAX)), Fen(-i64::MAX));
    }
}
