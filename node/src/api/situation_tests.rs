//! The picture of a short night: figures that agree with the record, what is pressing first.

use std::time::Duration;

use shouwang_domain::time::HOUR_MS;
use shouwang_driver::{Heard, Touch, View};

use super::*;
use crate::api::read::as_of;
use crate::documents::region_story::{ALXA, SHIZUISHAN, Story, WUHAI, YINCHUAN};

/// The picture of a story as Wuhai's node sees it: Alxa heard a moment ago, Shizuishan long ago, Yinchuan never.
fn picture(story: &Story, exercise: bool) -> v1::GetSituationResponse {
    let node = |member: usize| NodeId::new(story.world.parties[member], 1).unwrap();
    let heard = |ms| Some(Heard { ago: Duration::from_millis(ms), by: node(WUHAI) });
    let contact = |member, touch, heard| Contact { node: node(member), touch, heard };
    let contacts = [
        contact(WUHAI, Touch::InTouch, None),
        contact(ALXA, Touch::InTouch, heard(800)),
        contact(YINCHUAN, Touch::Unknown, None),
        contact(SHIZUISHAN, Touch::Silent, heard(185_000)),
    ];
    let record = std::sync::Arc::new(story.record().clone());
    let view = View { record, in_touch: true, leader: Some(node(ALXA)), last_heard: Duration::ZERO };
    let as_of = as_of(&view);
    of(&Look { view, as_of }, &Standpoint { node: node(WUHAI), contacts: &contacts, now: story.world.now }, exercise)
}

#[test]
fn members_and_who_is_in_touch() {
    let told = picture(&Story::moving(), false);
    let members: Vec<_> = told
        .members
        .iter()
        .map(|member| (member.code.as_str(), member.touch(), member.hub, member.leads, member.heard_by.as_str()))
        .collect();
    assert_eq!(
        members,
        [
            ("150300", v1::Touch::InTouch, true, false, ""),
            ("152900", v1::Touch::InTouch, false, true, "150300/1"),
            ("640200", v1::Touch::OutOfTouch, false, false, "150300/1"),
            ("640100", v1::Touch::Unknown, false, false, ""),
        ]
    );
    let (taken, heard) = (told.taken_at.unwrap().seconds, told.members[2].last_heard.unwrap().seconds);
    assert_eq!((taken - heard, told.node.as_str(), told.leader.as_str()), (185, "150300/1", "152900/1"));
}

#[test]
fn figures_agree_with_the_record() {
    let told = picture(&Story::restocked(), false);
    let [suits] = told.resources.as_slice() else { panic!("one resource") };
    // 50 pledged each; Alxa's all left, Shizuishan's ten; Yinchuan only says "ask us".
    assert_eq!((suits.pledged, suits.held, suits.free, suits.published_more), (40, 0, 40, true));
    let [owed] = told.owed.as_slice() else { panic!("one open debt") };
    assert_eq!((owed.quantity, owed.accepted, owed.amount_fen), (6, 0, 6 * 380_000));
    assert_eq!((told.obligations_open, told.requests_open, told.requests_closed), (1, 1, 0));
    let lines: Vec<_> =
        told.requests[0].lines.iter().map(|line| (line.quantity, line.received, line.declined)).collect();
    assert_eq!(lines, [(60, 60, 1), (2, 0, 0)]);
    assert_eq!((told.missions_under_way, told.missions.len(), told.discrepancies.len()), (0, 0, 0));
    let played = picture(&Story::restocked(), true);
    assert_eq!((played.exercise, played.resources[0].pledged, played.requests_open), (true, 7, 0));
}

#[test]
fn what_is_late_stands_first() {
    let mut story = Story::moving();
    let told = picture(&story, false);
    let sent: Vec<_> =
        told.missions.iter().map(|m| (m.quantity, m.outstanding, m.late, m.paper_due.is_some())).collect();
    assert_eq!(sent, [(50, 50, false, false), (10, 0, false, true)]);
    assert_eq!(told.missions[0].age.unwrap().seconds, 0, "it has just left");
    story.world.pass(6 * HOUR_MS);
    assert!(picture(&story, false).missions.iter().all(|mission| mission.late));
}
