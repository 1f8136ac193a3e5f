//! What happened in a region, event by event, as sentences for people.

use shouwang_domain::charter::Basis;
use shouwang_domain::ids::NodeId;
use shouwang_domain::region::event::RegionEvent as E;
use shouwang_domain::region::lifecycle::{MissionState, ObligationState};
use shouwang_domain::region::state::{DebtKind, DiscrepancyKind, LineEnd};

use super::message_words::{UNTOLD, answer, down, fact, figure, pledge, request, say};
use crate::api::convert::words::node as name_of;
use crate::api::convert::{compensation, mission};
use crate::lang::Bilingual;
use crate::words::{self, Words, moment};

/// An event as a sentence in both languages.
pub fn sentence(event: &E) -> Bilingual {
    let said = match event {
        E::UpTaken { .. } | E::LifeBegun { .. } | E::Sent { .. } | E::DownTaken { .. } => of_channel(event),
        E::ChangeProposed { .. }
        | E::ChangeSigned { .. }
        | E::CharterChanged { .. }
        | E::KeyRetired { .. }
        | E::VoterSet { .. }
        | E::LevelAnnounced { .. }
        | E::LevelRaised { .. }
        | E::Rescued { .. } => of_charter(event),
        E::HeadMarked { .. } | E::Countersigned { .. } | E::HeadDisputed { .. } => of_ledger(event),
        E::Published { .. }
        | E::Pledged { .. }
        | E::PledgeReleased { .. }
        | E::PledgeClosing { .. }
        | E::PledgeOverdrawn { .. }
        | E::OverdraftCovered { .. }
        | E::DeficitAbsorbed { .. }
        | E::PledgeDeparted { .. } => of_pledge(event),
        E::RequestMade { .. }
        | E::Answered { .. }
        | E::LineUnmet { .. }
        | E::LineEnded { .. }
        | E::RequestExpired { .. }
        | E::RequestClosed { .. } => of_request(event),
        E::MissionHeld { .. }
        | E::MissionMoved { .. }
        | E::MissionOrdered { .. }
        | E::CommitmentSeen { .. }
        | E::PaperConfirmed { .. }
        | E::MissionReduced { .. }
        | E::ReservationEnded { .. }
        | E::MissionRecalled { .. } => of_mission(event),
        E::DispatchRelayed { .. }
        | E::FactRecorded { .. }
        | E::DispatchCorrected { .. }
        | E::LostInTransit { .. }
        | E::Charged { .. }
        | E::DiscrepancyOpened { .. }
        | E::DiscrepancyChanged { .. }
        | E::FindingProposed { .. }
        | E::DiscrepancyClosed { .. } => of_facts(event),
        E::ObligationOpened { .. }
        | E::ObligationChanged { .. }
        | E::ObligationMoved { .. }
        | E::ObligationClaimed { .. }
        | E::ObligationRecognised { .. }
        | E::ObligationDisputed { .. }
        | E::PaymentReported { .. }
        | E::RestockReceived { .. }
        | E::RestockVerified { .. } => of_debt(event),
    };
    // Each kind is told where it was sent above; the test of the stories sees to it.
    said.unwrap_or(UNTOLD)
}

fn of_channel(event: &E) -> Option<Bilingual> {
    Some(match event {
        E::UpTaken { member, number, refusal: None, .. } => {
            say!("收下 {member} 台账第 {number} 号消息", "message {number} of {member}'s registry taken")
        }
        E::UpTaken { member, number, refusal: Some(refusal), .. } => {
            let (zh, en) = (refusal.zh(), refusal.en());
            say!("{member} 台账第 {number} 号消息被拒：{zh}", "message {number} of {member}'s registry refused: {en}")
        }
        E::Sent { to, number, message } => {
            let Bilingual { zh, en } = down(message);
            say!("通知 {to} 台账（第 {number} 号）：{zh}", "to {to}'s registry, message {number}: {en}")
        }
        E::LifeBegun { member, life } => {
            let life = life.incarnation;
            say!(
                "{member} 台账由备份恢复，化身 {life}",
                "{member}'s registry was restored from a backup: incarnation {life}"
            )
        }
        E::DownTaken { member, through } => {
            say!("{member} 台账已收至第 {through} 号通知", "{member}'s registry has taken its messages up to {through}")
        }
        _ => return None,
    })
}

