//! The secretariat's paper (秘书处报表): who shares what, what was asked and what came of it, how long it took, who owes
//! whom – a pure fold over a region's record.
//!
//! [`RegionReport::of`] reads nothing but the record: no clock, no configuration, nothing of the node that runs it.
//! Every member gets the same bytes ([`RegionReport::to_canonical_json`]) at the same revision. For a report as of an
//! earlier revision the caller folds the record up to there first.

mod debts;
mod fold;
mod stages;
mod text;
mod words;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{LineNumber, MissionId, MunicipalityCode, PledgeId, RequestId};
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;

pub use self::debts::{Balance, Debts, Owed, Pair, ResourceColumn, Sums, UnitBalance, UnitsOwed};
pub use self::stages::{Durations, StageRow};
pub use self::words::Word;

/// The form of the paper that this program writes; grows with every change of a field or of a word.
pub const FORM: u32 = 1;

/// Everything the region's paper says, at one revision. Times are ISO 8601 in Asia/Shanghai to the second; money is in
/// 分; quantities are in base units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionReport {
    /// Of which record, at which revision.
    pub header: Header,
    /// The members by the charter in force, by code.
    pub members: Vec<MemberRow>,
    /// What is real.
    pub actual: Section,
    /// What belongs to exercises (演练), under the same rules and never mixed with the above.
    pub exercise: Section,
}

/// What names the record and its revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of this paper's form: only papers of one form can be the same to the byte.
    pub form: u32,
    /// The federation.
    pub federation: String,
    /// The region's name.
    pub region: String,
    /// The region's id: the hash of its founding charter.
    pub region_id: Hash32,
    /// Grows when a region is rescued after losing its quorum.
    pub epoch: u32,
    /// Count of ledger records.
    pub revision: u64,
    /// Record time at the revision.
    pub record_time: String,
    /// The same in milliseconds since 1970-01-01T00:00:00Z.
    pub record_time_ms: i64,
    /// Merkle root over the ledger up to the revision.
    pub ledger_root: Hash32,
    /// Digest of the state at the revision.
    pub state_digest: Hash32,
    /// Version of the charter in force.
    pub charter_version: u32,
    /// The regional hub.
    pub hub: MunicipalityCode,
}

/// A member of the region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// GB/T 2260 code.
    pub code: MunicipalityCode,
    /// Its name.
    pub name: String,
    /// Party, superior or observer.
    pub standing: Word,
    /// The government above it.
    pub superior: Option<MunicipalityCode>,
    /// How many nodes it runs.
    pub nodes: u64,
    /// How many of them vote.
    pub voters: u64,
}

/// The paper's body, once for what is real and once for exercises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Who shares what, by member and resource.
    pub shares: Vec<Share>,
    /// How much of what was asked came.
    pub fill: Fill,
    /// Every request, oldest first.
    pub requests: Vec<RequestRow>,
    /// Times per stage over all missions.
    pub stages: Vec<StageRow>,
    /// Every mission, in the order of holds.
    pub missions: Vec<MissionRow>,
    /// Discrepancies that people have not closed yet, oldest first.
    pub discrepancies: Vec<DiscrepancyRow>,
    /// How many are closed.
    pub discrepancies_closed: u64,
    /// Every obligation, oldest first.
    pub obligations: Vec<ObligationRow>,
    /// Who owes whom.
    pub debts: Debts,
}

/// What one member shares of one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Whose registry holds it.
    pub member: MunicipalityCode,
    /// Catalogue code, `team:kind` or `vehicle:kind`.
    pub resource: String,
    /// What the member calls it.
    pub name: String,
    /// Base unit.
    pub unit: String,
    /// Exact, banded, ask us or withdrawn; `None` when nothing was published.
    pub figure: Option<Word>,
    /// The published number; of a band its lower end.
    pub published: Option<u64>,
    /// Since when the figure stands.
    pub as_of: Option<String>,
    /// Escrowed in the region.
    pub pledged: u64,
    /// Of that, promised to missions that have not left.
    pub held: u64,
    /// Of that, what a hold may take.
    pub free: u64,
    /// Used by its holder in danger to life, not yet put back.
    pub overdrawn: u64,
    /// Left although it was promised elsewhere.
    pub deficit: u64,
    /// The pledges behind these sums.
    pub pledges: Vec<PledgeRow>,
}

