//! Hashes of v2 trees: given to peers with their proof, and taken from peers where the torrent came without them or a
//! piece failed (BEP 52).

use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::Store;
use crate::hash_span::{HashSpan, SPAN_HASHES, TreeShape};
use crate::hashes;
use crate::merkle::{self, Hash};
use crate::sha;
use crate::{BLOCK_BYTES, PieceIndex, PieceOutcome, PieceVerdict};

/// Bytes read at a time to be hashed.
const PORTION_BYTES: usize = 256 * 1024;
/// Hashes of a piece layer that are asked for at once: the BEP says not to ask for more.
const CHUNK_HASHES: u32 = 512;
/// Layers between a piece layer and the row that is kept to shorten proofs in long ones.
const ROW_LAYERS: u32 = CHUNK_HASHES.trailing_zeros();

/// What came of hashes that a peer sent.
#[derive(Debug)]
pub enum HashesTaken {
    /// They do not lead to the root: whoever sent them made them up.
    Wrong,
    /// The v2 hashes of these pieces are known now. The verdicts are of pieces whose bytes were there before.
    Known(Range<u32>, Vec<PieceVerdict>),
    /// The leaves of a piece were held against its failed attempts: who sent bad ones, if that was not clear yet.
    Leaves(Option<PieceVerdict>),
}

/// A row of a piece layer's tree: one hash for each 512 pieces.
pub(super) struct LayerRow {
    file: usize,
    hashes: Vec<Hash>,
}

impl Store {
    /// Whether the piece can be judged: of a v2 torrent without piece layers only those can whose hash has come.
    pub fn can_judge(&self, piece: PieceIndex) -> bool {
        self.hashes.v1.is_some() || self.v2_hash(piece).is_some()
    }

    /// The pieces whose v2 hash is not known, as a BEP 3 bitfield; `None` when there are none.
    pub fn missing_hashes(&self) -> Option<Vec<u8>> {
        self.late.as_ref()?.missing(&self.geometry)
    }

    /// The piece layer of a file (its number in [`crate::Geometry::files`]); `None` while it is not known. Empty where there
    /// is none: the file is no longer than a piece.
    pub fn piece_layer(&self, file: usize) -> Option<Vec<u8>> {
        self.hashes.v2.as_ref()?.get(file)?;
        if self.geometry.pieces_of(file).len() < 2 {
            return Some(Vec::new());
        }
        self.layer_of(file).map(|layer| layer.to_vec())
    }

    /// Which hashes to ask a peer for, to learn the v2 hash of the piece and of its neighbours, and of which pieces they
    /// are. `None` when it is known.
    pub fn hash_span(&self, piece: PieceIndex) -> Option<(HashSpan, Range<u32>)> {
        let file = self.geometry.file_of(piece)?;
        let root = self.hashes.v2.as_ref()?.get(file)?.root;
        if self.v2_hash(piece).is_some() {
            return None;
        }
        let (shape, pieces) = (TreeShape::of(&self.geometry, file)?, self.geometry.pieces_of(file));
        let index = (piece.get() - pieces.start) / CHUNK_HASHES * CHUNK_HASHES;
        let left = pieces.len() as u32 - index;
        let span = HashSpan {
            root,
            base_layer: shape.piece_layer,
            index,
            // Not a single one, which the BEP forbids: with a neighbour that is padding.
            length: left.next_power_of_two().clamp(2, CHUNK_HASHES),
            proof_layers: shape.height.checked_sub(shape.piece_layer + 1)?,
        };
        let first = pieces.start + index;
        Some((span, first..pieces.end.min(first + CHUNK_HASHES)))
    }

