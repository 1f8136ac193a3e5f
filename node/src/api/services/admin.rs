//! For those who run nodes.

use std::time::{Duration, Instant};

use shouwang_domain::command::Envelope;
use shouwang_domain::ids::NodeId;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::Outcome;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::registry::state::RegistryChannel;
use shouwang_driver::{Contact, DriverError, Finding, Handle, RecordStatus, Remedy, Role};
use shouwang_proto::admin::v1 as admin;
use shouwang_proto::admin::v1::admin_service_server::AdminService;
use tonic::{Code, Request, Response, Status};

use super::Services;
use super::backup::{self, Parts};
use crate::api::HostedRegion;
use crate::api::caller::Caller;
use crate::api::change::driver_failed;
use crate::api::contact::node_contact;
use crate::api::convert::words::{node, outcome as outcome_of};
use crate::api::fields::Parsing;
use crate::api::page::Page;
use crate::api::read::{as_of, clock, view};
use crate::api::{deadline, status};
use crate::lang::Bilingual;

/// Commands given once more in one call.
const RESUBMITTED_MAX: usize = 200;

/// How the registry is named where any record may stand.
const REGISTRY: &str = "registry";

/// A record of either kind.
enum Either {
    Registry,
    Region(HostedRegion),
}

#[tonic::async_trait]
impl AdminService for Services {
    type BackUpRecordStream = Parts;

    async fn back_up_record(&self, request: Request<admin::BackUpRecordRequest>) -> Result<Response<Parts>, Status> {
        Caller::of(&request)?;
        let place = backup::place(&self.backups)?;
        let asked = request.get_ref();
        let parts = match self.either(&asked.record)? {
            Either::Registry => backup::parts(self.registry()?, admin::RecordKind::Registry, asked, place),
            Either::Region(region) => backup::parts(&region.handle, admin::RecordKind::Region, asked, place),
        };
        Ok(Response::new(parts))
    }

    async fn get_node_status(
        &self,
        request: Request<admin::GetNodeStatusRequest>,
    ) -> Result<Response<admin::GetNodeStatusResponse>, Status> {
        Caller::of(&request)?;
        let owner = self.node.municipality().to_string();
        // A node that keeps no registry has none to tell of.
        let registry = self.registry().ok().map(|kept| record_status(kept, admin::RecordKind::Registry, owner));
        let mut records: Vec<_> = registry.into_iter().collect();
        for region in self.regions().values() {
            let view = region.handle.view().ok();
            let machine = view.as_ref().map(|view| view.record.machine());
            let name = machine.map(|region| region.charter().name.clone()).unwrap_or_default();
            let mut status = record_status(&region.handle, admin::RecordKind::Region, name);
            for (told, contact) in status.group.iter_mut().zip(region.handle.status().contacts) {
                told.feature_level = machine.map_or(0, |region| region.node_level(contact.node));
            }
            records.push(status);
        }
        Ok(Response::new(admin::GetNodeStatusResponse {
            node: node(self.node),
            federation: self.federation.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: Some(self.started_at.into()),
            records,
            findings: self.findings().iter().map(finding).collect(),
        }))
    }

    async fn set_voter(
        &self,
        request: Request<admin::SetVoterRequest>,
    ) -> Result<Response<admin::SetVoterResponse>, Status> {
        self.change_region(request).await
    }

    async fn raise_level(
        &self,
        request: Request<admin::RaiseLevelRequest>,
    ) -> Result<Response<admin::RaiseLevelResponse>, Status> {
        self.change_region(request).await
    }

    async fn transfer_leadership(
        &self,
        request: Request<admin::TransferLeadershipRequest>,
    ) -> Result<Response<admin::TransferLeadershipResponse>, Status> {
        Caller::of(&request)?;
        let by = deadline::of(&request);
        let request = request.into_inner();
        let mut parsing = Parsing::reading(self.node.municipality(), &**self);
        let to = if request.node.is_empty() { Some(None) } else { parsing.node("node", &request.node).map(Some) };
        let to: Option<NodeId> = parsing.finish(to)?;
        let leader = match self.either(&request.record)? {
            Either::Registry => transfer(self.registry()?, to, by).await?,
            Either::Region(region) => transfer(&region.handle, to, by).await?,
        };
        Ok(Response::new(admin::TransferLeadershipResponse { leader: leader.map(node).unwrap_or_default() }))
    }

    async fn take_checkpoint(
        &self,
        request: Request<admin::TakeCheckpointRequest>,
    ) -> Result<Response<admin::TakeCheckpointResponse>, Status> {
        Caller::of(&request)?;
        let taken = match self.either(&request.get_ref().record)? {
            Either::Registry => self.registry()?.checkpoint_now().await,
            Either::Region(region) => region.handle.checkpoint_now().await,
        };
        let revision = taken.map_err(|error| driver_failed(&error))?.meta.revision;
        Ok(Response::new(admin::TakeCheckpointResponse { revision }))
    }

