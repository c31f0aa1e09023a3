//! Whatever stands in a file: no panic, and never a block whose bytes are others.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::BlockIndex;
use super::testdir::{BlocksDir, TestBlock, hard_chain, records, undos};
use crate::encode::Hash;
use crate::params::Params;
use crate::segments::SegmentKind;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

/// Three segments of three blocks.
static CHAIN: LazyLock<(Params, Vec<TestBlock>)> = LazyLock::new(|| hard_chain(9));

#[derive(Debug, Clone)]
enum Damage {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = 0usize..4000;
    prop_oneof![
        (at.clone(), 1u8..).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        at.clone().prop_map(Damage::Cut),
        (at.clone(), prop::collection::vec(any::<u8>(), 1..40))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (at.clone(), 1usize..300).prop_map(|(at, count)| Damage::Remove(at, count)),
        (at, 1usize..600).prop_map(|(at, count)| Damage::Repeat(at, count)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let within = |at: &usize| *at % (bytes.len() + 1);
    match damage {
        Damage::Flip(at, bits) => {
            let at = within(at);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bits;
            }
        }
        Damage::Cut(at) => bytes.truncate(within(at)),
        Damage::Insert(at, more) => {
            let at = within(at);
            bytes.splice(at..at, more.iter().copied());
        }
        Damage::Remove(at, count) => {
            let at = within(at);
            let end = (at + count).min(bytes.len());
            bytes.drain(at..end);
        }
        Damage::Repeat(at, count) => {
            let at = within(at);
            let part = bytes[at..(at + count).min(bytes.len())].to_vec();
            bytes.splice(at..at, part);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_passes_for_a_block(all in prop::collection::vec(damage(), 1..5), undo in prop::collection::vec(damage(), 0..3)) {
        let mut bytes = records(CHAIN.1.iter());
        for damage in &all {
            apply(&mut bytes, damage);
        }
        let mut undo_bytes = undos(CHAIN.1.iter());
        for damage in &undo {
            apply(&mut undo_bytes, damage);
        }
        let dir = BlocksDir::new();
        dir.write("blk00000.dat", &bytes);
        dir.write("rev00000.dat", &undo_bytes);
        // Without a key an unreadable file may pass for one whose key is missing.
        let Ok(index) = BlockIndex::scan(dir.path(), &CHAIN.0) else { return Ok(()) };
        let known: BTreeMap<Hash, &TestBlock> = CHAIN.1.iter().map(|block| (block.hash, block)).collect();
        let end = index.held_height().map_or(0, |height| height + 1);
        prop_assert!(end <= 9);
        for height in 0..end {
            let block = known[&index.hash_at(height).unwrap()];
            prop_assert_eq!(&index.headers(height, height + 1).unwrap(), &block.bytes[..80]);
        }
        let never = AtomicBool::new(false);
        for segment in 0..end / 3 {
            let heights = segment * 3..segment * 3 + 3;
            let blocks: Vec<&TestBlock> = heights.map(|height| known[&index.hash_at(height).unwrap()]).collect();
            for (kind, expected) in [
                (SegmentKind::Blocks, records(blocks.iter().copied())),
                (SegmentKind::Spent, undos(blocks.iter().copied())),
            ] {
                if let Ok(extents) = index.settle(segment, kind, &never) {
                    let mut found = vec![0; extents.length() as usize];
                    extents.read_exact_at(0, &mut found).unwrap();
                    prop_assert!(found == expected, "segment {} {}", segment, kind);
                }
            }
        }
    }

    #[test]
    fn random_bytes_are_no_blocks(bytes in prop::collection::vec(any::<u8>(), 0..4000), padding in 0usize..100) {
        let dir = BlocksDir::with_key(*b"random__");
        dir.write_padded("blk00000.dat", &bytes, padding);
        match BlockIndex::scan(dir.path(), &CHAIN.0) {
            Ok(index) => prop_assert_eq!(index.held_height(), None),
            // Nothing in it is a block with this key.
            Err(error) => prop_assert_eq!(error.code(), "ERR_XOR_KEY"),
        }
    }
}
