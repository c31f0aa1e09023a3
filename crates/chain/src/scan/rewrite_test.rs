//! Undo records of an old Core: found, rewritten, and used in the place of the node's.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::reader::FileReader;
use super::testdir::{BlocksDir, TestBlock, block_with, genesis, record, records};
use super::{BlockIndex, Rewritten};
use crate::encode::{Hash, push_compact_size, sha256d};
use crate::old_undo::{read_shape, read_undo};
use crate::params::Params;
use crate::segments::SegmentKind::{Blocks, Spent};
use crate::testdata;
use crate::testdata::untar;
use blockswarm_pieces::{Extents, ResumeDb};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static NEVER: AtomicBool = AtomicBool::new(false);

/// A coin as it is created: height, whether by a coinbase, outputs of its transaction that are left.
struct Created {
    height: u32,
    is_coinbase: bool,
    left: u32,
}

/// A chain whose blocks spend each other's outputs, and its undo records in both encodings.
struct Scene {
    dir: BlocksDir,
    blocks: Vec<TestBlock>,
    old: Vec<Vec<u8>>,
    current: Vec<Vec<u8>>,
    /// Coins of each record that lack their height.
    lacking: Vec<u64>,
}

impl Scene {
    /// Block *h* spends outputs of the coinbases of blocks *h − 1*, *h − 2* and of a transaction of its own; every
    /// coinbase has three outputs, spent one after the other.
    fn new(length: u32) -> Self {
        let mut blocks = vec![genesis()];
        let mut made: HashMap<Hash, Created> = HashMap::new();
        let (mut old, mut current, mut lacking) = (Vec::new(), Vec::new(), Vec::new());
        let mut coinbases: Vec<Hash> = vec![[0; 32]];
        for height in 1..length {
            let prev = blocks.last().unwrap().hash;
            let from = |back: u32, output: u32| {
                (height > back).then(|| (coinbases[(height - back) as usize], output))
            };
            let outpoints: Vec<(Hash, u32)> =
                [from(1, 0), from(2, 1), from(3, 2)].into_iter().flatten().collect();
            let (block, txids) = block_with(prev, height, &outpoints);
            let mut add = |txid, is_coinbase, left| made.insert(txid, Created { height, is_coinbase, left });
            add(txids[0], true, 3);
            coinbases.push(txids[0]);
            if let Some(txid) = txids.get(1) {
                // The second transaction is spent by the third, in the same block.
                add(*txid, false, 1);
            }
            let spends: Vec<Vec<(Hash, u32)>> = match txids.get(1) {
                Some(txid) => vec![outpoints, vec![(*txid, 0)]],
                None => vec![],
            };
            let (mut was, mut is, mut lack) = (Vec::new(), Vec::new(), 0);
            for undo in [&mut was, &mut is] {
                push_compact_size(undo, spends.len() as u64);
            }
            for coins in &spends {
                for undo in [&mut was, &mut is] {
                    push_compact_size(undo, coins.len() as u64);
                }
                for (txid, _) in coins {
                    let coin = made.get_mut(txid).unwrap();
                    coin.left -= 1;
                    let code = (coin.height << 1 | u32::from(coin.is_coinbase)) as u8;
                    assert!(coin.height < 64, "one byte");
                    if coin.left == 0 {
                        was.extend([code, 1]);
                    } else {
                        was.push(0);
                        lack += 1;
                    }
                    is.extend([code, 0]);
                    for undo in [&mut was, &mut is] {
                        undo.extend([0, 0]);
                        undo.extend([height as u8; 20]);
                    }
                }
            }
            for (undos, body) in [(&mut old, was), (&mut current, is)] {
                undos.push([record(&body), sha256d([&prev, &body]).to_vec()].concat());
            }
            lacking.push(lack);
            blocks.push(block);
        }
        Self { dir: BlocksDir::with_key([3, 1, 4, 1, 5, 9, 2, 6]), blocks, old, current, lacking }
    }

    /// The first records are old, those from `height` on as Core writes them today.
    fn write(&self, height: usize) {
        self.dir.write("blk00000.dat", &records(&self.blocks));
        let (old, current) = (&self.old[..height - 1], &self.current[height - 1..]);
        self.dir.write("rev00000.dat", &[old.concat(), current.concat()].concat());
    }

    fn index(&self) -> BlockIndex {
        BlockIndex::scan(self.dir.path(), &Params { interval: 10, ..Params::regtest() }).unwrap()
    }
}

fn rewrite(index: &BlockIndex, path: &Path) -> Rewritten {
    index.rewrite_old_undo(path, &AtomicU64::new(0), &NEVER).unwrap()
}

