//! `shouwang-demo`: six cities and their superior on loopback, real ledgers, and the story of a chlorine leak.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shouwang_cluster::Federation;
use shouwang_cluster::federation::WUHAI_REGION;
use shouwang_cluster::story::{
    ALXA, LEDGERS, ORDOS, SHIZUISHAN, SUITS, Sent, Story, WUHAI, YINCHUAN, chapter, number, tell, until,
};

const CENTRAL_DEPOT: &str = "150000-central-depot.csv";
const SAHANA: &str = "data/sahana/Logistics__Demo__warehouse_stock.csv";

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo: failed: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let once = arguments.iter().any(|argument| argument == "--once");
    ensure!(arguments.iter().all(|argument| argument == "--once"), "usage: shouwang-demo [--once]");
    let started = Instant::now();
    let root = PathBuf::from(std::env::var("SHOUWANG_ROOT").unwrap_or_else(|_| ".".to_owned())).canonicalize()?;
    let folder = tempfile::Builder::new().prefix("shouwang-demo-").tempdir()?;

    chapter(
        "准备",
        "a certificate authority, seven nodes, operators, and a charter that six parties and one superior sign",
    );
    let mut federation = Federation::found(folder.path(), &WUHAI_REGION)?;
    federation.start_all()?;
    tell("seven nodes are up on loopback, mutual TLS, five voters and two learners");
    import(&federation, &root)?;
    let mut story = Story::new(&mut federation);
    play(&mut story)?;

    let summary = verify(&story, started)?;
    println!("\n{summary}");
    if !once {
        stay(&federation)?;
    }
    Ok(())
}

fn import(federation: &Federation, root: &Path) -> Result<()> {
    chapter("平日", "every bureau imports its ledgers; each row gets a verdict");
    let data = root.join("scripts/demo-data");
    let catalogue = data.join("catalogue.csv");
    let import = |code: u32, noun: &str, file: &Path, more: &[&str]| -> Result<Value> {
        let (file, catalogue) = (file.to_string_lossy(), catalogue.to_string_lossy());
        let command = [&[noun, "import", &file, "--catalogue", &catalogue][..], more].concat();
        federation.terminal(code, "keeper").run(&command)
    };
    for (code, stock, teams) in LEDGERS {
        let first = import(code, "stock", &data.join(stock), &[])?;
        let team = import(code, "team", &data.join(teams), &[])?;
        tell(&format!("{stock}: {}; {teams}: {}", counts(&first), counts(&team)));
    }
    let again = import(WUHAI, "stock", &data.join(LEDGERS[0].1), &[])?;
    ensure!(number(&again["entered"]) == 0, "the same file twice changed something: {again}");
    tell("the same file a second time changes nothing");
    let depot = import(WUHAI, "stock", &data.join(CENTRAL_DEPOT), &[])?;
    tell(&format!("{CENTRAL_DEPOT} (owner 自治区, custodian 乌海): {}", counts(&depot)));
    let shared = root.parent().map(|parent| parent.join("shared")).unwrap_or_default().join(SAHANA);
    if shared.is_file() {
        let relief = import(WUHAI, "stock", &shared, &["--store", "国际救援物资"])?;
        tell(&format!("a relief agency's real list: {}", counts(&relief)));
    } else {
        ensure!(std::env::var_os("CI").is_none(), "{} is missing, and CI must have it", shared.display());
        tell("the relief agency's list was left out: ../shared is not here");
    }
    Ok(())
}

fn counts(report: &Value) -> String {
    let of = |name: &str| number(&report["counts"][name]);
    format!(
        "{} rows: {} accepted, {} local, {} rejected, {} skipped",
        of("rows"),
        of("accepted"),
        of("local"),
        of("rejected"),
        of("skipped")
    )
}

