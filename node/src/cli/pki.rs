//! `shouwang pki`: the federation's certificate authority on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use time::format_description::well_known::Rfc3339;

use crate::auth::identity::{Municipality, Role};
use crate::auth::revoked::REVOKED_FILE;
use crate::cli::Context;
use crate::cli::output::{Format, text_out, write};
use crate::exit::{Exit, Failure};
use crate::lang::{Bilingual, Lang};
use crate::pki::files::{Access, read_text, write_new};
use crate::pki::{Authority, Issued, PkiError, TakenBack, inspect};

/// Arguments of `shouwang pki`.
#[derive(Debug, Args)]
pub struct PkiArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Found the federation's CA: a key (keep it off the nodes) and a certificate 建立联盟 CA：私钥（勿放在节点上）与证书
    Init {
        /// The federation's name, e.g. wuhai.example 联盟名
        #[arg(long)]
        federation: String,
        /// Folder for the CA 存放目录
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// How many days the CA lasts 有效天数
        #[arg(long, default_value_t = 3650)]
        days: u32,
    },
    /// Sign a certificate request made by `shouwang init` 签发节点证书请求
    Sign {
        /// Folder of the CA CA 目录
        #[arg(long, value_name = "DIR")]
        ca: PathBuf,
        /// The certificate request (PEM) 证书请求文件
        #[arg(long, value_name = "FILE")]
        csr: PathBuf,
        /// Where to write the certificate 证书输出文件
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// How many days the certificate lasts 有效天数
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
    /// Make an operator's key and certificate 为操作人员生成私钥与证书
    Operator {
        /// Folder of the CA CA 目录
        #[arg(long, value_name = "DIR")]
        ca: PathBuf,
        /// GB/T 2260 code of the operator's municipality 行政区划代码
        #[arg(long, value_name = "CODE", value_parser = municipality)]
        municipality: Municipality,
        /// The operator's pseudonymous id 工号
        #[arg(long)]
        id: String,
        /// duty 值班员, leader 签发, keeper 库管, coordinator 联络员, secretariat 秘书处, superior 上级督导, admin 管理员
        #[arg(long, value_parser = role)]
        role: Role,
        /// Folder for key and certificate 输出目录
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// How many days the certificate lasts 有效天数
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
    /// Sign the same identity and key once more; then put the new certificate in place and send the node SIGHUP
    /// 续期：身份与密钥不变；换上新证书后向节点发送 SIGHUP，无需重启
    Renew {
        /// Folder of the CA CA 目录
        #[arg(long, value_name = "DIR")]
        ca: PathBuf,
        /// The certificate to renew (PEM); it may have ended 待续期的证书（可已过期）
        #[arg(long, value_name = "FILE")]
        cert: PathBuf,
        /// Where to write the new certificate 新证书输出文件
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// How many days the certificate lasts 有效天数
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
    /// Take a certificate back and write the list; copy revoked.pem beside every node's ca.pem and send SIGHUP: live
    /// connections of who is on it end 吊销证书并更新名单；将 revoked.pem 放到各节点 ca.pem 旁并发送 SIGHUP，其现有连接随即断开
    Revoke {
        /// Folder of the CA CA 目录
        #[arg(long, value_name = "DIR")]
        ca: PathBuf,
        /// The certificate (PEM) 证书文件
        #[arg(long, value_name = "FILE", conflicts_with = "serial", required_unless_present = "serial")]
        cert: Option<PathBuf>,
        /// Or its serial number, hexadecimal, as `pki show` and ca/issued.jsonl tell it 或其序列号（十六进制）
        #[arg(long, value_name = "HEX")]
        serial: Option<String>,
        /// Why 理由
        #[arg(long)]
        reason: String,
    },
    /// List what the CA has taken back 查看已吊销的证书
    Revoked {
        /// Folder of the CA CA 目录
        #[arg(long, value_name = "DIR")]
        ca: PathBuf,
        /// Output format 输出格式
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Show what a certificate, request or key file holds 查看证书、请求或密钥文件
    Show {
        /// The file (PEM) 文件
        file: PathBuf,
        /// Output format 输出格式
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
}

/// Runs `shouwang pki`.
///
/// # Errors
/// [`Failure`].
pub fn run(args: PkiArgs, context: &Context) -> Result<(), Failure> {
    let lang = context.lang;
    match args.verb {
        Verb::Init { federation, out, days } => {
            let ca = Authority::found(&federation, &out, days)?;
            say(
                lang,
                &Bilingual::new(
                    format!("已建立联盟 {federation} 的 CA；{} 须离线妥善保管", ca.files().key.display()),
                    format!("founded the CA of {federation}; keep {} offline and safe", ca.files().key.display()),
                ),
            );
            text_out(&format!("{}\n", ca.files().cert.display()))
        }
        Verb::Sign { ca, csr, out, days } => {
            // Looked at first: a certificate that cannot be written should not be on the CA's record.
            if out.symlink_metadata().is_ok() {
                return Err(PkiError::Exists(out).into());
            }
            let issued = Authority::open(&ca)?.sign(&read_text(&csr)?, days)?;
            write_new(&out, issued.pem.as_bytes(), Access::Public)?;
            tell(lang, &issued);
            text_out(&format!("{}\n", out.display()))
        }
        Verb::Operator { ca, municipality, id, role, out, days } => {
            let (issued, files) = Authority::open(&ca)?.operator(municipality, &id, role, days, &out)?;
            tell(lang, &issued);
            text_out(&format!("{}\n{}\n{}\n", files.key.display(), files.cert.display(), files.ca.display()))
        }
        Verb::Renew { ca, cert, out, days } => {
            if out.symlink_metadata().is_ok() {
                return Err(PkiError::Exists(out).into());
            }
            let issued = Authority::open(&ca)?.renew(&cert, days)?;
            write_new(&out, issued.pem.as_bytes(), Access::Public)?;
            tell(lang, &issued);
            text_out(&format!("{}\n", out.display()))
        }
        Verb::Revoke { ca, cert, serial, reason } => {
            let ca = Authority::open(&ca)?;
            let serial = match (&cert, serial) {
                (Some(cert), _) => ca.serial_of(cert)?,
                (None, serial) => serial.unwrap_or_default().to_ascii_lowercase(),
            };
            let taken = ca.revoke(&serial, &reason)?;
            let list = ca.files().cert.with_file_name(REVOKED_FILE);
            say(
                lang,
                &Bilingual::new(
                    format!(
                        "已吊销 {}（序列号 {serial}）；请将名单分发到各节点 ca.pem 旁并发送 SIGHUP",
                        taken.identity
                    ),
                    format!(
                        "revoked {} (serial {serial}); copy the list beside every node's ca.pem and send it SIGHUP",
                        taken.identity
                    ),
                ),
            );
            text_out(&format!("{}\n", list.display()))
        }
        Verb::Revoked { ca, output } => {
            let taken = Authority::open(&ca)?.taken_back()?;
            let row = |taken: &TakenBack| {
                let at = time::OffsetDateTime::from_unix_timestamp(taken.at).ok();
                let at = at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default();
                vec![taken.serial.clone(), taken.identity.clone(), at, taken.reason.clone()]
            };
            let rows: Vec<_> = taken.iter().map(row).collect();
            write(output, &taken, &["序列号 serial", "身份 identity", "吊销时间 at", "理由 reason"], &rows)
        }
        Verb::Show { file, output } => show(&file, output),
    }
}

fn show(file: &std::path::Path, output: Format) -> Result<(), Failure> {
    let found = inspect(file)?;
    let value = serde_json::to_value(&found)
        .map_err(|error| Failure::new(Exit::Failure, "OUTPUT", Bilingual::new(error.to_string(), error.to_string())))?;
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => {
            items.iter().map(|item| item.as_str().unwrap_or_default()).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    let rows: Vec<Vec<String>> = value
        .as_object()
        .map(|fields| fields.iter().map(|(key, value)| vec![key.clone(), text(value)]).collect())
        .unwrap_or_default();
    write(output, &value, &[], &rows)
}

fn tell(lang: Lang, issued: &Issued) {
    let until = issued.lifetime.until.format(&Rfc3339).unwrap_or_else(|_| issued.lifetime.until.to_string());
    let (who, serial) = (&issued.identity, &issued.serial);
    say(
        lang,
        &Bilingual::new(
            format!("已签发 {who}，有效至 {until}，序列号 {serial}"),
            format!("signed {who}, valid until {until}, serial {serial}"),
        ),
    );
}

/// A message for the person at the terminal; stdout is for data.
pub(super) fn say(lang: Lang, message: &Bilingual) {
    eprintln!("{}", message.get(lang));
}

pub(super) fn municipality(text: &str) -> Result<Municipality, String> {
    text.parse().map_err(|error: crate::auth::IdentityError| error.to_string())
}

fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|error: crate::auth::IdentityError| error.to_string())
}
