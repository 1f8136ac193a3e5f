//! A region of five loses three voters for good, the leader among them: the two that are left go on in another epoch with
//! all that had reached them, and who comes back afterwards joins them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use shouwang_cluster::affairs::{self, region_of};
use shouwang_cluster::federation::{REGION, members};
use shouwang_cluster::story::{ALXA, ORDOS, SHIZUISHAN, SUITS, WUHAI, YINCHUAN, id, number, until};
use shouwang_cluster::{Answer, Federation};

/// Who is left.
const LEFT: [u32; 2] = [WUHAI, ALXA];
/// Who is lost.
const LOST: [u32; 3] = [ORDOS, YINCHUAN, SHIZUISHAN];

/// Runs a command of `shouwang rescue` on the machine of a member whose node stands.
fn rescue(federation: &Federation, code: u32, verb: &[&str]) -> Result<Answer> {
    let config = federation.home(code).join("shouwang.toml");
    federation.try_run(&[&["--config", &*config.to_string_lossy(), "rescue"], verb].concat())
}

fn word(federation: &Federation, code: u32) -> PathBuf {
    federation.dir.join(format!("{code}-word.json"))
}

fn stand(federation: &Federation, code: u32) -> Result<()> {
    let out = word(federation, code);
    let done = rescue(federation, code, &["stand", REGION, "--out", &out.to_string_lossy()])?;
    ensure!(done.code == 0, "{}", done.err);
    Ok(())
}

fn begin(federation: &Federation, code: u32, lost: &[u32]) -> Result<Answer> {
    let words = LEFT.map(|code| word(federation, code).to_string_lossy().into_owned());
    let lost: Vec<String> = lost.iter().map(|code| format!("{code}/1")).collect();
    let lost = lost.iter().flat_map(|node| ["--lost", node]);
    let words = words.iter().map(String::as_str);
    let verb: Vec<&str> =
        ["begin", REGION, "--reason", "three machine rooms flooded"].into_iter().chain(words).chain(lost).collect();
    rescue(federation, code, &verb)
}

/// A place that a request from Wuhai names; it stands in the region when its number is shown there.
fn ask(federation: &Federation, place: &str) -> Result<String> {
    let duty = federation.terminal(WUHAI, "duty");
    let id = id();
    let what = ["--subject", "抢险", "--place", place, "--needed-by", "+4h", "--until", "+2d", "--id", &id];
    duty.run(&[&["aid", "request", "--line", &format!("{SUITS}=10")][..], &what].concat())?;
    Ok(id)
}

fn shown(federation: &Federation, code: u32, id: &str) -> Result<()> {
    let duty = federation.terminal(code, "duty");
    until("the request is shown", || Ok(duty.run(&["aid", "show", id]).ok().map(|_| ())))
}

