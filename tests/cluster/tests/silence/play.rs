//! What happens to the lines, one fault after the other.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shouwang_cluster::affairs::{leader_of, led_by, revision_of};
use shouwang_cluster::clients::Storm;
use shouwang_cluster::namespaces::Fault;
use shouwang_cluster::story::{SUITS, id, number, until};
use shouwang_cluster::terminal::Answer;
use shouwang_cluster::watchers::Watcher;
use shouwang_cluster::{Federation, Namespaces, Terminal};

use crate::{ASKERS, NEWCOMER, VOTERS};

/// How long silences last that connections may outlive, or that end just before these are given up: TCP's attempts come 0.2, 0.6, 1.4, 3 and
/// 6.2 s after the first that was lost.
const SHORT_SILENCES_MS: [u64; 4] = [2_000, 3_200, 6_500, 8_500];
/// Within what another leads: what the timing of lines that are short promises (an election after 0.5 to 1 s, and a second
/// one if the votes were split), and what two busy cores add.
const LEADS_WITHIN: Duration = Duration::from_secs(5);
/// Within what a node has everything again once its line is back (docs/reliability.md): a connection that lived on is used or
/// given up within 5 s, as TCP's pauses double up to the 10 s after which it is; an attempt to dial that was lost halfway
/// ends within 5 s, and the next one is begun within 1 s. The rest is for Raft, and for two busy cores.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// Within what whoever watches is told that nothing comes any more, and is shown what he missed once something does.
const TOLD_WITHIN: Duration = Duration::from_secs(17);
/// Within what a command ends that does not get through to its node.
const CALLED_WITHIN: Duration = Duration::from_secs(7);
/// Within what a command ends that has not named another time.
const DEADLINE: Duration = Duration::from_secs(16);
/// Within what a member whose line carries 64 kbit/s has the region's state.
const FOLLOWS_WITHIN: Duration = Duration::from_mins(1);
/// Rows of a ledger whose import takes some seconds on a thin line.
const ROWS: usize = 250;

/// Where it happens.
pub struct Scene<'a> {
    pub federation: &'a mut Federation,
    pub namespaces: &'a Namespaces,
    pub storm: &'a Storm,
    /// How long each fault lasts at least; not named, no longer than what is looked at takes.
    pub lasts: Option<Duration>,
}

/// One fault, from its beginning to its end.
type Part<'a> = fn(&mut Scene<'a>) -> Result<()>;

/// A command that somebody waits for.
struct Waiting {
    request: String,
    ended: JoinHandle<Result<(Answer, Duration)>>,
}

impl Waiting {
    /// It has ended in time, as the connection was lost, and named the id under which to ask for what it came to.
    fn ended_in_time(self) -> Result<()> {
        let (answer, took) = self.ended.join().expect("waiting does not panic")?;
        println!("  the command ended after {:.1} s: {}", took.as_secs_f64(), answer.err.trim());
        ensure!(took <= DEADLINE, "a command ended after {took:?} only");
        ensure!(answer.code == 5 && answer.err.contains("[CONNECTION_LOST]"), "{answer:?}");
        ensure!(answer.err.contains(&format!("shouwang outcome {}", self.request)), "{answer:?}");
        Ok(())
    }
}

impl<'a> Scene<'a> {
    /// Plays all of it. What went wrong in one part does not keep the others from being played.
    pub fn play(mut self) -> Result<()> {
        let mut parts: Vec<(&str, Part<'a>)> = vec![
            ("the leader falls silent", Self::leader_falls_silent),
            ("what the leader says is lost", |scene| scene.one_direction_is_lost(false)),
            ("what is said to the leader is lost", |scene| scene.one_direction_is_lost(true)),
            ("one packet in five vanishes", Self::some_packets_vanish),
            ("an address leads nowhere", Self::address_is_gone),
        ];
        if self.lasts.is_some() {
            parts.push(("a follower is silent for short whiles", Self::silences_are_short));
        }
        let mut failed = Vec::new();
        for (what, part) in parts {
            let (began, before, streams) = (Instant::now(), self.storm.figures(), streams_ended(self.federation));
            println!(" {what}:");
            failed.extend(part(&mut self).err().map(|error| format!("{what}: {error:#}")));
            self.namespaces.mend()?;
            let (after, seconds) = (self.storm.figures(), began.elapsed().as_secs_f64());
            let (done, again) = (after.0 - before.0, after.1 - before.1);
            let streams = streams_ended(self.federation) - streams;
            println!(
                "  {seconds:.1} s, {done} operations, {again} calls repeated, {streams} streams between nodes ended"
            );
        }
        ensure!(failed.is_empty(), "{}", failed.join("\n"));
        Ok(())
    }

