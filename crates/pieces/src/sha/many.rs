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
    for pairs in nodes.as_chunks::<2>().0.chunks(BATCH) {
        out.extend(pair_states(pairs).into_iter().map(bytes_of::<8, 32>));
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
        out.extend(pair_states(pairs).into_iter().map(bytes_of::<8, 32>));
        hash_hashes(&mut out[start..]);
    }
}

/// The states after messages of 64 bytes each.
fn pair_states(pairs: &[[[u8; 32]; 2]]) -> Vec<[u32; 8]> {
    let inputs: Vec<&[u8]> = pairs.iter().map(|pair| pair.as_flattened()).collect();
    let padding = Tail::new(&[], BLOCK as u64);
    let mut states = vec![SHA256.start; pairs.len()];
    SHA256.compress_all(&mut states, &inputs);
    SHA256.compress_all(&mut states, &vec![padding.as_slice(); pairs.len()]);
    states
}

/// Replaces hashes by their own.
fn hash_hashes(hashes: &mut [[u8; 32]]) {
    let tails: Vec<Tail> = hashes.iter().map(|hash| Tail::new(hash, 32)).collect();
    let tails: Vec<&[u8]> = tails.iter().map(Tail::as_slice).collect();
    let mut states = vec![SHA256.start; hashes.len()];
    SHA256.compress_all(&mut states, &tails);
    hashes.iter_mut().zip(states).for_each(|(hash, state)| *hash = bytes_of(state));
}
