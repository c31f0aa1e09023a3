//! Going on where an earlier run ended.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Backing, Store};
use crate::{FileId, FileIdentity, PiecesError, PlacedFile, ResumeDb, ResumeRecord, Resumed};

impl Store {
    /// Marks servable what the record under `key` says, as far as the files are still those that it was made of, and
    /// notes there that they are about to be written to. The rest of the answer is the caller's to do: pieces to be
    /// verified, and trusted ones to be scrubbed. To be called before pieces come in. Blocks: call on a worker.
    pub fn resume(&self, db: &ResumeDb, key: &[u8; 32]) -> Resumed {
        let backing = self.backing();
        let files = self.placed(&backing);
        let record = db.load(key);
        let resumed = record.map_or_else(
            || Resumed::nothing(&self.geometry, &files),
            |record| record.trust(&self.geometry, &files),
        );
        for piece in self.geometry.pieces().filter(|piece| resumed.trusted.get(piece.get())) {
            self.servable.set(piece.get());
        }
        if backing.writable {
            let trusted = resumed.trusted.to_bytes();
            db.save(key, &ResumeRecord::new(&self.geometry, trusted, &files, true));
        }
        resumed
    }

    /// Keeps under `key` what is on the medium now: written, synced, and only then recorded. `open`: pieces go on
    /// coming in. After a scrub that found pieces wrong, to be called before these are fetched again. An error is one
    /// of writing or syncing; whether the record could be kept is the database's to tell. Blocks: call on a worker.
    pub fn save(&self, db: &ResumeDb, key: &[u8; 32], open: bool) -> Result<(), PiecesError> {
        let had = self.checkpoint()?;
        let backing = self.backing();
        let files = self.placed(&backing);
        db.save(key, &ResumeRecord::new(&self.geometry, had, &files, open && backing.writable));
        Ok(())
    }

    /// The files under the store in the order of their numbers. One that cannot be opened counts as missing.
    fn placed(&self, backing: &Backing) -> Vec<PlacedFile> {
        let mut pieces: BTreeMap<FileId, Range<u32>> = BTreeMap::new();
        let mut start = 0;
        for run in backing.extents.runs() {
            let range = start..start + run.length;
            start = range.end;
            let Some(file) = run.file else { continue };
            let of_run = self.geometry.pieces_in(&range);
            let of_file = pieces.entry(file).or_insert_with(|| of_run.clone());
            *of_file = of_file.start.min(of_run.start)..of_file.end.max(of_run.end);
        }
        let identity = |file| FileIdentity::of(&backing.extents.files().open(file)?.file);
        let placed = |(file, pieces)| PlacedFile { pieces, identity: identity(file).ok() };
        pieces.into_iter().map(placed).collect()
    }
}
