//! Those who have just been answered often ask again at once: clients that send one command after the other, gateways, an import.
//! A batch costs every node a signature to check, an entry and a frame, whatever it holds; so the first that comes back waits a
//! moment for the others. Where nobody comes back, that is noticed, and soon nobody waits any more.

use std::time::Instant;

use super::batching::ECHO;

/// After so many waits in vain in a row, the next is as far away as it ever gets: two to their power of batches.
const IN_VAIN_MAX: u32 = 8;

/// Whom a node expects to ask again.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    expected: Option<Expected>,
    /// Waits in a row for which too few came.
    in_vain: u32,
    /// So many answered batches are nothing to wait after.
    skip: u32,
}

#[derive(Clone, Copy, Debug)]
struct Expected {
    /// So many waited before the answer: when they are here again, all are.
    all: usize,
    /// So many of them were not answered, and wait still.
    stayed: usize,
    until: Instant,
}

impl Echo {
    /// A batch of this node was answered. So many had waited, for it or for the next, and so many do still.
    pub fn answered(&mut self, waited: usize, here: usize, now: Instant) {
        if self.skip > 0 {
            self.skip -= 1;
        } else {
            self.expected = Some(Expected { all: waited, stayed: here, until: now + ECHO });
        }
    }

    /// How many more are waited for, and until when, if so many wait already.
    pub fn missing(&self, here: usize) -> Option<(usize, Instant)> {
        let Expected { all, until, .. } = self.expected?;
        Some((all.checked_sub(here).filter(|missing| *missing > 0)?, until))
    }

    /// A batch goes out, and so many wait, its own among them: has it been worth it?
    pub fn went_out(&mut self, here: usize) {
        let Some(Expected { all, stayed, .. }) = self.expected.take() else { return };
        if 2 * here.saturating_sub(stayed) >= all.saturating_sub(stayed) {
            self.in_vain = 0;
        } else {
            self.in_vain = (self.in_vain + 1).min(IN_VAIN_MAX);
            self.skip = (1 << self.in_vain) - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_answered_is_waited_for_until_all_are_here_or_it_is_time() {
        let (mut echo, now) = (Echo::default(), Instant::now());
        assert_eq!(echo.missing(1), None, "nobody has been answered");
        echo.answered(1, 0, now);
        assert_eq!(echo.missing(1), None, "who is alone waits for nobody");
        echo.answered(16, 3, now);
        for (here, missing) in [(1, Some(15)), (15, Some(1)), (16, None), (20, None)] {
            assert_eq!(echo.missing(here), missing.map(|missing| (missing, now + ECHO)), "{here}");
        }
        echo.went_out(16);
        assert_eq!(echo.missing(1), None, "it has gone out");
    }

    #[test]
    fn where_nobody_comes_back_it_is_waited_for_less_and_less() {
        let (mut echo, now) = (Echo::default(), Instant::now());
        // Of sixteen six are not answered each time.
        let mut waits = |back: usize, batches: u32| -> u32 {
            (0..batches)
                .map(|_| {
                    echo.answered(16, 6, now);
                    let waits = echo.missing(7).is_some();
                    echo.went_out(6 + back);
                    u32::from(waits)
                })
                .sum()
        };
        assert_eq!(waits(5, 100), 100, "half of them come back");
        assert_eq!(waits(4, 3), 2, "then fewer: it is waited for them, and not, and again");
        assert!(waits(1, 1000) < 15);
        assert!(waits(10, 2 << IN_VAIN_MAX) > 0, "it is tried again now and then");
        assert_eq!(waits(10, 100), 100, "and they are back");
    }
}
