//! Goods that several want at once: 阿拉善 pledges part of a million suits, and others ask for all of them.

use anyhow::Result;

use crate::federation::Federation;
use crate::story::{ALXA, SUITS, Story, id, until};

/// Stocks for each of which a line takes some hundreds of missions.
const STOCKS_PER_LINE: usize = 4;

/// What is contended for.
#[derive(Clone, Debug)]
pub struct Contention {
    /// The request of each who asks, in their order.
    pub requests: Vec<String>,
    /// How many lines each of them has.
    pub lines: usize,
    /// The pledges, in their order.
    pub pledges: Vec<String>,
}

/// Lets 阿拉善 pledge these quantities, and each of these members ask for a million in each line. A line takes a thousand
/// missions (`MISSIONS_PER_LINE_MAX`), whatever became of them: the more there is to be held, the more lines there are.
///
/// # Errors
/// A command that failed, or a word that never crosses.
pub fn contend(federation: &mut Federation, pledged: &[u64], askers: &[u32]) -> Result<Contention> {
    let lines = pledged.len().div_ceil(STOCKS_PER_LINE);
    let [catalogue, ledger] = ["catalogue.csv", "ledger.csv"].map(|name| federation.dir.join(name));
    std::fs::write(&catalogue, "kind,code,name,unit,aliases,packs\nitem,2990101,防护服,套,,\n")?;
    std::fs::write(&ledger, "物资名称,单位,数量,仓库,区\n防护服,套,1000000,中心库,阿拉善左旗\n")?;
    let (catalogue, ledger) = (catalogue.to_string_lossy(), ledger.to_string_lossy());
    federation.terminal(ALXA, "keeper").run(&["stock", "import", &ledger, "--catalogue", &catalogue])?;
    let story = Story::new(federation);
    let made = pledged.iter().map(|qty| story.pledge(ALXA, SUITS, *qty));
    let made = made.collect::<Result<Vec<_>>>()?.concat();
    story.pledges_arrive(&made)?;
    let line = format!("{SUITS}=1000000");
    let ask = |code: &u32| {
        let (request, duty) = (id(), story.federation.terminal(*code, "duty"));
        let what =
            ["--subject", "压力测试", "--place", "乌达", "--needed-by", "+4h", "--until", "+2d", "--id", &request];
        let asked: Vec<_> = (0..lines).flat_map(|_| ["--line", &line]).collect();
        duty.run(&[&["aid", "request"], &asked[..], &what].concat())?;
        until("the request arrives", || Ok(duty.run(&["aid", "show", &request]).ok().map(|_| ())))?;
        Ok(request)
    };
    let requests = askers.iter().map(ask).collect::<Result<_>>()?;
    Ok(Contention { requests, lines, pledges: made.into_iter().map(|(pledge, _)| pledge).collect() })
}
