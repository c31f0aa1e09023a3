//! Bytes that look random and are the same on every host: SplitMix64 (Steele, Lea, Flood 2014) from a fixed seed
//! and the block's height. For incompressible filler only; nothing here is a secret.

/// Fixed for ever: another seed is another chain, and tests name its hashes.
const SEED: u64 = 0x626c_6f63_6b73_776d;

/// A stream of filler bytes of one block.
#[derive(Debug)]
pub struct Filler(u64);

impl Filler {
    /// The filler of the block at `height`.
    pub fn new(height: u32) -> Self {
        Self(SEED ^ (u64::from(height) << 32))
    }

    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: u32) -> Vec<u8> {
        let count = count as usize;
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.word().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}
