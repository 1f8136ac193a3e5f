//! The screen during a short night, cut off, crowded and small.

use proptest::prelude::*;
use shouwang_domain::ids::NodeId;
use shouwang_domain::testing::{Rng, World};
use shouwang_domain::time::HOUR_MS;

use super::*;
use crate::cli::output::width;
use crate::documents::region_story::{ALXA, SHIZUISHAN, Story, WUHAI, YINCHUAN};
use crate::lang::Lang;

const PLAIN: Screen = Screen { width: 100, height: 40, colour: false };

/// The picture of a story as Wuhai's node sees it: Alxa heard a moment ago, Shizuishan long ago, Yinchuan never.
fn picture(story: &Story, in_touch: bool) -> Situation {
    let parties = &story.world.parties;
    let last_heard = [(parties[ALXA], Some(800)), (parties[SHIZUISHAN], Some(185_000)), (parties[YINCHUAN], None)];
    let cut = [(parties[ALXA], Some(240_000)), (parties[SHIZUISHAN], Some(185_000)), (parties[YINCHUAN], None)];
    let contact = Contact {
        own: parties[WUHAI],
        now: story.world.now,
        in_touch,
        leader: in_touch.then(|| NodeId::new(parties[ALXA], 1).unwrap()),
        last_heard: if in_touch { &last_heard } else { &cut },
    };
    Situation::of(story.record(), &contact)
}

#[test]
fn a_night_on_one_screen() {
    let story = Story::moving();
    let situation = picture(&story, true);
    let text = situation.render(Lang::Zh, PLAIN);
    let expected = "\
守望 region 0  版本 REV  末条记录 0秒前（2026-03-02T00:10:40+08:00）  日志主节点 市152900 1
成员在线 2/4  ●市150300（本市）  ●市152900  ○市640100 未联系上  ○市640200 失联3分05秒
在途调派 2
  编号            路线                内容         状态    历时      需于         预计到  标记
  乌-调-2026-0001  市152900→市150300  防护服 50套  已出发  23分00秒  03-02 03:46  -
  乌-调-2026-0002  市640200→市150300  防护服 10套  已落实  21分30秒  03-02 03:46  -       待补手续
需求行 2  已发出 1 · 调运中 1
";
    let shown = text.replace(&format!("版本 {}", situation.revision), "版本 REV");
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(squeeze(&shown).starts_with(&squeeze(expected)), "{shown}");
    assert!(!shown.contains("断开"));
    // The exercise stands apart, and says so.
    let played = shown.find("【演练】可用资源 1").unwrap();
    assert!(played > shown.find("未结补偿义务 0").unwrap(), "{shown}");
}

#[test]
fn cut_off_it_says_so_in_words() {
    let situation = picture(&Story::moving(), false);
    assert_eq!(situation.banner(Lang::Zh).unwrap(), "与区域断开，仅可动用本地储备 · 已失联 3分05秒，以下为此前的画面");
    assert_eq!(
        situation.banner(Lang::En).unwrap(),
        "cut off from the region: only local stock can be used · nobody heard for 3m05s; what follows is older than that"
    );
    let text = situation.render(Lang::Zh, PLAIN);
    assert!(text.lines().nth(1).unwrap().starts_with("!! 与区域断开，仅可动用本地储备"), "{text}");
    let never = Situation { silent_ms: None, ..situation };
    assert!(never.banner(Lang::Zh).unwrap().contains("启动后未联系上任何成员"));
}

#[test]
fn what_is_late_stands_first_and_is_marked() {
    let mut story = Story::moving();
    story.world.pass(6 * HOUR_MS);
    let situation = picture(&story, true);
    assert!(situation.actual.missions.rows.iter().all(|mission| mission.overdue));
    assert!(situation.actual.requests.rows[0].overdue);
    let text = situation.render(Lang::En, Screen { width: 140, ..PLAIN });
    assert!(text.contains("Missions under way 2 (2 overdue)") && text.contains("overdue, paper due"), "{text}");
    let coloured = situation.render(Lang::En, Screen { width: 140, colour: true, ..PLAIN });
    assert!(coloured.contains("\u{1b}[31m") && coloured.contains("\u{1b}[0m"));
    assert_eq!(stripped(&coloured), text, "colour changes nothing but colour");
}

