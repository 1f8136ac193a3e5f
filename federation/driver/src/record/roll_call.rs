//! Who of a record's group was heard when, and by whom. A follower has no line of its own to most of the others: the
//! leader hears all of them, and tells.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shouwang_domain::ids::NodeId;
use shouwang_proto::replication::v1 as proto;
use shouwang_replica::Timing;
use shouwang_replica::eraftpb::ConfState;

use crate::status::{Contact, Heard, Touch};

/// The leader looks this often whether there is something new to tell.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The leader tells at least this often, so that a lost word does no lasting harm.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Silences are told in steps of this: said to the millisecond of each of hundreds, to each of hundreds, they are what nothing
/// compresses, and nobody reads them so closely.
const TELL_BY_MS: u64 = 1000;
/// What a leader told longer ago than this no longer counts as its word.
const WORD_LASTS: Duration = Duration::from_secs(25);
/// Nobody is called silent sooner than this: a screen for people need not know about every hiccup.
const SILENT_AFTER_MIN: Duration = Duration::from_secs(3);

/// How long nothing may be heard of a leader that is there: then an election is due.
pub(crate) fn silence_of_a_leader(timing: &Timing) -> Duration {
    Duration::from_millis(u64::from(timing.tick_ms)) * (timing.election_ticks + timing.heartbeat_ticks)
}

/// How long a node may be silent and still be in touch.
pub fn in_touch_within(timing: &Timing) -> Duration {
    silence_of_a_leader(timing).max(SILENT_AFTER_MIN)
}

/// A node's own standing, by which it judges the others.
pub struct Own {
    /// Which node it is.
    pub node: NodeId,
    /// Whether it is in touch with the quorum.
    pub in_touch: bool,
    /// The leader it knows.
    pub leader: Option<NodeId>,
    /// How long a node may be silent and still be in touch.
    pub within: Duration,
}

impl Own {
    fn leads(&self) -> bool {
        self.leader == Some(self.node)
    }
}

/// Who was heard when.
#[derive(Default)]
pub struct RollCall(Mutex<Book>);

#[derive(Default)]
struct Book {
    /// When this node last heard each node itself.
    heard: BTreeMap<NodeId, Instant>,
    /// The latest that leaders have told of each node: when it was heard, and which leader told it.
    told: BTreeMap<NodeId, (Instant, NodeId)>,
    /// What the leader has told last.
    word: Option<Word>,
    /// Since when this node leads.
    leads_since: Option<Instant>,
}

struct Word {
    by: NodeId,
    at: Instant,
    in_touch: BTreeMap<NodeId, bool>,
}

impl RollCall {
    fn book(&self) -> MutexGuard<'_, Book> {
        // Single insertions and assignments: whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This node has heard `node` itself.
    pub fn heard(&self, node: NodeId, now: Instant) {
        self.book().heard.insert(node, now);
    }

    /// When this node last heard the leader itself, or, leading, a quorum of `conf`, itself among it; none for never.
    pub fn quorum_heard(&self, own: NodeId, leader: NodeId, conf: &ConfState, now: Instant) -> Option<Instant> {
        let book = self.book();
        let heard = |node: NodeId| if node == own { Some(now) } else { book.heard.get(&node).copied() };
        if leader != own {
            return heard(leader);
        }
        let majority = |voters: &[u64]| {
            let mut heard: Vec<_> = voters.iter().map(|id| NodeId::try_from(*id).ok().and_then(heard)).collect();
            heard.sort_unstable();
            // Of three voters the second latest, of four the third: so many have been heard since.
            heard.get((voters.len().max(1) - 1) / 2).copied().flatten()
        };
        let old = conf.get_voters_outgoing();
        let new = majority(conf.get_voters())?;
        if old.is_empty() { Some(new) } else { majority(old).map(|old| old.min(new)) }
    }

    /// This node leads from now on, or does not any more.
    pub fn leads(&self, leads: bool, now: Instant) {
        let mut book = self.book();
        book.leads_since = leads.then(|| book.leads_since.unwrap_or(now));
    }

    /// Takes a leader's word about the nodes of the group; what it says of others is left aside.
    pub fn told(&self, by: NodeId, word: &proto::RollCall, group: &[NodeId], now: Instant) {
        let mut in_touch = BTreeMap::new();
        let mut book = self.book();
        for contact in &word.nodes {
            let Some(node) = NodeId::try_from(contact.node_id).ok().filter(|node| group.contains(node)) else {
                continue;
            };
            in_touch.insert(node, contact.in_touch);
            let ago = contact.silent_ms.map(Duration::from_millis);
            if let Some(at) = ago.and_then(|ago| now.checked_sub(ago))
                && book.told.get(&node).is_none_or(|(known, _)| *known <= at)
            {
                book.told.insert(node, (at, by));
            }
        }
        book.word = Some(Word { by, at: now, in_touch });
        book.told.retain(|node, _| group.contains(node));
        book.heard.retain(|node, _| group.contains(node));
    }

