//! One block header: 80 bytes, and what they say.

use blockswarm_pieces::sha::sha256d_many;

use crate::encode::{Hash, sha256d};

/// Bytes of a block header.
pub const HEADER_BYTES: usize = 80;

/// A block header as it travels: 80 bytes.
pub type RawHeader = [u8; HEADER_BYTES];

/// The fields of a block header (Core's `CBlockHeader`). Hashes in internal order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Version, signed as in Core.
    pub version: i32,
    /// Hash of the block before.
    pub prev: Hash,
    /// Merkle root of the transaction ids.
    pub merkle_root: Hash,
    /// Seconds since 1970.
    pub time: u32,
    /// The target in compact form.
    pub bits: u32,
    /// What the miner varied.
    pub nonce: u32,
}

impl Header {
    /// Reads the fields; any 80 bytes are a header.
    pub fn parse(raw: &RawHeader) -> Self {
        Self {
            version: i32::from_le_bytes(part(raw, 0)),
            prev: part(raw, 4),
            merkle_root: part(raw, 36),
            time: u32::from_le_bytes(part(raw, 68)),
            bits: u32::from_le_bytes(part(raw, 72)),
            nonce: u32::from_le_bytes(part(raw, 76)),
        }
    }

    /// The 80 bytes.
    pub fn to_bytes(&self) -> RawHeader {
        let mut raw = [0; HEADER_BYTES];
        raw[..4].copy_from_slice(&self.version.to_le_bytes());
        raw[4..36].copy_from_slice(&self.prev);
        raw[36..68].copy_from_slice(&self.merkle_root);
        raw[68..72].copy_from_slice(&self.time.to_le_bytes());
        raw[72..76].copy_from_slice(&self.bits.to_le_bytes());
        raw[76..].copy_from_slice(&self.nonce.to_le_bytes());
        raw
    }

    /// The block hash, internal order.
    pub fn hash(&self) -> Hash {
        block_hash(&self.to_bytes())
    }
}

/// The block hash of a raw header, internal order.
pub fn block_hash(raw: &RawHeader) -> Hash {
    sha256d([raw])
}

/// The block hashes of raw headers, hashed together.
pub fn block_hashes(headers: &[RawHeader]) -> Vec<Hash> {
    let raw: Vec<&[u8]> = headers.iter().map(|header| &header[..]).collect();
    let mut hashes = vec![[0; 32]; raw.len()];
    sha256d_many(&raw, &mut hashes);
    hashes
}

fn part<const N: usize>(raw: &RawHeader, offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&raw[offset..offset + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn writes_back_the_bytes_it_read(raw in prop::array::uniform32(any::<u8>())) {
            let mut bytes = [0; HEADER_BYTES];
            bytes[..32].copy_from_slice(&raw);
            bytes[48..].copy_from_slice(&raw);
            prop_assert_eq!(Header::parse(&bytes).to_bytes(), bytes);
        }
    }
}
