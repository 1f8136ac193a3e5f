//! `docs/routing.md` says what the tables of rights decide.

use std::collections::BTreeMap;

use shouwang_domain::actor::Role;
use shouwang_domain::region;
use shouwang_domain::registry;

const PAGE: &str = include_str!("../../docs/routing.md");

/// The rows of the table under the heading that names a record: command → (posts, which party).
fn rows(record: &str) -> BTreeMap<String, (String, String)> {
    let heading = format!("## First record: the {record} ");
    let section = PAGE.split("\n## ").find(|section| format!("## {section}").starts_with(&heading));
    let section = section.unwrap_or_else(|| panic!("no heading {heading:?}"));
    let cells = section.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let party = cells.get(3).copied().unwrap_or_default();
        (cells[0].trim_matches('`').to_owned(), (cells[2].to_owned(), party.to_owned()))
    });
    cells.collect()
}

fn posts(roles: &[Role]) -> String {
    roles.iter().map(|role| role.slug()).collect::<Vec<_>>().join(", ")
}

#[test]
fn every_command_of_the_registry_has_its_row() {
    let decided = registry::command::RIGHTS.iter();
    let decided = decided.map(|right| (right.command.to_owned(), (posts(right.roles), String::new()))).collect();
    assert_eq!(rows("registry"), decided);
}

#[test]
fn every_command_of_the_region_has_its_row() {
    let decided = region::command::RIGHTS.iter();
    let decided =
        decided.map(|right| (right.command.to_owned(), (posts(right.roles), right.party.to_owned()))).collect();
    assert_eq!(rows("region"), decided);
}
