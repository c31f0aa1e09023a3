//! The hashes a torrent promises, and how a piece is held against them.

use std::io;

use crate::hasher::PieceHasher;
use crate::merkle::{self, Hash};
use crate::{Geometry, PieceIndex, PiecesError, TorrentHashes};

/// What the torrent says its pieces hash to; v1, v2 or (hybrid) both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceHashes {
    /// BEP 3: SHA-1 of each piece, piece count × 20 bytes.
    pub v1: Option<Vec<u8>>,
    /// BEP 52.
    pub v2: Option<V2Hashes>,
}

/// The v2 side of the promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V2Hashes {
    /// The pieces root.
    pub root: [u8; 32],
    /// The piece layer, piece count × 32 bytes. A torrent of one piece has none (`None` or empty: its root
    /// judges the piece); a longer one from a magnet link may still lack it, and then v1 judges pieces.
    pub layer: Option<Vec<u8>>,
}

impl From<TorrentHashes> for PieceHashes {
    fn from(hashes: TorrentHashes) -> Self {
        let layer = (!hashes.piece_layer.is_empty()).then_some(hashes.piece_layer);
        Self { v1: Some(hashes.pieces), v2: Some(V2Hashes { root: hashes.pieces_root, layer }) }
    }
}

/// What hashing says about one piece.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Good,
    Bad,
    /// v1 says one thing and v2 the other: the torrent contradicts itself, no sender is to blame.
    Contradiction,
}

/// Judges one piece: feed all its bytes in order, then ask.
pub(crate) struct PieceJudge<'a> {
    hashes: &'a PieceHashes,
    hasher: PieceHasher,
    height: u32,
    piece: PieceIndex,
    /// The torrent has no other piece: the pieces root is this piece's.
    only: bool,
}

impl PieceHashes {
    /// Checks sizes against the geometry and the layer against its root, and that something judges pieces.
    pub(crate) fn checked(mut self, geometry: &Geometry) -> Result<Self, PiecesError> {
        let count = geometry.piece_count();
        if let Some(pieces) = &self.v1 {
            check_bytes("pieces", pieces, u64::from(count) * 20)?;
        }
        if let Some(v2) = &mut self.v2 {
            v2.layer = v2.layer.take().filter(|layer| !layer.is_empty());
            if let Some(layer) = &v2.layer {
                check_bytes("piece layer", layer, if count == 1 { 0 } else { u64::from(count) * 32 })?;
                if merkle::layer_root(layer, geometry.piece_length()) != v2.root {
                    return Err(PiecesError::LayerRoot);
                }
            }
        }
        let v2_judges = self.v2.as_ref().is_some_and(|v2| count == 1 || v2.layer.is_some());
        if self.v1.is_some() || v2_judges { Ok(self) } else { Err(PiecesError::NoHashes) }
    }

    /// Whether the pieces root can be checked only over all pieces at once.
    pub(crate) fn lacks_layer(&self, geometry: &Geometry) -> bool {
        geometry.piece_count() > 1 && self.v2.as_ref().is_some_and(|v2| v2.layer.is_none())
    }

    /// Starts judging a piece.
    pub(crate) fn judge(&self, geometry: &Geometry, piece: PieceIndex) -> PieceJudge<'_> {
        let hasher = PieceHasher::new(self.v1.is_some(), self.v2.is_some());
        let (height, only) = (merkle::subtree_height(geometry, piece), geometry.piece_count() == 1);
        PieceJudge { hashes: self, hasher, height, piece, only }
    }
}

impl PieceJudge<'_> {
    pub(crate) fn update(&mut self, data: &[u8]) {
        self.hasher.update(data);
    }

    /// The judgement, and the piece's v2 root when there is a v2 side.
    pub(crate) fn finish(mut self) -> (Judgement, Option<Hash>) {
        let height = self.height;
        let (sha1, root) = self.hasher.finish(|_| height);
        let at = self.piece.get() as usize;
        let v1 = self.hashes.v1.as_ref().map(|pieces| pieces.as_chunks().0.get(at) == sha1.as_ref());
        let v2 = self.hashes.v2.as_ref().and_then(|v2| match &v2.layer {
            Some(layer) => Some(layer.as_chunks().0.get(at) == root.as_ref()),
            None if self.only => Some(Some(v2.root) == root),
            None => None,
        });
        let judgement = match (v1, v2) {
            (Some(true), Some(false)) | (Some(false), Some(true)) => Judgement::Contradiction,
            (None, None) | (Some(false), _) | (_, Some(false)) => Judgement::Bad,
            _ => Judgement::Good,
        };
        (judgement, root)
    }
}

/// The error of a [`Judgement::Contradiction`].
pub(crate) fn contradiction() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the torrent's v1 and v2 hashes contradict each other")
}

fn check_bytes(what: &'static str, bytes: &[u8], expected: u64) -> Result<(), PiecesError> {
    if bytes.len() as u64 == expected {
        Ok(())
    } else {
        Err(PiecesError::HashBytes { what, expected, got: bytes.len() })
    }
}
