//! Calling a node: which one and as whom (contexts), request ids that survive a crash of the terminal, deadlines, and
//! failures as exit codes.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};
use tonic_types::{ErrorDetail, FieldViolation, StatusExt as _};

use crate::auth::channel::not_taken;
use crate::auth::{ExpectedNode, Target, TlsPaths, TlsStore, connect};
use crate::cli::messages::{Changed, Paged};
use crate::cli::output::Format;
use crate::cli::parse::When;
use crate::exit::{Exit, Failure};
use crate::lang::{Bilingual, Lang};
use crate::nesting::from_toml;

/// How to reach a node, shared by every command that does.
#[derive(Clone, Debug, Args)]
pub struct ClientArgs {
    /// Which entry of the contexts file to use 使用哪个连接配置 [default: the only one, or the one named default]
    #[arg(help_heading = "Connection 连接", long, global = true, value_name = "NAME", env = "SHOUWANG_CONTEXT")]
    pub context: Option<String>,
    /// The contexts file 连接配置文件 [default: ~/.config/shouwang/contexts.toml]
    #[arg(help_heading = "Connection 连接", long, global = true, value_name = "FILE", env = "SHOUWANG_CONTEXTS")]
    pub contexts: Option<PathBuf>,
    /// The region, by name or the first hex digits of its id 区域名称或编号前缀 [default: the only one]
    #[arg(
        help_heading = "Connection 连接",
        long,
        global = true,
        value_name = "REGION",
        env = "SHOUWANG_REGION",
        default_value = "",
        hide_default_value = true
    )]
    pub region: String,
    /// How long to wait, seconds 等待秒数
    #[arg(
        help_heading = "Connection 连接",
        long,
        global = true,
        value_name = "SECONDS",
        default_value_t = 15,
        value_parser = clap::value_parser!(u64).range(1..=60)
    )]
    pub timeout: u64,
    /// Output format 输出格式
    #[arg(
        help_heading = "Connection 连接",
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "SHOUWANG_OUTPUT"
    )]
    pub output: Format,
    /// Read only what is at least as new as every write acknowledged before 读取不早于已确认的写入
    #[arg(help_heading = "Connection 连接", long, global = true)]
    pub linearizable: bool,
    /// Use this request id, to repeat a command whose outcome is unknown 指定请求编号，用于重发结果未知的命令
    #[arg(help_heading = "Connection 连接", long, global = true, value_name = "UUID")]
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
    /// Reads wait for what was acknowledged before.
    pub linearizable: bool,
    timeout: Duration,
    request_id: uuid::Uuid,
    journal: PathBuf,
}

/// A failure in both languages.
pub(super) fn failure(exit: Exit, code: &'static str, zh: impl Display, en: impl Display) -> Failure {
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
        let (store, address) = self.credentials()?;
        let identity = store.identity().clone();
        let target = Target { address, expected: ExpectedNode::any_of(identity.federation()) };
        let channel = connect(&target, &store).await?;
        Ok(Client {
            channel,
            region: self.region.clone(),
            output: self.output,
            lang,
            identity,
            linearizable: self.linearizable,
            timeout: Duration::from_secs(self.timeout),
            request_id: self.request_id.unwrap_or_else(uuid::Uuid::now_v7),
            journal: home("XDG_STATE_HOME", ".local/state").join("requests.jsonl"),
        })
    }

    /// Who the chosen context acts as, without connecting.
    ///
    /// # Errors
    /// No such context, or credentials that do not fit.
    pub fn identity(&self) -> Result<crate::auth::Identity, Failure> {
        Ok(self.credentials()?.0.identity().clone())
    }

    fn credentials(&self) -> Result<(Arc<TlsStore>, String), Failure> {
        let path = self.contexts.clone().unwrap_or_else(|| home("XDG_CONFIG_HOME", ".config").join("contexts.toml"));
        let entry = self.entry(&path)?;
        let beside = |file: &Path| path.parent().unwrap_or(Path::new(".")).join(file);
        let paths = TlsPaths { ca: beside(&entry.ca), cert: beside(&entry.cert), key: beside(&entry.key) };
        Ok((TlsStore::open(paths, None)?, entry.address))
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
        let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => no_contexts(path),
            _ => unreadable(&error),
        })?;
        let mut entries: BTreeMap<String, Entry> = from_toml(&text).map_err(|error| unreadable(&error))?;
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

