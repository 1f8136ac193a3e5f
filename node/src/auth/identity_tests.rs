//! Names of nodes and operators: one spelling each, everything else refused with its reason.

use proptest::prelude::*;

use super::*;

#[test]
fn good_names_parse_and_print_the_same() {
    for (text, municipality, role) in [
        ("spiffe://wuhai.example/municipality/150300/node/1", 150_300, None),
        ("spiffe://a/municipality/640200/node/4294967295", 640_200, None),
        ("spiffe://f-1.cn/municipality/152900/operator/d01/duty", 152_900, Some(Role::Duty)),
        ("spiffe://f/municipality/150000/operator/a.b_c-d/superior", 150_000, Some(Role::Superior)),
    ] {
        let identity: Identity = text.parse().unwrap();
        assert_eq!(identity.to_string(), text);
        assert_eq!((identity.municipality().code(), identity.role()), (municipality, role));
        assert_eq!(identity.node_name().is_some(), role.is_none());
    }
}

#[test]
fn bad_names_say_what_is_wrong() {
    let long = format!("spiffe://f/municipality/150300/operator/{}/duty", "a".repeat(300));
    let id65 = format!("spiffe://f/municipality/150300/operator/{}/duty", "a".repeat(65));
    for (text, code) in [
        ("", "IDENTITY_SCHEME"),
        ("SPIFFE://f/municipality/150300/node/1", "IDENTITY_SCHEME"),
        ("https://f/municipality/150300/node/1", "IDENTITY_SCHEME"),
        ("spiffe://f/municipality/150300/node/1/", "IDENTITY_SHAPE"),
        ("spiffe://f/municipality/150300/node", "IDENTITY_SHAPE"),
        ("spiffe://f//municipality/150300/node/1", "IDENTITY_SHAPE"),
        ("spiffe://f/Municipality/150300/node/1", "IDENTITY_SHAPE"),
        ("spiffe://f/municipality/150300/operator/x", "IDENTITY_SHAPE"),
        ("spiffe:///municipality/150300/node/1", "IDENTITY_FEDERATION"),
        ("spiffe://F/municipality/150300/node/1", "IDENTITY_FEDERATION"),
        ("spiffe://f:443/municipality/150300/node/1", "IDENTITY_FEDERATION"),
        ("spiffe://u@f/municipality/150300/node/1", "IDENTITY_FEDERATION"),
        ("spiffe://f_/municipality/150300/node/1", "IDENTITY_FEDERATION"),
        ("spiffe://.f/municipality/150300/node/1", "IDENTITY_FEDERATION"),
        ("spiffe://f/municipality/15030/node/1", "IDENTITY_MUNICIPALITY"),
        ("spiffe://f/municipality/0150300/node/1", "IDENTITY_MUNICIPALITY"),
        ("spiffe://f/municipality/+50300/node/1", "IDENTITY_MUNICIPALITY"),
        ("spiffe://f/municipality/１５０３００/node/1", "IDENTITY_MUNICIPALITY"),
        ("spiffe://f/municipality/099999/node/1", "IDENTITY_MUNICIPALITY"),
        ("spiffe://f/municipality/990000/node/1", "IDENTITY_MUNICIPALITY"),
        ("spiffe://f/municipality/150300/node/0", "IDENTITY_NODE"),
        ("spiffe://f/municipality/150300/node/01", "IDENTITY_NODE"),
        ("spiffe://f/municipality/150300/node/+1", "IDENTITY_NODE"),
        ("spiffe://f/municipality/150300/node/-1", "IDENTITY_NODE"),
        ("spiffe://f/municipality/150300/node/1?x", "IDENTITY_NODE"),
        ("spiffe://f/municipality/150300/node/4294967296", "IDENTITY_NODE"),
        ("spiffe://f/municipality/150300/operator//duty", "IDENTITY_OPERATOR"),
        ("spiffe://f/municipality/150300/operator/../duty", "IDENTITY_OPERATOR"),
        ("spiffe://f/municipality/150300/operator/a%2fb/duty", "IDENTITY_OPERATOR"),
        ("spiffe://f/municipality/150300/operator/a b/duty", "IDENTITY_OPERATOR"),
        ("spiffe://f/municipality/150300/operator/a\0/duty", "IDENTITY_OPERATOR"),
        (id65.as_str(), "IDENTITY_OPERATOR"),
        ("spiffe://f/municipality/150300/operator/a/Duty", "IDENTITY_ROLE"),
        ("spiffe://f/municipality/150300/operator/a/root", "IDENTITY_ROLE"),
        ("spiffe://f/municipality/150300/operator/a/", "IDENTITY_ROLE"),
        (long.as_str(), "IDENTITY_TOO_LONG"),
    ] {
        let error = text.parse::<Identity>().unwrap_err();
        assert_eq!(error.code(), code, "{text:?}");
        assert!(!error.text().zh.is_empty());
    }
}

#[test]
fn a_certificate_must_carry_exactly_one_uri() {
    let name = "spiffe://f/municipality/150300/node/1";
    assert!(Identity::from_uri_names([name]).is_ok());
    assert_eq!(Identity::from_uri_names([]), Err(IdentityError::NoName));
    assert_eq!(Identity::from_uri_names([name, name]), Err(IdentityError::SeveralNames(2)));
    assert_eq!(Identity::from_uri_names([name, "https://x/"]), Err(IdentityError::SeveralNames(2)));
    assert_eq!(Identity::from_certificate(b"\x30\x00"), Err(IdentityError::Certificate));
}

#[test]
fn node_names_have_one_spelling() {
    let name: NodeName = "150300/2".parse().unwrap();
    assert_eq!((name.municipality.code(), name.node, name.to_string().as_str()), (150_300, 2, "150300/2"));
    for text in ["150300", "150300/", "150300/02", "/1", "150300/1/1"] {
        assert!(text.parse::<NodeName>().is_err(), "{text}");
    }
}

#[test]
fn every_role_has_a_slug_and_two_names() {
    for role in Role::ALL {
        assert_eq!(role.slug().parse(), Ok(role));
        assert!(!role.name().zh.is_empty() && !role.name().en.is_empty());
        assert_eq!(serde_json::to_value(role).unwrap(), role.slug());
    }
}

fn name_of(inner: &'static str) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[a-z0-9]([a-z0-9{inner}]{{0,62}}[a-z0-9])?")).unwrap()
}

proptest! {
    #[test]
    fn what_is_made_parses_back(
        federation in name_of(".-"),
        code in 110_000_u32..=829_999,
        node in 1_u32..,
        id in name_of("._-"),
        role in proptest::sample::select(Role::ALL.as_slice()),
    ) {
        let municipality = Municipality::new(code).unwrap();
        for identity in [
            Identity::node(&federation, municipality, node).unwrap(),
            Identity::operator(&federation, municipality, &id, role).unwrap(),
        ] {
            prop_assert_eq!(identity.to_string().parse::<Identity>(), Ok(identity.clone()));
        }
    }

    #[test]
    fn hostile_text_is_refused_or_is_the_one_spelling(
        text in "(spiffe://)?[a-zA-Z0-9._%@:/ -]{0,24}(/municipality/)?[0-9/]{0,8}(node|operator)?[/a-z0-9\\PC]{0,24}",
    ) {
        if let Ok(identity) = text.parse::<Identity>() {
            prop_assert_eq!(identity.to_string(), text);
        }
    }

    #[test]
    fn hostile_certificates_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Identity::from_certificate(&bytes).is_err());
    }
}
