//! Who is in touch, for the wire: nodes as this node sees them, members by their nodes.

use std::cmp::Reverse;

use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::time::Timestamp;
use shouwang_driver::{Contact, Heard, Touch};
use shouwang_proto::v1;

use super::convert::words::{node, time};

/// A node's touch on the wire.
pub fn touch(touch: Touch) -> v1::Touch {
    match touch {
        Touch::InTouch => v1::Touch::InTouch,
        Touch::Silent => v1::Touch::OutOfTouch,
        Touch::Unknown => v1::Touch::Unknown,
    }
}

/// When something was heard, by this node's clock.
fn at(heard: Heard, now: Timestamp) -> Timestamp {
    Timestamp(now.0.saturating_sub(i64::try_from(heard.ago.as_millis()).unwrap_or(i64::MAX)))
}

/// A node as it is in touch.
pub fn node_contact(contact: &Contact, now: Timestamp) -> v1::NodeContact {
    v1::NodeContact {
        node: node(contact.node),
        touch: touch(contact.touch).into(),
        last_heard: contact.heard.and_then(|heard| time(at(heard, now))),
        heard_by: contact.heard.map(|heard| node(heard.by)).unwrap_or_default(),
    }
}

/// A member is in touch as its best node is; it was last heard when any of them was.
pub fn member_contact(member: MunicipalityCode, contacts: &[Contact], now: Timestamp) -> v1::NodeContact {
    let own = || contacts.iter().filter(|contact| contact.node.municipality() == member);
    let best = [Touch::InTouch, Touch::Unknown, Touch::Silent];
    let best = best.into_iter().find(|touch| own().any(|contact| contact.touch == *touch));
    let latest =
        own().filter_map(|contact| Some((contact, contact.heard?))).max_by_key(|(_, heard)| Reverse(heard.ago));
    v1::NodeContact {
        touch: touch(best.unwrap_or(Touch::Unknown)).into(),
        ..latest.map(|(contact, _)| node_contact(contact, now)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shouwang_domain::ids::NodeId;

    use super::*;

    #[test]
    fn a_member_is_as_its_best_node() {
        let code = |of| MunicipalityCode::new(of).unwrap();
        let node = |of, number| NodeId::new(code(of), number).unwrap();
        let heard = |seconds, by| Some(Heard { ago: Duration::from_secs(seconds), by });
        let contacts = [
            Contact { node: node(150_300, 1), touch: Touch::InTouch, heard: None },
            Contact { node: node(152_900, 1), touch: Touch::Silent, heard: heard(90, node(150_300, 1)) },
            Contact { node: node(152_900, 2), touch: Touch::InTouch, heard: heard(2, node(640_200, 1)) },
            Contact { node: node(640_100, 1), touch: Touch::Silent, heard: None },
            Contact { node: node(640_100, 2), touch: Touch::Unknown, heard: heard(70, node(150_300, 1)) },
        ];
        let of = |code| {
            let told = member_contact(code, &contacts, Timestamp(100_000));
            (told.touch(), told.last_heard.map(|at| at.seconds), told.node, told.heard_by)
        };
        let told = |touch, at, node: &str, by: &str| (touch, at, node.to_owned(), by.to_owned());
        assert_eq!(of(code(150_300)), told(v1::Touch::InTouch, None, "", ""));
        assert_eq!(of(code(152_900)), told(v1::Touch::InTouch, Some(98), "152900/2", "640200/1"));
        assert_eq!(of(code(640_100)), told(v1::Touch::Unknown, Some(30), "640100/2", "150300/1"));
        assert_eq!(of(code(640_200)), told(v1::Touch::Unknown, None, "", ""), "no node of it is in the group");
    }
}
