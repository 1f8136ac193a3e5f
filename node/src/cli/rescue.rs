//! `shouwang rescue`: a region that has lost its quorum for good goes on with those who are left. Docs: docs/rescue.md.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use shouwang_domain::hash::{Bytes, Hash32, SignatureAlgorithm};
use shouwang_domain::ids::NodeId;
use shouwang_domain::rescue::{SignedStanding, Standing};
use shouwang_driver::{Ed25519Verifier, Rescue};
use shouwang_proto::admin::v1::admin_service_client::AdminServiceClient;
use shouwang_proto::admin::v1::{ResubmitRequest, ResubmitResponse, Resubmitted};

use super::Context;
use super::client::{Client, ClientArgs, block_on, failure, with_node};
use super::output::text_out;
use super::render::Heads;
use super::words as spoken;
use crate::api::convert::words;
use crate::api::fields::read_node;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;
use crate::pki::files::{Access, read_text, write_new};
use crate::serve::rescue;

/// Arguments of `shouwang rescue`.
#[derive(Debug, Args)]
#[command(
    after_help = "Only when the lost nodes will not come back: what they alone had decided is not carried on. In this order, all nodes \
                  stopped 仅在失联节点确已无法恢复时使用，按以下顺序，各节点均须先停止:\n  \
                  1. on every node that is left 在每个幸存节点:  shouwang rescue stand REGION --out HERE.json\n  \
                  2. on the one that 2 names as longest 在日志最完整的节点:  shouwang rescue begin REGION --lost 150300/1 --reason WHY *.json\n  \
                  3. on the others 在其余幸存节点:  shouwang rescue rejoin REGION\n  then start all of them 然后启动各节点: shouwang serve\n  \
                  4. on each, once it has joined 各节点加入后:  shouwang rescue resubmit --context admin"
)]
pub struct RescueArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Give this node's word: how far it has come, and that it takes part in nothing of this epoch any more
    /// 交出承诺书：本节点的进度，并承诺不再参与本纪元
    Stand {
        /// The region's name 区域名称
        region: String,
        /// Where the word is written 承诺书文件
        #[arg(long)]
        out: PathBuf,
    },
    /// Begin the next epoch, on the node whose log reaches furthest 在日志最完整的节点开始新纪元
    Begin {
        /// The region's name 区域名称
        region: String,
        /// The word of every node that is left, this one's among them 全部幸存节点的承诺书
        #[arg(required = true)]
        standings: Vec<PathBuf>,
        /// A voter that will not come back, such as 150300/1; repeat it 确已失联的有表决权节点，可重复
        #[arg(long, value_parser = node)]
        lost: Vec<NodeId>,
        /// What happened; it stands in the ledger 事由，记入账本
        #[arg(long)]
        reason: String,
    },
    /// Set aside what this node holds of the old epoch, and join the new one 搁置旧纪元数据，加入新纪元
    Rejoin {
        /// The region's name 区域名称
        region: String,
    },
    /// Give once more what this municipality had done in the epoch set aside, and the region does not have. As
    /// administrator, while the node runs 重新提交本市在旧纪元已办、新纪元所缺的命令（管理员，节点运行时）
    Resubmit {
        #[command(flatten)]
        client: ClientArgs,
    },
}

fn node(text: &str) -> Result<NodeId, String> {
    read_node(text).ok_or_else(|| "write municipality/number, such as 150300/1 请写作 区划代码/节点编号".to_owned())
}

