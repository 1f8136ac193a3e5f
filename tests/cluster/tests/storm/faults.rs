//! What goes wrong, one kind after the other.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use shouwang_cluster::affairs::{joined, led_by, ratified, region_of, removed, revision_of};
use shouwang_cluster::clients::Storm;
use shouwang_cluster::federation::WUHAI_REGION;
use shouwang_cluster::story::{ALXA, ORDOS, WUHAI, YINCHUAN, until};
use shouwang_cluster::watchers::Watcher;
use shouwang_cluster::{Federation, Line, SmallDisk};

use crate::VOTERS;

/// Who joins and leaves.
const NEWCOMER: u32 = 150_800;
/// How far a clock is off.
const HOUR: i64 = 3_600;
/// How long a leader is frozen at least.
const FROZEN: Duration = Duration::from_secs(5);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    FullDisk,
    KillLeader,
    FreezeLeader,
    CutLeader,
    LeaderUnheard,
    FarLines,
    KillFollower,
    LeaderDeaf,
    Halves,
    ThinLines,
    CutFollower,
    Ring,
    ClockOff,
    OperatorRevoked,
    NodeRevoked,
    MemberJoinsAndLeaves,
    KeyRotated,
    RollingRestart,
}

impl Fault {
    /// The full disk comes first: it is small, and the record grows.
    const ALL: [Self; 18] = [
        Self::FullDisk,
        Self::KillLeader,
        Self::FreezeLeader,
        Self::CutLeader,
        Self::LeaderUnheard,
        Self::FarLines,
        Self::KillFollower,
        Self::LeaderDeaf,
        Self::Halves,
        Self::ThinLines,
        Self::CutFollower,
        Self::Ring,
        Self::ClockOff,
        Self::OperatorRevoked,
        Self::NodeRevoked,
        Self::MemberJoinsAndLeaves,
        Self::KeyRotated,
        Self::RollingRestart,
    ];

    /// Those named in the environment, or all; of a short storm those that no other test plays.
    pub fn chosen(is_short: bool) -> Result<Vec<Self>> {
        let in_calm = [Self::MemberJoinsAndLeaves, Self::KeyRotated];
        let Ok(names) = std::env::var("SHOUWANG_STORM_FAULTS") else {
            return Ok(Self::ALL.into_iter().filter(|fault| !(is_short && in_calm.contains(fault))).collect());
        };
        let named = |name: &str| Self::ALL.into_iter().find(|fault| format!("{fault:?}") == name);
        names.split(',').map(|name| named(name).with_context(|| format!("{name} is none of {:?}", Self::ALL))).collect()
    }
}

/// Where it happens.
pub struct Scene<'a> {
    pub federation: &'a mut Federation,
    pub storm: &'a Storm,
    pub disk: Option<&'a SmallDisk>,
    /// How long each kind of fault lasts.
    pub lasts: Duration,
}

