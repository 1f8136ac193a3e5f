//! What nodes have said of a ledger, while it is checked: the heads and countersignatures inside it, each against the
//! root that its records give, and the words that somebody kept outside of it.

use std::collections::BTreeMap;

use serde::Serialize;
use shouwang_domain::hash::{Bytes, Hash32};
use shouwang_domain::head::Head;
use shouwang_domain::ids::NodeId;
use shouwang_domain::record::{Cause, LedgerRecord};
use shouwang_domain::region::event::RegionEvent;
use shouwang_domain::region::heads::countersigned;

use super::ledger_check::Fault;
use crate::api::convert::words::node as name_of;

/// A node's word about a ledger that somebody kept; its signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptWord {
    /// What it says.
    pub head: Head,
    /// Whose word it is.
    pub node: NodeId,
    /// The key it was signed with.
    pub public_key: Bytes,
    /// The ledger record that holds it; none holds what a node signed for whoever asked.
    pub stands_at: Option<u64>,
}

/// Up to where a node has countersigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attested {
    /// The node.
    pub node: String,
    /// The name of its member, as far as a charter was given; else its code.
    pub member: String,
    /// The newest revision up to which it holds this very ledger.
    pub revision: u64,
}

/// A countersignature that contradicts the ledger, as the ledger itself tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contradicted {
    /// The node.
    pub node: String,
    /// Up to which revision it speaks.
    pub revision: u64,
    /// The root of its own ledger there.
    pub root: String,
    /// The ledger record that tells.
    pub stands_at: u64,
}

/// The words about a ledger that is being checked.
#[derive(Default)]
pub struct Words {
    /// Kept words about what is still to come.
    ahead: Vec<KeptWord>,
    /// Kept countersignatures whose record is still to come: then their key must be in force.
    unproven: Vec<KeptWord>,
    /// Kept countersignatures that do not fit: a sound ledger tells so itself.
    unfitting: Vec<(KeptWord, Hash32)>,
    /// The root up to each head that is marked.
    marked: BTreeMap<u64, Hash32>,
    /// The newest that each node has countersigned.
    pub attested: BTreeMap<NodeId, u64>,
    /// The countersignatures that the ledger says contradict it.
    pub contradicted: Vec<Contradicted>,
    /// The kept words that lie on the way: whose, and up to which revision.
    pub passed: Vec<String>,
}

impl Words {
    /// The check of a ledger, of which these words were kept.
    pub fn new(kept: Vec<KeptWord>) -> Self {
        let unproven = kept.iter().filter(|word| word.stands_at.is_some()).cloned().collect();
        // A head of nothing lies on every way.
        let ahead = kept.into_iter().filter(|word| word.head.revision > 0).collect();
        Self { ahead, unproven, ..Self::default() }
    }

