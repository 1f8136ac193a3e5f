//! The tables of docs/ that the code itself decides: routing, life cycles, refusals. A stale page fails here;
//! `UPDATE_DOCS=1 cargo test -p shouwang-domain --test docs` writes it again.

mod common;

use std::fmt::Write as _;
use std::path::Path;

use common::routing::{self, FACTS, INBOX, SENDS_DOWN, SENDS_UP, UP_LEADS_TO};
use shouwang_domain::actor::Role;
use shouwang_domain::refusal::SENTENCES;
use shouwang_domain::region::command::{RIGHTS as REGION, Right};
use shouwang_domain::region::lifecycle::{MISSION, MissionState, OBLIGATION, ObligationState, Party, Row};
use shouwang_domain::registry::command::RIGHTS as REGISTRY;

const GENERATED: &str =
    "<!-- Written by federation/domain/tests/docs.rs; run it with UPDATE_DOCS=1 to change this page. -->\n";

/// Compares a page with what the code says, or writes it.
fn keep(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page).unwrap_or_else(|e| panic!("{} cannot be written: {e}", path.display()));
        return;
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = known.lines().zip(page.lines()).position(|(left, right)| left != right);
    let line = differs.unwrap_or_else(|| known.lines().count().min(page.lines().count())) + 1;
    assert!(known == page, "docs/{name} is stale from line {line} on; run this test with UPDATE_DOCS=1");
}

fn posts(roles: &[Role]) -> String {
    roles.iter().map(|role| role.slug()).collect::<Vec<_>>().join(", ")
}

fn code_list(words: &[&str]) -> String {
    if words.is_empty() {
        "–".to_owned()
    } else {
        words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
    }
}

/// The rows of one record: command, messages to the other, posts, and the party where it differs by command.
fn commands(page: &mut String, rights: &[Right], table: &[(&str, &'static [&'static str])], with_party: bool) {
    for Right { command, roles, party } in rights {
        let party = if with_party { format!(" {party} |") } else { String::new() };
        let messages = code_list(routing::leads_to(table, command));
        writeln!(page, "| `{command}` | {messages} | {} |{party}", posts(roles)).expect("writing to memory");
    }
}

fn routing_page() -> String {
    let mut page = format!(
        "{GENERATED}\n# Routing table\n\n\
         Which command goes to which record first, what it may send on to the other, and who may give it. Rights are checked\n\
         when a command is applied, on every node alike: the post first, then the party.\n\n\
         Posts: 值班员 duty, 签发 leader, 库管 keeper, 联络员 coordinator, 管理员 admin; `node` is the node itself, through its\n\
         courier. 秘书处 secretariat and 上级督导 superior read, and change nothing.\n\n\
         ## First record: the registry (台账)\n\n\
         Only the registry's own municipality gives these, and they work when every line is cut. The second record is the\n\
         region, reached through the upward channel.\n\n\
         | command | then, to the region | who may |\n|---|---|---|\n"
    );
    commands(&mut page, REGISTRY, SENDS_UP, false);
    page.push_str(
        "\n## First record: the region (应急联动区域)\n\n\
         These need the region's quorum. The second record is the registry of whoever is addressed, reached through the\n\
         downward channel.\n\n\
         | command | then, to a registry | who may | which party |\n|---|---|---|---|\n",
    );
    commands(&mut page, REGION, SENDS_DOWN, true);
    page.push_str(
        "\n## What the region does with a message up\n\n\
         Each is answered by `outcome`. An intention may be refused; a fact happened, and is taken.\n\n\
         | message | kind | sent by | may lead to, downwards |\n|---|---|---|---|\n",
    );
    for (message, fact, leads_to) in UP_LEADS_TO {
        let by: Vec<_> = SENDS_UP.iter().filter(|(_, up)| up.contains(message)).map(|(command, _)| *command).collect();
        let kind = if *fact { "fact 事实" } else { "intention 意向" };
        writeln!(page, "| `{message}` | {kind} | {} | {} |", code_list(&by), code_list(leads_to)).expect("memory");
    }
    page.push_str(
        "\n## What a registry does with its inbox\n\n\
         A registry never refuses an inbox item; it records a shortfall instead.\n\n\
         | message | what follows in the registry |\n|---|---|\n",
    );
    for (message, follows) in INBOX {
        writeln!(page, "| `{message}` | {follows} |").expect("memory");
    }
    page
}

fn party(who: Party) -> &'static str {
    match who {
        Party::Requester => "requester",
        Party::RequesterOrHub => "requester or hub",
        Party::Holder => "holder",
        Party::Creditor => "creditor",
        Party::Debtor => "debtor",
        Party::Clock => "clock",
        Party::Record => "record",
    }
}

/// A diagram and a table of the same rows.
fn cycle<S: Copy>(
    page: &mut String,
    states: &[S],
    rows: &[Row<S>],
    slug: fn(S) -> &'static str,
    zh: fn(S) -> &'static str,
) {
    page.push_str("```mermaid\nstateDiagram-v2\n");
    for state in states {
        writeln!(page, "    {} : {} {}", slug(*state), slug(*state), zh(*state)).expect("memory");
    }
    for row in rows {
        for from in row.from {
            writeln!(page, "    {} --> {} : {}", slug(*from), slug(row.to), row.step).expect("memory");
        }
    }
    page.push_str("```\n\n| from | step | to | who | condition |\n|---|---|---|---|---|\n");
    for row in rows {
        let from = row.from.iter().map(|from| slug(*from)).collect::<Vec<_>>().join(", ");
        writeln!(page, "| {from} | {} | {} | {} | {} |", row.step, slug(row.to), party(row.who), row.guard)
            .expect("memory");
    }
}

fn lifecycles_page() -> String {
    let mut page = format!(
        "{GENERATED}\n# Life cycles\n\n## Mission 调派\n\n\
         Intentions move a mission only along these arrows.\n\n"
    );
    cycle(&mut page, &MissionState::ALL, MISSION, MissionState::slug, MissionState::zh);
    page.push_str(
        "\nFacts are legal in every state and late: a fact lifts a mission whose goods have left to the stage it proves and never\n\
         sets it back (`pick` lifts one that waits to depart). Cancelling after departure is a request to return; it moves\n\
         nothing. When everything that left is returned, used up or lost, the mission is `accounted` by itself, or\n\
         `turned_back` if none of it was delivered. What contradicts the record opens a discrepancy.\n\n\
         | fact | proves |\n|---|---|\n",
    );
    for (fact, reached) in FACTS {
        writeln!(page, "| {fact} | {} {} |", reached.slug(), reached.zh()).expect("memory");
    }
    page.push_str("\n## Obligation 补偿义务\n\n");
    cycle(&mut page, &ObligationState::ALL, OBLIGATION, ObligationState::slug, ObligationState::zh);
    page
}

fn refusals_page() -> String {
    let mut page = format!(
        "{GENERATED}\n# Refusals\n\n\
         The record's \"no\" is an ordinary outcome with a stable code. The words in braces are its parameters.\n\n\
         | code | kind | 中文 | English |\n|---|---|---|---|\n"
    );
    for (code, kind, zh, en) in SENTENCES {
        writeln!(page, "| `{code}` | {kind:?} | {zh} | {en} |").expect("memory");
    }
    page.replace(":?}", "}")
}

#[test]
fn routing_is_documented() {
    keep("routing.md", &routing_page());
}

#[test]
fn life_cycles_are_documented() {
    keep("lifecycles.md", &lifecycles_page());
}

#[test]
fn refusals_are_documented() {
    keep("refusals.md", &refusals_page());
}
