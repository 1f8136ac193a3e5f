//! Fixed little-endian layouts for headers and footers. Nothing here allocates by a length it has not checked.

use raft_proto::eraftpb::ConfState;

/// Appends fields to a buffer.
#[derive(Default)]
pub(crate) struct Encoder(pub Vec<u8>);

impl Encoder {
    pub fn u8(mut self, v: u8) -> Self {
        self.0.push(v);
        self
    }
    pub fn u16(mut self, v: u16) -> Self {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }
    pub fn u32(mut self, v: u32) -> Self {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }
    pub fn u64(mut self, v: u64) -> Self {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }
    pub fn i64(mut self, v: i64) -> Self {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }
    pub fn bytes(mut self, v: &[u8]) -> Self {
        self.0.extend_from_slice(v);
        self
    }
    /// A membership: whether it leaves a joint one by itself, then four lists of ids, each with its length.
    pub fn conf(self, conf: &ConfState) -> Self {
        let groups = [&conf.voters, &conf.learners, &conf.voters_outgoing, &conf.learners_next];
        groups.into_iter().fold(self.u8(conf.auto_leave.into()), |layout, group| {
            group.iter().fold(layout.u64(group.len() as u64), |layout, id| layout.u64(*id))
        })
    }
    /// Ends the layout with the CRC-32 of everything before.
    pub fn crc(self) -> Vec<u8> {
        let crc = crc32fast::hash(&self.0);
        self.u32(crc).0
    }
}

/// Takes fields off a slice; `None` where it is too short.
pub(crate) struct Decoder<'a>(pub &'a [u8]);

impl<'a> Decoder<'a> {
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
    pub fn u8(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
    pub fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }
    pub fn conf(&mut self) -> Option<ConfState> {
        let mut conf = ConfState { auto_leave: self.u8()? != 0, ..ConfState::default() };
        for group in [&mut conf.voters, &mut conf.learners, &mut conf.voters_outgoing, &mut conf.learners_next] {
            let ids = usize::try_from(self.u64()?).ok()?.checked_mul(8).and_then(|len| self.take(len))?;
            *group = ids.chunks_exact(8).filter_map(|id| Decoder(id).u64()).collect();
        }
        Some(conf)
    }
}

/// The part of `bytes` before its trailing CRC-32, if that fits.
pub(crate) fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (body, crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    (Decoder(crc).u32()? == crc32fast::hash(body)).then_some(body)
}

/// A small seeded generator (splitmix64) for simulated faults: the same seed gives the same crash.
#[derive(Debug, Clone)]
pub(crate) struct SeededRandom(pub u64);

impl SeededRandom {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; 0 for an empty range.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        if bound == 0 { 0 } else { usize::try_from(self.next() % bound).unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memberships_are_read_as_written_and_no_length_is_believed() {
        let mut conf = ConfState::from((vec![3, 1], vec![u64::MAX]));
        (conf.voters_outgoing, conf.learners_next, conf.auto_leave) = (vec![1, 2], vec![2], true);
        let bytes = Encoder::default().conf(&conf).0;
        assert_eq!(Decoder(&bytes).conf(), Some(conf));
        for cut in 0..bytes.len() {
            assert_eq!(Decoder(&bytes[..cut]).conf(), None, "cut at {cut}");
        }
        for length in [u64::MAX, u64::MAX / 8 + 1, 1 << 40] {
            assert_eq!(Decoder(&Encoder::default().u8(0).u64(length).0).conf(), None, "{length} ids");
        }
    }
}
