//! Whole messages, many at once.

use super::blocks::{BATCH, BLOCK, SHA256, Tail, bytes_of};
use crate::BLOCK_BYTES;

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
    let padding = Tail::new(&[], BLOCK as u64);
    for pairs in nodes.as_chunks::<2>().0.chunks(BATCH) {
        let mut states = [SHA256.start; BATCH];
        let mut inputs: [&[u8]; BATCH] = [&[]; BATCH];
        let (states, inputs) = (&mut states[..pairs.len()], &mut inputs[..pairs.len()]);
        inputs.iter_mut().zip(pairs).for_each(|(input, pair)| *input = pair.as_flattened());
        SHA256.compress_all(states, inputs);
        inputs.fill(padding.as_slice());
        SHA256.compress_all(states, inputs);
        out.extend(states.iter().copied().map(bytes_of::<8, 32>));
    }
}

/// Double SHA-256 of each input, as Bitcoin hashes headers and transactions; `out` is as long as `inputs`.
pub fn sha256d_many(inputs: &[&[u8]], out: &mut [[u8; 32]]) {
    sha256_many(inputs, out);
    hash_hashes(out);
}

/// Double SHA-256 of each two neighbouring nodes: one level of a Bitcoin Merkle tree. An odd last node is passed
/// over. Appends.
pub fn sha256d_pairs(nodes: &[[u8; 32]], out: &mut Vec<[u8; 32]>) {
    let start = out.len();
    sha256_pairs(nodes, out);
    hash_hashes(&mut out[start..]);
}

/// Replaces hashes by their own.
fn hash_hashes(hashes: &mut [[u8; 32]]) {
    // A hash and what pads it are one block, of which only the hash changes.
    let mut blocks = [Tail::new(&[0; 32], 32); BATCH];
    for hashes in hashes.chunks_mut(BATCH) {
        let mut states = [SHA256.start; BATCH];
        let mut inputs: [&[u8]; BATCH] = [&[]; BATCH];
        for ((hash, block), input) in hashes.iter().zip(&mut blocks).zip(&mut inputs) {
            *input = block.with_start(hash);
        }
        SHA256.compress_all(&mut states[..hashes.len()], &inputs[..hashes.len()]);
        hashes.iter_mut().zip(states).for_each(|(hash, state)| *hash = bytes_of(state));
    }
}
