//! How a torrent's bytes are cut: pieces of a power of two, blocks of 16 KiB (BEP 3, BEP 52).

use crate::PiecesError;

/// Bytes in a block, the unit of requests and of BEP 52 leaves; the torrent's last block may be shorter.
pub const BLOCK_BYTES: u32 = 16 * 1024;

const MAX_LENGTH: u64 = 1 << 53;
const MAX_PIECE_LENGTH: u32 = 512 * 1024 * 1024;
/// A bitfield of 2^21 pieces is 256 KiB: what libtorrent still takes.
const MAX_PIECES: u64 = 1 << 21;

/// The number of a piece of one torrent; made by [`Geometry::piece`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceIndex(u32);

impl PieceIndex {
    /// The number itself.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// Length and piece length of a torrent, and what follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    length: u64,
    piece_length: u32,
    piece_count: u32,
}

impl Geometry {
    /// A torrent of `length` bytes (1 to 2^53) in pieces of `piece_length` bytes (a power of two, 16 KiB to
    /// 512 MiB), fewer than 2^21 of them.
    pub fn new(length: u64, piece_length: u32) -> Result<Self, PiecesError> {
        if length == 0 || length > MAX_LENGTH {
            return Err(PiecesError::Length(length));
        }
        if !piece_length.is_power_of_two() || !(BLOCK_BYTES..=MAX_PIECE_LENGTH).contains(&piece_length) {
            return Err(PiecesError::PieceLength(piece_length));
        }
        let count = length.div_ceil(u64::from(piece_length));
        let piece_count =
            u32::try_from(count).ok().filter(|_| count < MAX_PIECES).ok_or(PiecesError::PieceCount(count))?;
        Ok(Self { length, piece_length, piece_count })
    }

    /// Bytes in the torrent.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes in every piece but the last.
    pub fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// Number of pieces, at least 1.
    pub fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// Piece number `n`, or `None` when there is no such piece.
    pub fn piece(&self, n: u32) -> Option<PieceIndex> {
        (n < self.piece_count).then_some(PieceIndex(n))
    }

    /// All pieces in order.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = PieceIndex> + use<> {
        (0..self.piece_count).map(PieceIndex)
    }

    /// The piece that holds the byte at `offset`.
    pub fn piece_at(&self, offset: u64) -> Option<PieceIndex> {
        (offset < self.length).then(|| PieceIndex((offset / u64::from(self.piece_length)) as u32))
    }

    /// Where the piece starts in the torrent.
    pub fn piece_offset(&self, piece: PieceIndex) -> u64 {
        u64::from(piece.0) * u64::from(self.piece_length)
    }

    /// Bytes in the piece; 0 for a piece of some longer torrent.
    pub fn piece_bytes(&self, piece: PieceIndex) -> u32 {
        let rest = self.length.saturating_sub(self.piece_offset(piece));
        rest.min(u64::from(self.piece_length)) as u32
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn refuses_lengths_out_of_bounds() {
        assert!(matches!(Geometry::new(0, BLOCK_BYTES), Err(PiecesError::Length(0))));
        assert!(matches!(Geometry::new(MAX_LENGTH + 1, MAX_PIECE_LENGTH), Err(PiecesError::Length(_))));
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
}
