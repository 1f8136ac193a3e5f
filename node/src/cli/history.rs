//! `shouwang ledger history`: where a figure comes from, record by record.

use shouwang_proto::v1::ledger_service_client::LedgerServiceClient;
use shouwang_proto::v1::{AsOf, LedgerRecord, ListRegionHistoryRequest, ListRegistryHistoryRequest};

use super::client::{Client, PAGE};
use super::messages::Paged;
use super::render::Heads;
use super::words::time;
use crate::auth::Role;
use crate::exit::Failure;
use crate::lang::Lang;

const HEADS: &Heads = &[("版本", "REVISION"), ("时间", "TIME"), ("谁", "WHO"), ("发生", "WHAT")];

/// Writes the history of an object of the region, or of the own registry.
///
/// # Errors
/// Nothing was ever written about it; as [`Client::done`].
pub async fn show(client: &Client, object: &str, registry: bool) -> Result<(), Failure> {
    let mut api = LedgerServiceClient::new(client.channel.clone());
    let linearizable = client.linearizable;
    if registry {
        let query = ListRegistryHistoryRequest {
            object: object.to_owned(),
            page_size: PAGE,
            linearizable,
            ..ListRegistryHistoryRequest::default()
        };
        let answer = client.all(async |page_token| {
            let query = ListRegistryHistoryRequest { page_token, ..query.clone() };
            api.list_registry_history(client.request(query)).await
        });
        let answer = answer.await?;
        return tell(client, &answer, &answer.records, (answer.complete_from, answer.complete_through));
    }
    let query = ListRegionHistoryRequest {
        region: client.region.clone(),
        object: object.to_owned(),
        page_size: PAGE,
        linearizable,
        ..ListRegionHistoryRequest::default()
    };
    let answer = client.all(async |page_token| {
        let query = ListRegionHistoryRequest { page_token, ..query.clone() };
        api.list_region_history(client.request(query)).await
    });
    let answer = answer.await?;
    tell(client, &answer, &answer.records, (answer.complete_from, answer.complete_through))
}

fn tell<P: Paged>(client: &Client, answer: &P, records: &[LedgerRecord], complete: (u64, u64)) -> Result<(), Failure> {
    let rows: Vec<_> = records.iter().map(|record| row(record, client.lang)).collect();
    client.list(answer, HEADS, &rows)?;
    if let Some((zh, en)) = gaps(answer.as_of(), complete) {
        client.say(zh, en);
    }
    Ok(())
}

fn row(record: &LedgerRecord, lang: Lang) -> Vec<String> {
    vec![record.revision.to_string(), time(record.at), who(record, lang), what(record, lang)]
}

/// Who asked: his pseudonym, post and municipality; nobody when a deadline passed.
pub fn who(record: &LedgerRecord, lang: Lang) -> String {
    let Some(by) = &record.actor else { return lang.pick("时限", "deadline").to_owned() };
    let role = match by.role.parse::<Role>() {
        Ok(role) => role.name().get(lang).to_owned(),
        Err(_) => lang.pick("节点", "node").to_owned(),
    };
    format!("{} {role} {}", by.municipality, by.operator)
}

/// What happened, or why it did not.
pub fn what(record: &LedgerRecord, lang: Lang) -> String {
    if let Some(refusal) = &record.refusal {
        return format!("✗ {} ({})", lang.pick(&refusal.zh, &refusal.en), refusal.reason);
    }
    let events = record.events.iter().map(|event| lang.pick(event.zh.as_str(), &event.en));
    events.collect::<Vec<_>>().join(lang.pick("；", "; "))
}

/// What of the history may be missing, if anything.
fn gaps(as_of: Option<&AsOf>, (from, through): (u64, u64)) -> Option<(String, String)> {
    let newest = as_of.map_or(0, |as_of| as_of.revision);
    if through < newest {
        return Some((
            format!("本节点的索引只到版本 {through}（最新为 {newest}），此后的变化可能未列出；稍后再查即全"),
            format!(
                "the index of this node reaches revision {through} of {newest}: what came later may be missing; ask again \
                 later"
            ),
        ));
    }
    (from > 1).then(|| {
        (
            format!("本节点的账本自版本 {from} 起，此前的变化未列出"),
            format!("the ledger of this node begins at revision {from}: what came before is missing"),
        )
    })
}

#[cfg(test)]
mod tests {
    use shouwang_proto::v1::{Actor, Event, Refusal};

    use super::*;

    fn event(zh: &str, en: &str) -> Event {
        Event { zh: zh.to_owned(), en: en.to_owned(), ..Event::default() }
    }

    #[test]
    fn a_record_says_who_and_what_in_both_languages() {
        let actor = |role: &str| {
            Some(Actor { municipality: "150300".to_owned(), operator: "op-1".to_owned(), role: role.to_owned() })
        };
        let happened = LedgerRecord {
            actor: actor("leader"),
            events: vec![event("下令", "ordered"), event("通知", "told")],
            ..LedgerRecord::default()
        };
        assert_eq!(
            (who(&happened, Lang::Zh), who(&happened, Lang::En)),
            ("150300 签发 op-1".to_owned(), "150300 signing leader op-1".to_owned())
        );
        assert_eq!(
            (what(&happened, Lang::Zh), what(&happened, Lang::En)),
            ("下令；通知".to_owned(), "ordered; told".to_owned())
        );
        let carried = LedgerRecord { actor: actor("node"), ..LedgerRecord::default() };
        assert_eq!(who(&carried, Lang::Zh), "150300 节点 op-1");
        assert_eq!(who(&LedgerRecord::default(), Lang::Zh), "时限");
        let refusal =
            Refusal { reason: "NO".to_owned(), zh: "不行".to_owned(), en: "no".to_owned(), ..Refusal::default() };
        let refused = LedgerRecord { refusal: Some(refusal), ..happened };
        assert_eq!(
            (what(&refused, Lang::Zh), what(&refused, Lang::En)),
            ("✗ 不行 (NO)".to_owned(), "✗ no (NO)".to_owned())
        );
    }

    #[test]
    fn what_may_be_missing_is_said() {
        let as_of = AsOf { revision: 9, ..AsOf::default() };
        for (complete, said) in [
            ((1, 9), None),
            ((1, 12), None),
            ((1, 4), Some("reaches revision 4 of 9")),
            ((0, 0), Some("reaches revision 0 of 9")),
            ((5, 9), Some("begins at revision 5")),
        ] {
            let found = gaps(Some(&as_of), complete).map(|(_, en)| en);
            assert_eq!(found.is_some(), said.is_some(), "{complete:?}");
            assert!(found.unwrap_or_default().contains(said.unwrap_or_default()), "{complete:?}");
        }
    }
}