/// A pledge with something in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PledgeRow {
    /// Its id.
    pub pledge: PledgeId,
    /// Whose goods.
    pub owner: MunicipalityCode,
    /// Under which scheme they are kept.
    pub class: Word,
    /// Escrowed.
    pub pledged: u64,
    /// Promised to missions that have not left.
    pub held: u64,
    /// What a hold may take.
    pub free: u64,
    /// Used by its holder, not yet put back.
    pub overdrawn: u64,
    /// Left although it was promised elsewhere.
    pub deficit: u64,
    /// Value of one unit.
    pub unit_price_fen: i64,
    /// Until when the promise stands.
    pub expires_at: String,
    /// The request it is offered to; `None` serves any.
    pub for_request: Option<RequestId>,
    /// The line of that request.
    pub for_line: Option<LineNumber>,
    /// Takes no more holds.
    pub closing: bool,
}

/// How much of what was asked came. Lines that were withdrawn with nothing under way count only as withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Requests.
    pub requests: u64,
    /// Of them closed.
    pub requests_closed: u64,
    /// Lines that count.
    pub lines: u64,
    /// Lines for which everything asked arrived fit for use.
    pub lines_filled: u64,
    /// The same in percent, rounded down.
    pub lines_filled_percent: u64,
    /// Lines that nobody could serve (无法满足).
    pub lines_unmet: u64,
    /// Lines that were withdrawn.
    pub lines_withdrawn: u64,
    /// By resource.
    pub resources: Vec<ResourceFill>,
}

/// How much of one resource came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceFill {
    /// Catalogue code, `team:kind` or `vehicle:kind`.
    pub resource: String,
    /// Its name.
    pub name: String,
    /// Base unit.
    pub unit: String,
    /// Asked.
    pub asked: u64,
    /// Committed by owners.
    pub committed: u64,
    /// Arrived.
    pub delivered: u64,
    /// Of that, damaged.
    pub damaged: u64,
    /// Arrived fit for use, of what was asked, in percent, rounded down.
    pub fill_percent: u64,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRow {
    /// Its id.
    pub request: RequestId,
    /// Its working number.
    pub number: String,
    /// Who asks.
    pub requester: MunicipalityCode,
    /// For what.
    pub subject: String,
    /// Whereto.
    pub place: String,
    /// How pressing.
    pub priority: Word,
    /// When the region heard it.
    pub made_at: String,
    /// When it is needed.
    pub needed_by: String,
    /// After this no hold is taken for it.
    pub expires_at: String,
    /// When it was closed.
    pub closed_at: Option<String>,
    /// To whom; empty asks everybody.
    pub addressed: Vec<MunicipalityCode>,
    /// Its lines.
    pub lines: Vec<LineRow>,
}

/// A line of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineRow {
    /// From 1.
    pub line: LineNumber,
    /// Catalogue code, `team:kind` or `vehicle:kind`.
    pub resource: String,
    /// In the requester's words.
    pub name: String,
    /// Asked.
    pub asked: u64,
    /// Committed by owners, departed and delivered included.
    pub committed: u64,
    /// Arrived.
    pub delivered: u64,
    /// Of that, damaged.
    pub damaged: u64,
    /// Arrived fit for use, of what was asked, in percent, rounded down.
    pub fill_percent: u64,
    /// Where it stands.
    pub state: Word,
    /// What members answered, refusals with their reasons included.
    pub answers: Vec<AnswerRow>,
}

/// What a member answered to a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerRow {
    /// Who.
    pub by: MunicipalityCode,
    /// Accept, provisional or decline.
    pub answer: Word,
    /// How much it gives, or would give.
    pub qty: Option<u64>,
    /// Why not, or not yet.
    pub reason: Option<String>,
    /// What it will cost the requester.
    pub cost_fen: i64,
    /// Expected arrival.
    pub eta: Option<String>,
    /// When the region heard it.
    pub at: String,
}

