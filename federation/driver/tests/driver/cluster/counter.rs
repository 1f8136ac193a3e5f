//! A machine small enough to see through: a sum, a group, a timer, an inbox of numbered additions, and a second level.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shouwang_domain::code::{self, CodeError};
use shouwang_domain::hash::{Bytes, SignatureAlgorithm};
use shouwang_domain::ids::NodeId;
use shouwang_domain::machine::{Context, GroupNode, Machine, Signer};
use shouwang_domain::refusal::Refusal;
use shouwang_domain::subject::Subject;
use shouwang_domain::time::Timestamp;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    pub key: Bytes,
    pub voter: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Genesis {
    pub name: String,
    pub members: BTreeMap<NodeId, Member>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Ask {
    Add(u64),
    /// Refused unless the sum is at least this.
    Need(u64),
    Admit(NodeId, Member),
    Expel(NodeId),
    /// Adds one when the time comes.
    Alarm(Timestamp),
    /// As the courier's messages: counted, never expiring, each number once.
    Numbered(u64),
    Note(Bytes),
    /// Of the first level: the next one begins.
    Raise(u32),
    /// Of the second level.
    Double,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happened {
    Added(u64),
    Admitted(NodeId, Bytes, bool),
    Expelled(NodeId),
    AlarmSet(Timestamp),
    Rang(Timestamp),
    Counted(u64),
    Noted(Bytes),
    Raised(u32),
    Doubled,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counter {
    pub sum: u64,
    pub events: u64,
    pub members: BTreeMap<NodeId, Member>,
    pub alarms: Vec<Timestamp>,
    pub numbered: u64,
    pub note: Bytes,
    pub level: u32,
}

impl Machine for Counter {
    type Genesis = Genesis;
    type Command = Ask;
    type Event = Happened;

    const NAME: &'static str = "counter";
    const NEWEST_LEVEL: u32 = 2;

    fn found(genesis: &Genesis) -> Result<Self, Refusal> {
        let members = genesis.members.clone();
        Ok(Self { sum: 0, events: 0, members, alarms: Vec::new(), numbered: 0, note: Bytes::default(), level: 1 })
    }

    fn decide(&self, _: &Context<'_>, command: &Ask) -> Result<Vec<Happened>, Refusal> {
        Ok(vec![match command {
            Ask::Add(n) => Happened::Added(*n),
            Ask::Need(n) if self.sum >= *n => Happened::Added(0),
            Ask::Need(_) => return Err(Refusal::field("sum", "too small")),
            Ask::Admit(node, member) => Happened::Admitted(*node, member.key.clone(), member.voter),
            Ask::Expel(node) => Happened::Expelled(*node),
            Ask::Alarm(at) => Happened::AlarmSet(*at),
            Ask::Numbered(n) if *n <= self.numbered => return Ok(Vec::new()),
            Ask::Numbered(n) => Happened::Counted(*n),
            Ask::Note(note) => Happened::Noted(note.clone()),
            Ask::Raise(to) => Happened::Raised(*to),
            Ask::Double => Happened::Doubled,
        }])
    }

    fn evolve(&mut self, _: Timestamp, event: &Happened) {
        self.events += 1;
        match event {
            Happened::Added(n) => self.sum += n,
            Happened::Admitted(node, key, voter) => {
                self.members.insert(*node, Member { key: key.clone(), voter: *voter });
            }
            Happened::Expelled(node) => {
                self.members.remove(node);
            }
            Happened::AlarmSet(at) => {
                self.alarms.push(*at);
                self.alarms.sort_unstable();
            }
            Happened::Rang(at) => {
                self.alarms.retain(|alarm| alarm != at);
                self.sum += 1;
            }
            Happened::Counted(n) => {
                self.numbered = *n;
                self.sum += 1;
            }
            Happened::Noted(note) => self.note = note.clone(),
            Happened::Raised(to) => self.level = *to,
            Happened::Doubled => self.sum *= 2,
        }
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.alarms.first().copied()
    }

    fn fire(&self, now: Timestamp) -> Option<Vec<Happened>> {
        self.next_due().filter(|due| *due <= now).map(|due| vec![Happened::Rang(due)])
    }

    fn signers(&self, node: NodeId, _: Timestamp) -> Vec<Signer> {
        let signer = |member: &Member| Signer {
            municipality: node.municipality(),
            algorithm: SignatureAlgorithm::Ed25519,
            public_key: member.key.0.clone(),
        };
        self.members.get(&node).map(signer).into_iter().collect()
    }

    fn group(&self) -> Vec<GroupNode> {
        self.members.iter().map(|(node, member)| GroupNode { node: *node, voter: member.voter }).collect()
    }

    fn level(&self) -> u32 {
        self.level
    }

    fn level_of(command: &Ask) -> u32 {
        if matches!(command, Ask::Double) { 2 } else { 1 }
    }

    fn raises_to(event: &Happened) -> Option<u32> {
        if let Happened::Raised(to) = event { Some(*to) } else { None }
    }

    fn subjects(event: &Happened) -> Vec<Subject> {
        match event {
            Happened::Added(n) => vec![Subject::Number(n.to_string())],
            Happened::Admitted(..)
            | Happened::Expelled(_)
            | Happened::AlarmSet(_)
            | Happened::Rang(_)
            | Happened::Counted(_)
            | Happened::Noted(_)
            | Happened::Raised(_)
            | Happened::Doubled => Vec::new(),
        }
    }

    fn is_numbered(command: &Ask) -> bool {
        matches!(command, Ask::Numbered(_))
    }

    fn records(&self, sink: &mut dyn FnMut(Vec<u8>)) {
        sink(code::encode(self));
    }

    fn restore(records: &mut dyn Iterator<Item = Vec<u8>>) -> Result<Self, CodeError> {
        let missing = CodeError { what: "counter", detail: "missing".to_owned() };
        code::decode("counter", &records.next().ok_or(missing)?)
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}
