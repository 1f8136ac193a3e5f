//! What the terminal needs to know of the contract's messages: their full names, what came of a mutation, and where the
//! pages of a list are.

use shouwang_proto::admin::v1 as admin;
use shouwang_proto::v1;
use v1::{AsOf, Outcome};

/// A message and its full name in the contract.
pub trait Named: prost::Message + Default {
    /// The name in the descriptors, e.g. `shouwang.v1.Lot`.
    const NAME: &'static str;
}

/// The answer to a mutation.
pub trait Changed: Named {
    /// What came of it.
    fn outcome(&self) -> Option<&Outcome>;
    /// Names of the objects it made, the node's word for them.
    fn made(&self) -> Vec<String>;
}

/// A page of a list.
pub trait Paged: Named {
    /// Takes the token of the next page out; empty when there is none.
    fn take_token(&mut self) -> String;
    /// Puts the next page behind this one.
    fn join(&mut self, next: Self);
    /// How true the picture is, where the list says so.
    fn as_of(&self) -> Option<&AsOf>;
}

macro_rules! named {
    ($package:ident $full:literal: $($name:ident),* $(,)?) => {$(
        impl Named for $package::$name {
            const NAME: &'static str = concat!($full, ".", stringify!($name));
        }
    )*};
}

macro_rules! changed {
    ($package:ident $full:literal: $($name:ident $($made:ident)?),* $(,)?) => {$(
        named!($package $full: $name);

        impl Changed for $package::$name {
            fn outcome(&self) -> Option<&Outcome> {
                self.outcome.as_ref()
            }

            fn made(&self) -> Vec<String> {
                vec![$(self.$made.clone())?]
            }
        }
    )*};
}

macro_rules! paged {
    ($package:ident $full:literal: $($name:ident $rows:ident $($as_of:ident)?),* $(,)?) => {$(
        named!($package $full: $name);

        impl Paged for $package::$name {
            fn take_token(&mut self) -> String {
                std::mem::take(&mut self.next_page_token)
            }

            fn join(&mut self, next: Self) {
                self.$rows.extend(next.$rows);
                $(self.$as_of = next.$as_of;)?
            }

            fn as_of(&self) -> Option<&AsOf> {
                None$(.or(self.$as_of.as_ref()))?
            }
        }
    )*};
}

named! { v1 "shouwang.v1":
    Amounts, GetFloorViewResponse, GetInclusionProofResponse, GetLotResponse, GetMissionResponse, GetRegionOutcomeResponse,
    GetRegionResponse, GetRegistryOutcomeResponse, GetRegistryResponse, GetRequestResponse, GetSituationResponse,
    GetStatementResponse, LedgerRecord, OpenLotsResponse, PreviewAnswerResponse,
}

named! { admin "shouwang.admin.v1": GetNodeStatusResponse, ResubmitResponse, TakeCheckpointResponse, TransferLeadershipResponse }

paged! { v1 "shouwang.v1":
    ListStoresResponse stores as_of,
    ListLotsResponse lots as_of,
    ListFloorsResponse floors as_of,
    ListVisibilitiesResponse releases as_of,
    ListRegistryPledgesResponse pledges as_of,
    ListRegistryMissionsResponse missions as_of,
    ListShortfallsResponse shortfalls as_of,
    ListRestocksResponse restocks as_of,
    ListRequestsResponse requests as_of,
    ListMissionsResponse missions as_of,
    ListObligationsResponse obligations as_of,
    ListDiscrepanciesResponse discrepancies as_of,
    ListRegionsResponse regions,
    ListPublishedResponse published as_of,
    ListPledgesResponse pledges as_of,
    ListChangesResponse changes as_of,
}

paged! { admin "shouwang.admin.v1": ListCouriersResponse couriers }

named! { v1 "shouwang.v1": ListRegionHistoryResponse, ListRegistryHistoryResponse }

macro_rules! histories {
    ($($name:ident),* $(,)?) => {$(
        impl Paged for v1::$name {
            fn take_token(&mut self) -> String {
                std::mem::take(&mut self.next_page_token)
            }

            fn join(&mut self, next: Self) {
                self.records.extend(next.records);
                self.as_of = next.as_of;
                // The whole is as complete as its least complete page.
                self.complete_from = self.complete_from.max(next.complete_from);
                self.complete_through = self.complete_through.min(next.complete_through);
            }

            fn as_of(&self) -> Option<&AsOf> {
                self.as_of.as_ref()
            }
        }
    )*};
}

histories! { ListRegionHistoryResponse, ListRegistryHistoryResponse }

changed! { v1 "shouwang.v1":
    MarkRegionHeadResponse,
    AddStoreResponse store,
    ReceiveStockResponse,
    IssueStockResponse,
    ScrapStockResponse,
    CountStockResponse,
    InspectLotResponse,
    RepairStockResponse,
    MapItemResponse,
    SetFloorsResponse,
    SetWarningResponse,
    SetVisibilityResponse,
    RefreshPublicationResponse,
    JoinRegionResponse,
    MakePledgeResponse pledge,
    WithdrawPledgeResponse,
    BreakGlassResponse,
    CoverOverdraftResponse,
    ReceiveRestockResponse lot,
    VerifyRestockResponse,
    RequestAidResponse aid_request,
    HoldResponse mission,
    ReleaseHoldResponse,
    OrderResponse,
    ConfirmPaperResponse,
    WithdrawLineResponse,
    CloseRequestResponse,
    PickResponse,
    DispatchResponse,
    HandOverResponse,
    TurnBackResponse,
    ReceiveDeliveryResponse,
    StartWorkResponse,
    ReportUsageResponse,
    DemobiliseResponse,
    WithdrawForSafetyResponse,
    SendReturnResponse,
    TakeBackResponse,
    RevokeResponse,
    AcknowledgeCancelResponse,
    CancelMissionResponse,
    RelayDispatchResponse,
    ClaimResponse,
    RecogniseResponse,
    DisputeResponse,
    ReportPaymentResponse,
    ConfirmPaymentResponse,
    ProposeFindingResponse,
    AcceptFindingResponse,
    ProposeChangeResponse change,
    SignChangeResponse,
}

changed! { admin "shouwang.admin.v1": SetVoterResponse, RaiseLevelResponse }

named! { v1 "shouwang.v1": AnswerAidResponse }

impl Changed for v1::AnswerAidResponse {
    fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    fn made(&self) -> Vec<String> {
        self.pledges.clone()
    }
}
