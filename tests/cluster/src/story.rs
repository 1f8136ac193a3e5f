//! The supply part of the story every release must be able to play (domain.md §7), by the command line alone.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use uuid::Uuid;

use crate::federation::Federation;
use crate::terminal::Terminal;

/// 乌海, the hub, where the leak is.
pub const WUHAI: u32 = 150_300;
/// 鄂尔多斯
pub const ORDOS: u32 = 150_600;
/// 巴彦淖尔
pub const BAYANNUR: u32 = 150_800;
/// 阿拉善
pub const ALXA: u32 = 152_900;
/// 银川
pub const YINCHUAN: u32 = 640_100;
/// 石嘴山
pub const SHIZUISHAN: u32 = 640_200;

/// The ledgers that the project ships: code, stock file, team file.
pub const LEDGERS: [(u32, &str, &str); 6] = [
    (WUHAI, "150300-wuhai-stock.xlsx", "150300-wuhai-teams.csv"),
    (ORDOS, "150600-ordos-stock.xlsx", "150600-ordos-teams.csv"),
    (BAYANNUR, "150800-bayannur-stock.csv", "150800-bayannur-teams.csv"),
    (ALXA, "152900-alxa-stock.csv", "152900-alxa-teams.csv"),
    (YINCHUAN, "640100-yinchuan-stock.xlsx", "640100-yinchuan-teams.csv"),
    (SHIZUISHAN, "640200-shizuishan-stock.csv", "640200-shizuishan-teams.csv"),
];

/// Gas-tight suits, by the demo catalogue's code.
pub const SUITS: &str = "2990101";
/// Breathing apparatus.
pub const BREATHING: &str = "2990201";
/// Kits that stop a leak.
pub const LEAK_KITS: &str = "2990301";
/// A truck that refills bottles of air.
pub const REFILL: &str = "vehicle:air-refill";
/// Teams for hazardous matter.
pub const HAZMAT: &str = "team:hazmat";

/// How long anything in the story may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A mission of the story.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its id.
    pub id: String,
    /// Who sends.
    pub holder: u32,
    /// How much.
    pub qty: u64,
    /// Under which code.
    pub resource: &'static str,
}

/// The story under way.
#[derive(Debug)]
pub struct Story<'a> {
    /// The federation it is played in.
    pub federation: &'a mut Federation,
    /// The aid request.
    pub request: String,
    store: String,
}

/// Prints one line of the narration.
pub fn tell(text: &str) {
    println!("  {text}");
}

/// Prints a chapter's heading.
pub fn chapter(time: &str, text: &str) {
    println!("\n{time}  {text}");
}

/// A new id, as a script would make one.
pub fn id() -> String {
    Uuid::now_v7().to_string()
}

/// A number of canonical proto JSON, where 64-bit numbers are strings and zero is left out.
pub fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

/// The newest revision of the region that a node's status shows; 0 if it shows none.
pub fn region_revision(status: &Value) -> u64 {
    let records = status["records"].as_array().into_iter().flatten();
    let region =
        records.filter(|record| record["kind"] == "RECORD_KIND_REGION").map(|r| number(&r["asOf"]["revision"]));
    region.max().unwrap_or(0)
}

/// Asks until the answer is as wanted.
///
/// # Errors
/// It never is, within the story's patience.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = String::new();
    while Instant::now() < deadline {
        match ask() {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            Err(error) => last = format!("; last: {error:#}"),
        }
        // What couriers bring across has no event at a terminal: it is asked for at this pace.
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("{what} did not happen within {PATIENCE:?}{last}")
}

impl<'a> Story<'a> {
    /// A story about to begin.
    pub fn new(federation: &'a mut Federation) -> Self {
        Self { federation, request: id(), store: id() }
    }

    fn at(&self, code: u32, role: &'static str) -> Terminal {
        self.federation.terminal(code, role)
    }

    /// Pledges from the lots of a resource until `qty` is reached.
    ///
    /// # Errors
    /// The member has less than that to pledge.
    pub fn pledge(&self, code: u32, resource: &str, qty: u64) -> Result<Vec<(String, u64)>> {
        self.pledge_across(&[code], resource, qty)
    }

