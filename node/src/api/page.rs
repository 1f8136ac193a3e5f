//! Pages of long lists: opaque tokens that name the list, its filters and the last key shown.
//!
//! A token gives no right to anything; its checksum only tells a damaged or foreign one from a good one, so that a
//! client's mistake is an error with a name and never a wrong page.

use std::fmt::Write as _;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shouwang_domain::code;
use shouwang_domain::hash::Hash32;
use tonic::Status;

use super::status::violated_one;

/// How many items a page has when the client does not say.
pub const SIZE_DEFAULT: usize = 100;
/// The most items of a page.
pub const SIZE_MAX: usize = 1000;
/// The longest token read, in characters.
const TOKEN_MAX: usize = 1024;
/// Changes when the form of tokens changes: an old token is then refused, and the client begins again.
const VERSION: u8 = 1;

/// Which page of which list.
#[derive(Debug)]
pub struct Page<K> {
    size: usize,
    list: Hash32,
    after: Option<K>,
}

impl<K: Serialize + DeserializeOwned + Ord + Clone> Page<K> {
    /// The page that `page_size` and `page_token` ask for, of the list with this name and these filters.
    ///
    /// # Errors
    /// A negative size, or a token that is damaged or of another list.
    pub fn new(list: &str, filters: &impl Serialize, page_size: i32, page_token: &str) -> Result<Self, Status> {
        let wanted =
            usize::try_from(page_size).map_err(|_| violated_one("page_size", "不能为负数", "must not be negative"))?;
        let size = if wanted == 0 { SIZE_DEFAULT } else { wanted.min(SIZE_MAX) };
        let list = Hash32::of(&[list.as_bytes(), &[0], &code::encode(filters)]);
        let after = if page_token.is_empty() {
            None
        } else {
            let wrong = || {
                violated_one(
                    "page_token",
                    "令牌不属于本列表及其筛选条件，请从第一页重新开始",
                    "not a token of this list with these filters; begin again with the first page",
                )
            };
            Some(read(&list, page_token).ok_or_else(wrong)?)
        };
        Ok(Self { size, list, after })
    }

    /// How many items the page has at most.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The key after which the page begins; none for the first page.
    pub fn after(&self) -> Option<&K> {
        self.after.as_ref()
    }

    /// The token of the page that begins after `last`.
    pub fn token(&self, last: &K) -> String {
        write(&self.list, last)
    }

    /// The items of the page out of all items in the order of their keys, or of those behind [`Page::after`], and the token of
    /// the next page (empty when there is none). Items are made only for the page itself.
    pub fn take<V, T>(&self, all: impl Iterator<Item = (K, V)>, make: impl Fn(&K, V) -> T) -> (Vec<T>, String) {
        let mut rest = all.skip_while(|(key, _)| self.after.as_ref().is_some_and(|after| key <= after));
        let mut items = Vec::new();
        let mut last = None;
        for (key, value) in rest.by_ref().take(self.size) {
            items.push(make(&key, value));
            last = Some(key);
        }
        let token = match last {
            Some(last) if rest.next().is_some() => self.token(&last),
            _ => String::new(),
        };
        (items, token)
    }
}

fn checksum(list: &Hash32, key: &[u8]) -> [u8; 8] {
    let hash = Hash32::of(&[b"shouwang.page.v1\0", &list.0, key]);
    let mut short = [0; 8];
    short.copy_from_slice(&hash.0[..8]);
    short
}

fn write<K: Serialize>(list: &Hash32, key: &K) -> String {
    let key = code::encode(key);
    let bytes = [&[VERSION][..], &checksum(list, &key), &key].concat();
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn read<K: DeserializeOwned>(list: &Hash32, token: &str) -> Option<K> {
    if token.len() > TOKEN_MAX || !token.len().is_multiple_of(2) || !token.is_ascii() {
        return None;
    }
    let digits = (0..token.len()).step_by(2).map(|at| u8::from_str_radix(&token[at..at + 2], 16).ok());
    let bytes: Vec<u8> = digits.collect::<Option<_>>()?;
    let (version, rest) = bytes.split_first()?;
    let (sum, key) = rest.split_at_checked(8)?;
    if *version != VERSION || *sum != checksum(list, key) {
        return None;
    }
    code::decode("page token", key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = (u32, ())> {
        (1..=250).map(|key| (key, ()))
    }

    fn page(filters: &str, size: i32, token: &str) -> Result<Page<u32>, Status> {
        Page::new("numbers", &filters, size, token)
    }

    #[test]
    fn pages_show_everything_once_and_in_order() {
        for size in [0, 1, 7, 100, 250, 5000] {
            let (mut seen, mut token) = (Vec::new(), String::new());
            loop {
                let (items, next) = page("f", size, &token).unwrap().take(all(), |key, ()| *key);
                assert!(items.len() <= SIZE_MAX && !items.is_empty());
                seen.extend(items);
                if next.is_empty() {
                    break;
                }
                token = next;
            }
            assert_eq!(seen, (1..=250).collect::<Vec<_>>(), "{size}");
        }
    }

    #[test]
    fn tokens_of_other_lists_and_damaged_ones_are_refused() {
        let (_, token) = page("f", 10, "").unwrap().take(all(), |key, ()| *key);
        assert!(page("f", 10, &token).is_ok());
        assert!(page("other", 10, &token).is_err());
        assert!(Page::<u32>::new("others", &"f", 10, &token).is_err());
        assert!(Page::<String>::new("numbers", &"f", 10, &token).is_err());
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            let damaged = String::from_utf8(bytes).unwrap();
            assert!(page("f", 10, &damaged).is_err(), "{at}");
        }
        for wrong in ["x", "xx", "01", "é€", &"0".repeat(5000), &token[2..], &token[..token.len() - 2]] {
            assert!(page("f", 10, wrong).is_err(), "{wrong}");
        }
        assert!(page("f", -1, "").is_err());
    }

    #[test]
    fn an_item_that_is_gone_does_not_stop_the_next_page() {
        let (_, token) = page("f", 10, "").unwrap().take(all(), |key, ()| *key);
        let without_ten = all().filter(|(key, ())| *key != 10);
        let (items, _) = page("f", 10, &token).unwrap().take(without_ten, |key, ()| *key);
        assert_eq!(items.first(), Some(&11));
    }
}
