//! `shouwang doctor`: is this node fit for the night it is needed?

use clap::Args;

use crate::cli::Context;
use crate::cli::output::{Format, write};
use crate::doctor::{Finding, Verdict, examine};
use crate::exit::{Exit, Failure};
use crate::lang::{Bilingual, Lang};

/// Arguments of `shouwang doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Output format 输出格式
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Examines the node of this configuration, running or not, and says what to do about each finding.
///
/// # Errors
/// [`Failure`] for a configuration that cannot be used, and when something was found bad.
pub fn run(args: &DoctorArgs, context: &Context) -> Result<(), Failure> {
    let config = crate::config::load(&context.sources)?.config;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::new(Exit::Failure, "RUNTIME", Bilingual::new(error.to_string(), error.to_string()))
    })?;
    let findings = runtime.block_on(examine(&config));
    let lang = context.lang;
    let rows: Vec<Vec<String>> = findings.iter().map(|finding| row(finding, lang)).collect();
    let heads = match lang {
        Lang::Zh => ["结论", "项目", "情况", "处理"],
        Lang::En => ["VERDICT", "CHECK", "FOUND", "WHAT TO DO"],
    };
    write(args.output, &findings, &heads, &rows)?;
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
