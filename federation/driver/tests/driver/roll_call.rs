//! Who is in touch is known on every node, not on the leader alone; and a node that is cut off says that it does not know.

use crate::cluster::counter::{Ask, Member};
use crate::cluster::{Cluster, fast, node_id, signer};
use shouwang_domain::hash::Bytes;
use shouwang_driver::{Contact, Signer, Touch};

fn contact(cluster: &Cluster, on: u32, of: u32) -> Contact {
    let contacts = cluster.counter(on).status().contacts;
    contacts.into_iter().find(|contact| contact.node == node_id(of)).unwrap()
}

/// Waits until every running node but `of` itself says this of it.
async fn all_say(cluster: &Cluster, of: u32, touch: Touch) {
    cluster
        .until(&format!("node {of} is {touch:?} for all"), |cluster| {
            let mut others = cluster.nodes.keys().filter(|n| **n != of);
            others.all(|n| contact(cluster, *n, of).touch == touch).then_some(())
        })
        .await;
}

/// Three voters and a learner.
async fn region() -> Cluster {
    let mut cluster = Cluster::start(&[1, 2, 3], fast()).await;
    let leader = cluster.leader().await;
    cluster.join(4, leader).await;
    let learner = Member { key: Bytes(signer(4).public_key()), voter: false };
    cluster.ask(leader, Ask::Admit(node_id(4), learner)).await.unwrap();
    cluster.until("the learner learns", |c| (c.counter(4).status().contacts.len() == 4).then_some(())).await;
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_falls_silent_is_missed_everywhere() {
    let mut cluster = region().await;
    for n in 1..=4 {
        all_say(&cluster, n, Touch::InTouch).await;
    }
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let other = (1..=3).find(|n| ![leader, follower].contains(n)).unwrap();
    for lost in [follower, 4] {
        cluster.kill(lost).await;
        all_say(&cluster, lost, Touch::Silent).await;
        let told = contact(&cluster, other, lost).heard.unwrap();
        assert_eq!(told.by, node_id(leader), "a follower has it from the leader");
        let own = contact(&cluster, leader, lost).heard.unwrap();
        assert_eq!(own.by, node_id(leader));
        // Both speak of the same sign of life; asked a moment apart.
        assert!(told.ago.abs_diff(own.ago).as_millis() < 1000, "{told:?} {own:?}");
        if lost == 4 {
            cluster.join(lost, leader).await;
        } else {
            cluster.up(lost).await;
        }
        all_say(&cluster, lost, Touch::InTouch).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_does_not_know() {
    let mut cluster = region().await;
    for n in 1..=4 {
        all_say(&cluster, n, Touch::InTouch).await;
    }
    let leader = cluster.leader().await;
    let others: Vec<u32> = (1..=3).filter(|n| *n != leader).collect();
    cluster.kill(leader).await;
    cluster.kill(others[0]).await;
    let left = others[1];
    cluster
        .until("those who are left do not know", |cluster| {
            let unknown = |on: u32, of: u32| contact(cluster, on, of).touch == Touch::Unknown;
            let own = |n: u32| contact(cluster, n, n).touch == Touch::Silent;
            (own(left) && own(4) && [leader, others[0]].iter().all(|of| unknown(left, *of) && unknown(4, *of)))
                .then_some(())
        })
        .await;
    assert!(contact(&cluster, left, leader).heard.is_some(), "but when it was heard last is told");
    cluster.up(leader).await;
    all_say(&cluster, leader, Touch::InTouch).await;
    all_say(&cluster, others[0], Touch::Silent).await;
}
