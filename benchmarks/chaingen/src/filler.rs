//! Numbers and bytes that look random and are the same on every host: SplitMix64 (Steele, Lea, Flood 2014). For
//! choices and for incompressible filler only; nothing here is a secret.

/// Fixed for ever: another constant is another chain, and tests name its hashes.
const SEED: u64 = 0x626c_6f63_6b73_776d;
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of one block's numbers.
#[derive(Debug, Clone)]
pub struct Filler(u64);

impl Filler {
    /// That of the block at `height` of a branch; 0 is the chain that stays.
    pub fn new(seed: u64, branch: u32, height: u32) -> Self {
        let seed = seed.wrapping_add(u64::from(branch) << 32).wrapping_mul(STEP);
        Self(SEED ^ seed ^ (u64::from(height) << 32))
    }

    /// The next number.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `count`, 0 when that is 0.
    pub fn below(&mut self, count: usize) -> usize {
        // The product's upper half: near enough to even for counts far below 2^64.
        ((u128::from(self.word()) * count as u128) >> 64) as usize
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
