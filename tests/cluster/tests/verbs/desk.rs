//! What the tests say at a terminal, in the words of the README: a person types a line, and what came of it is looked up
//! in the records of both sides.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
pub use shouwang_cluster::story::id;
use shouwang_cluster::story::{WUHAI, number, until};
use shouwang_cluster::{Federation, Terminal};

/// Where a store of every member stands.
pub const STORE: &str = "中心库";

/// One operator at a terminal.
#[derive(Clone, Debug)]
pub struct Person(pub Terminal);

impl Person {
    /// Another person in the same post.
    pub fn second(&self) -> Self {
        Self(self.0.second())
    }

    /// Types a line that must be carried out; answers its data.
    pub fn does(&self, line: &str) -> Result<Value> {
        self.0.run(&words(line))
    }

    /// Types a line that must end with this exit code and this reason; answers what was said.
    pub fn refused(&self, line: &str, exit: i32, reason: &str) -> Result<String> {
        let answer = self.0.try_run(&words(line))?;
        let said = answer.err.trim().to_owned();
        ensure!(answer.code == exit, "shouwang {line} ended with {} instead of {exit}: {said}", answer.code);
        ensure!(said.ends_with(&format!("[{reason}]")), "shouwang {line} was refused for another reason: {said}");
        Ok(said)
    }

    /// Types a line that must be carried out, with that form of output; answers what stands on the screen.
    pub fn shown(&self, line: &str, form: &str) -> Result<String> {
        let answer = self.0.try_with(&words(line), form)?;
        ensure!(answer.code == 0, "shouwang {line} -o {form} ended with {}: {}", answer.code, answer.err);
        Ok(answer.out)
    }