    /// How things stand with each node of the group, as far as this node can tell.
    pub fn of(&self, group: &[NodeId], own: &Own, now: Instant) -> Vec<Contact> {
        let book = self.book();
        group.iter().map(|node| book.contact(*node, own, now)).collect()
    }
}

impl Book {
    fn contact(&self, node: NodeId, own: &Own, now: Instant) -> Contact {
        if node == own.node {
            let touch = if own.in_touch { Touch::InTouch } else { Touch::Silent };
            return Contact { node, touch, heard: None };
        }
        let heard = self.heard.get(&node).map(|at| (*at, own.node));
        // Of two at the same time, that of one's own ears.
        let latest = self.told.get(&node).copied().into_iter().chain(heard).max_by_key(|(at, _)| *at);
        let heard = latest.map(|(at, by)| Heard { ago: now.saturating_duration_since(at), by });
        Contact { node, touch: self.touch(node, heard, own, now), heard }
    }

    fn touch(&self, node: NodeId, latest: Option<Heard>, own: &Own, now: Instant) -> Touch {
        let lately = |at: Instant| now.saturating_duration_since(at) <= own.within;
        if self.heard.get(&node).copied().is_some_and(lately) {
            return Touch::InTouch;
        }
        // Cut off, a node believes nothing but its own ears.
        if !own.in_touch {
            return Touch::Unknown;
        }
        if latest.is_some_and(|heard| heard.ago <= own.within) {
            return Touch::InTouch;
        }
        if own.leads() {
            // A new leader gives everybody the time to be heard.
            let had_time = self.leads_since.is_some_and(|since| now.saturating_duration_since(since) > own.within);
            return if had_time { Touch::Silent } else { Touch::Unknown };
        }
        let fresh = |word: &&Word| Some(word.by) == own.leader && now.saturating_duration_since(word.at) <= WORD_LASTS;
        match self.word.as_ref().filter(fresh).and_then(|word| word.in_touch.get(&node)) {
            Some(true) => Touch::InTouch,
            Some(false) => Touch::Silent,
            None => Touch::Unknown,
        }
    }
}

/// How many steps a silence lasts, the last of them begun.
fn steps(silence: Duration) -> u64 {
    u64::try_from(silence.as_millis()).unwrap_or(u64::MAX).div_ceil(TELL_BY_MS)
}

/// When the leader tells, and what it has told.
#[derive(Default)]
pub struct Teller {
    next_look: Option<Instant>,
    told: Option<(Instant, Vec<(NodeId, Touch)>)>,
}

impl Teller {
    /// Whether it is time to look.
    pub fn is_due(&self, now: Instant) -> bool {
        self.next_look.is_none_or(|at| at <= now)
    }

    /// What to tell now, if it is time and something has changed by a step or was not told for long.
    pub fn word(&mut self, contacts: &[Contact], now: Instant) -> Option<proto::RollCall> {
        self.next_look = Some(now + LOOK_EVERY);
        let standing: Vec<_> = contacts.iter().map(|contact| (contact.node, contact.touch)).collect();
        let told = |(at, before): &(Instant, Vec<_>)| *before == standing && now < *at + TELL_EVERY;
        if self.told.as_ref().is_some_and(told) {
            return None;
        }
        self.told = Some((now, standing));
        let known = contacts.iter().filter(|contact| contact.touch != Touch::Unknown);
        let nodes = known.map(|contact| proto::RollCallEntry {
            node_id: contact.node.get(),
            in_touch: contact.touch == Touch::InTouch,
            // Rounded up: it was heard so long ago at most.
            silent_ms: contact.heard.map(|heard| steps(heard.ago).saturating_mul(TELL_BY_MS)),
        });
        Some(proto::RollCall { nodes: nodes.collect() })
    }

    /// Somebody else leads: the next time everything is told anew.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use shouwang_domain::ids::MunicipalityCode;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(3);

    fn node(n: u32) -> NodeId {
        NodeId::new(MunicipalityCode::new(150_000 + 100 * n).unwrap(), 1).unwrap()
    }

    fn group() -> Vec<NodeId> {
        (1..=4).map(node).collect()
    }

