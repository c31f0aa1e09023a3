//! Ranges of hashes in a file's tree as peers ask for them (BEP 52), and proofs that they lead to the root.

use std::ops::Range;

use crate::merkle::{self, Hash};
use crate::{BLOCK_BYTES, Geometry};

/// Hashes asked for at once, at most: libtorrent's bound. As leaves they are those of a piece of 128 MiB.
pub const SPAN_HASHES: u32 = 8_192;

/// Which hashes of a v2 file's tree (BEP 52).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashSpan {
    /// The file's root.
    pub root: [u8; 32],
    /// Layer of the tree, 0 = leaves.
    pub base_layer: u32,
    /// First hash in the layer.
    pub index: u32,
    /// Hashes.
    pub length: u32,
    /// Ancestor layers for the proof.
    pub proof_layers: u32,
}

/// The shape of one file's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TreeShape {
    /// Leaves that stand for bytes.
    pub(crate) leaves: u64,
    /// Layers above the leaves.
    pub(crate) height: u32,
    /// The layer of pieces; in a file of one piece the root.
    pub(crate) piece_layer: u32,
}

impl TreeShape {
    /// Of a file, by its number in [`Geometry::files`].
    pub(crate) fn of(geometry: &Geometry, file: usize) -> Option<Self> {
        let leaves = geometry.files().get(file)?.length.div_ceil(u64::from(BLOCK_BYTES));
        let height = leaves.next_power_of_two().trailing_zeros();
        Some(Self { leaves, height, piece_layer: merkle::piece_height(geometry.piece_length()).min(height) })
    }

    /// Hashes of a layer that stand for bytes; behind them there is padding.
    pub(crate) fn layer_hashes(&self, layer: u32) -> u64 {
        self.leaves.div_ceil(1 << layer)
    }
}

impl HashSpan {
    /// Layers between the base and the root of the smallest subtree that holds the span.
    fn own_layers(&self) -> u32 {
        self.length.next_power_of_two().trailing_zeros()
    }

    /// Whether there is such a span in the tree. Length and index are as the BEP wants them: a power of two, or what is
    /// left at the end of the layer, and a multiple of it. A length of 1, which the BEP forbids, is asked for by
    /// libtorrent at the end of some layers.
    pub(crate) fn fits(&self, shape: &TreeShape) -> bool {
        let Some(layers) = shape.height.checked_sub(self.base_layer).filter(|layers| *layers > 0) else {
            return false;
        };
        let (index, length, hashes) =
            (u64::from(self.index), u64::from(self.length), shape.layer_hashes(self.base_layer));
        (1..=SPAN_HASHES).contains(&self.length)
            && index < hashes
            && index.is_multiple_of(length.next_power_of_two())
            && index + length <= 1 << layers
            && (self.length.is_power_of_two() || index + length == hashes)
            && self.proof_layers < layers
    }

    /// Layer and index of each hash of the proof, from the base to the root. The first layers of a proof can be computed
    /// from the span itself and are left out.
    pub(crate) fn uncles(&self) -> impl Iterator<Item = (u32, u64)> + use<> {
        let (base, index) = (self.base_layer, u64::from(self.index));
        (self.own_layers()..=self.proof_layers).map(move |up| (base + up, (index >> up) ^ 1))
    }

    /// Hashes of an answer: the span, and its proof.
    pub fn answer_hashes(&self) -> usize {
        let uncles = (self.proof_layers + 1).saturating_sub(self.own_layers());
        self.length as usize + uncles as usize
    }

    /// The leaves below the span.
    pub(crate) fn leaves(&self, shape: &TreeShape) -> Range<u64> {
        let start = u64::from(self.index) << self.base_layer;
        let end = start + (u64::from(self.length) << self.base_layer);
        start..end.min(shape.leaves)
    }

    /// The node that span and proof lead to. What is missing of a span at the end of its layer is padding.
    pub(crate) fn proven(&self, hashes: &[Hash], uncles: &[Hash]) -> Hash {
        let mut node =
            merkle::nodes_root(&mut hashes.to_vec(), self.base_layer, self.base_layer + self.own_layers());
        let mut index = u64::from(self.index) >> self.own_layers();
        for uncle in uncles {
            node = if index.is_multiple_of(2) {
                merkle::parent(&node, uncle)
            } else {
                merkle::parent(uncle, &node)
            };
            index /= 2;
        }
        node
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const SHAPE: TreeShape = TreeShape { leaves: 11, height: 4, piece_layer: 2 };

    fn span(base_layer: u32, index: u32, length: u32, proof_layers: u32) -> HashSpan {
        HashSpan { root: [0; 32], base_layer, index, length, proof_layers }
    }

    #[test]
    fn a_tree_is_as_high_as_its_leaves_need() {
        let block = u64::from(BLOCK_BYTES);
        let shape = |blocks: u64| TreeShape::of(&Geometry::new(blocks * block, 4 * BLOCK_BYTES).unwrap(), 0);
        assert_eq!(shape(11), Some(SHAPE));
        assert_eq!(shape(3), Some(TreeShape { leaves: 3, height: 2, piece_layer: 2 }));
        assert_eq!(shape(1), Some(TreeShape { leaves: 1, height: 0, piece_layer: 0 }));
        assert_eq!(SHAPE.layer_hashes(2), 3);
    }

    #[test]
    fn only_spans_of_the_tree_fit() {
        for good in [
            span(0, 0, 4, 1),
            span(0, 8, 4, 3),
            span(0, 8, 3, 3),
            span(0, 0, 16, 3),
            span(2, 0, 4, 1),
            span(2, 0, 3, 1),
            span(2, 2, 2, 0),
            span(2, 2, 1, 1),
        ] {
            assert!(good.fits(&SHAPE), "{good:?}");
        }
        for bad in [
            span(0, 0, 0, 0),
            span(0, 2, 4, 0),
            span(0, 0, 3, 0),
            span(0, 12, 4, 0),
            span(0, 0, 32, 0),
            span(0, 0, 4, 4),
            span(2, 0, 4, 2),
            span(4, 0, 1, 0),
            span(5, 0, 2, 0),
            span(0, u32::MAX, 1, 0),
            span(u32::MAX, 0, 2, 0),
            span(0, 0, u32::MAX, 0),
            span(0, 0, 2, u32::MAX),
        ] {
            assert!(!bad.fits(&SHAPE), "{bad:?}");
        }
    }

    #[test]
    fn a_proof_leaves_out_what_the_span_tells() {
        let uncles = |span: HashSpan| span.uncles().collect::<Vec<_>>();
        assert_eq!(uncles(span(0, 8, 4, 3)), [(2, 3), (3, 0)]);
        assert_eq!(uncles(span(0, 8, 4, 1)), []);
        assert_eq!(uncles(span(0, 0, 16, 3)), []);
        assert_eq!(uncles(span(2, 2, 1, 1)), [(2, 3), (3, 0)]);
        for span in [span(0, 8, 4, 3), span(0, 8, 3, 1), span(2, 2, 1, 1), span(0, 0, 16, 3)] {
            assert_eq!(span.answer_hashes(), span.length as usize + uncles(span).len());
        }
    }
}