    /// Types a line again until it is carried out: what it needs is on its way.
    pub fn gets_to(&self, line: &str) -> Result<Value> {
        self.0.gets_to(&words(line))
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The federation, with words to speak in it.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a>(pub &'a Federation);

impl Desk<'_> {
    /// The first person in a post.
    pub fn at(&self, code: u32, role: &'static str) -> Person {
        Person(self.0.terminal(code, role))
    }

    /// A file of the test's own.
    pub fn file(&self, name: &str, text: &str) -> Result<String> {
        let path: PathBuf = self.0.dir.join(name);
        std::fs::write(&path, text)?;
        path.to_str().map(str::to_owned).context("a path in UTF-8")
    }

    /// A lot of `qty` in the member's store.
    pub fn lot(&self, code: u32, resource: &str, qty: u64) -> Result<String> {
        let lot = id();
        let add =
            format!("stock add 物资{resource} --resource {resource} --qty {qty} --unit 套 --store {STORE} --id {lot}");
        self.at(code, "keeper").does(&format!("{add} --price 100"))?;
        Ok(lot)
    }

    /// A team of that kind.
    pub fn team(&self, code: u32, kind: &str) -> Result<String> {
        let lot = id();
        let add = format!("team add 救援队 --kind {kind} --store {STORE} --size 20 --endurance 24 --id {lot}");
        self.at(code, "keeper").does(&add)?;
        Ok(lot)
    }

    /// A pledge of part of a lot, seen by the hub.
    pub fn pledge(&self, code: u32, lot: &str, qty: u64) -> Result<String> {
        let pledge = id();
        self.at(code, "leader").does(&format!("pledge make --lot {lot} --qty {qty} --until +2d --id {pledge}"))?;
        self.await_pledge(WUHAI, &pledge, |_| true)?;
        Ok(pledge)
    }

    /// A request of one member, seen by `at`.
    pub fn ask(&self, code: u32, lines: &[&str], more: &str, at: u32) -> Result<String> {
        let request = id();
        let lines: Vec<String> = lines.iter().map(|line| format!("--line {line}")).collect();
        let lines = lines.join(" ");
        let what = format!("--subject 氯气泄漏 --place 乌达区 --needed-by +4h --until +2d --id {request}");
        self.at(code, "duty").does(&format!("aid request {lines} {what} {more}"))?;
        until("the request arrives", || Ok(self.at(at, "duty").does(&format!("aid show {request}")).ok()))?;
        Ok(request)
    }

    /// The hub holds for a line.
    pub fn hold(&self, request: &str, line: u32, pledge: &str, qty: u64) -> Result<String> {
        let mission = id();
        let what = format!("aid hold {request} --line {line} --pledge {pledge} --qty {qty} --mission {mission}");
        self.at(WUHAI, "coordinator").does(&what)?;
        Ok(mission)
    }

    /// Held by the hub, signed by its leader, and set aside by the holder's registry.
    pub fn committed(&self, request: &str, line: u32, pledge: &str, qty: u64) -> Result<String> {
        let mission = self.hold(request, line, pledge, qty)?;
        self.at(WUHAI, "leader").does(&format!("aid order {mission}"))?;
        self.await_state(WUHAI, &mission, "COMMITTED")?;
        Ok(mission)
    }

    /// Committed, and gone.
    pub fn dispatched(&self, holder: u32, of: (&str, u32, &str), qty: u64) -> Result<String> {
        let (request, line, pledge) = of;
        let mission = self.committed(request, line, pledge, qty)?;
        self.at(holder, "keeper").does(&format!("mission dispatch {mission} --qty {qty} --seal 封0412"))?;
        self.await_state(WUHAI, &mission, "DISPATCHED")?;
        Ok(mission)
    }

    /// Gone, and here.
    pub fn delivered(&self, holder: u32, of: (&str, u32, &str), qty: u64) -> Result<String> {
        let mission = self.dispatched(holder, of, qty)?;
        self.at(WUHAI, "keeper").gets_to(&format!("mission receive {mission} --store {STORE} --good {qty}"))?;
        self.await_state(holder, &mission, "DELIVERED")?;
        Ok(mission)
    }

    /// What a line shows, once it is as wanted.
    fn awaited(
        person: &Person,
        line: &str,
        pick: impl Fn(&Value) -> Value,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut last = Value::Null;
        let seen = until(line, || {
            last = pick(&person.does(line)?);
            Ok((!last.is_null() && wanted(&last)).then(|| last.clone()))
        });
        seen.with_context(|| format!("it shows {last}"))
    }

    /// A mission as the region's copy at a member shows it.
    pub fn await_mission(&self, at: u32, mission: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let line = format!("mission show {mission}");
        Self::awaited(&self.at(at, "duty"), &line, |shown| shown["mission"].clone(), wanted)
    }

    /// A mission in a state.
    pub fn await_state(&self, at: u32, mission: &str, state: &str) -> Result<Value> {
        self.await_mission(at, mission, |seen| seen["state"] == format!("MISSION_STATE_{state}"))
            .with_context(|| format!("waiting for {state} at {at}"))
    }

    /// A mission as a member's own registry knows it.
    pub fn await_own(&self, at: u32, mission: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let line = format!("mission show {mission} --own");
        Self::awaited(&self.at(at, "duty"), &line, |shown| shown["missions"][0].clone(), wanted)
    }

    /// A pledge as the region's copy at a member shows it.
    pub fn await_pledge(&self, at: u32, pledge: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        Self::awaited(&self.at(at, "duty"), "region pledges", |shown| named(&shown["pledges"], pledge), wanted)
    }

    /// A pledge as its holder's registry knows it.
    pub fn await_own_pledge(&self, at: u32, pledge: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let pick = |shown: &Value| named(&shown["pledges"], pledge);
        Self::awaited(&self.at(at, "leader"), "pledge list --closed", pick, wanted)
    }

    /// A line of a request as the region's copy at a member shows it.
    pub fn await_line(
        &self,
        at: u32,
        (request, line): (&str, usize),
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let pick = |shown: &Value| shown["aidRequest"]["lines"][line - 1].clone();
        Self::awaited(&self.at(at, "duty"), &format!("aid show {request}"), pick, wanted)
    }

    /// What a lot holds in some accounts.
    pub fn await_stock(&self, at: u32, lot: &str, wanted: &[(&str, u64)]) -> Result<()> {
        let as_wanted = |lot: &Value| wanted.iter().all(|(account, qty)| balance(lot, account) == *qty);
        let pick = |shown: &Value| named(&shown["lots"], lot);
        Self::awaited(&self.at(at, "keeper"), "stock list --all", pick, as_wanted)
            .with_context(|| format!("a lot of {at} should hold {wanted:?}"))
            .map(|_| ())
    }

    /// A debt, `MISSION/KIND`.
    pub fn await_debt(&self, at: u32, debt: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let pick = |shown: &Value| named(&shown["obligations"], debt);
        Self::awaited(&self.at(at, "duty"), "obligation list --settled", pick, wanted)
            .with_context(|| format!("the debt {debt} at {at}"))
    }

    /// A discrepancy, `MISSION/KIND`.
    pub fn await_discrepancy(&self, at: u32, name: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let pick = |shown: &Value| named(&shown["discrepancies"], name);
        Self::awaited(&self.at(at, "duty"), "discrepancy list --closed", pick, wanted)
            .with_context(|| format!("the discrepancy {name} at {at}"))
    }

    /// Waits until a member's node knows that it has lost the others.
    pub fn out_of_touch(&self, at: u32) -> Result<()> {
        let admin = self.at(at, "admin");
        until("a node knows that it is cut off", || {
            let status = admin.does("region status")?;
            let mut records = status["records"].as_array().into_iter().flatten();
            let region = records.find(|record| record["kind"] == "RECORD_KIND_REGION");
            Ok(region.is_some_and(|region| region["asOf"]["inTouch"] == false && region["leader"] == "").then_some(()))
        })
    }

    /// One side proposes who bears a discrepancy, the other agrees.
    pub fn agree(&self, name: &str, (from, to): (u32, u32), charge: u64) -> Result<()> {
        self.await_discrepancy(from, name, |seen| seen["closedAt"].is_null())?;
        let propose = format!("discrepancy propose {name} --charge {charge} --note 会商认定");
        self.at(from, "leader").does(&propose)?;
        self.await_discrepancy(to, name, |seen| !seen["proposed"].is_null())?;
        self.at(to, "leader").does(&format!("discrepancy accept {name} --yes"))?;
        self.await_discrepancy(from, name, |seen| !seen["finding"].is_null() && !seen["closedAt"].is_null())?;
        Ok(())
    }
}

/// The entry whose name ends so; null if there is none.
fn named(list: &Value, end: &str) -> Value {
    let mut entries = list.as_array().into_iter().flatten();
    entries.find(|entry| entry["name"].as_str().is_some_and(|name| name.ends_with(end))).cloned().unwrap_or_default()
}

/// What a lot holds in an account, over all it belongs to.
fn balance(lot: &Value, account: &str) -> u64 {
    let of = lot["balances"].as_array().into_iter().flatten();
    of.filter(|of| of["account"] == format!("ACCOUNT_{account}")).map(|of| number(&of["quantity"])).sum()
}

/// A figure of an answer must be this.
pub fn figure(of: &Value, field: &str, wanted: u64) -> Result<()> {
    if number(&of[field]) == wanted { Ok(()) } else { bail!("{field} is {}, not {wanted}: {of}", of[field]) }
}