#[test]
fn two_of_five_go_on_in_another_epoch_and_the_others_come_back_to_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let region = members(&[WUHAI, ORDOS, ALXA, YINCHUAN, SHIZUISHAN]);
    let mut federation = Federation::found(&folder.path().join("federation"), &region)?;
    federation.start_all()?;
    let before = ask(&federation, "乌达")?;
    for member in [WUHAI, ALXA, SHIZUISHAN] {
        shown(&federation, member, &before)?;
    }
    let admin = federation.terminal(WUHAI, "admin");
    until("every node goes along", || Ok((admin.try_run(&["region", "raise-level", "2"])?.code == 0).then_some(())))?;
    let kept_before = countersigned(&federation, (WUHAI, 0), 5)?;
    let (known_to_the_lost, secret) = lost_with_a_secret(&mut federation)?;
    // Nobody hears the two any more; a fact at home and a wish are taken, and wait.
    let waiting = ask(&federation, "海南区")?;
    for code in LEFT {
        federation.node(code).stop()?;
    }
    let early = begin(&federation, WUHAI, &LOST)?;
    ensure!(early.err.contains("word.json"), "nobody had given a word: {}", early.err);
    LEFT.iter().try_for_each(|code| stand(&federation, *code))?;

    // Whoever has given its word does nothing more in the old epoch, and says so; so does its disk.
    let looked = looked_at(&federation, WUHAI)?;
    ensure!(looked.code == 10 && looked.out.contains("RESCUE_PENDING"), "{looked:?}");
    federation.node(WUHAI).start()?;
    until("the node answers", || Ok(region_of(&federation.terminal(WUHAI, "admin")).ok()))?;
    let why = region_of(&federation.terminal(WUHAI, "admin"))?["trouble"].to_string();
    ensure!(why.contains("RESCUE_PENDING"), "{why}");
    federation.node(WUHAI).stop()?;

    let [forgotten, done] = [&LOST[..2], &LOST[..]].map(|lost| longest(&federation, lost));
    let (_, forgotten) = forgotten?;
    ensure!(forgotten.err.contains("VOTER_UNACCOUNTED"), "{}", forgotten.err);
    let (first, done) = done?;
    ensure!(done.code == 0, "{}", done.err);
    let second = LEFT.into_iter().find(|code| *code != first).context("two are left")?;
    let again = begin(&federation, first, &LOST)?;
    ensure!(again.err.contains("RESCUE_NOT_NOW"), "an epoch begins once: {}", again.err);
    let rejoined = rescue(&federation, second, &["rejoin", REGION])?;
    ensure!(rejoined.code == 0, "{}", rejoined.err);
    // What it has set aside is read as well: it is what is given once more.
    let aside = looked_at(&federation, second)?;
    ensure!(aside.code == 0 && aside.out.contains("\"set_aside\": 0"), "{aside:?}");

    for code in LEFT {
        federation.node(code).start()?;
    }
    goes_on(&federation, &[&before, &waiting])?;
    comes_back(&mut federation, second)?;
    resubmitted(&federation, &known_to_the_lost)?;
    // What all five had countersigned stays what it is; the new epoch has heads of its own.
    let kept_after = countersigned(&federation, (first, 1), 2)?;
    attested(&federation, [&kept_before, &kept_after])?;
    // Whoever keeps a head of before sees that the ledger grew out of it; of the lost end it did not.
    let since = |head: &Path| {
        let head = head.to_string_lossy();
        federation.terminal(WUHAI, "secretariat").try_run(&["ledger", "head", "--since", &head])
    };
    let grown = since(&kept_before)?;
    ensure!(grown.code == 0, "{}", grown.err);
    let diverged = since(&secret)?;
    ensure!(diverged.code == 10 && diverged.err.contains("LEDGER_DIVERGED"), "{}", diverged.err);
    Ok(())
}

/// What the disk of a node that stands has on it.
fn looked_at(federation: &Federation, code: u32) -> Result<Answer> {
    let config = federation.home(code).join("shouwang.toml");
    federation.try_run(&["--config", &*config.to_string_lossy(), "disk", "check", "-o", "json"])
}

/// Has the ledger countersigned, and keeps the head once so many nodes have done so in this epoch.
fn countersigned(federation: &Federation, (code, epoch): (u32, u64), nodes: usize) -> Result<PathBuf> {
    federation.terminal(code, "leader").run(&["ledger", "countersign"])?;
    until("the ledger is countersigned", || {
        let kept = kept(federation, code)?;
        let head: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&kept)?)?;
        let words = head["countersigned"].as_array().into_iter().flatten();
        let words = words.filter(|word| word["agrees"] == true && number(&word["epoch"]) == epoch).count();
        Ok((words >= nodes).then_some(()))
    })?;
    let file = federation.dir.join(format!("epoch-{epoch}.json"));
    std::fs::rename(kept(federation, code)?, &file)?;
    Ok(file)
}

/// A copy of the ledger bears out the word of every node that was ever given, and says who attests it.
fn attested(federation: &Federation, heads: [&Path; 2]) -> Result<()> {
    let secretariat = federation.terminal(WUHAI, "secretariat");
    let (copy, charter) = (federation.dir.join("copy.ledger"), federation.dir.join("charter.json"));
    secretariat.run(&["ledger", "export", "--out", &copy.to_string_lossy()])?;
    let (copy, charter) = (copy.to_string_lossy(), charter.to_string_lossy());
    let [before, after] = heads.map(Path::to_string_lossy);
    let verify = ["ledger", "verify", "--copy", &*copy, "--charter", &*charter, "--head", &*before, "--head", &*after];
    let checked = secretariat.run(&verify)?;
    let words = checked["attested"].as_array().into_iter().flatten();
    ensure!(words.count() == 5, "each node by its last word: {checked}");
    ensure!(checked["heads"].as_array().is_some_and(|heads| heads.len() == 2 + 5 + 5), "{checked}");
    ensure!(checked["contradicted"].as_array().is_some_and(Vec::is_empty), "{checked}");
    Ok(())
}

