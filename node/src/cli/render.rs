//! Answers of a node on stdout: any message as the canonical JSON of proto3 (or the same as YAML), or a table in the
//! reader's language; and what a person must know besides, on stderr.

use std::sync::LazyLock;

use jiff::Timestamp;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde::{Serialize, Serializer};
use shouwang_proto::v1::{AsOf, NodeContact, Outcome, Verdict};

use super::client::{Client, code_of, failure};
use super::messages::{Changed, Named, Paged};
use super::output::{Format, write};
use super::text::{clean, span};
use super::words::{self, time};
use crate::exit::{Exit, Failure};
use crate::lang::{Bilingual, Lang};

/// The heads of a table's columns: in Chinese, in English.
pub type Heads = [(&'static str, &'static str)];

/// The contract's descriptors. That they decode is tested; a program built with others could not run at all.
static POOL: LazyLock<Result<DescriptorPool, String>> =
    LazyLock::new(|| DescriptorPool::decode(shouwang_proto::FILE_DESCRIPTOR_SET).map_err(|error| error.to_string()));

/// A message as the canonical JSON of proto3: field names in camel case, 64-bit numbers as strings, enums by name,
/// bytes in base64. Fields without presence are written even when they are zero, so that a script finds them.
#[derive(Debug)]
pub struct Canonical(DynamicMessage);

impl Canonical {
    /// A message of the contract.
    ///
    /// # Errors
    /// A message that the descriptors do not know as it is.
    pub fn of<M: Named>(message: &M) -> Result<Self, Failure> {
        let unknown = |why: String| failure(Exit::Failure, "OUTPUT", &why, &why);
        let pool = POOL.as_ref().map_err(|why| unknown(why.clone()))?;
        let descriptor = pool.get_message_by_name(M::NAME).ok_or_else(|| unknown(format!("no message {}", M::NAME)))?;
        let bytes = message.encode_to_vec();
        DynamicMessage::decode(descriptor, bytes.as_slice()).map(Self).map_err(|error| unknown(error.to_string()))
    }
}

impl Serialize for Canonical {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_with_options(serializer, &SerializeOptions::new().skip_default_fields(false))
    }
}

/// The heads in one language.
pub fn heads(heads: &Heads, lang: Lang) -> Vec<&'static str> {
    heads.iter().map(|(zh, en)| lang.pick(*zh, *en)).collect()
}

/// What came of a mutation, as one row.
const OUTCOME: &Heads =
    &[("结果", "VERDICT"), ("业务编号", "NUMBER"), ("版本", "REVISION"), ("时间", "AT"), ("对象", "MADE")];

impl Client {
    /// A message for the person at the terminal; stdout is for data.
    pub fn say(&self, zh: impl Into<String>, en: impl Into<String>) {
        eprintln!("{}", Bilingual::new(zh.into(), en.into()).get(self.lang));
    }

    /// Whether a node is in touch, and who has heard it when.
    pub fn contact(&self, contact: &NodeContact) -> String {
        let touch = words::TOUCH.get(contact.touch, self.lang);
        let Some(heard) = contact.last_heard else { return touch };
        let ago = span(Timestamp::now().as_second().saturating_sub(heard.seconds).max(0), self.lang);
        let by = &contact.heard_by;
        self.lang.pick(format!("{touch}（{ago}前，{by} 听到）"), format!("{touch} ({ago} ago, heard by {by})"))
    }

    /// Writes a message, or its rows as a table.
    ///
    /// # Errors
    /// As [`write`].
    pub fn show<M: Named>(&self, message: &M, head: &Heads, rows: &[Vec<String>]) -> Result<(), Failure> {
        if self.output != Format::Table {
            return write(self.output, &Canonical::of(message)?, &[], &[]);
        }
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
        write(self.output, &(), &heads(head, self.lang), &rows)
    }

    /// Writes a list and says how old it is.
    ///
    /// # Errors
    /// As [`write`].
    pub fn list<P: Paged>(&self, page: &P, head: &Heads, rows: &[Vec<String>]) -> Result<(), Failure> {
        self.show(page, head, rows)?;
        self.age(page.as_of());
        Ok(())
    }

    /// Says how true the picture is: always beside a table, and always when it may be old.
    pub fn age(&self, as_of: Option<&AsOf>) {
        let Some(as_of) = as_of else { return };
        let at = time(as_of.at);
        if !as_of.in_touch {
            let seconds = as_of.stale_ms.div_ceil(1000);
            self.say(
                format!("与区域断开已 {seconds} 秒，以下为版本 {}（{at}）时的情况", as_of.revision),
                format!("out of touch for {seconds} s: this is how it stood at revision {} ({at})", as_of.revision),
            );
        } else if self.output == Format::Table {
            self.say(
                format!("截至版本 {}（{at}）", as_of.revision),
                format!("as of revision {} ({at})", as_of.revision),
            );
        }
    }

