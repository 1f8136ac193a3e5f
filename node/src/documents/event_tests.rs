//! Every event of many nights, in the region and in the registries of all who took part, has its words.

use std::collections::BTreeSet;

use shouwang_domain::actor::Role;
use shouwang_domain::charter::CharterChange;
use shouwang_domain::hash::{Bytes, Hash32, SignatureAlgorithm};
use shouwang_domain::ids::{CommandId, MissionId, NodeId, PledgeId, RequestId};
use shouwang_domain::machine::Machine;
use shouwang_domain::quantity::Qty;
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_domain::region::event::RegionEvent;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::event::RegistryEvent;
use shouwang_domain::registry::state::RegistryNode;
use shouwang_domain::resource::ItemCode;
use shouwang_domain::testing::{AnyVerifier, Rng, World, actor, charter, founding, municipality};
use shouwang_domain::time::Timestamp;

use super::message_words::UNTOLD;
use super::region_story::Story;
use super::{region_events, registry_events};
use crate::lang::Bilingual;

/// What happened, from the beginning of a log.
fn events<M: Machine>(genesis: &M::Genesis, log: &[Vec<u8>]) -> Vec<M::Event> {
    let mut record = Record::<M>::found(genesis).unwrap();
    let written = log.iter().flat_map(|entry| record.apply(entry, &AnyVerifier).unwrap().written);
    written.flat_map(|written| written.record.events).collect()
}

fn is_told(said: &Bilingual, of: &impl std::fmt::Debug) {
    assert_ne!(*said, UNTOLD, "{of:?}");
    assert!(said.zh.chars().any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter)), "{said:?}");
    assert!(said.en.chars().any(|letter| letter.is_ascii_lowercase()), "{said:?}");
}

/// The kinds of events that happened in this world.
fn told(world: &World, kinds: &mut BTreeSet<String>) {
    let mut note = |event: serde_json::Value| kinds.extend(event.as_object().unwrap().keys().cloned());
    for event in events::<Region>(&charter("region 0", &world.parties, None), &world.regions[0].log) {
        is_told(&region_events::sentence(&event), &event);
        note(serde_json::to_value(&event).unwrap());
    }
    let shorts = ["乌", "鄂", "巴", "阿"];
    for ((code, short), registry) in world.parties.iter().zip(shorts).zip(&world.registries) {
        for event in events::<Registry>(&founding(*code, short), &registry.log) {
            is_told(&registry_events::sentence(&event), &event);
            note(serde_json::to_value(&event).unwrap());
        }
    }
}

#[test]
fn whatever_happens_there_are_words_for_it() {
    let mut kinds = BTreeSet::new();
    told(&Story::restocked().world, &mut kinds);
    for seed in 0..6 {
        let mut world = World::new(&[150_300, 150_600, 152_900, 640_200], 1);
        let mut rng = Rng(seed);
        for _ in 0..400 {
            world.random_step(&mut rng);
        }
        told(&world, &mut kinds);
    }
    for event in rare() {
        is_told(&region_events::sentence(&event), &event);
        kinds.extend(serde_json::to_value(&event).unwrap().as_object().unwrap().keys().cloned());
    }
    let (local, code) = ("防化服".to_owned(), ItemCode::new(2_990_101).unwrap());
    let mapped = RegistryEvent::ItemMapped { local, code };
    is_told(&registry_events::sentence(&mapped), &mapped);
    // With this one, every kind of both records ("sent" and "answered" happen in both). A new one belongs in here.
    assert_eq!(kinds.len() + 1, KINDS, "{kinds:?}");
}

/// How many kinds of events there are.
const KINDS: usize = 70;

