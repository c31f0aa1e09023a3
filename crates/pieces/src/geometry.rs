//! How a torrent's bytes are cut: files in a row, pieces over them, blocks of 16 KiB (BEP 3, BEP 47, BEP 52).

use std::ops::Range;
use std::sync::Arc;

use crate::PiecesError;

/// Bytes in a block, the unit of requests and of BEP 52 leaves; the last block of a piece may be shorter.
pub const BLOCK_BYTES: u32 = 16 * 1024;

const MAX_LENGTH: u64 = 1 << 53;
const MAX_PIECE_LENGTH: u32 = 512 * 1024 * 1024;
/// A bitfield of 2^21 pieces is 256 KiB: what libtorrent still takes.
const MAX_PIECES: u64 = 1 << 21;
/// As many as pieces: a torrent of more files than that is an attack on memory.
const MAX_FILES: usize = 1 << 21;

/// The number of a piece of one torrent; made by [`Geometry::piece`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceIndex(u32);

impl PieceIndex {
    /// The number itself.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// A file as a torrent lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Bytes in the file.
    pub length: u64,
    /// Filler of BEP 47: zeros that exist nowhere on disk.
    pub padding: bool,
}

/// Where a file's bytes are in the torrent. Files without bytes and padding have no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSpan {
    /// Offset of the file's first byte in the torrent.
    pub start: u64,
    /// Bytes in the file, at least 1.
    pub length: u64,
    /// The file's number in the list that the torrent gave.
    pub entry: usize,
}

impl FileSpan {
    /// Where the file ends in the torrent.
    pub fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// The part of a file that lies in some range of the torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePart {
    /// The file's number in [`Geometry::files`].
    pub file: usize,
    /// Bytes of the file.
    pub range: Range<u64>,
}

/// Files, length and piece length of a torrent, and what follows from them. Cheap to clone.
///
/// The torrent is one row of bytes, `[0, length)`. What lies between two files is padding: in v1 and hybrid
/// torrents it is part of the pieces and reads as zeros, in v2 it is in no piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    files: Arc<[FileSpan]>,
    length: u64,
    piece_length: u32,
    piece_count: u32,
    /// A piece never holds bytes of two files (v2, hybrid).
    aligned: bool,
    /// What is between a file's end and the next piece is in no piece (v2).
    gaps: bool,
}

impl Geometry {
    /// A torrent of one file of `length` bytes (1 to 2^53) in pieces of `piece_length` bytes (a power of two, 16 KiB
    /// to 512 MiB), fewer than 2^21 of them; of any version.
    pub fn new(length: u64, piece_length: u32) -> Result<Self, PiecesError> {
        Self::hybrid(&[FileEntry { length, padding: false }], piece_length)
    }

    /// BEP 3: files end to end, pieces of 1 byte to 512 MiB across them.
    pub fn v1(entries: &[FileEntry], piece_length: u32) -> Result<Self, PiecesError> {
        if !(1..=MAX_PIECE_LENGTH).contains(&piece_length) {
            return Err(PiecesError::PieceLength(piece_length));
        }
        let (files, length) = row(entries, 1)?;
        Self::cut(files, length, piece_length, false, false)
    }

    /// BEP 52 with the file list of BEP 3: every file begins at a piece, by padding of BEP 47.
    pub fn hybrid(entries: &[FileEntry], piece_length: u32) -> Result<Self, PiecesError> {
        check_power(piece_length)?;
        let (files, length) = row(entries, 1)?;
        if let Some(file) = files.iter().find(|file| !file.start.is_multiple_of(u64::from(piece_length))) {
            return Err(PiecesError::Unaligned { file: file.entry, offset: file.start });
        }
        Self::cut(files, length, piece_length, true, false)
    }

    /// BEP 52: every file begins at a piece, its last piece ends with it.
    pub fn v2(lengths: &[u64], piece_length: u32) -> Result<Self, PiecesError> {
        check_power(piece_length)?;
        let entries: Vec<FileEntry> =
            lengths.iter().map(|length| FileEntry { length: *length, padding: false }).collect();
        let (files, length) = row(&entries, piece_length)?;
        Self::cut(files, length, piece_length, true, true)
    }

