//! `shouwang init`: a node's keys, its certificate request and its configuration, each written once and kept.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::auth::identity::{Identity, Municipality};
use crate::cli::Context;
use crate::cli::output::text_out;
use crate::cli::pki::{municipality, say};
use crate::config::{FILE_NAME, Sources, load};
use crate::exit::{Exit, Failure};
use crate::lang::{Bilingual, Lang};
use crate::pki::files::{Access, make_folder, write_new};
use crate::pki::{Inspected, NodeNames, SigningKey, TlsKey, inspect};

/// Arguments of `shouwang init`.
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// The federation's name, as in its CA 联盟名，同 CA
    #[arg(long)]
    pub federation: String,
    /// GB/T 2260 code of the municipality 行政区划代码
    #[arg(long, value_name = "CODE", value_parser = municipality)]
    pub municipality: Municipality,
    /// Short name in working numbers, such as 乌 编号用简称
    #[arg(long)]
    pub short: String,
    /// The node's number within the municipality 节点编号
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub node: u32,
    /// Folder for the node 节点目录
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// A host name for the certificate, may be repeated 证书中的主机名，可重复
    #[arg(long, value_name = "NAME")]
    pub dns: Vec<String>,
    /// An address for the certificate, may be repeated 证书中的地址，可重复
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Vec<IpAddr>,
}

/// What [`prepare`] left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Who the node is.
    pub identity: Identity,
    /// The configuration file.
    pub config: PathBuf,
    /// The certificate request, for the CA to sign.
    pub request: PathBuf,
    /// Where the certificate belongs when it is signed.
    pub cert: PathBuf,
    /// Where the CA's certificate belongs.
    pub ca: PathBuf,
    /// The record-signing public key, hexadecimal, for the charter.
    pub signing_public: String,
    /// Each file and whether it was written now; the others were there and were kept.
    pub files: Vec<(PathBuf, bool)>,
}

/// Runs `shouwang init`: messages on stderr, the record-signing public key on stdout.
///
/// # Errors
/// [`Failure`].
pub fn run(args: &InitArgs, context: &Context) -> Result<(), Failure> {
    let prepared = prepare(args)?;
    for (path, new) in &prepared.files {
        let path = path.display();
        let message = if *new {
            Bilingual::new(format!("已写入 {path}"), format!("wrote {path}"))
        } else {
            Bilingual::new(format!("已存在，保留 {path}"), format!("kept  {path}"))
        };
        say(context.lang, &message);
    }
    let (csr, cert, ca) = (prepared.request.display(), prepared.cert.display(), prepared.ca.display());
    say(
        context.lang,
        &Bilingual::new(
            format!(
                "下一步：由 CA 执行 shouwang pki sign --csr {csr}，证书放到 {cert}，CA 证书放到 {ca}；以下公钥写入章程"
            ),
            format!(
                "next: have the CA run shouwang pki sign --csr {csr}, put the certificate at {cert} and the CA's at {ca}; the key below goes into the charter"
            ),
        ),
    );
    text_out(&format!("{}\n", prepared.signing_public))
}

/// Writes what is missing in a node's folder. What is there is kept when it belongs to the same node, and is a failure
/// otherwise: nothing is ever overwritten, and a second run changes nothing.
///
/// # Errors
/// [`Failure`].
pub fn prepare(args: &InitArgs) -> Result<Prepared, Failure> {
    let identity = Identity::node(&args.federation, args.municipality, args.node)
        .map_err(|error| Failure::new(Exit::Usage, error.code(), error.text()))?;
    let (config, tls) = (args.dir.join(FILE_NAME), args.dir.join("tls"));
    check_values(args)?;
    if config.exists() {
        same_config(&config, &identity, &args.short)?;
    }
    make_folder(&args.dir, Access::Public)?;
    make_folder(&tls, Access::Secret)?;
    make_folder(&args.dir.join("data"), Access::Secret)?;
    let mut files = Vec::new();

    let key_path = tls.join("node.key");
    let new = !key_path.exists();
    let key = if new { TlsKey::generate()? } else { TlsKey::load(&key_path)? };
    let request = tls.join("node.csr");
    // The request is made before anything is written: names that are refused leave nothing behind.
    let pem = key.request(&identity, &NodeNames { dns: args.dns.clone(), ip: args.ip.clone() })?;
    if new {
        key.save(&key_path)?;
    }
    files.push((key_path, new));
    let new = !request.exists();
    if new {
        write_new(&request, pem.as_bytes(), Access::Public)?;
    } else {
        same_request(&request, &identity, &key)?;
    }
    files.push((request.clone(), new));

    let signing_path = args.dir.join("signing.key");
    let new = !signing_path.exists();
    let signing = if new { SigningKey::create(&signing_path)? } else { SigningKey::load(&signing_path)? };
    files.push((signing_path, new));

    let new = !config.exists();
    if new {
        write_new(&config, template(args).as_bytes(), Access::Public)?;
    }
    files.push((config.clone(), new));
    Ok(Prepared {
        identity,
        config,
        request,
        cert: tls.join("node.pem"),
        ca: tls.join("ca.pem"),
        signing_public: signing.public_hex(),
        files,
    })
}

