//! Heads of the region's own ledger, and the words of its nodes about them.

use super::{Case, case, learner, node};
use crate::common::{ALXA, PARTIES, Scene, WUHAI, code_of, figure};
use shouwang_domain::actor::Role;
use shouwang_domain::charter::CharterChange;
use shouwang_domain::hash::Hash32;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::heads::{HEADS_MAX, OwnWord};
use shouwang_domain::time::{HOUR_MS, MINUTE_MS, Timestamp};

fn asked() -> Scene {
    Scene::asked().raised()
}

fn marked() -> Scene {
    let mut scene = asked();
    scene.must_ask(WUHAI, R::MarkHead {});
    scene
}

fn newest(scene: &Scene) -> (u64, Hash32) {
    let (revision, head) = scene.region().newest_head().expect("a head is marked");
    (*revision, head.root)
}

/// What a node says whose ledger is the region's.
fn word(scene: &Scene) -> R {
    let (revision, root) = newest(scene);
    R::Countersign { revision, root }
}

/// What a node says whose ledger is another.
fn other_word(scene: &Scene) -> R {
    R::Countersign { revision: newest(scene).0, root: Hash32::of(&[b"another ledger"]) }
}

fn countersigned() -> Scene {
    let mut scene = marked();
    scene.must_ask(ALXA, word(&scene));
    scene
}

fn disputed() -> Scene {
    let mut scene = marked();
    scene.must_ask(ALXA, other_word(&scene));
    scene
}

/// One more thing has happened, which is neither a head nor a word about one.
fn with_news(mut scene: Scene) -> Scene {
    scene.up(ALXA, figure(7)).expect("published");
    scene
}

/// A later head is marked, and the one before is known still.
fn marked_twice() -> Scene {
    let mut scene = with_news(countersigned());
    scene.ask_as(WUHAI, Role::Leader, R::MarkHead {}).expect("something has happened");
    scene
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("the first head", "ok", asked, |_| (WUHAI, R::MarkHead {})),
    case("the same head again", "HEAD_TOO_SOON", marked, |_| (ALXA, R::MarkHead {})),
    case("a head over nothing but words about the last one", "HEAD_TOO_SOON", countersigned, |_| (ALXA, R::MarkHead {})),
    case("a node's next head at once", "HEAD_TOO_SOON", || with_news(marked()), |_| (ALXA, R::MarkHead {})),
    case("the head a node has", "ok", marked, |s| (ALXA, word(s))),
    case("another head than it has", "ok", marked, |s| (ALXA, other_word(s))),
    case("a head that is not marked", "NOT_FOUND", marked, |s| (ALXA, R::Countersign { revision: newest(s).0 + 1, root: newest(s).1 })),
    case("a head before any is marked", "NOT_FOUND", asked, |_| (ALXA, R::Countersign { revision: 1, root: Hash32::default() })),
    case("the same word again", "ALREADY_EXISTS", countersigned, |s| (ALXA, word(s))),
    case("another word about the same head", "ALREADY_EXISTS", countersigned, |s| (ALXA, other_word(s))),
    case("the right word after a wrong one", "ALREADY_EXISTS", disputed, |s| (ALXA, word(s))),
    case("a word about a later head", "ok", marked_twice, |s| (ALXA, word(s))),
    case("a word about the head before", "ok", marked_twice, |s| (WUHAI, R::Countersign { revision: s.region().countersignatures().next().expect("Alxa's").1.revision, root: s.region().countersignatures().next().expect("Alxa's").1.root })),
];

#[test]
fn a_word_that_contradicts_is_taken_and_shown() {
    let said =
        |scene: &Scene| scene.region().countersignatures().map(|(of, word)| (*of, word.agrees)).collect::<Vec<_>>();
    assert_eq!(said(&countersigned()), [(node(ALXA, 1), true)]);
    let scene = disputed();
    assert_eq!(said(&scene), [(node(ALXA, 1), false)]);
    let (_, alxas) = scene.region().countersignatures().next().expect("Alxa's");
    assert_ne!(alxas.root, newest(&scene).1);
    assert_eq!(alxas.stands_at, scene.world.regions[0].record.revision());
    // With the next head it agrees again.
    let mut scene = with_news(scene);
    scene.ask_as(WUHAI, Role::Leader, R::MarkHead {}).expect("something has happened");
    scene.must_ask(ALXA, word(&scene));
    assert_eq!(said(&scene), [(node(ALXA, 1), true)]);
}

#[test]
fn a_refused_word_leaves_no_trace_in_the_ledger() {
    let mut scene = countersigned();
    let revision = scene.world.regions[0].record.revision();
    for command in [word(&scene), other_word(&scene), R::Countersign { revision: 1, root: Hash32::default() }] {
        assert!(scene.ask(ALXA, command).is_err());
    }
    assert_eq!(scene.world.regions[0].record.revision(), revision);
}

