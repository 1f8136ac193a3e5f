//! Changes: a request becomes a command, the command is proposed, and what came of it is said.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shouwang_domain::command::Envelope;
use shouwang_domain::ids::{CommandId, MunicipalityCode};
use shouwang_domain::machine::Machine;
use shouwang_domain::record::Outcome;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::registry::state::NumberKind;
use shouwang_driver::{Change, DriverError, Handle, Indexed, WatchCursor};
use shouwang_proto::v1;
use tonic::{Code, Request, Response, Status};

use super::caller::Caller;
use super::convert::ledger::number_given;
use super::convert::{RegionRequest, RegistryRequest, Respond, words};
use super::fields::Parsing;
use super::read::{look, watch_failed};
use super::request_key::RequestKey;
use super::{HostedRegion, Node, deadline, status};
use crate::lang::Bilingual;

/// The label of the command that gives an order its working number.
const NUMBER: &str = "number";
/// The reason of a node that cannot tell what came of a command.
pub const UNKNOWN_HERE: &str = "UNKNOWN_HERE";
/// For how long a quorum is waited for that confirms that nothing came of it: longer than an election takes.
const QUORUM_WAIT: Duration = Duration::from_secs(5);

impl Node {
    /// Begins to read a change.
    pub fn parsing(&self, request_id: &str) -> Parsing<'_> {
        Parsing::new(request_id, self.node.municipality(), self)
    }

    /// The region that a request names.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when it names none, or more than one.
    pub fn hosted(&self, text: &str) -> Result<HostedRegion, Status> {
        let mut parsing = Parsing::reading(self.node.municipality(), self);
        let id = parsing.region(text);
        let id = parsing.finish(id)?;
        self.regions().get(&id).cloned().ok_or_else(|| status::not_found("region", &id.short()))
    }

    /// Carries out a request that is one command of the registry.
    ///
    /// # Errors
    /// What is wrong with the request, why the record refuses it, or why the record cannot be reached.
    pub async fn change_registry<Q: RegistryRequest, R: Respond<RegistryCommand>>(
        &self,
        request: Request<Q>,
    ) -> Result<Response<R>, Status> {
        let caller = Caller::of(&request)?;
        let by = deadline::of(&request);
        let request = request.into_inner();
        let mut parsing = self.parsing(request.request_id());
        let command = request.command(&mut parsing);
        let key = parsing.key;
        let command = parsing.finish(command)?;
        let outcome = self.give_to_registry(&caller, &key, command.clone(), by).await?;
        Ok(Response::new(R::respond(outcome, &command, &key)))
    }

    /// Proposes a command to the registry and says what came of it, with the working number it was given and, for what a
    /// region may refuse, with the region's word.
    ///
    /// # Errors
    /// A refusal of either record, or why the record cannot be reached.
    pub async fn give_to_registry(
        &self,
        caller: &Caller,
        key: &RequestKey,
        command: RegistryCommand,
        by: Instant,
    ) -> Result<v1::Outcome, Status> {
        let registry = self.registry()?;
        if let RegistryCommand::AnswerAid { .. } = &command {
            // One that was given before has its outcome, which a copy may not know yet after a restart.
            let record = look(registry, true, by).await?.view.record;
            if record.outcome(caller.municipality, key.command()).is_none() {
                self.check_answer(&command)?;
            }
        }
        let outcome = propose(registry, caller, key, key.command(), command, by).await?;
        if let Some(refused) = status::not_accepted(&outcome) {
            return Err(refused);
        }
        match self.in_full(&outcome, by).await? {
            (said, None) => Ok(said),
            (_, Some(refusal)) => Err(status::refused_by_region(&refusal)),
        }
    }

    /// Carries out a request that is one command of a region.
    ///
    /// # Errors
    /// What is wrong with the request, why the record refuses it, or why the record cannot be reached.
    pub async fn change_region<Q: RegionRequest, R: Respond<RegionCommand>>(
        &self,
        request: Request<Q>,
    ) -> Result<Response<R>, Status> {
        let caller = Caller::of(&request)?;
        let by = deadline::of(&request);
        let request = request.into_inner();
        let mut parsing = self.parsing(request.request_id());
        let region = parsing.region(request.region());
        let command = request.command(&mut parsing);
        let key = parsing.key;
        let (_, command) = parsing.finish(region.zip(command))?;
        let region = self.hosted(request.region())?;
        let outcome = give_to_region(&region.handle, &caller, &key, command.clone(), by).await?;
        Ok(Response::new(R::respond(outcome, &command, &key)))
    }

    /// Signs an order: the registry gives it a working number first, so that numbers have no gaps; a refused one is 作废,
    /// kept and never used again. Asking again uses the number that was given the first time.
    ///
    /// # Errors
    /// What is wrong with the request, why a record refuses it, or why it cannot be reached.
    pub async fn sign_order(&self, request: Request<v1::OrderRequest>) -> Result<Response<v1::OrderResponse>, Status> {
        let caller = Caller::of(&request)?;
        let by = deadline::of(&request);
        let request = request.into_inner();
        let mut parsing = self.parsing(&request.request_id);
        let (region, mission) = (parsing.region(&request.region), parsing.id("mission", &request.mission));
        let key = parsing.key;
        let (_, mission) = parsing.finish(region.zip(mission))?;
        let region = self.hosted(&request.region)?;
        let number = self.order_number(&caller, &key, by).await?;
        let command = RegionCommand::Order { mission, number: number.clone(), spoken: request.spoken };
        let mut outcome = give_to_region(&region.handle, &caller, &key, command, by).await?;
        outcome.number = number;
        Ok(Response::new(v1::OrderResponse { outcome: Some(outcome) }))
    }

    async fn order_number(&self, caller: &Caller, key: &RequestKey, by: Instant) -> Result<String, Status> {
        let command = RegistryCommand::AllocateNumber { kind: NumberKind::Mission };
        let outcome = propose(self.registry()?, caller, key, key.derived_command(NUMBER), command, by).await?;
        if let Some(refused) = status::not_accepted(&outcome) {
            return Err(refused);
        }
        let mut ledger = self.registry()?.watch(outcome.revision);
        Ok(number_given(&next_change(&mut ledger, by).await?.record))
    }
}