/// There is no contexts file: how to make one.
fn no_contexts(path: &Path) -> Failure {
    let shown = path.display();
    let entry =
        "[default]\naddress = \"127.0.0.1:7301\"\nca = \"ca.pem\"\ncert = \"operator.pem\"\nkey = \"operator.key\"";
    failure(
        Exit::BadInput,
        "CONTEXTS_FILE",
        format!(
            "没有连接配置文件 {shown}；用 --contexts 指明，或新建，如下（证书由 shouwang pki operator 签发）：\n{entry}"
        ),
        format!(
            "there is no contexts file {shown}; name it with --contexts, or write one such as this (shouwang pki operator \
             makes the certificate):\n{entry}"
        ),
    )
}

/// What the terminal has sent, kept before it is sent: after a crash, its outcome can be asked for.
#[derive(Debug, Serialize)]
struct Journaled<'a> {
    request_id: uuid::Uuid,
    command: &'a str,
    as_operator: String,
}

/// Most rows asked for at a time.
pub const PAGE: i32 = 1000;
/// Most pages read of one list: a million rows.
const PAGES_MAX: usize = 1000;
/// How far a stated time may lie ahead of this clock before it is taken for a slip of the pen, milliseconds.
const AHEAD_MS: i64 = 60_000;

impl Client {
    /// A request with this client's deadline.
    pub fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(self.timeout);
        request
    }

    /// The answer of a call that changes nothing.
    ///
    /// # Errors
    /// The node's refusal or failure, as [`failed`] tells it.
    pub fn done<T>(&self, answer: Result<Response<T>, Status>) -> Result<T, Failure> {
        answer.map(Response::into_inner).map_err(|status| failed(&status, self.lang))
    }

    /// A whole list: `page` is called with one page token after the other.
    ///
    /// # Errors
    /// As [`Client::done`], or a list that does not end.
    pub async fn all<P: Paged>(
        &self,
        mut page: impl AsyncFnMut(String) -> Result<Response<P>, Status>,
    ) -> Result<P, Failure> {
        let mut whole: Option<P> = None;
        let mut token = String::new();
        for _ in 0..PAGES_MAX {
            let mut next = self.done(page(token).await)?;
            token = next.take_token();
            match &mut whole {
                Some(whole) => whole.join(next),
                None => whole = Some(next),
            }
            if token.is_empty() {
                break;
            }
        }
        match whole {
            Some(whole) if token.is_empty() => Ok(whole),
            _ => Err(failure(
                Exit::Failure,
                "LIST_TOO_LONG",
                "列表超过一百万行；请用条件筛选",
                "the list has more than a million rows; narrow it down",
            )),
        }
    }

    /// Carries out a mutation: its id is in the journal before `call` sends it.
    ///
    /// # Errors
    /// The journal cannot be written; as [`Client::done`]; a deadline says how to ask for the outcome.
    pub async fn change<R: Changed>(
        &self,
        command: &str,
        call: impl AsyncFnOnce(String) -> Result<Response<R>, Status>,
    ) -> Result<R, Failure> {
        let request_id = self.request_id(command)?;
        self.changed(&request_id, call(request_id.clone()).await)
    }

    /// Like [`Client::change`], under an id of its own: for commands made of several mutations that may be repeated.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub async fn change_too<R>(
        &self,
        command: &str,
        call: impl AsyncFnOnce(String) -> Result<Response<R>, Status>,
    ) -> Result<R, Failure> {
        let request_id = uuid::Uuid::now_v7();
        self.journaled(request_id, command)?;
        self.changed(&request_id.to_string(), call(request_id.to_string()).await)
    }

    fn changed<R>(&self, request_id: &str, answer: Result<Response<R>, Status>) -> Result<R, Failure> {
        answer.map(Response::into_inner).map_err(|status| {
            let mut failure = failed(&status, self.lang);
            // Without a leader nothing is sent, so nothing is unknown.
            let sent = failure.code != "NO_LEADER";
            if sent && matches!(failure.exit, Exit::Deadline | Exit::Unavailable | Exit::Failure) {
                failure.text = Bilingual::new(
                    format!("{}\n结果未知，可查询：shouwang outcome {request_id}", failure.text.zh),
                    format!("{}\nthe outcome is unknown, ask for it: shouwang outcome {request_id}", failure.text.en),
                );
            }
            failure
        })
    }

    /// The id of a mutation: the one given on the command line or a new one, written to the journal before anything is
    /// sent.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn request_id(&self, command: &str) -> Result<String, Failure> {
        self.journaled(self.request_id, command)?;
        Ok(self.request_id.to_string())
    }

    fn journaled(&self, request_id: uuid::Uuid, command: &str) -> Result<(), Failure> {
        let line = Journaled { request_id, command, as_operator: self.identity.to_string() };
        self.journal(&line).map_err(|error| {
            let path = self.journal.display();
            failure(
                Exit::Failure,
                "JOURNAL",
                format!("无法写入请求日志 {path}：{error}"),
                format!("the request journal {path}: {error}"),
            )
        })
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

    /// A point in time as said on the command line, counted from when the command was asked: repeated under the same
    /// request id, it is the same point.
    pub fn moment(&self, when: When) -> prost_types::Timestamp {
        when.from(self.asked())
    }

    /// When something happened, which cannot be later than now; `None` leaves it to the time in the request id.
    ///
    /// # Errors
    /// A time still to come.
    pub fn happened(&self, when: Option<When>) -> Result<Option<prost_types::Timestamp>, Failure> {
        let Some(when) = when else { return Ok(None) };
        let at = self.moment(when);
        if at.seconds.saturating_mul(1000) > Timestamp::now().as_millisecond() + AHEAD_MS {
            return Err(failure(
                Exit::Usage,
                "TIME_TO_COME",
                "--at 的时刻还没有到；昨天的时刻请连日期一起写，如 2026-03-01T23:40",
                "the time of --at is still to come; write yesterday's with its date, such as 2026-03-01T23:40",
            ));
        }
        Ok(Some(at))
    }

    fn asked(&self) -> Timestamp {
        // Only ids of version 7 (and 1, 6) tell a time; for others this moment is the best there is.
        let unix = self.request_id.get_timestamp().map(|at| at.to_unix());
        let told = unix
            .and_then(|(seconds, nanos)| Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok());
        told.unwrap_or_else(Timestamp::now)
    }
}

