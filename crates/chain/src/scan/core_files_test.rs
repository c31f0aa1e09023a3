//! Folders that Bitcoin Core and others wrote (`../shared/data`).
#![expect(clippy::unwrap_used, reason = "tests")]
use super::BlockIndex;
use super::reader::FileReader;
use crate::encode::sha256d;
use crate::params::Params;
use crate::segments::{SEALING_DEPTH, SegmentKind};
use crate::testdata::{self, untar};
use std::sync::atomic::AtomicBool;

/// Settles and reads every segment of the chain that is full; all spent records together.
fn settle_all(index: &BlockIndex, segments: u32) -> (Vec<u8>, Vec<u8>) {
    let (mut blocks, mut spent) = (Vec::new(), Vec::new());
    for segment in 0..segments {
        for (kind, out) in [(SegmentKind::Blocks, &mut blocks), (SegmentKind::Spent, &mut spent)] {
            let extents = index.settle(segment, kind, &AtomicBool::new(false)).unwrap();
            let mut bytes = vec![0; extents.length() as usize];
            extents.read_exact_at(0, &mut bytes).unwrap();
            out.extend(bytes);
        }
    }
    (blocks, spent)
}

#[test]
fn the_mainnet_sample_as_core_wrote_it() {
    let Some(dir) = untar("chain-mainnet/core-blocksdir-0-14131-xor.tar.zst") else { return };
    let Some(flat) = testdata::read("chain-mainnet/btcd-blk_0_to_14131.dat.zst") else { return };
    let index = BlockIndex::scan(dir.path(), &Params::mainnet()).unwrap();
    let tip = index.tip().unwrap();
    assert_eq!(tip.height, 14_131);
    assert!(tip.hash.starts_with(&[0x1c, 0x0a]) && tip.hash.ends_with(&[0xf3, 0x50, 0xe7, 0xb3, 0, 0, 0, 0]));
    assert_eq!((index.stale_blocks(), index.orphans(), index.warnings()), (0, 0, vec![]));
    assert_eq!(index.sealed_segments(SEALING_DEPTH), 6);
    assert!((0..6).all(|segment| index.has_spent(segment)));
    let (blocks, spent) = settle_all(&index, 6);
    // The other file is in the order of heights.
    assert!(flat.starts_with(&blocks));
    let mut rest = spent.as_slice();
    for height in 1..6 * 2016 {
        let size = u32::from_le_bytes(*rest[4..].first_chunk().unwrap()) as usize;
        let checksum = sha256d([&index.hash_at(height - 1).unwrap(), &rest[8..8 + size]]);
        assert_eq!(checksum, rest[8 + size..][..32], "height {height}");
        rest = &rest[8 + size + 32..];
    }
    assert!(rest.is_empty());
    let hashes = flat_hashes(&flat, 14_132);
    assert!((0..14_132).all(|height| index.hash_at(height) == Some(hashes[height as usize])));
}

fn flat_hashes(flat: &[u8], count: usize) -> Vec<[u8; 32]> {
    let frames = testdata::frames(flat, Params::mainnet().magic);
    frames.iter().take(count).map(|block| sha256d([&block[..80]])).collect()
}

#[test]
fn eleven_files_give_the_same_segment_as_one() {
    let Some(many) = untar("chain-mainnet/core-blocksdir-0-2999-fastprune-xor.tar.zst") else { return };
    let Some(one) = untar("chain-mainnet/core-blocksdir-0-14131-xor.tar.zst") else { return };
    let many = BlockIndex::scan(many.path(), &Params::mainnet()).unwrap();
    let one = BlockIndex::scan(one.path(), &Params::mainnet()).unwrap();
    assert_eq!((many.held_height(), many.warnings()), (Some(2999), vec![]));
    assert_ne!(many.xor_key(), one.xor_key());
    assert_eq!(settle_all(&many, 1), settle_all(&one, 1));
    assert!(many.extents(0, SegmentKind::Blocks).unwrap().run_count() > 5);
}

