//! BEP 52 hash trees: SHA-256 over 16 KiB leaves, missing leaves are 32 zero bytes.

use crate::sha;
use crate::{BLOCK_BYTES, Geometry, PieceIndex};

/// A node of the tree.
pub(crate) type Hash = [u8; 32];

const ZERO_LEAF: Hash = [0; 32];

/// Levels above the bottom row of a tree wide enough for `width` nodes.
pub(crate) fn height_for(width: usize) -> u32 {
    width.next_power_of_two().trailing_zeros()
}

/// Levels between leaves and piece roots.
pub(crate) fn piece_height(piece_length: u32) -> u32 {
    (piece_length / BLOCK_BYTES).trailing_zeros()
}

/// The root of a subtree of 2^`height` zero leaves.
pub(crate) fn zero_root(height: u32) -> Hash {
    fold(&mut Vec::new(), height, ZERO_LEAF)
}

/// The node over two others.
pub(crate) fn parent(left: &Hash, right: &Hash) -> Hash {
    let mut parents = Vec::with_capacity(1);
    sha::sha256_pairs(&[*left, *right], &mut parents);
    parents.first().copied().unwrap_or_default()
}

/// The root over `row`, widened to 2^`height` nodes with `pad`. Uses `row` as its working space.
fn fold(row: &mut Vec<Hash>, height: u32, pad: Hash) -> Hash {
    let mut parents = Vec::with_capacity(row.len() / 2 + 2);
    // The last node of every row is that row's pad; it climbs with the others.
    row.push(pad);
    for _ in 0..height {
        // So that the last pair is two pads, and the pair before it is whole.
        let pads = 2 - row.len() % 2;
        row.extend(row.last().copied().into_iter().cycle().take(pads));
        parents.clear();
        sha::sha256_pairs(row, &mut parents);
        std::mem::swap(row, &mut parents);
    }
    row.first().copied().unwrap_or(pad)
}

/// The root over leaf hashes, widened to 2^`height` leaves. Empties `leaves`.
pub(crate) fn leaves_root(leaves: &mut Vec<Hash>, height: u32) -> Hash {
    let root = fold(leaves, height, ZERO_LEAF);
    leaves.clear();
    root
}

/// The root over the roots of subtrees of 2^`below` leaves each, widened to 2^`height` leaves. Empties `nodes`.
pub(crate) fn nodes_root(nodes: &mut Vec<Hash>, below: u32, height: u32) -> Hash {
    let root = fold(nodes, height.saturating_sub(below), zero_root(below));
    nodes.clear();
    root
}

/// Levels of the subtree that stands for one piece: that of a whole piece, or, in a file of one piece, no more
/// than its leaves need.
pub(crate) fn subtree_height(geometry: &Geometry, piece: PieceIndex) -> u32 {
    if geometry.file_of(piece).is_some_and(|file| geometry.pieces_of(file).len() == 1) {
        height_for(geometry.content_bytes(piece).div_ceil(BLOCK_BYTES) as usize)
    } else {
        piece_height(geometry.piece_length())
    }
}

/// The hash that BEP 52 has for a piece: an entry of the piece layer, or, in a file of one piece, the pieces
/// root itself. `data` is the piece's bytes without padding.
pub fn piece_root(data: &[u8], geometry: &Geometry, piece: PieceIndex) -> [u8; 32] {
    let mut leaves = Vec::new();
    sha::sha256_leaves(data, &mut leaves);
    leaves_root(&mut leaves, subtree_height(geometry, piece))
}

/// The pieces root over a piece layer (piece count × 32 bytes). A missing piece counts as the root of a
/// piece of zero leaves.
pub fn layer_root(layer: &[u8], piece_length: u32) -> [u8; 32] {
    let (roots, _) = layer.as_chunks::<32>();
    let height = height_for(roots.len());
    fold(&mut roots.to_vec(), height, zero_root(piece_height(piece_length)))
}

/// The pieces root over the roots of all pieces; the only piece's own root is that already. Zeros when
/// there is none.
pub(crate) fn root_of_pieces(roots: &[u8], piece_length: u32) -> Hash {
    match roots.as_chunks().0 {
        [] => ZERO_LEAF,
        [only] => *only,
        _ => layer_root(roots, piece_length),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn plain_parent(left: &Hash, right: &Hash) -> Hash {
        Sha256::digest([*left, *right].as_flattened()).into()
    }

    /// The definition read aloud: all leaves, padded to a power of two, folded in pairs.
    fn whole_tree(data: &[u8]) -> Hash {
        let mut row: Vec<Hash> = data.chunks(16384).map(|leaf| Sha256::digest(leaf).into()).collect();
        row.resize(row.len().next_power_of_two(), ZERO_LEAF);
        while row.len() > 1 {
            row = row.chunks(2).map(|pair| plain_parent(&pair[0], &pair[1])).collect();
        }
        row[0]
    }

    #[test]
    fn piece_roots_fold_to_the_root_of_the_whole_tree() {
        let piece = 65536;
        let lengths = [
            1,
            100,
            16383,
            16384,
            16385,
            40000,
            65535,
            65536,
            65537,
            3 * 65536 + 1,
            5 * 65536,
            5 * 65536 + 16384,
        ];
        for length in lengths {
            let data: Vec<u8> = (0..length).map(|n: usize| (n / 7 % 251) as u8).collect();
            let geometry = Geometry::new(length as u64, piece).unwrap();
            let roots: Vec<Hash> = geometry
                .pieces()
                .zip(data.chunks(piece as usize))
                .map(|(n, bytes)| piece_root(bytes, &geometry, n))
                .collect();
            let root = if let [only] = roots[..] {
                only
            } else {
                layer_root(&roots.concat(), geometry.piece_length())
            };
            // The tree of a file of several pieces is never narrower than two pieces, so both paddings agree.
            assert_eq!(root, whole_tree(&data), "{length} bytes");
        }
    }

    #[test]
    fn one_leaf_is_its_own_root() {
        let geometry = Geometry::new(1, 1 << 22).unwrap();
        let piece = geometry.piece(0).unwrap();
        assert_eq!(piece_root(b"x", &geometry, piece), <Hash>::from(Sha256::digest(b"x")));
    }
}
