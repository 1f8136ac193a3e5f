//! `shouwang doctor`: is this node fit for the night it is needed?

use clap::Args;
use shouwang_proto::admin::v1::GetNodeStatusRequest;
use shouwang_proto::admin::v1::admin_service_client::AdminServiceClient;

use crate::cli::Context;
use crate::cli::client::{ClientArgs, block_on};
use crate::cli::output::write;
use crate::doctor::{Finding, Verdict, examine};
use crate::exit::{Exit, Failure};
use crate::lang::{Bilingual, Lang};

/// Arguments of `shouwang doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// As whom to ask a node that runs what it has found on its disk.
    #[command(flatten)]
    client: ClientArgs,
}

/// Examines the node of this configuration, running or not, and says what to do about each finding.
///
/// # Errors
/// [`Failure`] for a configuration that cannot be used, and when something was found bad.
pub fn run(args: &DoctorArgs, context: &Context) -> Result<(), Failure> {
    let config = crate::config::load(&context.sources)?.config;
    let lang = context.lang;
    let ask = async || {
        let client = args.client.connect(lang).await?;
        let mut admin = AdminServiceClient::new(client.channel.clone());
        client.done(admin.get_node_status(client.request(GetNodeStatusRequest {})).await)
    };
    let findings = block_on(async { Ok(examine(&config, ask).await) })?;
    let rows: Vec<Vec<String>> = findings.iter().map(|finding| row(finding, lang)).collect();
    let heads = match lang {
        Lang::Zh => ["结论", "项目", "情况", "处理"],
        Lang::En => ["VERDICT", "CHECK", "FOUND", "WHAT TO DO"],
    };
    write(args.client.output, &findings, &heads, &rows)?;
    let bad = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
    if bad == 0 {
        return Ok(());
    }
    let text =
        Bilingual::new(format!("{bad} 项不合格，处理办法见上表"), format!("{bad} bad; what to do stands in the table"));
    Err(Failure::new(Exit::Failure, "DOCTOR", text))
}

fn row(finding: &Finding, lang: Lang) -> Vec<String> {
    vec![
        finding.verdict.word().get(lang).to_owned(),
        finding.check.to_owned(),
        finding.found.get(lang).to_owned(),
        finding.mend.as_ref().map(|mend| mend.get(lang).to_owned()).unwrap_or_default(),
    ]
}
