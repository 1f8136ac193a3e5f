//! Every verb of the command line over real processes, as people type it, with the records of both sides looked at
//! afterwards. One region is founded for all of it; the themes are played side by side on goods of their own.

#![expect(clippy::trivially_copy_pass_by_ref, reason = "a desk is handed on by reference, whatever it is made of")]

mod aid;
mod cut;
mod deliveries;
mod desk;
mod lists;
mod members;
mod missions;
mod pledges;
mod stock;

use std::time::Instant;

use anyhow::{Result, ensure};
use shouwang_cluster::Federation;
use shouwang_cluster::federation::{self, MemberSpec};
use shouwang_cluster::story::{ALXA, SHIZUISHAN, WUHAI, YINCHUAN};

use desk::{Desk, STORE};

/// The hub, 阿拉善 and 银川, all voting; 石嘴山, which is cut off now and then, has no vote, so that the others do not
/// notice.
fn four() -> Vec<MemberSpec> {
    let chosen = federation::members(&[WUHAI, ALXA, YINCHUAN, SHIZUISHAN]).into_iter();
    chosen.map(|member| MemberSpec { voter: member.code != SHIZUISHAN, ..member }).collect()
}

/// What is played: a name for the report, and the play.
type Theme = (&'static str, fn(&Desk<'_>) -> Result<()>);

const THEMES: &[Theme] = &[
    ("missions", missions::play),
    ("team", missions::team_withdrawn),
    ("deliveries", deliveries::play),
    ("aid", aid::play),
    ("pledges", pledges::play),
    ("cut", cut::play),
    ("stock", stock::play),
];

/// Plays themes side by side; names every one that failed.
fn side_by_side(desk: &Desk<'_>, themes: &[Theme]) -> Result<()> {
    let failed: Vec<String> = std::thread::scope(|scope| {
        let playing: Vec<_> =
            themes.iter().map(|(name, play)| (name, scope.spawn(|| timed(name, desk, *play)))).collect();
        let ended = playing.into_iter().map(|(name, play)| match play.join() {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{name}: {error:#}")),
            Err(_) => Some(format!("{name}: panicked")),
        });
        ended.flatten().collect()
    });
    ensure!(failed.is_empty(), "{} of {} themes failed:\n{}", failed.len(), themes.len(), failed.join("\n\n"));
    Ok(())
}

fn timed(name: &str, desk: &Desk<'_>, play: fn(&Desk<'_>) -> Result<()>) -> Result<()> {
    let started = Instant::now();
    let played = play(desk);
    println!("{name}: {:.1} s", started.elapsed().as_secs_f64());
    played
}

#[test]
fn what_people_do_with_aid_stands_in_the_records_of_both_sides() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let started = Instant::now();
    let mut federation = Federation::found(&folder.path().join("federation"), &four())?;
    federation.start_all()?;
    println!("founded: {:.1} s", started.elapsed().as_secs_f64());
    let desk = Desk(&federation);
    for member in &federation.members {
        desk.at(member.code, "keeper").does(&format!("store add {STORE} --district 城区"))?;
    }
    let held = aid::hold_for_a_minute(&desk)?;
    let only = std::env::var("SHOUWANG_THEMES").unwrap_or_default();
    let themes: Vec<Theme> =
        THEMES.iter().filter(|(name, _)| only.is_empty() || only.contains(name)).copied().collect();
    side_by_side(&desk, &themes)?;
    lists::play(&desk)?;
    aid::lapsed(&desk, &held)
}

#[test]
fn a_region_changes_its_members_its_keys_and_its_hub() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let three: Vec<MemberSpec> = four().into_iter().filter(|member| member.voter).collect();
    let mut federation = Federation::found(&folder.path().join("federation"), &three)?;
    federation.start_all()?;
    for member in &three {
        Desk(&federation).at(member.code, "keeper").does(&format!("store add {STORE} --district 城区"))?;
    }
    let started = Instant::now();
    let told = |what: &str| println!("{what}: at {:.1} s", started.elapsed().as_secs_f64());
    members::configured(&federation)?;
    members::admitted(&mut federation)?;
    told("admitted");
    members::second_node(&mut federation)?;
    told("second node");
    members::key_rotated(&mut federation)?;
    told("key rotated");
    members::hub_and_rules(&Desk(&federation))?;
    told("hub and rules");
    members::leadership(&Desk(&federation))?;
    told("leadership");
    members::removed(&mut federation)?;
    told("removed");
    Ok(())
}