/// Lets the configuration's own checks judge the values before anything is written.
fn check_values(args: &InitArgs) -> Result<(), Failure> {
    let flags = [
        ("federation", args.federation.clone()),
        ("municipality.code", args.municipality.to_string()),
        ("municipality.short", args.short.clone()),
        ("node", args.node.to_string()),
    ];
    let flags = flags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    load(&Sources { flags, ..Sources::default() })
        .map(|_| ())
        .map_err(|error| Failure { exit: Exit::Usage, ..Failure::from(error) })
}

fn other_node(path: &Path, found: &str, expected: &Identity) -> Failure {
    let path = path.display();
    let text = Bilingual::new(
        format!("{path} 属于 {found}，而非 {expected}；请另选目录，或先移走该文件"),
        format!("{path} is of {found}, not {expected}; choose another folder, or move the file away first"),
    );
    Failure::new(Exit::Exists, "INIT_OTHER_NODE", text)
}

fn same_config(path: &Path, identity: &Identity, short: &str) -> Result<(), Failure> {
    let config = load(&Sources { file: Some(path.to_owned()), ..Sources::default() })?.config;
    let found = config.identity().map_err(|error| Failure::new(Exit::BadInput, error.code(), error.text()))?;
    if found == *identity && config.short == short {
        return Ok(());
    }
    Err(other_node(path, &format!("{found} ({})", config.short), identity))
}

fn same_request(path: &Path, expected: &Identity, key: &TlsKey) -> Result<(), Failure> {
    let Inspected::Request { identity, public_key_sha256, .. } = inspect(path)? else {
        return Err(other_node(path, "?", expected));
    };
    if identity != expected.to_string() {
        return Err(other_node(path, &identity, expected));
    }
    if public_key_sha256 != crate::pki::inspect::digest(&key.public_der()) {
        let path = path.display();
        let text = Bilingual::new(
            format!("{path} 与 node.key 不匹配；请移走该请求后重新执行"),
            format!("{path} does not belong to the node.key beside it; move the request away and run this again"),
        );
        return Err(Failure::new(Exit::Exists, "INIT_OTHER_KEY", text));
    }
    Ok(())
}

/// A configuration file that says what can be changed. The values were checked: none needs escaping.
fn template(args: &InitArgs) -> String {
    use std::fmt::Write as _;
    let InitArgs { federation, municipality, short, node, .. } = args;
    let mut text = String::new();
    for lang in [Lang::Zh, Lang::En] {
        let line = Bilingual::fixed(
            "守望节点配置；相对路径以本文件所在目录为准，注释行给出默认值",
            "Configuration of a Shouwang node. Paths are relative to this file; commented lines show the defaults.",
        );
        // Writing to a string does not fail.
        let _ = writeln!(text, "# {}", line.get(lang));
    }
    let _ = write!(
        text,
        r#"federation = "{federation}"
node = {node}
# registry_node = 1           # 保存台账的本级节点 the node that keeps the municipality's registry
# data_dir = "data"
# signing_key = "signing.key" # 旁边的 signing-*.key 为其后的密钥 later keys lie beside it as signing-*.key
# timing = "wan"              # lan | wan
# hold_level = 1              # 升级后可能退回旧程序期间 while this node may go back to an older program

[municipality]
code = {municipality}
short = "{short}"

[peer]
# listen = "127.0.0.1:7300"
# advertise = "host:7300"     # 其他节点拨入的地址 what other nodes dial

[operator]
# listen = "127.0.0.1:7301"

[metrics]
# listen = "127.0.0.1:7302"   # /metrics /livez /readyz

[tls]
# ca = "tls/ca.pem"
# cert = "tls/node.pem"
# key = "tls/node.key"

[log]
# format = "human"            # human | json
# level = "info"

[limits]
# peer_connections = 512
# operator_connections = 1024
# caller_connections = 32    # of one certificate, as all that begin with caller_
# calls = 512
# caller_calls = 64
# watches = 2048
# caller_watches = 64
# streams = 128              # of calls
# caller_streams = 16
# message_bytes = 4194304
# request_seconds = 30
# drain_seconds = 10

# [[regions]]
# name = "wuhai"
# charter = "charter.json"
# peers = [{{ node = "152900/1", address = "alxa.example:7300" }}]
"#
    );
    text
}

#[cfg(test)]
#[path = "init_tests.rs"]
mod tests;
