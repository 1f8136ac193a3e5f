//! The hub's eyes (区域态势): everything a live screen of a region needs, as one plain value.
//!
//! [`Situation::of`] makes it from a record and from what the node knows about its lines; the API carries it (typed or
//! as JSON), [`Situation::render`] puts it on a terminal. Every list has a limit and says how much it left out.

mod build;
mod layout;
mod render;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{LineNumber, MissionId, MunicipalityCode, NodeId, RequestId};
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_domain::time::Timestamp;

pub use self::layout::Screen;
pub use super::region_words::Word;

/// Most rows of one list; what lies beyond is counted in [`Listed::more`].
pub const ROWS_MAX: usize = 500;
/// A member that was heard within this time is in touch, milliseconds.
pub const HEARD_WITHIN_MS: u64 = 15_000;

/// What a node knows about its lines; the record cannot tell it.
#[derive(Clone, Debug)]
pub struct Contact<'a> {
    /// The node's own municipality.
    pub own: MunicipalityCode,
    /// Now, by the node's clock.
    pub now: Timestamp,
    /// Whether this node is in touch with the quorum.
    pub in_touch: bool,
    /// The leader, if one is known.
    pub leader: Option<NodeId>,
    /// How long ago each other member was heard, in milliseconds; `None` for one not heard since this node started.
    pub last_heard: &'a [(MunicipalityCode, Option<u64>)],
}

/// The picture of a region at one moment, as one node sees it. Times are milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Situation {
    /// The federation.
    pub federation: String,
    /// The region's name.
    pub region: String,
    /// The region's id.
    pub region_id: Hash32,
    /// Its epoch.
    pub epoch: u32,
    /// Count of ledger records behind this picture.
    pub revision: u64,
    /// Record time of the last of them.
    pub record_time: Timestamp,
    /// When the picture was taken, by the clock of the node that took it.
    pub now: Timestamp,
    /// The municipality whose node took it.
    pub own: MunicipalityCode,
    /// Whether that node was in touch with the quorum.
    pub in_touch: bool,
    /// The leader, if one was known.
    pub leader: Option<NodeId>,
    /// How long ago that node last heard anybody else, milliseconds.
    pub silent_ms: Option<u64>,
    /// The members, by code.
    pub members: Vec<MemberLine>,
    /// What is real.
    pub actual: Board,
    /// What belongs to exercises (演练), never counted with the above.
    pub exercise: Board,
}

/// The first rows of a list, and how many more there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed<T> {
    /// At most [`ROWS_MAX`] rows, the most pressing first.
    pub rows: Vec<T>,
    /// How many were left out.
    pub more: u64,
}

/// A member and its line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberLine {
    /// GB/T 2260 code.
    pub code: MunicipalityCode,
    /// Its name.
    pub name: String,
    /// Party, superior or observer.
    pub standing: Word,
    /// Whether it is the hub.
    pub hub: bool,
    /// Whether one of its nodes leads the log. That carries no authority.
    pub leads: bool,
    /// Whether it is in touch: heard within [`HEARD_WITHIN_MS`]; for the own municipality, with the quorum.
    pub in_touch: bool,
    /// How long ago it was heard, milliseconds; `None` for never, and for the own municipality.
    pub last_heard_ms: Option<u64>,
}

/// One half of the picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// What is shared, by resource and member.
    pub stock: Listed<StockLine>,
    /// Lines of requests that are not closed, the most pressing first.
    pub requests: Listed<RequestLine>,
    /// How many of those lines stand in each state.
    pub line_states: Vec<StateCount>,
    /// Requests that are closed.
    pub requests_closed: u64,
    /// Missions that are not over, overdue ones first.
    pub missions: Listed<MissionLine>,
    /// Discrepancies that are not closed, oldest first.
    pub discrepancies: Listed<DiscrepancyLine>,
    /// Obligations that are not settled, oldest first.
    pub obligations: Listed<ObligationLine>,
}

/// What one member shares of one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockLine {
    /// Catalogue code, `team:kind` or `vehicle:kind`.
    pub resource: String,
    /// The name under which the resource is listed, the same for every member.
    pub name: String,
    /// Base unit.
    pub unit: String,
    /// Whose registry holds it.
    pub member: MunicipalityCode,
    /// Exact, banded, ask us or withdrawn; `None` when nothing was published.
    pub figure: Option<Word>,
    /// The published number; of a band its lower end.
    pub published: Option<u64>,
    /// Since when the published figure stands.
    pub as_of: Option<Timestamp>,
    /// Escrowed in the region.
    pub pledged: u64,
    /// Of that, promised to missions that have not left.
    pub held: u64,
    /// Of that, what a hold may take.
    pub free: u64,
    /// Used by its holder in danger to life, not yet put back.
    pub overdrawn: u64,
}

