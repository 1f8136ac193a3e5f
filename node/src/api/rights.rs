//! The one table of rights of the API: every method, whether it changes anything, who may call it and from where.
//!
//! What changes a record is decided by the record's own table, on every member alike; its rows are read here at compile
//! time, so that the door and the record can never disagree. What only looks, and what concerns this node alone, is
//! decided here.

use shouwang_domain::actor::Role as Post;
use shouwang_domain::region::command::{RIGHTS as REGION, Right as CommandRight};
use shouwang_domain::registry::command::RIGHTS as REGISTRY;

use crate::auth::{Effect, Right, RightsTable, Role, Roles, Scope};

/// The table.
pub const TABLE: RightsTable = RightsTable::new(ROWS);

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The role at the door for a post in the record; the node itself has no operator.
const fn at_the_door(post: Post) -> Option<Role> {
    match post {
        Post::Duty => Some(Role::Duty),
        Post::Leader => Some(Role::SigningLeader),
        Post::Keeper => Some(Role::StoreKeeper),
        Post::Coordinator => Some(Role::Coordinator),
        Post::Secretariat => Some(Role::Secretariat),
        Post::Superior => Some(Role::Superior),
        Post::Admin => Some(Role::Admin),
        Post::Node => None,
    }
}

/// The roles of a command's row; a command without one does not compile.
const fn roles_of(table: &[CommandRight], command: &str) -> Roles {
    let mut row = 0;
    while row < table.len() {
        if same(table[row].command, command) {
            return roles(table[row].roles);
        }
        row += 1;
    }
    panic!("no such command in the table of rights");
}

const fn roles(posts: &[Post]) -> Roles {
    let mut first = 0;
    while at_the_door(posts[first]).is_none() {
        first += 1;
    }
    let Some(filler) = at_the_door(posts[first]) else { panic!("the loop above stopped at an operator's post") };
    // `Roles::of` takes a slice: places that no post fills repeat one that does.
    let mut found = [filler; Role::ALL.len()];
    let mut next = first;
    while next < posts.len() {
        if let Some(role) = at_the_door(posts[next]) {
            found[role as usize] = role;
        }
        next += 1;
    }
    Roles::of(&found)
}

const fn registry(method: &'static str, command: &str) -> Right {
    Right { method, effect: Effect::Change, roles: roles_of(REGISTRY, command), scope: Scope::Own }
}

const fn region(method: &'static str, command: &str) -> Right {
    Right { method, effect: Effect::Change, roles: roles_of(REGION, command), scope: Scope::Own }
}

/// A look at the municipality's own record, for its own operators.
const fn own(method: &'static str) -> Right {
    Right { method, effect: Effect::Read, roles: Roles::ALL, scope: Scope::Own }
}

/// A look at a region: its members see all of it, through any node. That the caller's municipality is a member is checked
/// where the region is known.
const fn shared(method: &'static str) -> Right {
    Right { method, effect: Effect::Read, roles: Roles::ALL, scope: Scope::Federation }
}

/// A stream of calls: whoever may call anything may open one, and each call in it goes by its own row.
const fn calls(method: &'static str) -> Right {
    Right { method, effect: Effect::Read, roles: Roles::ALL, scope: Scope::Federation }
}

/// A change of this node itself.
const fn admin(method: &'static str) -> Right {
    Right { method, effect: Effect::Change, roles: Roles::of(&[Role::Admin]), scope: Scope::Own }
}

/// A look at everything a record holds, the registry's whole included: for the node's own administrators alone.
const fn backup(method: &'static str) -> Right {
    Right { method, effect: Effect::Read, roles: Roles::of(&[Role::Admin]), scope: Scope::Own }
}