    /// Which hashes to ask a peer for, to learn the leaves of a piece whose own hash is known; `None` when that says
    /// nothing new, or is more than may be asked for.
    pub fn leaf_span(&self, piece: PieceIndex) -> Option<HashSpan> {
        let file = self.geometry.file_of(piece)?;
        let root = self.hashes.v2.as_ref()?.get(file)?.root;
        let (shape, first) = (TreeShape::of(&self.geometry, file)?, self.geometry.pieces_of(file).start);
        let leaves =
            1_u32.checked_shl(shape.piece_layer).filter(|leaves| (2..=SPAN_HASHES).contains(leaves))?;
        self.v2_hash(piece)?;
        let index = (piece.get() - first).checked_mul(leaves)?;
        Some(HashSpan { root, base_layer: 0, index, length: leaves, proof_layers: shape.piece_layer - 1 })
    }

    /// Takes in hashes that a peer sent for a span of [`Self::hash_span`] or [`Self::leaf_span`], for this piece.
    pub fn take_hashes(&self, piece: PieceIndex, span: &HashSpan, answer: &[u8]) -> HashesTaken {
        let (answer, rest) = answer.as_chunks::<32>();
        let file = self.geometry.file_of(piece);
        let known =
            file.and_then(|n| Some((n, TreeShape::of(&self.geometry, n)?, self.hashes.v2.as_ref()?.get(n)?)));
        let Some((file, shape, hashes)) = known.filter(|(_, shape, hashes)| {
            rest.is_empty()
                && span.root == hashes.root
                && span.fits(shape)
                && answer.len() == span.answer_hashes()
        }) else {
            return HashesTaken::Wrong;
        };
        let (own, uncles) = answer.split_at(span.length as usize);
        let proven = span.proven(own, uncles);
        if span.base_layer == 0 && shape.piece_layer > 0 {
            return self.take_leaves(piece, own, proven);
        }
        let hashed = shape.layer_hashes(span.base_layer) - u64::from(span.index);
        let (own, padding) = own.split_at(own.len().min(hashed as usize));
        let blank = merkle::zero_root(span.base_layer);
        if proven != hashes.root || padding.iter().any(|hash| *hash != blank) {
            return HashesTaken::Wrong;
        }
        let first = self.geometry.pieces_of(file).start + span.index;
        let mut verdicts = Vec::new();
        // Files that are alike have one root, and one layer.
        for alike in self.files_of_root(&span.root) {
            let first = self.geometry.pieces_of(alike).start + span.index;
            verdicts.extend(self.install(alike, first, own));
        }
        HashesTaken::Known(first..first + own.len() as u32, verdicts)
    }

    fn take_leaves(&self, piece: PieceIndex, leaves: &[Hash], proven: Hash) -> HashesTaken {
        if Some(proven) != self.v2_hash(piece) {
            return HashesTaken::Wrong;
        }
        let (senders, culprits) = self.suspects.lock().convict(piece.get(), leaves);
        let verdict = PieceVerdict { piece, outcome: PieceOutcome::Blamed, senders, culprits };
        HashesTaken::Leaves(Some(verdict).filter(|verdict| !verdict.senders.is_empty()))
    }

    /// Keeps proven hashes, and holds against them what was there before.
    fn install(&self, file: usize, first: u32, hashes: &[Hash]) -> Vec<PieceVerdict> {
        let Some(late) = &self.late else { return Vec::new() };
        let settled = late.install(&self.geometry, file, first, hashes);
        let mut lost = settled.wrong.iter().filter(|piece| self.servable.get(piece.get())).peekable();
        if lost.peek().is_some() {
            // v1 has passed them, and the torrent itself is wrong; or an earlier run had, and the bytes are others now.
            for piece in lost {
                self.servable.clear(piece.get());
            }
            let changed = || io::Error::new(io::ErrorKind::UnexpectedEof, "pieces are not what was recorded");
            self.note_fault(&if self.hashes.v1.is_some() { hashes::contradiction() } else { changed() });
        }
        let newly = |piece: &PieceIndex| self.hashes.v1.is_none() && self.servable.set(piece.get());
        let verdict = |piece| PieceVerdict {
            piece,
            outcome: PieceOutcome::Good,
            senders: Vec::new(),
            culprits: Vec::new(),
        };
        settled.right.into_iter().filter(newly).map(verdict).collect()
    }

