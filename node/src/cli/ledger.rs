//! `shouwang ledger`: checking a region's ledger without trusting the node that shows it, taking a copy home, and where a
//! figure comes from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use shouwang_domain::charter::Charter;
use shouwang_domain::hash::{Hash32, HashAlgorithm};
use shouwang_domain::merkle;
use shouwang_proto::v1::ledger_service_client::LedgerServiceClient;
use shouwang_proto::v1::region_service_client::RegionServiceClient;
use shouwang_proto::v1::{
    GetInclusionProofRequest, GetInclusionProofResponse, GetRegionHeadRequest, GetRegionRequest, GetRegionResponse,
    MarkRegionHeadRequest, ReadRegionLedgerRequest,
};
use tonic::{Code, Status};

use super::client::{Client, ClientArgs, carry, failed, failure, with_node};
use super::ledger_check::{Check, Checked, Fault, id_of};
use super::ledger_head::{HeadFile, load};
use super::ledger_words::{Attested, Contradicted, KeptWord};
use super::output::{Format, write};
use super::render::{Heads, heads};
use super::{Context, history};
use crate::charter;
use crate::documents::ledger_copy::{CopyError, CopyHeader, CopyReader, CopyWriter};
use crate::exit::{Exit, Failure};
use crate::lang::Lang;

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
    /// Check every record of the region's ledger here: signatures, order, channel numbers, Merkle root, and with the
    /// charter every decision once more; from a copy no node is needed
    /// 在本机核验区域账本的每条记录：签名、次序、通道编号、账本根；给出协议则逐条重新裁决；核验副本无需节点
    Verify {
        /// The founding charter: signers and every decision are checked, too 首份协议：一并核验密钥并逐条重新裁决
        #[arg(long, value_name = "FILE")]
        charter: Option<PathBuf>,
        /// A copy made by `ledger export`, instead of asking a node 核验副本文件，不连接节点
        #[arg(long, value_name = "FILE")]
        copy: Option<PathBuf>,
        /// A head kept from another member or another day: the ledger must contain it 留存的账本头，可重复
        #[arg(long, value_name = "FILE")]
        head: Vec<PathBuf>,
    },
    /// Take a copy of the region's ledger, to be checked elsewhere 导出区域账本副本，供异地核验
    Export {
        /// Where to write it 输出文件
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// How long the ledger is and what its root is, signed by the node: keep it (-o json), and a ledger that is cut off or
    /// rewritten later shows 由节点签名的账本头；请留存（-o json），日后可发现截断或改写
    Head {
        /// A head kept before: the node must show that its ledger grew out of that one, without the ledger being sent
        /// 先前留存的账本头：节点须证明其账本由此延续，无需下载整本账
        #[arg(long, value_name = "FILE")]
        since: Option<PathBuf>,
    },
    /// Mark the present end of the ledger, so that every node countersigns it within seconds; it is done without being
    /// asked for after 1000 records and once a night is over 立即设立账本头，由各节点会签；平时每千条记录或事后自动进行
    Countersign,
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

/// Runs `shouwang ledger`.
///
/// # Errors
/// [`Failure`]; [`Exit::Damaged`] names the first record that does not hold.
pub fn run(args: &LedgerArgs, context: &Context) -> Result<(), Failure> {
    if let Verb::Verify { charter, copy: Some(copy), head } = &args.verb {
        let (founding, heads) = trusted(charter.as_deref(), head)?;
        let checked = check_copy(copy, founding.as_ref(), heads)?;
        return tell(args.client.output, context.lang, &checked);
    }
    with_node(&args.client, context.lang, async |client| match &args.verb {
        Verb::Verify { charter, head, .. } => {
            let (founding, heads) = trusted(charter.as_deref(), head)?;
            let checked = check_node(client, founding.as_ref(), heads).await?;
            tell(client.output, client.lang, &checked)
        }
        Verb::Export { out } => export(client, out).await,
        Verb::Head { since } => show_head(client, since.as_deref()).await,
        Verb::Countersign => mark_head(client).await,
        Verb::Proof { revision } => show(client, *revision).await,
        Verb::History { object, registry } => history::show(client, object, *registry).await,
    })
}

/// What the person at the terminal trusts: a charter he knows, heads he has kept.
fn trusted(charter: Option<&Path>, heads: &[PathBuf]) -> Result<(Option<Charter>, Vec<KeptWord>), Failure> {
    let founding = charter.map(charter::load_complete).transpose()?.map(|signed| signed.charter);
    let kept: Vec<Vec<KeptWord>> = heads.iter().map(|path| load(path)).collect::<Result<_, _>>()?;
    Ok((founding, kept.concat()))
}

fn check_copy(path: &Path, founding: Option<&Charter>, heads: Vec<KeptWord>) -> Result<Checked, Failure> {
    let unreadable = |error: &CopyError| {
        let exit = match error {
            CopyError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => Exit::NotFound,
            CopyError::Io(_) => Exit::Failure,
            _ => Exit::Damaged,
        };
        let text = format!("{}: {error}", path.display());
        failure(exit, "LEDGER_COPY", &text, &text)
    };
    let file = File::open(path).map_err(|error| unreadable(&error.into()))?;
    let mut copy = CopyReader::open(BufReader::new(file)).map_err(|error| unreadable(&error))?;
    let mut check = Check::new(copy.header().record, copy.header().epoch, founding, heads)?;
    while let Some(bytes) = copy.next_record().map_err(|error| unreadable(&error))? {
        check.record(&bytes).map_err(|fault| fault.failure())?;
    }
    // The copy compared it with what it claims at its end.
    check.finish(&copy.root().to_string(), None).map_err(|fault| fault.failure())
}

async fn check_node(client: &Client, founding: Option<&Charter>, heads: Vec<KeptWord>) -> Result<Checked, Failure> {
    let region = region(client, founding.is_some()).await?;
    let mut check = Check::new(id_of(&region.id)?, region.epoch, founding, heads)?;
    let last = region.as_of.clone().unwrap_or_default().revision;
    read(client, last, |bytes| check.record(bytes).map_err(|fault| fault.failure())).await?;
    let digest = founding.is_some().then_some(region.state_digest.as_str());
    check.finish(&region.ledger_root, digest).map_err(|fault| fault.failure())
}

/// Hands every record up to `last` to `take`; a cut line is waited out by asking again from there.
async fn read(client: &Client, last: u64, mut take: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut api = LedgerServiceClient::new(client.channel.clone());
    let told = |status: Status| failed(&status, client.lang);
    let mut next = 1;
    while next <= last {
        let query = ReadRegionLedgerRequest { region: client.region.clone(), from_revision: next };
        // No deadline: a long ledger on a thin line takes its time, and every page is progress.
        let mut pages = api.read_region_ledger(query).await.map_err(told)?.into_inner();
        let before = next;
        while let Some(page) = pages.message().await.map_err(told)? {
            if page.first_revision != next {
                return Err(Fault::new(next, "节点跳过了记录", "the node left records out").failure());
            }
            for bytes in page.records.iter().take(usize::try_from(last + 1 - next).unwrap_or(usize::MAX)) {
                take(bytes)?;
                next += 1;
            }
            if next > last {
                return Ok(());
            }
        }
        if next == before {
            return Err(Fault::new(next, "节点未给出该记录", "the node does not show the record").failure());
        }
    }
    Ok(())
}

/// Writes a copy aside and gives it its name once it is whole.
async fn export(client: &Client, out: &Path) -> Result<(), Failure> {
    const HEADS: &Heads = &[("记录数", "RECORDS"), ("账本根", "LEDGER ROOT"), ("文件", "FILE")];
    if out.symlink_metadata().is_ok() {
        return Err(crate::pki::PkiError::Exists(out.to_owned()).into());
    }
    let unwritten = |path: &Path, error: &dyn std::fmt::Display| {
        let path = path.display();
        failure(Exit::Failure, "EXPORT", format!("无法写入 {path}：{error}"), format!("writing {path}: {error}"))
    };
    let region = region(client, false).await?;
    let (record, hash) = (id_of(&region.id)?, HashAlgorithm::default());
    let name = region.charter.map(|charter| charter.title).unwrap_or_default();
    let header = CopyHeader { record, epoch: region.epoch, hash, name };
    let part = out.with_extension("part");
    let file = File::create(&part).map_err(|error| unwritten(&part, &error))?;
    let mut copy = CopyWriter::begin(BufWriter::new(file), &header).map_err(|error| unwritten(&part, &error))?;
    let last = region.as_of.unwrap_or_default().revision;
    read(client, last, |bytes| copy.record(bytes).map_err(|error| unwritten(&part, &error))).await?;
    let (mut file, records, root) = copy.finish().map_err(|error| unwritten(&part, &error))?;
    let synced = file.flush().and_then(|()| file.get_ref().sync_all());
    synced.and_then(|()| std::fs::rename(&part, out)).map_err(|error| unwritten(out, &error))?;
    let row = vec![records.to_string(), root.to_string(), out.display().to_string()];
    let data = serde_json::json!({ "records": records, "ledger_root": root, "file": out });
    write(client.output, &data, &heads(HEADS, client.lang), &[row])
}

async fn show_head(client: &Client, since: Option<&Path>) -> Result<(), Failure> {
    const HEADS: &Heads = &[("版本", "REVISION"), ("账本根", "LEDGER ROOT"), ("节点", "NODE"), ("公钥", "KEY")];
    const COUNTERSIGNED: &Heads = &[
        ("会签节点", "COUNTERSIGNED BY"),
        ("至版本", "UP TO"),
        ("账本根", "LEDGER ROOT"),
        ("时间", "WHEN"),
        ("备注", "NOTE"),
    ];
    let mut api = LedgerServiceClient::new(client.channel.clone());
    // The word of whoever gave it comes first.
    let kept = since.map(load).transpose()?.and_then(|words| words.first().map(|word| word.head));
    let since_revision = kept.map_or(0, |kept| kept.revision);
    let (region, linearizable) = (client.region.clone(), client.linearizable);
    let query = GetRegionHeadRequest { region, linearizable, since_revision };
    let given = match api.get_region_head(client.request(query.clone())).await {
        // It is shorter than what was kept: behind, or of a later epoch, which the head alone tells.
        Err(status) if status.code() == Code::OutOfRange && kept.is_some() => {
            let query = GetRegionHeadRequest { since_revision: 0, ..query };
            let head = client.done(api.get_region_head(client.request(query)).await)?;
            if kept.is_some_and(|kept| head.epoch <= kept.epoch) {
                return client.done(Err(status));
            }
            head
        }
        answer => client.done(answer)?,
    };
    let steps: Option<Vec<Hash32>> = given.grown.iter().map(|step| hash(step)).collect();
    let (head, signed) = HeadFile::of(given)
        .and_then(|head| head.signed().map(|signed| (head, signed.head)))
        .ok_or_else(|| failure(Exit::Damaged, "LEDGER", "账本头签名不成立", "the head's signature does not hold"))?;
    if let Some(kept) = kept {
        let grew = |steps: Vec<Hash32>| {
            kept.record == signed.record
                && merkle::grew((kept.revision, kept.root), (signed.revision, signed.root), &steps)
        };
        if !steps.is_some_and(grew) {
            return Err(failure(
                Exit::Damaged,
                "LEDGER_DIVERGED",
                format!("节点的账本不是由留存的账本头（版次 {}）延续而来：账本被改写，或区域已被救援", kept.revision),
                format!(
                    "the node's ledger did not grow out of the head kept at revision {}: it was rewritten, or the region was \
                     rescued without its end",
                    kept.revision
                ),
            ));
        }
        client.say(
            format!("由版次 {} 的留存账本头延续而来", kept.revision),
            format!("it grew out of the head kept at revision {}", kept.revision),
        );
    }
    let rows = head.countersigned_rows(client.lang).ok_or_else(|| {
        failure(Exit::Damaged, "LEDGER", "会签的签名不成立", "the signature of a countersignature does not hold")
    })?;
    write(client.output, &head, &heads(HEADS, client.lang), &[head.row()])?;
    if client.output == Format::Table && !rows.is_empty() {
        write(client.output, &head, &heads(COUNTERSIGNED, client.lang), &rows)?;
    }
    Ok(())
}

async fn mark_head(client: &Client) -> Result<(), Failure> {
    let (mut api, region) = (LedgerServiceClient::new(client.channel.clone()), client.region.clone());
    carry!(client, api, "ledger countersign", mark_region_head, MarkRegionHeadRequest { region })
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

fn tell(output: Format, lang: Lang, checked: &Checked) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("版本", "REVISION"),
        ("命令", "COMMANDS"),
        ("到期", "TIMERS"),
        ("裁决", "DECISIONS"),
        ("账本头", "HEADS"),
        ("会签", "COUNTERSIGNED"),
        ("账本根", "LEDGER ROOT"),
        ("状态摘要", "STATE DIGEST"),
    ];
    let decisions = match (checked.decided_again, lang) {
        (true, Lang::Zh) => "密钥与裁决已核验",
        (true, Lang::En) => "keys and decisions checked",
        (false, Lang::Zh) => "未核验（未给 --charter）",
        (false, Lang::En) => "not checked (no --charter)",
    };
    let row = vec![
        checked.revision.to_string(),
        checked.commands.to_string(),
        checked.timers.to_string(),
        decisions.to_owned(),
        if checked.heads.is_empty() { "-".to_owned() } else { checked.heads.join(", ") },
        countersigned(&checked.attested, lang),
        checked.ledger_root.clone(),
        checked.state_digest.clone().unwrap_or_else(|| "-".to_owned()),
    ];
    write(output, checked, &heads(HEADS, lang), &[row])?;
    for word in &checked.contradicted {
        let Contradicted { node, revision, stands_at, .. } = word;
        let told = crate::lang::Bilingual::new(
            format!("注意：节点 {node} 在版次 {stands_at} 声明，其账本在版次 {revision} 处与此不符；请检查该节点"),
            format!(
                "note: at revision {stands_at} node {node} says that its ledger is another up to {revision}; check that node"
            ),
        );
        super::pki::say(lang, &told);
    }
    let revision = checked.revision;
    let done = crate::lang::Bilingual::new(
        format!("账本完整：{revision} 条记录全部核验"),
        format!("the ledger holds: all {revision} records checked"),
    );
    super::pki::say(lang, &done);
    Ok(())
}

/// Who has countersigned, by the revision up to which, the newest first.
fn countersigned(attested: &[Attested], lang: Lang) -> String {
    let mut by_revision: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for Attested { member, revision, .. } in attested {
        let members = by_revision.entry(*revision).or_default();
        if !members.contains(&member.as_str()) {
            members.push(member);
        }
    }
    let told = by_revision.iter().rev().map(|(revision, members)| match lang {
        Lang::Zh => format!("至 {revision}：{} 方（{}）", members.len(), members.join("、")),
        Lang::En => format!("to {revision}: {} ({})", members.len(), members.join(", ")),
    });
    let told = told.collect::<Vec<_>>().join("; ");
    if told.is_empty() { "-".to_owned() } else { told }
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
