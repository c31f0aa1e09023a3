#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;
use std::fs;
use std::time::Instant;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/node/sample/mainnet-0-14131.dat");
static GO: AtomicBool = AtomicBool::new(false);

fn sample() -> Option<FrameRange> {
    let Ok(metadata) = fs::metadata(SAMPLE) else {
        eprint_skip();
        return None;
    };
    Some(FrameRange { path: SAMPLE.into(), offset: 0, length: metadata.len(), xor_key: None })
}

#[expect(clippy::print_stderr, reason = "tests say why they skip")]
fn eprint_skip() {
    eprintln!("skipped: {SAMPLE} is missing");
}

fn display(hash: [u8; 32]) -> String {
    hash.iter().rev().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Offsets of the sample's records.
fn offsets(bytes: &[u8]) -> Vec<usize> {
    let mut offsets = vec![0];
    let mut at = 0;
    while at < bytes.len() {
        at += 8 + u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        offsets.push(at);
    }
    offsets
}

#[test]
fn feeds_the_sample_and_finds_it_again_after_reopening() {
    let Some(range) = sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut engine = ChainEngine::open(folder.path(), Params::mainnet(), 1).unwrap();
    assert_eq!(engine.tip().unwrap(), Tip { height: 0, hash: Params::mainnet().genesis_hash });
    assert!(matches!(
        ChainEngine::open(folder.path(), Params::mainnet(), 1),
        Err(EngineError::Locked { .. })
    ));
    let began = Instant::now();
    let fed = engine.feed(&range, &GO).unwrap();
    let feeding = began.elapsed();
    assert_eq!((fed.blocks, fed.bytes, fed.tip.height, fed.stopped), (14_132, 3_272_717, 14_131, false));
    assert!(fed.rejected.is_none());
    assert_eq!(display(fed.tip.hash), "00000000b3e750f37fdb42e1018799a9f44b546d393b130b369590a072430a1c");
    assert!(engine.knows(fed.tip.hash) && !engine.knows([7; 32]));
    assert_eq!(engine.assumed_valid_height(), None);

    let began = Instant::now();
    engine.close().unwrap();
    let closing = began.elapsed();
    let began = Instant::now();
    let mut engine = ChainEngine::open(folder.path(), Params::mainnet(), 1).unwrap();
    let opening = began.elapsed();
    assert_eq!(engine.tip().unwrap(), fed.tip);
    // Known blocks are taken without a word.
    let again = engine.feed(&range, &GO).unwrap();
    assert!(again.rejected.is_none() && again.tip == fed.tip);
    say(&format!("feed {feeding:?}, close {closing:?}, open {opening:?}"));
}

#[expect(clippy::print_stderr, reason = "figures of a test run")]
fn say(text: &str) {
    eprintln!("{text}");
}

#[test]
fn stops_between_blocks_when_asked() {
    let Some(range) = sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut engine = ChainEngine::open(folder.path(), Params::mainnet(), 0).unwrap();
    let fed = engine.feed(&range, &AtomicBool::new(true)).unwrap();
    assert!(fed.stopped && fed.blocks == 1 && fed.tip.height == 0);
    engine.close().unwrap();
}

#[test]
fn names_cores_reason_for_a_refused_block() {
    let Some(range) = sample() else { return };
    let bytes = fs::read(&range.path).unwrap();
    let offsets = offsets(&bytes);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blocks.dat");
    let cases: [(usize, usize, u8, &str, &str); 4] = [
        // A bit of the coinbase's script: the merkle root no longer fits.
        (100, 8 + 80 + 50, 1, "mutated", "bad-txnmrklroot"),
        // The nonce.
        (100, 8 + 76, 1, "invalid-header", "high-hash"),
        // The link to the block before, so that work fails first.
        (100, 8 + 10, 1, "invalid-header", "high-hash"),
        // The number of transactions: no block any more.
        (100, 8 + 80, 0x80, "undecodable", "undecodable"),
    ];
    for (height, at, mask, kind, reason) in cases {
        let mut altered = bytes[..offsets[height + 10]].to_vec();
        altered[offsets[height] + at] ^= mask;
        fs::write(&file, &altered).unwrap();
        let range = FrameRange { path: file.clone(), offset: 0, length: altered.len() as u64, xor_key: None };
        let home = tempfile::tempdir().unwrap();
        let mut engine = ChainEngine::open(home.path(), Params::mainnet(), 0).unwrap();
        let fed = engine.feed(&range, &GO).unwrap();
        let rejected = fed.rejected.unwrap();
        assert_eq!((fed.tip.height as usize, rejected.kind), (height - 1, kind), "{rejected:?}");
        assert!(rejected.reason.starts_with(reason), "{rejected:?}");
        assert_eq!(rejected.offset, offsets[height] as u64);
        // The right block is taken all the same.
        let right = FrameRange { path: SAMPLE.into(), ..range };
        assert_eq!(engine.feed(&right, &GO).unwrap().tip.height as usize, height + 9);
        engine.close().unwrap();
    }
    // A block without its parent.
    let home = tempfile::tempdir().unwrap();
    let mut engine = ChainEngine::open(home.path(), Params::mainnet(), 0).unwrap();
    let orphan = FrameRange {
        path: SAMPLE.into(),
        offset: offsets[50] as u64,
        length: (offsets[51] - offsets[50]) as u64,
        xor_key: None,
    };
    let rejected = engine.feed(&orphan, &GO).unwrap().rejected.unwrap();
    assert_eq!((rejected.kind, rejected.reason.as_str()), ("missing-prev", "prev-blk-not-found"));
}

#[test]
fn refuses_a_folder_of_another_network_and_one_that_is_damaged() {
    let Some(range) = sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut engine = ChainEngine::open(folder.path(), Params::mainnet(), 0).unwrap();
    engine.feed(&range, &GO).unwrap();
    engine.close().unwrap();
    let error = ChainEngine::open(folder.path(), Params::regtest(), 0).err().unwrap();
    assert_eq!(error.code(), "ERR_ENGINE");
    assert!(error.to_string().contains("genesis block"), "{error}");
    fs::write(folder.path().join("chainstate/CURRENT"), "nonsense").unwrap();
    let error = ChainEngine::open(folder.path(), Params::mainnet(), 0).err().unwrap();
    assert!(error.to_string().contains("chainstate") || error.to_string().contains("database"), "{error}");
    fs::write(folder.path().join("file"), "").unwrap();
    let error = ChainEngine::open(&folder.path().join("file"), Params::mainnet(), 0).err().unwrap();
    assert_eq!(error.code(), "ERR_IO");
}

#[test]
fn refuses_records_of_another_network() {
    let Some(range) = sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut engine = ChainEngine::open(folder.path(), Params::regtest(), 0).unwrap();
    let error = engine.feed(&range, &GO).unwrap_err();
    assert_eq!(error.code(), "ERR_IO");
    assert!(error.to_string().contains("magic f9beb4d9 where fabfb5da"), "{error}");
    assert_eq!(engine.tip().unwrap().height, 0);
}