    /// Writes what came of a mutation.
    ///
    /// # Errors
    /// A verdict other than "accepted", as the record's refusal; as [`write`].
    pub fn accepted<R: Changed>(&self, answer: &R) -> Result<(), Failure> {
        let unknown = Outcome::default();
        let outcome = answer.outcome().unwrap_or(&unknown);
        self.show(answer, OUTCOME, &[self.outcome_row(outcome, &answer.made())])?;
        self.left_open(outcome);
        self.settled(outcome)
    }

    /// Says that the region's word is still to come, or that this node cannot tell it.
    fn left_open(&self, outcome: &Outcome) {
        if outcome.awaits_region {
            self.say(
                "台账已受理并留存待发；尚未得到区域答复，接通后自动送达，可再查询结果",
                "the registry has taken it and will send it on by itself; the region has not answered yet, ask for the \
                 outcome later",
            );
        }
        if outcome.record_gone {
            self.say(
                "已受理，但本节点已不保存该条记录，业务编号和区域答复无从得知；请到其他节点查询结果，或查看对象本身",
                "accepted, but this node does not hold the ledger record any more and can tell neither the working number \
                 nor the region's word; ask another node for the outcome, or look at the object itself",
            );
        }
    }

    /// An outcome as a row of the usual columns.
    fn outcome_row(&self, outcome: &Outcome, made: &[String]) -> Vec<String> {
        vec![
            words::VERDICT.get(outcome.verdict, self.lang),
            outcome.number.clone(),
            outcome.revision.to_string(),
            time(outcome.at),
            made.join(" "),
        ]
    }

    /// Writes an outcome that was asked for.
    ///
    /// # Errors
    /// As [`write`].
    pub fn outcome<M: Named>(&self, answer: &M, outcome: Option<&Outcome>) -> Result<(), Failure> {
        let unknown = Outcome::default();
        let outcome = outcome.unwrap_or(&unknown);
        let mut row = self.outcome_row(outcome, &[]);
        if let Some(refusal) = &outcome.refusal {
            self.lang.pick(&refusal.zh, &refusal.en).clone_into(&mut row[4]);
        }
        self.show(answer, OUTCOME, &[row])?;
        self.left_open(outcome);
        self.settled(outcome)
    }

    /// The failure in an outcome.
    ///
    /// # Errors
    /// Every verdict but "accepted".
    pub fn settled(&self, outcome: &Outcome) -> Result<(), Failure> {
        let refused = |zh: &str, en: &str| Err(failure(Exit::Refused, "REFUSED", zh, en));
        match (outcome.verdict(), &outcome.refusal) {
            (Verdict::Accepted, _) => Ok(()),
            (_, Some(refusal)) => {
                Err(failure(Exit::Refused, code_of(refusal.reason.clone()), &refusal.zh, &refusal.en))
            }
            (Verdict::Expired, None) => refused(
                "命令已过有效期，未执行；请以新的请求编号重发",
                "the command came after its time and was not carried out; send it again under a new request id",
            ),
            (Verdict::IdReused, None) => {
                refused("该请求编号已用于另一条命令", "the request id was used for another command")
            }
            (_, None) => refused("节点没有说明结果", "the node did not say what came of it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shouwang_proto::v1::{GetLotResponse, ListLotsResponse, Lot};

    fn lot(name: &str) -> Lot {
        Lot { name: name.to_owned(), usable: true, ..Lot::default() }
    }

    #[test]
    fn messages_are_written_as_canonical_json() {
        let as_of = AsOf {
            revision: 12,
            at: Some(prost_types::Timestamp { seconds: 1_772_380_800, nanos: 0 }),
            in_touch: true,
            ..AsOf::default()
        };
        let answer = GetLotResponse { as_of: Some(as_of), lot: Some(lot("lots/a")) };
        let json = serde_json::to_value(Canonical::of(&answer).unwrap()).unwrap();
        assert_eq!(json["asOf"]["revision"], "12");
        assert_eq!(json["asOf"]["staleMs"], "0", "zero is written");
        assert_eq!(json["asOf"]["at"], "2026-03-01T16:00:00Z");
        assert_eq!(json["lot"]["custodyOf"], "");
        assert_eq!(json["lot"]["details"], serde_json::Value::Null, "what is not there is not written");
        let text = serde_json::to_string(&Canonical::of(&answer).unwrap()).unwrap();
        assert!(text.starts_with(r#"{"asOf":{"revision""#), "fields keep the order of the contract: {text}");
    }

    #[test]
    fn pages_are_put_together() {
        let mut whole = ListLotsResponse {
            lots: vec![lot("lots/a")],
            next_page_token: "t".to_owned(),
            ..ListLotsResponse::default()
        };
        assert_eq!(whole.take_token(), "t");
        let as_of = Some(AsOf { revision: 9, ..AsOf::default() });
        whole.join(ListLotsResponse { as_of, lots: vec![lot("lots/b")], next_page_token: String::new() });
        assert_eq!((whole.lots.len(), whole.as_of().unwrap().revision), (2, 9));
    }
}
