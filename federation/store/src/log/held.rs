//! What a log holds, checked by sums that are written with every batch: what is recovered must add up to what was there,
//! whichever part of a file has gone.

use std::collections::VecDeque;

use super::{ConfState, Entry, HardState, LogBase, LogEnd, LogWrite, Span};
use crate::{
    codec::{Decoder, Encoder},
    error::Result,
};

/// One record's log as it was last written.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    pub base: LogBase,
    pub end: LogEnd,
    pub sums: Sums,
    pub entries: Entries,
}

/// One checksum per entry, from the base on, and what they add up to.
#[derive(Debug, Clone, Default)]
pub(super) struct Entries {
    each: VecDeque<u32>,
    total: u32,
}

impl Entries {
    fn push(&mut self, sum: u32) {
        self.each.push_back(sum);
        self.total = self.total.wrapping_add(sum);
    }

    /// Takes off what stands from `keep` on.
    fn cut(&mut self, keep: usize) -> VecDeque<u32> {
        let gone = self.each.split_off(keep.min(self.each.len()));
        self.total = gone.iter().fold(self.total, |total, sum| total.wrapping_sub(*sum));
        gone
    }

    /// Takes off the first `count`.
    fn drop_first(&mut self, count: usize) {
        for sum in self.each.drain(..count.min(self.each.len())) {
            self.total = self.total.wrapping_sub(sum);
        }
    }
}

/// What a write has changed, so that it can be taken back if the disk does not take it.
#[derive(Debug)]
pub(super) struct Undo {
    before: (LogBase, LogEnd, Sums),
    replaced: Option<Entries>,
    added: usize,
    cut: VecDeque<u32>,
}

/// Checksums of what a log holds beside its entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub hard_state: u32,
    pub conf_state: u32,
}

/// The end of a log as it is stored with every batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredEnd {
    pub end: LogEnd,
    pub sums: Sums,
}

impl StoredEnd {
    pub fn encode(&self) -> Vec<u8> {
        let LogEnd { write, index, term, crc } = self.end;
        let Sums { hard_state, conf_state } = self.sums;
        Encoder::default().u64(write).u64(index).u64(term).u32(crc).u32(hard_state).u32(conf_state).0
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut d = Decoder(bytes);
        let end = LogEnd { write: d.u64()?, index: d.u64()?, term: d.u64()?, crc: d.u32()? };
        Some(Self { end, sums: Sums { hard_state: d.u32()?, conf_state: d.u32()? } })
    }
}

impl Held {
    pub fn span(&self) -> Span {
        Span { base: self.base, last: self.end.index }
    }

    pub fn stored_end(&self) -> StoredEnd {
        StoredEnd { end: self.end, sums: self.sums }
    }

    /// Counts one more entry that was read back.
    pub fn push(&mut self, sum: u32) {
        self.entries.push(sum);
    }

    /// How many entries are counted.
    pub fn count(&self) -> u64 {
        self.entries.each.len() as u64
    }

    /// Carries out `write`, the node's write number `number`.
    ///
    /// # Errors
    /// `Invalid` if it does not fit; nothing is changed.
    pub fn apply(&mut self, write: &LogWrite, number: u64) -> Result<Undo> {
        let span = self.span().after(write)?;
        let before = (self.base, self.end, self.sums);
        let mut undo = Undo { before, replaced: None, added: 0, cut: VecDeque::new() };
        self.base = span.base;
        if let Some(base) = write.reset_to {
            undo.replaced = Some(std::mem::take(&mut self.entries));
            (self.end.index, self.end.term) = (base.index, base.term);
        }
        if let (Some(first), Some(last)) = (write.entries.first(), write.entries.last()) {
            let keep = first.index - span.base.index - 1;
            undo.cut = self.entries.cut(usize::try_from(keep).unwrap_or(usize::MAX));
            undo.added = write.entries.len();
            write.entries.iter().for_each(|entry| self.entries.push(entry_sum(entry)));
            (self.end.index, self.end.term) = (last.index, last.term);
        }
        if let Some(hard_state) = &write.hard_state {
            self.sums.hard_state = hard_state_sum(hard_state);
        }
        if let Some((index, conf_state)) = &write.conf_state {
            self.sums.conf_state = conf_state_sum(*index, conf_state);
        }
        self.finish(number);
        Ok(undo)
    }