fn play(story: &mut Story<'_>) -> Result<()> {
    chapter("平日", "what may be seen, and what is promised");
    for code in [WUHAI, ORDOS, ALXA, YINCHUAN, SHIZUISHAN] {
        let leader = story.federation.terminal(code, "leader");
        leader.run(&["publish", "set", SUITS, "--as", if code == ORDOS { "banded" } else { "exact" }])?;
    }
    let alxa = story.pledge(ALXA, SUITS, 50)?;
    let shizuishan = story.pledge(SHIZUISHAN, SUITS, 50)?;
    let depot = story.pledge_depot()?;
    tell(&format!("阿拉善 and 石嘴山 each pledged 50 suits, the central depot {depot} units for any request"));
    let around = [ORDOS, YINCHUAN, SHIZUISHAN, ALXA];
    let breathing = story.pledge_across(&around, "2990201", 200)?;
    let kits = story.pledge_across(&around, "2990301", 4)?;
    let truck = story.pledge_across(&[YINCHUAN, ORDOS], "vehicle:air-refill", 1)?;
    let teams = story.pledge_across(&[ORDOS, YINCHUAN, SHIZUISHAN], "team:hazmat", 2)?;
    for pledges in [&alxa, &shizuishan, &breathing, &kits, &truck, &teams] {
        story.pledges_arrive(pledges)?;
    }

    chapter(
        "23:52",
        "chlorine leak at 乌达: 乌海 asks for 60 suits, 200 breathing sets, 4 leak kits, a truck, 2 teams",
    );
    story.ask()?;
    story.open_store()?;
    decline(story)?;
    let (suits, others) = hold_everything(story, [&alxa, &shizuishan], [&breathing, &kits, &truck, &teams])?;
    leader_dies(story, &suits[0])?;
    for sent in suits.iter().chain(&others).skip(1) {
        story.order(&sent.id)?;
    }
    for sent in suits.iter().chain(&others) {
        story.reaches(WUHAI, &sent.id, "COMMITTED")?;
    }
    tell("every owner's registry has seen its commitment");

    cut_off(story, &suits)?;
    for sent in suits.iter().filter(|sent| sent.holder != SHIZUISHAN).chain(&others) {
        story.dispatch(sent)?;
        story.receive(sent)?;
    }
    for sent in suits.iter().chain(&others) {
        until("both words are on record", || {
            let seen = story.mission(WUHAI, &sent.id)?;
            let amounts = &seen["amounts"];
            let both = number(&amounts["dispatched"]) == sent.qty && number(&amounts["receivedGood"]) == sent.qty;
            Ok(both.then_some(()))
        })?;
    }
    tell("everything asked for is in 乌达");
    afterwards(story, &suits, &others)
}

fn decline(story: &Story<'_>) -> Result<()> {
    let leader = story.federation.terminal(YINCHUAN, "leader");
    leader.run(&["warning", "set", "red"])?;
    leader.run(&[
        "floor", "set", SUITS, "--none", "10", "--blue", "20", "--yellow", "30", "--orange", "40", "--red", "60",
    ])?;
    until("the request reaches 银川", || Ok(leader.run(&["aid", "show", &story.request]).ok().map(|_| ())))?;
    let reason = "本市化工园区红色预警，防护服低于保底";
    leader.run(&["aid", "answer", &story.request, "--line", "1", "--decline", reason, "--yes"])?;
    tell("银川 has a warning of its own: its floor rose, it answers 0, and the reason is on record");
    Ok(())
}