/// The next record of a ledger.
///
/// # Errors
/// The ledger does not hold it any more, or it is not read within the deadline.
pub async fn next_change<M: Machine>(
    ledger: &mut WatchCursor<M>,
    by: Instant,
) -> Result<Arc<Change<M::Event>>, Status> {
    match tokio::time::timeout_at(by.into(), ledger.next()).await {
        Ok(Ok(change)) => Ok(change),
        Ok(Err(error)) => Err(watch_failed(&error, ledger.position())),
        Err(_) => Err(too_late(None)),
    }
}

/// Proposes a command to a region and says what came of it.
///
/// # Errors
/// A refusal, or why the record cannot be reached.
pub async fn give_to_region(
    region: &Handle<shouwang_domain::region::Region>,
    caller: &Caller,
    key: &RequestKey,
    command: RegionCommand,
    by: Instant,
) -> Result<v1::Outcome, Status> {
    let outcome = propose(region, caller, key, key.command(), command, by).await?;
    match status::not_accepted(&outcome) {
        Some(refused) => Err(refused),
        None => Ok(words::outcome(&outcome, String::new())),
    }
}

/// Proposes a command under an id of the request.
///
/// # Errors
/// Why the record cannot be reached.
pub async fn propose<M: Machine>(
    handle: &Handle<M>,
    caller: &Caller,
    key: &RequestKey,
    id: CommandId,
    body: M::Command,
    by: Instant,
) -> Result<Outcome, Status> {
    let envelope = Envelope { id, actor: caller.actor(), valid_until: key.valid_until(), body };
    handle.propose(envelope, by).await.map_err(|error| driver_failed(&error))
}