/// Everybody says by itself what there is to say; gives how many words that were.
fn speak(scene: &mut Scene, now: Timestamp) -> usize {
    let mut words = 0;
    loop {
        let before = words;
        for member in 0..PARTIES.len() {
            let record = &scene.world.regions[0].record;
            let command = match record.own_word(node(member, 1), member == WUHAI, now) {
                None => continue,
                Some(OwnWord::Mark) => R::MarkHead {},
                Some(OwnWord::Countersign { revision }) => R::Countersign { revision, root: newest(scene).1 },
            };
            scene.must_ask(member, command);
            words += 1;
        }
        if words == before {
            return words;
        }
    }
}

#[test]
fn nodes_speak_once_of_each_head_and_come_to_rest() {
    let mut scene = asked();
    let now = scene.world.now;
    assert_eq!(speak(&mut scene, now), 0, "in the middle of things");
    scene.world.pass(10 * MINUTE_MS);
    let now = scene.world.now;
    assert_eq!(speak(&mut scene, now), 1 + PARTIES.len(), "a head, and a word of each");
    assert!(scene.region().countersignatures().all(|(_, word)| word.agrees));
    for hours in [1, 7, 24, 240] {
        let later = now.plus_ms(hours * HOUR_MS);
        assert_eq!(speak(&mut scene, later), 0, "words about words, {hours} hours later");
    }
    let mut scene = with_news(scene);
    for (minutes, words) in [(0, 0), (60, 0), (359, 0), (361, 1 + PARTIES.len()), (1000, 0)] {
        scene.world.now = now.plus_ms(minutes * MINUTE_MS);
        assert_eq!(speak(&mut scene, now.plus_ms(minutes * MINUTE_MS)), words, "{minutes} minutes later");
    }
}

#[test]
fn a_busy_region_is_countersigned_by_its_records() {
    let mut scene = marked();
    let now = scene.world.now;
    speak(&mut scene, now);
    let mut written = 0;
    while speak(&mut scene, now) == 0 {
        scene = with_news(scene);
        written += 1;
    }
    assert_eq!(written, 1000, "seven records of their own per thousand");
}

#[test]
fn who_does_not_lead_marks_nothing_and_strangers_say_nothing() {
    let mut scene = asked();
    scene.world.pass(HOUR_MS);
    let (record, now) = (&scene.world.regions[0].record, scene.world.now);
    assert_eq!(record.own_word(node(ALXA, 1), false, now), None);
    assert_eq!(record.own_word(node(ALXA, 2), true, now), None, "no node of the region");
    assert_eq!(record.own_word(node(ALXA, 1), true, now), Some(OwnWord::Mark));
}

#[test]
fn only_the_newest_heads_are_kept() {
    let mut scene = marked();
    let first = newest(&scene);
    for _ in 0..HEADS_MAX {
        scene = with_news(scene);
        scene.ask_as(WUHAI, Role::Admin, R::MarkHead {}).expect("something has happened");
    }
    let late = R::Countersign { revision: first.0, root: first.1 };
    assert_eq!(code_of(&scene.ask(ALXA, late)), "NOT_FOUND");
    scene.check_region();
}

#[test]
fn a_node_that_leaves_takes_its_word_out_of_the_state() {
    let mut scene = Scene::empty().raised();
    scene.ratify(CharterChange::AddNode(learner(&scene, WUHAI, 2)));
    scene.must_ask(WUHAI, R::MarkHead {});
    scene.must_ask(WUHAI, word(&scene));
    scene.must_ask(ALXA, word(&scene));
    scene.ratify(CharterChange::RemoveMember(scene.code(ALXA)));
    let left: Vec<_> = scene.region().countersignatures().map(|(of, _)| *of).collect();
    assert_eq!(left, [node(WUHAI, 1)]);
    scene.check_region();
}

#[test]
fn a_node_asks_by_the_same_command_within_an_hour_and_by_another_later() {
    let scene = asked();
    let record = &scene.world.regions[0].record;
    let asked = |number, now: Timestamp| record.own_command(node(ALXA, number), now, R::MarkHead {});
    let now = Timestamp(scene.world.now.0.div_euclid(HOUR_MS) * HOUR_MS);
    let (first, again) = (asked(1, now), asked(1, now.plus_ms(HOUR_MS - 1)));
    assert_eq!((&first, first.valid_until), (&again, now.plus_ms(2 * HOUR_MS)));
    for (what, other) in [("later", asked(1, now.plus_ms(HOUR_MS))), ("another node", asked(2, now))] {
        assert_ne!(first.id, other.id, "{what}");
    }
}