    fn cut(
        files: Vec<FileSpan>,
        length: u64,
        piece_length: u32,
        aligned: bool,
        gaps: bool,
    ) -> Result<Self, PiecesError> {
        if files.is_empty() {
            return Err(PiecesError::Length(0));
        }
        let count = length.div_ceil(u64::from(piece_length));
        let piece_count =
            u32::try_from(count).ok().filter(|_| count < MAX_PIECES).ok_or(PiecesError::PieceCount(count))?;
        Ok(Self { files: files.into(), length, piece_length, piece_count, aligned, gaps })
    }

    /// Bytes from the first file's start to the end, whatever lies between files counted in.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes in all files.
    pub fn content_length(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }

    /// Bytes in every piece but those that end early.
    pub fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// Number of pieces, at least 1.
    pub fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// The files that have bytes, in the torrent's order.
    pub fn files(&self) -> &[FileSpan] {
        &self.files
    }

    /// Piece number `n`, or `None` when there is no such piece.
    pub fn piece(&self, n: u32) -> Option<PieceIndex> {
        (n < self.piece_count).then_some(PieceIndex(n))
    }

    /// All pieces in order.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = PieceIndex> + use<> {
        (0..self.piece_count).map(PieceIndex)
    }

    /// The piece whose place holds the byte at `offset`.
    pub fn piece_at(&self, offset: u64) -> Option<PieceIndex> {
        (offset < self.length).then(|| PieceIndex((offset / u64::from(self.piece_length)) as u32))
    }

    /// The pieces that hold bytes of `range`, which is clipped to the torrent.
    pub fn pieces_in(&self, range: &Range<u64>) -> Range<u32> {
        let piece_length = u64::from(self.piece_length);
        let end = range.end.min(self.length).div_ceil(piece_length);
        ((range.start / piece_length).min(end) as u32)..(end as u32)
    }

    /// Where the piece starts in the torrent.
    pub fn piece_offset(&self, piece: PieceIndex) -> u64 {
        u64::from(piece.0) * u64::from(self.piece_length)
    }

    /// Bytes in the piece as peers ask for it and v1 hashes it: padding counts. 0 for a piece of some longer torrent.
    pub fn piece_bytes(&self, piece: PieceIndex) -> u32 {
        if self.gaps {
            return self.content_bytes(piece);
        }
        let rest = self.length.saturating_sub(self.piece_offset(piece));
        rest.min(u64::from(self.piece_length)) as u32
    }

    /// Bytes in the piece as v2 hashes it: no padding. Of a v1 torrent, where padding cannot be told apart, all.
    pub fn content_bytes(&self, piece: PieceIndex) -> u32 {
        let end = self.file_of(piece).and_then(|n| self.files.get(n)).map_or(self.length, FileSpan::end);
        end.saturating_sub(self.piece_offset(piece)).min(u64::from(self.piece_length)) as u32
    }

    /// v2 and hybrid: the number, in [`Self::files`], of the file that the piece belongs to. Of v1 torrents, and for
    /// a piece that is all padding, `None`.
    pub fn file_of(&self, piece: PieceIndex) -> Option<usize> {
        let start = self.piece_offset(piece);
        let found = self.files.partition_point(|file| file.start <= start).checked_sub(1)?;
        (self.aligned && self.files.get(found)?.end() > start).then_some(found)
    }

    /// The first and the one-past-last piece of a file (its number in [`Self::files`]).
    pub fn pieces_of(&self, file: usize) -> Range<u32> {
        self.files.get(file).map_or(0..0, |file| self.pieces_in(&(file.start..file.end())))
    }

    /// The parts of files in a range of the torrent, in order; what is missing between them is padding.
    pub fn parts(&self, range: &Range<u64>) -> impl Iterator<Item = FilePart> + use<'_> {
        let Range { start, end } = *range;
        let first = self.files.partition_point(|file| file.end() <= start);
        let files = self.files.iter().enumerate().skip(first);
        files.take_while(move |(_, file)| file.start < end).map(move |(n, file)| FilePart {
            file: n,
            range: file.start.max(start) - file.start..file.end().min(end) - file.start,
        })
    }

    /// Blocks in the piece.
    pub fn block_count(&self, piece: PieceIndex) -> u32 {
        self.piece_bytes(piece).div_ceil(BLOCK_BYTES)
    }

    /// Bytes in block `block` of the piece; 0 when it has no such block.
    pub fn block_bytes(&self, piece: PieceIndex, block: u32) -> u32 {
        let begin = u64::from(block) * u64::from(BLOCK_BYTES);
        u64::from(self.piece_bytes(piece)).saturating_sub(begin).min(u64::from(BLOCK_BYTES)) as u32
    }
}

