//! What an index of a ledger is made of: its keys, and what their values say.
//!
//! Keys are record, `s`, subject, revision ([`Group`]) and record, `c`, time of the id, revision ([`Span`]). Both end with
//! the first revision they lead to; the value says how far behind that the others lie.

use shouwang_domain::code;
use shouwang_domain::ids::{CommandId, RecordId};
use shouwang_domain::subject::Subject;

/// Ledger records indexed at once, so that no entry reaches further than this behind its first revision.
pub(super) const PAGE: usize = 512;
/// Entries read at once, at most.
pub(super) const READ_MAX: usize = 1024;
/// Bits of an id's milliseconds that one span of time is long: 65 seconds.
const SPAN_BITS: u32 = 16;

/// A key, and its value.
pub(super) type Entry = (Vec<u8>, Vec<u8>);

/// What all keys of a record begin with.
pub(super) fn of_record(id: RecordId) -> Vec<u8> {
    id.0.to_vec()
}

/// What the keys of a subject begin with. No encoded subject is the beginning of another one.
pub(super) fn of_subject(id: RecordId, subject: &Subject) -> Vec<u8> {
    let mut key = of_record(id);
    key.push(b's');
    key.extend(code::encode(subject));
    key
}

/// What the keys of all commands begin with whose ids were made in the same span of time. An id of version 7 begins with its
/// milliseconds (RFC 9562, 5.7); what begins with something else is found by that all the same.
pub(super) fn of_span(id: RecordId, command: CommandId) -> Vec<u8> {
    let mut key = of_record(id);
    key.push(b'c');
    let span = command.0.as_u128() >> (80 + SPAN_BITS);
    key.extend(u32::try_from(span).expect("32 bits are left").to_be_bytes());
    key
}

/// A whole key.
pub(super) fn at_revision(mut prefix: Vec<u8>, revision: u64) -> Vec<u8> {
    prefix.extend(revision.to_be_bytes());
    prefix
}

fn revision_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.last_chunk()?))
}

fn distance(first: u64, revision: u64) -> u16 {
    u16::try_from(revision - first).expect("a page is shorter than that")
}

/// The revisions about a subject that one entry leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub first: u64,
    /// How far behind the first the others lie, in order.
    further: Vec<u16>,
}

impl Group {
    /// A revision by itself.
    pub fn of(first: u64) -> Self {
        Self { first, further: Vec::new() }
    }

    /// Takes in a later revision of the same page; the last one again does nothing.
    pub fn add(&mut self, revision: u64) {
        let distance = distance(self.first, revision);
        if distance > self.further.last().copied().unwrap_or(0) {
            self.further.push(distance);
        }
    }

    /// The entry's value, within the size of an index value; empty for a revision by itself.
    pub fn value(&self) -> Vec<u8> {
        self.further.iter().flat_map(|distance| distance.to_be_bytes()).collect()
    }

    /// What an entry says; none if it is not one of ours.
    pub fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        let (pairs, []) = value.as_chunks() else { return None };
        let further = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
        Some(Self { first: revision_of(key)?, further })
    }

    /// All of them, in order.
    pub fn revisions(&self) -> impl Iterator<Item = u64> {
        std::iter::once(0)
            .chain(self.further.iter().copied())
            .map(|distance| self.first.saturating_add(distance.into()))
    }
}

/// The commands of one page whose ids were made in the same span of time. A name for each command would cost more than all
/// the rest of the index; so an entry has a mark of each, and the ledger tells which command it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub first: u64,
    /// How far behind the first each lies, in order, with its mark.
    commands: Vec<(u16, [u8; 4])>,
}

impl Span {
    /// None yet, on a page of which this is the first revision with a command of the span.
    pub fn from(first: u64) -> Self {
        Self { first, commands: Vec::new() }
    }

    /// By what a command is told from most others: the end of its id, which is drawn by lot.
    pub fn mark(command: CommandId) -> [u8; 4] {
        let [.., a, b, c, d] = *command.0.as_bytes();
        [a, b, c, d]
    }

