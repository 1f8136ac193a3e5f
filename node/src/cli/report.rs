//! `shouwang report`: the secretariat's papers.

use clap::{Args, Subcommand};
use shouwang_proto::v1::GetRegionReportRequest;
use shouwang_proto::v1::report_service_client::ReportServiceClient;

use super::Context;
use super::client::{ClientArgs, failure, with_node};
use super::output::{Format, text_out, write};
use crate::documents::region_report::RegionReport;
use crate::exit::{Exit, Failure};

/// Arguments of `shouwang report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Who shares what, what was asked and what came of it, who owes whom 区域报表：共享、请求、落实率、时长、往来
    Region {
        /// As of this revision [default: the newest this node knows] 截至版本
        #[arg(long, value_name = "REVISION", default_value_t = 0, hide_default_value = true)]
        at: u64,
    },
}

/// Runs `shouwang report`.
///
/// # Errors
/// [`Failure`].
pub fn run(args: &ReportArgs, context: &Context) -> Result<(), Failure> {
    let Verb::Region { at } = args.verb;
    with_node(&args.client, context.lang, async |client| {
        let mut api = ReportServiceClient::new(client.channel.clone());
        let query = GetRegionReportRequest {
            region: client.region.clone(),
            revision: at,
            linearizable: client.linearizable && at == 0,
        };
        let answer = client.done(api.get_region_report(client.request(query)).await)?;
        let unreadable = |error: &dyn std::fmt::Display| failure(Exit::Failure, "REPORT", error, error);
        let text = String::from_utf8(answer.report).map_err(|error| unreadable(&error))?;
        // The bytes as every member gives them: two members' papers can be compared, or hashed.
        if client.output == Format::Json {
            return text_out(&text);
        }
        let report: RegionReport = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
        if client.output == Format::Yaml {
            return write(Format::Yaml, &report, &[], &[]);
        }
        text_out(&report.render_table(client.lang))?;
        client.age(answer.as_of.as_ref());
        Ok(())
    })
}
