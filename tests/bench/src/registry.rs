//! The registry of one municipality on its node, and the client that speaks to it: a store keeper with his certificate.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use shouwang_cluster::story::WUHAI;
use shouwang_cluster::{Federation, federation};
use shouwang_proto::v1;
use shouwang_proto::v1::registry_service_client::RegistryServiceClient;
use tokio::task::block_in_place;
use tonic::transport::Channel;

use crate::payload::Mark;
use crate::region::{SETTINGS, call, operator};
use crate::stock::{Books, Keeper, Kind, LOTS, Movement, OPENING, STORES, Stockroom, id, store_id};
use crate::system::{CONNECTIONS_MAX, OWN, Served};
use crate::tls::{Dialler, Papers};

/// One client.
pub struct RegistryKeeper(Channel);

/// The revision of what was accepted.
pub(crate) fn accepted(outcome: Option<v1::Outcome>) -> Result<u64> {
    let outcome = outcome.context("an answer without an outcome")?;
    ensure!(outcome.verdict() == v1::Verdict::Accepted && outcome.revision > 0, "not accepted: {outcome:?}");
    Ok(outcome.revision)
}

impl Keeper for RegistryKeeper {
    async fn enter(&mut self, movement: &Movement) -> Result<u64> {
        let mut registry = RegistryServiceClient::new(self.0.clone());
        let (request_id, lot, text) = (movement.mark.request_id(), id(movement.lot).to_string(), movement.document());
        accepted(match movement.kind {
            Kind::Receive => {
                let receive = v1::ReceiveStockRequest { request_id, lot, quantity: movement.qty, document: text };
                registry.receive_stock(call(receive)).await?.into_inner().outcome
            }
            Kind::Issue => {
                let issue = v1::IssueStockRequest { request_id, lot, quantity: movement.qty, purpose: text };
                registry.issue_stock(call(issue)).await?.into_inner().outcome
            }
            Kind::Count => {
                let count = v1::CountStockRequest { request_id, lot, counted: movement.qty, reason: text };
                registry.count_stock(call(count)).await?.into_inner().outcome
            }
        })
    }
}

/// A node with its registry.
pub struct Registry {
    federation: Federation,
    dialler: Dialler,
    /// The revision behind the opening.
    opened: u64,
}

impl Registry {
    /// Founds it in `folder`, starts its node, and enters the lots.
    ///
    /// # Errors
    /// A command that failed, or a node that does not come up.
    pub async fn found(folder: &Path) -> Result<Self> {
        let federation = block_in_place(|| {
            let mut federation = Federation::found(folder, &federation::members(&[WUHAI]))?;
            federation.node(WUHAI).further = SETTINGS.map(|(key, value)| (key, value.to_string())).to_vec();
            federation.start_all()?;
            anyhow::Ok(federation)
        })?;
        let dialler = Dialler::new(&operator(&federation, WUHAI, "keeper-1")?)?;
        let mut registry = Self { federation, dialler, opened: 0 };
        registry.opened = registry.open().await?;
        Ok(registry)
    }

    /// What the node shows to its clients, which another system may show as well.
    pub fn node_papers(&self) -> Papers {
        let file = |name| self.federation.home(WUHAI).join("tls").join(name);
        Papers { ca: file("ca.pem"), cert: file("node.pem"), key: file("node.key") }
    }

    /// How store keepers dial.
    pub fn dialler(&self) -> Dialler {
        self.dialler.clone()
    }

    async fn connect(&self) -> Result<Channel> {
        let node = self.federation.nodes.first().context("a federation has a node")?;
        self.dialler.connect(node.ports.operator).await
    }

    /// Enters stores and lots. Answers the revision after that.
    async fn open(&self) -> Result<u64> {
        let mut registry = RegistryServiceClient::new(self.connect().await?);
        for n in 0..STORES {
            let (request_id, store) = (Mark::next().request_id(), store_id(n).to_string());
            let add =
                v1::AddStoreRequest {
                    request_id, store, title: format!("{n} 号库"), district: "乌达区".to_owned()
                };
            accepted(registry.add_store(call(add)).await?.into_inner().outcome)?;
        }
        let row = |n| v1::OpenLotsRow { lot: id(n).to_string(), details: Some(details(n)), quantity: OPENING };
        let open = v1::OpenLotsRequest { request_id: Mark::next().request_id(), rows: (0..LOTS).map(row).collect() };
        let opened = registry.open_lots(call(open)).await?.into_inner().results;
        ensure!(opened.len() == LOTS, "{} of {LOTS} lots opened", opened.len());
        opened.into_iter().try_for_each(|lot| accepted(lot.outcome).map(drop))?;
        let shown = registry.get_registry(call(v1::GetRegistryRequest { linearizable: true })).await?.into_inner();
        Ok(shown.as_of.context("a picture without its time")?.revision)
    }
}

fn details(n: usize) -> v1::LotDetails {
    v1::LotDetails {
        holding: Some(v1::Holding { kind: Some(v1::holding::Kind::Local(format!("物资 {}", n / STORES))) }),
        title: format!("物资 {}", n / STORES),
        unit: "件".to_owned(),
        store: store_id(n % STORES).to_string(),
        class: v1::StockClass::Government.into(),
        batch: format!("{n}"),
        ..v1::LotDetails::default()
    }
}

/// What is at hand of a lot; everything that ever came in must be somewhere.
fn at_hand(lot: &v1::Lot) -> Result<u64> {
    let of =
        |account: v1::Account| lot.balances.iter().filter(|b| b.account() == account).map(|b| b.quantity).sum::<u64>();
    let everywhere: u64 = lot.balances.iter().filter(|b| b.account() != v1::Account::Source).map(|b| b.quantity).sum();
    let source = of(v1::Account::Source);
    ensure!(source == everywhere, "{}: {source} came in, {everywhere} are in the accounts", lot.name);
    Ok(of(v1::Account::Local))
}

impl Served for Registry {
    const NAME: &'static str = OWN;

    fn processes(&self) -> Vec<u32> {
        self.federation.nodes.iter().filter_map(shouwang_cluster::NodeProcess::pid).collect()
    }
}

impl Stockroom for Registry {
    type Keeper = RegistryKeeper;

    async fn keepers(&self, count: usize) -> Result<Vec<RegistryKeeper>> {
        let mut keepers = Vec::with_capacity(count);
        for n in 0..count.min(CONNECTIONS_MAX) {
            let channel = self.connect().await?;
            keepers.extend((n..count).step_by(CONNECTIONS_MAX).map(|_| RegistryKeeper(channel.clone())));
        }
        Ok(keepers)
    }

    async fn books(&self) -> Result<Books> {
        let mut registry = RegistryServiceClient::new(self.connect().await?);
        let list = v1::ListLotsRequest { page_size: 1000, linearizable: true, ..Default::default() };
        let shown = registry.list_lots(call(list)).await?.into_inner();
        ensure!(shown.next_page_token.is_empty(), "more lots than were opened");
        let mut books = vec![None; LOTS];
        let places: BTreeMap<String, usize> = (0..LOTS).map(|n| (format!("lots/{}", id(n)), n)).collect();
        for lot in &shown.lots {
            let Some(place) = places.get(&lot.name) else { bail!("{} was never opened", lot.name) };
            books[*place] = Some(at_hand(lot)?);
        }
        let at_hand = books.into_iter().collect::<Option<_>>().context("a lot is missing")?;
        let revision = shown.as_of.context("a picture without its time")?.revision;
        Ok(Books { at_hand, entered: revision - self.opened })
    }
}
