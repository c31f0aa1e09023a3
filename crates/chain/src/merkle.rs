//! Bitcoin's merkle tree over transaction hashes (Core's `consensus/merkle.cpp`).

use blockswarm_pieces::sha::sha256d_pairs;

use crate::encode::Hash;

/// The root over `hashes`, and whether two equal neighbours were hashed together on the way.
///
/// An odd list is filled up with its last hash, so that a list with a repeated tail has the same root
/// (CVE-2012-2459): such a block is *mutated*, its bytes are bad and its header may be good.
/// The root of nothing is zero.
pub fn merkle_root(mut hashes: Vec<Hash>) -> (Hash, bool) {
    let mut mutated = false;
    while hashes.len() > 1 {
        mutated |= hashes.chunks_exact(2).any(|pair| pair[0] == pair[1]);
        if hashes.len() % 2 == 1 {
            hashes.extend(hashes.last().copied());
        }
        let mut parents = Vec::with_capacity(hashes.len() / 2);
        sha256d_pairs(&hashes, &mut parents);
        hashes = parents;
    }
    (hashes.first().copied().unwrap_or_default(), mutated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_tail_has_the_same_root_and_is_noticed() {
        let six: Vec<Hash> = (1..=6).map(|n| [n; 32]).collect();
        let (root, mutated) = merkle_root(six.clone());
        assert!(!mutated);
        let eight = [&six[..], &six[4..]].concat();
        assert_eq!(merkle_root(eight), (root, true));
        let (three, mutated) = merkle_root(six[..3].to_vec());
        assert!(!mutated);
        assert_eq!(merkle_root([&six[..3], &six[2..3]].concat()), (three, true));
    }

    #[test]
    fn one_hash_is_its_own_root() {
        assert_eq!(merkle_root(vec![[5; 32]]), ([5; 32], false));
        assert_eq!(merkle_root(Vec::new()), ([0; 32], false));
    }
}
