//! Nodes countersign the heads that a region marks: as the node's `countersign.rs` does it, with the roots that this node
//! has seen pass.

use shouwang_domain::code;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::region::heads::OwnWord;

use crate::host::Host;
use crate::scene::Scene;
use crate::station::Keys;

impl Host<Region> {
    /// Says what there is to say, again if need be: it leaves no trace a second time. A node that has not seen what came
    /// before a head says nothing of it.
    pub fn countersign(&mut self, keys: &Keys, scene: &mut Scene<'_>) {
        let Some(record) = &self.record else { return };
        let Some(word) = record.own_word(keys.node, self.leads(), scene.clock) else { return };
        let body = match word {
            OwnWord::Mark => RegionCommand::MarkHead {},
            OwnWord::Countersign { revision } => {
                let seen = self.roots.get(&revision).copied();
                let root = shouwang_domain::planted!(CountersignedUnseen, Some(record.ledger_root()), seen);
                let Some(root) = root else { return };
                RegionCommand::Countersign { revision, root }
            }
        };
        let command = code::encode(&record.own_command(keys.node, scene.clock, body));
        self.forward(vec![command], keys.node, &keys.list, scene);
    }
}
