//! Proof of work: the lowest nonce that meets a target, whatever the number of threads.
use crate::network::Network;
use crate::transaction::sha256d;
use blockswarm_pieces::sha::hashing;
use std::sync::atomic::{AtomicU32, Ordering};

/// FIPS 180-4, 5.3.3.
const SHA256_START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
const BLOCK: usize = 64;
/// Tried one at a time before the lanes are set up: enough for regtest.
const FEW: u32 = 64;
/// Headers hashed in step: fills the lanes of every kernel.
const STREAMS: usize = 64;
/// Nonces that a thread takes at once: a hundredth of signet's mean.
const STRETCH: u32 = 1 << 16;

/// Sets the header's nonce to the lowest from `first` on that meets the network's target.
pub fn grind(header: &mut [u8; 80], network: Network, first: u32, threads: usize) {
    let limit = network.limit();
    for nonce in first..first.saturating_add(FEW) {
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        if met(&sha256d(header), limit) {
            return;
        }
    }
    let best = AtomicU32::new(u32::MAX);
    let next = AtomicU32::new(first.saturating_add(FEW));
    let header_seen: &[u8; 80] = header;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut lanes = Lanes::new(header_seen);
                loop {
                    let start = next.fetch_add(STRETCH, Ordering::Relaxed);
                    // Stretches are taken in order: whoever is past the best has nothing better to find.
                    if start >= best.load(Ordering::Relaxed) || start >= u32::MAX - STRETCH {
                        return;
                    }
                    if let Some(found) = lanes.first_met(start, limit) {
                        best.fetch_min(found, Ordering::Relaxed);
                        return;
                    }
                }
            });
        }
    });
    header[76..].copy_from_slice(&best.load(Ordering::Relaxed).to_le_bytes());
}

fn met(hash: &[u8; 32], limit: u32) -> bool {
    u32::from_le_bytes([hash[28], hash[29], hash[30], hash[31]]) < limit
}

/// Headers that differ in their nonce only, hashed twice in step.
struct Lanes {
    /// The state after the 64 bytes that all share.
    middle: [u32; 8],
    /// Last 16 bytes of each header, padded.
    tails: Vec<[u8; BLOCK]>,
    /// First hash of each, padded.
    hashes: Vec<[u8; BLOCK]>,
}

impl Lanes {
    fn new(header: &[u8; 80]) -> Self {
        let mut middle = [SHA256_START];
        hashing().sha256_compress(&mut middle, &[&header[..BLOCK]]);
        let mut tail = padding(80);
        tail[..16].copy_from_slice(&header[BLOCK..]);
        tail[16] = 0x80;
        let mut hash = padding(32);
        hash[32] = 0x80;
        Self { middle: middle[0], tails: vec![tail; STREAMS], hashes: vec![hash; STREAMS] }
    }

    /// The lowest of the stretch of nonces that begins at `start`.
    fn first_met(&mut self, start: u32, limit: u32) -> Option<u32> {
        let hashing = hashing();
        for first in (start..start + STRETCH).step_by(STREAMS) {
            for (nonce, tail) in (first..).zip(&mut self.tails) {
                tail[12..16].copy_from_slice(&nonce.to_le_bytes());
            }
            let mut states = [self.middle; STREAMS];
            let tails: [&[u8]; STREAMS] = std::array::from_fn(|lane| self.tails[lane].as_slice());
            hashing.sha256_compress(&mut states, &tails);
            for (hash, state) in self.hashes.iter_mut().zip(&states) {
                for (bytes, word) in hash.chunks_exact_mut(4).zip(state) {
                    bytes.copy_from_slice(&word.to_be_bytes());
                }
            }
            let mut states = [SHA256_START; STREAMS];
            let hashes: [&[u8]; STREAMS] = std::array::from_fn(|lane| self.hashes[lane].as_slice());
            hashing.sha256_compress(&mut states, &hashes);
            let found = (first..).zip(&states).find(|(_, state)| state[7].swap_bytes() < limit);
            if let Some((nonce, _)) = found {
                return Some(nonce);
            }
        }
        None
    }
}

/// The end of the last block of a message of `bytes`.
fn padding(bytes: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[BLOCK - 8..].copy_from_slice(&(bytes * 8).to_be_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_nonce_is_found_by_any_number_of_threads_and_meets_the_target() {
        let mut nonces = Vec::new();
        for threads in [1, 3] {
            let mut header = [7; 80];
            grind(&mut header, Network::Signet, 0, threads);
            assert!(
                met(&sha256d(&header), Network::Signet.limit()),
                "the lanes hash as the scalar crate does"
            );
            nonces.push(u32::from_le_bytes([header[76], header[77], header[78], header[79]]));
        }
        assert_eq!(nonces[0], nonces[1]);
    }
}