/// Two coordinators ask in the same second; then the rest of the lines.
fn hold_everything(
    story: &Story<'_>,
    [alxa, shizuishan]: [&[(String, u64)]; 2],
    rest: [&[(String, u64)]; 4],
) -> Result<(Vec<Sent>, Vec<Sent>)> {
    let (pledge, there) = alxa.first().context("阿拉善 pledged")?;
    let qty = (there / 2 + 1).min(30);
    let (mission, refusal) = story.same_second(1, pledge, qty)?;
    ensure!(refusal.contains("NOT_ENOUGH"), "the second coordinator was refused for another reason: {refusal}");
    tell(&format!("two coordinators asked for {qty} of the same {there} suits in the same second: one got them"));
    let mut suits = vec![Sent { id: mission, holder: ALXA, qty, resource: SUITS }];
    let mut open = 60 - qty;
    for (pledge, there) in shizuishan {
        let qty = open.min(*there);
        if qty > 0 {
            suits.push(Sent { id: story.hold(1, pledge, qty)?, holder: SHIZUISHAN, qty, resource: SUITS });
            open -= qty;
        }
    }
    for (pledge, there) in &alxa[1..] {
        let qty = open.min(*there);
        if qty > 0 {
            suits.push(Sent { id: story.hold(1, pledge, qty)?, holder: ALXA, qty, resource: SUITS });
            open -= qty;
        }
    }
    ensure!(open == 0, "{open} suits are still missing");
    let mut others = Vec::new();
    for (line, resource, pledges) in [
        (2, "2990201", rest[0]),
        (3, "2990301", rest[1]),
        (4, "vehicle:air-refill", rest[2]),
        (5, "team:hazmat", rest[3]),
    ] {
        for (pledge, qty) in pledges {
            let holder = story.pledge_holder(pledge)?;
            others.push(Sent { id: story.hold(line, pledge, *qty)?, holder, qty: *qty, resource });
        }
    }
    Ok((suits, others))
}

/// The leader is killed while an order is on its way; the order is sent again under the same id and counts once.
fn leader_dies(story: &mut Story<'_>, first: &Sent) -> Result<()> {
    let leader = story.leader(WUHAI)?;
    let request_id = uuid::Uuid::now_v7().to_string();
    let order = ["aid", "order", first.id.as_str(), "--request-id", request_id.as_str()];
    let terminal = story.federation.terminal(WUHAI, "leader");
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| terminal.try_run(&order));
        let killed = story.federation.node(leader).kill();
        // Whatever came of it – done, refused a connection, deadline – the same id is sent again below.
        drop(sending.join());
        killed
    })?;
    tell(&format!("the leader ({leader}) was killed with -9 in the middle of an order"));
    story.federation.node(leader).start()?;
    story.federation.node(leader).wait_ready()?;
    until("the order is on record", || {
        let answer = terminal.try_run(&order)?;
        ensure!(answer.code == 0, "{}", answer.err);
        Ok(Some(()))
    })?;
    tell("it is back; the order, sent again under the same id, was carried out once");
    Ok(())
}

/// 石嘴山 is cut off after its commitment; its trucks leave and arrive before the region hears that they left.
fn cut_off(story: &Story<'_>, suits: &[Sent]) -> Result<()> {
    chapter("00:40", "石嘴山's line is cut");
    story.federation.cut(SHIZUISHAN, true);
    for sent in suits.iter().filter(|sent| sent.holder == SHIZUISHAN) {
        story.dispatch(sent)?;
        story.receive(sent)?;
        let seen = until("the region hears of the arrival", || {
            let seen = story.mission(WUHAI, &sent.id)?;
            Ok((number(&seen["amounts"]["receivedGood"]) == sent.qty).then_some(seen))
        })?;
        ensure!(number(&seen["amounts"]["dispatched"]) == 0, "the region heard of a dispatch through a cut line");
        let code = seen["spokenCode"].as_str().context("a spoken code")?.to_owned();
        let relay = ["mission", "relay", &sent.id, "--code", &code, "--qty", &sent.qty.to_string()];
        let relayed = story.federation.terminal(WUHAI, "coordinator").try_run(&relay)?;
        ensure!(relayed.code == 0, "{}", relayed.err);
        tell(&format!("{} suits left and arrived; the region has only heard of the arrival (code {code})", sent.qty));
    }
    story.federation.cut(SHIZUISHAN, false);
    for sent in suits.iter().filter(|sent| sent.holder == SHIZUISHAN) {
        until("the dispatch is on record", || {
            let seen = story.mission(WUHAI, &sent.id)?;
            Ok((number(&seen["amounts"]["dispatched"]) == sent.qty).then_some(()))
        })?;
    }
    tell("the line is mended: one dispatch, one delivery, not two");
    Ok(())
}

