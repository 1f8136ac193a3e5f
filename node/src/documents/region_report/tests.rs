//! The paper after a short night, and after many random ones.

use proptest::prelude::*;
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_domain::testing::{Rng, World};

use super::*;
use crate::documents::region_story::{ALXA, SHIZUISHAN, Story, WUHAI, YINCHUAN};
use crate::lang::Lang;

/// The record as another node has it: restored from a checkpoint.
fn copy(record: &Record<Region>) -> Record<Region> {
    let mut records = Vec::new();
    record.records(&mut |bytes| records.push(bytes));
    Record::restore(records.into_iter()).unwrap()
}

#[test]
fn who_shares_what() {
    let story = Story::shared();
    let report = RegionReport::of(story.record());
    let parties = &story.world.parties;
    let share = |section: &Section, member: usize| {
        let share = section.shares.iter().find(|share| share.member == parties[member]).unwrap();
        let figure = share.figure.as_ref().map(|word| word.code.to_string()).unwrap();
        (figure, share.published, share.pledged, share.free, share.pledges.len())
    };
    // 120 less the 50 pledged, as each lets it be seen.
    assert_eq!(share(&report.actual, ALXA), ("exact".to_owned(), Some(70), 50, 50, 1));
    assert_eq!(share(&report.actual, SHIZUISHAN), ("banded".to_owned(), Some(50), 50, 50, 1));
    assert_eq!(share(&report.actual, YINCHUAN), ("ask_us".to_owned(), None, 0, 0, 0));
    assert_eq!(share(&report.exercise, YINCHUAN).2, 7);
    assert_eq!(report.exercise.shares.len(), 1, "an exercise stands apart");
    assert!(report.actual.shares.iter().all(|share| share.as_of.is_some()));
}

#[test]
fn requests_fill_and_refusals() {
    let story = Story::used();
    let section = RegionReport::of(story.record()).actual;
    let [request] = section.requests.as_slice() else { panic!("one request") };
    let [suits, teams] = request.lines.as_slice() else { panic!("two lines") };
    assert_eq!((suits.asked, suits.committed, suits.delivered, suits.fill_percent), (60, 60, 60, 100));
    assert_eq!((suits.state.code.as_ref(), suits.state.zh.as_ref()), ("settling", "结算中"));
    assert_eq!((teams.asked, teams.committed, teams.state.code.as_ref()), (2, 0, "open"));
    let [answer] = suits.answers.as_slice() else { panic!("one answer") };
    assert_eq!((answer.by, answer.answer.code.as_ref()), (story.world.parties[YINCHUAN], "decline"));
    assert_eq!(answer.reason.as_deref(), Some("本市危化预警，储备须留用"));
    let fill = &section.fill;
    assert_eq!((fill.requests, fill.lines, fill.lines_filled, fill.lines_filled_percent), (1, 2, 1, 50));
    let rates: Vec<_> = fill.resources.iter().map(|row| (row.resource.as_str(), row.fill_percent)).collect();
    assert_eq!(rates, [("2990101", 100), ("team:hazmat", 0)]);
}

#[test]
fn times_per_stage() {
    let story = Story::used();
    let section = RegionReport::of(story.record()).actual;
    let seconds = |at: usize| section.missions[at].seconds;
    assert_eq!(seconds(0).held_to_ordered, Some(90));
    // The second mission's 90 seconds lie between, too.
    assert_eq!(seconds(0).committed_to_dispatched, Some(90 + 20 * 60));
    assert_eq!(seconds(1).dispatched_to_received, Some(3 * 3600));
    let medians: Vec<_> = section.stages.iter().map(|row| (row.missions, row.median_s)).collect();
    assert_eq!(medians[0], (2, Some(60)), "asked to held");
    assert_eq!(medians[1], (2, Some(90)));
    assert_eq!(medians[2], (2, Some(0)));
    let whole = section.missions[0].seconds;
    assert_eq!(
        whole.asked_to_received,
        whole.asked_to_held.zip(Some(90 + 90 + 20 * 60 + 2 * 3600)).map(|(a, b)| a + b)
    );
    assert!(section.missions.iter().all(|mission| mission.outstanding == 0 && mission.state.code == "accounted"));
}

