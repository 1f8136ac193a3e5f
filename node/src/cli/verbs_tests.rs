//! Every verb as scripts and people write it: these forms stay.

use clap::Parser as _;

use super::Cli;

const ID: &str = "0190f3a2-7b1c-7d2e-8f00-0123456789ab";

/// Command lines that parse; `ID` stands for a UUID.
const GOOD: &[&str] = &[
    "backup take /mnt/backup --context admin -o json",
    "disk check",
    "disk check -o json",
    "doctor --context admin -o yaml",
    "restore /mnt/backup --reason 硬盘损坏 -o json",
    "backup verify /mnt/backup --charter charter.json --charter other.json -o yaml",
    "store add 危化应急物资库 --district 惠农区",
    "store add 危化应急物资库 --district 惠农区 --id ID -o json",
    "store list",
    "stock import stock.xlsx --catalogue catalogue.csv",
    "stock import stock.csv --catalogue c.csv --sheet 台账 --store 综合库 --owner 150000 --dry-run -o json",
    "stock add 气密型化学防护服 --resource 2990101 --qty 60 --unit 套 --store 危化库 --class superior --expires 2033-03-31 \
     --price 18200 --owner 150000 --batch GX-01 --condition usable --remark 新 --id ID",
    "stock add 警戒带 --qty 30 --unit 卷 --store ID",
    "stock list",
    "stock list --resource 2990101 --available -o json",
    "stock list --all --uncoded --store 危化库",
    "stock receive ID 10 --document 入-1",
    "stock issue lots/ID 2 --purpose 演练",
    "stock scrap ID 1 --reason 破损",
    "stock count ID 0 --reason 年度盘点",
    "stock inspect ID 待检",
    "stock inspect ID awaiting-inspection",
    "stock repaired ID 3",
    "stock map 防化服 2990101",
    "team import teams.csv --catalogue catalogue.csv --dry-run",
    "team add 乌海市危化救援队 --kind team:hazmat --store 基地 --size 36 --endurance 24 --id ID",
    "team list --kind vehicle:air-refill",
    "floor set 2990101 --none 0 --blue 5 --yellow 10 --orange 20 --red 40",
    "floor set team:hazmat --none 1",
    "floor show",
    "floor show 2990101 -o yaml",
    "warning set red",
    "warning set 红",
    "warning show",
    "publish set 2990101 --as banded --region 乌海应急联动区域",
    "publish set 2990101 --as 面议",
    "publish list",
    "publish refresh",
    "pledge make --lot ID --qty 50 --until +30d --id ID",
    "pledge make --lot ID --qty 50 --until 2026-12-31T18:00 --cross-floor 自治区要求",
    "pledge withdraw ID --qty 5 --reason 本地需要",
    "pledge list --closed",
    "pledge break-glass ID --qty 2 --reason 人命关天",
    "pledge cover ID --qty 2",
    "pledge shortfalls",
    "aid request --line 2990101=60:气密型化学防护服 --line team:hazmat=2 --subject 氯气泄漏 --place 乌达区 --needed-by +4h \
     --until +2d --to 152900 --to 640200 --priority immediate --id ID",
    "aid list --requester 150300 --state open --closed",
    "aid show 乌-需-2026-0001 --linearizable",
    "aid answer ID --line 1 --accept 50 --offer ID=30 --offer ID=20 --cost 18200.50 --eta +3h --yes",
    "aid answer ID --line 1 --accept 50 --offer auto --until +2d --cross-floor 理由 --yes",
    "aid answer ID --line 1 --accept 50 --yes",
    "aid answer ID --line 1 --provisional 5 --reason 待核 --yes",
    "aid answer ID --line 1 --decline 本地有化工预警 --yes",
    "aid hold ID --line 1 --pledge ID --qty 30 --minutes 30 --mission ID",
    "aid release ID",
    "aid order ID --spoken",
    "aid confirm-paper ID",
    "aid withdraw-line ID --line 2",
    "aid close ID",
    "mission list --state on-site --member 150300 --request ID --all",
    "mission list --own",
    "mission show 乌-调-2026-0012",
    "mission show ID --own",
    "mission pick ID",
    "mission dispatch ID --qty 30 --seal 封-1 --at 01:20",
    "mission dispatch ID --qty 30 --seal 封-1 --spoken-code 12345678 --spoken-reason 断线 --spoken-pledge ID --spoken-lot ID \
     --spoken-request ID --spoken-line 1 --spoken-with 150300 --spoken-place 乌达区 --spoken-qty 30",
    "mission hand-over ID --qty 30",
    "mission receive ID --store 危化库 --good 29 --damaged 1",
    "mission receive ID --store ID --good 30 --spoken-code 12345678 --spoken-reason 先到 --spoken-with 640200 \
     --spoken-resource 2990101 --spoken-title 防护服 --spoken-unit 套 --spoken-needed-by +1h --spoken-number 乌-调-2026-0001",
    "mission start ID",
    "mission use ID --consumed 41 --damaged 3 --lost 0",
    "mission demobilise ID",
    "mission withdraw ID --reason 二次泄漏",
    "mission send-back ID --total 16",
    "mission take-back ID --good 14 --damaged 2",
    "mission turn-back ID --qty 30",
    "mission revoke ID --reason 本地险情",
    "mission ack-cancel ID",
    "mission cancel ID --reason 不再需要",
    "mission relay ID --code 12345678 --qty 30",
    "obligation list --member 150300 --state settled --settled",
    "obligation claim obligations/ID/goods --evidence 单-1",
    "obligation claim ID --kind service --amount 12000.50 --evidence 单-2",
    "obligation recognise ID",
    "obligation recognise ID --kind goods --basis liable-enterprise --in-money",
    "obligation dispute ID --reason 两套返还时完好",
    "obligation pay ID --evidence 付-1",
    "obligation confirm ID --not-received",
    "discrepancy list --closed",
    "discrepancy propose discrepancies/ID/return_damaged --charge 2 --note 会商认定",
    "discrepancy accept ID/return_damaged --yes",
    "restock list",
    "restock receive ID --qty 22 --store 危化库 --expires 2036-01-01 --id ID",
    "restock receive ID --qty 22 --store ID --title 防护服 --unit 套 --resource 2990101 --owner 150000 --class superior",
    "restock verify ID --accepted 22 --rejected 0",
    "statement --member 150300",
    "outcome ID -o json",
    "watch --from 1 --once -o json",
    "watch --registry --count 3",
    "situation",
    "situation --watch --every 1 --rows 20 --exercise",
    "report region --at 120 -o json",
    "ledger verify --charter charter.json",
    "ledger verify",
    "ledger verify --copy wuhai.ledger --charter charter.json --head a.json --head b.json",
    "ledger export --out wuhai.ledger",
    "ledger head -o json",
    "ledger head --since kept.json --linearizable",
    "ledger countersign",
    "ledger proof 12",
    "ledger history 乌-调-2026-0001",
    "ledger history lots/ID --registry -o yaml",
    "region list",
    "region show --digest -o json",
    "region members",
    "region pledges --resource 2990101 --holder 152900 --free",
    "region published --resource 2990101 --member 152900",
    "region changes",
    "region status -o json",
    "region join --region 乌海应急联动区域 --title 乌海",
    "region admit member.toml",
    "region remove 152900",
    "region add-node 152900/2 KEY",
    "region remove-node 152900/1",
    "region rotate-key 152900/1 KEY --old-until +2d",
    "region hub 150600",
    "region rules --voting two-thirds --hold-minutes-max 60 --paper-hours 48 --basis restock",
    "region sign ID",
    "region promote 152900/1",
    "region raise-level 2",
    "region demote 152900/1",
    "region transfer",
    "region transfer 150300/1 --registry",
    "region checkpoint --registry",
    "courier status -o json",
    "registry accept-loss --name 乌海市",
    "rescue stand wuhai --out here.json",
    "rescue begin wuhai --lost 150600/1 --lost 640100/1 --reason 洪水 a.json b.json",
    "rescue rejoin wuhai",
    "rescue resubmit --context admin",
];