    async fn resubmit(
        &self,
        request: Request<admin::ResubmitRequest>,
    ) -> Result<Response<admin::ResubmitResponse>, Status> {
        let caller = Caller::of(&request)?;
        let by = deadline::of(&request);
        let asked = request.into_inner();
        let handle = self.hosted(&asked.region)?.handle;
        let lacking = handle.lacking(caller.municipality, asked.from_revision, RESUBMITTED_MAX).await;
        let lacking = lacking.map_err(|error| driver_failed(&error))?;
        let mut answer = admin::ResubmitResponse::default();
        if lacking.len() == RESUBMITTED_MAX {
            answer.next_revision = lacking.last().map_or(0, |(revision, _)| revision + 1);
        }
        for (revision, envelope) in lacking {
            let (request_id, command) = (envelope.id.to_string(), envelope.body.name().to_owned());
            let operator = envelope.actor.operator.clone();
            match once_more(&handle, envelope, by).await {
                Ok(None) => {}
                Ok(Some(outcome)) => {
                    let outcome = Some(outcome_of(&outcome, String::new()));
                    answer.commands.push(admin::Resubmitted { request_id, command, operator, outcome });
                }
                Err(error) if answer.commands.is_empty() => return Err(error),
                // What was done is told; the next call goes on here.
                Err(_) => {
                    answer.next_revision = revision;
                    break;
                }
            }
        }
        Ok(Response::new(answer))
    }

    async fn list_couriers(
        &self,
        request: Request<admin::ListCouriersRequest>,
    ) -> Result<Response<admin::ListCouriersResponse>, Status> {
        Caller::of(&request)?;
        let request = request.into_inner();
        let page = Page::new("couriers", &(), request.page_size, &request.page_token)?;
        let Ok(registry) = self.registry() else { return Ok(Response::new(admin::ListCouriersResponse::default())) };
        let (regions, registry) = (self.regions(), view(registry)?);
        let registry = registry.record.machine();
        let all = regions
            .iter()
            .filter_map(|(id, hosted)| Some((*id, (hosted.handle.view().ok(), hosted.courier.as_ref()?))));
        let (couriers, next_page_token) = page.take(all, |id, (view, trouble)| {
            let own = registry.channel(*id).cloned().unwrap_or_default();
            let region = view.as_ref().map(|view| view.record.machine());
            let seen = region.map(|region| region.channel(registry.owner())).unwrap_or_default();
            admin::Courier {
                region: id.to_string(),
                title: region.map_or_else(|| own.name.clone(), |region| region.charter().name.clone()),
                up_sent: own.up,
                up_applied: seen.up,
                down_sent: seen.down,
                down_taken: own.down,
                trouble: standing_still(&own, region.is_some(), trouble().as_deref()),
            }
        });
        Ok(Response::new(admin::ListCouriersResponse { couriers, next_page_token }))
    }
}

impl Services {
    /// What was found on the node's disk; every record tells all of it.
    fn findings(&self) -> Vec<Finding> {
        let region = || self.regions().values().next().map(|region| region.handle.findings());
        self.registry().ok().map(Handle::findings).or_else(region).unwrap_or_default()
    }

    fn either(&self, text: &str) -> Result<Either, Status> {
        if text == REGISTRY { Ok(Either::Registry) } else { self.hosted(text).map(Either::Region) }
    }
}

/// Gives a command once more. `None`: an earlier call has given it, so long ago that the record has forgotten it.
async fn once_more(
    handle: &Handle<Region>,
    envelope: Envelope<RegionCommand>,
    by: Instant,
) -> Result<Option<Outcome>, Status> {
    if envelope.valid_until < view(handle)?.record.time() {
        let recalled = handle.recall(envelope.actor.municipality, envelope.id, by).await;
        if recalled.map_err(|error| driver_failed(&error))?.outcome.is_some() {
            return Ok(None);
        }
    }
    handle.propose(envelope, by).await.map(Some).map_err(|error| driver_failed(&error))
}

