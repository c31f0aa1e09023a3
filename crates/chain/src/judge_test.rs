#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::encode::push_compact_size;
use crate::header::Header;
use crate::testdata;
use crate::transaction::Transaction;

const PIECE_BYTES: u32 = 16 << 10;

/// A file of which only what was handed in may be read.
struct Source {
    bytes: Vec<u8>,
    piece_bytes: u32,
    arrived: Mutex<Vec<bool>>,
}

impl Source {
    fn new(bytes: Vec<u8>, piece_bytes: u32) -> Self {
        let pieces = bytes.len().div_ceil(piece_bytes as usize);
        Self { bytes, piece_bytes, arrived: Mutex::new(vec![false; pieces]) }
    }

    fn pieces(&self) -> u32 {
        self.arrived.lock().len() as u32
    }

    fn hand_in(&self, judge: &Judge, piece: u32) -> JudgeReport {
        self.arrived.lock()[piece as usize] = true;
        judge.piece_arrived(self, piece).unwrap()
    }
}

impl ReadAt for Source {
    fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset as usize + out.len();
        out.copy_from_slice(self.bytes.get(offset as usize..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        let pieces = offset as usize / self.piece_bytes as usize..end.div_ceil(self.piece_bytes as usize);
        assert!(self.arrived.lock()[pieces].iter().all(|here| *here), "read before it arrived: {offset}");
        Ok(())
    }
}

/// A block whose coinbase carries `payload`; its header is of no chain, which a judge does not ask about.
fn block(nonce: u32, payload: &[u8]) -> Vec<u8> {
    let mut coinbase = [&[1, 0, 0, 0, 1][..], &[0; 32], &[0xff; 4], &[0], &[0xff; 4], &[1], &[0; 8]].concat();
    push_compact_size(&mut coinbase, payload.len() as u64);
    coinbase.extend_from_slice(payload);
    coinbase.extend([0; 4]);
    let merkle_root = Transaction::read(&mut crate::encode::Reader::new(&coinbase)).unwrap().txid();
    let header = Header { version: 4, prev: [9; 32], merkle_root, time: 1, bits: 0x207f_ffff, nonce };
    [&header.to_bytes()[..], &[1], &coinbase].concat()
}

fn frame(block: &[u8]) -> Vec<u8> {
    [&Params::regtest().magic[..], &(block.len() as u32).to_le_bytes(), block].concat()
}

/// Blocks of many sizes, some of which quote others: whole, cut short, with another size or another header.
fn quoting_blocks() -> Vec<Vec<u8>> {
    let mut blocks: Vec<Vec<u8>> =
        (0..24).map(|n| block(n, &vec![n as u8; (n as usize * 7919) % 30_000])).collect();
    let (small, later) = (frame(&blocks[0]), frame(&blocks[20]));
    let mut damaged = frame(&blocks[21]);
    *damaged.last_mut().unwrap() ^= 1;
    let mut long = frame(&blocks[22])[..200].to_vec();
    long[4..8].copy_from_slice(&60_000u32.to_le_bytes());
    for (n, quotes) in [
        (5, [&small[..], &later[..150], &vec![7; 20_000], &damaged].concat()),
        (6, long.repeat(9)),
        (12, [&later[..], &long, &small].concat()),
        (13, [&[1; 16_000][..], &small, &small, &[2; 16_000]].concat()),
        (23, [&small[..], &later[..100]].concat()),
    ] {
        blocks[n as usize] = block(n, &quotes);
    }
    blocks
}

fn headers(blocks: &[Vec<u8>]) -> Vec<RawHeader> {
    blocks.iter().map(|block| *block.first_chunk().unwrap()).collect()
}

fn file(blocks: &[Vec<u8>]) -> Vec<u8> {
    blocks.iter().flat_map(|block| frame(block)).collect()
}

fn judge_of(blocks: &[Vec<u8>], source: &Source) -> Judge {
    let length = source.bytes.len() as u64;
    Judge::new(headers(blocks), 1000, Params::regtest(), length, source.piece_bytes).unwrap()
}

/// Hands in all pieces, shuffled by the keys.
fn run(judge: &Judge, source: &Source, keys: &[u64]) -> JudgeReport {
    let mut order: Vec<u32> = (0..source.pieces()).collect();
    order.sort_by_key(|piece| keys[*piece as usize % keys.len()].rotate_left(*piece));
    let mut last = judge.report();
    for piece in order {
        let report = source.hand_in(judge, piece);
        assert!(report.judged_blocks >= last.judged_blocks && report.walked_bytes >= last.walked_bytes);
        assert!(report.judged_blocks >= report.walked_blocks);
        last = report;
    }
    last
}

fn all(blocks: &[Vec<u8>]) -> JudgeReport {
    let (count, bytes) = (blocks.len() as u32, file(blocks).len() as u64);
    JudgeReport {
        judged_blocks: count,
        walked_blocks: count,
        walked_bytes: bytes,
        complete: true,
        fault: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_of_pieces_proves_the_file(keys in prop::collection::vec(any::<u64>(), 64), size in 0u32..3) {
        let blocks = quoting_blocks();
        let source = Source::new(file(&blocks), PIECE_BYTES << size);
        prop_assert_eq!(run(&judge_of(&blocks, &source), &source, &keys), all(&blocks));
    }

    #[test]
    fn any_order_of_pieces_finds_the_same_fault(
        keys in prop::collection::vec(any::<u64>(), 64),
        n in 0usize..24,
        kind in 0u8..6,
    ) {
        let blocks = quoting_blocks();
        let mut frames: Vec<Vec<u8>> = blocks.iter().map(|block| frame(block)).collect();
        let reason = match kind {
            0 => { frames[n][0] ^= 1; "no magic" }
            1 => { let last = frames[n].len() - 1; frames[n][last] ^= 1; "bad-txnmrklroot" }
            2 => { frames.swap(n, (n + 1) % 24); "wrong-header" }
            3 => { frames[n][4..8].copy_from_slice(&79u32.to_le_bytes()); "a block of 79 bytes" }
            4 => { frames.remove(n); if n == 23 { "0 bytes left" } else { "wrong-header" } }
            _ => { frames[n].push(0); if n == 23 { "1 bytes after" } else { "no magic" } }
        };
        let height = match kind {
            2 if n == 23 => 0,
            5 => n + 1,
            _ => n,
        };
        let offset: usize = frames[..height.min(frames.len())].iter().map(Vec::len).sum();
        let offset = if kind == 5 { offset - 1 } else { offset };
        let source = Source::new(frames.concat(), PIECE_BYTES);
        let judge = judge_of(&blocks, &source);
        let fault = run(&judge, &source, &keys).fault.unwrap();
        prop_assert_eq!((fault.height as usize, fault.offset as usize), (1000 + height, offset));
        prop_assert!(fault.reason.starts_with(reason), "{}", fault.reason);
        prop_assert!(!judge.report().complete);
    }

    #[test]
    fn never_panics_on_random_bytes(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
        let blocks = quoting_blocks();
        let bytes = [&frame(&blocks[0])[..], &bytes].concat();
        let source = Source::new(bytes, PIECE_BYTES);
        prop_assert!(run(&judge_of(&blocks, &source), &source, &[0]).fault.is_some());
    }
}

#[test]
fn proves_blocks_of_a_piece_before_what_comes_before_it() {
    let blocks = quoting_blocks();
    let source = Source::new(file(&blocks), PIECE_BYTES);
    let judge = judge_of(&blocks, &source);
    let mut last = JudgeReport::default();
    for piece in (1..source.pieces()).rev() {
        last = source.hand_in(&judge, piece);
    }
    assert_eq!((last.walked_blocks, last.complete), (0, false));
    // All but the two that reach into piece 0; the first is quoted whole by another.
    assert!(last.judged_blocks >= 22, "{last:?}");
    assert_eq!(source.hand_in(&judge, 0), all(&blocks));
}

#[test]
fn proves_real_blocks_and_catches_a_changed_one() {
    let Some(bytes) = testdata::read("chain-mainnet/btcd-blk_0_to_14131.dat.zst") else { return };
    let params = Params::mainnet();
    let frames = testdata::frames(&bytes, params.magic);
    let length: usize = frames[..2016].iter().map(|block| block.len() + 8).sum();
    let raw = frames[..2016].iter().map(|block| *block.first_chunk().unwrap()).collect::<Vec<RawHeader>>();
    let judge = Judge::new(raw.clone(), 0, params.clone(), length as u64, PIECE_BYTES).unwrap();
    let source = Source::new(bytes[..length].to_vec(), PIECE_BYTES);
    let report = run(&judge, &source, &[0x9e37_79b9_7f4a_7c15, 77, 3]);
    assert_eq!((report.judged_blocks, report.complete), (2016, true));

    let mut bytes = bytes[..length].to_vec();
    let offset: usize = frames[..170].iter().map(|block| block.len() + 8).sum();
    bytes[offset + 8 + 300] ^= 1;
    let judge = Judge::new(raw, 0, params, length as u64, PIECE_BYTES).unwrap();
    let fault = run(&judge, &Source::new(bytes, PIECE_BYTES), &[5, 9]).fault.unwrap();
    assert_eq!((fault.height, fault.offset), (170, offset as u64));
}

#[test]
fn pieces_may_come_from_many_threads() {
    let blocks = quoting_blocks();
    for _ in 0..20 {
        let source = Arc::new(Source::new(file(&blocks), PIECE_BYTES));
        let judge = Arc::new(judge_of(&blocks, &source));
        let threads: Vec<_> = (0..4)
            .map(|first| {
                let (source, judge) = (Arc::clone(&source), Arc::clone(&judge));
                std::thread::spawn(move || {
                    for piece in (first..source.pieces()).step_by(4).rev() {
                        source.hand_in(&judge, piece);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(judge.report(), all(&blocks));
    }
}

#[test]
fn a_file_full_of_quotes_costs_a_bounded_search() {
    let mut blocks: Vec<Vec<u8>> = (0..4).map(|n| block(n, &[n as u8; 100])).collect();
    // 40,000 marks that each announce the largest block.
    let mut mark = frame(&blocks[3])[..MARK_BYTES as usize].to_vec();
    mark[4..8].copy_from_slice(&900_000u32.to_le_bytes());
    blocks[1] = block(1, &mark.repeat(990_000 / mark.len()));
    blocks[2] = block(2, &mark.repeat(990_000 / mark.len()));
    let source = Source::new(file(&blocks), 256 << 10);
    let judge = judge_of(&blocks, &source);
    let started = std::time::Instant::now();
    for piece in (0..source.pieces()).rev() {
        source.hand_in(&judge, piece);
    }
    assert_eq!(judge.report(), all(&blocks));
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn refuses_what_it_cannot_judge_and_stops_when_told() {
    assert_eq!(Judge::new(Vec::new(), 0, Params::regtest(), 9, 9).unwrap_err(), JudgeError::NoHeaders);
    let blocks = quoting_blocks();
    assert!(Judge::new(headers(&blocks), u32::MAX - 3, Params::regtest(), 9, 9).is_err());
    let signet = Judge::new(headers(&blocks), 0, Params::signet(), 9, 9);
    assert_eq!(signet.err(), (!cfg!(feature = "engine")).then_some(JudgeError::NeedsEngine));
    let source = Source::new(file(&blocks), PIECE_BYTES);
    let judge = judge_of(&blocks, &source);
    assert!(judge.piece_arrived(&source, source.pieces()).is_err());
    judge.stop();
    assert_eq!(source.hand_in(&judge, 0), JudgeReport::default());
}

#[test]
fn an_error_of_reading_is_no_verdict() {
    struct Broken;
    impl ReadAt for Broken {
        fn read_exact_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
            Err(io::ErrorKind::Other.into())
        }
    }
    let blocks = quoting_blocks();
    let source = Source::new(file(&blocks), PIECE_BYTES);
    let judge = judge_of(&blocks, &source);
    assert!(judge.piece_arrived(&Broken, 0).is_err());
    assert_eq!(judge.report(), JudgeReport::default());
    assert_eq!(run(&judge, &source, &[1, 2, 3]), all(&blocks));
}