/// What came of a command of the caller's municipality: from the record's memory, or, when that has let it go, from the
/// ledger. What has come can be told from any copy; that nothing has come, a quorum alone can tell.
///
/// # Errors
/// `INVALID_ARGUMENT` for what is no request id, `NOT_FOUND` when the record has not seen it; `UNAVAILABLE` with the
/// reason `UNKNOWN_HERE` when it may have: no quorum answers, or this node's index does not reach there.
pub async fn outcome_of<M: Machine>(
    handle: &Handle<M>,
    municipality: MunicipalityCode,
    request_id: &str,
    by: Instant,
) -> Result<Outcome, Status> {
    let Some(key) = RequestKey::parse(request_id) else {
        return Err(status::violated_one("request_id", "须为版本 7 的 UUID", "must be a UUID of version 7"));
    };
    if let Some(outcome) = handle.outcome(municipality, key.command()) {
        return Ok(outcome);
    }
    let until = by.min(Instant::now() + QUORUM_WAIT);
    let record = handle.read_linearizable(until).await.map_err(|error| unconfirmed(&error))?.record;
    if let Some(outcome) = record.outcome(municipality, key.command()) {
        return Ok(outcome.clone());
    }
    // As long as a command is valid the record remembers it.
    if key.valid_until() >= record.time() {
        return Err(status::not_found("outcome", request_id));
    }
    let recalled = handle.recall(municipality, key.command(), by).await.map_err(|error| driver_failed(&error))?;
    match recalled.outcome {
        Some(outcome) => Ok(outcome),
        None if recalled.indexed.is_whole(recalled.newest) => Err(status::not_found("outcome", request_id)),
        None => Err(not_indexed(recalled.indexed)),
    }
}

/// This copy does not have it, and nobody confirms that it is the newest.
fn unconfirmed(error: &DriverError) -> Status {
    let text = Bilingual::new(
        format!(
            "本节点尚不能判断：本机副本中没有，且未能向多数节点核实（{}）。请稍后再查，或改用其他节点。",
            error.code()
        ),
        format!(
            "unknown here: it is not in this node's copy, and no quorum confirms that the copy is the newest ({error}); \
             ask again later, or through another node"
        ),
    );
    status::error(Code::Unavailable, UNKNOWN_HERE, &text, &[("cause", error.code().to_owned())])
}

fn not_indexed(indexed: Indexed) -> Status {
    let Indexed { from, through } = indexed;
    let text = Bilingual::new(
        format!("本节点尚不能判断：索引仅涵盖版本 {from} 至 {through}，正在重建。请稍后再查，或改用其他节点。"),
        format!(
            "unknown here: the index of this node covers revisions {from} to {through} only and is being built; ask again \
             later, or through another node"
        ),
    );
    let parameters = [("complete_from", from.to_string()), ("complete_through", through.to_string())];
    status::error(Code::Unavailable, UNKNOWN_HERE, &text, &parameters)
}

/// A deadline that passed before the outcome was known.
pub fn too_late(id: Option<CommandId>) -> Status {
    let text = Bilingual::fixed(
        "时限已过，结果未知：该命令可能已生效。请用同一请求编号重试或查询结果。",
        "the deadline passed and the outcome is not known: the command may have happened; ask again with the same request \
         id, or ask for its outcome",
    );
    let parameters: Vec<_> = id.into_iter().map(|id| ("request_id", id.to_string())).collect();
    status::error(Code::DeadlineExceeded, "OUTCOME_UNKNOWN", &text, &parameters)
}

fn out_of_range(error: &DriverError, revision: u64, oldest: u64) -> Status {
    let zh = format!("本节点已不保存版本 {revision}，最早可得版本 {oldest}");
    let parameters = [("oldest_revision", oldest.to_string())];
    status::error(Code::OutOfRange, error.code(), &Bilingual::new(zh, error.to_string()), &parameters)
}