#[test]
fn debts_per_pair_and_books_that_sum_to_zero() {
    for (story, alxa, shizuishan) in [(Story::used(), 38, 6), (Story::restocked(), 0, 6)] {
        let section = RegionReport::of(story.record()).actual;
        let parties = &story.world.parties;
        let debts = &section.debts;
        assert_eq!(debts.sums.sum, 0);
        let [first, second] = debts.pairs.as_slice() else { panic!("two pairs, each once") };
        assert_eq!((first.a, first.b), (parties[WUHAI], parties[ALXA]));
        assert_eq!((second.a, second.b), (parties[WUHAI], parties[SHIZUISHAN]));
        assert_eq!(first.a_owes.units[0].incurred, 38);
        assert_eq!(first.a_owes.units[0].restocked, 38 - alxa);
        assert_eq!(first.a_owes.units[0].open, alxa);
        assert_eq!(second.a_owes.open_value_fen, 380_000 * i128::try_from(shizuishan).unwrap());
        assert_eq!((&first.b_owes, &second.b_owes), (&Owed::default(), &Owed::default()));
        let wuhai = debts.balances.iter().find(|balance| balance.member == parties[WUHAI]).unwrap();
        assert_eq!(wuhai.units[0].balance, -i128::try_from(alxa + shizuishan).unwrap());
        assert_eq!(debts.balances.len(), 4, "every member stands in the table");
    }
}

#[test]
fn every_member_gets_the_same_bytes() {
    let story = Story::restocked();
    let json = RegionReport::of(story.record()).to_canonical_json();
    assert_eq!(RegionReport::of(&copy(story.record())).to_canonical_json(), json);
    let read: RegionReport = serde_json::from_str(&json).unwrap();
    assert_eq!(read.to_canonical_json(), json, "what was read writes the same");
    let head = format!(
        "{{\"header\":{{\"form\":1,\"federation\":\"test\",\"region\":\"region 0\",\"region_id\":\"{}\",\"epoch\":0,\"revision\":{}",
        story.record().id(),
        story.record().revision()
    );
    assert!(json.starts_with(&head), "{}", &json[..200]);
    assert!(json.contains(&story.record().ledger_root().to_string()) && json.ends_with("}\n"));
}

#[test]
fn the_paper_reads_in_both_languages() {
    let report = RegionReport::of(Story::restocked().record());
    let zh = report.render_table(Lang::Zh);
    let en = report.render_table(Lang::En);
    for line in [
        "支援请求 1 份（已办结 0），需求 2 行：到齐 1 行（50%），无法满足 0 行；另撤回 0 行",
        "市150300  市152900  2990101 防护服  38        38    0",
        "合计（恒为零）  0  0.00  0.00",
        "======== 演练（与实际互不混计） ========",
    ] {
        assert!(squeezed(&zh).contains(&squeezed(line)), "{line}\n{zh}");
    }
    let (_, played) = zh.split_once("演练（").unwrap();
    assert_eq!(played.matches("## ").count(), 1, "of an exercise only what there is\n{played}");
    for line in [
        "1 requests (0 closed), 2 lines: 1 filled (50%), 0 unmet; 0 more withdrawn",
        "held to ordered         2  1m30s  1m30s",
        "sum, always zero  0  0.00  0.00",
    ] {
        assert!(squeezed(&en).contains(&squeezed(line)), "{line}\n{en}");
    }
}

fn squeezed(text: &str) -> String {
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
        .collect::<String>()
        .trim_end()
        .to_owned()
}

#[test]
fn texts_of_others_cannot_steer_the_terminal() {
    let mut report = RegionReport::of(Story::restocked().record());
    report.members[0].name = "a\u{1b}[2J".to_owned();
    report.header.region = "b\u{7}".to_owned();
    report.actual.shares[0].name = "c\u{202e}".to_owned();
    report.actual.debts.resources[0].name = "d\u{1b}".to_owned();
    let text = report.render_table(Lang::Zh);
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_region_has_a_paper_whose_books_sum_to_zero(seed: u64, steps in 0usize..240) {
        let mut rng = Rng(seed);
        let mut world = World::new(&[150_300, 152_900, 640_200], 1);
        (0..steps).for_each(|_| world.random_step(&mut rng));
        let record = &world.regions[0].record;
        let report = RegionReport::of(record);
        for section in [&report.actual, &report.exercise] {
            prop_assert_eq!(section.debts.sums.sum, 0);
            for pair in &section.debts.pairs {
                prop_assert!(pair.a < pair.b);
            }
            // The pairs say the same as the balances.
            let open: u128 = section.debts.pairs.iter().flat_map(|pair| [&pair.a_owes, &pair.b_owes])
                .flat_map(|owed| &owed.units).map(|units| units.open).sum();
            let debts: u128 = section.obligations.iter().filter(|row| row.debtor != row.creditor)
                .map(|row| u128::from(row.open_units)).sum();
            prop_assert_eq!(open, debts);
        }
        let all = report.actual.missions.len() + report.exercise.missions.len();
        prop_assert_eq!(all, record.machine().missions().count());
        let json = report.to_canonical_json();
        prop_assert_eq!(&RegionReport::of(&copy(record)).to_canonical_json(), &json);
        let read: RegionReport = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read, report.clone());
        prop_assert!(!report.render_table(Lang::Zh).is_empty() && !report.render_table(Lang::En).is_empty());
    }
}