/// The head of the ledger as a node signs it now, in a file.
fn kept(federation: &Federation, code: u32) -> Result<PathBuf> {
    let head = federation.terminal(code, "secretariat").run(&["ledger", "head"])?;
    let file = federation.dir.join(format!("{code}-head.json"));
    std::fs::write(&file, head.to_string())?;
    Ok(file)
}

/// Three voters decide something while the two do not hear them, and are lost. Answers the request id of it, and the head
/// of the ledger that has it.
fn lost_with_a_secret(federation: &mut Federation) -> Result<(String, PathBuf)> {
    for code in LEFT {
        federation.cut(code, true);
    }
    let change = id();
    let leader = federation.terminal(LOST[2], "leader");
    until("the three decide", || {
        let rules = ["region", "rules", "--paper-hours", "48", "--request-id", &change, "--timeout", "5"];
        Ok((leader.try_run(&rules)?.code == 0).then_some(()))
    })?;
    let head = kept(federation, LOST[2])?;
    for code in LOST {
        federation.node(code).kill()?;
    }
    for code in LEFT {
        federation.cut(code, false);
    }
    Ok((change, head))
}

/// What the lost ones alone had decided is not in the new epoch until the one who asked for it comes back and says so.
fn resubmitted(federation: &Federation, change: &str) -> Result<()> {
    let drawn_up = || -> Result<bool> { Ok(!affairs::change(federation, WUHAI, change)?.is_null()) };
    ensure!(!drawn_up()?, "the two had heard of it: the test shows nothing");
    let admin = federation.terminal(LOST[2], "admin");
    let given = admin.run(&["rescue", "resubmit"])?;
    let verdicts: Vec<_> =
        given["commands"].as_array().into_iter().flatten().map(|c| &c["outcome"]["verdict"]).collect();
    ensure!(verdicts == ["VERDICT_ACCEPTED"], "{given}");
    until("the change is shown", || Ok(drawn_up()?.then_some(())))?;
    let again = admin.run(&["rescue", "resubmit"])?;
    ensure!(again["commands"].as_array().is_none_or(Vec::is_empty), "{again}");
    Ok(())
}

/// Begins on whichever of the two the other's refusal names.
fn longest(federation: &Federation, lost: &[u32]) -> Result<(u32, Answer)> {
    for code in LEFT {
        let done = begin(federation, code, lost)?;
        if !done.err.contains("NOT_LONGEST") {
            return Ok((code, done));
        }
    }
    anyhow::bail!("each of them says that the other has more")
}

/// Both vote in the new epoch, hold what had been asked before, and take what is asked now.
fn goes_on(federation: &Federation, requests: &[&str]) -> Result<()> {
    for code in LEFT {
        for id in requests {
            shown(federation, code, id)?;
        }
        until("both vote", || {
            let Ok(status) = region_of(&federation.terminal(code, "admin")) else { return Ok(None) };
            let voters = status["group"].as_array().into_iter().flatten().filter(|node| node["voter"] == true).count();
            Ok((number(&status["epoch"]) == 1 && voters == 2).then_some(()))
        })?;
    }
    let after = ask(federation, "拉僧庙")?;
    LEFT.iter().try_for_each(|code| shown(federation, *code, &after))
}

/// A lost node that comes back disturbs nobody, is told, and joins like the others.
fn comes_back(federation: &mut Federation, left: u32) -> Result<()> {
    let back = LOST[2];
    federation.node(back).start()?;
    let admin = federation.terminal(back, "admin");
    until("it is told that others have gone on", || {
        let asked = admin.try_run(&["region", "pledges", "--linearizable", "--timeout", "3"])?;
        Ok(asked.err.contains("LEFT_BEHIND").then_some(()))
    })?;
    let trouble = region_of(&federation.terminal(back, "admin"))?["trouble"].to_string();
    ensure!(trouble.contains("LEFT_BEHIND"), "{trouble}");
    federation.node(back).stop()?;
    stand(federation, back)?;
    let rejoined = rescue(federation, back, &["rejoin", REGION])?;
    ensure!(rejoined.code == 0, "{}", rejoined.err);
    federation.node(back).start()?;
    let late = ask(federation, "五虎山")?;
    shown(federation, back, &late)?;
    // The whole ledger, both epochs of it, holds on every node for whoever trusts nobody.
    for code in [left, back] {
        until("the ledger is whole", || {
            let verified = federation.terminal(code, "secretariat").try_run(&["ledger", "verify"])?;
            Ok((verified.code == 0).then_some(()))
        })?;
    }
    Ok(())
}
