//! Coins whose two sides did not meet: which of them are looked at more closely.

use std::collections::BTreeMap;

use super::ledger::{Leftover, Side};

/// Culprits that are told.
pub(super) const CULPRITS_LIMIT: usize = 10;
/// Suspects of one height that are kept: more than any honest block has.
const AT_HEIGHT_LIMIT: usize = 50_000;

/// Something that does not add up, before it is known what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Suspect {
    /// An output of the block at that height: its place among the coins that the block creates.
    Output(u32),
    /// A coin of that short hash that the block at that height spends.
    Spend([u8; 8]),
    /// A coin of that short hash in the snapshot at the start, created at that height.
    Start([u8; 8]),
    /// Likewise in the snapshot at the end.
    End([u8; 8]),
}

/// The suspects of the lowest heights.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    at: BTreeMap<u32, Vec<Suspect>>,
}

impl Suspects {
    /// A coin of which one side is missing, at the height at which that is noticed.
    pub fn push_leftover(&mut self, left: &Leftover) {
        let created = left.created_height;
        match left.side {
            Side::Start => self.push(created, Suspect::Start(left.hash)),
            Side::Created(place) => self.push(created, Suspect::Output(place)),
            Side::Spent(height) => self.push(height, Suspect::Spend(left.hash)),
            Side::End => self.push(created, Suspect::End(left.hash)),
        }
    }

    pub fn push(&mut self, height: u32, suspect: Suspect) {
        let suspects = self.at.entry(height).or_default();
        if suspects.len() < AT_HEIGHT_LIMIT {
            suspects.push(suspect);
        }
        // One of each height may be the consequence of one of another.
        if self.at.len() > 2 * CULPRITS_LIMIT {
            self.at.pop_last();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// By rising height.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[Suspect])> {
        self.at.iter().map(|(height, suspects)| (*height, suspects.as_slice()))
    }
}