    /// The pieces that must be read and hashed to answer a request, often none; `None` when it is to be refused.
    pub fn hash_source(&self, span: &HashSpan) -> Option<Range<u32>> {
        self.source_of(span).map(|(_, pieces)| pieces)
    }

    /// The hashes of a request with their proof, end to end. `None` when it is to be refused. Blocks while it reads and
    /// hashes: call on a worker.
    pub fn answer_hashes(&self, span: &HashSpan) -> Option<Vec<u8>> {
        let (file, pieces) = self.source_of(span)?;
        let shape = TreeShape::of(&self.geometry, file)?;
        let layer = self.layer_of(file);
        let mut leaves = Vec::new();
        for piece in pieces.clone().filter_map(|n| self.geometry.piece(n)) {
            let of_piece = self.piece_leaves(piece).ok()?;
            let root =
                merkle::leaves_root(&mut of_piece.clone(), merkle::subtree_height(&self.geometry, piece));
            // What is not what it was is not passed on: who sends wrong hashes is banned.
            if Some(root) != self.v2_hash(piece) {
                return None;
            }
            leaves.extend(of_piece);
        }
        let first_leaf =
            u64::from(pieces.start.saturating_sub(self.geometry.pieces_of(file).start)) << shape.piece_layer;
        let row = layer.as_deref().and_then(|layer| self.row_of(file, &shape, layer));
        let node = |layer_n: u32, index: u64| -> Option<Hash> {
            if layer_n >= shape.piece_layer && shape.height > shape.piece_layer {
                let layer = layer.as_deref()?.as_chunks().0;
                return Some(match &row {
                    Some(row) if layer_n >= shape.piece_layer + ROW_LAYERS => {
                        subtree(&row.hashes, shape.piece_layer + ROW_LAYERS, layer_n, index)
                    }
                    _ => subtree(layer, shape.piece_layer, layer_n, index),
                });
            }
            let start = (index << layer_n).checked_sub(first_leaf)?;
            Some(subtree(leaves.get((start as usize).min(leaves.len())..)?, 0, layer_n, 0))
        };
        let own = (0..u64::from(span.length)).map(|n| (span.base_layer, u64::from(span.index) + n));
        let mut answer = Vec::with_capacity(32 * span.answer_hashes());
        for (layer, index) in own.chain(span.uncles()) {
            answer.extend(node(layer, index)?);
        }
        Some(answer)
    }

    /// The file whose tree is meant and the pieces whose leaves are needed; `None` when that cannot be had.
    fn source_of(&self, span: &HashSpan) -> Option<(usize, Range<u32>)> {
        self.files_of_root(&span.root).find_map(|file| {
            let shape = TreeShape::of(&self.geometry, file)?;
            // Layers between leaves and pieces nobody needs, and they cost most.
            let is_leaves = span.base_layer == 0 && shape.piece_layer > 0;
            if !span.fits(&shape) || (!is_leaves && span.base_layer < shape.piece_layer) {
                return None;
            }
            let knows_layer = shape.height == shape.piece_layer || self.layer_of(file).is_some();
            if !is_leaves {
                return knows_layer.then_some((file, 0..0));
            }
            let leads_out = span.uncles().any(|(layer, _)| layer >= shape.piece_layer);
            let (first, leaves) = (self.geometry.pieces_of(file).start, span.leaves(&shape));
            let piece_of = |leaf: u64| first + (leaf >> shape.piece_layer) as u32;
            let pieces = piece_of(leaves.start)..piece_of(leaves.end.checked_sub(1)?) + 1;
            let has = pieces.clone().all(|piece| self.servable.get(piece));
            (has && (knows_layer || !leads_out)).then_some((file, pieces))
        })
    }

