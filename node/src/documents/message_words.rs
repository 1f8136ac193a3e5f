//! The messages between a registry and a region, and the facts in them, as sentences.

use shouwang_domain::channel::{Answer, AnswerGiven, DownMessage, Fact, PledgeMade, RequestMade, Step, UpMessage};
use shouwang_domain::resource::Figure;

use crate::lang::Bilingual;

/// A sentence in both languages.
macro_rules! say {
    ($zh:literal, $en:literal) => {
        crate::lang::Bilingual::new(format!($zh), format!($en))
    };
}
pub(super) use say;

/// What would stand for an event without words.
pub(super) const UNTOLD: Bilingual = Bilingual::fixed("（未述）", "(untold)");

/// How a figure is told.
pub(super) fn figure(figure: Figure) -> Bilingual {
    match figure {
        Figure::Exact(qty) => say!("{qty}", "{qty}"),
        Figure::AtLeast(qty) => say!("不少于 {qty}", "at least {qty}"),
        Figure::AskUs => say!("面议", "ask us"),
        Figure::Withdrawn => say!("不再发布", "no longer published"),
    }
}

/// What is pledged.
pub(super) fn pledge(made: &PledgeMade) -> Bilingual {
    let PledgeMade { name, unit, qty, .. } = made;
    say!("{name} {qty} {unit}", "{qty} {unit} of {name}")
}

/// What is asked for.
pub(super) fn request(made: &RequestMade) -> Bilingual {
    let RequestMade { number, subject, place, .. } = made;
    say!("{number}：{subject}（{place}）", "{number}: {subject} ({place})")
}

/// What was answered.
pub(super) fn answer(given: &AnswerGiven) -> Bilingual {
    let AnswerGiven { line, number, answer, .. } = given;
    match answer {
        Answer::Accept { qty } => say!("{number}：第 {line} 行同意 {qty}", "{number}: line {line}, accepted, {qty}"),
        Answer::Provisional { qty, reason } => say!(
            "{number}：第 {line} 行有条件提供 {qty}（{reason}）",
            "{number}: line {line}, provisionally {qty} ({reason})"
        ),
        Answer::Decline { reason } => {
            say!("{number}：第 {line} 行不能提供（{reason}）", "{number}: line {line}, declined ({reason})")
        }
    }
}

/// What happened on the way.
pub(super) fn fact(fact: &Fact) -> Bilingual {
    match &fact.step {
        Step::Picked => say!("备货", "picking"),
        Step::Dispatched { qty, seal } => say!("出发 {qty}，封签 {seal}", "{qty} left, sealed {seal}"),
        Step::HandedOver { qty } => say!("承运方交付 {qty}", "{qty} handed over by the carrier"),
        Step::Received { good, damaged } => {
            say!("签收完好 {good}、破损 {damaged}", "received, {good} fit and {damaged} damaged")
        }
        Step::OnSite => say!("投入使用", "at work"),
        Step::Used(usage) => {
            let (consumed, damaged, lost) = (usage.consumed, usage.damaged, usage.lost);
            say!(
                "累计消耗 {consumed}、损坏 {damaged}、丢失 {lost}",
                "to date {consumed} used, {damaged} damaged, {lost} lost"
            )
        }
        Step::Demobilised => say!("解除任务", "demobilised"),
        Step::SafetyWithdrawal { reason } => say!("因安全撤离（{reason}）", "withdrawn for safety ({reason})"),
        Step::ReturnSent { total } => say!("累计送还 {total}", "{total} sent back to date"),
        Step::Returned { good, damaged } => {
            say!("归还入库完好 {good}、破损 {damaged}", "back, {good} fit and {damaged} damaged")
        }
        Step::TurnedBack { qty } => say!("折返 {qty}", "{qty} turned back"),
    }
}