    /// Takes the last write back.
    pub fn undo(&mut self, undo: Undo) {
        let Undo { before, replaced, added, cut } = undo;
        (self.base, self.end, self.sums) = before;
        if let Some(entries) = replaced {
            self.entries = entries;
            return;
        }
        self.entries.cut(self.entries.each.len() - added);
        for sum in cut {
            self.entries.push(sum);
        }
    }

    /// Drops the entries up to `base`.
    pub fn compact(&mut self, base: LogBase, number: u64) {
        self.entries.drop_first(usize::try_from(base.index - self.base.index).unwrap_or(usize::MAX));
        self.base = base;
        if self.entries.each.is_empty() {
            (self.end.index, self.end.term) = (base.index, base.term);
        }
        self.finish(number);
    }

    fn finish(&mut self, number: u64) {
        self.end.write = number;
        self.end.crc = self.sum();
    }

    /// The checksum over everything: the parts are added, each covers its place.
    pub fn sum(&self) -> u32 {
        let Sums { hard_state, conf_state } = self.sums;
        let base = crc32fast::hash(&Encoder::default().u64(self.base.index).u64(self.base.term).0);
        // Not simply added, or the two could be exchanged.
        let rest = crc32fast::hash(&Encoder::default().u32(hard_state).u32(conf_state).u32(base).0);
        self.entries.total.wrapping_add(rest)
    }
}

/// The checksum of one entry with its place.
pub(super) fn entry_sum(entry: &Entry) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let kind = entry.get_entry_type() as u8;
    hasher.update(&Encoder::default().u64(entry.index).u64(entry.term).u8(kind).0);
    hasher.update(&(entry.data.len() as u64).to_le_bytes());
    hasher.update(&entry.data);
    hasher.update(&entry.context);
    hasher.finalize()
}

/// The checksum of a hard state; 0 where none was written.
pub(super) fn hard_state_sum(state: &HardState) -> u32 {
    crc32fast::hash(&Encoder::default().u64(state.term).u64(state.vote).u64(state.commit).0)
}

/// The checksum of a membership with the entry that made it; 0 where none was written.
pub(super) fn conf_state_sum(index: u64, conf: &ConfState) -> u32 {
    crc32fast::hash(&Encoder::default().u64(index).conf(conf).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{
        RecordSlot,
        tests::{append, reset, vote},
    };

    #[test]
    fn the_sum_covers_everything_and_does_not_depend_on_the_way_there() {
        let slot = RecordSlot(1);
        let held = |writes: &[LogWrite]| {
            let mut held = Held::default();
            for (write, number) in writes.iter().zip(1..) {
                held.apply(write, number).unwrap();
            }
            held
        };
        let straight = held(&[append(slot, 1..=6, 2)]);
        let overwritten = held(&[append(slot, 1..=9, 1), append(slot, 1..=6, 2)]);
        assert_eq!((straight.end.crc, straight.count()), (overwritten.end.crc, 6));
        let mut compacted = straight.clone();
        compacted.compact(LogBase { index: 4, term: 2 }, 3);
        let begun_there = held(&[reset(slot, 4, 2), append(slot, 5..=6, 2)]);
        assert_eq!(compacted.end.crc, begun_there.end.crc);
        let conf = LogWrite { conf_state: Some((3, ConfState::default())), ..LogWrite::new(slot) };
        let more = [vote(slot, 3), append(slot, 6..=6, 3), append(slot, 7..=7, 2), conf, reset(slot, 2, 1)];
        let mut sums = vec![straight.end.crc, compacted.end.crc];
        for write in more {
            let mut held = straight.clone();
            let undo = held.apply(&write, 2).unwrap();
            sums.push(held.end.crc);
            assert_eq!(StoredEnd::decode(&held.stored_end().encode()), Some(held.stored_end()));
            held.undo(undo);
            assert_eq!((held.end, held.sum(), held.count()), (straight.end, straight.end.crc, 6));
        }
        sums.sort_unstable();
        sums.dedup();
        assert_eq!(sums.len(), 7, "every difference shows");
        let mut emptied = straight.clone();
        emptied.compact(LogBase { index: 6, term: 2 }, 4);
        assert_eq!((emptied.end.index, emptied.end.term, emptied.count()), (6, 2, 0));
    }
}
