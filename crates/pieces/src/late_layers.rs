//! Piece layers that a torrent came without: they arrive from peers in parts, each proven against its file's root, or
//! are put together from pieces that v1 has passed.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::merkle::{self, Hash};
use crate::{Geometry, PieceHashes, PieceIndex};

/// What is known of the v2 hashes of a torrent that came without some piece layer.
pub(crate) struct LateLayers {
    state: Mutex<State>,
}

struct State {
    /// Proven hashes, by piece; of files whose layer came with the torrent none.
    proven: Vec<Option<Hash>>,
    /// Roots of the bytes that are in place, as far as somebody hashed them.
    found: Vec<Option<Hash>>,
    /// Files that came without their layer.
    files: Vec<LateFile>,
}

struct LateFile {
    file: usize,
    root: Hash,
    /// Pieces whose hash is not proven.
    unproven: usize,
    /// Pieces that nobody has hashed where they are.
    unfound: usize,
    /// Once none is unproven.
    layer: Option<Arc<[u8]>>,
}

/// What proven hashes say of the bytes that were there before them.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) right: Vec<PieceIndex>,
    pub(crate) wrong: Vec<PieceIndex>,
    /// Nobody has hashed these.
    pub(crate) unknown: Vec<PieceIndex>,
}

impl LateLayers {
    /// `None` when no layer is missing.
    pub(crate) fn new(geometry: &Geometry, hashes: &PieceHashes) -> Option<Self> {
        let files: Vec<LateFile> = hashes
            .files_without_layer(geometry)
            .map(|(file, root)| {
                let pieces = geometry.pieces_of(file).len();
                LateFile { file, root, unproven: pieces, unfound: pieces, layer: None }
            })
            .collect();
        let pieces = geometry.piece_count() as usize;
        let state = State { proven: vec![None; pieces], found: vec![None; pieces], files };
        (!state.files.is_empty()).then(|| Self { state: Mutex::new(state) })
    }

    /// The proven hash of a piece of a file that came without its layer.
    pub(crate) fn proven(&self, piece: PieceIndex) -> Option<Hash> {
        self.state.lock().proven.get(piece.get() as usize).copied().flatten()
    }

    /// The root of what is in place.
    pub(crate) fn found(&self, piece: PieceIndex) -> Option<Hash> {
        self.state.lock().found.get(piece.get() as usize).copied().flatten()
    }

    /// A file's layer, once all of it is proven.
    pub(crate) fn layer(&self, file: usize) -> Option<Arc<[u8]>> {
        let state = self.state.lock();
        state.files.iter().find(|late| late.file == file)?.layer.clone()
    }

    /// The pieces whose v2 hash is not known, as a BEP 3 bitfield; `None` when there are none.
    pub(crate) fn missing(&self, geometry: &Geometry) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let mut bits = vec![0_u8; geometry.piece_count().div_ceil(8) as usize];
        let mut any = false;
        for late in state.files.iter().filter(|late| late.unproven > 0) {
            for piece in geometry.pieces_of(late.file) {
                let known = state.proven.get(piece as usize).is_some_and(Option::is_some);
                if let Some(byte) = bits.get_mut(piece as usize / 8).filter(|_| !known) {
                    *byte |= 0x80 >> (piece % 8);
                    any = true;
                }
            }
        }
        any.then_some(bits)
    }

    /// Notes the root of a piece that is in place; false when another one is proven.
    pub(crate) fn keep(&self, geometry: &Geometry, piece: PieceIndex, root: Hash) -> bool {
        let mut state = self.state.lock();
        let State { proven, found, files } = &mut *state;
        let at = piece.get() as usize;
        if proven.get(at).copied().flatten().is_some_and(|proven| proven != root) {
            return false;
        }
        let is_first = found.get_mut(at).is_some_and(|slot| slot.replace(root).is_none());
        let file = geometry.file_of(piece);
        if let Some(late) = files.iter_mut().find(|late| Some(late.file) == file && is_first) {
            late.unfound = late.unfound.saturating_sub(1);
            late.conclude(geometry, proven, found);
        }
        true
    }

    /// Takes in hashes of a file, proven against its root, the first of them of piece `first`.
    pub(crate) fn install(&self, geometry: &Geometry, file: usize, first: u32, hashes: &[Hash]) -> Settled {
        let mut settled = Settled::default();
        let mut state = self.state.lock();
        let State { proven, found, files } = &mut *state;
        let Some(late) = files.iter_mut().find(|late| late.file == file) else { return settled };
        for (n, hash) in (first..geometry.pieces_of(file).end).zip(hashes) {
            let (Some(piece), Some(slot)) = (geometry.piece(n), proven.get_mut(n as usize)) else { continue };
            if slot.replace(*hash).is_some() {
                continue;
            }
            late.unproven = late.unproven.saturating_sub(1);
            match found.get(n as usize).copied().flatten() {
                Some(found) if found == *hash => settled.right.push(piece),
                Some(_) => settled.wrong.push(piece),
                None => settled.unknown.push(piece),
            }
        }
        late.finish(geometry, proven);
        settled
    }
}

impl LateFile {
    /// When all pieces are in place and together have the file's root, their roots are its layer.
    fn conclude(&mut self, geometry: &Geometry, proven: &mut [Option<Hash>], found: &[Option<Hash>]) {
        if self.unproven == 0 || self.unfound > 0 {
            return;
        }
        let pieces = geometry.pieces_of(self.file);
        let range = pieces.start as usize..pieces.end as usize;
        let (Some(proven_here), Some(found_here)) = (proven.get_mut(range.clone()), found.get(range)) else {
            return;
        };
        let layer: Vec<u8> = found_here.iter().flatten().flatten().copied().collect();
        if merkle::root_of_pieces(&layer, geometry.piece_length()) == self.root {
            proven_here.copy_from_slice(found_here);
            self.unproven = 0;
            self.finish(geometry, proven);
        }
    }

    fn finish(&mut self, geometry: &Geometry, proven: &[Option<Hash>]) {
        if self.unproven == 0 && self.layer.is_none() {
            let pieces = geometry.pieces_of(self.file);
            let proven = proven.get(pieces.start as usize..pieces.end as usize).unwrap_or_default();
            self.layer = Some(proven.iter().flatten().flatten().copied().collect());
        }
    }
}