/// Why a courier carries nothing, or not yet; empty when it runs.
fn standing_still(own: &RegistryChannel, has_state: bool, trouble: Option<&str>) -> String {
    let joining = "本节点尚未取得区域记录 / this node has no state of the region yet";
    let adopting = "RESTORING: 正在对账，区域所记的本方承诺与调派尚未采纳完 / what the region has on record of this registry is not adopted yet";
    let why = [(!has_state).then_some(joining), own.adopting.map(|_| adopting), trouble];
    why.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// How long a leader who hears nobody may just not have heard them yet.
const SUCCESSOR_SHOWS: Duration = Duration::from_secs(3);
/// How often the hand-over is looked at while it is under way.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Hands the lead over and waits until it is seen; `None` when it is not seen within the deadline.
async fn transfer<M: Machine>(handle: &Handle<M>, to: Option<NodeId>, by: Instant) -> Result<Option<NodeId>, Status> {
    let to = match to {
        Some(to) => Some(to),
        None => successor_soon(handle, by.min(Instant::now() + SUCCESSOR_SHOWS)).await,
    };
    let Some(to) = to else {
        let text = Bilingual::fixed(
            "没有可接任的投票节点，或本节点不是主节点；请指明节点",
            "no other voter is fit to lead, or this node does not lead; name a node",
        );
        return Err(status::error(Code::FailedPrecondition, "NO_SUCCESSOR", &text, &[]));
    };
    handle.transfer_leadership(to).await.map_err(|error| driver_failed(&error))?;
    while Instant::now() + LOOK_AGAIN < by {
        if handle.status().leader == Some(to) {
            return Ok(Some(to));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(None)
}

/// Who may take the lead over from this node, until `by`: who has just been given it learns with its next tick whom it hears.
async fn successor_soon<M: Machine>(handle: &Handle<M>, by: Instant) -> Option<NodeId> {
    loop {
        let status = handle.status();
        let next = successor(&status);
        let may_show = status.role == Role::Leader && status.peers.iter().any(|peer| peer.voter);
        if next.is_some() || !may_show || Instant::now() + LOOK_AGAIN >= by {
            return next;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The active voter that holds most of the log.
fn successor(status: &RecordStatus) -> Option<NodeId> {
    let fit = status.peers.iter().filter(|peer| peer.voter && peer.recent_active);
    let best = fit.max_by_key(|peer| (peer.matched, std::cmp::Reverse(peer.id)))?;
    NodeId::try_from(best.id).ok()
}

fn finding(finding: &Finding) -> admin::StoreFinding {
    let remedy = match finding.remedy {
        Remedy::Mended => admin::StoreRemedy::Mended,
        Remedy::Fetching => admin::StoreRemedy::Fetching,
        Remedy::Operator => admin::StoreRemedy::Operator,
    };
    admin::StoreFinding {
        code: finding.error.code().to_owned(),
        zh: finding.error.zh(),
        en: finding.error.to_string(),
        remedy: remedy.into(),
    }
}

fn role(role: Role) -> admin::RaftRole {
    match role {
        Role::Leader => admin::RaftRole::Leader,
        Role::Follower => admin::RaftRole::Follower,
        Role::Candidate | Role::PreCandidate => admin::RaftRole::Candidate,
        Role::Learner => admin::RaftRole::Learner,
    }
}

/// The nodes of a group; what only the leader knows of them is unset elsewhere.
fn group(status: &RecordStatus) -> Vec<admin::GroupNode> {
    let entry = |contact: &Contact| {
        let id = contact.node.get();
        let peer = status.peers.iter().find(|peer| peer.id == id);
        admin::GroupNode {
            node: node(contact.node),
            voter: status.voters.contains(&id),
            contact: Some(node_contact(contact, clock())),
            active: peer.map(|peer| peer.recent_active),
            matched: peer.map(|peer| peer.matched),
            catching_up: peer.is_some_and(|peer| peer.pending_checkpoint.is_some()),
            feature_level: 0,
        }
    };
    status.contacts.iter().map(entry).collect()
}

fn record_status<M: Machine>(handle: &Handle<M>, kind: admin::RecordKind, title: String) -> admin::RecordStatus {
    // There is no view while this node joins; its status says the rest all the same.
    let (view, status) = (handle.view().ok(), handle.status());
    admin::RecordStatus {
        id: status.id.to_string(),
        kind: kind.into(),
        title,
        role: role(status.role).into(),
        term: status.term,
        leader: status.leader.map(node).unwrap_or_default(),
        as_of: view.as_ref().map(as_of),
        committed: status.commit,
        applied: status.applied,
        persisted: status.persisted,
        checkpoint: status.checkpoint,
        oldest_revision: status.oldest_revision,
        ledger_root: view.as_ref().map(|view| view.record.ledger_root().to_string()).unwrap_or_default(),
        epoch: view.as_ref().map(|view| view.record.epoch()).unwrap_or_default(),
        queued: status.queued_commands as u64,
        disk_full: status.sync.disk_full,
        trouble: trouble(&status),
        group: group(&status),
        indexed_from: status.indexed.from,
        indexed_through: status.indexed.through,
        feature_level: view.as_ref().map(|view| view.record.machine().level()).unwrap_or_default(),
        feature_level_max: status.level_max,
    }
}

/// What people must see to; empty while all is well.
fn trouble(status: &RecordStatus) -> String {
    let removed = || format!("{} / 本节点已不属于该记录，既有内容仍可查阅", DriverError::Removed);
    let left_behind = |epoch: u32| {
        format!(
            "LEFT_BEHIND: 其他成员已在第 {epoch} 纪元继续；请停止本节点，执行 rescue stand 与 rescue rejoin / the others go on in epoch \
             {epoch}: stop this node and run shouwang rescue stand, then rescue rejoin"
        )
    };
    let halted = status.halted.clone().or_else(|| status.removed.then(removed));
    halted.or_else(|| status.left_behind.map(left_behind)).unwrap_or_default()
}
