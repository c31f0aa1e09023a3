//! The crates `sha1` and `sha2`, one stream after the other: what every other way must agree with.

use super::Hashing;

/// The crates. They use SHA-NI and ARMv8's instructions by themselves where there are any.
pub(super) struct Scalar {
    name: &'static str,
}

pub(super) static SCALAR: Scalar = Scalar { name: "scalar" };
/// The same; its name says what the crates find.
#[cfg(target_arch = "aarch64")]
pub(super) static ARMV8: Scalar = Scalar { name: "armv8" };

impl Hashing for Scalar {
    fn name(&self) -> &'static str {
        self.name
    }

    fn sha1_lanes(&self) -> usize {
        1
    }

    fn sha256_lanes(&self) -> usize {
        1
    }

    fn sha1_compress(&self, states: &mut [[u32; 5]], inputs: &[&[u8]]) {
        sha1(states, inputs);
    }

    fn sha256_compress(&self, states: &mut [[u32; 8]], inputs: &[&[u8]]) {
        sha256(states, inputs);
    }
}

pub(super) fn sha1(states: &mut [[u32; 5]], inputs: &[&[u8]]) {
    for (state, input) in states.iter_mut().zip(inputs) {
        sha1::block_api::compress(state, input.as_chunks().0);
    }
}

pub(super) fn sha256(states: &mut [[u32; 8]], inputs: &[&[u8]]) {
    for (state, input) in states.iter_mut().zip(inputs) {
        sha2::block_api::compress256(state, input.as_chunks().0);
    }
}