    /// The hashes of a servable piece's leaves.
    fn piece_leaves(&self, piece: PieceIndex) -> io::Result<Vec<Hash>> {
        let (start, length) =
            (self.geometry.piece_offset(piece), self.geometry.content_bytes(piece) as usize);
        let mut leaves = Vec::with_capacity(length.div_ceil(BLOCK_BYTES as usize));
        let mut buffer = vec![0; length.min(PORTION_BYTES)];
        let mut done = 0;
        while done < length {
            let portion = buffer.split_at_mut((length - done).min(PORTION_BYTES)).0;
            self.read_exact_at(start + done as u64, portion)?;
            sha::sha256_leaves(portion, &mut leaves);
            done += portion.len();
        }
        Ok(leaves)
    }

    pub(super) fn v2_hash(&self, piece: PieceIndex) -> Option<Hash> {
        self.hashes.v2_of(&self.geometry, piece).or_else(|| self.late_hash(piece))
    }

    pub(super) fn late_hash(&self, piece: PieceIndex) -> Option<Hash> {
        self.late.as_ref()?.proven(piece)
    }

    fn layer_of(&self, file: usize) -> Option<Layer<'_>> {
        match &self.hashes.v2.as_ref()?.get(file)?.layer {
            Some(layer) => Some(Layer::Own(layer)),
            None => self.late.as_ref()?.layer(file).map(Layer::Late),
        }
    }

    /// The row of a long layer, computed once: without it every proof would hash the whole layer.
    fn row_of(&self, file: usize, shape: &TreeShape, layer: &[u8]) -> Option<Arc<LayerRow>> {
        let layer = layer.as_chunks().0;
        if layer.len() <= 2 * CHUNK_HASHES as usize {
            return None;
        }
        let mut rows = self.rows.lock();
        if let Some(row) = rows.iter().find(|row| row.file == file) {
            return Some(Arc::clone(row));
        }
        let chunk = |chunk: &[Hash]| {
            merkle::nodes_root(&mut chunk.to_vec(), shape.piece_layer, shape.piece_layer + ROW_LAYERS)
        };
        let hashes = layer.chunks(CHUNK_HASHES as usize).map(chunk).collect();
        let row = Arc::new(LayerRow { file, hashes });
        rows.push(Arc::clone(&row));
        Some(row)
    }

    /// The files with this root: identical ones have the same.
    fn files_of_root<'a>(&'a self, root: &'a Hash) -> impl Iterator<Item = usize> + 'a {
        let files = self.hashes.v2.as_deref().unwrap_or_default();
        let root_of = |n: u32| files.get(n as usize).map(|file| file.root);
        // A peer may ask about any root as often as it likes.
        let order = self.by_root.get_or_init(|| {
            let mut order: Vec<u32> = (0..files.len() as u32).collect();
            order.sort_by_key(|n| root_of(*n));
            order.into()
        });
        let start = order.partition_point(|n| root_of(*n) < Some(*root));
        let rest = order.get(start..).unwrap_or_default().iter();
        rest.take_while(move |n| root_of(**n) == Some(*root)).map(|n| *n as usize)
    }
}

/// A file's piece layer.
enum Layer<'a> {
    Own(&'a [u8]),
    Late(Arc<[u8]>),
}

impl Deref for Layer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(layer) => layer,
            Self::Late(layer) => layer,
        }
    }
}

/// Node `index` of a layer, over the hashes of a lower one; beyond these there is padding.
fn subtree(below: &[Hash], below_layer: u32, layer: u32, index: u64) -> Hash {
    let width = 1_u64 << (layer - below_layer);
    let clipped = |at: u64| at.min(below.len() as u64) as usize;
    let nodes = below.get(clipped(index * width)..clipped((index + 1) * width)).unwrap_or_default();
    merkle::nodes_root(&mut nodes.to_vec(), below_layer, layer)
}
