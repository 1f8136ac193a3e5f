//! The Raft group follows the record's state; records of several machines share a node.

use crate::cluster::counter::{Ask, Member};
use crate::cluster::{Cluster, envelope, fast, node_id, signer, soon};
use shouwang_domain::actor::Role as Post;
use shouwang_domain::charter::{Charter, Member as Party, MemberNode, Rules, Standing};
use shouwang_domain::hash::{Bytes, SignatureAlgorithm};
use shouwang_domain::ids::StoreId;
use shouwang_domain::record::Verdict;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::registry::state::{RegistryGenesis, RegistryNode};
use shouwang_driver::{DriverError, Handle, HostSpec, Role, Signer};

fn member(n: u32, voter: bool) -> Member {
    Member { key: Bytes(signer(n).public_key()), voter }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_learns_votes_and_leaves() {
    let mut cluster = Cluster::start(&[1, 2, 3], fast()).await;
    let leader = cluster.leader().await;
    cluster.add(leader, 1).await;
    cluster.join(4, leader).await;
    assert!(matches!(cluster.counter(4).view(), Err(DriverError::Joining)));
    cluster.ask(leader, Ask::Admit(node_id(4), member(4, false))).await.unwrap();
    cluster.until("the newcomer has the state", |c| c.counter(4).view().ok()).await;
    assert_eq!(cluster.counter(4).status().role, Role::Learner);
    // A learner proposes and reads like everyone else.
    cluster.add(4, 1).await;
    let view = cluster.counter(4).read_linearizable(soon()).await.unwrap();
    assert_eq!(view.record.machine().sum, 2);

    cluster.ask(4, Ask::Admit(node_id(4), member(4, true))).await.unwrap();
    cluster.until("it votes", |c| c.counter(4).status().voters.contains(&node_id(4).get()).then_some(())).await;
    cluster.ask(4, Ask::Expel(node_id(3))).await.unwrap();
    let without = |c: &Cluster| {
        let status = c.counter(4).status();
        (status.voters.len() == 3 && !status.voters.contains(&node_id(3).get()) && status.voters_outgoing.is_empty())
            .then_some(())
    };
    cluster.until("three is out", without).await;
    cluster.kill(3).await;
    // With three of {1, 2, 4}, one may die.
    cluster.kill(2).await;
    cluster.leader().await;
    cluster.add(1, 1).await;
    cluster.kill(4).await;
    cluster.join(4, 1).await;
    cluster.add(4, 1).await;
    cluster.settle(4).await;
    assert_eq!(cluster.counter(4).view().unwrap().record.machine().sum, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lead_is_handed_to_whom_the_operator_names() {
    let mut cluster = Cluster::start(&[1, 2, 3], fast()).await;
    for _ in 0..3 {
        let (leader, follower) = (cluster.leader().await, cluster.follower().await);
        let refused = cluster.counter(follower).transfer_leadership(node_id(follower)).await.unwrap_err();
        assert!(matches!(refused, DriverError::NotLeader { leader: Some(known) } if known == node_id(leader)));
        cluster.counter(leader).transfer_leadership(node_id(follower)).await.unwrap();
        cluster.until("the other leads", |c| (c.counter(follower).status().role == Role::Leader).then_some(())).await;
        cluster.add(leader, 1).await;
    }
}

fn charter() -> Charter {
    let party = |n: u32| Party {
        code: node_id(n).municipality(),
        name: format!("市{n}"),
        short: n.to_string(),
        standing: Standing::Party,
        superior: None,
        neighbours: Vec::new(),
        nodes: vec![MemberNode {
            node: node_id(n),
            algorithm: SignatureAlgorithm::Ed25519,
            public_key: Bytes(signer(n).public_key()),
            retiring: None,
            voter: true,
        }],
    };
    Charter {
        federation: "test".to_owned(),
        name: "应急联动区域".to_owned(),
        version: 1,
        hub: node_id(1).municipality(),
        members: (1..=3).map(party).collect(),
        rules: Rules::default(),
    }
}

fn registry(n: u32) -> RegistryGenesis {
    let node = RegistryNode {
        node: node_id(n),
        algorithm: SignatureAlgorithm::Ed25519,
        public_key: Bytes(signer(n).public_key()),
    };
    let owner = node_id(n).municipality();
    RegistryGenesis { owner, name: format!("市{n}"), short: n.to_string(), incarnation: 1, nodes: vec![node] }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_runs_a_region_and_its_own_registry_side_by_side() {
    let mut cluster = Cluster::start(&[1, 2, 3], fast()).await;
    let mut hosted: Vec<(Handle<Region>, Handle<Registry>)> = Vec::new();
    for n in 1..=3 {
        let driver = &cluster.nodes[&n].driver;
        let region = driver.host(HostSpec::<Region>::found(charter(), fast())).await.unwrap();
        let own = driver.host(HostSpec::<Registry>::found(registry(n), fast())).await.unwrap();
        let twice = driver.host(HostSpec::<Region>::found(charter(), fast())).await.unwrap_err();
        assert!(matches!(twice, DriverError::AlreadyHosted { .. }));
        hosted.push((region, own));
    }
    for (n, (_, own)) in (1..).zip(&hosted) {
        let store = StoreId::from_u128(1);
        let body = RegistryCommand::AddStore { store, name: "一号库".to_owned(), district: "区".to_owned() };
        let outcome = own.propose(envelope::<Registry>(n, 1, body), soon()).await.unwrap();
        assert_eq!((outcome.verdict, outcome.revision), (Verdict::Accepted, 1));
    }
    let region = &hosted[0].0;
    let mut demote = envelope::<Region>(1, 2, RegionCommand::SetVoter { node: node_id(3), voter: false });
    demote.actor.role = Post::Admin;
    let outcome = region.propose(demote, soon()).await.unwrap();
    assert_eq!(outcome.verdict, Verdict::Accepted);
    let third = &hosted[2].0;
    cluster.until("three only learns", |_| (third.status().role == Role::Learner).then_some(())).await;
    cluster.until("it has all", |_| (third.revision() == region.revision()).then_some(())).await;
    assert_eq!(third.state_digest().await.unwrap(), region.state_digest().await.unwrap());
    let id = region.id();
    drop(hosted);
    cluster.kill(3).await;
    cluster.up(3).await;
    let again = cluster.nodes[&3].driver.host(HostSpec::<Region>::found(charter(), fast())).await.unwrap();
    assert_eq!(again.id(), id);
    let view = again.read_linearizable(soon()).await.unwrap();
    assert_eq!(view.record.revision(), 1);
    assert_eq!(again.status().learners, [node_id(3).get()]);
}
