//! The networks that a chain can be made for: their magic, genesis, subsidy and target.
use crate::transaction::{push_bytes, sha256d};

/// Which network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// Private test chains: two tries a block.
    #[default]
    Regtest,
    /// The custom signet whose challenge is `OP_TRUE`, so that every block is signed by nothing (BIP 325): 4.8
    /// million tries a block.
    Signet,
}

/// The challenge of [`Network::Signet`].
pub const SIGNET_CHALLENGE: [u8; 1] = [0x51];

impl Network {
    /// First bytes of every record of a block file.
    pub fn magic(self) -> [u8; 4] {
        match self {
            Self::Regtest => [0xfa, 0xbf, 0xb5, 0xda],
            Self::Signet => {
                let mut challenge = Vec::new();
                push_bytes(&mut challenge, &SIGNET_CHALLENGE);
                let [a, b, c, d, ..] = sha256d(&challenge);
                [a, b, c, d]
            }
        }
    }

    /// The folder below `bitcoind -datadir`.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Regtest => "regtest",
            Self::Signet => "signet",
        }
    }

    /// Blocks in a segment and in a difficulty period.
    pub fn interval(self) -> u32 {
        match self {
            Self::Regtest => 144,
            Self::Signet => 2016,
        }
    }

    /// Unix time of genesis (Core, `kernel/chainparams.cpp`).
    pub fn genesis_time_seconds(self) -> u32 {
        match self {
            Self::Regtest => 1_296_688_602,
            Self::Signet => 1_598_918_400,
        }
    }

    /// The nonce of genesis, one of Core's parameters; regtest's is not the lowest that would do.
    pub(crate) fn genesis_nonce(self) -> u32 {
        match self {
            Self::Regtest => 2,
            Self::Signet => 52_613_770,
        }
    }

    /// Seconds from block to block. A period's 2015 gaps are held against 2016 times 600 s: on signet 601 s keep
    /// them above it, so that the target stays the easiest one.
    pub(crate) fn spacing_seconds(self) -> u32 {
        match self {
            Self::Regtest => 600,
            Self::Signet => 601,
        }
    }

    /// The easiest target in compact form.
    pub(crate) fn bits(self) -> u32 {
        match self {
            Self::Regtest => 0x207f_ffff,
            Self::Signet => 0x1e03_77ae,
        }
    }

    /// A hash meets the target when its last four bytes, little-endian, are below this: the target's upper bytes,
    /// rounded down.
    pub(crate) fn limit(self) -> u32 {
        match self {
            Self::Regtest => 0x7f00_0000,
            Self::Signet => 0x0377,
        }
    }

    /// What a block may make besides fees: 50 coins, halved in steps.
    pub(crate) fn subsidy_satoshi(self, height: u32) -> u64 {
        let halving = match self {
            Self::Regtest => 150,
            Self::Signet => 210_000,
        };
        5_000_000_000u64.checked_shr(height / halving).unwrap_or(0)
    }
}