/// Runs `shouwang rescue`.
///
/// # Errors
/// [`Failure`]; nothing is changed then, but for a word that was given and could not be written: the same command writes it.
pub fn run(args: RescueArgs, context: &Context) -> Result<(), Failure> {
    let config = || crate::config::load(&context.sources).map(|loaded| loaded.config);
    let text = match args.verb {
        Verb::Resubmit { client } => return with_node(&client, context.lang, resubmit),
        Verb::Stand { region, out } => {
            if out.exists() {
                let path = out.display();
                let (zh, en) = (format!("{path} 已存在，不覆盖"), format!("{path} exists and is not overwritten"));
                return Err(failure(Exit::Exists, "RESCUE_OUT", zh, en));
            }
            // The word cannot be taken back: where it is written must be there before.
            let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
            if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                let folder = folder.display();
                let (zh, en) = (format!("文件夹 {folder} 不存在"), format!("there is no folder {folder}"));
                return Err(failure(Exit::NotFound, "RESCUE_OUT", zh, en));
            }
            let signed = block_on(rescue::stand(&config()?, &region))?;
            save(&out, &signed)?;
            let Standing { epoch, revision, term, index, .. } = signed.standing;
            Bilingual::new(
                format!(
                    "承诺书已写入 {}：纪元 {epoch}，账本至版次 {revision}，日志至任期 {term} 第 {index} 条。本节点不再参与该纪元\n",
                    out.display()
                ),
                format!(
                    "written to {}: epoch {epoch}, ledger up to revision {revision}, log up to entry {index} of term {term}. This \
                     node takes part in that epoch no more\n",
                    out.display()
                ),
            )
        }
        Verb::Begin { region, standings, lost, reason } => {
            let standings = standings.iter().map(|path| load(path)).collect::<Result<_, _>>()?;
            let (epoch, revision) = block_on(rescue::begin(&config()?, &region, Rescue { standings, lost, reason }))?;
            Bilingual::new(
                format!(
                    "第 {epoch} 纪元自版次 {revision} 开始。请启动本节点（shouwang serve），并在其余幸存节点执行 rescue rejoin\n"
                ),
                format!(
                    "epoch {epoch} begins at revision {revision}. Start this node (shouwang serve), and run rescue rejoin on the \
                     others that are left\n"
                ),
            )
        }
        Verb::Rejoin { region } => {
            let aside = block_on(rescue::rejoin(&config()?, &region))?;
            let aside = aside.display();
            Bilingual::new(
                format!("旧纪元数据已移至 {aside}。请启动本节点（shouwang serve），它将加入新纪元\n"),
                format!("the old epoch lies in {aside} now. Start this node (shouwang serve): it joins the new one\n"),
            )
        }
    };
    text_out(text.get(context.lang))
}

async fn resubmit(client: &Client) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("命令", "COMMAND"),
        ("经办人", "OPERATOR"),
        ("结果", "VERDICT"),
        ("版本", "REVISION"),
        ("请求编号", "REQUEST ID"),
    ];
    let mut admin = AdminServiceClient::new(client.channel.clone());
    let mut answer = ResubmitResponse::default();
    let ended = loop {
        let (region, from_revision) = (client.region.clone(), answer.next_revision);
        match client.done(admin.resubmit(client.request(ResubmitRequest { region, from_revision })).await) {
            Ok(more) => {
                answer.commands.extend(more.commands);
                answer.next_revision = more.next_revision;
            }
            // What was done is shown first: nobody is told of it again.
            Err(failure) if !answer.commands.is_empty() => break Err(failure),
            Err(failure) => return Err(failure),
        }
        if answer.next_revision == 0 {
            break Ok(());
        }
    };
    let row = |command: &Resubmitted| {
        let outcome = command.outcome.clone().unwrap_or_default();
        vec![
            command.command.clone(),
            command.operator.clone(),
            spoken::VERDICT.get(outcome.verdict, client.lang),
            outcome.revision.to_string(),
            command.request_id.clone(),
        ]
    };
    let rows: Vec<_> = answer.commands.iter().map(row).collect();
    client.show(&answer, HEADS, &rows)?;
    ended
}

/// A word as JSON: everything in hex digits and words.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StandingFile {
    record: Hash32,
    epoch: u32,
    node: String,
    term: u64,
    index: u64,
    revision: u64,
    root: Hash32,
    algorithm: SignatureAlgorithm,
    public_key: Bytes,
    signature: Bytes,
}

fn save(path: &Path, signed: &SignedStanding) -> Result<(), Failure> {
    let SignedStanding { standing, algorithm, public_key, signature } = signed.clone();
    let Standing { record, epoch, node, term, index, revision, root } = standing;
    let node = words::node(node);
    let file = StandingFile { record, epoch, node, term, index, revision, root, algorithm, public_key, signature };
    let text = serde_json::to_string_pretty(&file).map_err(|e| failure(Exit::Failure, "RESCUE_OUT", &e, &e))?;
    Ok(write_new(path, text.as_bytes(), Access::Public)?)
}

fn load(path: &Path) -> Result<SignedStanding, Failure> {
    let refused = |zh: &str, en: &str| {
        let path = path.display();
        failure(Exit::BadInput, "STANDING_FILE", format!("{path}：{zh}"), format!("{path}: {en}"))
    };
    let no_word = || refused("不是承诺书（shouwang rescue stand）", "it is no node's word (shouwang rescue stand)");
    let file: StandingFile = serde_json::from_str(&read_text(path)?).map_err(|_| no_word())?;
    let StandingFile { record, epoch, node, term, index, revision, root, algorithm, public_key, signature } = file;
    let node = read_node(&node).ok_or_else(no_word)?;
    let standing = Standing { record, epoch, node, term, index, revision, root };
    let signed = SignedStanding { standing, algorithm, public_key, signature };
    if signed.holds(&Ed25519Verifier) {
        Ok(signed)
    } else {
        Err(refused("签名不成立", "its signature does not hold"))
    }
}