    /// A leader's line is dead, and nobody is told. Another leads; whoever called or watched it from afar is told; when the
    /// line is back, so is the node. Meanwhile the others, all of whom it takes, have no good lines either: between them
    /// large packets vanish, and the newcomer joins, whose line carries 64 kbit/s.
    fn leader_falls_silent(&mut self) -> Result<()> {
        let leader = self.leader()?;
        let afar = self.federation.place(other_than(leader)?);
        let watcher = Watcher::at(&self.federation.terminal(leader, "duty").moved_to(&afar))?;
        watcher.is_shown(self.revision(leader)?)?;
        let keeper = self.federation.terminal(leader, "keeper").moved_to(&self.federation.place(NEWCOMER));
        self.namespaces.spoil(Fault::Thin, |from, to| from == place(NEWCOMER) || to == place(NEWCOMER))?;
        let import = self.import_under_way(leader, &keeper)?;

        let silent = Instant::now();
        self.silence(leader)?;
        let another = self.another_leads(leader, silent)?;
        until("the leader knows that it leads no more", || {
            Ok((leader_of(&self.federation.terminal(leader, "admin"))? != Some(leader)).then_some(()))
        })?;
        println!("  it leads no more after {:.1} s", silent.elapsed().as_secs_f64());
        let joins = Instant::now();
        self.federation.node(NEWCOMER).start()?;
        self.federation.node(NEWCOMER).wait_ready()?;
        let (known, newcomers) = (self.missed(leader)?, self.federation.terminal(NEWCOMER, "admin"));
        std::thread::scope(|scope| {
            let told = scope.spawn(|| {
                until("whoever watches is told", || Ok(watcher.knows_of_cut()?.then_some(())))?;
                within("whoever watches is told", silent, TOLD_WITHIN)
            });
            let follows = scope.spawn(|| {
                until("a member follows on a thin line", || Ok((revision_of(&newcomers)? >= known).then_some(())))?;
                within("a member follows on a thin line", joins, FOLLOWS_WITHIN)
            });
            let called = Instant::now();
            let answer = keeper.try_run(&["store", "list"])?;
            ensure!(answer.code == 5, "who calls on a dead line was told {answer:?}");
            within("who calls on a dead line is told", called, CALLED_WITHIN)?;
            self.large_packets_vanish(another, leader)?;
            [told, follows].into_iter().try_for_each(|sees| sees.join().expect("waiting does not panic"))
        })?;
        import.ended_in_time()?;
        self.wait(silent);

        let missed = self.missed(leader)?;
        self.namespaces.mend()?;
        let back = Instant::now();
        self.is_back(leader, missed, back)?;
        watcher.is_shown(missed)?;
        within("whoever watches is shown what he missed", back, TOLD_WITHIN)?;
        self.every_row_is_there_once(leader, &keeper)
    }

    /// However often the command had to be repeated.
    fn every_row_is_there_once(&self, member: u32, keeper: &Terminal) -> Result<()> {
        let import = self.import(member);
        let [again, twice] = [(), ()].map(|()| keeper.run(&import.each_ref().map(String::as_str)));
        let (again, twice) = (again?, twice?);
        ensure!(number(&again["entered"]) + number(&again["already_there"]) == ROWS as u64, "{again}");
        ensure!((number(&twice["entered"]), number(&twice["already_there"])) == (0, ROWS as u64), "{twice}");
        Ok(())
    }

