//! Blocks copied out, also in two runs.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::BlockIndex;
use super::testdir::{BlocksDir, hard_chain, records};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static NEVER: AtomicBool = AtomicBool::new(false);

#[test]
fn blocks_come_out_in_the_order_of_heights_and_a_second_run_goes_on() {
    let (params, blocks) = hard_chain(9);
    let dir = BlocksDir::with_key([8, 7, 6, 5, 4, 3, 2, 1]);
    dir.write("blk00000.dat", &records(blocks[4..].iter().rev()));
    dir.write("blk00001.dat", &records(&blocks[..4]));
    let index = BlockIndex::scan(dir.path(), &params).unwrap();
    let whole = records(&blocks);
    assert_eq!(index.records_length(0..9), Some(whole.len() as u64));
    assert_eq!(index.records_length(0..10), None);
    let out = dir.path().join("bootstrap.dat.part");
    assert_eq!(index.copied_blocks(0..9, &out, &NEVER).unwrap(), (0, 0));
    let progress = AtomicU64::new(0);
    index.copy_blocks(0..9, File::create(&out).unwrap(), &progress, &NEVER).unwrap();
    assert_eq!(fs::read(&out).unwrap(), whole);
    assert_eq!(progress.load(Ordering::Relaxed), whole.len() as u64);

    let third = records(&blocks[..3]).len();
    for (damage, length) in [(None, third + 20), (Some(third + 100), whole.len())] {
        let mut bytes = whole[..length].to_vec();
        if let Some(at) = damage {
            bytes[at] ^= 1;
        }
        fs::write(&out, bytes).unwrap();
        let (count, offset) = index.copied_blocks(0..9, &out, &NEVER).unwrap();
        assert_eq!((count, offset), (3, third as u64));
        let mut file = File::options().write(true).open(&out).unwrap();
        file.set_len(offset).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        index.copy_blocks(count..9, file, &progress, &NEVER).unwrap();
        assert_eq!(fs::read(&out).unwrap(), whole);
    }
}

#[test]
fn a_damaged_block_ends_the_copy_and_is_named() {
    let (params, blocks) = hard_chain(4);
    let dir = BlocksDir::new();
    let mut bytes = records(&blocks);
    let at = records(&blocks[..2]).len();
    bytes[at + 8 + 80 + 30] ^= 1;
    dir.write("blk00000.dat", &bytes);
    let index = BlockIndex::scan(dir.path(), &params).unwrap();
    let out = File::create(dir.path().join("out")).unwrap();
    let error = index.copy_blocks(0..4, out, &AtomicU64::new(0), &NEVER).err().unwrap();
    assert!(error.to_string().ends_with("height 2: bad-txnmrklroot"), "{error}");
    assert_eq!(error.code(), "ERR_BLOCK_DAMAGED");
}
