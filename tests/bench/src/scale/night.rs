//! A night's traffic: the story of the demonstration, request after request, by the command line alone. Each of them pledges,
//! asks, holds, orders, sends, receives, uses, sends back, claims and restocks, as the demonstration does; nobody dies, and no
//! line but the measured one is cut.

use std::path::Path;

use anyhow::{Context as _, Result};
use shouwang_cluster::Federation;
use shouwang_cluster::story::{
    ALXA, BAYANNUR, BREATHING, HAZMAT, LEAK_KITS, LEDGERS, ORDOS, REFILL, SHIZUISHAN, SUITS, Sent, Story, WUHAI,
    YINCHUAN, number, until,
};

/// What is asked for beside the suits, by line: code, how much, and who has it.
const ELSE: [(u32, &str, u64, &[u32]); 4] = [
    (2, BREATHING, 200, &[ORDOS, YINCHUAN, SHIZUISHAN, ALXA]),
    (3, LEAK_KITS, 4, &[ORDOS, YINCHUAN, SHIZUISHAN, ALXA]),
    (4, REFILL, 1, &[YINCHUAN, ORDOS]),
    (5, HAZMAT, 2, &[ORDOS, YINCHUAN, SHIZUISHAN]),
];
/// Suits that each of two lends, and what becomes of them.
const SUITS_EACH: u64 = 30;
const USED: [u64; 2] = [26, 15];
const DAMAGED: [u64; 2] = [0, 3];

/// Every bureau imports its ledgers, and says what may be seen of the suits.
///
/// # Errors
/// A command that failed.
pub fn prepare(federation: &Federation, data: &Path) -> Result<()> {
    let catalogue = data.join("catalogue.csv").to_string_lossy().into_owned();
    // Who is behind the line lends nothing.
    for (code, stock, teams) in LEDGERS.into_iter().filter(|(code, ..)| *code != BAYANNUR) {
        for (noun, file) in [("stock", stock), ("team", teams)] {
            let file = data.join(file).to_string_lossy().into_owned();
            federation.terminal(code, "keeper").run(&[noun, "import", &file, "--catalogue", &catalogue])?;
        }
        federation.terminal(code, "leader").run(&["publish", "set", SUITS, "--as", "exact"])?;
    }
    Ok(())
}

/// One request, from the pledges to the last debt.
///
/// # Errors
/// A command that was refused, or a word that never crossed.
pub fn request(federation: &mut Federation) -> Result<()> {
    let story = Story::new(federation);
    let mut pledged = Vec::new();
    for holder in [ALXA, SHIZUISHAN] {
        pledged.push((1, SUITS, story.pledge(holder, SUITS, SUITS_EACH)?));
    }
    for (line, resource, qty, holders) in ELSE {
        pledged.push((line, resource, story.pledge_across(holders, resource, qty)?));
    }
    for (_, _, pledges) in &pledged {
        story.pledges_arrive(pledges)?;
    }
    story.ask()?;
    story.open_store()?;
    let (mut suits, mut others) = (Vec::new(), Vec::new());
    for (line, resource, pledges) in pledged {
        for (pledge, qty) in pledges {
            let (holder, id) = (story.pledge_holder(&pledge)?, story.hold(line, &pledge, qty)?);
            story.order(&id)?;
            if resource == SUITS { &mut suits } else { &mut others }.push(Sent { id, holder, qty, resource });
        }
    }
    for sent in suits.iter().chain(&others) {
        story.reaches(WUHAI, &sent.id, "COMMITTED")?;
        story.dispatch(sent)?;
        story.receive(sent)?;
        until("both words are on record", || {
            let amounts = story.mission(WUHAI, &sent.id)?["amounts"].clone();
            let both = number(&amounts["dispatched"]) == sent.qty && number(&amounts["receivedGood"]) == sent.qty;
            Ok(both.then_some(()))
        })?;
    }
    for sent in &others {
        story.use_and_return(sent, 0, 0)?;
    }
    for (owner, used, damaged) in [(ALXA, USED[0], DAMAGED[0]), (SHIZUISHAN, USED[1], DAMAGED[1])] {
        // What one owner lends may come out of several lots.
        let (mut used, mut damaged) = (used, damaged);
        for sent in suits.iter().filter(|sent| sent.holder == owner) {
            let (u, d) = (used.min(sent.qty), damaged.min(sent.qty.saturating_sub(used)));
            (used, damaged) = (used - u, damaged - d);
            story.use_and_return(sent, u, d)?;
            if u + d > 0 {
                story.settle(sent, u + d)?;
            }
        }
    }
    let close = ["aid", "close", story.request.as_str()];
    story.federation.terminal(WUHAI, "leader").run(&close).map(drop).context("what was asked for is not closed")
}
