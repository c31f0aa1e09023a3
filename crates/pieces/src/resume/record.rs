//! Which pieces a torrent had, in which files, and what of that may be believed now.

use std::ops::Range;

use super::codec::{RecordReader, RecordWriter};
use crate::identity::FileChange;
use crate::sha::Sha256Stream;
use crate::{Bitmap, FileIdentity, Geometry};

const VERSION: u8 = 1;
/// Flag: a writer had the torrent open.
const OPEN: u8 = 1;

/// What is known of a torrent's bytes at one moment: synced first, recorded after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeRecord {
    geometry: [u8; 32],
    pieces: u32,
    /// BEP 3 bitfield.
    had: Vec<u8>,
    files: Vec<Option<FileIdentity>>,
    open: bool,
}

/// A file that holds bytes of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedFile {
    /// The pieces that have bytes in it.
    pub pieces: Range<u32>,
    /// `None` while there is no file.
    pub identity: Option<FileIdentity>,
}

/// What a record is worth now.
#[derive(Debug)]
pub struct Resumed {
    /// Pieces to take as had at once. Scrub them in the background: nobody has looked at their bytes.
    pub trusted: Bitmap,
    /// Pieces to hash before they are had.
    pub to_check: Vec<Range<u32>>,
    /// The last run did not come to its end: scrub before anything else that can wait.
    pub crashed: bool,
    /// Files, by number, whose pieces are not trusted.
    pub changed: Vec<(usize, FileChange)>,
}

impl ResumeRecord {
    /// The pieces `had` (a BEP 3 bitfield) are on disk, synced, in these files. `open`: whether a writer goes on.
    pub fn new(geometry: &Geometry, had: Vec<u8>, files: &[PlacedFile], open: bool) -> Self {
        Self {
            geometry: digest(geometry),
            pieces: geometry.piece_count(),
            had,
            files: files.iter().map(|file| file.identity).collect(),
            open,
        }
    }

    /// Holds the record against the files as they are now, given in the same order as when it was made.
    ///
    /// After a clean end a file must be as it was. After a crash it was written to since, so its time says nothing;
    /// but what was recorded had been synced, and a piece that is had is not written again.
    pub fn trust(&self, geometry: &Geometry, files: &[PlacedFile]) -> Resumed {
        let same_torrent = self.geometry == digest(geometry) && self.files.len() == files.len();
        let Some(had) = Bitmap::from_bytes(geometry.piece_count(), &self.had).filter(|_| same_torrent) else {
            return Resumed::nothing(geometry, files);
        };
        // Where nothing was ever written after a crash, a look is cheap: a hole is not hashed.
        let mut check: Vec<bool> =
            geometry.pieces().map(|piece| self.open && !had.get(piece.get())).collect();
        let mut changed = Vec::new();
        for (n, (was, file)) in self.files.iter().zip(files).enumerate() {
            let change = match (was, &file.identity) {
                (None, None) => None,
                (Some(was), Some(now)) => now.change_since(was),
                (Some(_), None) => Some(FileChange::Missing),
                (None, Some(_)) => Some(FileChange::Replaced),
            };
            if change.is_some_and(|change| !(self.open && change == FileChange::Modified)) {
                changed.extend(change.map(|change| (n, change)));
                for piece in file.pieces.clone() {
                    had.clear(piece);
                    check.get_mut(piece as usize).into_iter().for_each(|check| *check = true);
                }
            }
        }
        for file in files.iter().filter(|file| file.identity.is_none()) {
            for piece in file.pieces.clone() {
                had.clear(piece);
                check.get_mut(piece as usize).into_iter().for_each(|check| *check = false);
            }
        }
        Resumed { trusted: had, to_check: runs(&check), crashed: self.open, changed }
    }

    /// For [`Self::decode`].
    pub fn encode(&self) -> Vec<u8> {
        let mut out = RecordWriter::new(VERSION);
        out.bytes(&[if self.open { OPEN } else { 0 }]);
        out.bytes(&self.geometry);
        out.u32(self.pieces);
        out.bytes(&self.had);
        out.u32(self.files.len() as u32);
        for file in &self.files {
            out.maybe(file.as_ref(), RecordWriter::identity);
        }
        out.finish()
    }

    /// `None` when the bytes are damaged, or of another version. Takes memory in proportion to the input.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = RecordReader::new(bytes, VERSION)?;
        let open = match fields.u8()? {
            0 => false,
            OPEN => true,
            _ => return None,
        };
        let geometry = fields.array()?;
        let pieces = fields.u32()?;
        let had = fields.bytes(pieces.div_ceil(8) as usize)?.to_vec();
        let count = fields.u32()?;
        let mut files = Vec::new();
        for _ in 0..count {
            files.push(fields.maybe(RecordReader::identity).ok()?);
        }
        fields.end()?;
        Some(Self { geometry, pieces, had, files, open })
    }
}

impl Resumed {
    /// No record, or none of this torrent: all that has a file is hashed.
    pub fn nothing(geometry: &Geometry, files: &[PlacedFile]) -> Self {
        let mut check = vec![false; geometry.piece_count() as usize];
        for file in files.iter().filter(|file| file.identity.is_some()) {
            for piece in file.pieces.clone() {
                check.get_mut(piece as usize).into_iter().for_each(|check| *check = true);
            }
        }
        Self {
            trusted: Bitmap::new(geometry.piece_count()),
            to_check: runs(&check),
            crashed: false,
            changed: Vec::new(),
        }
    }
}

/// What cuts a torrent into pieces and files.
fn digest(geometry: &Geometry) -> [u8; 32] {
    let mut hash = Sha256Stream::new();
    hash.update(&geometry.length().to_le_bytes());
    hash.update(&geometry.piece_length().to_le_bytes());
    for file in geometry.files() {
        hash.update(&file.start.to_le_bytes());
        hash.update(&file.length.to_le_bytes());
    }
    hash.finish()
}

fn runs(flags: &[bool]) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for (n, _) in flags.iter().enumerate().filter(|(_, flag)| **flag) {
        let n = n as u32;
        match runs.last_mut().filter(|run| run.end == n) {
            Some(run) => run.end += 1,
            None => runs.push(n..n + 1),
        }
    }
    runs
}

#[cfg(test)]
#[path = "record_test.rs"]
mod tests;
