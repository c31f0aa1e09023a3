//! Files held against a torrent: which pieces are right, and which bytes of which files are not.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use rustix::fs::{SeekFrom, seek};

use crate::content_files::ContentFiles;
use crate::hash_pass::{self, PieceDigests, PieceSink};
use crate::hashes::Judgement;
use crate::{ContentPaths, FileFault, Geometry, PassOptions, PieceHashes, PieceIndex, PiecesError};

/// What a check found. Good is what is not named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// Pieces that have the torrent's hashes.
    pub good_pieces: u32,
    /// Faults of whole files, by number in [`Geometry::files`].
    pub faults: BTreeMap<usize, FileFault>,
    /// Ranges of files, in the torrent's order; neighbours are joined.
    pub damage: Vec<Damage>,
}

/// A range of a file that is not known to be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file's number in [`Geometry::files`].
    pub file: usize,
    /// Bytes of the file.
    pub range: Range<u64>,
    /// Why.
    pub reason: DamageReason,
    /// Bytes of the range that were never written: holes of a sparse file. Damage that is all holes is a download
    /// that was not finished.
    pub hole_bytes: u64,
}

/// Why a range is not right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageReason {
    /// The bytes are there, and each piece in the range has a wrong one at least.
    Wrong,
    /// The file ends before, or is not there.
    Missing,
    /// The system could not read the file.
    Unreadable,
    /// The bytes share a piece with others that are missing or unreadable: nothing says whether they are right.
    Unproven,
    /// v1 hashes say one thing and v2 hashes another: the torrent contradicts itself.
    Contradiction,
}

/// Hashes files, one path for each entry of the torrent's list, and compares. Files that are missing or cannot be
/// read are part of the result. Blocks for long: call it on a worker; memory as [`crate::hash_files`].
pub fn check_files(
    geometry: &Geometry,
    hashes: PieceHashes,
    paths: &ContentPaths,
    uncached: bool,
    options: PassOptions<'_>,
) -> Result<CheckReport, PiecesError> {
    let hashes = hashes.checked(geometry)?;
    // Nobody can send what is missing.
    if hashes.v1.is_none() && hashes.files_without_layer(geometry).next().is_some() {
        return Err(PiecesError::NoHashes);
    }
    let files = ContentFiles::new(geometry, paths, uncached);
    files.survey(options.cancelled)?;
    let sizes = present(geometry, &files.faults());
    let check = Check::new(geometry, &hashes);
    for (n, span) in geometry.files().iter().enumerate() {
        let size = sizes.get(&n).copied().unwrap_or(span.length);
        let missing = if size < span.length { span.start + size..span.end() } else { 0..0 };
        geometry
            .pieces_in(&missing)
            .filter_map(|n| geometry.piece(n))
            .for_each(|piece| check.set(piece, Mark::Incomplete));
    }
    hash_pass::hash_pieces(geometry, 0..geometry.piece_count(), hashes.wanted(), &files, &check, options)?;
    // Pieces that need no reading, and halves of odd numbers.
    options.progress.store(geometry.content_length(), Ordering::Relaxed);
    let faults = files.faults();
    let mut damage = check.damage(&sizes, &faults);
    for found in damage.iter_mut().filter(|found| found.reason == DamageReason::Wrong) {
        // A hint only: where it cannot be told there are no holes.
        found.hole_bytes =
            File::open(files.path(found.file)).map_or(0, |file| hole_bytes(&file, &found.range));
    }
    Ok(CheckReport { good_pieces: check.good_pieces(), faults, damage })
}

/// Bytes that are there of files that are not as long as they should be.
fn present(geometry: &Geometry, faults: &BTreeMap<usize, FileFault>) -> BTreeMap<usize, u64> {
    let length = |file: usize| geometry.files().get(file).map_or(0, |span| span.length);
    let size = |(file, fault): (&usize, &FileFault)| match fault {
        FileFault::Missing | FileFault::NotAFile => (*file, 0),
        FileFault::Short(size) => (*file, *size),
        FileFault::Long(_) | FileFault::Unreadable(_) | FileFault::Changed(_) => (*file, length(*file)),
    };
    faults.iter().map(size).collect()
}

