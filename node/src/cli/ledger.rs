//! `shouwang ledger`: checking a region's ledger without trusting the node that shows it.
//!
//! The root of the Merkle tree is computed here from the records themselves; every command's signature is checked; with
//! the founding charter, the whole record is folded again from it, so that every signature is checked against the keys
//! in force at its time and the state's digest is computed here, too.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use shouwang_domain::code;
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::RecordId;
use shouwang_domain::machine::Machine as _;
use shouwang_domain::merkle::{self, Frontier};
use shouwang_domain::record::{Cause, LedgerRecord, Record};
use shouwang_domain::region::Region;
use shouwang_domain::region::event::RegionEvent;
use shouwang_driver::Ed25519Verifier;
use shouwang_proto::v1::region_service_client::RegionServiceClient;
use shouwang_proto::v1::{GetInclusionProofRequest, GetInclusionProofResponse, GetRegionRequest, GetRegionResponse};

use super::client::{Client, ClientArgs, failure, with_node};
use super::output::{Format, write};
use super::render::{Heads, heads};
use super::{Context, history};
use crate::charter;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;

/// Arguments of `shouwang ledger`.
#[derive(Debug, Args)]
pub struct LedgerArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check every record of the region's ledger here, without trusting the node 在本机核验区域账本的每条记录
    Verify {
        /// The founding charter: checks signatures against the keys in force, and the state 首份协议：按当时有效密钥核验签名与状态
        #[arg(long, value_name = "FILE")]
        charter: Option<PathBuf>,
    },
    /// Show that one record is in the ledger 出示一条记录的存证
    Proof {
        /// Which record 版本
        revision: u64,
    },
    /// Show everything that happened to an object, oldest first 查看一个对象的来龙去脉
    History {
        /// A working number, an id, a name such as missions/ID, or published/CODE/RESOURCE; with --registry also lots/ID,
        /// a store's name, resources/RESOURCE 业务编号、编号或资源名
        object: String,
        /// In the own registry's ledger instead of the region's 本台账而非区域
        #[arg(long)]
        registry: bool,
    },
}

/// What was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Checked {
    /// The record.
    region: String,
    /// Records checked: all from 1 to here.
    revision: u64,
    /// Commands among them, each with its signature.
    commands: u64,
    /// Deadlines that passed.
    timers: u64,
    /// The root computed here, equal to the node's.
    ledger_root: String,
    /// The digest computed here, equal to the node's; only with the founding charter.
    state_digest: Option<String>,
    /// Whether signers were checked against the charter.
    signers_known: bool,
}

/// What a record failed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    revision: u64,
    why: Bilingual,
}

impl Fault {
    fn new(revision: u64, zh: &'static str, en: &'static str) -> Self {
        Self { revision, why: Bilingual::fixed(zh, en) }
    }

    fn failure(&self) -> Failure {
        let (revision, why) = (self.revision, &self.why);
        failure(
            Exit::Damaged,
            "LEDGER",
            format!("版本 {revision}：{}", why.zh),
            format!("revision {revision}: {}", why.en),
        )
    }
}

/// Runs `shouwang ledger`.
///
/// # Errors
/// [`Failure`]; [`Exit::Damaged`] names the first record that does not hold.
pub fn run(args: &LedgerArgs, context: &Context) -> Result<(), Failure> {
    let founding = match &args.verb {
        Verb::Verify { charter: Some(path) } => Some(charter::load_complete(path)?.charter),
        _ => None,
    };
    with_node(&args.client, context.lang, async |client| match &args.verb {
        Verb::Verify { .. } => {
            let region = region(client, founding.is_some()).await?;
            let mut check = Check::new(&region, founding.as_ref())?;
            let last = region.as_of.clone().unwrap_or_default().revision;
            for revision in 1..=last {
                check.record(revision, &proof(client, revision).await?).map_err(|fault| fault.failure())?;
            }
            tell(client, &check.finish(&region).map_err(|fault| fault.failure())?)
        }
        Verb::Proof { revision } => show(client, *revision).await,
        Verb::History { object, registry } => history::show(client, object, *registry).await,
    })
}

fn api(client: &Client) -> RegionServiceClient<tonic::transport::Channel> {
    RegionServiceClient::new(client.channel.clone())
}

async fn region(client: &Client, with_state_digest: bool) -> Result<GetRegionResponse, Failure> {
    let (region, linearizable) = (client.region.clone(), client.linearizable);
    let query = GetRegionRequest { region, linearizable, with_state_digest };
    client.done(api(client).get_region(client.request(query)).await)
}

async fn proof(client: &Client, revision: u64) -> Result<GetInclusionProofResponse, Failure> {
    let query = GetInclusionProofRequest { region: client.region.clone(), revision };
    client.done(api(client).get_inclusion_proof(client.request(query)).await)
}

/// Whether the proof leads from the record's bytes to the root it names.
fn included(proof: &GetInclusionProofResponse) -> bool {
    let steps: Option<Vec<Hash32>> = proof.path.iter().map(|step| hash(step)).collect();
    let index = proof.revision.checked_sub(1);
    let (Some(steps), Some(index), Some(root)) = (steps, index, hash(&proof.root)) else { return false };
    merkle::root_from_path(merkle::leaf(&proof.record), index, proof.size, &steps) == Some(root)
}

fn hash(bytes: &[u8]) -> Option<Hash32> {
    bytes.try_into().ok().map(Hash32)
}