fn stripped(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[test]
fn figures_agree_with_the_record() {
    let situation = picture(&Story::restocked(), true);
    let board = &situation.actual;
    let stock: Vec<_> = board.stock.rows.iter().map(|line| (line.pledged, line.held, line.free)).collect();
    // 50 pledged each; Alxa's all left, Shizuishan's ten; Yinchuan only says "ask us".
    assert_eq!(stock, [(0, 0, 0), (0, 0, 0), (40, 0, 40)]);
    let [owed] = board.obligations.rows.as_slice() else { panic!("one open debt") };
    assert_eq!((owed.qty, owed.accepted, owed.amount_fen), (6, 0, 6 * 380_000));
    assert_eq!(board.requests.rows[0].declined, 1);
    assert!(board.missions.rows.is_empty());
    assert_eq!((situation.exercise.stock.rows.len(), situation.exercise.stock.rows[0].pledged), (1, 7));
}

#[test]
fn it_travels_as_json() {
    let situation = picture(&Story::moving(), true);
    let json = serde_json::to_string(&situation).unwrap();
    assert_eq!(serde_json::from_str::<Situation>(&json).unwrap(), situation);
}

#[test]
fn long_lists_say_what_they_leave_out() {
    let mut situation = picture(&Story::moving(), true);
    let line = situation.actual.missions.rows[0].clone();
    situation.actual.missions = Listed { rows: vec![line; 50], more: 7 };
    let text = situation.render(Lang::Zh, Screen { height: 24, ..PLAIN });
    assert_eq!(text.lines().count(), 24, "{text}");
    let shown = text.lines().filter(|line| line.contains("已出发")).count();
    assert!(text.contains(&format!("… 另有 {} 项", 57 - shown)), "{text}");
    let text = situation.render(Lang::En, Screen { height: 24, ..PLAIN });
    assert!(text.contains("more\n"), "{text}");
    // Many members are cut as well.
    let member = situation.members[1].clone();
    situation.members = vec![member; 200];
    let text = situation.render(Lang::Zh, PLAIN);
    assert!(text.contains("项\n在途调派 57"), "{text}");
}

#[test]
fn texts_of_others_cannot_steer_the_terminal() {
    let mut situation = picture(&Story::moving(), true);
    situation.region = "a\u{1b}[2J".to_owned();
    situation.members[1].name = "b\u{1b}".to_owned();
    situation.actual.missions.rows[0].name = "c\u{202e}\n".to_owned();
    let text = situation.render(Lang::Zh, PLAIN);
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_region_fits_any_screen(seed: u64, steps in 0usize..240, columns in 0usize..220, lines in 0usize..60) {
        let mut rng = Rng(seed);
        let mut world = World::new(&[150_300, 152_900, 640_200], 1);
        (0..steps).for_each(|_| world.random_step(&mut rng));
        let last_heard = [(world.parties[1], Some(rng.below(100_000))), (world.parties[2], None)];
        let contact = Contact {
            own: world.parties[0],
            now: world.now,
            in_touch: rng.chance(50),
            leader: None,
            last_heard: &last_heard,
        };
        let situation = Situation::of(&world.regions[0].record, &contact);
        let json = serde_json::to_string(&situation).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Situation>(&json).unwrap(), &situation);
        for lang in [Lang::Zh, Lang::En] {
            let text = situation.render(lang, Screen { width: columns, height: lines, colour: false });
            prop_assert!(text.lines().count() <= lines);
            for line in text.lines() {
                prop_assert!(width(line) <= columns, "{} > {}: {}", width(line), columns, line);
            }
        }
    }
}
