//! What a peer says it has; kept raw while the torrent's piece count is not known (metadata by BEP 9), then judged.

/// Haves beyond the number that a raw set holds are refused: 65,536 pieces, the most that others can join.
const EARLY_PIECES: u32 = 65_536;

/// A message that does not fit the torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit;

/// The set, as a BEP 3 bitfield.
#[derive(Debug, Default)]
pub struct PeerPieces {
    pieces: Option<u32>,
    bits: Vec<u8>,
    count: u32,
    all: bool,
    /// Length of a bitfield that came before the piece count was known.
    early_bytes: Option<usize>,
}

impl PeerPieces {
    /// An empty set for a torrent of so many pieces, or of a number not known yet.
    pub fn new(pieces: Option<u32>) -> Self {
        let mut set = Self::default();
        if let Some(count) = pieces {
            set.bits = vec![0; bytes_of(count)];
            set.pieces = pieces;
        }
        set
    }

    /// Whether the peer has all pieces.
    pub fn is_full(&self) -> bool {
        self.all || self.pieces == Some(self.count)
    }

    /// Whether the peer has the piece.
    #[cfg(test)]
    fn has(&self, piece: u32) -> bool {
        self.all || self.bits.get(piece as usize / 8).is_some_and(|byte| byte & mask(piece) != 0)
    }

    /// The bits; meaningless when [`PeerPieces::is_full`] without a bitfield.
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// `have all` or `have none` (BEP 6).
    pub fn set_all(&mut self, all: bool) {
        self.all = all;
        self.early_bytes = None;
        self.count = 0;
        self.bits.fill(0);
    }

    /// A bitfield: its size must be the torrent's, its spare bits zero.
    pub fn set_bits(&mut self, bits: &[u8]) -> Result<(), Misfit> {
        match self.pieces {
            Some(pieces) => {
                let spare = (8 - pieces % 8) % 8;
                let clean = bits.last().is_none_or(|last| last.trailing_zeros() >= spare);
                if bits.len() != bytes_of(pieces) || !clean {
                    return Err(Misfit);
                }
            }
            None => self.early_bytes = Some(bits.len()),
        }
        self.all = false;
        self.bits.clear();
        self.bits.extend_from_slice(bits);
        self.count = bits.iter().map(|byte| byte.count_ones()).sum();
        Ok(())
    }

    /// A `have`; true when it is news.
    pub fn set(&mut self, piece: u32) -> Result<bool, Misfit> {
        if piece >= self.pieces.unwrap_or(EARLY_PIECES) {
            return Err(Misfit);
        }
        if self.all {
            return Ok(false);
        }
        let at = piece as usize / 8;
        if self.bits.len() <= at {
            self.bits.resize(at + 1, 0);
        }
        let Some(byte) = self.bits.get_mut(at) else { return Err(Misfit) };
        let news = *byte & mask(piece) == 0;
        *byte |= mask(piece);
        self.count += u32::from(news);
        Ok(news)
    }

    /// A piece that the peer lost (BEP 54); true when it was there. Of "all" nothing is taken while the number is unknown.
    pub fn unset(&mut self, piece: u32) -> bool {
        if self.all {
            let Some(pieces) = self.pieces.filter(|pieces| piece < *pieces) else { return false };
            self.bits.fill(0xff);
            if let Some(last) = self.bits.last_mut() {
                *last <<= (8 - pieces % 8) % 8;
            }
            self.all = false;
            self.count = pieces;
        }
        let Some(byte) = self.bits.get_mut(piece as usize / 8) else { return false };
        let was_there = *byte & mask(piece) != 0;
        *byte &= !mask(piece);
        self.count -= u32::from(was_there);
        was_there
    }

    /// The piece count is known now: what came before is held against it.
    pub fn attach(&mut self, pieces: u32) -> Result<(), Misfit> {
        let early = std::mem::take(self);
        *self = Self::new(Some(pieces));
        self.all = early.all;
        if early.early_bytes.is_some_and(|bytes| bytes != bytes_of(pieces)) {
            return Err(Misfit);
        }
        for (at, byte) in early.bits.iter().enumerate().filter(|(_, byte)| **byte != 0) {
            for bit in (0..8).filter(|bit| byte & (0x80 >> bit) != 0) {
                self.set((at * 8 + bit) as u32)?;
            }
        }
        Ok(())
    }
}

fn bytes_of(pieces: u32) -> usize {
    pieces.div_ceil(8) as usize
}

fn mask(piece: u32) -> u8 {
    0x80 >> (piece % 8)
}

/// Sets a bit of a bitfield kept elsewhere.
pub(crate) fn set_bit(bits: &mut [u8], piece: u32) {
    if let Some(byte) = bits.get_mut(piece as usize / 8) {
        *byte |= mask(piece);
    }
}

/// Clears a bit of a bitfield kept elsewhere.
pub(crate) fn clear_bit(bits: &mut [u8], piece: u32) {
    if let Some(byte) = bits.get_mut(piece as usize / 8) {
        *byte &= !mask(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::{Misfit, PeerPieces};

    #[test]
    fn a_lost_piece_is_news_when_it_comes_back() {
        let mut all = PeerPieces::new(Some(10));
        all.set_all(true);
        assert!(!all.unset(10), "no such piece");
        assert!(all.is_full());
        assert!(all.unset(9));
        assert!(!all.unset(9));
        assert_eq!(all.bits(), [0xff, 0x80]);
        assert!(!all.is_full());
        assert_eq!(all.set(9), Ok(true));
        assert!(all.is_full());
        let mut early = PeerPieces::new(None);
        early.set_all(true);
        assert!(!early.unset(0), "how many there are is not known");
        assert!(early.is_full());
    }

    #[test]
    fn a_bitfield_fits_exactly_or_not_at_all() {
        let mut set = PeerPieces::new(Some(10));
        assert_eq!(set.set_bits(&[0xff]), Err(Misfit));
        assert_eq!(set.set_bits(&[0xff, 0xe0]), Err(Misfit));
        assert_eq!(set.set_bits(&[0xff, 0x80]), Ok(()));
        assert!(!set.is_full() && set.has(8) && !set.has(9) && !set.has(10));
        assert_eq!(set.set(9), Ok(true));
        assert_eq!(set.set(9), Ok(false));
        assert_eq!(set.set(10), Err(Misfit));
        assert!(set.is_full());
    }

    #[test]
    fn what_came_before_the_metadata_is_judged_by_it() {
        let early = |bits: Option<&[u8]>, haves: &[u32]| {
            let mut set = PeerPieces::new(None);
            if let Some(bits) = bits {
                assert_eq!(set.set_bits(bits), Ok(()));
            }
            for have in haves {
                assert_eq!(set.set(*have), Ok(true));
            }
            assert!(!set.is_full());
            set
        };
        assert_eq!(early(Some(&[0xff, 0x80]), &[9]).attach(10), Ok(()));
        assert_eq!(early(Some(&[0xff, 0x80]), &[]).attach(8), Err(Misfit));
        assert_eq!(early(Some(&[0xff, 0x80]), &[]).attach(17), Err(Misfit));
        assert_eq!(early(Some(&[0xff, 0x81]), &[]).attach(10), Err(Misfit));
        assert_eq!(early(None, &[9]).attach(9), Err(Misfit));
        assert_eq!(early(None, &[0, 9]).attach(10), Ok(()));
        assert_eq!(PeerPieces::new(None).set(65_536), Err(Misfit));
        let mut all = PeerPieces::new(None);
        all.set_all(true);
        assert_eq!(all.attach(3), Ok(()));
        assert!(all.is_full() && all.has(2));
    }
}