    /// Pledges from the lots of several members, one after the other, until `qty` is reached.
    ///
    /// # Errors
    /// Together they have less than that to pledge.
    pub fn pledge_across(&self, codes: &[u32], resource: &str, qty: u64) -> Result<Vec<(String, u64)>> {
        let (mut left, mut made) = (qty, Vec::new());
        for code in codes {
            let lots = self.at(*code, "keeper").run(&["stock", "list", "--resource", resource])?;
            for lot in lots["lots"].as_array().into_iter().flatten().filter(|lot| lot["usable"] == true) {
                let balances = lot["balances"].as_array().into_iter().flatten();
                let local: u64 =
                    balances.filter(|b| b["account"] == "ACCOUNT_LOCAL").map(|b| number(&b["quantity"])).sum();
                let part = local.min(left);
                if part == 0 {
                    continue;
                }
                let (pledge, lot, part_text) = (id(), text(&lot["name"])?, part.to_string());
                let terms = ["--lot", lot.as_str(), "--qty", &part_text, "--until", "+2d", "--id", &pledge];
                self.at(*code, "leader").run(&[&["pledge", "make"][..], &terms].concat())?;
                made.push((pledge, part));
                left -= part;
            }
        }
        ensure!(left == 0, "{codes:?} have {left} of {resource} too few");
        Ok(made)
    }

    /// 乌海 pledges half of a lot of the central depot it keeps for the 自治区; answers how much.
    ///
    /// # Errors
    /// The depot has nothing that can be pledged.
    pub fn pledge_depot(&self) -> Result<u64> {
        let lots = self.at(WUHAI, "keeper").run(&["stock", "list"])?;
        let mut lots = lots["lots"].as_array().into_iter().flatten();
        let of_depot =
            |lot: &&Value| lot["details"]["owner"] == "150000" && lot["usable"] == true && !lot["resource"].is_null();
        let lot = lots.find(of_depot).context("the central depot has usable, coded stock")?;
        let balances = lot["balances"].as_array().into_iter().flatten();
        let local: u64 = balances.filter(|b| b["account"] == "ACCOUNT_LOCAL").map(|b| number(&b["quantity"])).sum();
        let (pledge, qty, lot) = (id(), (local / 2).max(1), text(&lot["name"])?);
        let terms = ["--lot", &lot, "--qty", &qty.to_string(), "--until", "+2d", "--id", &pledge];
        self.at(WUHAI, "leader").run(&[&["pledge", "make"][..], &terms].concat())?;
        self.pledges_arrive(&[(pledge, qty)])?;
        Ok(qty)
    }

    /// Whose registry holds a pledge, as the region says.
    ///
    /// # Errors
    /// The region does not know the pledge.
    pub fn pledge_holder(&self, pledge: &str) -> Result<u32> {
        let all = self.at(WUHAI, "coordinator").run(&["region", "pledges"])?;
        let mut pledges = all["pledges"].as_array().into_iter().flatten();
        let found = pledges.find(|known| known["name"].as_str().is_some_and(|name| name.ends_with(pledge)));
        let holder = found.and_then(|known| known["holder"].as_str()).context("the region knows the pledge")?;
        Ok(holder.parse()?)
    }

    /// Waits until the hub sees these pledges.
    ///
    /// # Errors
    /// It never does.
    pub fn pledges_arrive(&self, pledges: &[(String, u64)]) -> Result<()> {
        let hub = self.at(WUHAI, "coordinator");
        until("the pledges reach the region", || {
            let seen = hub.run(&["region", "pledges"])?.to_string();
            Ok(pledges.iter().all(|(pledge, _)| seen.contains(pledge)).then_some(()))
        })
    }

