//! Calling a node: which one and as whom (contexts), request ids that survive a crash of the terminal, deadlines, and
//! failures as exit codes.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use crate::auth::{ExpectedNode, Target, TlsError, TlsPaths, TlsStore, connect};
use crate::cli::output::Format;
use crate::exit::{Exit, Failure};
use crate::lang::{Bilingual, Lang};

/// How to reach a node, shared by every command that does.
#[derive(Clone, Debug, Args)]
pub struct ClientArgs {
    /// Which entry of the contexts file to use 使用哪个连接配置 [default: the only one, or the one named default]
    #[arg(long, value_name = "NAME", env = "SHOUWANG_CONTEXT")]
    pub context: Option<String>,
    /// The contexts file 连接配置文件 [default: ~/.config/shouwang/contexts.toml]
    #[arg(long, value_name = "FILE", env = "SHOUWANG_CONTEXTS")]
    pub contexts: Option<PathBuf>,
    /// The region, by name or the first hex digits of its id 区域名称或编号前缀 [default: the only one]
    #[arg(long, value_name = "REGION", default_value = "")]
    pub region: String,
    /// How long to wait, seconds 等待秒数
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub timeout: u64,
    /// Output format 输出格式
    #[arg(short, long, value_enum, default_value_t, env = "SHOUWANG_OUTPUT")]
    pub output: Format,
    /// Use this request id, to repeat a command whose outcome is unknown 指定请求编号，用于重发结果未知的命令
    #[arg(long, value_name = "UUID")]
    pub request_id: Option<uuid::Uuid>,
}

/// One entry of the contexts file: a node and the credentials to use with it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// `host:port` of the operator listener.
    address: String,
    /// The federation's CA certificate.
    ca: PathBuf,
    /// The operator's certificate.
    cert: PathBuf,
    /// The operator's key.
    key: PathBuf,
}

/// A connection to a node and what calls on it need.
#[derive(Debug)]
pub struct Client {
    /// The channel, for the generated clients.
    pub channel: Channel,
    /// The region asked for.
    pub region: String,
    /// The shape of the output.
    pub output: Format,
    /// The reader's language.
    pub lang: Lang,
    /// The municipality and post this client acts as.
    pub identity: crate::auth::Identity,
    timeout: Duration,
    request_id: Option<uuid::Uuid>,
    journal: PathBuf,
}

fn failure(exit: Exit, code: &'static str, zh: impl Display, en: impl Display) -> Failure {
    Failure::new(exit, code, Bilingual::new(zh.to_string(), en.to_string()))
}

/// The folder below the user's home that the XDG base directory specification gives to `variable`.
fn home(variable: &str, usual: &str) -> PathBuf {
    let chosen = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let usual = || std::env::var_os("HOME").map_or_else(PathBuf::new, PathBuf::from).join(usual);
    chosen.unwrap_or_else(usual).join("shouwang")
}

impl ClientArgs {
    /// Connects as the chosen context says.
    ///
    /// # Errors
    /// No such context, credentials that do not fit, or a node that does not answer.
    pub async fn connect(&self, lang: Lang) -> Result<Client, Failure> {
        let path = self.contexts.clone().unwrap_or_else(|| home("XDG_CONFIG_HOME", ".config").join("contexts.toml"));
        let entry = self.entry(&path)?;
        let beside = |file: &Path| path.parent().unwrap_or(Path::new(".")).join(file);
        let paths = TlsPaths { ca: beside(&entry.ca), cert: beside(&entry.cert), key: beside(&entry.key) };
        let store = TlsStore::open(paths, None).map_err(tls)?;
        let identity = store.identity().clone();
        let target = Target { address: entry.address, expected: ExpectedNode::any_of(identity.federation()) };
        let channel = connect(&target, &Arc::clone(&store)).await.map_err(tls)?;
        Ok(Client {
            channel,
            region: self.region.clone(),
            output: self.output,
            lang,
            identity,
            timeout: Duration::from_secs(self.timeout),
            request_id: self.request_id,
            journal: home("XDG_STATE_HOME", ".local/state").join("requests.jsonl"),
        })
    }