fn of_charter(event: &E) -> Option<Bilingual> {
    Some(match event {
        E::ChangeProposed { base_version, .. } => {
            say!(
                "提出协议变更，基于第 {base_version} 版",
                "a change of the charter proposed, drawn on version {base_version}"
            )
        }
        E::ChangeSigned { by, .. } => say!("{by} 签署", "signed by {by}"),
        E::CharterChanged { version, .. } => say!("协议第 {version} 版生效", "charter version {version} in force"),
        E::KeyRetired { node } => {
            let node = name_of(*node);
            say!("节点 {node} 的旧密钥停用", "the old key of node {node} retired")
        }
        E::VoterSet { node, voter } => {
            let node = name_of(*node);
            if *voter {
                say!("节点 {node} 参加投票", "node {node} votes")
            } else {
                say!("节点 {node} 不再投票", "node {node} votes no longer")
            }
        }
        E::LevelAnnounced { node, level } => {
            let node = name_of(*node);
            say!("节点 {node} 支持功能级别 {level}", "node {node} goes along up to feature level {level}")
        }
        E::LevelRaised { to } => {
            say!("记录的功能级别升至 {to}", "the record stands at feature level {to} from here on")
        }
        E::Rescued { epoch, by, voters, lost } => {
            let names = |nodes: &[NodeId]| nodes.iter().map(|node| name_of(*node)).collect::<Vec<_>>().join(" ");
            let (by, voters, lost) = (name_of(*by), names(voters), names(lost));
            say!(
                "失去法定票数后救援：第 {epoch} 纪元由节点 {by} 开始；有表决权：{voters}；失联：{lost}",
                "rescued after its quorum was lost: epoch {epoch} begun by node {by}; voting: {voters}; lost: {lost}"
            )
        }
        _ => return None,
    })
}

fn of_ledger(event: &E) -> Option<Bilingual> {
    Some(match event {
        E::HeadMarked { revision, root, .. } => {
            let root = root.short();
            say!(
                "版次 {revision} 的账本头待各节点会签（根 {root}）",
                "the head of revision {revision} (root {root}) is to be countersigned"
            )
        }
        E::Countersigned { node, revision, .. } => {
            let node = name_of(*node);
            say!(
                "节点 {node} 会签版次 {revision} 的账本头",
                "node {node} countersigned the head of revision {revision}"
            )
        }
        E::HeadDisputed { node, revision, root, .. } => {
            let (node, root) = (name_of(*node), root.short());
            say!(
                "节点 {node} 的账本与版次 {revision} 的账本头不符（其根为 {root}）：请检查该节点",
                "the ledger of node {node} contradicts the head of revision {revision} (its root is {root}): check that node"
            )
        }
        _ => return None,
    })
}

fn of_pledge(event: &E) -> Option<Bilingual> {
    Some(match event {
        E::Published { member, publication } => {
            let (name, Bilingual { zh, en }) = (&publication.name, figure(publication.figure));
            say!("{member} 发布 {name}：{zh}", "{member} publishes {name}: {en}")
        }
        E::Pledged { holder, pledge: made } => {
            let Bilingual { zh, en } = pledge(made);
            say!("{holder} 承诺 {zh}", "{holder} pledges {en}")
        }
        E::PledgeReleased { qty, .. } => say!("承诺退回 {qty}", "{qty} of the pledge go back to its holder"),
        E::PledgeClosing { expired: true, .. } => {
            say!("承诺到期，不再接受占用", "the pledge has expired, no more holds")
        }
        E::PledgeClosing { expired: false, .. } => {
            say!("承诺收回，不再接受占用", "the pledge is withdrawn, no more holds")
        }
        E::PledgeOverdrawn { qty, reason, .. } => {
            say!("持有方紧急动用 {qty}（{reason}）", "its holder used {qty} in danger to life ({reason})")
        }
        E::OverdraftCovered { qty, .. } => say!("补回紧急动用 {qty}", "{qty} put back by its holder"),
        E::DeficitAbsorbed { qty, .. } => {
            say!("以腾出的 {qty} 抵补先行发出的数量", "{qty} that became free make up for what had left already")
        }
        E::PledgeDeparted { qty, .. } => say!("承诺出库 {qty}", "{qty} of the pledge departed"),
        _ => return None,
    })
}

