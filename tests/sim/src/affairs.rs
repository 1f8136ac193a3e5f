//! The affairs of a charter: changes drawn up and signed, members admitted and removed, nodes added, votes given, keys
//! rotated, while everything else goes on.

use shouwang_domain::actor::Role;
use shouwang_domain::charter::{CharterChange, Rules, Standing, Voting};
use shouwang_domain::hash::{Bytes, SignatureAlgorithm};
use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::machine::Machine as _;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::{Region, heads};
use shouwang_domain::time::MINUTE_MS;

use crate::cast::key_of;
use crate::people::Crew;
use crate::scene::Scene;
use crate::station::Keys;

/// Most changes that wait before nobody draws up another.
const WAITING_MAX: usize = 2;

/// What somebody of a member does about the charter of a region.
pub(crate) fn next(
    of: usize,
    region: &Region,
    keys: &mut Keys,
    crew: &mut Crew,
    scene: &mut Scene<'_>,
) -> Option<(Role, R)> {
    if region.level() >= heads::LEVEL && scene.rng.chance(15) {
        return Some((Role::Leader, R::MarkHead {}));
    }
    let charter = region.charter();
    let open =
        region.changes().filter(|(_, change)| change.in_force.is_none() && change.base_version == charter.version);
    let open: Vec<_> = open.collect();
    let unsigned: Vec<_> = open.iter().filter(|(_, change)| !change.signed.contains(&crew.code)).collect();
    if !unsigned.is_empty() && scene.rng.chance(75) {
        let (change, _) = unsigned[scene.rng.index(unsigned.len())];
        return Some((Role::Leader, R::SignChange { change: **change }));
    }
    let is_hub = charter.hub == crew.code;
    if is_hub && scene.rng.chance(40) {
        return set_voter(region, scene);
    }
    if open.len() >= WAITING_MAX {
        return None;
    }
    let change = match scene.rng.below(10) {
        0..3 => rotate_key(region, keys, crew, scene),
        3..5 => a_machine_of_ours(region, crew, scene),
        5 => Some(CharterChange::Rules(rules(scene))),
        6 => {
            let parties = charter.members.iter().filter(|member| member.standing == Standing::Party);
            let codes: Vec<_> = parties.map(|member| member.code).collect();
            Some(CharterChange::Hub(codes[scene.rng.index(codes.len())]))
        }
        7 => a_member_to_remove(region, scene).map(CharterChange::RemoveMember),
        _ => admit(of, region, scene),
    };
    change.map(|change| (Role::Leader, R::ProposeChange { base_version: charter.version, change }))
}

/// A vote is given or taken; three stay.
fn set_voter(region: &Region, scene: &mut Scene<'_>) -> Option<(Role, R)> {
    let nodes: Vec<_> = region.charter().nodes().map(|(_, entry)| (entry.node, entry.voter)).collect();
    let (node, voter) = nodes[scene.rng.index(nodes.len())];
    let votes = nodes.iter().filter(|(_, voter)| *voter).count();
    (!voter || votes > 3).then_some((Role::Admin, R::SetVoter { node, voter: !voter }))
}

/// A new key for the node at which this is drawn up; the old one is good for a while.
fn rotate_key(region: &Region, keys: &mut Keys, crew: &mut Crew, scene: &mut Scene<'_>) -> Option<CharterChange> {
    region.charter().nodes().find(|(_, entry)| entry.node == keys.node)?;
    crew.keys_made += 1;
    let public_key = key_of(keys.node, crew.keys_made);
    keys.list.push(public_key.clone());
    let overlap = [0, 2, 60][scene.rng.index(3)] * MINUTE_MS;
    Some(CharterChange::RotateKey {
        node: keys.node,
        algorithm: SignatureAlgorithm::Ed25519,
        public_key: Bytes(public_key),
        old_until: scene.clock.plus_ms(overlap),
    })
}

/// One more machine of this municipality takes part, or one leaves for ever; its first stays.
fn a_machine_of_ours(region: &Region, crew: &Crew, scene: &mut Scene<'_>) -> Option<CharterChange> {
    let stations = scene.cast.cities[crew.city].stations.get(1..)?;
    let station = *stations.get(scene.rng.index(stations.len()))?;
    let node = scene.cast.posts[station].node;
    let there = region.charter().nodes().any(|(_, entry)| entry.node == node);
    Some(if there { CharterChange::RemoveNode(node) } else { CharterChange::AddNode(scene.cast.member_node(station)) })
}

fn rules(scene: &mut Scene<'_>) -> Rules {
    let voting = [Voting::Majority, Voting::TwoThirds][scene.rng.index(2)];
    // Holds on contended stock wait for as long as ever.
    Rules { voting, hold_minutes_max: 1440, paper_hours: [24, 48][scene.rng.index(2)], ..Rules::default() }
}

/// Somebody who is not the hub; whether anything of it is open the record decides.
fn a_member_to_remove(region: &Region, scene: &mut Scene<'_>) -> Option<MunicipalityCode> {
    let charter = region.charter();
    let others: Vec<_> = charter.members.iter().map(|member| member.code).filter(|code| *code != charter.hub).collect();
    // Three parties stay.
    let parties = charter.members.iter().filter(|member| member.standing == Standing::Party).count();
    let code = *others.get(scene.rng.index(others.len()))?;
    let party = charter.member(code).is_some_and(|member| member.standing == Standing::Party);
    (!party || parties > 3).then_some(code)
}

/// A candidate that is not a member: it joins with its first machine.
fn admit(of: usize, region: &Region, scene: &mut Scene<'_>) -> Option<CharterChange> {
    let candidates = scene.cast.federations[of].candidates.iter();
    let outside: Vec<_> =
        candidates.filter(|(city, _)| region.charter().member(scene.cast.cities[*city].code).is_none()).collect();
    let (city, standing) = **outside.get(scene.rng.index(outside.len()))?;
    Some(CharterChange::AdmitMember(scene.cast.member(city, standing)))
}