/// Command lines that are refused before anything is sent.
const BAD: &[&str] = &[
    "store add 库",
    "stock import stock.xlsx",
    "stock receive ID 0 --document x",
    "stock inspect ID broken",
    "stock add 物 --qty 1 --unit 套 --store s --price 1.005",
    "floor set 2990101",
    "floor set 990101 --none 1",
    "warning set pink",
    "publish set 2990101 --as loud",
    "pledge make --lot ID --qty 50",
    "pledge make --lot ID --qty 50 --until tomorrow",
    "aid request --subject a --place b --needed-by +4h",
    "aid request --line 2990101 --subject a --place b --needed-by +4h",
    "aid request --line 2990101=1 --subject a --place b --needed-by +4h --to 1503",
    "aid answer ID --line 1",
    "mission dispatch ID --qty 30",
    "mission dispatch ID --qty 30 --seal x --spoken-code 1",
    "mission dispatch ID --qty 30 --seal x --spoken-pledge ID",
    "mission use ID --damaged 1",
    "stock list --timeout 61",
    "stock list --request-id 7",
    "obligation claim ID",
    "obligation claim ID --evidence x --amount 1.005",
    "discrepancy propose ID/return_damaged --charge 2",
    "restock verify ID",
    "outcome 7",
    "backup take",
    "backup verify --folder x",
    "ledger proof one",
    "region add-node 152900 KEY",
    "region add-node 152900/1 ab",
    "region rotate-key 152900/1 KEY --old-until soon",
    "region promote 152900",
    "registry accept-loss",
    "rescue stand wuhai",
    "rescue begin wuhai --reason 洪水",
    "rescue begin wuhai a.json",
    "rescue begin wuhai --lost 150600 --reason 洪水 a.json",
];

fn parse(line: &str) -> Result<Cli, clap::Error> {
    let words = line.split_whitespace().map(|word| word.replace("ID", ID).replace("KEY", &"ab".repeat(32)));
    Cli::try_parse_from(std::iter::once("shouwang".to_owned()).chain(words))
}

#[test]
fn every_form_that_scripts_use_parses() {
    for line in GOOD {
        if let Err(error) = parse(line) {
            panic!("shouwang {line}\n{error}");
        }
    }
}

#[test]
fn slips_are_refused_before_anything_is_sent() {
    for line in BAD {
        assert!(parse(line).is_err(), "shouwang {line}");
    }
}

#[test]
fn every_verb_has_a_sample() {
    use clap::CommandFactory as _;
    for noun in Cli::command().get_subcommands() {
        // These run without a node and have their own tests.
        if ["init", "pki", "charter", "config", "doctor", "serve"].contains(&noun.get_name()) {
            continue;
        }
        let alone = noun.get_subcommands().next().is_none();
        for verb in noun.get_subcommands().map(clap::Command::get_name).chain(alone.then_some("")) {
            let form = format!("{} {verb}", noun.get_name());
            let sampled = GOOD.iter().any(|line| format!("{line} ").starts_with(&format!("{} ", form.trim())));
            assert!(sampled, "shouwang {form} stands in no sample");
        }
    }
}
