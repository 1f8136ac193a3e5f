//! `shouwang charter`: drawing up and signing the first charter of a region.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use shouwang_domain::charter::SignedCharter;
use shouwang_domain::ids::{MunicipalityCode, NodeId};
use shouwang_driver::Ed25519Verifier;

use crate::charter;
use crate::cli::Context;
use crate::cli::output::{Format, text_out, write};
use crate::cli::pki::say;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;
use crate::pki::SigningKey;
use crate::pki::files::{Access, write_new};

/// Arguments of `shouwang charter`.
#[derive(Debug, Args)]
pub struct CharterArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a charter from a draft (TOML) 由草案（TOML）生成联动协议
    Draft {
        /// The draft 草案文件
        draft: PathBuf,
        /// Where to write the charter (JSON) 协议输出文件
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign a charter with this node's key 以本节点密钥签署协议
    Sign {
        /// The charter 协议文件
        charter: PathBuf,
        /// Where to write it with the signature added 加签后的输出文件
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Make a further signing key for this node; it signs as soon as the charter names it 为本节点生成新的签名私钥，写入协议后启用
    NewKey,
    /// Put the signatures of several copies together 合并多份已签协议
    Merge {
        /// Copies of the same charter 同一协议的多份副本
        #[arg(required = true)]
        copies: Vec<PathBuf>,
        /// Where to write the whole 输出文件
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Show a charter, its region id and whose signature is missing 查看协议、区域编号与未签署方
    Show {
        /// The charter 协议文件
        charter: PathBuf,
        /// Output format 输出格式
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
}

/// Runs `shouwang charter`.
///
/// # Errors
/// [`Failure`].
pub fn run(args: CharterArgs, context: &Context) -> Result<(), Failure> {
    match args.verb {
        Verb::Draft { draft, out } => finish(&charter::draft(&draft)?, &out, context),
        Verb::Sign { charter: path, out } => {
            let config = crate::config::load(&context.sources)?.config;
            let key = SigningKey::load(&config.signing_key)?;
            let node = node_id(&config)?;
            let mut signed = charter::load(&path)?;
            charter::sign(&mut signed, node, &key)?;
            finish(&signed, &out, context)
        }
        Verb::NewKey => new_key(context),
        Verb::Merge { copies, out } => finish(&merge(&copies)?, &out, context),
        Verb::Show { charter: path, output } => show(&charter::load(&path)?, output),
    }
}

fn new_key(context: &Context) -> Result<(), Failure> {
    let config = crate::config::load(&context.sources)?.config;
    let node = node_id(&config)?;
    // The first key must be there: a node without one has not been prepared.
    SigningKey::load(&config.signing_key)?;
    let (key, file) = SigningKey::create_beside(&config.signing_key)?;
    let (file, first) = (file.display(), config.signing_key.display());
    let node = node.spoken();
    let message = Bilingual::new(
        format!(
            "已写入 {file}；重启节点后执行 shouwang region rotate-key {node} 加以下公钥，由各方会签；{first} 仍须保留"
        ),
        format!(
            "wrote {file}; restart the node, then have shouwang region rotate-key {node} with the key below signed by the \
             parties; {first} is still needed"
        ),
    );
    say(context.lang, &message);
    text_out(&format!("{}\n", key.public_hex()))
}

/// This node's id as the records know it.
///
/// # Errors
/// [`Failure`] for a configuration whose numbers make no node id.
pub fn node_id(config: &crate::config::Config) -> Result<NodeId, Failure> {
    let code = MunicipalityCode::new(config.municipality.code());
    code.and_then(|code| NodeId::new(code, config.node))
        .map_err(|error| Failure::new(Exit::BadInput, "NODE_ID", Bilingual::new(error.to_string(), error.to_string())))
}

fn merge(copies: &[PathBuf]) -> Result<SignedCharter, Failure> {
    let mut whole = charter::load(&copies[0])?;
    for path in &copies[1..] {
        let copy = charter::load(path)?;
        if copy.charter != whole.charter {
            let path = path.display();
            let text = Bilingual::new(
                format!("{path} 与 {} 不是同一份协议", copies[0].display()),
                format!("{path} is another charter than {}", copies[0].display()),
            );
            return Err(Failure::new(Exit::BadInput, "CHARTER_DIFFERS", text));
        }
        whole.signatures.extend(copy.signatures);
    }
    whole.signatures.sort_by_key(|signature| signature.node);
    whole.signatures.dedup_by_key(|signature| signature.node);
    Ok(whole)
}

fn finish(signed: &SignedCharter, out: &Path, context: &Context) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(signed)
        .map_err(|error| Failure::new(Exit::Failure, "OUTPUT", Bilingual::new(error.to_string(), error.to_string())))?;
    write_new(out, (json + "\n").as_bytes(), Access::Public)?;
    let missing = missing(signed);
    let message = if missing.is_empty() {
        Bilingual::fixed("各方均已签署", "every party has signed")
    } else {
        Bilingual::new(format!("尚未签署：{missing}"), format!("not signed yet: {missing}"))
    };
    say(context.lang, &message);
    text_out(&format!("{}\n", charter::region_id(&signed.charter)))
}

fn missing(signed: &SignedCharter) -> String {
    let missing: Vec<_> = signed.missing(&Ed25519Verifier).iter().map(ToString::to_string).collect();
    missing.join(", ")
}

fn show(signed: &SignedCharter, output: Format) -> Result<(), Failure> {
    let charter = &signed.charter;
    let unsigned = signed.missing(&Ed25519Verifier);
    let row = |member: &shouwang_domain::charter::Member| {
        let nodes = member.nodes.iter().map(|node| format!("{}{}", node.node, if node.voter { "*" } else { "" }));
        vec![
            member.code.to_string(),
            member.name.clone(),
            format!("{:?}", member.standing).to_lowercase(),
            nodes.collect::<Vec<_>>().join(" "),
            if unsigned.contains(&member.code) { "-" } else { "✓" }.to_owned(),
        ]
    };
    let rows: Vec<_> = charter.members.iter().map(row).collect();
    if output == Format::Table {
        text_out(&format!(
            "{}  v{}  hub {}\nregion {}\n",
            charter.name,
            charter.version,
            charter.hub,
            charter::region_id(charter)
        ))?;
    }
    write(output, signed, &["CODE", "NAME", "STANDING", "NODES (*votes)", "SIGNED"], &rows)
}