/// A failed call as the terminal's failure: exit code by gRPC code, the reason code and the sentence of the node.
pub fn failed(status: &Status, lang: Lang) -> Failure {
    if let Some(refused) = not_taken(status) {
        return refused.into();
    }
    if is_cut(status) {
        let why = status.message();
        return Failure::new(
            Exit::Unavailable,
            "CONNECTION_LOST",
            Bilingual::new(
                format!("与节点的连接中断（{why}）"),
                format!("the connection to the node was lost ({why})"),
            ),
        );
    }
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
    let mut reason = format!("{:?}", status.code());
    let mut text = status.message().to_owned();
    let mut fields = Vec::new();
    for detail in status.get_error_details_vec() {
        match detail {
            ErrorDetail::ErrorInfo(info) => reason = info.reason,
            ErrorDetail::LocalizedMessage(said) if Lang::of_locale(&said.locale) == Some(lang) => text = said.message,
            ErrorDetail::BadRequest(bad) => {
                let told = |violation: FieldViolation| format!("\n  {}: {}", violation.field, violation.description);
                // A refusal's own sentence names its field already.
                let news = bad.field_violations.into_iter().filter(|violation| !text.contains(&violation.description));
                fields.extend(news.map(told));
            }
            _ => {}
        }
    }
    let text = text + &fields.concat();
    Failure::new(exit, code_of(reason), Bilingual::new(text.clone(), text))
}

/// Whether no node said this: the connection ended under the call, and the status was made here.
fn is_cut(status: &Status) -> bool {
    let made_here = std::error::Error::source(status).is_some();
    made_here && matches!(status.code(), Code::Unknown | Code::Internal | Code::Unavailable)
}

/// A node's reason as a failure's code.
pub(super) fn code_of(reason: String) -> &'static str {
    // Kept until the process ends, which a failure is about to make happen.
    reason.leak()
}

/// Carries out one mutation of the contract and writes what came of it: `carry!(client, api, "noun verb", method,
/// Request { field, field: value })`; the request id is filled in.
macro_rules! carry {
    ($client:expr, $api:expr, $command:literal, $method:ident, $Request:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {{
        let client: &crate::cli::client::Client = $client;
        let answer = client
            .change($command, async |request_id| {
                let request = $Request { request_id, $($field $(: $value)?),* };
                $api.$method(client.request(request)).await
            })
            .await?;
        client.accepted(&answer)
    }};
}
pub(super) use carry;

/// Connects, then runs `work` against the node.
///
/// # Errors
/// As [`ClientArgs::connect`]; what the work says.
pub fn with_node(
    args: &ClientArgs,
    lang: Lang,
    work: impl AsyncFnOnce(&Client) -> Result<(), Failure>,
) -> Result<(), Failure> {
    block_on(async {
        let client = args.connect(lang).await?;
        work(&client).await
    })
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

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
