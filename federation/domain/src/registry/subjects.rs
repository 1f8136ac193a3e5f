//! What each event of a registry is about. A new kind of event does not compile until it stands here.

use super::event::RegistryEvent;
use super::state::Account;
use crate::resource::Resource;
use crate::subject::{self, Subject};

impl RegistryEvent {
    /// The objects this event is about.
    pub fn subjects(&self) -> Vec<Subject> {
        match self {
            // Settings of the whole registry and steps of a channel: no object that people follow.
            Self::WarningSet { .. }
            | Self::RegionJoined { .. }
            | Self::Restored { .. }
            | Self::Adopted { .. }
            | Self::Answered { .. } => Vec::new(),
            Self::StoreAdded { store, .. } => vec![Subject::Store(*store)],
            Self::LotOpened { lot, details } => {
                let custody = details.custody.map(Subject::Mission);
                [Subject::Lot(*lot), Subject::Store(details.details.store)].into_iter().chain(custody).collect()
            }
            Self::StockMoved { lot, from, to, .. } => {
                [Some(Subject::Lot(*lot)), of_account(*from), of_account(*to)].into_iter().flatten().collect()
            }
            Self::LotInspected { lot, .. } => vec![Subject::Lot(*lot)],
            Self::ItemMapped { code, .. } => vec![Subject::Resource(Resource::Item(*code))],
            Self::FloorsSet { resource, .. }
            | Self::VisibilitySet { resource, .. }
            | Self::FigureSent { resource, .. } => vec![Subject::Resource(resource.clone())],
            Self::NumberAllocated { number, .. } => vec![Subject::Number(number.clone())],
            Self::Sent { message, .. } => subject::of_up(message),
            Self::InboxTaken { message, .. } => subject::of_down(message),
            Self::PledgeRecorded { pledge, state } => vec![Subject::Pledge(*pledge), Subject::Lot(state.made.lot)],
            Self::MissionRecorded { mission, .. } => vec![Subject::Mission(*mission)],
            Self::RestockRecorded { lot, state } => vec![Subject::Lot(*lot), Subject::Mission(state.mission)],
            Self::ShortfallRecorded { shortfall } => shortfall.lot.map(Subject::Lot).into_iter().collect(),
        }
    }
}

/// Whose account it is, where it is somebody's.
fn of_account(account: Account) -> Option<Subject> {
    match account {
        Account::Pledged(pledge) | Account::Overdrawn(pledge) => Some(Subject::Pledge(pledge)),
        Account::Held(mission) | Account::InTransit(mission) | Account::OnLoan(mission) => {
            Some(Subject::Mission(mission))
        }
        Account::Source
        | Account::Local
        | Account::Repair
        | Account::Consumed
        | Account::Lost
        | Account::Scrapped
        | Account::Returned => None,
    }
}
