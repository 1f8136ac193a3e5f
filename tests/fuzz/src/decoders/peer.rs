//! What another node sends: frames of protobuf, raft's messages in them, and what raft makes of those.

use prost::Message as _;
use shouwang_driver::raft_message;
use shouwang_proto::codec::counted;
use shouwang_proto::replication::v1 as proto;
use shouwang_replica::eraftpb::ConfState;
use shouwang_replica::{
    Action, CommittedKind, Config, Input, Limits, Replica, Restored, Seat, Timing, conf_state_from, follows,
};

use super::Target;
use crate::mutate::{EDGES, Rng, mutated};

const ME: u64 = 1;
const LEADER: u64 = 2;
/// Entries that the leader has sent before the input comes.
const KNOWN: u64 = 5;
/// Kinds of messages among the samples.
const KINDS: usize = 11;
/// The group as the state knows it: three voters, and a learner that is to come.
const GROUP: [Seat; 4] = [seat(1, true), seat(2, true), seat(3, true), seat(4, false)];
/// A membership entry as raft encodes it: node 4 becomes a learner.
const ADD_LEARNER: &[u8] = &[0x12, 4, 0x08, 2, 0x10, 4];

const fn seat(id: u64, voter: bool) -> Seat {
    Seat { id, voter }
}

/// Frames as a peer sends them.
pub struct Frames {
    samples: Vec<Vec<u8>>,
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}

impl Frames {
    /// One frame for each kind of message, and one with all of them.
    pub fn new() -> Self {
        let kinds = kinds();
        let mut samples: Vec<_> = kinds.iter().map(|message| frame(vec![message.clone()]).encode_to_vec()).collect();
        samples.push(frame(kinds.to_vec()).encode_to_vec());
        Self { samples }
    }
}

/// A frame that reads well and in which nothing need be so.
pub fn lying(rng: &mut Rng) -> proto::PeerFrame {
    let mut message = kinds()[rng.index(KINDS)].clone();
    (0..=rng.below(3)).for_each(|_| lie(rng, &mut message));
    let mut frame = frame(vec![message]).frame.unwrap_or_default();
    for record in &mut frame.records {
        record.record_number = [0, 0, 0, 0, 0, 1, 2, u32::MAX][rng.index(8)];
    }
    frame
}

fn kinds() -> [proto::Message; KINDS] {
    [
        message(proto::MessageType::Append, |m| {
            m.entries = vec![entry(KNOWN + 1, b"batch"), conf_entry(KNOWN + 2)];
        }),
        message(proto::MessageType::Heartbeat, |m| m.commit = KNOWN),
        message(proto::MessageType::AppendResponse, |m| m.reject = true),
        message(proto::MessageType::RequestVote, |m| m.term = 3),
        message(proto::MessageType::RequestVoteResponse, |m| m.term = 3),
        message(proto::MessageType::RequestPreVote, |m| m.term = 3),
        message(proto::MessageType::Snapshot, |m| m.snapshot = Some(position())),
        message(proto::MessageType::TimeoutNow, |_| ()),
        message(proto::MessageType::ReadIndex, |m| (m.term, m.entries) = (0, vec![entry(0, &[7; 24])])),
        message(proto::MessageType::ReadIndexResponse, |m| m.entries = vec![entry(0, &[7; 24])]),
        message(proto::MessageType::HeartbeatResponse, |m| m.context = vec![1; 24].into()),
    ]
}

fn message(kind: proto::MessageType, with: impl FnOnce(&mut proto::Message)) -> proto::Message {
    let mut message = proto::Message {
        r#type: kind.into(),
        to: ME,
        from: LEADER,
        term: 2,
        log_term: 2,
        index: KNOWN,
        ..proto::Message::default()
    };
    with(&mut message);
    message
}