/// A line of a request that is not closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLine {
    /// Its request.
    pub request: RequestId,
    /// The request's working number.
    pub number: String,
    /// Who asks.
    pub requester: MunicipalityCode,
    /// For what.
    pub subject: String,
    /// How pressing.
    pub priority: Word,
    /// From 1.
    pub line: LineNumber,
    /// In the requester's words.
    pub name: String,
    /// Asked.
    pub asked: u64,
    /// Committed by owners, departed and delivered included.
    pub committed: u64,
    /// Arrived fit for use.
    pub delivered: u64,
    /// That, of what was asked, in percent, rounded down.
    pub fill_percent: u64,
    /// Where it stands.
    pub state: Word,
    /// How many members declined.
    pub declined: u64,
    /// When the region heard of it.
    pub at: Timestamp,
    /// When it is needed.
    pub needed_by: Timestamp,
    /// Needed by now, and not everything has arrived.
    pub overdue: bool,
}

/// How many lines stand in a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCount {
    /// The state.
    pub state: Word,
    /// How many lines.
    pub lines: u64,
}

/// A mission that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissionLine {
    /// Its id.
    pub mission: MissionId,
    /// Its working number; empty until it is ordered.
    pub number: String,
    /// For which request.
    pub request: RequestId,
    /// For which line.
    pub line: LineNumber,
    /// Whose goods.
    pub owner: MunicipalityCode,
    /// Whose registry sends them.
    pub holder: MunicipalityCode,
    /// Who receives them.
    pub requester: MunicipalityCode,
    /// In the holder's words.
    pub name: String,
    /// Base unit.
    pub unit: String,
    /// Promised now; what left once it departed.
    pub qty: u64,
    /// Left and not yet accounted for.
    pub outstanding: u64,
    /// Where it stands.
    pub state: Word,
    /// When it was held.
    pub held_at: Option<Timestamp>,
    /// When the latest stage with a time was reached.
    pub since: Option<Timestamp>,
    /// By when it is needed.
    pub needed_by: Timestamp,
    /// Expected arrival, by the holder's answer.
    pub eta: Option<Timestamp>,
    /// Needed by now, and not arrived.
    pub overdue: bool,
    /// Until when an unsigned hold waits.
    pub hold_until: Option<Timestamp>,
    /// Until when the paper for a spoken approval is owed.
    pub paper_due: Option<Timestamp>,
    /// A dispatch heard by telephone: how much.
    pub relayed: Option<u64>,
    /// Asked back after departure.
    pub recalled: bool,
}

/// A discrepancy that is not closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscrepancyLine {
    /// Of which mission.
    pub mission: MissionId,
    /// The mission's working number; empty when there is none.
    pub number: String,
    /// What contradicts what.
    pub kind: Word,
    /// How many units it is about.
    pub qty: u64,
    /// Who said what contradicts the record.
    pub reported_by: MunicipalityCode,
    /// Since when.
    pub opened_at: Timestamp,
    /// Whether a finding waits for the other side.
    pub proposed: bool,
}

/// An obligation that is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObligationLine {
    /// Of which mission.
    pub mission: MissionId,
    /// The mission's working number; empty when there is none.
    pub number: String,
    /// For goods, service, injury or late return.
    pub kind: Word,
    /// Where it stands.
    pub state: Word,
    /// Who owes.
    pub debtor: MunicipalityCode,
    /// To whom.
    pub creditor: MunicipalityCode,
    /// In the holder's words.
    pub name: String,
    /// Base unit.
    pub unit: String,
    /// Units owed in all.
    pub qty: u64,
    /// Units the owner accepted.
    pub accepted: u64,
    /// Settled in money instead of goods.
    pub in_money: bool,
    /// The whole amount, in 分.
    pub amount_fen: i64,
    /// Since when it exists.
    pub opened_at: Timestamp,
}

impl Situation {
    /// The picture of a region as `contact`'s node sees it.
    pub fn of(record: &Record<Region>, contact: &Contact<'_>) -> Self {
        build::situation(record, contact)
    }
}