    /// "We need."
    ///
    /// # Errors
    /// The request is refused or never reaches the region.
    pub fn ask(&self) -> Result<()> {
        let lines = [(SUITS, 60), (BREATHING, 200), (LEAK_KITS, 4), (REFILL, 1), (HAZMAT, 2)];
        let lines: Vec<String> = lines.iter().map(|(resource, qty)| format!("{resource}={qty}")).collect();
        let mut command = vec!["aid", "request", "--subject", "乌达工业园氯气泄漏", "--place", "乌达区工业园东门"];
        command.extend(["--needed-by", "+4h", "--until", "+2d", "--priority", "immediate", "--id", &self.request]);
        command.extend(lines.iter().flat_map(|line| ["--line", line.as_str()]));
        self.at(WUHAI, "duty").run(&command)?;
        let hub = self.at(WUHAI, "coordinator");
        until("the request reaches the region", || Ok(hub.run(&["aid", "show", &self.request]).ok().map(|_| ())))
    }

    /// Holds from a pledge for a line.
    ///
    /// # Errors
    /// The region refuses.
    pub fn hold(&self, line: u32, pledge: &str, qty: u64) -> Result<String> {
        let (mission, line, qty) = (id(), line.to_string(), qty.to_string());
        let what = ["--line", &line, "--pledge", pledge, "--qty", &qty, "--mission", &mission];
        self.at(WUHAI, "coordinator").run(&[&["aid", "hold", &self.request][..], &what].concat())?;
        Ok(mission)
    }

    /// Two coordinators hold from the same pledge in the same moment.
    ///
    /// # Errors
    /// Both are accepted, or both refused.
    pub fn same_second(&self, line: u32, pledge: &str, qty: u64) -> Result<(String, String)> {
        let (first, second) = (self.at(WUHAI, "coordinator"), self.at(WUHAI, "coordinator").second());
        let (a, b) = (id(), id());
        let (line, qty) = (line.to_string(), qty.to_string());
        let hold = |terminal: &Terminal, mission: &str| {
            let what = ["--line", &line, "--pledge", pledge, "--qty", &qty, "--mission", mission];
            terminal.try_run(&[&["aid", "hold", &self.request][..], &what].concat())
        };
        let (one, other) = std::thread::scope(|scope| {
            let one = scope.spawn(|| hold(&first, &a));
            let other = hold(&second, &b);
            (one.join(), other)
        });
        let one = one.map_err(|_| anyhow::anyhow!("a coordinator's terminal panicked"))??;
        let other = other?;
        match (one.code, other.code) {
            (0, 3) => Ok((a, other.err)),
            (3, 0) => Ok((b, one.err)),
            codes => bail!("two holds of the same suits ended with {codes:?}: {} {}", one.err, other.err),
        }
    }

    /// The requester's leader signs.
    ///
    /// # Errors
    /// The region refuses.
    pub fn order(&self, mission: &str) -> Result<()> {
        self.at(WUHAI, "leader").run(&["aid", "order", mission]).map(|_| ())
    }

    /// What a node knows of a mission.
    ///
    /// # Errors
    /// The node does not know it.
    pub fn mission(&self, at: u32, mission: &str) -> Result<Value> {
        Ok(self.at(at, "duty").run(&["mission", "show", mission])?["mission"].clone())
    }

    /// Waits until a node sees a mission in a state.
    ///
    /// # Errors
    /// It never does.
    pub fn reaches(&self, at: u32, mission: &str, state: &str) -> Result<Value> {
        until(&format!("mission {mission} reaches {state} at {at}"), || {
            let seen = self.mission(at, mission)?;
            Ok((seen["state"] == format!("MISSION_STATE_{state}")).then_some(seen))
        })
    }

    /// The keeper sends it off.
    ///
    /// # Errors
    /// His registry refuses.
    pub fn dispatch(&self, sent: &Sent) -> Result<()> {
        let keeper = self.at(sent.holder, "keeper");
        let qty = sent.qty.to_string();
        // The registry may not dispatch before it has seen its own commitment in its inbox.
        until("the owner's registry commits", || {
            let answer = keeper.try_run(&["mission", "dispatch", &sent.id, "--qty", &qty, "--seal", "封0412"])?;
            match answer.code {
                0 => Ok(Some(())),
                _ => bail!("{}", answer.err),
            }
        })
    }