/// A mission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissionRow {
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
    /// Catalogue code, `team:kind` or `vehicle:kind`.
    pub resource: String,
    /// In the holder's words.
    pub name: String,
    /// Base unit.
    pub unit: String,
    /// Promised now.
    pub qty: u64,
    /// Where it stands.
    pub state: Word,
    /// Left the owner's store.
    pub dispatched: u64,
    /// Arrived fit for use.
    pub received: u64,
    /// Arrived damaged.
    pub received_damaged: u64,
    /// Used up.
    pub consumed: u64,
    /// Broken in use.
    pub damaged: u64,
    /// Lost by the requester.
    pub lost: u64,
    /// Back fit for use.
    pub returned: u64,
    /// Back damaged.
    pub returned_damaged: u64,
    /// Back without having been delivered.
    pub turned_back: u64,
    /// Never arrived, by agreement.
    pub lost_in_transit: u64,
    /// Left and not yet accounted for.
    pub outstanding: u64,
    /// A dispatch heard by telephone: how much.
    pub relayed: Option<u64>,
    /// Asked back after departure.
    pub recalled: bool,
    /// Until when the paper for a spoken approval is owed.
    pub paper_due: Option<String>,
    /// By when it is needed.
    pub needed_by: String,
    /// When it was held.
    pub held_at: Option<String>,
    /// When it was ordered.
    pub ordered_at: Option<String>,
    /// When the owner's registry committed it.
    pub committed_at: Option<String>,
    /// When it left, by the owner's word.
    pub dispatched_at: Option<String>,
    /// When it arrived, by the requester's word.
    pub received_at: Option<String>,
    /// When every unit was accounted for.
    pub accounted_at: Option<String>,
    /// How long each stage took.
    pub seconds: Durations,
}

/// A contradiction that people have not closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscrepancyRow {
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
    pub opened_at: String,
    /// Who proposed a finding that waits for the other side.
    pub proposed_by: Option<MunicipalityCode>,
}

/// A debt between members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObligationRow {
    /// Of which mission.
    pub mission: MissionId,
    /// The mission's working number; empty when there is none.
    pub number: String,
    /// For goods, service, injury or late return.
    pub kind: Word,
    /// Where it stands.
    pub state: Word,
    /// On which ground.
    pub basis: Word,
    /// Who owes.
    pub debtor: MunicipalityCode,
    /// To whom.
    pub creditor: MunicipalityCode,
    /// Whose registry takes the restock.
    pub holder: MunicipalityCode,
    /// Catalogue code, `team:kind` or `vehicle:kind`.
    pub resource: String,
    /// In the holder's words.
    pub name: String,
    /// Base unit.
    pub unit: String,
    /// Units owed in all.
    pub qty: u64,
    /// Units that came back and wait for inspection or have passed it.
    pub received: u64,
    /// Units the owner accepted.
    pub accepted: u64,
    /// Units the owner rejected.
    pub rejected: u64,
    /// Units still owed in kind.
    pub open_units: u64,
    /// Value of those units.
    pub open_value_fen: i128,
    /// Still to be paid in money.
    pub open_money_fen: i128,
    /// The whole amount.
    pub amount_fen: i64,
    /// Settled in money instead of goods.
    pub in_money: bool,
    /// The latest objection.
    pub dispute: Option<String>,
    /// Since when it exists.
    pub opened_at: String,
    /// When it was settled.
    pub settled_at: Option<String>,
}

impl RegionReport {
    /// The paper of a region at the record's revision.
    ///
    /// # Panics
    /// When the debts do not sum to zero: such a paper must not leave the house.
    pub fn of(record: &Record<Region>) -> Self {
        fold::report(record)
    }

    /// One line of JSON with a line feed: the fields in the order of this file, lists in the order of the record, no
    /// blanks. The same bytes from every member at the same revision.
    pub fn to_canonical_json(&self) -> String {
        // Structs, lists, strings and integers only: nothing that the serializer could refuse.
        let mut json = serde_json::to_string(self).expect("a report is plain data");
        json.push('\n');
        json
    }
}