    /// Takes in the command of a later revision of the same page.
    pub fn add(&mut self, revision: u64, command: CommandId) {
        self.commands.push((distance(self.first, revision), Self::mark(command)));
    }

    /// The entry's value, within the size of an index value.
    pub fn value(&self) -> Vec<u8> {
        let bytes = |(distance, mark): &(u16, [u8; 4])| distance.to_be_bytes().into_iter().chain(*mark);
        self.commands.iter().flat_map(bytes).collect()
    }

    /// What an entry says; none if it is not one of ours.
    pub fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        let (commands, []) = value.as_chunks() else { return None };
        let commands =
            commands.iter().map(|[a, b, mark @ ..]: &[u8; 6]| (u16::from_be_bytes([*a, *b]), *mark)).collect();
        Some(Self { first: revision_of(key)?, commands })
    }

    /// Where this command may stand, in order.
    pub fn revisions(&self, command: CommandId) -> impl Iterator<Item = u64> {
        let mark = Self::mark(command);
        let marked = self.commands.iter().filter(move |(_, of)| *of == mark);
        marked.map(|(distance, _)| self.first.saturating_add((*distance).into()))
    }
}

#[cfg(test)]
mod tests {
    use shouwang_domain::hash::Hash32;
    use shouwang_store::index::MAX_VALUE_BYTES;

    use super::*;

    #[test]
    fn a_group_is_read_as_it_was_written() {
        let mut group = Group::of(7);
        assert!(group.value().is_empty());
        for revision in [7, 9, 9, 7 + PAGE as u64 - 1] {
            group.add(revision);
        }
        assert_eq!(group.revisions().collect::<Vec<_>>(), [7, 9, 518]);
        assert_eq!(Group::read(&at_revision(vec![1], 7), &group.value()), Some(group));
        assert_eq!(Group::read(&at_revision(vec![1], 7), &[0]), None);
        assert_eq!(Group::read(&[1], &[]), None);
        let whole = Group { first: 1, further: (1..512).collect() };
        assert_eq!(whole.further.len(), PAGE - 1);
        assert!(whole.value().len() <= MAX_VALUE_BYTES);
    }

    #[test]
    fn a_span_is_read_as_it_was_written_and_leads_to_what_may_be_the_command() {
        let (one, other) = (CommandId::from_u128(1 << 40 | 5), CommandId::from_u128(6));
        // Not the same command, but the same mark.
        let like_one = CommandId::from_u128(2 << 40 | 5);
        let mut span = Span::from(7);
        for (revision, command) in [(7, one), (8, other), (9, like_one)] {
            span.add(revision, command);
        }
        assert_eq!(span.revisions(one).collect::<Vec<_>>(), [7, 9]);
        assert_eq!(span.revisions(other).collect::<Vec<_>>(), [8]);
        assert_eq!(span.revisions(CommandId::from_u128(9)).count(), 0);
        assert_eq!(Span::read(&at_revision(vec![1], 7), &span.value()), Some(span));
        assert_eq!(Span::read(&at_revision(vec![1], 7), &[0; 5]), None);
        let mut whole = Span::from(1);
        (1..=PAGE as u64).for_each(|revision| whole.add(revision, one));
        assert!(whole.value().len() <= MAX_VALUE_BYTES);
    }

    #[test]
    fn ids_of_the_same_minute_share_a_span_and_others_do_not() {
        let id = |ms: u128, rest: u128| CommandId::from_u128(ms << 80 | rest);
        let of = |command| of_span(Hash32([3; 32]), command);
        let now = 1_780_000_000_000;
        assert_eq!(of(id(now >> 16 << 16, 0)), of(id(now | 0xffff, u128::from(u64::MAX))));
        assert_ne!(of(id(now, 0)), of(id(now + 0x1_0000, 0)));
        assert_ne!(of(id(now, 0)), of_span(Hash32([4; 32]), id(now, 0)));
        assert!(of(CommandId::from_u128(u128::MAX)).starts_with(&[3; 32]));
    }
}
