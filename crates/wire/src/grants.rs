//! What a link makes of BEP 6 beyond have all, have none and reject: pieces that are given, or may be asked for, though
//! one side chokes the other; and of BEP 16: pieces shown to one peer only.

use std::collections::HashSet;

/// Allowed-fast pieces, and suggested ones, that are kept of a peer. The BEP's set has 10; libtorrent suggests 16.
const MOST: usize = 64;

/// Pieces that we give to a peer though we choke it, each once: for each the blocks that are left of it.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    left: Vec<(u32, u32)>,
}

impl Grants {
    /// Adds a piece of so many blocks; false when it is there already, or there are too many.
    pub(crate) fn add(&mut self, piece: u32, blocks: u32) -> bool {
        let is_new = !self.has(piece) && self.left.len() < MOST;
        if is_new {
            self.left.push((piece, blocks));
        }
        is_new
    }

    /// Whether the piece was allowed.
    pub(crate) fn has(&self, piece: u32) -> bool {
        self.left.iter().any(|(granted, _)| *granted == piece)
    }

    /// Uses one request of the piece up; false when none is left.
    pub(crate) fn take(&mut self, piece: u32) -> bool {
        let entry = self.left.iter_mut().find(|(granted, left)| *granted == piece && *left > 0);
        entry.is_some_and(|(_, left)| {
            *left -= 1;
            true
        })
    }
}

/// Pieces that a peer named to us; more than 64 are ignored, and so is what it named before.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pieces: Vec<u32>,
}

impl Named {
    /// Adds a piece; false when it is no news.
    pub(crate) fn add(&mut self, piece: u32) -> bool {
        let is_new = self.pieces.len() < MOST && !self.has(piece);
        if is_new {
            self.pieces.push(piece);
        }
        is_new
    }

    /// Whether the peer named it.
    pub(crate) fn has(&self, piece: u32) -> bool {
        self.pieces.contains(&piece)
    }

    /// All of them.
    pub(crate) fn pieces(&self) -> &[u32] {
        &self.pieces
    }
}

/// Which pieces a peer is shown.
#[derive(Debug)]
pub(crate) enum Shown {
    /// All that we have.
    All,
    /// Super seeding (BEP 16): it believes that we have these only, and gets no others, as with libtorrent. What was
    /// shown to somebody else is that one's to pass on.
    Only(HashSet<u32>),
}

impl Shown {
    pub(crate) fn new(hides: bool) -> Self {
        if hides { Self::Only(HashSet::new()) } else { Self::All }
    }

    pub(crate) fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    pub(crate) fn has(&self, piece: u32) -> bool {
        match self {
            Self::All => true,
            Self::Only(pieces) => pieces.contains(&piece),
        }
    }

    /// Shows the peer a piece.
    pub(crate) fn add(&mut self, piece: u32) {
        if let Self::Only(pieces) = self {
            pieces.insert(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Grants, MOST, Named, Shown};

    #[test]
    fn a_granted_piece_is_given_once() {
        let mut grants = Grants::default();
        assert!(grants.add(3, 2) && !grants.add(3, 2));
        assert!(grants.has(3) && !grants.has(4));
        assert!(grants.take(3) && grants.take(3) && !grants.take(3) && !grants.take(4));
        assert!(grants.has(3), "what is under way is not rejected");
        assert!((10..10 + MOST as u32 - 1).all(|piece| grants.add(piece, 1)));
        assert!(!grants.add(9, 1));
    }

    #[test]
    fn what_a_peer_names_is_bounded_and_told_once() {
        let mut named = Named::default();
        assert!(named.add(7) && !named.add(7));
        let news = (0..10_000).filter(|piece| named.add(*piece)).count();
        assert_eq!((news, named.pieces().len()), (MOST - 1, MOST));
    }

    #[test]
    fn hidden_pieces_are_shown_one_by_one() {
        let mut shown = Shown::new(true);
        assert!(!shown.is_all() && !shown.has(1));
        shown.add(1);
        assert!(shown.has(1) && !shown.has(2));
        assert!(Shown::new(false).has(2));
    }
}
