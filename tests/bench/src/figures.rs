//! From many measurements to one figure.

use std::time::Duration;

/// The value below which `part` (0 to 1) of the values lie, by the nearest rank; `None` of no values. Sorts them.
pub fn quantile(values: &mut [Duration], part: f64) -> Option<Duration> {
    values.sort_unstable();
    // A rank from 1 to the length: no sign and nothing to lose.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let rank = (part.clamp(0.0, 1.0) * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

/// The one in the middle, or what lies between the two in the middle; NaN of no values.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len(), values.len() % 2) {
        (0, _) => f64::NAN,
        (_, 1) => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// A count as a number to divide.
#[expect(clippy::cast_precision_loss, reason = "counts of a run lie far below 2^52")]
pub fn number(count: u64) -> f64 {
    count as f64
}

/// Milliseconds.
pub fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let ms = Duration::from_millis;
        for (values, part, expected) in [
            (vec![], 0.5, None),
            (vec![7], 0.0, Some(7)),
            (vec![7], 0.99, Some(7)),
            (vec![3, 1, 2], 0.5, Some(2)),
            (vec![4, 3, 2, 1], 0.5, Some(2)),
            ((1..=100).collect(), 0.99, Some(99)),
            ((1..=100).collect(), 1.0, Some(100)),
            ((1..=1000).rev().collect(), 0.99, Some(990)),
        ] {
            let mut durations: Vec<Duration> = values.iter().map(|value| ms(*value)).collect();
            assert_eq!(quantile(&mut durations, part), expected.map(ms), "{part} of {values:?}");
        }
    }

    #[test]
    fn a_median_is_not_moved_by_one_bad_round() {
        for (values, expected) in
            [(vec![5.0], 5.0), (vec![1.0, 2.0], 1.5), (vec![2.0, 900.0, 1.0], 2.0), (vec![4.0, 1.0, 3.0, 2.0], 2.5)]
        {
            assert!((median(&values) - expected).abs() < 1e-9, "{values:?}");
        }
        assert!(median(&[]).is_nan());
    }
}
