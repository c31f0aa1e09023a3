//! The handshake of BEP 3: 68 bytes, `19 "BitTorrent protocol" | reserved (8) | info hash (20) | peer id (20)`.

/// Bytes in a handshake.
pub const HANDSHAKE_BYTES: usize = 68;
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// What a peer says it can, in the 8 reserved bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reserved(pub [u8; 8]);

impl Reserved {
    /// What we say: the extension protocol (BEP 10), the fast extension (BEP 6), and v2 (BEP 52) and the DHT (BEP 5)
    /// when asked.
    pub fn ours(v2: bool, dht: bool) -> Self {
        Self([0, 0, 0, 0, 0, 0x10, 0, 0x04 | u8::from(v2) << 4 | u8::from(dht)])
    }

    /// BEP 10.
    pub fn extensions(self) -> bool {
        self.0[5] & 0x10 != 0
    }

    /// BEP 6.
    pub fn fast(self) -> bool {
        self.0[7] & 0x04 != 0
    }

    /// BEP 5: has a node in the DHT, and wants to hear of others.
    pub fn dht(self) -> bool {
        self.0[7] & 0x01 != 0
    }

    /// BEP 52: asks to upgrade a hybrid torrent's connection to v2.
    pub fn v2(self) -> bool {
        self.0[7] & 0x10 != 0
    }
}

/// One side's handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// Capabilities.
    pub reserved: Reserved,
    /// v1 info hash, or v2 cut to 20 bytes.
    pub info_hash: [u8; 20],
    /// 20 bytes that name the peer, of its own choice.
    pub peer_id: [u8; 20],
}

impl Handshake {
    /// The bytes to send.
    pub fn to_bytes(&self) -> [u8; HANDSHAKE_BYTES] {
        let mut bytes = [0; HANDSHAKE_BYTES];
        bytes[..20].copy_from_slice(PROTOCOL);
        bytes[20..28].copy_from_slice(&self.reserved.0);
        bytes[28..48].copy_from_slice(&self.info_hash);
        bytes[48..].copy_from_slice(&self.peer_id);
        bytes
    }

    /// Reads the start of a connection: `Ok(None)` while it is too short, `Err` at the first byte that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, NotBitTorrent> {
        if bytes.iter().zip(PROTOCOL).any(|(got, expected)| got != expected) {
            return Err(NotBitTorrent);
        }
        let Some(bytes) = bytes.first_chunk::<HANDSHAKE_BYTES>() else { return Ok(None) };
        let mut handshake = Self { reserved: Reserved([0; 8]), info_hash: [0; 20], peer_id: [0; 20] };
        handshake.reserved.0.copy_from_slice(&bytes[20..28]);
        handshake.info_hash.copy_from_slice(&bytes[28..48]);
        handshake.peer_id.copy_from_slice(&bytes[48..]);
        Ok(Some(handshake))
    }
}

/// The other side speaks something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotBitTorrent;

#[cfg(test)]
mod tests {
    use super::{Handshake, NotBitTorrent, Reserved};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parses_what_it_writes_at_any_length(reserved: [u8; 8], info_hash: [u8; 20], peer_id: [u8; 20], cut in 0usize..68) {
            let handshake = Handshake { reserved: Reserved(reserved), info_hash, peer_id };
            let bytes = handshake.to_bytes();
            prop_assert_eq!(Handshake::parse(&bytes), Ok(Some(handshake)));
            prop_assert_eq!(Handshake::parse(&bytes[..cut]), Ok(None));
        }

        #[test]
        fn refuses_another_protocol_at_its_first_byte(at in 0usize..20, flip in 1u8..) {
            let mut bytes = Handshake { reserved: Reserved::ours(true, true), info_hash: [0; 20], peer_id: [0; 20] }.to_bytes();
            bytes[at] ^= flip;
            prop_assert_eq!(Handshake::parse(&bytes[..=at]), Err(NotBitTorrent));
        }
    }

    #[test]
    fn sets_the_bits_of_bep_5_6_10_and_52() {
        assert_eq!(Reserved::ours(true, true).0, [0, 0, 0, 0, 0, 0x10, 0, 0x15]);
        let plain = Reserved::ours(false, false);
        assert!(plain.extensions() && plain.fast() && !plain.v2() && !plain.dht());
        assert!(Reserved::ours(true, false).v2() && Reserved::ours(false, true).dht());
    }
}
