//! A segment's file with its hashes: made once, and again only when the files under it have changed.
use super::BlockIndex;
use super::error::ScanError;
use crate::segments::SegmentKind;
use blockswarm_pieces::{
    Before, Extents, FileId, HashPace, MadeHashes, PieceHashes, ResumeDb, hash_extents, hash_extents_paced,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A segment's file as it is published.
#[derive(Clone)]
pub struct HashedFile {
    /// Where its bytes lie.
    pub extents: Extents,
    /// As a hybrid torrent of one file.
    pub hashes: PieceHashes,
    /// Nobody has read the bytes in this run: the files are as they were when they were hashed.
    pub is_remembered: bool,
}

impl BlockIndex {
    /// Settles a segment's file and hashes it at a pace, or takes both from `db` when no file under it has changed since, and
    /// the hashes when some of its bytes are not what they were: whoever serves it looks at each piece first.
    /// Errors as [`Self::settle`].
    pub fn hashed(
        &self,
        segment: u32,
        kind: SegmentKind,
        piece_length: u32,
        db: Option<&ResumeDb>,
        pace: Option<&HashPace>,
        cancelled: &AtomicBool,
    ) -> Result<HashedFile, ScanError> {
        let _idle = pace.map(HashPace::step_back);
        let key = self.made_key(segment, kind, piece_length)?;
        let ids = self.files_of(segment, kind)?;
        let at = |path: &Path| ids.iter().copied().find(|id| self.files.path(*id).as_deref() == Some(path));
        let made = db.and_then(|db| db.made(&key));
        if let Some((extents, hashes)) = made.as_ref().and_then(|made| made.restore(&self.files, at)) {
            self.recent_inputs.clear();
            return Ok(HashedFile { extents, hashes, is_remembered: true });
        }
        let before = Before::of(&self.files, ids.iter().copied());
        let extents = match (self.settle_at(segment, kind, pace, cancelled), made) {
            (Ok(extents), _) => extents,
            // The chain says what the bytes must be: what is left of them is as good as before.
            (Err(error), Some(made)) if error.is_of_bytes() => {
                let (extents, hashes) = (self.extents(segment, kind).map_err(|_| error)?, made.into_hashes());
                return Ok(HashedFile { extents, hashes, is_remembered: true });
            }
            (Err(error), _) => return Err(error),
        };
        let hashes = match pace {
            Some(pace) => hash_extents_paced(&extents, piece_length, pace, cancelled)?,
            None => hash_extents(&extents, piece_length, cancelled)?,
        };
        let made = before.and_then(|before| MadeHashes::new(before, &extents, &hashes));
        if let (Some(db), Some(made)) = (db, made) {
            db.keep_made(&key, &made);
        }
        Ok(HashedFile { extents, hashes, is_remembered: false })
    }

    /// What says which bytes these are: the last block commits to all before it, and they to what they spend.
    fn made_key(&self, segment: u32, kind: SegmentKind, piece_length: u32) -> Result<[u8; 32], ScanError> {
        let last = self.heights(segment)?.end - 1;
        let tip = self.hash_at(last).ok_or_else(|| self.beyond(last))?;
        let key = Sha256::new_with_prefix(kind.file_name(self.params(), segment))
            .chain_update(piece_length.to_le_bytes())
            .chain_update(tip)
            // Another key gives other bytes from the same files.
            .chain_update(self.key());
        Ok(key.finalize().into())
    }

    /// The files in which the records are.
    fn files_of(&self, segment: u32, kind: SegmentKind) -> Result<BTreeSet<FileId>, ScanError> {
        let overlay = self.overlay.get();
        let file = |height| {
            let found = self.found(height).ok_or_else(|| self.beyond(height))?;
            let hash = self.tree.hash(found.number).unwrap_or_default();
            let own = overlay.as_deref().filter(|overlay| overlay.record(&hash).is_some());
            Ok(match (kind, own) {
                (SegmentKind::Blocks, _) => found.file.pair.blocks_id,
                (SegmentKind::Spent, Some(overlay)) => overlay.file,
                (SegmentKind::Spent, None) => found.file.pair.undo_id,
            })
        };
        // Genesis spends nothing; its own undo file may be missing.
        self.heights(segment)?.filter(|height| kind == SegmentKind::Blocks || *height > 0).map(file).collect()
    }
}