const ROWS: &[Right] = &[
    own("/shouwang.v1.RegistryService/GetRegistry"),
    own("/shouwang.v1.RegistryService/ListStores"),
    registry("/shouwang.v1.RegistryService/AddStore", "add_store"),
    own("/shouwang.v1.RegistryService/ListLots"),
    own("/shouwang.v1.RegistryService/GetLot"),
    registry("/shouwang.v1.RegistryService/OpenLots", "open_lot"),
    registry("/shouwang.v1.RegistryService/ReceiveStock", "receive"),
    registry("/shouwang.v1.RegistryService/IssueStock", "issue"),
    registry("/shouwang.v1.RegistryService/ScrapStock", "scrap"),
    registry("/shouwang.v1.RegistryService/CountStock", "count"),
    registry("/shouwang.v1.RegistryService/InspectLot", "inspect"),
    registry("/shouwang.v1.RegistryService/RepairStock", "repaired"),
    registry("/shouwang.v1.RegistryService/MapItem", "map_item"),
    own("/shouwang.v1.RegistryService/ListFloors"),
    registry("/shouwang.v1.RegistryService/SetFloors", "set_floors"),
    own("/shouwang.v1.RegistryService/GetFloorView"),
    registry("/shouwang.v1.RegistryService/SetWarning", "set_warning"),
    own("/shouwang.v1.RegistryService/ListVisibilities"),
    registry("/shouwang.v1.RegistryService/SetVisibility", "set_visibility"),
    registry("/shouwang.v1.RegistryService/RefreshPublication", "refresh_publication"),
    registry("/shouwang.v1.RegistryService/JoinRegion", "join_region"),
    own("/shouwang.v1.RegistryService/ListRegistryPledges"),
    registry("/shouwang.v1.RegistryService/MakePledge", "pledge"),
    registry("/shouwang.v1.RegistryService/WithdrawPledge", "withdraw_pledge"),
    registry("/shouwang.v1.RegistryService/BreakGlass", "break_glass"),
    registry("/shouwang.v1.RegistryService/CoverOverdraft", "cover_overdraft"),
    own("/shouwang.v1.RegistryService/ListRegistryMissions"),
    own("/shouwang.v1.RegistryService/ListShortfalls"),
    own("/shouwang.v1.RegistryService/ListRestocks"),
    registry("/shouwang.v1.RegistryService/ReceiveRestock", "receive_restock"),
    registry("/shouwang.v1.RegistryService/VerifyRestock", "verify_restock"),
    own("/shouwang.v1.RegistryService/GetRegistryOutcome"),
    registry("/shouwang.v1.AidService/RequestAid", "request_aid"),
    shared("/shouwang.v1.AidService/ListRequests"),
    shared("/shouwang.v1.AidService/GetRequest"),
    own("/shouwang.v1.AidService/PreviewAnswer"),
    registry("/shouwang.v1.AidService/AnswerAid", "answer_aid"),
    region("/shouwang.v1.AidService/Hold", "hold"),
    region("/shouwang.v1.AidService/ReleaseHold", "release_hold"),
    region("/shouwang.v1.AidService/Order", "order"),
    region("/shouwang.v1.AidService/ConfirmPaper", "confirm_paper"),
    region("/shouwang.v1.AidService/WithdrawLine", "withdraw_line"),
    region("/shouwang.v1.AidService/CloseRequest", "close_request"),
    shared("/shouwang.v1.MissionService/ListMissions"),
    shared("/shouwang.v1.MissionService/GetMission"),
    registry("/shouwang.v1.MissionService/Pick", "pick"),
    registry("/shouwang.v1.MissionService/Dispatch", "dispatch"),
    registry("/shouwang.v1.MissionService/HandOver", "hand_over"),
    registry("/shouwang.v1.MissionService/TurnBack", "turn_back"),
    registry("/shouwang.v1.MissionService/ReceiveDelivery", "receive_delivery"),
    registry("/shouwang.v1.MissionService/StartWork", "start_work"),
    registry("/shouwang.v1.MissionService/ReportUsage", "report_usage"),
    registry("/shouwang.v1.MissionService/Demobilise", "demobilise"),
    registry("/shouwang.v1.MissionService/WithdrawForSafety", "withdraw_for_safety"),
    registry("/shouwang.v1.MissionService/SendReturn", "send_return"),
    registry("/shouwang.v1.MissionService/TakeBack", "take_back"),
    registry("/shouwang.v1.MissionService/Revoke", "revoke"),
    registry("/shouwang.v1.MissionService/AcknowledgeCancel", "acknowledge_cancel"),
    region("/shouwang.v1.MissionService/CancelMission", "cancel_mission"),
    region("/shouwang.v1.MissionService/RelayDispatch", "relay_dispatch"),
    shared("/shouwang.v1.CompensationService/ListObligations"),
    shared("/shouwang.v1.CompensationService/ListDiscrepancies"),
    shared("/shouwang.v1.CompensationService/GetStatement"),
    region("/shouwang.v1.CompensationService/Claim", "claim"),
    region("/shouwang.v1.CompensationService/Recognise", "recognise"),
    region("/shouwang.v1.CompensationService/Dispute", "dispute"),
    region("/shouwang.v1.CompensationService/ReportPayment", "report_payment"),
    region("/shouwang.v1.CompensationService/ConfirmPayment", "confirm_payment"),
    region("/shouwang.v1.CompensationService/ProposeFinding", "propose_finding"),
    region("/shouwang.v1.CompensationService/AcceptFinding", "accept_finding"),
    shared("/shouwang.v1.WatchService/WatchRegion"),
    own("/shouwang.v1.WatchService/WatchRegistry"),
    calls("/shouwang.v1.CallService/Calls"),
    shared("/shouwang.v1.LedgerService/ListRegionHistory"),
    own("/shouwang.v1.LedgerService/ListRegistryHistory"),
    shared("/shouwang.v1.RegionService/ListRegions"),
    shared("/shouwang.v1.RegionService/GetRegion"),
    shared("/shouwang.v1.RegionService/ListPublished"),
    shared("/shouwang.v1.RegionService/ListPledges"),
    shared("/shouwang.v1.RegionService/ListChanges"),
    region("/shouwang.v1.RegionService/ProposeChange", "propose_change"),
    region("/shouwang.v1.RegionService/SignChange", "sign_change"),
    shared("/shouwang.v1.RegionService/GetSituation"),
    shared("/shouwang.v1.RegionService/GetRegionOutcome"),
    shared("/shouwang.v1.RegionService/GetInclusionProof"),
    shared("/shouwang.v1.LedgerService/ReadRegionLedger"),
    shared("/shouwang.v1.LedgerService/GetRegionHead"),
    region("/shouwang.v1.LedgerService/MarkRegionHead", "mark_head"),
    shared("/shouwang.v1.ReportService/GetRegionReport"),
    own("/shouwang.admin.v1.AdminService/GetNodeStatus"),
    region("/shouwang.admin.v1.AdminService/SetVoter", "set_voter"),
    region("/shouwang.admin.v1.AdminService/RaiseLevel", "raise_level"),
    admin("/shouwang.admin.v1.AdminService/TransferLeadership"),
    admin("/shouwang.admin.v1.AdminService/TakeCheckpoint"),
    backup("/shouwang.admin.v1.AdminService/BackUpRecord"),
    own("/shouwang.admin.v1.AdminService/ListCouriers"),
    admin("/shouwang.admin.v1.AdminService/Resubmit"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// The services for operators; `shouwang.replication.v1` is the peers' surface, where certificates of nodes decide.
    const PACKAGES: [&str; 2] = ["shouwang.v1", "shouwang.admin.v1"];

    fn methods() -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(shouwang_proto::FILE_DESCRIPTOR_SET).unwrap();
        let files = set.file.iter().filter(|file| PACKAGES.contains(&file.package()));
        let methods = files.flat_map(|file| {
            file.service.iter().flat_map(move |service| {
                let name = move |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
                service.method.iter().map(move |method| name(method.name()))
            })
        });
        methods.collect()
    }

    #[test]
    fn every_method_has_a_row_and_every_row_a_method() {
        let rows: BTreeSet<String> = ROWS.iter().map(|row| row.method.to_owned()).collect();
        assert_eq!(rows, methods());
        assert!(rows.len() > 80);
    }

    /// The table as a page for auditors. `UPDATE_DOCS=1` writes it again.
    #[test]
    fn the_page_of_rights_says_what_the_table_says() {
        let mut page = String::from(
            "<!-- Written by node/src/api/rights.rs; run its tests with UPDATE_DOCS=1 to change this page. -->\n\n\
             # Rights at the door\n\n\
             Which role may call which method of the API, and of which municipality: *own* is the municipality of the \
             node that is\ncalled, *members* is every member of the region. What changes a record is checked once more \
             when it is applied, on every\nnode alike ([routing.md](routing.md)). A method without a row is refused.\n\
             A stream of calls changes nothing by itself: each call in it goes by the row of its own method.\n\n\
             | method | | whose operators |",
        );
        let columns = Role::ALL.map(|role| format!(" {} {role} |", role.name().zh)).concat();
        writeln!(page, "{columns}\n|---|---|---|{}", "---|".repeat(Role::ALL.len())).unwrap();
        for row in ROWS {
            let effect = if row.effect == Effect::Change { "changes" } else { "reads" };
            let scope = if row.scope == Scope::Own { "own" } else { "members" };
            let marks = Role::ALL.map(|role| if row.roles.contains(role) { " ● |" } else { " |" }).concat();
            let method = row.method.trim_start_matches('/');
            writeln!(page, "| `{method}` | {effect} | {scope} |{marks}").unwrap();
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rights.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(known == page, "docs/rights.md is stale; run this test with UPDATE_DOCS=1");
    }

    #[test]
    fn the_table_has_no_faults() {
        assert_eq!(TABLE.faults(), Vec::<String>::new());
    }

    #[test]
    fn the_rows_of_commands_are_those_of_the_records() {
        for (method, expected) in [
            ("/shouwang.v1.RegistryService/MakePledge", &[Role::SigningLeader][..]),
            ("/shouwang.v1.RegistryService/JoinRegion", &[Role::Admin]),
            ("/shouwang.v1.AidService/Hold", &[Role::Duty, Role::SigningLeader, Role::Coordinator]),
            ("/shouwang.v1.MissionService/Demobilise", &[Role::Duty, Role::SigningLeader, Role::StoreKeeper]),
            ("/shouwang.admin.v1.AdminService/SetVoter", &[Role::Admin]),
            ("/shouwang.admin.v1.AdminService/RaiseLevel", &[Role::Admin]),
        ] {
            let row = TABLE.row(method).unwrap();
            assert_eq!(row.roles.iter().collect::<Vec<_>>(), expected, "{method}");
        }
    }

    #[test]
    fn whoever_may_order_may_also_give_the_order_its_number() {
        let order = TABLE.row("/shouwang.v1.AidService/Order").unwrap();
        let number = roles_of(REGISTRY, "allocate_number");
        assert!(order.roles.iter().all(|role| number.contains(role)));
    }

    #[test]
    fn every_change_has_a_request_id_and_every_read_has_none() {
        let set = FileDescriptorSet::decode(shouwang_proto::FILE_DESCRIPTOR_SET).unwrap();
        // What only concerns this node's part in a group is no command of a record, and looking up an outcome names one.
        let exempt = ["Resubmit", "TransferLeadership", "TakeCheckpoint", "GetRegistryOutcome", "GetRegionOutcome"];
        for file in set.file.iter().filter(|file| PACKAGES.contains(&file.package())) {
            for message in file.message_type.iter().filter(|message| message.name().ends_with("Request")) {
                let rpc = message.name().trim_end_matches("Request");
                let rpc = if message.name() == "CloseRequestRequest" { "CloseRequest" } else { rpc };
                let rpc = if message.name() == "GetRequestRequest" { "GetRequest" } else { rpc };
                let Some(row) = ROWS.iter().find(|row| row.method.ends_with(&format!("/{rpc}"))) else { continue };
                let has = message.field.iter().any(|field| field.name() == "request_id");
                assert!(exempt.contains(&rpc) || has == (row.effect == Effect::Change), "{rpc}");
            }
        }
    }
}
