//! The screen of a region: during a short night, cut off, crowded and small.

use proptest::prelude::*;
use shouwang_domain::ids::NodeId;
use shouwang_domain::testing::{Rng, World};
use shouwang_driver::{Contact, Heard, Touch as Seen, View};
use shouwang_proto::v1::{
    AsOf, Discrepancy, LineCount, Obligation, RequestLine, SituationMember, SituationMission, SituationRequest, Touch,
};

use super::*;
use crate::api::read::{Look, as_of};
use crate::api::situation::{Standpoint, of};
use crate::cli::text::width;
use crate::lang::Lang;

const PLAIN: Screen = Screen { width: 120, height: 40, colour: false };
const NOW: i64 = 1_772_380_800;

fn at(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

fn answer(in_touch: bool) -> GetSituationResponse {
    let mission = |number: &str, late: bool| SituationMission {
        number: number.to_owned(),
        state: 6,
        title: "气密型化学防护服".to_owned(),
        quantity: 30,
        unit: "套".to_owned(),
        holder: "640200".to_owned(),
        requester: "150300".to_owned(),
        since: Some(at(NOW - 5_400)),
        paper_due: late.then(|| at(NOW + 60)),
        late,
        ..SituationMission::default()
    };
    let member = |code: &str, title: &str, touch: Touch, heard: Option<i64>, by: &str| SituationMember {
        code: code.to_owned(),
        title: title.to_owned(),
        touch: touch.into(),
        last_heard: heard.map(at),
        heard_by: by.to_owned(),
        hub: code == "150300",
        standing: 1,
        ..SituationMember::default()
    };
    let line = RequestLine { line: 1, title: "防护服".to_owned(), quantity: 60, state: 4, ..RequestLine::default() };
    let request = SituationRequest { number: "乌-需-2026-0001".to_owned(), lines: vec![line], ..Default::default() };
    GetSituationResponse {
        as_of: Some(AsOf { revision: 120, in_touch, stale_ms: 90_000, at: Some(at(NOW - 12)), ..AsOf::default() }),
        title: "乌海应急联动区域".to_owned(),
        node: "150300/1".to_owned(),
        leader: "152900/1".to_owned(),
        taken_at: Some(at(NOW)),
        members: vec![
            member("150300", "乌海市", Touch::InTouch, None, ""),
            member("152900", "阿拉善盟", Touch::InTouch, Some(NOW - 1), "150300/1"),
            member("640200", "石嘴山市", Touch::OutOfTouch, Some(NOW - 185), "152900/1"),
            member("640100", "银川市", Touch::Unknown, Some(NOW - 4_000), "150600/1"),
        ],
        lines: vec![LineCount { state: 4, lines: 1 }],
        requests: vec![request],
        requests_open: 1,
        missions: (1..=3).map(|n| mission(&format!("乌-调-2026-000{n}"), n == 1)).collect(),
        missions_under_way: 7,
        discrepancies: vec![Discrepancy {
            kind: 4,
            quantity: 2,
            number: "乌-调-2026-0009".to_owned(),
            ..Default::default()
        }],
        discrepancies_open: 1,
        owed: vec![Obligation { kind: 1, state: 4, quantity: 44, accepted: 3, ..Obligation::default() }],
        obligations_open: 1,
        ..GetSituationResponse::default()
    }
}

fn shown(answer: &GetSituationResponse, lang: Lang, screen: Screen) -> String {
    render(&Picture { answer, age: Duration::ZERO, trouble: None }, lang, screen, usize::MAX)
}

#[test]
fn a_night_on_one_screen() {
    let zh = shown(&answer(true), Lang::Zh, PLAIN);
    let expected = "\
乌海应急联动区域 · 2026-03-02 00:00:00 · 版本 120（12秒前）
本节点 150300/1 · 日志主节点 152900/1 · 成员在线 2/4
成员 4 · 失联 1 · 未知 1
  代码    名称      联系  最近听到   由谁听到         身份         节点/投票
  640200  石嘴山市  失联  3分05秒前  主节点 152900/1  成员方       0/0
  640100  银川市    未知  1小时06分前  原主节点 150600/1  成员方  0/0
  150300  乌海市    在线  -  本节点  成员方·中心  0/0
  152900  阿拉善盟  在线  1秒前  本节点  成员方  0/0
在途调派 7 · 逾期 1
  编号  路线  内容  数量  状态  已历时  标记
  乌-调-2026-0001  石嘴山市→乌海市  气密型化学防护服  30套  已出发  1小时30分  逾期、待补手续
";
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(squeeze(&zh).starts_with(&squeeze(expected)), "{zh}");
    for told in ["… 另有 4 项", "调运中 1", "未关闭差异 1", "短少", "3/44", "乌-需-2026-0001-1"] {
        assert!(zh.contains(told), "{told}: {zh}");
    }
    assert!(!zh.contains("断开"));
    let en = shown(&answer(true), Lang::En, PLAIN);
    for told in
        ["3m05s ago", "leader 152900/1", "former leader 150600/1", "1 out of touch", "late, paper due", "4 more"]
    {
        assert!(en.contains(told), "{told}: {en}");
    }
}

#[test]
fn a_cut_off_node_says_so_before_anything_else() {
    let zh = shown(&answer(false), Lang::Zh, PLAIN);
    let banner = "!! 与区域断开，仅可动用本地储备 · 已失联 1分30秒，以下为此前的画面 !!";
    assert_eq!(zh.lines().nth(2), Some(banner), "{zh}");
    assert!(shown(&answer(false), Lang::En, PLAIN).contains("only local stock can be used · no quorum for 1m30s"));
}

#[test]
fn an_old_picture_claims_nobody_to_be_in_touch() {
    let answer = answer(true);
    let old = Picture { answer: &answer, age: Duration::from_secs(40), trouble: Some("tcp\u{1b}[2J") };
    let zh = render(&old, Lang::Zh, PLAIN, usize::MAX);
    assert_eq!(zh.lines().nth(2), Some("!! 联系不上本节点，以下为 40秒 前的画面（tcp\u{fffd}[2J） !!"), "{zh}");
    assert!(!zh.contains("在线  ") && zh.contains("成员在线 0/4") && zh.contains("3分45秒前"), "ages run on: {zh}");
    let en = render(&old, Lang::En, PLAIN, usize::MAX);
    assert!(en.contains("this node does not answer; the picture is 40s old"), "{en}");
}

#[test]
fn colour_changes_nothing_but_colour() {
    let coloured = shown(&answer(false), Lang::En, Screen { colour: true, ..PLAIN });
    assert!(coloured.contains("\u{1b}[31m") && coloured.contains("\u{1b}[1;7;31m"));
    let mut parts = coloured.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    let stripped = parts.fold(first, |out, part| out + part.split_once('m').map_or(part, |(_, rest)| rest));
    assert_eq!(stripped, shown(&answer(false), Lang::En, PLAIN));
}

#[test]
fn long_lists_say_what_they_leave_out() {
    let mut long = answer(true);
    long.missions = vec![long.missions[0].clone(); 50];
    long.missions_under_way = 57;
    long.members = vec![long.members[1].clone(); 200];
    let text = shown(&long, Lang::Zh, Screen { height: 24, ..PLAIN });
    assert_eq!(text.lines().count(), 24, "{text}");
    let drawn = text.lines().filter(|line| line.contains("已出发")).count();
    assert!(text.contains(&format!("… 另有 {} 项", 57 - drawn)) && drawn > 0, "{text}");
    let of_each = render(&Picture { answer: &long, age: Duration::ZERO, trouble: None }, Lang::En, PLAIN, 1);
    assert!(of_each.contains("… 56 more") && of_each.contains("… 199 more"), "rows asked for are kept: {of_each}");
}

#[test]
fn a_narrow_screen_keeps_what_matters() {
    let text = shown(&answer(true), Lang::Zh, Screen { width: 60, height: 60, colour: false });
    assert!(text.lines().all(|line| width(line) <= 60), "{text}");
    assert!(text.contains("3分05秒前") && !text.contains("节点/投票"), "a column gives way as a whole: {text}");
    assert!(text.contains("…6-0001") && text.contains("逾期"), "numbers are told by their ends: {text}");
}

#[test]
fn an_empty_region_is_a_short_screen() {
    let text = shown(&GetSituationResponse::default(), Lang::En, PLAIN);
    assert!(text.lines().count() < 10 && text.contains("Obligations open 0"), "{text}");
}

#[test]
fn texts_of_others_cannot_steer_the_terminal() {
    let mut foreign = answer(true);
    foreign.title = "a\u{1b}[2J".to_owned();
    foreign.members[1].title = "b\u{1b}".to_owned();
    foreign.missions[0].title = "c\u{202e}\n".to_owned();
    let text = shown(&foreign, Lang::Zh, PLAIN);
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
}

#[test]
fn a_file_takes_only_what_is_news() {
    let (first, mut later) = (answer(true), answer(true));
    later.taken_at = Some(at(NOW + 2));
    later.members[1].last_heard = Some(at(NOW + 1));
    assert_eq!(gist(&first), gist(&later));
    later.members[1].touch = Touch::OutOfTouch.into();
    assert_ne!(gist(&first), gist(&later));
    assert_ne!(gist(&first), gist(&answer(false)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_region_fits_any_screen(seed: u64, steps in 0usize..240, columns in 0usize..220, lines in 0usize..60) {
        let mut rng = Rng(seed);
        let mut world = World::new(&[150_300, 152_900, 640_200], 1);
        (0..steps).for_each(|_| world.random_step(&mut rng));
        let node = |member: usize| NodeId::new(world.parties[member], 1).unwrap();
        let heard = Some(Heard { ago: Duration::from_millis(rng.below(100_000)), by: node(0) });
        let contacts = [Contact { node: node(1), touch: Seen::Silent, heard }];
        let record = std::sync::Arc::new(world.regions[0].record.clone());
        let view = View { record, in_touch: rng.chance(50), leader: None, last_heard: Duration::from_secs(9) };
        let as_of = as_of(&view);
        let from = Standpoint { node: node(0), contacts: &contacts, now: world.now };
        let answer = of(&Look { view, as_of }, &from, rng.chance(20));
        for lang in [Lang::Zh, Lang::En] {
            let text = shown(&answer, lang, Screen { width: columns, height: lines, colour: false });
            prop_assert!(text.lines().count() <= lines);
            for line in text.lines() {
                prop_assert!(width(line) <= columns, "{} > {}: {}", width(line), columns, line);
            }
        }
    }
}
