//! The hashes a torrent promises, and how a piece is held against them.

use std::io;

use crate::hash_pass::{PieceDigests, Wanted};
use crate::merkle::{self, Hash};
use crate::portion::Portion;
use crate::sha::Sha1Streams;
use crate::tree::Tree;
use crate::{Geometry, PieceIndex, PiecesError};

/// What the torrent says its pieces hash to; v1, v2 or (hybrid) both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceHashes {
    /// BEP 3: SHA-1 of each piece, piece count × 20 bytes.
    pub v1: Option<Vec<u8>>,
    /// BEP 52: of each of [`Geometry::files`], in that order.
    pub v2: Option<Vec<FileHashes>>,
}

/// What BEP 52 says of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHashes {
    /// The pieces root.
    pub root: [u8; 32],
    /// The piece layer, pieces of the file × 32 bytes. A file of one piece has none (`None` or empty: its root
    /// judges the piece); a longer one from a magnet link may still lack it: see [`crate::Store::hash_span`].
    pub layer: Option<Vec<u8>>,
}

/// What hashing says about one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Good,
    Bad,
    /// v1 says one thing and v2 the other: the torrent contradicts itself, no sender is to blame.
    Contradiction,
}

/// Judges one piece: feed all its bytes in order, then ask. Keeps what was promised: it needs no torrent.
pub(crate) struct PieceJudge {
    /// One stream.
    v1: Option<(Sha1Streams, Option<[u8; 20]>)>,
    v2: Option<PieceTree>,
}

/// The v2 side of a piece being judged.
struct PieceTree {
    tree: Tree,
    height: u32,
    /// Bytes still to come before the padding, which v2 does not hash.
    content: usize,
    /// `None` while the file's piece layer is not known.
    promised: Option<Hash>,
}

/// Enough to fill the widest lanes with leaves, and little enough for both hashes to find it in the nearest caches.
const PORTION_BYTES: usize = 256 * 1024;

impl PieceHashes {
    /// Checks sizes against the geometry and layers against their roots, and that there is anything to judge by.
    pub(crate) fn checked(mut self, geometry: &Geometry) -> Result<Self, PiecesError> {
        if let Some(pieces) = &self.v1 {
            check_bytes("pieces", pieces.len(), u64::from(geometry.piece_count()) * 20)?;
        }
        if let Some(files) = &mut self.v2 {
            check_bytes("pieces roots", files.len() * 32, geometry.files().len() as u64 * 32)?;
            for (n, file) in files.iter_mut().enumerate() {
                file.check(geometry, n)?;
            }
        }
        if self.v1.is_some() || self.v2.is_some() { Ok(self) } else { Err(PiecesError::NoHashes) }
    }

    /// The files of several pieces whose layer is not here, and their roots.
    pub(crate) fn files_without_layer(&self, geometry: &Geometry) -> impl Iterator<Item = (usize, Hash)> {
        let files = self.v2.as_deref().unwrap_or_default().iter().enumerate();
        let lacks =
            |(n, file): &(usize, &FileHashes)| file.layer.is_none() && geometry.pieces_of(*n).len() > 1;
        files.filter(lacks).map(|(n, file)| (n, file.root))
    }

    /// The hashes that judging takes.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted { v1: self.v1.is_some(), v2: self.v2.is_some() }
    }

    /// The v1 hash of a piece.
    pub(crate) fn v1_of(&self, piece: PieceIndex) -> Option<[u8; 20]> {
        self.v1.as_ref()?.as_chunks().0.get(piece.get() as usize).copied()
    }

    /// The v2 hash of a piece; `None` as well where the piece layer is not known.
    pub(crate) fn v2_of(&self, geometry: &Geometry, piece: PieceIndex) -> Option<Hash> {
        let file = geometry.file_of(piece)?;
        let (pieces, hashes) = (geometry.pieces_of(file), self.v2.as_ref()?.get(file)?);
        if pieces.len() == 1 {
            return Some(hashes.root);
        }
        hashes.layer.as_ref()?.as_chunks().0.get((piece.get() - pieces.start) as usize).copied()
    }

    /// Judges a piece by its hashes; `late` is a v2 hash that came after the torrent.
    pub(crate) fn judge_digests(
        &self,
        geometry: &Geometry,
        piece: PieceIndex,
        late: Option<Hash>,
        digests: PieceDigests,
    ) -> Judgement {
        let v1 = self.v1.as_ref().map(|_| digests.v1.is_some() && digests.v1 == self.v1_of(piece));
        let v2 =
            digests.v2.zip(self.v2_of(geometry, piece).or(late)).map(|(root, promised)| root == promised);
        Judgement::of(v1, v2)
    }

    /// Starts judging a piece; `late` is a v2 hash that came after the torrent.
    pub(crate) fn judge(&self, geometry: &Geometry, piece: PieceIndex, late: Option<Hash>) -> PieceJudge {
        let v1 = self.v1.as_ref().map(|_| (Sha1Streams::new(1), self.v1_of(piece)));
        let v2 = self.v2.as_ref().and(geometry.file_of(piece)).map(|_| {
            let promised = self.v2_of(geometry, piece).or(late);
            let height = merkle::subtree_height(geometry, piece);
            PieceTree { tree: Tree::new(), height, content: geometry.content_bytes(piece) as usize, promised }
        });
        PieceJudge { v1, v2 }
    }
}