    /// The requester's keeper receives it.
    ///
    /// # Errors
    /// His registry refuses.
    pub fn receive(&self, sent: &Sent) -> Result<()> {
        let keeper = self.at(WUHAI, "keeper");
        let good = sent.qty.to_string();
        until("the requester's registry hears of the mission", || {
            let command = ["mission", "receive", &sent.id, "--store", &self.store, "--good", &good];
            let answer = keeper.try_run(&command)?;
            match answer.code {
                0 => Ok(Some(())),
                _ => bail!("{}", answer.err),
            }
        })
    }

    /// Opens the receiving store at the leak.
    ///
    /// # Errors
    /// The registry refuses.
    pub fn open_store(&self) -> Result<()> {
        let what = ["store", "add", "--id", &self.store, "--district", "乌达区", "乌达前线接收点"];
        self.at(WUHAI, "keeper").run(&what).map(|_| ())
    }

    /// Uses part of it, sends the rest back, and the owner takes it back.
    ///
    /// # Errors
    /// A registry refuses, or a word never crosses.
    pub fn use_and_return(&self, sent: &Sent, consumed: u64, damaged: u64) -> Result<()> {
        let keeper = self.at(WUHAI, "keeper");
        if consumed + damaged > 0 {
            let (consumed, damaged) = (consumed.to_string(), damaged.to_string());
            keeper.run(&["mission", "use", &sent.id, "--consumed", &consumed, "--damaged", &damaged])?;
        }
        let back = sent.qty - consumed - damaged;
        if back > 0 {
            let total = back.to_string();
            keeper.run(&["mission", "send-back", &sent.id, "--total", &total])?;
            self.at(sent.holder, "keeper").run(&["mission", "take-back", &sent.id, "--good", &total])?;
        }
        self.reaches(WUHAI, &sent.id, "ACCOUNTED").map(|_| ())
    }

    /// Claims, recognises, restocks and verifies what is owed for a mission.
    ///
    /// # Errors
    /// A record refuses, or a word never crosses.
    pub fn settle(&self, sent: &Sent, owed: u64) -> Result<()> {
        self.at(sent.holder, "leader").run(&["obligation", "claim", &sent.id, "--evidence", "交接单0412"])?;
        self.at(WUHAI, "leader").run(&["obligation", "recognise", &sent.id, "--basis", "liable-enterprise"])?;
        let (lot, qty) = (id(), owed.to_string());
        let keeper = self.at(sent.holder, "keeper");
        let stores = keeper.run(&["store", "list"])?;
        let store = text(&stores["stores"][0]["name"])?;
        until("restock is taken in", || {
            let command = ["restock", "receive", &sent.id, "--id", &lot, "--qty", &qty, "--store", &store];
            let answer = keeper.try_run(&command)?;
            if answer.code == 0 { Ok(Some(())) } else { bail!("{}", answer.err) }
        })?;
        let same_hand = keeper.refused(&["restock", "verify", &lot, "--accepted", &qty])?;
        ensure!(same_hand.contains("SAME_PERSON"), "who received restock verified it: {same_hand}");
        keeper.second().run(&["restock", "verify", &lot, "--accepted", &qty])?;
        until("the debt is settled", || {
            let debts = self.at(WUHAI, "duty").run(&["obligation", "list", "--settled"])?;
            let mut debts = debts["obligations"].as_array().into_iter().flatten();
            let of_mission = debts.find(|debt| debt["mission"].as_str().is_some_and(|name| name.ends_with(&sent.id)));
            Ok(of_mission.is_some_and(|debt| debt["state"] == "OBLIGATION_STATE_SETTLED").then_some(()))
        })
    }

    /// The node that leads the region now, as `at` sees it.
    ///
    /// # Errors
    /// Nobody leads.
    pub fn leader(&self, at: u32) -> Result<u32> {
        let terminal = self.at(at, "admin");
        until("somebody leads the region", || {
            let status = terminal.run(&["region", "status"])?;
            let records = status["records"].as_array().into_iter().flatten();
            let leader = records.filter(|record| record["kind"] == "RECORD_KIND_REGION").find_map(|record| {
                record["leader"].as_str().and_then(|node| node.split('/').next()).and_then(|code| code.parse().ok())
            });
            Ok(leader)
        })
    }
}

/// A field that must be a text.
///
/// # Errors
/// It is not.
pub fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("expected a text, found {value}"))
}
