//! From a valid sample to something nobody would send: flipped, cut, doubled, spliced, nested without end, and with
//! lengths and numbers at the edges of their types.

pub use shouwang_domain::testing::Rng;

/// The longest input, in bytes: larger ones are refused by a length that is checked before anything is decoded.
pub const BYTES_MAX: usize = 256 * 1024;

/// Numbers at which something may tip over.
pub const EDGES: [u64; 16] = [
    0,
    1,
    2,
    7,
    127,
    128,
    255,
    256,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// What nests, in one of the languages that are read here: TOML, CBOR, DER, protobuf, XML.
const NESTS: [&[u8]; 10] =
    [b"[", b"{", b"a.", b"{a=", b"\x81", b"\xa1\x61a", b"\x9f", b"\x30\x84\x7f\xff\xff\xff", b"\x0a\x82\x02", b"<a>"];

/// Heads that promise more than comes: CBOR (bytes, text, array, map of 2^31 and of 2^62), a varint, a DER length.
const PROMISES: [&[u8]; 10] = [
    b"\x5a\x7f\xff\xff\xff",
    b"\x7a\x7f\xff\xff\xff",
    b"\x9a\x7f\xff\xff\xff",
    b"\xba\x7f\xff\xff\xff",
    b"\x5b\x3f\xff\xff\xff\xff\xff\xff\xff",
    b"\x9b\x3f\xff\xff\xff\xff\xff\xff\xff",
    b"\xbb\x3f\xff\xff\xff\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\x07",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x84\x7f\xff\xff\xff",
];

/// One to four changes to `sample`; `corpus` lends parts, `words` are what the decoder's language is made of.
pub fn mutated(rng: &mut Rng, sample: &[u8], corpus: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..=rng.below(4) {
        change(rng, &mut bytes, corpus, words);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn change(rng: &mut Rng, bytes: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&[u8]]) {
    let at = rng.index(bytes.len() + 1);
    match rng.below(13) {
        0 => flip(rng, bytes),
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = [0, 1, 0x7f, 0x80, 0xff, b'"', b'9', b'\n'][rng.index(8)];
            }
        }
        2 => bytes.truncate(at),
        3 => insert(bytes, at, &(0..rng.below(64)).map(|_| rng.draw().to_le_bytes()[0]).collect::<Vec<_>>()),
        4 => drop(bytes.drain(at..end(rng, at, bytes.len()))),
        5 => {
            let part = bytes[at..end(rng, at, bytes.len())].to_vec();
            let most = [2, 16, 4096][rng.index(3)];
            let times = 1 + rng.index(most);
            insert(bytes, at, &repeated(&part, times));
        }
        6 => {
            if let Some(other) = rng.pick(corpus).filter(|other| !other.is_empty()) {
                let from = rng.index(other.len());
                let part = &other[from..end(rng, from, other.len())];
                insert(bytes, at, part);
            }
        }
        7 => overwrite(rng, bytes, at),
        8 => insert(bytes, at, PROMISES[rng.index(PROMISES.len())]),
        9 => replace(bytes, at, PROMISES[rng.index(PROMISES.len())]),
        10 => {
            let most = [8, 300, 100_000][rng.index(3)];
            let times = 1 + rng.index(most);
            insert(bytes, at, &repeated(NESTS[rng.index(NESTS.len())], times));
        }
        11 => digits(rng, bytes, at),
        _ => {
            let word = rng.pick(words).copied().unwrap_or(b"\xef\xbf\xbd");
            if rng.chance(50) { insert(bytes, at, word) } else { replace(bytes, at, word) }
        }
    }
}

fn flip(rng: &mut Rng, bytes: &mut [u8]) {
    for _ in 0..=rng.below(8) {
        let at = rng.index(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << rng.below(8);
        }
    }
}

/// The end of a part that begins at `at`: mostly short, sometimes all of the rest.
fn end(rng: &mut Rng, at: usize, len: usize) -> usize {
    let most = if rng.chance(10) { len } else { 64 };
    (at + rng.index(most + 1)).min(len)
}

fn repeated(part: &[u8], times: usize) -> Vec<u8> {
    part.iter().copied().cycle().take((part.len() * times).min(BYTES_MAX)).collect()
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    bytes.splice(at..at, part.iter().copied());
}

fn replace(bytes: &mut [u8], at: usize, part: &[u8]) {
    bytes[at..].iter_mut().zip(part).for_each(|(byte, new)| *byte = *new);
}

/// A number of one to eight bytes, in either order, at an edge or a little beside what stands there.
fn overwrite(rng: &mut Rng, bytes: &mut [u8], at: usize) {
    let width = [1, 2, 4, 8][rng.index(4)];
    let Some(place) = bytes.get_mut(at..at + width) else { return };
    let mut number = [0; 8];
    number[..width].copy_from_slice(place);
    let near = u64::from_le_bytes(number).wrapping_add(rng.below(5)).wrapping_sub(2);
    let number = if rng.chance(60) { EDGES[rng.index(EDGES.len())] } else { near };
    place.copy_from_slice(&number.to_le_bytes()[..width]);
    if rng.chance(50) {
        place.reverse();
    }
}

/// Digits of a text become another number.
fn digits(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let Some(first) = bytes[at..].iter().position(u8::is_ascii_digit).map(|first| at + first) else { return };
    let last = bytes[first..].iter().position(|byte| !byte.is_ascii_digit()).map_or(bytes.len(), |len| first + len);
    let sign = if rng.chance(20) { "-" } else { "" };
    let number = format!("{sign}{}", EDGES[rng.index(EDGES.len())]);
    bytes.splice(first..last, number.into_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_inputs_and_others_other_ones() {
        let corpus = [b"a sample of 17 and 4".to_vec(), b"\x82\x01\x61x".to_vec()];
        let all = |seed| {
            let mut rng = Rng(seed);
            (0..500).map(|n| mutated(&mut rng, &corpus[n % 2], &corpus, &[b"word"])).collect::<Vec<_>>()
        };
        let inputs = all(1);
        assert_eq!(inputs, all(1));
        assert_ne!(inputs, all(2));
        assert!(inputs.iter().all(|input| input.len() <= BYTES_MAX));
        assert!(inputs.iter().any(|input| input.len() > 50_000), "some are long");
        let mut different = inputs.clone();
        different.sort();
        different.dedup();
        assert!(different.len() > 450, "{} of 500", different.len());
    }
}
