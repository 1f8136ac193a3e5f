//! What each event of a region is about. A new kind of event does not compile until it stands here.

use super::event::RegionEvent;
use crate::subject::{self, Subject};

impl RegionEvent {
    /// The objects this event is about.
    pub fn subjects(&self) -> Vec<Subject> {
        match self {
            // Steps of a channel, keys and levels of a node, words about the ledger: no object that people follow.
            Self::UpTaken { .. }
            | Self::LifeBegun { .. }
            | Self::DownTaken { .. }
            | Self::KeyRetired { .. }
            | Self::VoterSet { .. }
            | Self::LevelAnnounced { .. }
            | Self::LevelRaised { .. }
            | Self::Rescued { .. }
            | Self::HeadMarked { .. }
            | Self::Countersigned { .. }
            | Self::HeadDisputed { .. } => Vec::new(),
            Self::Sent { message, .. } => subject::of_down(message),
            Self::ChangeProposed { change, .. }
            | Self::ChangeSigned { change, .. }
            | Self::CharterChanged { change, .. } => vec![Subject::Change(*change)],
            Self::Published { member, publication } => vec![Subject::Figure(*member, publication.resource.clone())],
            Self::Pledged { pledge, .. } => {
                let request = pledge.for_line.map(|(request, _)| Subject::Request(request));
                [Subject::Pledge(pledge.pledge)].into_iter().chain(request).collect()
            }
            Self::PledgeReleased { pledge, .. }
            | Self::PledgeClosing { pledge, .. }
            | Self::PledgeOverdrawn { pledge, .. }
            | Self::OverdraftCovered { pledge, .. }
            | Self::DeficitAbsorbed { pledge, .. }
            | Self::PledgeDeparted { pledge, .. } => vec![Subject::Pledge(*pledge)],
            Self::RequestMade { request, .. } => {
                vec![Subject::Request(request.request), Subject::Number(request.number.clone())]
            }
            Self::Answered { answer, .. } => {
                vec![Subject::Request(answer.request), Subject::Number(answer.number.clone())]
            }
            Self::LineUnmet { request, .. }
            | Self::LineEnded { request, .. }
            | Self::RequestExpired { request }
            | Self::RequestClosed { request } => vec![Subject::Request(*request)],
            Self::MissionHeld { mission } => {
                let notice = &mission.notice;
                vec![Subject::Mission(notice.mission), Subject::Request(notice.request), Subject::Pledge(notice.pledge)]
            }
            Self::MissionOrdered { mission, number, .. } => {
                vec![Subject::Mission(*mission), Subject::Number(number.clone())]
            }
            Self::MissionMoved { mission, .. }
            | Self::CommitmentSeen { mission }
            | Self::PaperConfirmed { mission, .. }
            | Self::MissionReduced { mission, .. }
            | Self::ReservationEnded { mission }
            | Self::MissionRecalled { mission, .. }
            | Self::DispatchRelayed { mission, .. }
            | Self::DispatchCorrected { mission, .. }
            | Self::LostInTransit { mission, .. }
            | Self::Charged { mission, .. }
            | Self::DiscrepancyOpened { discrepancy: (mission, _), .. }
            | Self::DiscrepancyChanged { discrepancy: (mission, _), .. }
            | Self::FindingProposed { discrepancy: (mission, _), .. }
            | Self::DiscrepancyClosed { discrepancy: (mission, _), .. }
            | Self::ObligationOpened { key: (mission, _), .. }
            | Self::ObligationChanged { key: (mission, _), .. }
            | Self::ObligationMoved { key: (mission, _), .. }
            | Self::ObligationClaimed { key: (mission, _), .. }
            | Self::ObligationRecognised { key: (mission, _), .. }
            | Self::ObligationDisputed { key: (mission, _), .. }
            | Self::PaymentReported { key: (mission, _), .. }
            | Self::RestockReceived { key: (mission, _), .. }
            | Self::RestockVerified { key: (mission, _), .. } => vec![Subject::Mission(*mission)],
            Self::FactRecorded { fact, .. } => vec![Subject::Mission(fact.mission)],
        }
    }
}