#[test]
fn files_of_an_old_core_with_few_undo_records() {
    let Some(sample) = testdata::path("chain-mainnet/nbitcoin") else { return };
    let index = BlockIndex::scan(&sample, &Params::mainnet()).unwrap();
    assert_eq!(index.held_height(), Some(599));
    let params = Params { interval: 20, ..Params::mainnet() };
    let index = BlockIndex::scan(&sample, &params).unwrap();
    let settle = |segment| index.settle(segment, SegmentKind::Spent, &AtomicBool::new(false));
    assert!(settle(0).is_ok() && settle(1).is_ok());
    let error = settle(2).err().unwrap();
    assert!(error.to_string().contains("block 41: no undo record in"), "{error}");
    assert!(!index.has_spent(15), "no rev00001.dat");
}

#[test]
fn a_file_cut_in_a_record() {
    let Some(mainnet) = testdata::path("chain-mainnet/nbitcoin") else { return };
    let Some(testnet) = testdata::path("chain-testnet/blk-testnet.dat") else { return };
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(mainnet.join("blk00000.dat"), dir.path().join("blk00000.dat")).unwrap();
    std::fs::copy(mainnet.join("incompleteblk.dat"), dir.path().join("blk00001.dat")).unwrap();
    let index = BlockIndex::scan(dir.path(), &Params::mainnet()).unwrap();
    assert_eq!((index.held_height(), index.warnings()), (Some(599), vec![]));
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(testnet, dir.path().join("blk00000.dat")).unwrap();
    let index = BlockIndex::scan(dir.path(), &Params::testnet3()).unwrap();
    assert_eq!((index.held_height(), index.warnings()), (Some(400), vec![]));
}

#[test]
fn a_folder_of_another_network() {
    let Some(sample) = testdata::path("chain-mainnet/nbitcoin") else { return };
    let error = BlockIndex::scan(&sample, &Params::testnet4()).err().unwrap();
    assert!(error.to_string().ends_with("blk00000.dat holds blocks of mainnet, expected testnet4"));
}

#[test]
fn regtest_folders_with_stale_and_invalid_blocks() {
    // In the first a block that Core found invalid has the most work: work is all that a scan goes by.
    for (name, expected) in [("feature_block", (135, 57, 3)), ("feature_taproot", (1516, 2490, 0))] {
        let Some(dir) = untar(&format!("acceptance/core-{name}-blocksdir.tar.zst")) else { return };
        let params = Params { interval: 36, ..Params::regtest() };
        let index = BlockIndex::scan(dir.path(), &params).unwrap();
        let tip = index.tip().unwrap();
        assert_eq!((tip.height, index.stale_blocks(), index.orphans()), expected, "{name}");
        settle_all(&index, 2);
        let end = (tip.height + 1) / 36;
        let settle = |segment, kind| index.settle(segment, kind, &AtomicBool::new(false));
        assert!((0..end).all(|segment| settle(segment, SegmentKind::Blocks).is_ok()));
        // There Core's tests put many blocks of the same form on one parent: amounts and scripts tell them apart.
        let errors: Vec<String> = (0..end)
            .filter_map(|segment| settle(segment, SegmentKind::Spent).err())
            .map(|error| error.to_string())
            .collect();
        match name {
            // Some of the first spend coins that are anyone's.
            "feature_block" => assert!(
                errors.len() == 1
                    && errors[0].contains("block 104: no undo record in")
                    && errors[0].ends_with("(0 of unknown blocks, 5 of siblings alike)"),
                "{errors:?}"
            ),
            _ => assert_eq!(errors, Vec::<String>::new(), "{name}"),
        }
    }
}

#[test]
fn a_reader_ends_where_its_file_ended() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, vec![7; 40_000]).unwrap();
    let mut reader = FileReader::open(&path, [0; 8]).unwrap();
    assert_eq!(reader.array::<4>(39_996).unwrap(), Some([7; 4]));
    assert_eq!(reader.array::<4>(39_997).unwrap(), None);
    std::fs::write(&path, [7; 3]).unwrap();
    assert_eq!(reader.array::<4>(20_000).unwrap(), None);
    assert!(!reader.fill(0, &mut [0; 4]).unwrap());
}
