//! The first blocks of mainnet as Core keeps them, against the snapshots that Core made of them.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::encode::Hash;
use crate::params::Params;
use crate::scan::{BlockIndex, NodeRecords};
use crate::testdata;

use super::super::{
    CoinRange, CoinSetJob, EndCoins, find_culprits, make_hints, make_hints_of_snapshot, make_snapshot,
};

fn internal(shown: &str) -> Hash {
    let mut hash: Hash = testdata::unhex(shown).try_into().unwrap();
    hash.reverse();
    hash
}

#[test]
fn snapshots_are_byte_for_byte_those_of_core() {
    let Some(blocks) = testdata::untar("chain-mainnet/core-blocksdir-0-14131-xor.tar.zst") else { return };
    let index = Arc::new(BlockIndex::scan(blocks.path(), &Params::mainnet()).unwrap());
    let node = NodeRecords::new(index, 1_300_000_000, Arc::default()).unwrap().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (progress, cancelled) = (AtomicU64::new(0), AtomicBool::new(false));
    let job = CoinSetJob {
        records: &node,
        scratch: folder.path(),
        memory_bytes: 100_000,
        threads: 2,
        progress: &progress,
        cancelled: &cancelled,
    };
    // What `gettxoutsetinfo` says at both heights.
    let known = [
        (5_000, 4_783, "889b2df97c3a329fc054f334b727fb010803c9a85dd04c53fe428714f41dfa13"),
        (14_131, 13_416, "74c5a654587d4eaac9248b73889453e0b2fbc918bbc7bb8d8e6301d4d8c98db3"),
    ];
    let path = |name: &str| folder.path().join(name);
    for (height, coins, hash_serialized) in known {
        let theirs = testdata::read(&format!("chain-mainnet/core-utxo-snapshot-{height}.dat.zst")).unwrap();
        let hints = make_hints(&job, height + 1, &path("hints")).unwrap();
        assert_eq!(hints.survivors, coins);
        for hints in [None, Some(&*path("hints"))] {
            let made = make_snapshot(&job, height + 1, hints, &path("utxo")).unwrap();
            assert!(std::fs::read(path("utxo")).unwrap() == theirs);
            assert_eq!((made.totals.coins, made.length_bytes), (coins, theirs.len() as u64));
            assert_eq!(made.totals.hash_serialized, internal(hash_serialized));
        }
        let of_snapshot = make_hints_of_snapshot(&job, height + 1, &path("utxo"), &path("again")).unwrap();
        assert_eq!(of_snapshot, hints);
        let range = CoinRange { heights: 0..height + 1, start: None, end: EndCoins::Snapshot(&path("utxo")) };
        assert_eq!(find_culprits(&job, &range).unwrap(), []);
        assert_eq!(File::open(path("again")).unwrap().metadata().unwrap().len(), hints.length_bytes);
    }
    let made = make_snapshot(&job, 14_132, None, &path("utxo")).unwrap();
    let muhash = internal("859e27f17a6cce9768b75dd0dbd969890157d29a152b0f4a0afa6c67cbcd5975");
    assert_eq!((made.totals.value, made.totals.muhash), (706_550 * 100_000_000, muhash));
}
