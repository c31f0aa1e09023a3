//! Segments: the ranges of heights that become torrents, and where their files' bytes lie in a node's own files.
//!
//! Segment *k* is the heights `[k·I, (k+1)·I)`, I the network's interval; its two files are the records of Core's
//! `blk` and `rev` files put in height order (DESIGN §1).
use crate::params::Params;
use std::fmt;

/// Blocks on top of a segment's last block that seal it: no reorganisation has ever gone so deep. A matter of
/// liveness, it enters no format.
pub const SEALING_DEPTH: u32 = 144;

/// Which of a segment's two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SegmentKind {
    /// The blocks.
    Blocks,
    /// The coins that they spend.
    Spent,
}

impl SegmentKind {
    /// By its word in file names.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Blocks, Self::Spent].into_iter().find(|kind| kind.name() == name)
    }

    /// Its word in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Spent => "spent",
        }
    }

    /// Name of the file: `bitcoin-<network>-blocks-<k>.dat`, *k* in five digits.
    pub fn file_name(self, params: &Params, segment: u32) -> String {
        format!("bitcoin-{}-{self}-{segment:05}.dat", params.name)
    }
}

impl fmt::Display for SegmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Number of sealed segments of a chain whose last block is at `tip`: those with `depth` blocks on top.
pub fn sealed_segments(tip: Option<u32>, params: &Params, depth: u32) -> u32 {
    let blocks = tip.map_or(0, |tip| u64::from(tip) + 1);
    let segments = blocks.saturating_sub(depth.into()) / u64::from(params.interval.max(1));
    u32::try_from(segments).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_sealed_by_144_blocks_on_top_of_its_last() {
        let params = Params::mainnet();
        let sealed = |tip| sealed_segments(Some(tip), &params, SEALING_DEPTH);
        assert_eq!(sealed_segments(None, &params, SEALING_DEPTH), 0);
        assert_eq!((sealed(0), sealed(2015 + 143), sealed(2015 + 144), sealed(14_131)), (0, 0, 1, 6));
        assert_eq!(sealed_segments(Some(u32::MAX), &Params::regtest(), 0), 29_826_161);
    }

    #[test]
    fn files_are_named_with_five_digits() {
        assert_eq!(SegmentKind::Spent.file_name(&Params::testnet4(), 7), "bitcoin-testnet4-spent-00007.dat");
        assert_eq!(SegmentKind::by_name("blocks"), Some(SegmentKind::Blocks));
        assert_eq!(SegmentKind::by_name("block"), None);
    }
}