    /// A follower's line is dead for whiles that its connections could outlive.
    fn silences_are_short(&mut self) -> Result<()> {
        for lasts in SHORT_SILENCES_MS.map(Duration::from_millis) {
            let follower = other_than(self.leader()?)?;
            self.silence(follower)?;
            std::thread::sleep(lasts);
            let missed = self.missed(follower)?;
            self.namespaces.mend()?;
            self.is_back(follower, missed, Instant::now())?;
        }
        Ok(())
    }

    /// What the leader says is lost, or what is said to it.
    fn one_direction_is_lost(&mut self, leader_is_heard: bool) -> Result<()> {
        let leader = self.leader()?;
        let lost = |from, to| if leader_is_heard { to == place(leader) } else { from == place(leader) };
        let began = Instant::now();
        self.namespaces.spoil(Fault::Silent, lost)?;
        self.another_leads(leader, began)?;
        self.work_goes_on(10)?;
        self.wait(began);
        let missed = self.missed(leader)?;
        self.namespaces.mend()?;
        self.is_back(leader, missed, Instant::now())
    }

    /// Between the leader and all others small packets pass and large ones vanish. What is large is decided all the same,
    /// and the region goes on; but for one who hears nothing at all.
    fn large_packets_vanish(&self, leader: u32, silent: u32) -> Result<()> {
        let began = Instant::now();
        self.namespaces.spoil(Fault::LargeLost, |from, to| from == place(leader) || to == place(leader))?;
        let askers = ASKERS.into_iter().filter(|asker| ![leader, silent].contains(asker)).take(1);
        for asker in [leader].into_iter().chain(askers) {
            let request = id();
            let lines: Vec<String> = (0..100).map(|_| format!("{SUITS}=1:{}{}{}", id(), id(), id())).collect();
            let lines = lines.iter().flat_map(|line| ["--line", line]);
            let what =
                ["--subject", "大件", "--place", "乌达", "--needed-by", "+4h", "--until", "+2d", "--id", &request];
            let words: Vec<&str> =
                ["aid", "request"].into_iter().chain(lines).chain(what).chain(["--timeout", "5"]).collect();
            self.federation.terminal(asker, "duty").gets_to(&words)?;
            for code in VOTERS.into_iter().filter(|code| *code != silent) {
                let duty = self.federation.terminal(code, "duty");
                until("what is large arrives", || Ok(duty.run(&["aid", "show", &request]).ok().map(|_| ())))?;
            }
            println!(
                "  what is large was everywhere {:.1} s after large packets began to vanish",
                began.elapsed().as_secs_f64()
            );
        }
        self.work_goes_on(10)
    }

    /// One packet in five is lost, everywhere.
    fn some_packets_vanish(&mut self) -> Result<()> {
        let began = Instant::now();
        self.namespaces.spoil(Fault::SomeLost, |_, _| true)?;
        self.work_goes_on(20)?;
        self.wait(began);
        Ok(())
    }

    /// A follower's address leads nowhere for a while.
    fn address_is_gone(&mut self) -> Result<()> {
        let follower = other_than(self.leader()?)?;
        let began = Instant::now();
        self.namespaces.set_address(place(follower), false)?;
        self.work_goes_on(5)?;
        self.wait(began);
        let missed = self.missed(follower)?;
        self.namespaces.set_address(place(follower), true)?;
        self.is_back(follower, missed, Instant::now())
    }

    /// Cuts a member off from all others.
    fn silence(&self, code: u32) -> Result<()> {
        self.namespaces.spoil(Fault::Silent, |from, to| from == place(code) || to == place(code))
    }

    /// What a fault is: it lasts. Nothing is waited for here.
    fn wait(&self, since: Instant) {
        std::thread::sleep(self.lasts.unwrap_or_default().saturating_sub(since.elapsed()));
    }

    fn leader(&self) -> Result<u32> {
        led_by(self.federation, &VOTERS, "somebody leads", |_| true)
    }