fn not_yet(error: &DriverError, revision: u64, newest: u64) -> Status {
    let zh = format!("尚无版本 {revision}，本节点最新为 {newest}");
    let parameters = [("newest_revision", newest.to_string())];
    status::error(Code::OutOfRange, error.code(), &Bilingual::new(zh, error.to_string()), &parameters)
}

/// Why a record cannot be reached, or does not take what is said.
pub fn driver_failed(error: &DriverError) -> Status {
    let (code, zh) = match error {
        DriverError::DeadlineExceeded { id } => return too_late(Some(*id)),
        DriverError::NoLeader => (Code::Unavailable, "与区域断开，仅可动用本地储备；命令未发出，请稍后重试"),
        DriverError::Busy => (Code::ResourceExhausted, "本节点等待处理的命令过多，请稍后重试"),
        DriverError::DiskFull => (Code::ResourceExhausted, "本节点磁盘已满，腾出空间后自动恢复"),
        DriverError::Stopped => (Code::Unavailable, "本节点正在停止，请改用其他节点"),
        DriverError::Halted { reason } => return halted(error, reason),
        DriverError::Removed => {
            (Code::FailedPrecondition, "本节点已不属于该记录（成员已退出或节点已撤除），既有内容仍可查阅")
        }
        DriverError::LeftBehind { .. } => {
            (Code::FailedPrecondition, "其他成员已在新的纪元继续，请停止本节点，执行 rescue stand 与 rescue rejoin")
        }
        DriverError::Joining => (Code::Unavailable, "本节点正在加入，尚无该记录的内容"),
        DriverError::TooLarge { .. } => (Code::InvalidArgument, "命令超过大小限制"),
        DriverError::NotAccepted => (Code::FailedPrecondition, "记录不接受本节点的签名，请核对协议中的密钥"),
        DriverError::NotLeader { .. } => (Code::FailedPrecondition, "本节点不是该记录的主节点，请到主节点操作"),
        DriverError::OutOfRange { revision, oldest } => return out_of_range(error, *revision, *oldest),
        DriverError::NotYet { revision, newest } => return not_yet(error, *revision, *newest),
        DriverError::TooSlow => return status::too_slow(),
        _ => (Code::Internal, "本节点内部故障"),
    };
    let text = Bilingual::new(format!("{zh}（{}）", error.code()), error.to_string());
    let mut parameters = Vec::new();
    if let DriverError::NotLeader { leader: Some(leader) } = error {
        parameters.push(("leader", words::node(*leader)));
    }
    if let DriverError::Busy | DriverError::NoLeader = error {
        tracing::debug!(%error, "not proposed");
    } else {
        tracing::warn!(%error, "a record failed a call");
    }
    status::error(code, error.code(), &text, &parameters)
}

/// A record that stands still here: the reason is for people, in both languages, and says what to do.
fn halted(error: &DriverError, reason: &str) -> Status {
    let text = Bilingual::new(format!("该记录在本节点已停用：{reason}"), error.to_string());
    status::error(Code::FailedPrecondition, error.code(), &text, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_driver_tell_whether_anything_happened() {
        let id = CommandId::from_u128(1);
        for (error, code, reason) in [
            (DriverError::DeadlineExceeded { id }, Code::DeadlineExceeded, "OUTCOME_UNKNOWN"),
            (DriverError::NoLeader, Code::Unavailable, "NO_LEADER"),
            (DriverError::Busy, Code::ResourceExhausted, "BUSY"),
            (DriverError::OutOfRange { revision: 3, oldest: 9 }, Code::OutOfRange, "OUT_OF_RANGE"),
            (DriverError::NotYet { revision: 9, newest: 3 }, Code::OutOfRange, "REVISION_NOT_YET"),
            (DriverError::TooSlow, Code::DeadlineExceeded, "TOO_SLOW"),
            (DriverError::NotLeader { leader: None }, Code::FailedPrecondition, "NOT_LEADER"),
        ] {
            let status = driver_failed(&error);
            assert_eq!((status.code(), super::status::reason(&status).as_deref()), (code, Some(reason)));
        }
    }
}
