//! Who spoiled a piece: the blocks of failed attempts, held against the piece that at last passes, or against the
//! leaves of its v2 tree.

use std::collections::VecDeque;

use crate::merkle::Hash;
use crate::piece_bytes::PieceBytes;
use crate::sha;

/// Memory for failed attempts of one store: some 400 attempts at pieces of 4 MiB. The oldest go first.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Failed attempts at pieces that several peers sent together.
#[derive(Default)]
pub(crate) struct Suspects {
    attempts: VecDeque<Attempt>,
    bytes: usize,
}

/// One failed attempt: for each block its sender and hash.
struct Attempt {
    piece: u32,
    blocks: Vec<(Option<u64>, Hash)>,
}

/// The hash of each block of a piece, computed without any lock: of its first `content` bytes, which makes it the leaf
/// of a v2 tree.
pub(crate) fn block_hashes(bytes: &PieceBytes, content: usize) -> Vec<Hash> {
    let mut hashes = Vec::new();
    let mut left = content;
    for portion in bytes.portions() {
        let (content, _) = portion.split_at(left.min(portion.len()));
        sha::sha256_leaves(content, &mut hashes);
        left -= content.len();
    }
    hashes
}

/// The different senders, in ascending order.
pub(crate) fn distinct(senders: Vec<Option<u64>>) -> Vec<u64> {
    let mut senders: Vec<u64> = senders.into_iter().flatten().collect();
    senders.sort_unstable();
    senders.dedup();
    senders
}

impl Suspects {
    /// Remembers a failed attempt.
    pub(crate) fn remember(&mut self, piece: u32, senders: &[Option<u64>], hashes: Vec<Hash>) {
        let attempt = Attempt { piece, blocks: senders.iter().copied().zip(hashes).collect() };
        self.bytes += attempt.bytes();
        self.attempts.push_back(attempt);
        while self.bytes > MAX_BYTES && self.attempts.len() > 1 {
            self.bytes -= self.attempts.pop_front().map_or(0, |oldest| oldest.bytes());
        }
    }

    /// Whether an attempt at the piece has failed.
    pub(crate) fn knows(&self, piece: u32) -> bool {
        self.attempts.iter().any(|attempt| attempt.piece == piece)
    }

    /// Forgets the piece, whose right blocks have these hashes, and names all who had sent any, and who had sent others.
    pub(crate) fn convict(&mut self, piece: u32, hashes: &[Hash]) -> (Vec<u64>, Vec<u64>) {
        let (mut senders, mut culprits) = (Vec::new(), Vec::new());
        self.attempts.retain(|attempt| {
            if attempt.piece != piece {
                return true;
            }
            senders.extend(attempt.blocks.iter().map(|(sender, _)| *sender));
            let spoiled = attempt.blocks.iter().zip(hashes).filter(|((_, sent), good)| sent != *good);
            culprits.extend(spoiled.map(|((sender, _), _)| *sender));
            self.bytes -= attempt.bytes();
            false
        });
        (distinct(senders), distinct(culprits))
    }
}

impl Attempt {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.blocks.len() * size_of::<(Option<u64>, Hash)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_oldest_attempt_goes_first() {
        let mut suspects = Suspects::default();
        for piece in 0..1000 {
            suspects.remember(piece, &[Some(1); 256], vec![[0; 32]; 256]);
            assert!(suspects.bytes <= MAX_BYTES);
        }
        assert!(!suspects.knows(0) && suspects.knows(999));
        assert_eq!(suspects.convict(999, &[[1; 32]; 256]), (vec![1], vec![1]));
        assert!(!suspects.knows(999));
    }

    #[test]
    fn an_attempt_larger_than_the_bound_is_kept_alone() {
        let mut suspects = Suspects::default();
        suspects.remember(1, &[Some(1)], vec![[0; 32]]);
        suspects.remember(2, &vec![Some(1); 1 << 17], vec![[0; 32]; 1 << 17]);
        assert!(!suspects.knows(1) && suspects.knows(2));
        suspects.remember(3, &[Some(1)], vec![[0; 32]]);
        assert!(!suspects.knows(2) && suspects.knows(3));
    }
}
