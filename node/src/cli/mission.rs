//! `shouwang mission`: what happens between an order and the last unit accounted for.

use clap::{Args, Subcommand};
use shouwang_proto::v1::mission_service_client::MissionServiceClient;
use shouwang_proto::v1::{
    AcknowledgeCancelRequest, CancelMissionRequest, DemobiliseRequest, DispatchRequest, HandOverRequest, PickRequest,
    ReceiveDeliveryRequest, RelayDispatchRequest, ReportUsageRequest, RevokeRequest, SendReturnRequest,
    StartWorkRequest, TakeBackRequest, TurnBackRequest, WithdrawForSafetyRequest,
};
use tonic::transport::Channel;

use super::Context;
use super::client::{Client, ClientArgs, carry, with_node};
use super::mission_view::{self, ListArgs};
use super::parse::{self, When};
use super::spoken::{Side, SpokenArgs};
use crate::exit::Failure;

/// Arguments of `shouwang mission`.
#[derive(Debug, Args)]
pub struct MissionArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List missions as the region knows them, or as the own registry does 列出调派
    List(ListArgs),
    /// Show a mission with its quantities and times 查看一次调派的数量与时刻
    Show {
        /// The mission, by id or working number 调派（编号或业务编号）
        mission: String,
        /// As the own registry knows it: works when the line is cut 按本台账所知，断线时也可用
        #[arg(long)]
        own: bool,
    },
    #[command(flatten)]
    Send(Send),
    #[command(flatten)]
    Take(Take),
    #[command(flatten)]
    Stop(Stop),
}

/// Which mission, and when the step happened.
#[derive(Debug, Args)]
struct Step {
    /// The mission, by id or working number 调派（编号或业务编号）
    mission: String,
    /// When it happened [default: now] 发生时刻（默认现在）
    #[arg(long, value_name = "TIME", value_parser = parse::when)]
    at: Option<When>,
}

/// The holder's steps.
#[derive(Debug, Subcommand)]
enum Send {
    /// The store is picking 备货
    Pick {
        /// The mission 调派
        mission: String,
    },
    /// It left 出发
    Dispatch {
        #[command(flatten)]
        step: Step,
        /// How much left 数量
        #[arg(long, value_parser = parse::quantity)]
        qty: u64,
        /// Seal number or convoy mark; no plates, no persons 封签或车队标识（不写车牌与人名）
        #[arg(long)]
        seal: String,
        #[command(flatten)]
        spoken: Box<SpokenArgs>,
    },
    /// The carrier handed it over 交付
    HandOver {
        #[command(flatten)]
        step: Step,
        /// How much, to date 累计数量
        #[arg(long)]
        qty: u64,
    },
    /// It came back undelivered 折返
    TurnBack {
        #[command(flatten)]
        step: Step,
        /// How much, to date 累计数量
        #[arg(long)]
        qty: u64,
    },
    /// It arrived back at its owner 返库
    TakeBack {
        #[command(flatten)]
        step: Step,
        /// Fit for use, to date 完好，累计
        #[arg(long)]
        good: u64,
        /// Damaged, to date 损坏，累计
        #[arg(long, default_value_t = 0)]
        damaged: u64,
    },
}

/// The requester's steps.
#[derive(Debug, Subcommand)]
enum Take {
    /// It arrived here 签收
    Receive {
        #[command(flatten)]
        step: Step,
        /// The store it was put in, by name or id 入库（库名或编号）
        #[arg(long)]
        store: String,
        /// Fit for use, to date 完好，累计
        #[arg(long)]
        good: u64,
        /// Damaged on arrival, to date 损坏，累计
        #[arg(long, default_value_t = 0)]
        damaged: u64,
        #[command(flatten)]
        spoken: Box<SpokenArgs>,
    },
    /// At work 到场作业
    Start {
        #[command(flatten)]
        step: Step,
    },
    /// What will not go back, to date 核销：消耗、损坏、丢失，均为累计
    Use {
        #[command(flatten)]
        step: Step,
        /// Used up, to date 消耗，累计
        #[arg(long)]
        consumed: u64,
        /// Broken in use, to date 损坏，累计
        #[arg(long, default_value_t = 0)]
        damaged: u64,
        /// Lost, to date 丢失，累计
        #[arg(long, default_value_t = 0)]
        lost: u64,
    },
    /// Not needed any longer 解除任务
    Demobilise {
        #[command(flatten)]
        step: Step,
    },
    /// A leader takes the team out of danger; always allowed 紧急撤离，任何时候都可以
    Withdraw {
        #[command(flatten)]
        step: Step,
        /// Why 原因
        #[arg(long)]
        reason: String,
    },
    /// Sent back 返程
    SendBack {
        #[command(flatten)]
        step: Step,
        /// How much, to date 累计数量
        #[arg(long)]
        total: u64,
    },
}

/// Ways out, and what is told for somebody else.
#[derive(Debug, Subcommand)]
enum Stop {
    /// The holder takes a commitment back before departure 出发前撤销
    Revoke {
        /// The mission 调派
        mission: String,
        /// Why 原因
        #[arg(long)]
        reason: String,
    },
    /// Nothing has left: the cancelled quantity goes back 确认未发出，取消生效
    AckCancel {
        /// The mission 调派
        mission: String,
    },
    /// Not needed any more; after departure this asks for a return 取消，出发后为请求返回
    Cancel {
        /// The mission 调派
        mission: String,
        /// Why 原因
        #[arg(long)]
        reason: String,
    },
    /// A dispatch heard by telephone while the holder's line is cut 代录出发（凭口令）
    Relay {
        /// The mission 调派
        mission: String,
        /// The eight digits as heard 口令
        #[arg(long)]
        code: String,
        /// How much is said to have left 数量
        #[arg(long, value_parser = parse::quantity)]
        qty: u64,
    },
}