    fn another_leads(&self, than: u32, since: Instant) -> Result<u32> {
        let leader = led_by(self.federation, &VOTERS, "another leads", |code| code != than)?;
        within("another leads", since, LEADS_WITHIN)?;
        Ok(leader)
    }

    /// The newest revision that a member's node shows.
    fn revision(&self, at: u32) -> Result<u64> {
        revision_of(&self.federation.terminal(at, "admin"))
    }

    /// The newest revision that the others have.
    fn missed(&self, code: u32) -> Result<u64> {
        let others = VOTERS.into_iter().filter(|other| *other != code).map(|other| self.revision(other));
        Ok(others.collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or_default())
    }

    /// Waits until a node whose line is back has what it missed.
    fn is_back(&self, code: u32, missed: u64, since: Instant) -> Result<()> {
        until("it is back", || Ok((self.revision(code)? >= missed).then_some(())))?;
        let log = || format!("its log ends with\n{}", self.federation.nodes[place(code)].log_tail());
        within("it is back", since, BACK_WITHIN).with_context(log)
    }

    /// The clients get so many operations done.
    fn work_goes_on(&self, operations: usize) -> Result<()> {
        let before = self.storm.figures().0;
        until("work goes on", || Ok((self.storm.figures().0 >= before + operations).then_some(())))
    }

    /// A keeper far away begins an import that takes some seconds on his thin line; it is under way when this returns.
    fn import_under_way(&self, member: u32, keeper: &Terminal) -> Result<Waiting> {
        let row = |n| format!("棉被{n},床,1,应急库,一区\n");
        let table: String = (0..ROWS).map(row).collect();
        std::fs::write(&self.import(member)[2], format!("物资名称,单位,数量,仓库,区\n{table}"))?;
        let (keeper, import, before) = (keeper.clone(), self.import(member), self.imports(member)?.len());
        let ended = std::thread::spawn(move || {
            let began = Instant::now();
            let answer = keeper.try_run(&import.each_ref().map(String::as_str))?;
            Ok((answer, began.elapsed()))
        });
        let request = until("the import is under way", || Ok(self.imports(member)?.into_iter().nth(before)))?;
        Ok(Waiting { request, ended })
    }

    /// The command that imports the ledger of a member's quilts.
    fn import(&self, member: u32) -> [String; 5] {
        let ledger = self.federation.home(member).join("quilts.csv").to_string_lossy().into_owned();
        let catalogue = self.federation.dir.join("catalogue.csv").to_string_lossy().into_owned();
        ["stock".to_owned(), "import".to_owned(), ledger, "--catalogue".to_owned(), catalogue]
    }

    /// The ids of the imports in the journal that a member's terminals keep before they send anything.
    fn imports(&self, member: u32) -> Result<Vec<String>> {
        let journal = self.federation.home(member).join("state/shouwang/requests.jsonl");
        let journal = std::fs::read_to_string(journal)?;
        let lines = journal.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
        let imports = lines.iter().filter(|line| line["command"] == "stock import");
        imports.map(|line| Ok(line["request_id"].as_str().context("an id")?.to_owned())).collect()
    }
}

/// How many streams to another node have ended so far, as the nodes' logs say.
fn streams_ended(federation: &Federation) -> usize {
    let logs =
        federation.nodes.iter().map(|node| std::fs::read_to_string(node.home.join("node.log")).unwrap_or_default());
    logs.map(|log| log.matches("stream to peer ended").count()).sum()
}

/// A member's place among the namespaces.
fn place(code: u32) -> usize {
    VOTERS.iter().position(|voter| *voter == code).unwrap_or(VOTERS.len())
}

/// An asker other than this member.
fn other_than(code: u32) -> Result<u32> {
    ASKERS.into_iter().find(|other| *other != code).context("there are three")
}

/// Whether something happened in time, and when.
fn within(what: &str, since: Instant, bound: Duration) -> Result<()> {
    let took = since.elapsed();
    println!("  {what} after {:.1} s", took.as_secs_f64());
    ensure!(took <= bound, "{what}: {took:?}, more than {bound:?}");
    Ok(())
}
