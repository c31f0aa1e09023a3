//! The hash functions of BitTorrent and Bitcoin, over many inputs at once.

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::BLOCK_BYTES;

/// One SHA-1 fed in portions.
#[derive(Default)]
pub struct Sha1Stream(Sha1);

impl Sha1Stream {
    /// A stream of no bytes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The hash of all that was added; the stream starts anew.
    pub fn finish(&mut self) -> [u8; 20] {
        self.0.finalize_reset().into()
    }
}

/// One SHA-256 fed in portions.
#[derive(Default)]
pub struct Sha256Stream(Sha256);

impl Sha256Stream {
    /// A stream of no bytes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The hash of all that was added; the stream starts anew.
    pub fn finish(&mut self) -> [u8; 32] {
        self.0.finalize_reset().into()
    }
}

/// Several SHA-1 streams in lock step.
pub struct Sha1Streams(Vec<Sha1Stream>);

impl Sha1Streams {
    /// `count` streams of no bytes yet.
    pub fn new(count: usize) -> Self {
        Self((0..count).map(|_| Sha1Stream::new()).collect())
    }

    /// Adds the next bytes to each stream; equally many for all is the fast way.
    pub fn update(&mut self, inputs: &[&[u8]]) {
        self.0.iter_mut().zip(inputs).for_each(|(stream, input)| stream.update(input));
    }

    /// The hashes of all that was added, stream by stream; the streams start anew.
    pub fn finish(&mut self) -> Vec<[u8; 20]> {
        self.0.iter_mut().map(Sha1Stream::finish).collect()
    }
}

/// Streams that are best hashed together; 1 where there is no gain.
pub fn sha1_lanes() -> usize {
    1
}

/// SHA-256 of each input; `out` is as long as `inputs`.
pub fn sha256_many(inputs: &[&[u8]], out: &mut [[u8; 32]]) {
    inputs.iter().zip(out).for_each(|(input, out)| *out = Sha256::digest(input).into());
}

/// The leaves of BEP 52: SHA-256 of each 16 KiB of `data`, the last may be shorter. Appends.
pub fn sha256_leaves(data: &[u8], out: &mut Vec<[u8; 32]>) {
    out.extend(data.chunks(BLOCK_BYTES as usize).map(|leaf| <[u8; 32]>::from(Sha256::digest(leaf))));
}

/// SHA-256 of each two neighbouring nodes: one level of a BEP 52 tree. An odd last node is passed over. Appends.
pub fn sha256_pairs(nodes: &[[u8; 32]], out: &mut Vec<[u8; 32]>) {
    let (pairs, _) = nodes.as_chunks::<2>();
    out.extend(pairs.iter().map(|pair| <[u8; 32]>::from(Sha256::digest(pair.as_flattened()))));
}

/// Double SHA-256 of each input, as Bitcoin hashes headers and transactions; `out` is as long as `inputs`.
pub fn sha256d_many(inputs: &[&[u8]], out: &mut [[u8; 32]]) {
    inputs.iter().zip(out).for_each(|(input, out)| *out = Sha256::digest(Sha256::digest(input)).into());
}

/// Double SHA-256 of each two neighbouring nodes: one level of a Bitcoin Merkle tree. Appends.
pub fn sha256d_pairs(nodes: &[[u8; 32]], out: &mut Vec<[u8; 32]>) {
    let (pairs, _) = nodes.as_chunks::<2>();
    let hash = |pair: &[[u8; 32]; 2]| Sha256::digest(Sha256::digest(pair.as_flattened()));
    out.extend(pairs.iter().map(|pair| <[u8; 32]>::from(hash(pair))));
}
