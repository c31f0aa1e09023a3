//! Both hashes of a torrent in one pass: SHA-1 pieces (BEP 3) and SHA-256 trees (BEP 52).

use crate::merkle::{self, Hash};
use crate::sha::{self, Sha1Stream, Sha256Stream};
use crate::{BLOCK_BYTES, Geometry, PiecesError};

const LEAF_BYTES: usize = BLOCK_BYTES as usize;

/// Bytes read at a time when hashing from disk: enough to hide a system call, small enough to cancel.
pub(crate) const STEP_BYTES: usize = 1024 * 1024;

/// Everything that a hybrid torrent says about its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TorrentHashes {
    /// Bytes hashed.
    pub length: u64,
    /// SHA-1 of each piece: piece count × 20 bytes.
    pub pieces: Vec<u8>,
    /// The root of the whole tree; zeros when nothing was hashed.
    pub pieces_root: [u8; 32],
    /// The root of each piece: piece count × 32 bytes; empty when there is at most one piece.
    pub piece_layer: Vec<u8>,
}

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

    /// The root, and a new start. `height(leaves)` chooses how wide the tree is.
    pub(crate) fn finish(&mut self, height: impl FnOnce(usize) -> u32) -> Hash {
        if self.leaf_bytes > 0 {
            self.end_leaf();
        }
        let height = height(self.leaves.len());
        merkle::leaves_root(&mut self.leaves, height)
    }
}

/// Hashes a whole torrent from its first byte to its last, in one pass and in any portions.
///
/// Memory: the hashes themselves, and the leaf hashes of one piece.
pub struct TorrentHasher {
    piece_length: u32,
    sha1: Sha1Stream,
    tree: Tree,
    piece_bytes: u32,
    length: u64,
    pieces: Vec<u8>,
    layer: Vec<u8>,
}

impl TorrentHasher {
    /// A hasher for pieces of `piece_length` bytes, bounded as in [`Geometry::new`].
    pub fn new(piece_length: u32) -> Result<Self, PiecesError> {
        Geometry::new(1, piece_length)?;
        let (sha1, tree) = (Sha1Stream::new(), Tree::new());
        Ok(Self {
            piece_length,
            sha1,
            tree,
            piece_bytes: 0,
            length: 0,
            pieces: Vec::new(),
            layer: Vec::new(),
        })
    }

    /// Adds the next bytes.
    pub fn update(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let room = (self.piece_length - self.piece_bytes) as usize;
            let (head, rest) = data.split_at(room.min(data.len()));
            self.sha1.update(head);
            self.tree.update(head);
            self.piece_bytes += head.len() as u32;
            self.length += head.len() as u64;
            if self.piece_bytes == self.piece_length {
                self.end_piece();
            }
            data = rest;
        }
    }

    fn end_piece(&mut self) {
        let (first, whole) = (self.pieces.is_empty(), merkle::piece_height(self.piece_length));
        // A first piece that ends short is the only one: its tree is no wider than its leaves.
        self.pieces.extend(self.sha1.finish());
        self.layer.extend(self.tree.finish(|leaves| if first { merkle::height_for(leaves) } else { whole }));
        self.piece_bytes = 0;
    }

    /// The hashes of all that was added.
    pub fn finish(mut self) -> TorrentHashes {
        if self.piece_bytes > 0 {
            self.end_piece();
        }
        let pieces_root = merkle::root_of_pieces(&self.layer, self.piece_length);
        if self.layer.len() <= 32 {
            self.layer.clear();
        }
        TorrentHashes { length: self.length, pieces: self.pieces, pieces_root, piece_layer: self.layer }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use sha1::{Digest, Sha1};

    use super::*;
    use crate::{layer_root, piece_root};

    const PIECE: u32 = 65536;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n / 3 % 253) as u8).collect()
    }

    fn hash(data: &[u8], portions: &[usize]) -> TorrentHashes {
        let mut hasher = TorrentHasher::new(PIECE).unwrap();
        let mut rest = data;
        for portion in portions.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at((*portion).min(rest.len()));
            hasher.update(head);
            rest = tail;
        }
        hasher.finish()
    }

    #[test]
    fn hashes_are_those_of_each_piece_alone() {
        for length in [1, 16383, 16384, 16385, 65535, 65536, 65537, 3 * 65536, 3 * 65536 + 16384] {
            let data = bytes(length);
            let geometry = Geometry::new(length as u64, PIECE).unwrap();
            let hashes = hash(&data, &[length]);
            let sha1: Vec<u8> = data.chunks(PIECE as usize).flat_map(Sha1::digest).collect();
            let roots: Vec<u8> = geometry
                .pieces()
                .zip(data.chunks(PIECE as usize))
                .flat_map(|(piece, data)| piece_root(data, &geometry, piece))
                .collect();
            assert_eq!((hashes.length, hashes.pieces), (length as u64, sha1));
            if geometry.piece_count() == 1 {
                assert_eq!((&hashes.pieces_root[..], hashes.piece_layer.len()), (&roots[..], 0));
            } else {
                assert_eq!((hashes.pieces_root, hashes.piece_layer), (layer_root(&roots, PIECE), roots));
            }
        }
    }

    #[test]
    fn nothing_hashes_to_nothing() {
        let empty = TorrentHasher::new(PIECE).unwrap().finish();
        assert_eq!((empty.length, empty.pieces.len(), empty.pieces_root), (0, 0, [0; 32]));
        assert!(matches!(TorrentHasher::new(3), Err(PiecesError::PieceLength(3))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn portions_do_not_matter(
            length in 1..300_000usize,
            portions in proptest::collection::vec(1..100_000usize, 1..6),
        ) {
            let data = bytes(length);
            prop_assert_eq!(hash(&data, &portions), hash(&data, &[length]));
        }
    }
}
