//! `shouwang floor`, `warning` and `publish`: what the owner keeps, and what others may see.

use clap::{Args, Subcommand};
use shouwang_proto::v1::{
    Floors, GetFloorViewRequest, GetRegistryRequest, ListFloorsRequest, ListVisibilitiesRequest,
    RefreshPublicationRequest, Resource, SetFloorsRequest, SetVisibilityRequest, SetWarningRequest,
};

use super::client::{Client, ClientArgs, PAGE, carry, with_node};
use super::render::Heads;
use super::words::resource;
use super::{Context, parse, words};
use crate::exit::Failure;

/// Arguments of `shouwang floor`.
#[derive(Debug, Args)]
pub struct FloorArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: FloorVerb,
}

#[derive(Debug, Subcommand)]
enum FloorVerb {
    /// Set what is kept under each warning; a colour not given keeps as much as the one before it
    /// 设定各预警下的保底，未给出的颜色沿用前一级
    Set {
        /// Of what 资源
        #[arg(value_parser = parse::resource)]
        resource: Resource,
        /// Without a warning 无预警时
        #[arg(long)]
        none: u64,
        /// Under blue 蓝色预警时
        #[arg(long)]
        blue: Option<u64>,
        /// Under yellow 黄色预警时
        #[arg(long)]
        yellow: Option<u64>,
        /// Under orange 橙色预警时
        #[arg(long)]
        orange: Option<u64>,
        /// Under red 红色预警时
        #[arg(long)]
        red: Option<u64>,
    },
    /// Show the floors, or what is left for us of one resource 查看保底；给出资源时查看还剩多少
    Show {
        /// Of what 资源
        #[arg(value_parser = parse::resource)]
        resource: Option<Resource>,
        /// Of the exercise's goods 演练物资
        #[arg(long)]
        exercise: bool,
    },
}

/// Arguments of `shouwang warning`.
#[derive(Debug, Args)]
pub struct WarningArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: WarningVerb,
}

#[derive(Debug, Subcommand)]
enum WarningVerb {
    /// Set the warning in force; none lifts it 设定当前预警，none 为解除
    Set {
        /// The colour 颜色
        #[arg(value_parser = words::WARNING.parser())]
        warning: i32,
    },
    /// Show the registry: the warning in force and its channels 查看台账：当前预警与各区域通道
    Show,
}

/// Arguments of `shouwang publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: PublishVerb,
}

#[derive(Debug, Subcommand)]
enum PublishVerb {
    /// Say how the region may see a resource 设定区域可见的方式
    Set {
        /// Of what 资源
        #[arg(value_parser = parse::resource)]
        resource: Resource,
        /// How 发布方式
        #[arg(long = "as", value_name = "HOW", value_parser = words::VISIBILITY.parser())]
        visibility: i32,
    },
    /// List the standing releases 列出发布规则
    List,
    /// Publish now what has changed and may be seen 立即发布变化
    Refresh,
}

/// Runs `shouwang floor`.
///
/// # Errors
/// [`Failure`].
pub fn floor(args: FloorArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| match args.verb {
        FloorVerb::Set { resource, none, blue, yellow, orange, red } => {
            let blue = blue.unwrap_or(none);
            let yellow = yellow.unwrap_or(blue);
            let orange = orange.unwrap_or(yellow);
            let red = red.unwrap_or(orange);
            let floors = Some(Floors { resource: Some(resource), none, blue, yellow, orange, red });
            let mut api = client.registry();
            carry!(client, api, "floor set", set_floors, SetFloorsRequest { floors })
        }
        FloorVerb::Show { resource: Some(resource), exercise } => left(client, resource, exercise).await,
        FloorVerb::Show { resource: None, .. } => floors(client).await,
    })
}

async fn floors(client: &Client) -> Result<(), Failure> {
    const HEADS: &Heads =
        &[("资源", "RESOURCE"), ("无", "NONE"), ("蓝", "BLUE"), ("黄", "YELLOW"), ("橙", "ORANGE"), ("红", "RED")];
    let mut api = client.registry();
    let linearizable = client.linearizable;
    let answer = client
        .all(async |page_token| {
            api.list_floors(client.request(ListFloorsRequest { page_size: PAGE, page_token, linearizable })).await
        })
        .await?;
    let row = |of: &Floors| {
        let figures = [of.none, of.blue, of.yellow, of.orange, of.red];
        std::iter::once(resource(of.resource.as_ref())).chain(figures.iter().map(ToString::to_string)).collect()
    };
    let rows: Vec<_> = answer.floors.iter().map(row).collect();
    client.list(&answer, HEADS, &rows)
}