fn afterwards(story: &Story<'_>, suits: &[Sent], others: &[Sent]) -> Result<()> {
    chapter("次日", "41 used, 3 damaged, 16 back");
    let (mut consumed, mut damaged) = (41, 3);
    let mut owed = Vec::new();
    for sent in suits {
        let used = consumed.min(sent.qty - sent.qty.min(4));
        let broken = damaged.min(sent.qty - used);
        (consumed, damaged) = (consumed - used, damaged - broken);
        story.use_and_return(sent, used, broken)?;
        owed.push(used + broken);
    }
    ensure!((consumed, damaged) == (0, 0), "{consumed} and {damaged} found no mission");
    for sent in others {
        story.use_and_return(sent, 0, 0)?;
    }
    let total: u64 = owed.iter().sum();
    ensure!(total == 44, "{total} are owed, not 44");
    tell("44 suits are owed; everything else is back");
    for (sent, owed) in suits.iter().zip(owed).filter(|(_, owed)| *owed > 0) {
        story.settle(sent, owed)?;
    }
    tell("44 restocked, verified by their owners, each by another person than who took them in");
    story.federation.terminal(WUHAI, "leader").run(&["aid", "close", &story.request])?;
    tell("the request is closed: no quantity, discrepancy or debt is open");
    Ok(())
}

/// All digests agree, every ledger verifies, every report is the same to the byte, and nothing is owed.
fn verify(story: &Story<'_>, started: Instant) -> Result<String> {
    chapter("核对", "every member proves it from its own copy");
    let members: Vec<u32> = story.federation.members.iter().map(|member| member.code).collect();
    let reports = until("every copy shows the same revision", || {
        let mut reports = Vec::new();
        for code in &members {
            let answer = story.federation.terminal(*code, "secretariat").try_run(&["report", "region"])?;
            ensure!(answer.code == 0, "{}", answer.err);
            reports.push(answer.out);
        }
        Ok(reports.iter().all(|report| *report == reports[0]).then_some(reports))
    })?;
    let report: Value = serde_json::from_str(&reports[0])?;
    tell(&format!(
        "the region's report is the same to the byte on {} nodes ({} bytes)",
        reports.len(),
        reports[0].len()
    ));
    for code in &members {
        story.federation.terminal(*code, "secretariat").run(&["ledger", "verify"])?;
    }
    tell("every node's ledger verifies: signatures, order and Merkle root");
    let open = report["actual"]["obligations"].as_array().into_iter().flatten();
    let open = open.filter(|debt| debt["state"]["code"] != "settled").count();
    ensure!(open == 0, "{open} obligations are open");
    let digest = report["header"]["state_digest"].as_str().context("a digest")?;
    let revision = number(&report["header"]["revision"]);
    Ok(format!(
        "demo: ok members=6 revision={revision} state_digest={digest} open_obligations={open} elapsed_s={}",
        started.elapsed().as_secs()
    ))
}

fn stay(federation: &Federation) -> Result<()> {
    println!("\nThe region stays up until Ctrl-C:");
    for node in &federation.nodes {
        println!(
            "  {}  operators 127.0.0.1:{}  metrics http://127.0.0.1:{}/metrics  contexts {}",
            node.code,
            node.ports.operator,
            node.ports.metrics,
            node.home.join("contexts.toml").display()
        );
    }
    println!(
        "  try: {} situation --watch --contexts {} --context coordinator-1",
        federation.binary.display(),
        federation.home(WUHAI).join("contexts.toml").display()
    );
    loop {
        std::thread::park();
    }
}
