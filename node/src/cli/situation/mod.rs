//! `shouwang situation`: one screen of the region, from any node, live if asked; when the line is cut it goes on showing
//! the last picture, with its age, and catches up by itself.

mod layout;
mod live;
mod screen;

use std::pin::pin;
use std::time::{Duration, Instant};

use clap::Args;
use shouwang_proto::v1::region_service_client::RegionServiceClient;
use shouwang_proto::v1::{GetSituationRequest, GetSituationResponse};
use tonic::Status;
use tonic::transport::Channel;

use self::layout::Screen;
use self::live::Terminal;
use self::screen::{Picture, render};
use super::Context;
use super::client::{Client, ClientArgs, failed, failure, with_node};
use super::output::{Format, text_out};
use super::render::Canonical;
use super::text::clean;
use super::watch::passes;
use crate::exit::{Exit, Failure};

/// How often the screen is drawn again: ages run on.
const TICK: Duration = Duration::from_secs(1);
/// An answer that takes longer than this is said to be missing.
const PATIENCE: Duration = Duration::from_secs(3);

/// Arguments of `shouwang situation`.
#[derive(Debug, Args)]
pub struct SituationArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Stay, and draw the screen again as things change; to a file or a pipe, whenever something has changed 持续刷新
    #[arg(long)]
    watch: bool,
    /// How often to look, seconds 刷新间隔（秒）
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Most rows of each list [default: all; with --watch, what fits] 每个列表最多行数
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// Of the exercise 演练
    #[arg(long)]
    exercise: bool,
}

/// Runs `shouwang situation`.
///
/// # Errors
/// [`Failure`]; with `--watch`, a cut line is waited out.
pub fn run(args: &SituationArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| {
        if args.watch {
            return watch(client, args).await;
        }
        let answer = client.done(look(client, args.exercise).await)?;
        Teller { client, args, terminal: None }.put(&Picture { answer: &answer, age: Duration::ZERO, trouble: None })
    })
}

async fn look(client: &Client, exercise: bool) -> Result<tonic::Response<GetSituationResponse>, Status> {
    let mut api: RegionServiceClient<Channel> = RegionServiceClient::new(client.channel.clone());
    let query = GetSituationRequest { region: client.region.clone(), linearizable: client.linearizable, exercise };
    api.get_situation(client.request(query)).await
}

async fn watch(client: &Client, args: &SituationArgs) -> Result<(), Failure> {
    let every = Duration::from_secs(args.every);
    let terminal = if client.output == Format::Table { Terminal::take()? } else { None };
    let mut watched = Watched { teller: Teller { client, args, terminal }, last: None, trouble: None };
    let mut stop = pin!(live::interrupted());
    let mut tick = tokio::time::interval(TICK);
    let mut pause = Duration::ZERO;
    loop {
        let due = Instant::now() + pause;
        let mut next = pin!(async move {
            tokio::time::sleep(pause).await;
            look(client, args.exercise).await
        });
        let answer = loop {
            tokio::select! {
                () = &mut stop => return Ok(()),
                answer = &mut next => break answer,
                _ = tick.tick() => watched.tick(due.elapsed())?,
            }
        };
        match answer {
            Ok(answer) => watched.picture(answer.into_inner())?,
            Err(status) if !passes(&status) => return Err(failed(&status, client.lang)),
            Err(status) => watched.failed(&status)?,
        }
        pause = every;
    }
}

/// What is being watched, and where it is told.
struct Watched<'a> {
    teller: Teller<'a>,
    last: Option<(GetSituationResponse, Instant)>,
    /// Why there is no newer picture.
    trouble: Option<String>,
}

impl Watched<'_> {
    fn picture(&mut self, answer: GetSituationResponse) -> Result<(), Failure> {
        let live = self.teller.terminal.is_some();
        if self.trouble.take().is_some() && !live {
            self.teller.client.say("本节点已恢复应答", "this node answers again");
        }
        // On a terminal ages run on; a file takes only what has changed.
        let changed = self.last.as_ref().is_none_or(|(last, _)| gist(last) != gist(&answer));
        self.last = Some((answer, Instant::now()));
        if changed || live { self.draw() } else { Ok(()) }
    }

    fn failed(&mut self, status: &Status) -> Result<(), Failure> {
        self.troubled(&clean(status.message()))
    }

    fn troubled(&mut self, why: &str) -> Result<(), Failure> {
        let new = self.trouble.replace(why.to_owned()).is_none();
        if self.teller.terminal.is_some() {
            return self.draw();
        }
        if new {
            self.teller.client.say(format!("联系不上本节点（{why}）"), format!("this node does not answer ({why})"));
        }
        Ok(())
    }

    /// A second has passed, and an answer is due for as long as this.
    fn tick(&mut self, overdue: Duration) -> Result<(), Failure> {
        if overdue > PATIENCE && self.trouble.is_none() {
            let why = self.teller.client.lang.pick("没有应答", "no answer").to_owned();
            return self.troubled(&why);
        }
        if self.teller.terminal.is_some() { self.draw() } else { Ok(()) }
    }

    fn draw(&self) -> Result<(), Failure> {
        let Some((answer, at)) = &self.last else { return Ok(()) };
        self.teller.put(&Picture { answer, age: at.elapsed(), trouble: self.trouble.as_deref() })
    }
}

/// What of a picture is news to somebody who follows it in a file: not that everything is a little older.
fn gist(answer: &GetSituationResponse) -> (u64, bool, Vec<(&str, i32)>) {
    let members = answer.members.iter().map(|member| (member.code.as_str(), member.touch)).collect();
    answer.as_of.as_ref().map_or((0, false, Vec::new()), |as_of| (as_of.revision, as_of.in_touch, members))
}

/// Where pictures go.
struct Teller<'a> {
    client: &'a Client,
    args: &'a SituationArgs,
    /// The terminal, if it was taken over.
    terminal: Option<Terminal>,
}

impl Teller<'_> {
    /// Writes the screen, or the message (JSON: one object per line, for a stream of them).
    fn put(&self, picture: &Picture<'_>) -> Result<(), Failure> {
        let unwritable = |error: &dyn std::fmt::Display| failure(Exit::Failure, "OUTPUT", error, error);
        let (client, rows) = (self.client, self.args.rows.unwrap_or(usize::MAX));
        let json = || Canonical::of(picture.answer);
        match (client.output, &self.terminal) {
            (Format::Table, Some(terminal)) => terminal.draw(&render(picture, client.lang, terminal.screen(), rows)),
            (Format::Table, None) => {
                let text = render(picture, client.lang, live::paper(), rows);
                text_out(&if self.args.watch { text + "\n" } else { text })
            }
            // One look is laid out for reading, as everywhere; of many, each is one line.
            (Format::Json, _) if !self.args.watch => super::output::write(Format::Json, &json()?, &[], &[]),
            (Format::Json, _) => {
                text_out(&(serde_json::to_string(&json()?).map_err(|error| unwritable(&error))? + "\n"))
            }
            (Format::Yaml, _) => {
                let yaml = serde_yaml_ng::to_string(&json()?).map_err(|error| unwritable(&error))?;
                text_out(&if self.args.watch { format!("---\n{yaml}") } else { yaml })
            }
        }
    }
}

#[cfg(test)]
mod tests;