fn of_request(event: &E) -> Option<Bilingual> {
    Some(match event {
        E::RequestMade { requester, request: made } => {
            let Bilingual { zh, en } = request(made);
            say!("{requester} 请求支援 {zh}", "{requester} asks for help, {en}")
        }
        E::Answered { by, answer: given } => {
            let Bilingual { zh, en } = answer(given);
            say!("{by} 答复 {zh}", "{by} answers, {en}")
        }
        E::LineUnmet { line, .. } => {
            say!("第 {line} 行无法满足，各方均不能提供", "line {line} cannot be met, everybody who was asked declined")
        }
        E::LineEnded { line, end: LineEnd::Withdrawn, .. } => say!("第 {line} 行撤回", "line {line} withdrawn"),
        E::LineEnded { line, end: LineEnd::Expired, .. } => say!("第 {line} 行到期", "line {line} expired"),
        E::LineEnded { line, end: LineEnd::Closed, .. } => say!("第 {line} 行办结", "line {line} closed"),
        E::RequestExpired { .. } => say!("请求到期，不再接受占用", "the request has expired, no more holds"),
        E::RequestClosed { .. } => say!("请求办结", "the request is closed"),
        _ => return None,
    })
}

fn of_mission(event: &E) -> Option<Bilingual> {
    Some(match event {
        E::MissionHeld { mission } => {
            let notice = &mission.notice;
            let (holder, name, qty, unit) = (notice.holder, &notice.name, notice.qty, &notice.unit);
            say!("占用 {holder} 的 {name} {qty} {unit}", "{qty} {unit} of {name} held from {holder}")
        }
        E::MissionMoved { to, .. } => {
            let (zh, en) = mission_state(*to);
            say!("调派转为“{zh}”", "the mission is now {en}")
        }
        E::MissionOrdered { number, paper_due: None, .. } => say!("下令，编号 {number}", "ordered, number {number}"),
        E::MissionOrdered { number, paper_due: Some(due), .. } => {
            let due = moment(&due.to_string());
            say!(
                "口头下令，编号 {number}，{due} 前补办手续",
                "ordered by word of mouth, number {number}, paper due {due}"
            )
        }
        E::CommitmentSeen { .. } => say!("持有方台账已落实", "its holder's registry has set the goods aside"),
        E::PaperConfirmed { .. } => say!("手续已补办", "the paper for the spoken order has come"),
        E::MissionReduced { to, .. } => say!("调派减至 {to}", "the mission is reduced to {to}"),
        E::ReservationEnded { .. } => say!("不再占用承诺", "nothing of the pledge is reserved for it any longer"),
        E::MissionRecalled { reason, .. } => say!("召回（{reason}）", "recalled ({reason})"),
        _ => return None,
    })
}

