//! The screen of a region, large and small.

use super::*;
use shouwang_proto::v1::{AsOf, PairStatement, RequestLine};

fn answer(in_touch: bool) -> GetSituationResponse {
    let mission = |number: &str, late| SituationMission {
        number: number.to_owned(),
        state: 6,
        title: "气密型化学防护服".to_owned(),
        quantity: 30,
        unit: "套".to_owned(),
        holder: "640200".to_owned(),
        requester: "150300".to_owned(),
        age: Some(prost_types::Duration { seconds: 5_400, nanos: 0 }),
        late,
        ..SituationMission::default()
    };
    let line = RequestLine { title: "防护服".to_owned(), quantity: 60, state: 4, ..RequestLine::default() };
    GetSituationResponse {
        as_of: Some(AsOf { revision: 120, in_touch, stale_ms: 90_000, ..AsOf::default() }),
        title: "乌海应急联动区域".to_owned(),
        members: vec![SituationMember { code: "640200".to_owned(), touch: 2, hub: true, ..SituationMember::default() }],
        requests: vec![SituationRequest { lines: vec![line], ..SituationRequest::default() }],
        requests_open: 1,
        missions: (1..=3).map(|n| mission(&format!("乌-调-2026-000{n}"), n == 1)).collect(),
        missions_under_way: 7,
        obligations: vec![PairStatement { open: 1, quantity_open: 44, ..PairStatement::default() }],
        obligations_open: 1,
        ..GetSituationResponse::default()
    }
}

#[test]
fn the_screen_tells_everything_and_what_it_leaves_out() {
    let zh = screen(Lang::Zh, &answer(true), 2);
    for told in ["乌海应急联动区域 · 版本 120", "失联", "调运中", "1时30", "迟", "另有 5 行", "44"]
    {
        assert!(zh.contains(told), "{told}: {zh}");
    }
    assert!(!zh.contains("与区域断开"));
    let en = screen(Lang::En, &answer(true), 10);
    assert!(en.contains("OUT OF TOUCH") && en.contains("and 4 more"), "{en}");
}

#[test]
fn a_cut_off_node_says_so_before_anything_else() {
    let zh = screen(Lang::Zh, &answer(false), 5);
    assert!(zh.lines().nth(1).unwrap().starts_with("与区域断开，仅可动用本地储备 · 已失联 1分"), "{zh}");
    let en = screen(Lang::En, &answer(false), 5);
    assert!(en.lines().nth(1).unwrap().contains("only local stock"), "{en}");
}

#[test]
fn an_empty_region_is_a_short_screen() {
    let text = screen(Lang::En, &GetSituationResponse::default(), 5);
    assert!(text.lines().count() < 6 && text.contains("Obligations open: 0"), "{text}");
}

#[test]
fn a_live_screen_fits_its_terminal() {
    for (columns, lines) in [(40, 12), (80, 24), (120, 50)] {
        let text = fitted(Lang::Zh, &answer(true), None, "本节点联系不上\n", (columns, lines));
        let text = text.strip_prefix(CLEAR).unwrap();
        assert!(text.starts_with("本节点联系不上\n") && text.lines().count() < lines, "{text}");
        assert!(text.lines().all(|line| width(line) <= columns), "{text}");
    }
    let large = fitted(Lang::Zh, &answer(true), None, "", (120, 50));
    assert!(large.contains("乌-调-2026-0003"), "what fits is shown: {large}");
    assert!(fitted(Lang::Zh, &answer(true), Some(1), "", (120, 50)).contains("另有 6 行"), "rows asked for are kept");
    assert_eq!((clip("防化服abc", 6), clip("abc", 3)), ("防化…".to_owned(), "abc".to_owned()));
}

#[test]
fn spans_are_told_roughly() {
    let told: Vec<_> = [5, 65, 3_665, 200_000, -3].map(|s| span(s, Lang::En)).into();
    assert_eq!(told, ["5 s", "1 min", "1 h 01", "2 d", "0 s"]);
}
