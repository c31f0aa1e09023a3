//! The networks and their consensus values, as in Core's `kernel/chainparams.cpp` (31.99).
//!
//! Activation heights are the buried ones. A custom signet is made from its challenge.

use crate::encode::{Hash, push_compact_size, sha256d};
use crate::header::{Header, RawHeader};

/// Bits of the script rules that are consensus, with the engine's values (`btck_ScriptVerificationFlags`).
pub mod script_flags {
    /// Pay-to-script-hash, BIP 16.
    pub const P2SH: u32 = 1;
    /// Strict DER signatures, BIP 66.
    pub const DERSIG: u32 = 1 << 2;
    /// Empty CHECKMULTISIG dummy, BIP 147.
    pub const NULLDUMMY: u32 = 1 << 4;
    /// CHECKLOCKTIMEVERIFY, BIP 65.
    pub const CHECKLOCKTIMEVERIFY: u32 = 1 << 9;
    /// CHECKSEQUENCEVERIFY, BIP 112.
    pub const CHECKSEQUENCEVERIFY: u32 = 1 << 10;
    /// Segregated witness, BIP 141 and 143.
    pub const WITNESS: u32 = 1 << 11;
    /// Taproot, BIP 341 and 342.
    pub const TAPROOT: u32 = 1 << 17;
}
use script_flags::{CHECKLOCKTIMEVERIFY, CHECKSEQUENCEVERIFY, DERSIG, NULLDUMMY, P2SH, TAPROOT, WITNESS};

/// Which network; a custom signet is a `Signet` with its own challenge and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The network with the money.
    Mainnet,
    /// Test network 3.
    Testnet3,
    /// Test network 4, BIP 94.
    Testnet4,
    /// Signet, BIP 325: the default one or a custom one.
    Signet,
    /// Private test chains at no difficulty.
    Regtest,
}

/// Heights from which a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activations {
    /// Height in the coinbase, BIP 34; block version at least 2.
    pub bip34: u32,
    /// Strict DER, BIP 66; block version at least 3.
    pub bip66: u32,
    /// CHECKLOCKTIMEVERIFY, BIP 65; block version at least 4.
    pub bip65: u32,
    /// BIP 68, 112 and 113.
    pub csv: u32,
    /// BIP 141, 143 and 147.
    pub segwit: u32,
}

/// Why there are no parameters for a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// No network of that name.
    #[error(
        "no network \"{name}\": mainnet, testnet3, testnet4, signet, regtest, or a custom signet with its challenge"
    )]
    UnknownNetwork {
        /// The name as given.
        name: String,
    },
    /// The name of a custom signet does not follow from its challenge.
    #[error("the challenge makes {computed}, not \"{name}\"")]
    ChallengeMismatch {
        /// The name as given.
        name: String,
        /// The name that follows from the challenge.
        computed: String,
    },
}

impl ParamsError {
    /// The code of the error in TypeScript.
    pub fn code(&self) -> &'static str {
        "ERR_NETWORK_UNKNOWN"
    }
}

/// The consensus values of one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// `mainnet`, `testnet3`, `testnet4`, `signet`, `regtest` or `signet-<8 hex of the magic>`.
    pub name: String,
    /// Which network.
    pub network: Network,
    /// First four bytes of each message and of each record in block files.
    pub magic: [u8; 4],
    /// TCP port of the Bitcoin P2P protocol.
    pub default_port: u16,
    /// Folder below Core's `-datadir`; empty on mainnet.
    pub datadir_folder: &'static str,
    /// Blocks in a segment and in a difficulty period.
    pub interval: u32,
    /// Seconds a difficulty period should take.
    pub target_timespan: u32,
    /// Seconds between blocks.
    pub target_spacing: u32,
    /// The easiest target in compact form.
    pub pow_limit_bits: u32,
    /// The easiest target, as a number in internal order; on most networks a little above its compact form.
    pub pow_limit: Hash,
    /// A block 20 minutes late may, and must, have the easiest target.
    pub min_difficulty_blocks: bool,
    /// Retarget from the first block of a period, and the 600 s rule against time warps.
    pub bip94: bool,
    /// The difficulty never changes.
    pub no_retargeting: bool,
    /// Heights from which rules hold.
    pub activations: Activations,
    /// Hash (internal order) of the block at the height of BIP 34 on the chain where that rule implies BIP 30.
    pub bip34_hash: Option<Hash>,
    /// Blocks until the subsidy is halved.
    pub halving_interval: u32,
    /// Header of block 0.
    pub genesis_header: RawHeader,
    /// Hash of block 0, internal order.
    pub genesis_hash: Hash,
    /// Work below which a header chain is not worth anything, 32 bytes big-endian.
    pub min_chain_work: [u8; 32],
    /// The block below which Core assumes scripts to be valid: hash (internal order) and height.
    pub assume_valid: Option<(Hash, u32)>,
    /// Blocks that are checked with other script flags than their height says.
    pub script_flag_exceptions: &'static [(Hash, u32)],
    /// The script that signs blocks on a signet, BIP 325.
    pub signet_challenge: Option<Vec<u8>>,
}