impl FileHashes {
    fn check(&mut self, geometry: &Geometry, file: usize) -> Result<(), PiecesError> {
        self.layer = self.layer.take().filter(|layer| !layer.is_empty());
        let Some(layer) = &self.layer else { return Ok(()) };
        let pieces = geometry.pieces_of(file).len();
        check_bytes("piece layer", layer.len(), if pieces == 1 { 0 } else { pieces as u64 * 32 })?;
        if merkle::layer_root(layer, geometry.piece_length()) == self.root {
            Ok(())
        } else {
            Err(PiecesError::LayerRoot)
        }
    }
}

impl PieceTree {
    fn update(&mut self, portion: &[u8]) {
        let content = portion.split_at(self.content.min(portion.len())).0;
        self.content -= content.len();
        self.tree.update(content);
    }
}

impl PieceJudge {
    /// Whether it is cheaper in company: SHA-1 is serial in a piece, SHA-256 finds its leaves within one.
    pub(crate) fn is_serial(&self) -> bool {
        self.v1.is_some()
    }

    pub(crate) fn update(&mut self, data: &[u8]) {
        for portion in data.chunks(PORTION_BYTES) {
            if let Some((sha1, _)) = &mut self.v1 {
                sha1.update(&[portion]);
            }
            if let Some(v2) = &mut self.v2 {
                v2.update(portion);
            }
        }
    }

    /// Adds to each judge the portions of its piece that are left; SHA-1 goes over all pieces in lock step.
    pub(crate) fn update_together(judges: &mut [Self], rests: &[&[Portion]]) {
        let mut all = Sha1Streams::default();
        judges.iter_mut().filter_map(|judge| judge.v1.as_mut()).for_each(|(sha1, _)| all.join(sha1));
        for n in 0..rests.iter().map(|rest| rest.len()).max().unwrap_or(0) {
            let portions: Vec<&[u8]> =
                rests.iter().map(|rest| rest.get(n).map(|portion| &**portion).unwrap_or_default()).collect();
            let serial = judges.iter().zip(&portions).filter(|(judge, _)| judge.is_serial());
            let inputs: Vec<&[u8]> = serial.map(|(_, portion)| *portion).collect();
            all.update(&inputs);
            for (judge, portion) in judges.iter_mut().zip(portions) {
                if let Some(v2) = &mut judge.v2 {
                    v2.update(portion);
                }
            }
        }
        let serial = judges.iter_mut().filter_map(|judge| judge.v1.as_mut());
        serial.zip(all.split()).for_each(|((sha1, _), own)| *sha1 = own);
    }

    /// The judgement, and the piece's v2 root when there is a v2 side.
    pub(crate) fn finish(self) -> (Judgement, Option<Hash>) {
        let v1 = self.v1.map(|(mut sha1, promised)| sha1.finish().first().copied() == promised);
        let root = self.v2.map(|mut v2| (v2.tree.finish(v2.height), v2.promised));
        let v2 = root.and_then(|(root, promised)| Some(root == promised?));
        (Judgement::of(v1, v2), root.map(|(root, _)| root))
    }
}

impl Judgement {
    /// Of what each version says; `None` where it says nothing.
    fn of(v1: Option<bool>, v2: Option<bool>) -> Self {
        match (v1, v2) {
            (Some(true), Some(false)) | (Some(false), Some(true)) => Self::Contradiction,
            (None, None) | (Some(false), _) | (_, Some(false)) => Self::Bad,
            _ => Self::Good,
        }
    }
}

/// The error of a [`Judgement::Contradiction`].
pub(crate) fn contradiction() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the torrent's v1 and v2 hashes contradict each other")
}

fn check_bytes(what: &'static str, got: usize, expected: u64) -> Result<(), PiecesError> {
    if got as u64 == expected { Ok(()) } else { Err(PiecesError::HashBytes { what, expected, got }) }
}