fn check_power(piece_length: u32) -> Result<(), PiecesError> {
    if piece_length.is_power_of_two() && (BLOCK_BYTES..=MAX_PIECE_LENGTH).contains(&piece_length) {
        Ok(())
    } else {
        Err(PiecesError::PieceLength(piece_length))
    }
}

/// Puts the files in a row, each at a multiple of `alignment`; the files that have bytes, and the row's length.
fn row(entries: &[FileEntry], alignment: u32) -> Result<(Vec<FileSpan>, u64), PiecesError> {
    if entries.len() > MAX_FILES {
        return Err(PiecesError::FileCount(entries.len()));
    }
    let (mut files, mut length) = (Vec::new(), 0_u64);
    for (entry, FileEntry { length: bytes, padding }) in entries.iter().enumerate() {
        if *bytes == 0 {
            continue;
        }
        // Neither sum overflows: what was there is at most 2^53, and a piece at most 2^29.
        let start = length.next_multiple_of(u64::from(alignment));
        length =
            start.checked_add(*bytes).filter(|end| *end <= MAX_LENGTH).ok_or(PiecesError::Length(*bytes))?;
        if !padding {
            files.push(FileSpan { start, length: *bytes, entry });
        }
    }
    Ok((files, length))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn refuses_lengths_out_of_bounds() {
        assert!(matches!(Geometry::new(0, BLOCK_BYTES), Err(PiecesError::Length(0))));
        assert!(matches!(Geometry::new(MAX_LENGTH + 1, MAX_PIECE_LENGTH), Err(PiecesError::Length(_))));
        assert!(matches!(Geometry::v1(&[], 0), Err(PiecesError::PieceLength(0))));
        for piece_length in [0, 1, BLOCK_BYTES / 2, BLOCK_BYTES * 3, 1 << 30] {
            assert!(matches!(Geometry::new(1, piece_length), Err(PiecesError::PieceLength(_))));
        }
        let most = (MAX_PIECES - 1) * u64::from(BLOCK_BYTES);
        assert_eq!(Geometry::new(most, BLOCK_BYTES).unwrap().piece_count(), (1 << 21) - 1);
        assert!(matches!(Geometry::new(most + 1, BLOCK_BYTES), Err(PiecesError::PieceCount(_))));
    }

    #[test]
    fn the_last_piece_and_block_are_what_remains() {
        let g = Geometry::new(3 * 65536 + 16384 + 1, 65536).unwrap();
        assert_eq!(g.piece_count(), 4);
        assert_eq!(g.piece(4), None);
        let (first, last) = (g.piece(0).unwrap(), g.piece(3).unwrap());
        assert_eq!((g.piece_bytes(first), g.block_count(first), g.block_bytes(first, 3)), (65536, 4, 16384));
        assert_eq!((g.piece_bytes(last), g.block_count(last), g.block_bytes(last, 1)), (16385, 2, 1));
        assert_eq!(g.block_bytes(last, 2), 0);
        assert_eq!(g.block_bytes(last, u32::MAX), 0);
        assert_eq!(g.piece_at(g.length() - 1), Some(last));
        assert_eq!(g.piece_at(g.length()), None);
    }

    #[test]
    fn a_piece_of_another_torrent_has_no_bytes() {
        let long = Geometry::new(1 << 30, BLOCK_BYTES).unwrap();
        let short = Geometry::new(1, BLOCK_BYTES).unwrap();
        let stranger = long.piece(9).unwrap();
        assert_eq!((short.piece_bytes(stranger), short.block_count(stranger)), (0, 0));
    }

    fn entries(lengths: &[(u64, bool)]) -> Vec<FileEntry> {
        lengths.iter().map(|(length, padding)| FileEntry { length: *length, padding: *padding }).collect()
    }

    #[test]
    fn pieces_of_v1_run_across_files_and_padding() {
        let g = Geometry::v1(&entries(&[(10, false), (0, false), (7, true), (30, false)]), 20).unwrap();
        assert_eq!((g.length(), g.content_length(), g.piece_count()), (47, 40, 3));
        assert_eq!(g.pieces().map(|piece| g.piece_bytes(piece)).collect::<Vec<_>>(), [20, 20, 7]);
        assert_eq!(g.file_of(g.piece(0).unwrap()), None);
        let parts: Vec<FilePart> = g.parts(&(5..20)).collect();
        assert_eq!(parts, [FilePart { file: 0, range: 5..10 }, FilePart { file: 1, range: 0..3 }]);
        assert_eq!(g.files().iter().map(|file| file.entry).collect::<Vec<_>>(), [0, 3]);
        assert_eq!((g.pieces_of(1), g.pieces_of(2)), (0..3, 0..0));
    }

    #[test]
    fn files_of_a_hybrid_begin_at_pieces_and_padding_counts_on_the_wire() {
        let block = u64::from(BLOCK_BYTES);
        let list = entries(&[(block + 1, false), (block - 1, true), (5, false), (0, false)]);
        let g = Geometry::hybrid(&list, BLOCK_BYTES).unwrap();
        let sizes =
            |of: fn(&Geometry, PieceIndex) -> u32| g.pieces().map(|piece| of(&g, piece)).collect::<Vec<_>>();
        assert_eq!(sizes(Geometry::piece_bytes), [BLOCK_BYTES, BLOCK_BYTES, 5]);
        assert_eq!(sizes(Geometry::content_bytes), [BLOCK_BYTES, 1, 5]);
        assert_eq!(g.pieces().map(|piece| g.file_of(piece)).collect::<Vec<_>>(), [Some(0), Some(0), Some(1)]);
        let unaligned = Geometry::hybrid(&entries(&[(1, false), (5, false)]), BLOCK_BYTES);
        assert!(matches!(unaligned, Err(PiecesError::Unaligned { file: 1, offset: 1 })));
    }

    #[test]
    fn a_piece_of_v2_ends_with_its_file() {
        let block = u64::from(BLOCK_BYTES);
        let g = Geometry::v2(&[block + 1, 0, 5], BLOCK_BYTES).unwrap();
        assert_eq!((g.length(), g.content_length(), g.piece_count()), (2 * block + 5, block + 6, 3));
        assert_eq!(g.pieces().map(|piece| g.piece_bytes(piece)).collect::<Vec<_>>(), [BLOCK_BYTES, 1, 5]);
        assert_eq!((g.pieces_of(0), g.pieces_of(1)), (0..2, 2..3));
    }

    #[test]
    fn padding_alone_and_sums_beyond_the_limit_are_refused() {
        assert!(matches!(Geometry::v1(&entries(&[(9, true), (0, false)]), 4), Err(PiecesError::Length(0))));
        assert!(matches!(Geometry::v1(&[], 4), Err(PiecesError::Length(0))));
        let two = entries(&[(MAX_LENGTH, false), (1, false)]);
        assert!(matches!(Geometry::v1(&two, MAX_PIECE_LENGTH), Err(PiecesError::Length(1))));
        assert!(matches!(Geometry::v2(&[MAX_LENGTH, 1], MAX_PIECE_LENGTH), Err(PiecesError::Length(1))));
        let many = entries(&vec![(1, false); MAX_FILES + 1]);
        assert!(matches!(Geometry::v1(&many, 4), Err(PiecesError::FileCount(_))));
    }
}
