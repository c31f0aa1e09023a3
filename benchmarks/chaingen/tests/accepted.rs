//! Core's engine takes the default chain in full, and its bytes are the same on every host.
#![expect(clippy::unwrap_used, reason = "a test")]
use bitcoinkernel::{Block, ChainType, ChainstateManagerBuilder, ContextBuilder, ProcessBlockResult};
use chaingen::{Chain, Options};
use sha2::{Digest, Sha256};

/// Interval of regtest's segments.
const SEGMENT_BLOCKS: usize = 144;
const PIECE_BYTES: usize = 4 << 20;
/// SHA-256 of the default chain's records.
const DIGEST: &str = "66548a54ca2a8a3dfc19deea74f0f6ddcd550bae4bb7fe223bb8be9308cae6d5";

fn records(options: Options) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let network = options.network;
    for block in Chain::new(options).unwrap() {
        let mut record = Vec::new();
        block.unwrap().write_record(network, &mut record).unwrap();
        records.push(record);
    }
    records
}

#[test]
fn the_engine_accepts_every_block() {
    let folder = tempfile::tempdir().unwrap();
    let context = ContextBuilder::new().chain_type(ChainType::Regtest).build().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let manager = ChainstateManagerBuilder::new(&context, &path("data"), &path("data/blocks")).unwrap();
    let manager = manager.build().unwrap();
    for block in Chain::new(Options::default()).unwrap() {
        let block = block.unwrap();
        let height = block.height;
        let result = manager.process_block(&Block::new(&block.bytes).unwrap());
        let expected_new = height > 0;
        assert!(
            matches!(result, ProcessBlockResult::NewBlock) == expected_new,
            "block {height} was not taken"
        );
        assert_eq!(manager.active_chain().height(), i32::try_from(height).unwrap());
    }
}

#[test]
fn the_default_chain_is_the_same_everywhere_and_gives_pieces_of_every_kind() {
    let records = records(Options::default());
    let mut digest = Sha256::new();
    for record in &records {
        digest.update(record);
    }
    assert_eq!(records.len(), 600);
    for segment in 0..3 {
        let blocks = &records[segment * SEGMENT_BLOCKS..(segment + 1) * SEGMENT_BLOCKS];
        let length: usize = blocks.iter().map(Vec::len).sum();
        assert!((9 << 20..20 << 20).contains(&length), "segment {segment} has {length} bytes");
        assert_ne!(length % PIECE_BYTES, 0, "the last piece is short");
    }
    assert_eq!(format!("{:x}", Number(&digest.finalize())), DIGEST);
}

#[test]
fn a_shorter_chain_is_a_prefix_of_a_longer_one() {
    let short = records(Options { blocks: 120, bytes_per_block: 3_000, ..Options::default() });
    let long = records(Options { blocks: 130, bytes_per_block: 3_000, ..Options::default() });
    assert_eq!(short, long[..120]);
    assert!(short.iter().skip(1).all(|record| (2_300..=3_008).contains(&record.len())));
}

#[test]
fn a_size_that_would_break_the_weight_limit_is_refused() {
    assert!(Chain::new(Options { blocks: 1, bytes_per_block: 900_001, ..Options::default() }).is_err());
}

/// Bytes as hex.
struct Number<'a>(&'a [u8]);

impl std::fmt::LowerHex for Number<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
