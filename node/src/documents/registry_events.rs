//! What happened in a registry, event by event, as sentences for people.

use shouwang_domain::registry::event::RegistryEvent as E;
use shouwang_domain::registry::state::{Account, RegistryMission};
use shouwang_domain::resource::{Condition, Visibility, Warning};

use super::message_words::{UNTOLD, down, figure, say, up};
use crate::api::convert::words::node as name_of;
use crate::lang::Bilingual;

/// An event as a sentence in both languages.
pub fn sentence(event: &E) -> Bilingual {
    let said = match event {
        E::StoreAdded { .. }
        | E::LotOpened { .. }
        | E::StockMoved { .. }
        | E::LotInspected { .. }
        | E::ItemMapped { .. }
        | E::FloorsSet { .. }
        | E::WarningSet { .. }
        | E::VisibilitySet { .. }
        | E::FigureSent { .. } => of_stock(event),
        E::RegionJoined { .. }
        | E::Restored { .. }
        | E::Adopted { .. }
        | E::NumberAllocated { .. }
        | E::Sent { .. }
        | E::Answered { .. }
        | E::InboxTaken { .. }
        | E::PledgeRecorded { .. }
        | E::MissionRecorded { .. }
        | E::RestockRecorded { .. }
        | E::ShortfallRecorded { .. } => of_exchange(event),
    };
    // Each kind is told where it was sent above; the test of the stories sees to it.
    said.unwrap_or(UNTOLD)
}

fn of_stock(event: &E) -> Option<Bilingual> {
    Some(match event {
        E::StoreAdded { details, .. } => {
            let (name, district) = (&details.name, &details.district);
            say!("新设仓库 {name}（{district}）", "store {name} opened ({district})")
        }
        E::LotOpened { details, .. } => {
            let (name, unit) = (&details.details.name, &details.details.unit);
            say!("登记 {name}，以{unit}计", "{name} entered the books, counted in {unit}")
        }
        E::StockMoved { from, to, qty, document, .. } => {
            let (from, to) = (account(*from), account(*to));
            let (from_zh, to_zh, from_en, to_en) = (from.zh, to.zh, from.en, to.en);
            let paper =
                if document.is_empty() { Bilingual::fixed("", "") } else { say!("，{document}", ", {document}") };
            let (paper_zh, paper_en) = (paper.zh, paper.en);
            say!("{from_zh} → {to_zh}：{qty}{paper_zh}", "{from_en} → {to_en}: {qty}{paper_en}")
        }
        E::LotInspected { condition, .. } => {
            let Bilingual { zh, en } = self::condition(*condition);
            say!("检验为“{zh}”", "found to be {en}")
        }
        E::ItemMapped { local, code } => say!("“{local}”对应编码 {code}", "\"{local}\" stands for {code}"),
        E::FloorsSet { floors, .. } => {
            let [none, blue, yellow, orange, red] = floors.0;
            say!(
                "保底：平时 {none}、蓝 {blue}、黄 {yellow}、橙 {orange}、红 {red}",
                "floors: {none} without warning, blue {blue}, yellow {yellow}, orange {orange}, red {red}"
            )
        }
        E::WarningSet { warning } => {
            let Bilingual { zh, en } = self::warning(*warning);
            say!("预警改为“{zh}”", "the warning is now {en}")
        }
        E::VisibilitySet { visibility, .. } => {
            let Bilingual { zh, en } = self::visibility(*visibility);
            say!("发布方式改为“{zh}”", "to be published: {en}")
        }
        E::FigureSent { figure: told, .. } => {
            let Bilingual { zh, en } = figure(*told);
            say!("向区域发布：{zh}", "told to the region: {en}")
        }
        _ => return None,
    })
}