fn entry(index: u64, data: &[u8]) -> proto::Entry {
    let r#type = proto::EntryType::Normal.into();
    proto::Entry { r#type, term: 2, index, data: data.to_vec().into(), context: Vec::new().into() }
}

fn conf_entry(index: u64) -> proto::Entry {
    proto::Entry { r#type: proto::EntryType::ConfChangeV2.into(), ..entry(index, ADD_LEARNER) }
}

fn position() -> proto::SnapshotMetadata {
    let conf_state = proto::ConfState { voters: vec![1, 2, 3], ..proto::ConfState::default() };
    proto::SnapshotMetadata { index: KNOWN + 20, term: 2, conf_state: Some(conf_state) }
}

fn frame(messages: Vec<proto::Message>) -> proto::StreamRequest {
    let hello = proto::Hello { cluster: vec![7; 32].into(), node_id: LEADER, version: 1 };
    let answer = proto::BatchAnswer { ticket: 1, verdict: proto::BatchVerdict::Busy.into(), leader: LEADER };
    let word = proto::RollCallEntry { node_id: 3, in_touch: true, silent_ms: Some(100) };
    let record = proto::RecordFrame {
        record_id: vec![9; 32].into(),
        epoch: 0,
        messages,
        batches: vec![proto::ForwardedBatch { ticket: 1, batch: vec![0x81; 40].into() }],
        answers: vec![answer],
        oldest_revision: 1,
        roll_call: Some(proto::RollCall { nodes: vec![word] }),
        record_number: 0,
    };
    let frame = proto::PeerFrame { hello: Some(hello), sent_at_ms: 1_700_000_000_000, records: vec![record] };
    proto::StreamRequest { frame: Some(frame), ..Default::default() }
}

/// A message that reads well and says something that is not so.
fn lie(rng: &mut Rng, message: &mut proto::Message) {
    let near = [KNOWN - 1, KNOWN, KNOWN + 1, KNOWN + 2, ME, LEADER, 3, 4];
    let number = if rng.chance(50) { near[rng.index(near.len())] } else { EDGES[rng.index(EDGES.len())] };
    match rng.below(16) {
        0 => message.term = number,
        1 => message.log_term = number,
        2 => message.index = number,
        3 => message.commit = number,
        4 => message.reject_hint = number,
        5 => message.request_snapshot = number,
        6 => message.commit_term = number,
        7 => message.from = number,
        8 => message.reject = !message.reject,
        9 => message.priority = number.cast_signed(),
        10 => message.r#type = i32::try_from(rng.below(21)).unwrap_or_default(),
        11 => message.context = vec![0xff; rng.index(100)].into(),
        12 => message.snapshot.get_or_insert_with(position).index = number,
        13 => {
            let conf = message.snapshot.get_or_insert_with(position).conf_state.get_or_insert_default();
            let list = match rng.below(4) {
                0 => &mut conf.voters,
                1 => &mut conf.learners,
                2 => &mut conf.voters_outgoing,
                _ => &mut conf.learners_next,
            };
            list.push(number);
        }
        14 => {
            let at = rng.index(message.entries.len());
            match message.entries.get_mut(at) {
                Some(entry) if rng.chance(30) => entry.index = number,
                Some(entry) if rng.chance(30) => entry.term = number,
                Some(entry) if rng.chance(50) => entry.r#type = i32::try_from(rng.below(5)).unwrap_or_default(),
                Some(entry) => entry.data = mutated(rng, ADD_LEARNER, &[], &[]).into(),
                None => message.entries.push(entry(number, b"batch")),
            }
        }
        _ => message.entries.clear(),
    }
}

impl Target for Frames {
    fn samples(&self) -> &[Vec<u8>] {
        &self.samples
    }

    fn input(&self, rng: &mut Rng) -> Vec<u8> {
        let sample = &self.samples[rng.index(self.samples.len())];
        if rng.chance(40) {
            return mutated(rng, sample, &self.samples, &[]);
        }
        let mut request = proto::StreamRequest::decode(&**sample).expect("samples are valid");
        for message in request.frame.iter_mut().flat_map(|frame| &mut frame.records).flat_map(|r| &mut r.messages) {
            for _ in 0..=rng.below(3) {
                lie(rng, message);
            }
        }
        request.encode_to_vec()
    }

    fn decode(&mut self, input: &[u8]) -> Result<(), String> {
        counted::<proto::StreamRequest>(input).map_err(|error| error.to_string())?;
        let request = proto::StreamRequest::decode(input).map_err(|error| error.to_string())?;
        let mut follower = Follower::new();
        let frame = request.frame.unwrap_or_default();
        let messages = frame.records.into_iter().flat_map(|record| record.messages);
        let known: Vec<_> = messages.filter_map(raft_message).collect();
        if known.is_empty() {
            return Err("no message of a kind that a peer sends".to_owned());
        }
        for message in known {
            follower.take(Input::Message(Box::new(message)));
        }
        // Whatever it believes now, it must be able to stand for election with it.
        (0..40).for_each(|_| follower.take(Input::Tick));
        Ok(())
    }
}

/// A voter of three that has heard a leader.
struct Follower(Replica);

impl Follower {
    fn new() -> Self {
        let config = Config { id: ME, group: 7, timing: Timing::lan(), limits: Limits::default(), seed: 1, applied: 1 };
        let restored = Restored::founding(conf_state_from([1, 2, 3], []));
        let mut follower = Self(Replica::new(config, restored).expect("a founding member starts"));
        let before = message(proto::MessageType::Append, |m| {
            (m.index, m.log_term, m.commit) = (1, 1, KNOWN - 1);
            m.entries = (2..=KNOWN).map(|index| entry(index, b"batch")).collect();
        });
        let before = raft_message(before).expect("an append is what peers send");
        follower.take(Input::Message(Box::new(before)));
        follower
    }

    /// Takes an input and does at once what follows from it.
    fn take(&mut self, input: Input) {
        let mut inputs = vec![input];
        // A replica that never came to rest would be caught by the watchdog.
        while !inputs.is_empty() {
            let mut actions = Vec::new();
            self.0.step_all(std::mem::take(&mut inputs), &mut actions);
            let conf = self.0.conf_state();
            inputs = actions.into_iter().flat_map(|action| follow(action, &conf)).collect();
        }
    }
}

fn follow(action: Action, conf: &ConfState) -> Vec<Input> {
    match action {
        Action::Persist(persist) => vec![Input::Persisted { number: persist.number }],
        Action::Apply(entries) => {
            let applied = |entry: &shouwang_replica::Committed| match &entry.kind {
                CommittedKind::Conf(change) => {
                    Input::ConfChangeApplied { index: entry.index, accepted: follows(&GROUP, conf, change) }
                }
                _ => Input::Applied { index: entry.index },
            };
            let last = entries.last().map(|entry| Input::Applied { index: entry.index });
            entries.iter().map(applied).chain(last).collect()
        }
        Action::WantCheckpoint { index, term, conf_state, .. } => {
            vec![Input::CheckpointReceived { index, term, conf_state }]
        }
        Action::InstallCheckpoint { index, .. } => vec![Input::Applied { index }],
        Action::SendCheckpoint { to, .. } => vec![Input::SnapshotStatus { id: to, ok: true }],
        _ => Vec::new(),
    }
}
