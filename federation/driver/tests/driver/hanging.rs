//! A disk that hangs: what a node may do meanwhile with what is committed, and what has to wait.

use crate::cluster::gate::Gate;
use crate::cluster::{Cluster, fast, genesis};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_is_seen_before_this_disk_has_it_and_a_checkpoint_waits_for_it() {
    let mut cluster = Cluster::start(&[], fast()).await;
    cluster.genesis = genesis(&[1, 2, 3]);
    for n in 1..=3 {
        cluster.gates.insert(n, Gate::default());
        cluster.up(n).await;
    }
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    cluster.add(leader, 1).await;
    cluster.settle(leader).await;
    let gate = cluster.gates[&follower].clone();
    gate.close();
    let (_, outcome) = cluster.add(leader, 10).await;
    let sees = |cluster: &Cluster| (cluster.counter(follower).revision() >= outcome.revision).then_some(());
    cluster.until("the follower sees it", sees).await;
    let handle = cluster.counter(follower).clone();
    let taking = tokio::spawn(async move { handle.checkpoint_now().await });
    // Begun later and one after the other: had it not waited, it would be there before the last of these.
    for _ in 0..5 {
        cluster.add(leader, 1).await;
        cluster.counter(leader).checkpoint_now().await.unwrap();
    }
    assert!(!taking.is_finished(), "a state must not outlive the log that it came from");
    gate.open();
    let taken = taking.await.unwrap().unwrap();
    assert!(taken.meta.revision >= outcome.revision, "of what was seen");
    cluster.settle(leader).await;
}