    fn entry(&self, path: &Path) -> Result<Entry, Failure> {
        let shown = path.display();
        let unreadable = |error: &dyn Display| {
            failure(
                Exit::BadInput,
                "CONTEXTS_FILE",
                format!("连接配置 {shown} 无法使用：{error}；请写入 [名称] address/ca/cert/key"),
                format!("contexts file {shown}: {error}; write [name] with address, ca, cert, key"),
            )
        };
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
        let mut entries: BTreeMap<String, Entry> = toml::from_str(&text).map_err(|error| unreadable(&error))?;
        let name = match &self.context {
            Some(name) => name.clone(),
            None if entries.len() == 1 => entries.keys().next().cloned().unwrap_or_default(),
            None => "default".to_owned(),
        };
        let names = entries.keys().cloned().collect::<Vec<_>>().join(", ");
        entries.remove(&name).ok_or_else(|| {
            failure(
                Exit::Usage,
                "CONTEXT",
                format!("{shown} 中没有连接配置 {name}；现有：{names}"),
                format!("no context {name} in {shown}; there are: {names}"),
            )
        })
    }
}

fn tls(error: TlsError) -> Failure {
    Failure::from(error)
}

/// What the terminal has sent, kept before it is sent: after a crash, its outcome can be asked for.
#[derive(Debug, Serialize)]
struct Journaled<'a> {
    request_id: uuid::Uuid,
    command: &'a str,
    as_operator: String,
}

impl Client {
    /// A request with this client's deadline.
    pub fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(self.timeout);
        request
    }

    /// The id of a mutation: the one given on the command line or a new one, written to the journal before anything is
    /// sent.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn request_id(&self, command: &str) -> Result<String, Failure> {
        let request_id = self.request_id.unwrap_or_else(uuid::Uuid::now_v7);
        let line = Journaled { request_id, command, as_operator: self.identity.to_string() };
        self.journal(&line).map_err(|error| {
            let path = self.journal.display();
            failure(
                Exit::Failure,
                "JOURNAL",
                format!("无法写入请求日志 {path}：{error}"),
                format!("the request journal {path}: {error}"),
            )
        })?;
        Ok(request_id.to_string())
    }

    fn journal(&self, line: &Journaled<'_>) -> std::io::Result<()> {
        if let Some(folder) = self.journal.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.journal)?;
        let mut text = serde_json::to_string(line).map_err(std::io::Error::other)?;
        text.push('\n');
        // One write: lines of terminals side by side do not mix.
        file.write_all(text.as_bytes())
    }
}

/// A failed call as the terminal's failure: exit code by gRPC code, the reason code and the sentence of the node.
pub fn failed(status: &tonic::Status, lang: Lang) -> Failure {
    let exit = match status.code() {
        Code::FailedPrecondition | Code::Aborted | Code::ResourceExhausted => Exit::Refused,
        Code::AlreadyExists => Exit::Exists,
        Code::InvalidArgument | Code::OutOfRange => Exit::Usage,
        Code::NotFound => Exit::NotFound,
        Code::PermissionDenied | Code::Unauthenticated => Exit::Permission,
        Code::DeadlineExceeded | Code::Cancelled => Exit::Deadline,
        Code::Unavailable => Exit::Unavailable,
        Code::DataLoss => Exit::Damaged,
        _ => Exit::Failure,
    };
    let details = status.get_error_details();
    let reason = details.error_info().map_or_else(|| format!("{:?}", status.code()), |info| info.reason.clone());
    let mut text = status.message().to_owned();
    if let Some(localized) = details.localized_message()
        && localized.locale.starts_with(if lang == Lang::Zh { "zh" } else { "en" })
    {
        text.clone_from(&localized.message);
    }
    for violation in details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default() {
        text = format!("{text}\n  {}: {}", violation.field, violation.description);
    }
    let text = format!("{text} ({reason})");
    Failure::new(exit, "CALL", Bilingual::new(text.clone(), text))
}

/// Runs a command that talks to a node.
///
/// # Errors
/// What the command says, or a runtime that cannot start.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failure(Exit::Failure, "RUNTIME", &error, &error))?;
    runtime.block_on(work)
}
