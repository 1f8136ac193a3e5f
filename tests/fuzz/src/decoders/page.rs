//! Tokens of pages, of every kind of key that the lists have.

use shouwang::api::page::Page;
use shouwang_domain::code;
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{LotId, MunicipalityCode};
use shouwang_domain::resource::ItemCode;
use shouwang_domain::resource::Resource;

use super::Target;
use crate::mutate::{Rng, mutated};

const LIST: &str = "lots";

pub struct Tokens {
    samples: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
}

impl Tokens {
    pub fn new() -> Self {
        let item = Resource::Item(ItemCode::new(2_990_101).expect("a code"));
        let municipality = MunicipalityCode::new(150_300).expect("the code of 乌海");
        let keys = vec![
            code::encode(&17_u64),
            code::encode(&LotId::from_u128(7)),
            code::encode(&(municipality, item)),
            code::encode(&(municipality, "乌海".to_owned())),
        ];
        let samples = keys.iter().map(|key| token(key)).collect();
        Self { samples, keys }
    }
}

/// The token of any bytes as the key: its checksum is no secret.
fn token(key: &[u8]) -> Vec<u8> {
    let list = Hash32::of(&[LIST.as_bytes(), &[0], &code::encode(&())]);
    let sum = Hash32::of(&[b"shouwang.page.v1\0", &list.0, key]);
    let bytes = [&[1][..], &sum.0[..8], key].concat();
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

impl Target for Tokens {
    fn samples(&self) -> &[Vec<u8>] {
        &self.samples
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"01", b"ff", b"+1", b"-0", b" 1", b"\xe4\xb9\x8c"]
    }

    fn input(&self, rng: &mut Rng) -> Vec<u8> {
        if rng.chance(50) {
            let key = &self.keys[rng.index(self.keys.len())];
            return token(&mutated(rng, key, &self.keys, &[]));
        }
        let sample = &self.samples[rng.index(self.samples.len())];
        mutated(rng, sample, &self.samples, self.words())
    }

    fn decode(&mut self, input: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(input);
        let numbers = Page::<u64>::new(LIST, &(), 10, &text);
        let lots = Page::<LotId>::new(LIST, &(), 10, &text);
        let items = Page::<(MunicipalityCode, Resource)>::new(LIST, &(), 10, &text);
        let names = Page::<(MunicipalityCode, String)>::new(LIST, &(), 10, &text);
        if let Ok(numbers) = &numbers {
            let (shown, _) = numbers.take((0..100).map(|key| (key, ())), |key, ()| *key);
            assert!(shown.iter().all(|key| numbers.after().is_none_or(|after| key > after)));
        }
        let any = numbers.map(|_| ()).or(lots.map(|_| ())).or(items.map(|_| ())).or(names.map(|_| ()));
        any.map_err(|status| status.message().to_owned())
    }
}