    /// Looks at the next record: what it says of the ledger before it, which has `so_far` as its head. `in_force` knows
    /// the keys of that moment.
    ///
    /// # Errors
    /// A marked head that is not the ledger's; a countersignature that does not say what the record says it does; a key.
    pub fn take(
        &mut self,
        record: &LedgerRecord<RegionEvent>,
        so_far: Head,
        in_force: impl Fn(NodeId, &Bytes) -> bool,
    ) -> Result<(), Fault> {
        self.prove(record.revision, in_force)?;
        for event in &record.events {
            match event {
                RegionEvent::HeadMarked { epoch, revision, root } => {
                    if (*epoch, *revision, *root) != (so_far.epoch, so_far.revision, so_far.root) {
                        return Err(Fault::told(
                            record.revision,
                            format!("所立账本头（版次 {revision}，根 {root}）与由记录算出的根 {} 不符", so_far.root),
                            format!(
                                "the head it marks, {root} at revision {revision}, is not what the records give: {}",
                                so_far.root
                            ),
                        ));
                    }
                    self.marked.insert(*revision, *root);
                }
                RegionEvent::Countersigned { node, revision, stands_at } => {
                    let root = self.marked.get(revision).copied();
                    self.compare(record, (*node, *revision, *stands_at), root)?;
                    self.attested.insert(*node, *revision);
                }
                RegionEvent::HeadDisputed { node, revision, root, stands_at } => {
                    let other = self.marked.get(revision).is_some_and(|marked| marked != root);
                    self.compare(record, (*node, *revision, *stands_at), other.then_some(*root))?;
                    let said = |(word, _): &(KeptWord, Hash32)| {
                        (word.node, word.head.revision, word.head.root) == (*node, *revision, *root)
                    };
                    self.unfitting.retain(|word| !said(word));
                    let (node, revision, stands_at) = (name_of(*node), *revision, record.revision);
                    self.contradicted.push(Contradicted { node, revision, root: root.to_string(), stands_at });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the command of a record says of its node's ledger what the record says it does.
    fn compare(
        &self,
        record: &LedgerRecord<RegionEvent>,
        (node, revision, stands_at): (NodeId, u64, u64),
        root: Option<Hash32>,
    ) -> Result<(), Fault> {
        let said = match &record.cause {
            Cause::Command { bytes, proof } if proof.node == node => countersigned(bytes),
            _ => None,
        };
        if root.is_some() && said == root.map(|root| (revision, root)) && stands_at == record.revision {
            return Ok(());
        }
        let node = name_of(node);
        let (its, known) = (said.map(|(_, root)| root.to_string()), self.marked.get(&revision).map(Hash32::to_string));
        let (its, known) = (its.unwrap_or_else(|| "-".to_owned()), known.unwrap_or_else(|| "-".to_owned()));
        Err(Fault::told(
            record.revision,
            format!("节点 {node} 对版次 {revision} 的会签与账本不符：其所签之根为 {its}，账本所立为 {known}"),
            format!(
                "the countersignature of {node} at revision {revision} is not of this ledger: it names {its}, the ledger's head there is {known}"
            ),
        ))
    }

    /// Kept countersignatures that stand here, or were to stand here, were signed with a key in force.
    fn prove(&mut self, revision: u64, in_force: impl Fn(NodeId, &Bytes) -> bool) -> Result<(), Fault> {
        let due = self.unproven.extract_if(.., |word| word.stands_at.is_none_or(|at| at <= revision));
        match due.into_iter().find(|word| !in_force(word.node, &word.public_key)) {
            Some(word) => Err(key_unknown(revision, &word)),
            None => Ok(()),
        }
    }

    /// The kept words that end here must have this head, and be of a node that the charter knows.
    ///
    /// # Errors
    /// A ledger that was rewritten; a key that was not in force.
    pub fn pass(&mut self, here: Head, in_force: impl Fn(NodeId, &Bytes) -> bool) -> Result<(), Fault> {
        for word in self.ahead.extract_if(.., |word| word.head.revision == here.revision).collect::<Vec<_>>() {
            if (word.head.epoch, word.head.root) != (here.epoch, here.root) {
                if word.stands_at.is_none() {
                    return Err(rewritten(&word, here.root));
                }
                self.unfitting.push((word, here.root));
                continue;
            }
            if word.stands_at.is_none() && !in_force(word.node, &word.public_key) {
                return Err(key_unknown(here.revision, &word));
            }
            self.passed.push(format!("{} @ {}", name_of(word.node), here.revision));
        }
        Ok(())
    }

    /// Ends the check behind the record `last`.
    ///
    /// # Errors
    /// A ledger that ends before a kept word, or is another than one speaks of.
    pub fn finish(&mut self, last: u64, in_force: impl Fn(NodeId, &Bytes) -> bool) -> Result<(), Fault> {
        if let Some((word, root)) = self.unfitting.first() {
            return Err(rewritten(word, *root));
        }
        if let Some(word) = self.ahead.iter().max_by_key(|word| word.head.revision) {
            let (node, revision, root) = (name_of(word.node), word.head.revision, word.head.root);
            return Err(Fault::told(
                last,
                format!("账本止于此，而节点 {node} 证明过版次 {revision}（根 {root}）：后面的记录被截去"),
                format!(
                    "the ledger ends here, and {node} attested revision {revision} (root {root}): what follows was cut off"
                ),
            ));
        }
        self.prove(u64::MAX, in_force)
    }
}

fn rewritten(word: &KeptWord, found: Hash32) -> Fault {
    let (node, revision, root) = (name_of(word.node), word.head.revision, word.head.root);
    Fault::told(
        revision,
        format!("节点 {node} 证明的账本根为 {root}，由记录算出的是 {found}：账本被改写"),
        format!("{node} attested the root {root}, the records give {found}: the ledger was rewritten"),
    )
}

fn key_unknown(revision: u64, word: &KeptWord) -> Fault {
    let node = name_of(word.node);
    Fault::told(
        revision,
        format!("节点 {node} 所留证词的签名密钥当时不在协议中"),
        format!("the key under a kept word of {node} was not in the charter at that time"),
    )
}

#[cfg(test)]
#[path = "ledger_words_tests.rs"]
mod tests;