fn read(extents: &Extents) -> Vec<u8> {
    let mut bytes = vec![0; extents.length() as usize];
    extents.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn old_records_are_rewritten_from_the_creating_transactions() {
    let scene = Scene::new(40);
    scene.write(26);
    let state = tempfile::tempdir().unwrap();
    let overlay = state.path().join("undo-overlay.dat");
    let index = scene.index();
    let error = index.settle(0, Spent, &NEVER).err().unwrap();
    assert_eq!(error.code(), "ERR_UNDO_OLD");
    assert!(error.to_string().contains("written by a version before 0.15"), "{error}");
    assert!(!index.use_overlay(&overlay).unwrap());
    let progress = AtomicU64::new(0);
    let done = index.rewrite_old_undo(&overlay, &progress, &NEVER).unwrap();
    assert_eq!(progress.load(Ordering::Relaxed), 3 * 39);
    // Block 1 spends nothing, so its record is as it is today.
    let lacking = scene.lacking[..25].iter().sum::<u64>();
    assert_eq!((done.records, done.coins, lacking > 40), (24, lacking, true));
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 1, "no runs are left");
    assert!(index.use_overlay(&overlay).unwrap());
    for segment in 0..4 {
        let extents = index.settle(segment, Spent, &NEVER).unwrap();
        let first = (segment as usize * 10).max(1);
        let expected = scene.current[first - 1..segment as usize * 10 + 9].concat();
        assert_eq!(read(&extents), expected, "segment {segment}");
        assert_eq!(read(&index.extents(segment, Spent).unwrap()), expected);
        index.settle(segment, Blocks, &NEVER).unwrap();
    }
    assert!(index.rescan().unwrap().0.settle(0, Spent, &NEVER).is_ok(), "later pictures have it too");
}

#[test]
fn hashes_over_an_overlay_are_remembered_with_it() {
    let scene = Scene::new(40);
    scene.write(40);
    let state = tempfile::tempdir().unwrap();
    let overlay = state.path().join("undo-overlay.dat");
    rewrite(&scene.index(), &overlay);
    let age = |path: &Path| {
        fs::File::options().write(true).open(path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    };
    age(&overlay);
    for name in ["blk00000.dat", "rev00000.dat"] {
        age(&scene.dir.path().join(name));
    }
    let db = ResumeDb::open(&state.path().join("resume.redb"));
    let hashed = || {
        let index = scene.index();
        index.use_overlay(&overlay).unwrap();
        index.hashed(1, Spent, 16384, Some(&db), None, &NEVER).unwrap()
    };
    let first = hashed();
    let second = hashed();
    assert_eq!((first.is_remembered, second.is_remembered), (false, true));
    assert_eq!(read(&first.extents), read(&second.extents));
}

#[test]
fn a_damaged_overlay_is_none_and_a_wrong_record_in_one_is_not_used() {
    let scene = Scene::new(20);
    scene.write(20);
    let state = tempfile::tempdir().unwrap();
    let overlay = state.path().join("undo-overlay.dat");
    rewrite(&scene.index(), &overlay);
    let whole = fs::read(&overlay).unwrap();
    for at in [whole.len() - 1, whole.len() - 20, whole.len() - 60] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&overlay, &bytes).unwrap();
        assert!(!scene.index().use_overlay(&overlay).unwrap());
    }
    for length in [0, 7, 50, whole.len() - 1] {
        fs::write(&overlay, &whole[..length]).unwrap();
        assert!(!scene.index().use_overlay(&overlay).unwrap());
    }
    let mut bytes = whole.clone();
    bytes[12] ^= 1;
    fs::write(&overlay, &bytes).unwrap();
    let index = scene.index();
    assert!(index.use_overlay(&overlay).unwrap());
    assert_eq!(index.settle(0, Spent, &NEVER).err().unwrap().code(), "ERR_SPENT_MISSING");
}

#[test]
fn a_directory_without_old_records_gets_no_overlay() {
    let scene = Scene::new(20);
    scene.write(1);
    let state = tempfile::tempdir().unwrap();
    let overlay = state.path().join("undo-overlay.dat");
    assert_eq!(rewrite(&scene.index(), &overlay), Rewritten::default());
    assert!(!overlay.exists());
    let stopped = scene.index().rewrite_old_undo(&overlay, &AtomicU64::new(0), &AtomicBool::new(true));
    assert_eq!(stopped.err().unwrap().code(), "ERR_INTERRUPTED");
}