async fn left(client: &Client, of: Resource, exercise: bool) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("资源", "RESOURCE"),
        ("名称", "NAME"),
        ("单位", "UNIT"),
        ("预警", "WARNING"),
        ("可用", "USABLE"),
        ("保底", "FLOOR"),
        ("可承诺", "PLEDGEABLE"),
        ("已承诺", "PLEDGED"),
    ];
    let query = GetFloorViewRequest { resource: Some(of), exercise, linearizable: client.linearizable };
    let answer = client.done(client.registry().get_floor_view(client.request(query)).await)?;
    let left = answer.left.unwrap_or_default();
    let row = vec![
        resource(answer.resource.as_ref()),
        answer.title.clone(),
        answer.unit.clone(),
        words::WARNING.get(answer.warning, client.lang),
        left.usable.to_string(),
        left.floor.to_string(),
        left.pledgeable.to_string(),
        answer.pledged.to_string(),
    ];
    client.show(&answer, HEADS, &[row])?;
    client.age(answer.as_of.as_ref());
    Ok(())
}

/// Runs `shouwang warning`.
///
/// # Errors
/// [`Failure`].
pub fn warning(args: &WarningArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| match args.verb {
        WarningVerb::Set { warning } => {
            let mut api = client.registry();
            carry!(client, api, "warning set", set_warning, SetWarningRequest { warning })
        }
        WarningVerb::Show => registry(client).await,
    })
}

async fn registry(client: &Client) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("台账", "REGISTRY"),
        ("预警", "WARNING"),
        ("区域", "REGION"),
        ("上行", "UP"),
        ("已答复", "ANSWERED"),
        ("下行", "DOWN"),
    ];
    let query = GetRegistryRequest { linearizable: client.linearizable };
    let answer = client.done(client.registry().get_registry(client.request(query)).await)?;
    let warning = words::WARNING.get(answer.warning, client.lang);
    let mut rows: Vec<_> = answer
        .channels
        .iter()
        .map(|channel| {
            let numbers = [channel.up, channel.answered, channel.down].map(|number| number.to_string());
            let names = [answer.owner.clone(), warning.clone(), channel.title.clone()];
            names.into_iter().chain(numbers).collect()
        })
        .collect();
    if rows.is_empty() {
        rows.push(vec![answer.owner.clone(), warning, "-".to_owned()]);
    }
    client.show(&answer, HEADS, &rows)?;
    client.age(answer.as_of.as_ref());
    Ok(())
}

/// Runs `shouwang publish`.
///
/// # Errors
/// [`Failure`].
pub fn publish(args: PublishArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| {
        let mut api = client.registry();
        let region = client.region.clone();
        match args.verb {
            PublishVerb::Set { resource, visibility } => {
                let resource = Some(resource);
                carry!(
                    client,
                    api,
                    "publish set",
                    set_visibility,
                    SetVisibilityRequest { region, resource, visibility }
                )
            }
            PublishVerb::Refresh => {
                carry!(client, api, "publish refresh", refresh_publication, RefreshPublicationRequest { region })
            }
            PublishVerb::List => releases(client).await,
        }
    })
}

async fn releases(client: &Client) -> Result<(), Failure> {
    let mut api = client.registry();
    let linearizable = client.linearizable;
    let answer = client
        .all(async |page_token| {
            let query = ListVisibilitiesRequest { page_size: PAGE, page_token, linearizable };
            api.list_visibilities(client.request(query)).await
        })
        .await?;
    let row = |release: &shouwang_proto::v1::Release| {
        let region: String = release.region.chars().take(8).collect();
        vec![region, resource(release.resource.as_ref()), words::VISIBILITY.get(release.visibility, client.lang)]
    };
    let rows: Vec<_> = answer.releases.iter().map(row).collect();
    client.list(&answer, &[("区域", "REGION"), ("资源", "RESOURCE"), ("方式", "AS")], &rows)
}