fn of_exchange(event: &E) -> Option<Bilingual> {
    Some(match event {
        E::RegionJoined { name, .. } => say!("加入区域 {name}", "joined the region {name}"),
        E::Restored { keeper, .. } => {
            let node = name_of(keeper.node);
            say!(
                "台账换代（由备份恢复，或确认损失后继续），由节点 {node} 保存，待与各区域对账",
                "another life, restored from a backup or gone on with after a loss, kept by node {node}; each region's record is \
                 to be adopted"
            )
        }
        E::Adopted { region, incarnation, .. } => {
            let region = region.short();
            say!(
                "已与区域 {region} 对账，化身 {incarnation}",
                "the record of region {region} is adopted, as incarnation {incarnation}"
            )
        }
        E::NumberAllocated { number, .. } => say!("编号 {number}", "number {number} given out"),
        E::Sent { number, message, .. } => {
            let Bilingual { zh, en } = up(message);
            say!("报区域（第 {number} 号）：{zh}", "to the region, message {number}: {en}")
        }
        E::Answered { number, .. } => say!("区域已答复第 {number} 号消息", "the region answered message {number}"),
        E::InboxTaken { number, message, .. } => {
            let Bilingual { zh, en } = down(message);
            say!("收区域通知（第 {number} 号）：{zh}", "from the region, message {number}: {en}")
        }
        E::PledgeRecorded { state, .. } => {
            let (qty, unit) = (state.made.qty, &state.made.unit);
            let (zh, en) =
                if state.closed { ("已全部退回", "all of it is back") } else { ("有效", "it stands") };
            say!("承诺 {qty} {unit}，{zh}", "a pledge of {qty} {unit}, {en}")
        }
        E::MissionRecorded { state, .. } => mission(state),
        E::RestockRecorded { state, .. } => {
            let (qty, accepted, rejected) = (state.qty, state.accepted, state.rejected);
            say!(
                "补库 {qty}：合格 {accepted}、不合格 {rejected}",
                "restock of {qty}: {accepted} accepted, {rejected} rejected"
            )
        }
        E::ShortfallRecorded { shortfall } => {
            let (wanted, moved, what) = (shortfall.wanted, shortfall.moved, &shortfall.what);
            say!("不足：需 {wanted}，可动 {moved}（{what}）", "shortfall: {wanted} wanted, {moved} moved ({what})")
        }
        _ => return None,
    })
}

/// What is not nought in a mission's books.
fn mission(state: &RegistryMission) -> Bilingual {
    let number = &state.notice.number;
    let figures = [
        (state.committed, "落实", "committed"),
        (state.dispatched, "发出", "dispatched"),
        (state.received_good, "签收", "received"),
        (state.received_damaged, "到货破损", "received damaged"),
        (state.usage.total(), "未还", "not coming back"),
        (state.return_sent, "送还", "sent back"),
        (state.returned_good, "归还", "returned"),
        (state.returned_damaged, "归还破损", "returned damaged"),
        (state.turned_back, "折返", "turned back"),
        (state.lost_in_transit, "途中灭失", "lost on the way"),
        (state.owed, "应补偿", "owed"),
        (state.restock_accepted, "补库合格", "restocked"),
    ];
    let (mut zh, mut en) = (String::new(), String::new());
    for (qty, word_zh, word_en) in figures.iter().filter(|(qty, ..)| !qty.is_zero()) {
        zh = format!("{zh} {word_zh} {qty}");
        en = format!("{en} {word_en} {qty}");
    }
    if zh.is_empty() {
        return say!("调派 {number} 入账", "mission {number} is in the books");
    }
    let zh = zh.trim_start();
    say!("调派 {number}：{zh}", "mission {number}:{en}")
}

fn account(account: Account) -> Bilingual {
    match account {
        Account::Source => Bilingual::fixed("入账", "source"),
        Account::Local => Bilingual::fixed("在库", "local"),
        Account::Repair => Bilingual::fixed("待修", "repair"),
        Account::Pledged(_) => Bilingual::fixed("承诺", "pledged"),
        Account::Held(_) => Bilingual::fixed("待发", "held"),
        Account::InTransit(_) => Bilingual::fixed("在途", "in transit"),
        Account::OnLoan(_) => Bilingual::fixed("借出", "on loan"),
        Account::Overdrawn(_) => Bilingual::fixed("紧急动用", "overdrawn"),
        Account::Consumed => Bilingual::fixed("消耗", "consumed"),
        Account::Lost => Bilingual::fixed("丢失", "lost"),
        Account::Scrapped => Bilingual::fixed("报废", "scrapped"),
        Account::Returned => Bilingual::fixed("已归还", "returned"),
    }
}

fn condition(condition: Condition) -> Bilingual {
    match condition {
        Condition::Usable => Bilingual::fixed("可用", "usable"),
        Condition::AwaitingInspection => Bilingual::fixed("待检", "awaiting inspection"),
        Condition::UnderRepair => Bilingual::fixed("待修", "under repair"),
        Condition::Condemned => Bilingual::fixed("报废", "condemned"),
    }
}

fn warning(warning: Warning) -> Bilingual {
    match warning {
        Warning::None => Bilingual::fixed("无", "none"),
        Warning::Blue => Bilingual::fixed("蓝", "blue"),
        Warning::Yellow => Bilingual::fixed("黄", "yellow"),
        Warning::Orange => Bilingual::fixed("橙", "orange"),
        Warning::Red => Bilingual::fixed("红", "red"),
    }
}

fn visibility(visibility: Visibility) -> Bilingual {
    match visibility {
        Visibility::Exact => Bilingual::fixed("精确", "exact"),
        Visibility::Banded => Bilingual::fixed("区间", "banded"),
        Visibility::AskUs => Bilingual::fixed("面议", "ask us"),
        Visibility::Hidden => Bilingual::fixed("不发布", "hidden"),
    }
}