/// A client of the mission service.
pub(super) fn api(client: &Client) -> MissionServiceClient<Channel> {
    MissionServiceClient::new(client.channel.clone())
}

/// Runs `shouwang mission`.
///
/// # Errors
/// [`Failure`].
pub fn run(args: MissionArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| match args.verb {
        Verb::List(args) => mission_view::list(client, args).await,
        Verb::Show { mission, own } => mission_view::show(client, mission, own).await,
        Verb::Send(verb) => send(client, verb).await,
        Verb::Take(verb) => take(client, verb).await,
        Verb::Stop(verb) => stop(client, verb).await,
    })
}

impl Step {
    async fn told(self, client: &Client) -> Result<(String, Option<prost_types::Timestamp>), Failure> {
        let happened_at = client.happened(self.at)?;
        Ok((client.mission(&self.mission).await?, happened_at))
    }
}

async fn send(client: &Client, verb: Send) -> Result<(), Failure> {
    let mut api = api(client);
    match verb {
        Send::Pick { mission } => {
            let mission = client.mission(&mission).await?;
            carry!(client, api, "mission pick", pick, PickRequest { mission })
        }
        Send::Dispatch { step, qty, seal, spoken } => {
            let (mission, happened_at) = step.told(client).await?;
            let emergency = spoken.told(client, &mission, Side::Holder, qty).await?;
            carry!(
                client,
                api,
                "mission dispatch",
                dispatch,
                DispatchRequest { mission, quantity: qty, seal, happened_at, emergency }
            )
        }
        Send::HandOver { step, qty } => {
            let (mission, happened_at) = step.told(client).await?;
            carry!(client, api, "mission hand-over", hand_over, HandOverRequest { mission, quantity: qty, happened_at })
        }
        Send::TurnBack { step, qty } => {
            let (mission, happened_at) = step.told(client).await?;
            carry!(client, api, "mission turn-back", turn_back, TurnBackRequest { mission, quantity: qty, happened_at })
        }
        Send::TakeBack { step, good, damaged } => {
            let (mission, happened_at) = step.told(client).await?;
            carry!(client, api, "mission take-back", take_back, TakeBackRequest { mission, good, damaged, happened_at })
        }
    }
}

async fn take(client: &Client, verb: Take) -> Result<(), Failure> {
    let mut api = api(client);
    match verb {
        Take::Receive { step, store, good, damaged, spoken } => {
            let (mission, happened_at) = step.told(client).await?;
            let store = client.store(&store).await?;
            let ahead = spoken.told(client, &mission, Side::Requester, good.saturating_add(damaged)).await?;
            carry!(
                client,
                api,
                "mission receive",
                receive_delivery,
                ReceiveDeliveryRequest { mission, store, good, damaged, happened_at, ahead }
            )
        }
        Take::Start { step } => {
            let (mission, happened_at) = step.told(client).await?;
            carry!(client, api, "mission start", start_work, StartWorkRequest { mission, happened_at })
        }
        Take::Use { step, consumed, damaged, lost } => {
            let (mission, happened_at) = step.told(client).await?;
            carry!(
                client,
                api,
                "mission use",
                report_usage,
                ReportUsageRequest { mission, consumed, damaged, lost, happened_at }
            )
        }
        Take::Demobilise { step } => {
            let (mission, happened_at) = step.told(client).await?;
            carry!(client, api, "mission demobilise", demobilise, DemobiliseRequest { mission, happened_at })
        }
        Take::Withdraw { step, reason } => {
            let (mission, happened_at) = step.told(client).await?;
            carry!(
                client,
                api,
                "mission withdraw",
                withdraw_for_safety,
                WithdrawForSafetyRequest { mission, reason, happened_at }
            )
        }
        Take::SendBack { step, total } => {
            let (mission, happened_at) = step.told(client).await?;
            carry!(
                client,
                api,
                "mission send-back",
                send_return,
                SendReturnRequest { mission, quantity: total, happened_at }
            )
        }
    }
}

async fn stop(client: &Client, verb: Stop) -> Result<(), Failure> {
    let mut api = api(client);
    let region = client.region.clone();
    match verb {
        Stop::Revoke { mission, reason } => {
            let mission = client.mission(&mission).await?;
            carry!(client, api, "mission revoke", revoke, RevokeRequest { mission, reason })
        }
        Stop::AckCancel { mission } => {
            let mission = client.mission(&mission).await?;
            carry!(client, api, "mission ack-cancel", acknowledge_cancel, AcknowledgeCancelRequest { mission })
        }
        Stop::Cancel { mission, reason } => {
            let mission = client.mission(&mission).await?;
            carry!(client, api, "mission cancel", cancel_mission, CancelMissionRequest { region, mission, reason })
        }
        Stop::Relay { mission, code, qty } => {
            let mission = client.mission(&mission).await?;
            carry!(
                client,
                api,
                "mission relay",
                relay_dispatch,
                RelayDispatchRequest { region, mission, spoken_code: code, quantity: qty }
            )
        }
    }
}
