//! Whole messages, many at once.

use super::blocks::{BLOCK, SHA256, Tail, bytes_of};
use super::hashing;
use crate::BLOCK_BYTES;

/// Messages of one block that are compressed in one call: enough for the lanes of any implementation to be full
/// most of the time, little enough for the stack.
const BATCH: usize = 64;

/// SHA-256 of each input, of any lengths; `out` is as long as `inputs`.
pub fn sha256_many(inputs: &[&[u8]], out: &mut [[u8; 32]]) {
    SHA256.digest_all(inputs, |place, state| out[place] = bytes_of(state));
}

/// The leaves of BEP 52: SHA-256 of each 16 KiB of `data`, the last may be shorter. Appends.
pub fn sha256_leaves(data: &[u8], out: &mut Vec<[u8; 32]>) {
    let leaves: Vec<&[u8]> = data.chunks(BLOCK_BYTES as usize).collect();
    let start = out.len();
    out.resize(start + leaves.len(), [0; 32]);
    sha256_many(&leaves, &mut out[start..]);
}

/// SHA-256 of each two neighbouring nodes: one level of a BEP 52 tree. An odd last node is passed over. Appends.
pub fn sha256_pairs(nodes: &[[u8; 32]], out: &mut Vec<[u8; 32]>) {
    for pairs in nodes.as_chunks::<2>().0.chunks(BATCH) {
        out.extend(pair_states(pairs).into_iter().take(pairs.len()).map(bytes_of::<8, 32>));
    }
}

/// Double SHA-256 of each input, as Bitcoin hashes headers and transactions; `out` is as long as `inputs`.
pub fn sha256d_many(inputs: &[&[u8]], out: &mut [[u8; 32]]) {
    sha256_many(inputs, out);
    for hashes in out.chunks_mut(BATCH) {
        hash_hashes(hashes);
    }
}

/// Double SHA-256 of each two neighbouring nodes: one level of a Bitcoin Merkle tree. An odd last node is passed
/// over. Appends.
pub fn sha256d_pairs(nodes: &[[u8; 32]], out: &mut Vec<[u8; 32]>) {
    for pairs in nodes.as_chunks::<2>().0.chunks(BATCH) {
        let start = out.len();
        out.extend(pair_states(pairs).into_iter().take(pairs.len()).map(bytes_of::<8, 32>));
        hash_hashes(&mut out[start..]);
    }
}

/// The states after up to [`BATCH`] messages of 64 bytes each.
fn pair_states(pairs: &[[[u8; 32]; 2]]) -> [[u32; 8]; BATCH] {
    let mut states = [SHA256.start; BATCH];
    let mut inputs = [&[][..]; BATCH];
    inputs.iter_mut().zip(pairs).for_each(|(input, pair)| *input = pair.as_flattened());
    let count = pairs.len();
    hashing().sha256_compress(&mut states[..count], &inputs[..count]);
    let padding = Tail::new(&[], BLOCK as u64);
    inputs[..count].fill(padding.as_slice());
    hashing().sha256_compress(&mut states[..count], &inputs[..count]);
    states
}

/// Replaces up to [`BATCH`] hashes by their own.
fn hash_hashes(hashes: &mut [[u8; 32]]) {
    let mut states = [SHA256.start; BATCH];
    let mut tails = [Tail::default(); BATCH];
    tails.iter_mut().zip(&*hashes).for_each(|(tail, hash)| *tail = Tail::new(hash, 32));
    let inputs = tails.each_ref().map(Tail::as_slice);
    let count = hashes.len();
    hashing().sha256_compress(&mut states[..count], &inputs[..count]);
    hashes.iter_mut().zip(states).for_each(|(hash, state)| *hash = bytes_of(state));
}