impl Scene<'_> {
    /// Strikes with one kind of fault after the other, and says what the clients got done meanwhile.
    pub fn strike_all(mut self, faults: &[Fault]) -> Result<()> {
        for fault in faults {
            let leader = self.leader()?;
            let (began, before) = (Instant::now(), self.storm.figures());
            self.strike(*fault, leader).with_context(|| format!("{fault:?}, {leader} led"))?;
            let (after, seconds) = (self.storm.figures(), began.elapsed().as_secs_f64());
            let (done, again) = (after.0 - before.0, after.1 - before.1);
            println!("  {fault:?}: {leader} led; {seconds:.1} s, {done} operations, {again} calls repeated");
        }
        Ok(())
    }

    fn strike(&mut self, fault: Fault, leader: u32) -> Result<()> {
        let follower = VOTERS.into_iter().find(|code| *code != leader).context("there are four")?;
        // Neighbours of the four in a ring, and the halves: those who stand beside each other in the list.
        let place = |code: u32| VOTERS.iter().position(|voter| *voter == code).unwrap_or_default();
        let cut = |line: &Line, on: bool| line.cut(on);
        match fault {
            Fault::KillLeader => self.down(leader)?,
            Fault::KillFollower => self.down(follower)?,
            Fault::FreezeLeader => {
                self.federation.node(leader).freeze(true)?;
                std::thread::sleep(self.lasts.max(FROZEN));
                self.federation.node(leader).freeze(false)?;
            }
            Fault::RollingRestart => self.restart_all()?,
            Fault::CutLeader => self.lines(|from, to| from == leader || to == leader, cut),
            Fault::CutFollower => self.lines(|from, to| from == follower || to == follower, cut),
            // A node's frames go by the line it dials itself: cut, it is heard no more, or hears no more.
            Fault::LeaderUnheard => self.lines(|from, _| from == leader, cut),
            Fault::LeaderDeaf => self.lines(|_, to| to == leader, cut),
            Fault::Halves => self.lines(|from, to| place(from) / 2 != place(to) / 2, cut),
            Fault::Ring => self.lines(|from, to| place(from).abs_diff(place(to)) == 2, cut),
            Fault::FarLines => {
                self.lines(|_, _| true, |line, on| if on { line.far(150, 300) } else { line.far(0, 0) });
            }
            Fault::ThinLines => self.lines(|_, _| true, |line, on| line.thin(if on { 8_000 } else { 0 })),
            Fault::FullDisk => self.full_disk()?,
            Fault::ClockOff => self.clock_off()?,
            Fault::OperatorRevoked => self.operator_revoked()?,
            Fault::NodeRevoked => self.node_revoked(leader)?,
            Fault::MemberJoinsAndLeaves => self.member_joins_and_leaves()?,
            Fault::KeyRotated => self.key_rotated()?,
        }
        Ok(())
    }

    /// What a storm is: it lasts. Nothing is waited for here.
    fn wait(&self, part: u32) {
        std::thread::sleep(self.lasts / part);
    }

    /// Who leads, as anybody who answers says.
    fn leader(&self) -> Result<u32> {
        led_by(self.federation, &VOTERS, "somebody leads", |_| true)
    }

    fn another_leads(&self, than: u32) -> Result<u32> {
        led_by(self.federation, &VOTERS, "another leads", |code| code != than)
    }

    /// The newest revision that a member's node shows.
    fn revision(&self, at: u32) -> Result<u64> {
        revision_of(&self.federation.terminal(at, "admin"))
    }

    fn revive(&mut self, code: u32) -> Result<()> {
        self.federation.node(code).start()?;
        self.federation.node(code).wait_ready()
    }

    fn down(&mut self, code: u32) -> Result<()> {
        self.federation.node(code).kill()?;
        self.wait(1);
        self.revive(code)
    }

    fn restart(&mut self, code: u32) -> Result<()> {
        self.federation.node(code).stop()?;
        self.revive(code)
    }

    fn restart_all(&mut self) -> Result<()> {
        for code in VOTERS {
            self.restart(code)?;
            self.wait(4);
        }
        Ok(())
    }

    /// Does something to some of the lines, and undoes it.
    fn lines(&self, which: impl Fn(u32, u32) -> bool, how: impl Fn(&Line, bool)) {
        let some = || self.federation.lines.iter().filter(|((from, to), _)| which(*from, *to));
        some().for_each(|(_, line)| how(line, true));
        self.wait(1);
        some().for_each(|(_, line)| how(line, false));
    }

    /// The leader's disk runs full to the last byte: another leads. It is freed, and is as good as any.
    fn full_disk(&self) -> Result<()> {
        let Some(disk) = self.disk else { return Ok(()) };
        let admin = self.federation.terminal(ORDOS, "admin");
        let node = format!("{ORDOS}/1");
        until("the node with the small disk leads", || {
            let leader = self.leader()?;
            if leader != ORDOS {
                self.federation.terminal(leader, "admin").run(&["region", "transfer", &node])?;
            }
            Ok((self.leader()? == ORDOS).then_some(()))
        })?;
        disk.fill()?;
        let is_full = |full: bool| {
            // What is false is left out.
            let seen = || -> Result<bool> { Ok(region_of(&admin)?["diskFull"] == true) };
            until("the node sees its disk", || Ok((seen()? == full).then_some(())))
        };
        is_full(true)?;
        self.another_leads(ORDOS)?;
        self.wait(1);
        disk.free()?;
        is_full(false)?;
        disk.enlarge()
    }

    /// The leader starts anew with its clock an hour ahead, then the next one with its clock an hour behind: neither leads
    /// before its clock is right, and nothing is an hour older for anybody. (A node that runs follows its clock slowly.)
    fn clock_off(&mut self) -> Result<()> {
        for off in [HOUR, -HOUR] {
            let victim = self.leader()?;
            let clock = self.federation.node(victim).clock.clone().context("every node has a clock of its own")?;
            clock.set(off)?;
            self.restart(victim)?;
            self.another_leads(victim)?;
            self.wait(2);
            self.another_leads(victim)?;
            clock.set(0)?;
            self.restart(victim)?;
        }
        Ok(())
    }

    /// An operator's card is lost while he watches: he is shown nothing more, and is let in nowhere.
    fn operator_revoked(&mut self) -> Result<()> {
        let lost = self.federation.terminal(WUHAI, "duty").second();
        let watcher = Watcher::at(&lost)?;
        watcher.is_shown(self.revision(WUHAI)?)?;
        self.federation.revoke(&self.federation.operator_certificate(WUHAI, "duty-2")?)?;
        VOTERS.into_iter().try_for_each(|code| self.federation.bring_list(code))?;
        until("he is let in no more, and told why", || {
            let answer = lost.try_run(&["region", "members"])?;
            ensure!(answer.code == 6 && answer.err.contains("[CERTIFICATE_REFUSED]"), "{answer:?}");
            Ok(Some(()))
        })?;
        let seen = watcher.until_shut_out()?;
        until("the region goes on", || Ok((self.revision(WUHAI)? > seen + 5).then_some(())))?;
        self.wait(1);
        Ok(())
    }

    /// The leader's certificate is taken back: though no line is cut it is heard no more, and another leads. With a new
    /// certificate it is back.
    fn node_revoked(&mut self, leader: u32) -> Result<()> {
        self.federation.revoke(&self.federation.home(leader).join("tls/node.pem"))?;
        for code in VOTERS.into_iter().filter(|code| *code != leader) {
            self.federation.bring_list(code)?;
        }
        self.another_leads(leader)?;
        self.wait(1);
        self.federation.certify_again(leader)?;
        self.federation.bring_list(leader)?;
        let others = VOTERS.into_iter().filter(|code| *code != leader).map(|code| self.revision(code));
        let target = others.collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or_default();
        until("it is back", || Ok((self.revision(leader)? >= target).then_some(())))
    }

    /// A fifth member joins, votes, and leaves again.
    fn member_joins_and_leaves(&mut self) -> Result<()> {
        if self.federation.members.iter().any(|member| member.code == NEWCOMER) {
            return Ok(());
        }
        let newcomer = WUHAI_REGION.iter().find(|member| member.code == NEWCOMER).context("one of the six")?;
        joined(self.federation, newcomer, &[ORDOS, YINCHUAN])?;
        self.wait(1);
        removed(self.federation, NEWCOMER, &[ORDOS, ALXA, YINCHUAN])?;
        self.federation.node(NEWCOMER).stop()
    }

    /// A member changes its key while its coordinators work; the old one ends with its time.
    fn key_rotated(&mut self) -> Result<()> {
        let config = self.federation.home(YINCHUAN).join("shouwang.toml");
        let config = config.to_str().context("a path in UTF-8")?;
        let key = self.federation.run(&["--config", config, "charter", "new-key"])?;
        self.restart(YINCHUAN)?;
        let change = format!("region rotate-key {YINCHUAN}/1 {key} --old-until +3s");
        ratified(self.federation, YINCHUAN, &change, &[WUHAI, ORDOS])?;
        // Where it was seen in force: elsewhere it may still be on its way.
        let (duty, code) = (self.federation.terminal(YINCHUAN, "duty"), YINCHUAN.to_string());
        until("the old key has retired", || {
            let shown = duty.run(&["region", "show"])?;
            let mut members = shown["charter"]["members"].as_array().into_iter().flatten();
            let member = members.find(|member| member["code"] == code.as_str()).cloned().unwrap_or_default();
            Ok(member["nodes"][0]["retiringUntil"].is_null().then_some(()))
        })?;
        self.wait(1);
        Ok(())
    }
}
