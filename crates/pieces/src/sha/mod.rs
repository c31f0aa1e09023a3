//! The hash functions of BitTorrent and Bitcoin, over many inputs at once.
//!
//! SHA-1 and SHA-256 cannot be made faster within one message by vectors, but many messages can be hashed in step,
//! one in each lane of a register or interleaved: what is here takes many wherever it can. Which implementation does
//! it is chosen once, by the processor ([`hashing`]): AVX-512 with 16 lanes; SHA-NI with 3 (SHA-256) or 6 (SHA-1)
//! interleaved streams, also where too few are left to fill AVX-512; AVX2 with 8 lanes where there is no SHA-NI; else
//! the scalar crates. All give the same answers.

mod blocks;
mod choice;
mod constants;
mod many;
mod scalar;
mod stream;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions; see the module")]
#[expect(
    clippy::inline_always,
    reason = "what a kernel calls must be compiled with the kernel's instructions"
)]
#[expect(clippy::many_single_char_names, reason = "FIPS 180-4's names")]
mod x86;

use blocks::MAX_LANES;

pub use choice::{available, hashing, warning};
pub use many::{sha256_leaves, sha256_many, sha256_pairs, sha256d_many, sha256d_pairs};
pub use stream::{Sha1Stream, Sha1Streams, Sha256Stream};

/// An implementation of the compression functions of SHA-1 and SHA-256 (FIPS 180-4).
pub trait Hashing: Send + Sync {
    /// What it is called in `BLOCKSWARM_CPU`.
    fn name(&self) -> &'static str;

    /// Streams of SHA-1 that are best hashed together, at most 16; 1 where there is no gain.
    fn sha1_lanes(&self) -> usize;

    /// As [`sha1_lanes`](Self::sha1_lanes), of SHA-256.
    fn sha256_lanes(&self) -> usize;

    /// Compresses each input into the state beside it; any number of streams. All inputs are equally long, in whole
    /// blocks of 64 bytes.
    fn sha1_compress(&self, states: &mut [[u32; 5]], inputs: &[&[u8]]);

    /// As [`sha1_compress`](Self::sha1_compress), of SHA-256.
    fn sha256_compress(&self, states: &mut [[u32; 8]], inputs: &[&[u8]]);
}

/// Streams of SHA-1 that are best hashed together; 1 where there is no gain.
pub fn sha1_lanes() -> usize {
    hashing().sha1_lanes()
}