    fn own(n: u32, leader: Option<u32>, in_touch: bool) -> Own {
        Own { node: node(n), in_touch, leader: leader.map(node), within: WITHIN }
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn touches(contacts: &[Contact]) -> Vec<Touch> {
        contacts.iter().map(|contact| contact.touch).collect()
    }

    use Touch::{InTouch, Silent, Unknown};

    #[test]
    fn the_leader_calls_silent_only_whom_it_gave_time() {
        let (contacts, start) = (RollCall::default(), Instant::now());
        contacts.leads(true, start);
        contacts.heard(node(2), start + secs(2));
        let leader = own(1, Some(1), true);
        assert_eq!(touches(&contacts.of(&group(), &leader, start + secs(2))), [InTouch, InTouch, Unknown, Unknown]);
        contacts.leads(true, start + secs(3));
        contacts.heard(node(3), start + secs(4));
        let seen = contacts.of(&group(), &leader, start + secs(6));
        assert_eq!(touches(&seen), [InTouch, Silent, InTouch, Silent], "leading on is not leading anew");
        assert_eq!(seen[1].heard, Some(Heard { ago: secs(4), by: node(1) }));
        assert_eq!((seen[0].heard, seen[3].heard), (None, None), "oneself, and never");
    }

    #[test]
    fn the_leaders_word_ages_and_ends_with_it() {
        let (contacts, start) = (RollCall::default(), Instant::now() + secs(3600));
        let contact = |n, in_touch, silent_ms| proto::RollCallEntry { node_id: node(n).get(), in_touch, silent_ms };
        let stranger = proto::RollCallEntry { node_id: node(9).get(), in_touch: true, silent_ms: Some(1) };
        let word =
            proto::RollCall { nodes: vec![contact(3, true, Some(500)), contact(4, false, Some(60_000)), stranger] };
        contacts.told(node(1), &word, &group(), start);
        contacts.heard(node(1), start);
        let follower = own(2, Some(1), true);
        let seen = contacts.of(&group(), &follower, start + secs(1));
        assert_eq!(touches(&seen), [InTouch, InTouch, InTouch, Silent]);
        assert_eq!(seen[3].heard, Some(Heard { ago: secs(61), by: node(1) }));
        assert!(!contacts.book().told.contains_key(&node(9)), "others are left aside");
        let at = |own: &Own, after| touches(&contacts.of(&group(), own, start + after));
        assert_eq!(at(&follower, secs(20)), [Unknown, InTouch, InTouch, Silent], "it stands until it is old");
        assert_eq!(at(&follower, secs(26)), [Unknown, InTouch, Unknown, Unknown]);
        assert_eq!(at(&own(2, Some(4), true), secs(5)), [Unknown, InTouch, Unknown, Unknown], "another leads now");
        // Cut off, it believes its own ears alone, and for as long as they would do for a leader.
        assert_eq!(at(&own(2, None, false), secs(1)), [InTouch, Silent, Unknown, Unknown]);
        assert_eq!(at(&own(2, None, false), secs(4)), [Unknown, Silent, Unknown, Unknown]);
    }

    #[test]
    fn a_quorum_is_heard_when_its_slowest_is() {
        let (contacts, start) = (RollCall::default(), Instant::now());
        let mut conf = ConfState::default();
        conf.set_voters((1..=4).map(|n| node(n).get()).collect());
        let heard = |conf: &ConfState| contacts.quorum_heard(node(1), node(1), conf, start + secs(9));
        assert_eq!(heard(&conf), None);
        contacts.heard(node(2), start + secs(2));
        assert_eq!(heard(&conf), None, "two of four are none");
        contacts.heard(node(3), start + secs(5));
        assert_eq!(heard(&conf), Some(start + secs(2)));
        contacts.heard(node(4), start + secs(7));
        assert_eq!(heard(&conf), Some(start + secs(5)));
        conf.set_voters_outgoing(vec![node(2).get()]);
        assert_eq!(heard(&conf), Some(start + secs(2)), "both memberships must be heard");
        assert_eq!(contacts.quorum_heard(node(1), node(3), &conf, start + secs(9)), Some(start + secs(5)));
        let mut alone = ConfState::default();
        alone.set_voters(vec![node(1).get()]);
        assert_eq!(heard(&alone), Some(start + secs(9)));
    }

    #[test]
    fn it_is_told_by_steps_and_now_and_then() {
        let (mut teller, start) = (Teller::default(), Instant::now());
        let contact = |touch, ago| Contact { node: node(2), touch, heard: Some(Heard { ago, by: node(1) }) };
        assert!(teller.is_due(start));
        assert_eq!(teller.word(&[contact(InTouch, secs(0))], start).unwrap().nodes.len(), 1);
        assert!(!teller.is_due(start + LOOK_EVERY / 2) && teller.is_due(start + LOOK_EVERY));
        assert_eq!(teller.word(&[contact(InTouch, secs(2))], start + secs(1)), None, "a second more is no step");
        let word = teller.word(&[contact(Silent, secs(4))], start + secs(2)).unwrap();
        assert_eq!((word.nodes[0].in_touch, word.nodes[0].silent_ms), (false, Some(4000)));
        let (mut told, at_most) = (Teller::default(), |ms| contact(InTouch, Duration::from_millis(ms)));
        for (ms, expected) in [(0, 0), (1, 1000), (480, 1000), (1001, 2000)] {
            told.forget();
            assert_eq!(told.word(&[at_most(ms)], start).unwrap().nodes[0].silent_ms, Some(expected), "{ms}");
        }
        assert_eq!(teller.word(&[contact(Silent, secs(13))], start + secs(11)), None);
        assert!(teller.word(&[contact(Silent, secs(14))], start + secs(12)).is_some());
        assert_eq!(teller.word(&[contact(Unknown, secs(14))], start + secs(13)).unwrap().nodes, []);
        teller.forget();
        assert!(teller.word(&[contact(Unknown, secs(14))], start + secs(14)).is_some());
    }

    #[test]
    fn a_hiccup_is_not_silence() {
        assert_eq!(in_touch_within(&Timing::lan()), secs(3));
        assert_eq!(in_touch_within(&Timing::wan()), Duration::from_millis(5500));
    }
}