/// What a registry tells a region.
pub(super) fn up(message: &UpMessage) -> Bilingual {
    match message {
        UpMessage::Publish(publication) => {
            let (name, told) = (&publication.name, figure(publication.figure));
            let (zh, en) = (told.zh, told.en);
            say!("发布 {name}：{zh}", "publishes {name}: {en}")
        }
        UpMessage::Pledge(made) => {
            let Bilingual { zh, en } = pledge(made);
            say!("承诺 {zh}", "pledges {en}")
        }
        UpMessage::WithdrawPledge { qty, reason, .. } => {
            say!("收回承诺 {qty}（{reason}）", "takes {qty} of a pledge back ({reason})")
        }
        UpMessage::Request(made) => {
            let Bilingual { zh, en } = request(made);
            say!("请求支援 {zh}", "asks for help, {en}")
        }
        UpMessage::Answer(given) => {
            let Bilingual { zh, en } = answer(given);
            say!("答复 {zh}", "answers, {en}")
        }
        UpMessage::Committed { qty, .. } => say!("落实 {qty}", "has set {qty} aside"),
        UpMessage::CancelAcknowledged { .. } => say!("确认取消，未发出", "confirms the cancellation, nothing left"),
        UpMessage::Revoke { reason, .. } => say!("撤销落实（{reason}）", "revokes its commitment ({reason})"),
        UpMessage::Fact(said) => fact(said),
        UpMessage::Overdrawn { qty, reason, .. } => {
            say!("紧急动用承诺 {qty}（{reason}）", "used {qty} of its pledge in danger to life ({reason})")
        }
        UpMessage::OverdraftCovered { qty, .. } => say!("补回紧急动用 {qty}", "puts {qty} back that it had used"),
        UpMessage::RestockReceived { total, .. } => say!("补库累计到货 {total}", "restock has come, {total} to date"),
        UpMessage::RestockVerified { accepted, rejected, .. } => say!(
            "补库累计验收合格 {accepted}、不合格 {rejected}",
            "restock inspected, to date {accepted} accepted and {rejected} rejected"
        ),
    }
}

/// What a region tells a registry.
pub(super) fn down(message: &DownMessage) -> Bilingual {
    match message {
        DownMessage::Outcome { number, refusal: None } => {
            say!("第 {number} 号消息已受理", "message {number} was accepted")
        }
        DownMessage::Outcome { number, refusal: Some(refusal) } => {
            let (zh, en) = (refusal.zh(), refusal.en());
            say!("第 {number} 号消息被拒：{zh}", "message {number} was refused: {en}")
        }
        DownMessage::Released { qty, .. } => say!("退回承诺 {qty}", "{qty} of a pledge come back"),
        DownMessage::Ordered(notice) => {
            let (number, name, qty, unit) = (&notice.number, &notice.name, notice.qty, &notice.unit);
            say!("调派 {number}：发出 {name} {qty} {unit}", "{number}: send {qty} {unit} of {name}")
        }
        DownMessage::Inbound(notice) => {
            let (number, name, qty, unit) = (&notice.number, &notice.name, notice.qty, &notice.unit);
            say!("调派 {number}：{name} {qty} {unit} 将到", "{number}: {qty} {unit} of {name} are coming")
        }
        DownMessage::CancelRequested { reason, .. } => say!("请求取消（{reason}）", "asked to cancel ({reason})"),
        DownMessage::Ended { reason, .. } => say!("不再送达（{reason}）", "not coming after all ({reason})"),
        DownMessage::Fact(said) => fact(said),
        DownMessage::LostInTransit { total, .. } => say!("商定途中灭失共 {total}", "agreed, {total} lost on the way"),
        DownMessage::DispatchCorrected { more, .. } => say!("商定补记发出 {more}", "agreed, {more} more had left"),
        DownMessage::Owed { debtor, creditor, qty, .. } => {
            say!("{debtor} 应补偿 {creditor} 共 {qty}", "{debtor} owes {creditor} {qty} in all")
        }
    }
}
