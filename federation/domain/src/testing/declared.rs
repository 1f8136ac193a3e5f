//! What the machines declare, read from their own source: a test that means "every kind" cannot leave one out.

use std::collections::BTreeSet;

/// Every kind of event of a registry, as it is stored.
pub fn registry_events() -> BTreeSet<String> {
    declared(include_str!("../registry/event.rs"))
}

/// Every kind of event of a region, as it is stored.
pub fn region_events() -> BTreeSet<String> {
    declared(include_str!("../region/event.rs"))
}

/// Every variant that a file declares, as serde names it.
fn declared(source: &str) -> BTreeSet<String> {
    let names = source.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(" {").map(|(name, _)| name));
    let names = names.filter(|name| name.chars().all(char::is_alphanumeric));
    names
        .map(|name| {
            let mut slug = String::new();
            for letter in name.chars() {
                if letter.is_uppercase() && !slug.is_empty() {
                    slug.push('_');
                }
                slug.extend(letter.to_lowercase());
            }
            slug
        })
        .collect()
}