#[test]
fn the_old_pair_of_mainnet_spends_nothing_and_is_as_core_writes_it_today() {
    let Some(sample) = testdata::path("chain-mainnet/nbitcoin") else { return };
    let params = Params { interval: 20, ..Params::mainnet() };
    let index = BlockIndex::scan(&sample, &params).unwrap();
    let state = tempfile::tempdir().unwrap();
    let overlay = state.path().join("undo-overlay.dat");
    assert_eq!(rewrite(&index, &overlay), Rewritten::default());
    assert!(index.settle(0, Spent, &NEVER).is_ok() && index.settle(1, Spent, &NEVER).is_ok());
}

/// A `rev` file's records with two of three coins made as an old Core left them.
fn made_old(rev: &[u8], prevs: &[Hash]) -> Vec<u8> {
    let (mut out, mut rest, mut coins) = (Vec::new(), rev, 0);
    let magic = Params::regtest().magic;
    while let Some((head, tail)) = rest.split_first_chunk::<8>().filter(|(head, _)| head[..4] == magic) {
        let size = u32::from_le_bytes(*head.last_chunk().unwrap()) as usize;
        let (undo, tail) = tail.split_at(size);
        let (checksum, tail) = tail.split_first_chunk::<32>().unwrap();
        let prev = prevs.iter().find(|prev| sha256d([*prev, undo]) == *checksum).unwrap();
        let mut body = Vec::new();
        let shape = read_shape(undo).unwrap();
        push_compact_size(&mut body, shape.len() as u64);
        for transaction in read_undo(undo, &shape).unwrap() {
            push_compact_size(&mut body, transaction.len() as u64);
            for coin in transaction {
                coins += 1;
                if coins % 3 == 0 {
                    // A VARINT of up to two bytes: the chain is short.
                    let code = coin.code;
                    body.extend((code > 0x7f).then(|| 0x80 | ((code >> 7) - 1) as u8));
                    body.extend([(code & 0x7f) as u8, 2]);
                } else {
                    body.push(0);
                }
                body.extend_from_slice(coin.output);
            }
        }
        out.extend(record(&body));
        out.extend(sha256d([prev, &body]));
        rest = tail;
    }
    out
}

#[test]
fn what_core_wrote_with_forks_is_the_same_again_after_it_was_made_old() {
    let Some(dir) = untar("acceptance/core-feature_taproot-blocksdir.tar.zst") else { return };
    let params = Params { interval: 36, ..Params::regtest() };
    let whole = BlockIndex::scan(dir.path(), &params).unwrap();
    let expected = records_by_height(&whole);
    let frames = whole.block_files.iter().flat_map(|file| file.frames.iter());
    let prevs: Vec<Hash> = frames.filter_map(|frame| whole.tree.parent_hash(frame.number)).collect();
    let key = whole.xor_key().unwrap_or_default();
    let plain = |bytes: Vec<u8>| -> Vec<u8> {
        bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
    };
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("rev") {
            fs::write(&path, plain(made_old(&plain(fs::read(&path).unwrap()), &prevs))).unwrap();
        }
    }
    let state = tempfile::tempdir().unwrap();
    let overlay = state.path().join("undo-overlay.dat");
    let index = BlockIndex::scan(dir.path(), &params).unwrap();
    let done = rewrite(&index, &overlay);
    assert!(index.use_overlay(&overlay).unwrap());
    let found = records_by_height(&index);
    // Between siblings of one form amounts and scripts decide, which need whole records: old ones belong to nobody.
    assert!(found.len() > 150 && expected.len() == 1516, "{} of {}", found.len(), expected.len());
    let is_same = |(height, record)| expected.get(height) == Some(record);
    assert!(found.iter().all(is_same), "each record is the one that Core wrote");
    assert!(done.records > 50 && done.coins > 300, "{done:?} of {}", found.len());
}

/// The bytes of each record that is known to be a block's, the overlay's where it has one.
fn records_by_height(index: &BlockIndex) -> BTreeMap<u32, Vec<u8>> {
    let overlay = index.overlay.get();
    let record = |height: u32| {
        let found = index.found(height).unwrap();
        let hash = index.hash_at(height).unwrap();
        let own = overlay.as_deref().and_then(|overlay| Some((&overlay.path, overlay.record(&hash)?)));
        let in_node = || {
            Some((
                &found.file.pair.undo_path,
                index.undo_by_checksums(found.file, &NEVER).unwrap().record(found.index)?,
            ))
        };
        let (path, record) = own.or_else(in_node)?;
        let key = if own.is_some() { [0; 8] } else { index.key() };
        let mut bytes = vec![0; record.size as usize + 32];
        assert!(FileReader::open(path, key).unwrap().fill(record.offset + 8, &mut bytes).unwrap());
        Some((height, bytes))
    };
    (1..=index.held_height().unwrap()).filter_map(record).collect()
}
