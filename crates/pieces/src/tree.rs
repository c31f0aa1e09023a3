//! The tree of BEP 52 over bytes that come in order, in any portions.

use crate::BLOCK_BYTES;
use crate::merkle::{self, Hash};
use crate::sha::{self, Sha256Stream};

const LEAF_BYTES: usize = BLOCK_BYTES as usize;

/// The leaves of a piece or file, fed in order in any portions.
pub(crate) struct Tree {
    /// A leaf that came in parts.
    leaf: Sha256Stream,
    leaf_bytes: usize,
    leaves: Vec<Hash>,
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self { leaf: Sha256Stream::new(), leaf_bytes: 0, leaves: Vec::new() }
    }

    pub(crate) fn update(&mut self, data: &[u8]) {
        let missing = (LEAF_BYTES - self.leaf_bytes) % LEAF_BYTES;
        let (head, rest) = data.split_at(missing.min(data.len()));
        self.part(head);
        let (whole, tail) = rest.split_at(rest.len() - rest.len() % LEAF_BYTES);
        sha::sha256_leaves(whole, &mut self.leaves);
        self.part(tail);
    }

    fn part(&mut self, data: &[u8]) {
        self.leaf.update(data);
        self.leaf_bytes += data.len();
        if self.leaf_bytes == LEAF_BYTES {
            self.end_leaf();
        }
    }

    fn end_leaf(&mut self) {
        self.leaves.push(self.leaf.finish());
        self.leaf_bytes = 0;
    }

    /// The root of a tree of 2^`height` leaves, and a new start.
    pub(crate) fn finish(&mut self, height: u32) -> Hash {
        if self.leaf_bytes > 0 {
            self.end_leaf();
        }
        merkle::leaves_root(&mut self.leaves, height)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn portions_do_not_matter(
            length in 1..100_000usize, portions in proptest::collection::vec(1..40_000usize, 1..6),
        ) {
            let data: Vec<u8> = (0..length).map(|n| (n / 3 % 253) as u8).collect();
            let (mut whole, mut tree) = (Tree::new(), Tree::new());
            whole.update(&data);
            let mut rest = &data[..];
            for portion in portions.iter().cycle() {
                let (head, tail) = rest.split_at((*portion).min(rest.len()));
                tree.update(head);
                rest = tail;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(tree.finish(3), whole.finish(3));
        }
    }
}