fn of_facts(event: &E) -> Option<Bilingual> {
    Some(match event {
        E::DispatchRelayed { qty, .. } => say!("电话通报已发出 {qty}", "heard by telephone, {qty} left"),
        E::FactRecorded { by, fact: said } => {
            let Bilingual { zh, en } = fact(said);
            say!("{by} 报：{zh}", "{by} reports: {en}")
        }
        E::DispatchCorrected { more, .. } => say!("商定补记发出 {more}", "agreed, {more} more had left"),
        E::LostInTransit { qty, .. } => say!("商定途中灭失 {qty}", "agreed, {qty} never arrived"),
        E::Charged { qty, .. } => say!("商定由请求方承担 {qty}", "agreed, the requester bears {qty}"),
        E::DiscrepancyOpened { discrepancy: (_, kind), qty, by } => {
            let (zh, en) = discrepancy(*kind);
            say!("差异“{zh}” {qty}，{by} 所报", "discrepancy: {en}, {qty}, by the word of {by}")
        }
        E::DiscrepancyChanged { discrepancy: (_, kind), qty } => {
            let (zh, en) = discrepancy(*kind);
            say!("差异“{zh}”变为 {qty}", "discrepancy: {en}, now {qty}")
        }
        E::FindingProposed { discrepancy: (_, kind), finding, .. } => {
            let ((zh, en), charge, note) = (discrepancy(*kind), finding.charge_requester, &finding.note);
            say!(
                "提议差异“{zh}”由请求方承担 {charge}（{note}）",
                "proposed: of {en}, the requester bears {charge} ({note})"
            )
        }
        E::DiscrepancyClosed { discrepancy: (_, kind), finding, .. } => {
            let ((zh, en), charge, note) = (discrepancy(*kind), finding.charge_requester, &finding.note);
            say!(
                "差异“{zh}”议定，请求方承担 {charge}（{note}）",
                "agreed: of {en}, the requester bears {charge} ({note})"
            )
        }
        _ => return None,
    })
}

fn of_debt(event: &E) -> Option<Bilingual> {
    Some(match event {
        E::ObligationOpened { key: (_, kind), obligation } => {
            let ((zh, en), debtor, creditor) = (debt_kind(*kind), obligation.debtor, obligation.creditor);
            let qty = obligation.qty;
            say!("{debtor} 应补偿 {creditor}：{zh} {qty}", "{debtor} owes {creditor}: {en}, {qty}")
        }
        E::ObligationChanged { key: (_, kind), qty, amount } => {
            let (zh, en) = debt_kind(*kind);
            say!("补偿（{zh}）变为 {qty}，计 {amount} 元", "what is owed ({en}) is now {qty}, worth {amount} yuan")
        }
        E::ObligationMoved { key: (_, kind), to } => {
            let ((zh, en), (now_zh, now_en)) = (debt_kind(*kind), obligation_state(*to));
            say!("补偿（{zh}）转为“{now_zh}”", "the debt ({en}) is now {now_en}")
        }
        E::ObligationClaimed { evidence, .. } => say!("申报补偿，凭据 {evidence}", "claimed, evidence {evidence}"),
        E::ObligationRecognised { basis: ground, in_money, .. } => {
            let (zh, en) = basis(*ground);
            let (how_zh, how_en) = if *in_money { ("折款", "in money") } else { ("实物", "in kind") };
            say!("认定补偿：{zh}，{how_zh}", "recognised: {en}, {how_en}")
        }
        E::ObligationDisputed { reason, .. } => say!("提出异议（{reason}）", "disputed ({reason})"),
        E::PaymentReported { evidence, .. } => {
            say!("报已付款，凭据 {evidence}", "said to be paid, evidence {evidence}")
        }
        E::RestockReceived { total, .. } => say!("补库累计到货 {total}", "restock has come, {total} to date"),
        E::RestockVerified { accepted, rejected, .. } => say!(
            "补库累计验收合格 {accepted}、不合格 {rejected}",
            "restock inspected, to date {accepted} accepted and {rejected} rejected"
        ),
        _ => return None,
    })
}

/// A value of the contract in Chinese and English.
type Named = (&'static str, &'static str);

fn named(words: Words, value: impl Into<i32>) -> Named {
    // The tables are tested against the contract: every value has a row.
    words.row(value.into()).map_or(("-", "-"), |(_, zh, en)| (zh, en))
}

fn mission_state(state: MissionState) -> Named {
    named(words::MISSION_STATE, mission::mission_state(state))
}

fn discrepancy(kind: DiscrepancyKind) -> Named {
    named(words::DISCREPANCY_KIND, compensation::discrepancy_kind(kind))
}

fn debt_kind(kind: DebtKind) -> Named {
    named(words::DEBT_KIND, compensation::debt_kind(kind))
}

fn obligation_state(state: ObligationState) -> Named {
    named(words::OBLIGATION_STATE, compensation::obligation_state(state))
}

fn basis(basis: Basis) -> Named {
    named(words::BASIS, compensation::basis(basis))
}
