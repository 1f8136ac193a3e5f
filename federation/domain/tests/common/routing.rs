//! Which messages each command, message and fact leads to. The docs print these tables, and the tests of commands and
//! life cycles hold the machines to them.

use shouwang_domain::actor::Role;
use shouwang_domain::channel::{DownMessage, Step, UpMessage, Usage};
use shouwang_domain::quantity::Qty;
use shouwang_domain::region::command::{RIGHTS as REGION, Right};
use shouwang_domain::region::lifecycle::MissionState as M;
use shouwang_domain::registry::command::RIGHTS as REGISTRY;

/// The messages a registry command may send up; whatever is not named here stays at home.
pub const SENDS_UP: &[(&str, &[&str])] = &[
    ("set_visibility", &["publish"]),
    ("refresh_publication", &["publish"]),
    ("pledge", &["pledge"]),
    ("withdraw_pledge", &["withdraw_pledge"]),
    ("request_aid", &["request"]),
    ("answer_aid", &["pledge", "answer"]),
    ("revoke", &["revoke"]),
    ("acknowledge_cancel", &["cancel_acknowledged"]),
    ("pick", &["fact"]),
    ("dispatch", &["fact"]),
    ("hand_over", &["fact"]),
    ("turn_back", &["fact"]),
    ("take_back", &["fact"]),
    ("receive_delivery", &["fact"]),
    ("start_work", &["fact"]),
    ("report_usage", &["fact"]),
    ("demobilise", &["fact"]),
    ("withdraw_for_safety", &["fact"]),
    ("send_return", &["fact"]),
    ("break_glass", &["overdrawn"]),
    ("cover_overdraft", &["overdraft_covered"]),
    ("receive_restock", &["restock_received"]),
    ("verify_restock", &["restock_verified"]),
    ("take_inbox", &["committed"]),
    ("adopt", &["committed"]),
    (
        "conclude_adoption",
        &[
            "pledge",
            "request",
            "answer",
            "committed",
            "cancel_acknowledged",
            "revoke",
            "fact",
            "overdrawn",
            "restock_received",
            "restock_verified",
        ],
    ),
];

/// The messages a region command may send down.
pub const SENDS_DOWN: &[(&str, &[&str])] = &[
    ("up", &["outcome"]),
    ("release_hold", &["released"]),
    ("order", &["ordered", "inbound"]),
    ("cancel_mission", &["cancel_requested"]),
    ("withdraw_line", &["released"]),
    ("close_request", &["released"]),
    ("accept_finding", &["lost_in_transit", "dispatch_corrected", "owed"]),
];

/// What a message up may send down besides its outcome, and whether it is a fact.
pub const UP_LEADS_TO: &[(&str, bool, &[&str])] = &[
    ("publish", false, &[]),
    ("pledge", true, &["released"]),
    ("withdraw_pledge", false, &["released"]),
    ("request", false, &[]),
    ("answer", false, &["released"]),
    ("committed", true, &["ended", "released"]),
    ("cancel_acknowledged", true, &["ended", "released"]),
    ("revoke", false, &["ended", "released"]),
    ("fact", true, &["fact", "owed", "released"]),
    ("overdrawn", true, &["released"]),
    ("overdraft_covered", true, &["released"]),
    ("restock_received", true, &[]),
    ("restock_verified", true, &[]),
];

/// What follows from a message down.
pub const INBOX: &[(&str, &str)] = &[
    ("outcome", "the sender learns what became of its message, and need not keep it any longer"),
    ("released", "PLEDGED → LOCAL"),
    ("ordered", "PLEDGED → HELD; `committed` goes up with what could be set aside"),
    ("inbound", "the requester's keeper expects it"),
    ("cancel_requested", "waits for `acknowledge_cancel`: only people know whether it has left"),
    ("ended", "the requester stops expecting it"),
    ("fact", "the other side's step, for its own books"),
    ("lost_in_transit", "IN_TRANSIT → LOST, by agreement"),
    ("dispatch_corrected", "more left than was written down, by agreement: LOCAL → ON_LOAN"),
    ("owed", "who owes whom how many units"),
];

/// The stage each fact proves of a mission whose goods have left (picking: of one that waits).
pub const FACTS: &[(&str, M)] = &[
    ("pick", M::Picking),
    ("dispatch", M::Dispatched),
    ("hand over", M::Dispatched),
    ("receive", M::Delivered),
    ("start work", M::OnSite),
    ("use", M::OnSite),
    ("demobilise", M::Demobilised),
    ("withdraw for safety", M::Demobilised),
    ("send back", M::Demobilised),
    ("take back", M::Returned),
    ("turn back", M::Dispatched),
];

/// One of every fact, about part of `qty`.
pub fn steps(qty: Qty) -> Vec<Step> {
    let (one, rest) = (Qty::ONE, qty.saturating_sub(Qty::ONE));
    vec![
        Step::Picked,
        Step::Dispatched { qty, seal: "封-1".to_owned() },
        Step::HandedOver { qty },
        Step::Received { good: rest, damaged: one },
        Step::OnSite,
        Step::Used(Usage { consumed: one, damaged: one, lost: one }),
        Step::Demobilised,
        Step::SafetyWithdrawal { reason: "二次泄漏".to_owned() },
        Step::ReturnSent { total: one },
        Step::Returned { good: one, damaged: one },
        Step::TurnedBack { qty: one },
    ]
}

/// The row of the rights tables for a command.
pub fn right(command: &str) -> &'static Right {
    let mut rows = REGISTRY.iter().chain(REGION);
    rows.find(|right| right.command == command).unwrap_or_else(|| panic!("{command} has no row in the rights tables"))
}

/// The first post that may give a command.
pub fn first_role(command: &str) -> Role {
    *right(command).roles.first().expect("every command has somebody who may give it")
}

/// What the table says a name leads to.
pub fn leads_to(table: &[(&str, &'static [&'static str])], name: &str) -> &'static [&'static str] {
    table.iter().find(|(known, _)| *known == name).map_or(&[], |(_, messages)| messages)
}

pub fn up_name(message: &UpMessage) -> &'static str {
    match message {
        UpMessage::Publish(_) => "publish",
        UpMessage::Pledge(_) => "pledge",
        UpMessage::WithdrawPledge { .. } => "withdraw_pledge",
        UpMessage::Request(_) => "request",
        UpMessage::Answer(_) => "answer",
        UpMessage::Committed { .. } => "committed",
        UpMessage::CancelAcknowledged { .. } => "cancel_acknowledged",
        UpMessage::Revoke { .. } => "revoke",
        UpMessage::Fact(_) => "fact",
        UpMessage::Overdrawn { .. } => "overdrawn",
        UpMessage::OverdraftCovered { .. } => "overdraft_covered",
        UpMessage::RestockReceived { .. } => "restock_received",
        UpMessage::RestockVerified { .. } => "restock_verified",
    }
}

pub fn down_name(message: &DownMessage) -> &'static str {
    match message {
        DownMessage::Outcome { .. } => "outcome",
        DownMessage::Released { .. } => "released",
        DownMessage::Ordered(_) => "ordered",
        DownMessage::Inbound(_) => "inbound",
        DownMessage::CancelRequested { .. } => "cancel_requested",
        DownMessage::Ended { .. } => "ended",
        DownMessage::Fact(_) => "fact",
        DownMessage::LostInTransit { .. } => "lost_in_transit",
        DownMessage::DispatchCorrected { .. } => "dispatch_corrected",
        DownMessage::Owed { .. } => "owed",
    }
}
