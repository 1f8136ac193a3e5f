//! A person at a terminal: the `shouwang` command with that person's certificate.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::place::Place;
use crate::story::{id, until};

/// Ended like this (not reached, too late), nobody knows whether a command was decided.
const UNDECIDED: [i32; 2] = [5, 7];

/// What a command answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Answer {
    /// What a command that has ended said.
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The data on standard output.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("not JSON: {}\n{}", self.out, self.err))
    }
}

/// A command that runs until this is dropped.
#[derive(Debug)]
pub struct Following {
    child: Child,
    said: File,
}

impl Following {
    /// Whether it has ended by itself.
    ///
    /// # Errors
    /// The operating system does not know it.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// What it has said so far beside its data.
    ///
    /// # Errors
    /// That cannot be read.
    pub fn said(&self) -> Result<String> {
        let mut said = vec![0; usize::try_from(self.said.metadata()?.len())?];
        self.said.read_exact_at(&mut said, 0)?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It may have ended already; nothing of it may outlive the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One operator of one municipality.
#[derive(Clone, Debug)]
pub struct Terminal {
    binary: PathBuf,
    home: PathBuf,
    role: String,
    person: u32,
    place: Place,
}

impl Terminal {
    /// The first person in that post, on this machine.
    pub fn new(binary: PathBuf, home: PathBuf, role: String) -> Self {
        Self { binary, home, role, person: 1, place: Place::here() }
    }

    /// The second person in the same post.
    pub fn second(&self) -> Self {
        Self { person: 2, ..self.clone() }
    }

    /// The same person somewhere else.
    pub fn moved_to(&self, place: &Place) -> Self {
        Self { place: place.clone(), ..self.clone() }
    }

    /// The command line up to the noun.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .args(["--contexts".as_ref(), self.home.join("contexts.toml").as_os_str()])
            .args(["--context", &format!("{}-{}", self.role, self.person)])
            .env("SHOUWANG_LANG", "en")
            .env("XDG_STATE_HOME", self.home.join("state"))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command and answers what came of it, good or bad.
    ///
    /// # Errors
    /// The command cannot be run at all.
    pub fn try_run(&self, arguments: &[&str]) -> Result<Answer> {
        self.try_with(arguments, "json")
    }

    /// As [`Terminal::try_run`], with another form of output.
    ///
    /// # Errors
    /// The command cannot be run at all.
    pub fn try_with(&self, arguments: &[&str], form: &str) -> Result<Answer> {
        let mut command = self.command(arguments);
        let output = self.place.within(|| command.args(["-o", form]).output())?;
        Ok(Answer::of(&output))
    }

    /// Starts a command whose data is read while it runs, one line after the other.
    ///
    /// # Errors
    /// The command cannot be run at all.
    pub fn follow(&self, arguments: &[&str]) -> Result<(Following, ChildStdout)> {
        let (mut command, said) = (self.command(arguments), tempfile::tempfile()?);
        command.args(["-o", "json"]).stdout(Stdio::piped()).stderr(said.try_clone()?);
        let mut following = Following { child: self.place.within(|| command.spawn())?, said };
        let data = following.child.stdout.take().context("a pipe")?;
        Ok((following, data))
    }

    /// Runs a command that must succeed and answers its data.
    ///
    /// # Errors
    /// It failed; with what it said.
    pub fn run(&self, arguments: &[&str]) -> Result<Value> {
        self.data(arguments, &self.try_run(arguments)?)
    }

    fn data(&self, arguments: &[&str], answer: &Answer) -> Result<Value> {
        if answer.code != 0 {
            bail!("{}: shouwang {} ended with {}: {}", self.role, arguments.join(" "), answer.code, answer.err.trim());
        }
        if answer.out.trim().is_empty() { Ok(Value::Null) } else { answer.json() }
    }

    /// Runs a command again until it is carried out: what it needs is on its way. It keeps its id as long as nobody has
    /// decided; a refusal is what its id came to, for ever, so that what has changed since is asked under another one.
    ///
    /// # Errors
    /// It never is; with what it said last.
    pub fn gets_to(&self, arguments: &[&str]) -> Result<Value> {
        let mut request = id();
        until(&arguments.join(" "), || {
            let answer = self.try_run(&[arguments, &["--request-id", &request]].concat())?;
            if !UNDECIDED.contains(&answer.code) {
                request = id();
            }
            self.data(arguments, &answer).map(Some)
        })
    }

    /// Runs a command that must be refused, and answers the reason it gave.
    ///
    /// # Errors
    /// It succeeded, or failed in another way.
    pub fn refused(&self, arguments: &[&str]) -> Result<String> {
        let answer = self.try_run(arguments)?;
        match answer.code {
            3 | 6 => Ok(answer.err.trim().to_owned()),
            code => {
                bail!("shouwang {} should have been refused, it ended with {code}: {}", arguments.join(" "), answer.err)
            }
        }
    }
}