/// What chance and the story leave out.
fn rare() -> Vec<RegionEvent> {
    let (change, by) = (CommandId::from_u128(1), municipality(150_300));
    let node = NodeId::new(by, 1).unwrap();
    let (mission, pledge, request, qty) =
        (MissionId::from_u128(1), PledgeId::from_u128(1), RequestId::from_u128(1), Qty(2));
    vec![
        RegionEvent::ChangeProposed { change, base_version: 1, what: CharterChange::RemoveMember(by) },
        RegionEvent::ChangeSigned { change, by },
        RegionEvent::CharterChanged { change, version: 2 },
        RegionEvent::KeyRetired { node },
        RegionEvent::VoterSet { node, voter: true },
        RegionEvent::LevelAnnounced { node, level: 2 },
        RegionEvent::LevelRaised { to: 2 },
        RegionEvent::Rescued { epoch: 1, by: node, voters: vec![node], lost: vec![] },
        RegionEvent::HeadMarked { epoch: 0, revision: 9, root: Hash32::default() },
        RegionEvent::Countersigned { node, revision: 9, stands_at: 11 },
        RegionEvent::HeadDisputed { node, revision: 9, root: Hash32::default(), stands_at: 11 },
        RegionEvent::LineUnmet { request, line: 1, declined: vec![by] },
        RegionEvent::RequestClosed { request },
        RegionEvent::MissionReduced { mission, to: qty },
        RegionEvent::DeficitAbsorbed { pledge, qty },
        RegionEvent::DispatchCorrected { mission, more: qty },
        RegionEvent::LostInTransit { mission, qty },
        RegionEvent::Charged { mission, qty },
    ]
}

#[test]
fn a_delivery_reads_as_it_was() {
    let world = Story::restocked().world;
    let region = events::<Region>(&charter("region 0", &world.parties, None), &world.regions[0].log);
    let said: Vec<_> = region.iter().map(region_events::sentence).collect();
    for (zh, en) in [
        ("150300 请求支援", "150300 asks for help"),
        ("占用 152900 的 防护服 50 套", "50 套 of 防护服 held from 152900"),
        ("152900 报：出发 50，封签 封-1", "152900 reports: 50 left, sealed 封-1"),
        ("累计消耗 35、损坏 3、丢失 0", "to date 35 used, 3 damaged, 0 lost"),
        ("150300 应补偿 152900：物资 38", "150300 owes 152900: goods, 38"),
        ("补库累计验收合格 38、不合格 0", "restock inspected, to date 38 accepted and 0 rejected"),
    ] {
        assert!(said.iter().any(|said| said.zh.contains(zh)), "{zh}: {said:#?}");
        assert!(said.iter().any(|said| said.en.contains(en)), "{en}: {said:#?}");
    }
}

#[test]
fn nodes_and_times_read_as_people_write_them() {
    let node = NodeId::new(municipality(150_300), 1).unwrap();
    let by = actor(municipality(150_300), Role::Leader, 1);
    let (mission, number, paper_due) = (MissionId::from_u128(1), "乌-调-2026-0001".to_owned(), Some(Timestamp(0)));
    for (event, zh, en) in [
        (RegionEvent::KeyRetired { node }, "节点 150300/1 的", "of node 150300/1 retired"),
        (
            RegionEvent::Countersigned { node, revision: 9, stands_at: 11 },
            "节点 150300/1 会签",
            "150300/1 countersigned",
        ),
        (RegionEvent::VoterSet { node, voter: true }, "节点 150300/1 参加", "node 150300/1 votes"),
        (RegionEvent::VoterSet { node, voter: false }, "节点 150300/1 不再", "node 150300/1 votes no longer"),
        (
            RegionEvent::MissionOrdered { mission, number, by, paper_due },
            "1970-01-01 08:00:00 前补办手续",
            "paper due 1970-01-01 08:00:00",
        ),
    ] {
        let said = region_events::sentence(&event);
        assert!(said.zh.contains(zh) && said.en.contains(en), "{said:?}");
    }
    let keeper = RegistryNode { node, algorithm: SignatureAlgorithm::Ed25519, public_key: Bytes(Vec::new()) };
    let said = registry_events::sentence(&RegistryEvent::Restored { mark: Hash32([0; 32]), keeper, left: Vec::new() });
    assert!(said.zh.contains("节点 150300/1 保存，") && said.en.contains("node 150300/1;"), "{said:?}");
}