/// Bytes of a range that were never written.
fn hole_bytes(file: &File, range: &Range<u64>) -> u64 {
    let (mut at, mut bytes) = (range.start, 0);
    while at < range.end {
        let data = seek(file, SeekFrom::Data(at)).unwrap_or(range.end).clamp(at, range.end);
        bytes += data - at;
        at = seek(file, SeekFrom::Hole(data)).unwrap_or(range.end).max(data + 1);
    }
    bytes
}

/// What is known of a piece.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Unread,
    /// A file ends early: the piece cannot be right and is not read.
    Incomplete,
    Judged(Judgement),
}

struct Check<'a> {
    geometry: &'a Geometry,
    hashes: &'a PieceHashes,
    marks: Mutex<Vec<Mark>>,
}

impl<'a> Check<'a> {
    fn new(geometry: &'a Geometry, hashes: &'a PieceHashes) -> Self {
        let marks = Mutex::new(vec![Mark::Unread; geometry.piece_count() as usize]);
        Self { geometry, hashes, marks }
    }

    fn set(&self, piece: PieceIndex, mark: Mark) {
        if let Some(slot) = self.marks.lock().get_mut(piece.get() as usize) {
            *slot = mark;
        }
    }

    fn get(&self, piece: PieceIndex) -> Mark {
        self.marks.lock().get(piece.get() as usize).copied().unwrap_or(Mark::Unread)
    }

    fn good_pieces(&self) -> u32 {
        self.marks.lock().iter().filter(|mark| **mark == Mark::Judged(Judgement::Good)).count() as u32
    }

    fn damage(&self, sizes: &BTreeMap<usize, u64>, faults: &BTreeMap<usize, FileFault>) -> Vec<Damage> {
        let mut damage: Vec<Damage> = Vec::new();
        let mut add = |file: usize, range: Range<u64>, reason: DamageReason| {
            if range.is_empty() {
                return;
            }
            match damage.last_mut() {
                Some(last) if (last.file, last.reason, last.range.end) == (file, reason, range.start) => {
                    last.range.end = range.end;
                }
                _ => damage.push(Damage { file, range, reason, hole_bytes: 0 }),
            }
        };
        for piece in self.geometry.pieces() {
            let mark = self.get(piece);
            let start = self.geometry.piece_offset(piece);
            for part in self.geometry.parts(&(start..start + u64::from(self.geometry.piece_bytes(piece)))) {
                let (file, range) = (part.file, part.range);
                match mark {
                    Mark::Judged(Judgement::Good) => {}
                    Mark::Judged(Judgement::Bad) => add(file, range, DamageReason::Wrong),
                    Mark::Judged(Judgement::Contradiction) => add(file, range, DamageReason::Contradiction),
                    Mark::Unread if faults.contains_key(&file) => add(file, range, DamageReason::Unreadable),
                    Mark::Unread => add(file, range, DamageReason::Unproven),
                    Mark::Incomplete => {
                        let size = sizes.get(&file).copied().unwrap_or(u64::MAX);
                        let end = size.clamp(range.start, range.end);
                        add(file, range.start..end, DamageReason::Unproven);
                        add(file, end..range.end, DamageReason::Missing);
                    }
                }
            }
        }
        damage
    }
}

impl PieceSink for Check<'_> {
    fn wants(&self, piece: PieceIndex) -> bool {
        self.get(piece) == Mark::Unread
    }

    fn hashed(&self, piece: PieceIndex, digests: PieceDigests) {
        self.set(piece, Mark::Judged(self.hashes.judge_digests(self.geometry, piece, None, digests)));
    }

    fn unread(&self, _piece: PieceIndex, _error: io::Error) -> Result<(), PiecesError> {
        Ok(())
    }
}