impl Params {
    /// Parameters by name. A custom signet, `signet-<8 hex>`, needs its challenge; any other name refuses one
    /// that is not its own.
    pub fn by_name(name: &str, challenge: Option<&[u8]>) -> Result<Self, ParamsError> {
        if let Some(challenge) = challenge {
            let params = Self::custom_signet(challenge);
            if params.name == name {
                return Ok(params);
            }
            return Err(ParamsError::ChallengeMismatch { name: name.into(), computed: params.name });
        }
        match name {
            "mainnet" => Ok(Self::mainnet()),
            "testnet3" => Ok(Self::testnet3()),
            "testnet4" => Ok(Self::testnet4()),
            "signet" => Ok(Self::signet()),
            "regtest" => Ok(Self::regtest()),
            _ => Err(ParamsError::UnknownNetwork { name: name.into() }),
        }
    }

    /// The network with the money.
    pub fn mainnet() -> Self {
        Self {
            name: "mainnet".into(),
            network: Network::Mainnet,
            magic: [0xf9, 0xbe, 0xb4, 0xd9],
            default_port: 8333,
            datadir_folder: "",
            interval: 2016,
            target_timespan: TWO_WEEKS,
            target_spacing: 600,
            pow_limit_bits: 0x1d00_ffff,
            pow_limit: POW_LIMIT,
            min_difficulty_blocks: false,
            bip94: false,
            no_retargeting: false,
            activations: Activations {
                bip34: 227_931,
                bip66: 363_725,
                bip65: 388_381,
                csv: 419_328,
                segwit: 481_824,
            },
            bip34_hash: Some(shown("000000000000024b89b42a942fe0d9fea3bb44ab7bd1b19115dd6a759c0808b8")),
            halving_interval: 210_000,
            genesis_header: genesis(SATOSHI_MERKLE_ROOT, 1_231_006_505, 0x1d00_ffff, 2_083_236_893),
            genesis_hash: shown("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
            min_chain_work: number("0000000000000000000000000000000000000001128750f82f4c366153a3a030"),
            assume_valid: Some((
                shown("00000000000000000000ccebd6d74d9194d8dcdc1d177c478e094bfad51ba5ac"),
                938_343,
            )),
            script_flag_exceptions: const {
                &[
                    (shown("00000000000002dc756eebf4f49723ed8d30cc28a5f108eb94b1ba88ac4f9c22"), 0),
                    (
                        shown("0000000000000000000f14c35b2d841e986ab5441de8c585d5ffe55ea1e395ad"),
                        P2SH | WITNESS,
                    ),
                ]
            },
            signet_challenge: None,
        }
    }

    /// Test network 3.
    pub fn testnet3() -> Self {
        Self {
            name: "testnet3".into(),
            network: Network::Testnet3,
            magic: [0x0b, 0x11, 0x09, 0x07],
            default_port: 18333,
            datadir_folder: "testnet3",
            min_difficulty_blocks: true,
            activations: Activations {
                bip34: 21_111,
                bip66: 330_776,
                bip65: 581_885,
                csv: 770_112,
                segwit: 834_624,
            },
            bip34_hash: Some(shown("0000000023b3a96d3484e5abb3755c413e7d41500f8e2a5c3f0dd01299cd8ef8")),
            genesis_header: genesis(SATOSHI_MERKLE_ROOT, 1_296_688_602, 0x1d00_ffff, 414_098_458),
            genesis_hash: shown("000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943"),
            min_chain_work: number("0000000000000000000000000000000000000000000017dde1c649f3708d14b6"),
            assume_valid: Some((
                shown("000000007a61e4230b28ac5cb6b5e5a0130de37ac1faf2f8987d2fa6505b67f4"),
                4_842_348,
            )),
            script_flag_exceptions: const {
                &[(shown("00000000dd30457c001f4095d208cc1296b0eed002427aa599874af7a432b105"), 0)]
            },
            ..Self::mainnet()
        }
    }

    /// Test network 4, BIP 94.
    pub fn testnet4() -> Self {
        Self {
            name: "testnet4".into(),
            network: Network::Testnet4,
            magic: [0x1c, 0x16, 0x3f, 0x28],
            default_port: 48333,
            datadir_folder: "testnet4",
            min_difficulty_blocks: true,
            bip94: true,
            activations: FROM_ONE,
            bip34_hash: None,
            genesis_header: genesis(
                shown("7aa0a7ae1e223414cb807e40cd57e667b718e42aaf9306db9102fe28912b7b4e"),
                1_714_777_860,
                0x1d00_ffff,
                393_743_547,
            ),
            genesis_hash: shown("00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"),
            min_chain_work: number("0000000000000000000000000000000000000000000009a0fe15d0177d086304"),
            assume_valid: Some((
                shown("0000000002368b1e4ee27e2e85676ae6f9f9e69579b29093e9a82c170bf7cf8a"),
                123_613,
            )),
            script_flag_exceptions: &[],
            ..Self::mainnet()
        }
    }

    /// The default signet.
    pub fn signet() -> Self {
        Self {
            name: "signet".into(),
            min_chain_work: number("00000000000000000000000000000000000000000000000000000b463ea0a4b8"),
            assume_valid: Some((
                shown("00000008414aab61092ef93f1aacc54cf9e9f16af29ddad493b908a01ff5c329"),
                293_175,
            )),
            ..Self::custom_signet(&DEFAULT_SIGNET_CHALLENGE)
        }
    }

    /// The signet of a challenge script, BIP 325. Its magic is the start of the hash of the serialized script.
    pub fn custom_signet(challenge: &[u8]) -> Self {
        let mut length = Vec::new();
        push_compact_size(&mut length, challenge.len() as u64);
        let [a, b, c, d, ..] = sha256d([&length, challenge]);
        Self {
            name: format!("signet-{a:02x}{b:02x}{c:02x}{d:02x}"),
            network: Network::Signet,
            magic: [a, b, c, d],
            default_port: 38333,
            datadir_folder: "signet",
            pow_limit_bits: 0x1e03_77ae,
            pow_limit: shown("00000377ae000000000000000000000000000000000000000000000000000000"),
            activations: FROM_ONE,
            bip34_hash: None,
            genesis_header: genesis(SATOSHI_MERKLE_ROOT, 1_598_918_400, 0x1e03_77ae, 52_613_770),
            genesis_hash: shown("00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"),
            min_chain_work: [0; 32],
            assume_valid: None,
            script_flag_exceptions: &[],
            signet_challenge: Some(challenge.to_vec()),
            ..Self::mainnet()
        }
    }

    /// Private test chains.
    pub fn regtest() -> Self {
        Self {
            name: "regtest".into(),
            network: Network::Regtest,
            magic: [0xfa, 0xbf, 0xb5, 0xda],
            default_port: 18444,
            datadir_folder: "regtest",
            interval: 144,
            target_timespan: 24 * 60 * 60,
            pow_limit_bits: 0x207f_ffff,
            pow_limit: shown("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
            min_difficulty_blocks: true,
            no_retargeting: true,
            activations: Activations { segwit: 0, ..FROM_ONE },
            bip34_hash: None,
            halving_interval: 150,
            genesis_header: genesis(SATOSHI_MERKLE_ROOT, 1_296_688_602, 0x207f_ffff, 2),
            genesis_hash: shown("0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"),
            min_chain_work: [0; 32],
            assume_valid: None,
            script_flag_exceptions: &[],
            ..Self::mainnet()
        }
    }

    /// The [`script_flags`] of the block at `height` (Core's `GetBlockScriptFlags`).
    pub fn script_flags(&self, height: u32, hash: &Hash) -> u32 {
        let exception = self.script_flag_exceptions.iter().find(|(block, _)| block == hash);
        let base = exception.map_or(P2SH | WITNESS | TAPROOT, |(_, flags)| *flags);
        let active = &self.activations;
        [
            (active.bip66, DERSIG),
            (active.bip65, CHECKLOCKTIMEVERIFY),
            (active.csv, CHECKSEQUENCEVERIFY),
            (active.segwit, NULLDUMMY),
        ]
        .into_iter()
        .filter(|(from, _)| height >= *from)
        .fold(base, |flags, (_, flag)| flags | flag)
    }
}

const TWO_WEEKS: u32 = 14 * 24 * 60 * 60;
const POW_LIMIT: Hash = shown("00000000ffffffffffffffffffffffffffffffffffffffffffffffffffffffff");
const FROM_ONE: Activations = Activations { bip34: 1, bip66: 1, bip65: 1, csv: 1, segwit: 1 };
const SATOSHI_MERKLE_ROOT: Hash = shown("4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b");
const DEFAULT_SIGNET_CHALLENGE: [u8; 71] =
    hex("512103ad5e0edad18cb1f0fc0d28a3d4f1f3e445640337489abb10404f2d1e086be4302103\
     59ef5021964fe22d6f8e05b2463c9540ce96883fe3b278760f048f5189f2e6c452ae");

fn genesis(merkle_root: Hash, time: u32, bits: u32, nonce: u32) -> RawHeader {
    Header { version: 1, prev: [0; 32], merkle_root, time, bits, nonce }.to_bytes()
}

/// A hash in internal order from the text Core shows (reversed).
pub(crate) const fn shown(text: &str) -> Hash {
    let mut bytes = number(text);
    bytes.as_mut_slice().reverse();
    bytes
}

/// A 256-bit number, big-endian, from hex.
const fn number(text: &str) -> [u8; 32] {
    hex(text)
}

const fn hex<const N: usize>(text: &str) -> [u8; N] {
    let (mut bytes, mut i) = ([0; N], 0);
    while i < N {
        bytes[i] = nibble(text.as_bytes()[2 * i]) << 4 | nibble(text.as_bytes()[2 * i + 1]);
        i += 1;
    }
    bytes
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'a' + 10,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::header::block_hash;

    fn all() -> [Params; 5] {
        ["mainnet", "testnet3", "testnet4", "signet", "regtest"]
            .map(|name| Params::by_name(name, None).unwrap())
    }

    #[test]
    fn every_genesis_header_hashes_to_the_genesis_hash() {
        for params in all() {
            assert_eq!(block_hash(&params.genesis_header), params.genesis_hash, "{}", params.name);
            assert_eq!(Header::parse(&params.genesis_header).bits, params.pow_limit_bits, "{}", params.name);
            assert_eq!(params.interval, params.target_timespan / params.target_spacing);
        }
    }

    #[test]
    fn the_default_signet_has_its_published_magic() {
        let signet = Params::signet();
        assert_eq!(signet.magic, [0x0a, 0x03, 0xcf, 0x40]);
        let custom = Params::custom_signet(&DEFAULT_SIGNET_CHALLENGE);
        assert_eq!(custom.name, "signet-0a03cf40");
        assert_eq!(custom.min_chain_work, [0; 32]);
    }

    #[test]
    fn a_custom_signet_needs_the_challenge_that_makes_its_name() {
        let open = Params::custom_signet(&[0x51]);
        assert_eq!(Params::by_name(&open.name, Some(&[0x51])), Ok(open.clone()));
        assert!(matches!(Params::by_name(&open.name, None), Err(ParamsError::UnknownNetwork { .. })));
        assert!(matches!(
            Params::by_name("signet", Some(&[0x51])),
            Err(ParamsError::ChallengeMismatch { .. })
        ));
        assert_eq!(Params::by_name("simnet", None).unwrap_err().code(), "ERR_NETWORK_UNKNOWN");
    }

    #[test]
    fn script_flags_follow_height_and_the_two_exceptions() {
        let mainnet = Params::mainnet();
        assert_eq!(mainnet.script_flags(1, &[0; 32]), P2SH | WITNESS | TAPROOT);
        let all = P2SH | WITNESS | TAPROOT | DERSIG | CHECKLOCKTIMEVERIFY | CHECKSEQUENCEVERIFY | NULLDUMMY;
        assert_eq!(mainnet.script_flags(481_824, &[0; 32]), all);
        assert_eq!(mainnet.script_flags(481_823, &[0; 32]), all & !NULLDUMMY);
        let [bip16, taproot] = [mainnet.script_flag_exceptions[0].0, mainnet.script_flag_exceptions[1].0];
        assert_eq!(mainnet.script_flags(170_060, &bip16), 0);
        assert_eq!(mainnet.script_flags(692_261, &taproot), all & !TAPROOT);
    }
}
