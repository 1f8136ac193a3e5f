//! One record on three nodes: propose, read, watch, and come back.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod cluster;

use cluster::counter::Ask;
use cluster::{Cluster, fast, soon};
use shouwang_domain::record::Verdict;

#[tokio::test(flavor = "multi_thread")]
async fn commands_through_any_node_reach_all() {
    let mut cluster = Cluster::start(&[1, 2, 3], fast()).await;
    let follower = cluster.follower().await;
    for n in [1, 2, 3] {
        let (id, outcome) = cluster.add(n, 10).await;
        assert_eq!(outcome.verdict, Verdict::Accepted);
        assert_eq!(cluster.counter(n).outcome(cluster::node_id(n).municipality(), id), Some(outcome));
    }
    let view = cluster.counter(follower).read_linearizable(soon()).await.unwrap();
    assert_eq!((view.record.machine().sum, view.record.revision(), view.in_touch), (30, 3, true));
    let refused = cluster.ask(follower, Ask::Need(31)).await.unwrap();
    assert!(matches!(refused.verdict, Verdict::Refused(_)) && refused.revision == 4);
    cluster.settle(follower).await;
}