/// A ledger being checked from its first record on.
struct Check {
    id: RecordId,
    epoch: u32,
    frontier: Frontier,
    replayed: Option<Record<Region>>,
    checked: Checked,
}

impl Check {
    fn new(region: &GetRegionResponse, founding: Option<&shouwang_domain::charter::Charter>) -> Result<Self, Failure> {
        let misnamed = |zh: &str, en: &str| failure(Exit::Damaged, "LEDGER", zh, en);
        let id = Hash32::from_hex(&region.id)
            .ok_or_else(|| misnamed("节点给出的区域编号无法识别", "the node names no readable region id"))?;
        let replayed = match founding {
            None => None,
            Some(founding) => {
                let record = Record::<Region>::found(founding)
                    .map_err(|refusal| failure(Exit::BadInput, "CHARTER_FILE", &refusal, &refusal))?;
                if record.id() != id {
                    return Err(failure(
                        Exit::BadInput,
                        "CHARTER_FILE",
                        "该协议不是这个区域的首份协议",
                        "this is not the charter that founded the region",
                    ));
                }
                Some(record)
            }
        };
        let checked = Checked { region: id.to_string(), signers_known: replayed.is_some(), ..Checked::default() };
        Ok(Self { id, epoch: region.epoch, frontier: Frontier::default(), replayed, checked })
    }

    fn record(&mut self, revision: u64, proof: &GetInclusionProofResponse) -> Result<(), Fault> {
        let wrong = |zh, en| Err(Fault::new(revision, zh, en));
        if proof.revision != revision || !included(proof) {
            return wrong("存证路径不成立", "the path does not lead from the record to the root");
        }
        let Ok(record) = code::decode::<LedgerRecord<RegionEvent>>("ledger record", &proof.record) else {
            return wrong("记录无法读出", "the record cannot be read");
        };
        if record.revision != revision {
            return wrong("记录自称另一版本", "the record names another revision");
        }
        match &record.cause {
            Cause::Timer => self.checked.timers += 1,
            Cause::Command { bytes, proof } => {
                if !proof.holds(&self.id, self.epoch, &bytes.0, &Ed25519Verifier) {
                    return wrong("命令签名不成立", "the command's signature does not hold");
                }
                let known = self.replayed.as_ref().is_none_or(|replayed| {
                    let signers = replayed.machine().signers(proof.node, record.at);
                    signers.iter().any(|signer| signer.public_key == proof.public_key.0)
                });
                if !known {
                    return wrong("签名密钥当时不在协议中", "the signing key was not in the charter at that time");
                }
                self.checked.commands += 1;
            }
        }
        if let Some(replayed) = &mut self.replayed
            && replayed.replay(&proof.record).is_err()
        {
            return wrong("记录接不上前一条", "the record does not follow the one before it");
        }
        self.frontier.push(merkle::leaf(&proof.record));
        self.checked.revision = revision;
        Ok(())
    }

    fn finish(mut self, region: &GetRegionResponse) -> Result<Checked, Fault> {
        let root = self.frontier.root().to_string();
        if root != region.ledger_root {
            return Err(Fault::new(self.checked.revision, "账本根与节点所示不符", "the root is not the node's"));
        }
        self.checked.ledger_root = root;
        if let Some(replayed) = &self.replayed {
            let digest = replayed.digest().to_string();
            if digest != region.state_digest {
                return Err(Fault::new(
                    self.checked.revision,
                    "由账本重算的状态与节点所示不符",
                    "the state folded from the ledger is not the node's",
                ));
            }
            self.checked.state_digest = Some(digest);
        }
        Ok(self.checked)
    }
}

fn tell(client: &Client, checked: &Checked) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("版本", "REVISION"),
        ("命令", "COMMANDS"),
        ("到期", "TIMERS"),
        ("密钥", "KEYS"),
        ("账本根", "LEDGER ROOT"),
        ("状态摘要", "STATE DIGEST"),
    ];
    let keys = if checked.signers_known {
        client.word("已按协议核验", "checked against the charter")
    } else {
        client.word("未核验（未给 --charter）", "not checked (no --charter)")
    };
    let row = vec![
        checked.revision.to_string(),
        checked.commands.to_string(),
        checked.timers.to_string(),
        keys,
        checked.ledger_root.clone(),
        checked.state_digest.clone().unwrap_or_else(|| "-".to_owned()),
    ];
    write(client.output, checked, &heads(HEADS, client.lang), &[row])?;
    client.say(
        format!("账本完整：{} 条记录全部核验", checked.revision),
        format!("the ledger holds: all {} records checked", checked.revision),
    );
    Ok(())
}

async fn show(client: &Client, revision: u64) -> Result<(), Failure> {
    const HEADS: &Heads =
        &[("版本", "REVISION"), ("账本条数", "SIZE"), ("叶", "LEAF"), ("路径步数", "STEPS"), ("账本根", "LEDGER ROOT")];
    let proof = proof(client, revision).await?;
    if proof.revision != revision || !included(&proof) {
        return Err(
            Fault::new(revision, "存证路径不成立", "the path does not lead from the record to the root").failure()
        );
    }
    let root = hash(&proof.root).unwrap_or_default().to_string();
    let row = vec![
        revision.to_string(),
        proof.size.to_string(),
        merkle::leaf(&proof.record).to_string(),
        proof.path.len().to_string(),
        root,
    ];
    client.show(&proof, HEADS, &[row])?;
    if client.output == Format::Table {
        client.say("存证成立", "the record is in the ledger");
    }
    Ok(())
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
