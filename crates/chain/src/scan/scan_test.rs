//! Folders as Core leaves them, made by hand.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::testdir::{BlocksDir, TestBlock, block, chain, record, records};
use super::{BlockIndex, ScanError, SkipReason};
use crate::params::Params;

fn scan(dir: &BlocksDir) -> BlockIndex {
    BlockIndex::scan(dir.path(), &Params::regtest()).unwrap()
}

fn scan_error(dir: &BlocksDir) -> ScanError {
    BlockIndex::scan(dir.path(), &Params::regtest()).err().unwrap()
}

/// Every block of the chain is found, byte for byte.
fn assert_holds(index: &BlockIndex, blocks: &[TestBlock]) {
    assert_eq!(index.held_height(), Some(blocks.len() as u32 - 1));
    for (height, block) in (0u32..).zip(blocks) {
        assert_eq!(index.hash_at(height), Some(block.hash), "height {height}");
        let extents = index.block_extents(height..height + 1).unwrap();
        let mut bytes = vec![0; extents.length() as usize];
        extents.read_exact_at(0, &mut bytes).unwrap();
        assert_eq!(bytes, block.record(), "height {height}");
        let location = index.location(height).unwrap();
        assert_eq!(location.length, bytes.len() as u64);
    }
    let headers: Vec<u8> = blocks.iter().flat_map(|block| block.bytes[..80].to_vec()).collect();
    assert_eq!(index.headers(0, blocks.len() as u32), Some(headers));
    assert_eq!(index.headers(0, blocks.len() as u32 + 1), None);
}

#[test]
fn blocks_in_any_order_over_files_with_gaps_make_one_chain() {
    let blocks = chain(30);
    let dir = BlocksDir::with_key([1, 2, 3, 4, 5, 6, 7, 8]);
    dir.write("blk00000.dat", &records([&blocks[0], &blocks[7], &blocks[3]]));
    dir.write("blk00001.dat", &[]);
    dir.write_padded("blk00005.dat", &records(blocks[8..].iter().rev()), 5000);
    dir.write_padded("blk00004.dat", &records([1, 2, 5, 4, 6].map(|height| &blocks[height])), 1);
    let index = scan(&dir);
    assert_holds(&index, &blocks);
    assert_eq!((index.stale_blocks(), index.orphans(), index.warnings()), (0, 0, vec![]));
    assert_eq!(index.xor_key(), Some([1, 2, 3, 4, 5, 6, 7, 8]));
}

#[test]
fn neighbours_on_disk_become_one_run() {
    let blocks = chain(10);
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &records(&blocks[..6]));
    dir.write("blk00001.dat", &records([7, 6, 8, 9].map(|height| &blocks[height])));
    assert_eq!(scan(&dir).block_extents(0..10).unwrap().run_count(), 4);
}

#[test]
fn a_stale_sibling_stays_outside_the_chain_and_a_tie_goes_to_the_first_seen() {
    let mut blocks = chain(5);
    let sibling = block(blocks[2].hash, 99, &[]);
    let rival = block(blocks[3].hash, 99, &[]);
    let dir = BlocksDir::new();
    let all = [&blocks[0], &blocks[1], &blocks[2], &sibling, &blocks[3], &rival, &blocks[4]];
    dir.write("blk00000.dat", &records(all));
    let index = scan(&dir);
    assert_eq!((index.stale_blocks(), index.orphans()), (2, 0));
    blocks[4] = rival;
    assert_holds(&index, &blocks);
    assert_eq!(index.tip().unwrap().work, crate::u256::U256::from(10));
}

#[test]
fn of_two_copies_the_lowest_counts() {
    let blocks = chain(6);
    let dir = BlocksDir::new();
    let first = dir.write("blk00000.dat", &records([0, 2, 1, 2, 3].map(|height| &blocks[height])));
    dir.write("blk00001.dat", &records([3, 4, 1, 5, 0].map(|height| &blocks[height])));
    let index = scan(&dir);
    assert_holds(&index, &blocks);
    assert_eq!((index.stale_blocks(), index.orphans()), (0, 0));
    assert_eq!(index.location(2).unwrap().offset, blocks[0].record().len() as u64);
    assert_eq!(index.location(3).unwrap().path, first);
}

#[test]
fn blocks_without_a_line_to_genesis_are_no_chain() {
    let blocks = chain(6);
    let dir = BlocksDir::new();
    dir.write("blk00003.dat", &records(&blocks[2..]));
    let index = scan(&dir);
    assert_eq!((index.tip(), index.held_height(), index.orphans()), (None, None, 4));
    assert!(index.warnings()[0].contains("pruned?"));
    assert_eq!(index.sealed_segments(0), 0);
}

#[test]
fn a_torn_last_record_is_not_there_yet() {
    let blocks = chain(4);
    let bytes = records(&blocks);
    let last = bytes.len() - blocks[3].record().len();
    for end in last..bytes.len() {
        let dir = BlocksDir::with_key(*b"whatever");
        dir.write("blk00000.dat", &bytes[..end]);
        let index = scan(&dir);
        assert_holds(&index, &blocks[..3]);
        assert_eq!(index.warnings(), Vec::<String>::new(), "cut at {end}");
    }
}

#[test]
fn a_last_record_that_is_only_partly_written_into_allocated_space_is_not_there_yet() {
    let blocks = chain(4);
    let bytes = records(&blocks);
    let last = bytes.len() - blocks[3].record().len();
    // The four bytes of lock time at the end are zeros anyway.
    for end in last + 88..bytes.len() - 5 {
        let dir = BlocksDir::with_key(*b"whatever");
        dir.write_padded("blk00000.dat", &bytes[..end], 1 << 16);
        let index = scan(&dir);
        assert_holds(&index, &blocks[..3]);
    }
}

#[test]
fn a_rescan_takes_what_has_grown_and_what_is_new() {
    let blocks = chain(9);
    let dir = BlocksDir::with_key(*b"12345678");
    dir.write_padded("blk00000.dat", &records(&blocks[..3]), 4096);
    let first = scan(&dir);
    assert_holds(&first, &blocks[..3]);
    dir.write_padded("blk00000.dat", &records(&blocks[..5]), 4096);
    let second = first.rescan().unwrap().0;
    assert_holds(&second, &blocks[..5]);
    dir.write_padded("blk00000.dat", &records(&blocks[..6]), 0);
    dir.write_padded("blk00001.dat", &records(&blocks[6..]), 4096);
    assert_holds(&second.rescan().unwrap().0, &blocks);
    assert_holds(&first.rescan().unwrap().0, &blocks);
    assert_holds(&first, &blocks[..3]);
}

#[test]
fn a_rescan_sees_what_a_node_wrote_over_after_a_crash_and_what_it_pruned() {
    let blocks = chain(8);
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &records(&blocks[..3]));
    let torn = [records(&blocks[3..4]), records([&blocks[7], &blocks[5], &blocks[6], &blocks[4]])].concat();
    dir.write("blk00001.dat", &torn);
    let first = scan(&dir);
    assert_holds(&first, &blocks);
    // The node had flushed block 3 only; it fetches the others again, in order, and dies again before the end.
    let mut again = records(&blocks[3..6]);
    again.extend_from_slice(&torn[again.len()..]);
    dir.write("blk00001.dat", &again);
    let second = first.rescan().unwrap().0;
    assert_holds(&second, &blocks[..7]);
    std::fs::remove_file(dir.path().join("blk00001.dat")).unwrap();
    assert_holds(&second.rescan().unwrap().0, &blocks[..3]);
}

#[test]
fn a_rescan_reads_a_file_that_was_replaced_and_lets_go_of_one_that_is_gone() {
    let blocks = chain(6);
    let dir = BlocksDir::new();
    dir.write("blk00000.dat", &records(&blocks[..3]));
    dir.write("blk00001.dat", &records(&blocks[3..]));
    let first = scan(&dir);
    assert_holds(&first, &blocks);
    let other = dir.write("new", &records(blocks[..3].iter().rev()));
    std::fs::rename(other, dir.path().join("blk00000.dat")).unwrap();
    let second = first.rescan().unwrap().0;
    assert_holds(&second, &blocks);
    std::fs::remove_file(dir.path().join("blk00001.dat")).unwrap();
    let third = second.rescan().unwrap().0;
    assert_eq!(third.files.open_count(), 0);
    assert_holds(&third, &blocks[..3]);
}

#[test]
fn garbage_between_records_is_passed_over_and_told() {
    let blocks = chain(4);
    let dir = BlocksDir::with_key(*b"12345678");
    let magic = Params::regtest().magic;
    let parts: [&[u8]; 6] =
        [&records(&blocks[..2]), b"junk", &magic, b"\0\0\0\0more", &[0; 700], &records(&blocks[2..])];
    let path = dir.write("blk00000.dat", &parts.concat());
    let index = scan(&dir);
    assert_holds(&index, &blocks);
    let skipped: Vec<_> = index.skipped().collect();
    let first = parts[0].len() as u64;
    assert_eq!(skipped.len(), 1);
    assert_eq!((skipped[0].first, skipped[0].end), (first, first + 4 + 4 + 8 + 700));
    assert!(index.warnings()[0].starts_with(&format!("{}: skipped bytes {first} to", path.display())));
}

#[test]
fn lengths_out_of_bounds_are_passed_over() {
    let blocks = chain(3);
    let magic = Params::regtest().magic;
    for length in [0u32, 79, 4_000_001, u32::MAX] {
        let dir = BlocksDir::new();
        let bad = [&magic, &length.to_le_bytes()[..], &[7; 79]].concat();
        dir.write("blk00000.dat", &[records(&blocks[..2]), bad, records(&blocks[2..])].concat());
        let index = scan(&dir);
        assert_holds(&index, &blocks);
        assert_eq!(index.skipped().next().unwrap().reason, SkipReason::Length(length));
        assert!(index.warnings()[0].contains(&format!("{length} bytes, expected 80 to 4000000")));
    }
}

#[test]
fn a_header_without_work_is_passed_over() {
    let blocks = chain(3);
    let mut cheap = blocks[1].bytes.clone();
    // A target above the network's limit.
    cheap[72..76].copy_from_slice(&0x2100_ffff_u32.to_le_bytes());
    let dir = BlocksDir::new();
    let parts = [records(&blocks[..2]), record(&cheap), records(&blocks[2..])];
    dir.write("blk00000.dat", &parts.concat());
    let index = scan(&dir);
    assert_holds(&index, &blocks);
    assert_eq!(index.skipped().next().unwrap().reason, SkipReason::ProofOfWork);
}

#[test]
fn a_directory_of_another_network_is_named() {
    let blocks = chain(3);
    let dir = BlocksDir::new();
    let path = dir.write("blk00000.dat", &records(&blocks));
    let error = BlockIndex::scan(dir.path(), &Params::mainnet()).err().unwrap();
    assert_eq!(error.code(), "ERR_NETWORK_MISMATCH");
    assert_eq!(error.to_string(), format!("{} holds blocks of regtest, expected mainnet", path.display()));
    // A magic that nobody knows, with a genesis block behind it.
    let mut custom = records(&blocks);
    custom[..4].copy_from_slice(&[0xab; 4]);
    dir.write("blk00000.dat", &custom);
    let error = BlockIndex::scan(dir.path(), &Params::mainnet()).err().unwrap();
    assert!(error.to_string().contains("unknown network (magic abababab), expected mainnet"));
    // In the middle of a file.
    let mut foreign = chain(1)[0].record();
    foreign[..4].copy_from_slice(&Params::testnet4().magic);
    dir.write("blk00000.dat", &[records(&blocks), foreign].concat());
    assert!(BlockIndex::scan(dir.path(), &Params::regtest()).is_ok(), "no work for testnet4");
}

#[test]
fn an_empty_or_zero_file_is_no_error_and_a_folder_without_block_files_is() {
    let dir = BlocksDir::new();
    assert_eq!(scan_error(&dir).code(), "ERR_DATADIR_EMPTY");
    dir.write("rev00000.dat", b"");
    dir.write("blk1.dat", b"");
    assert!(scan_error(&dir).to_string().contains(&dir.path().display().to_string()));
    dir.write("blk00000.dat", b"");
    dir.write_padded("blk00001.dat", b"", 1 << 20);
    let index = scan(&dir);
    assert_eq!((index.held_height(), index.warnings()), (None, vec![]));
}

#[test]
fn what_cannot_be_read_is_named_with_its_cause() {
    let dir = BlocksDir::new();
    let missing = dir.path().join("none");
    let error = BlockIndex::scan(&missing, &Params::regtest()).err().unwrap();
    assert_eq!(error.code(), "ERR_DATADIR_UNREADABLE");
    assert!(error.to_string().contains("none: No such file"));
    std::fs::create_dir(dir.path().join("blk00000.dat")).unwrap();
    let error = scan_error(&dir);
    assert_eq!(error.code(), "ERR_DATADIR_UNREADABLE");
    assert!(error.to_string().contains("blk00000.dat"), "{error}");
}

#[test]
fn a_key_of_another_length_or_left_behind_is_an_error() {
    let blocks = chain(3);
    let dir = BlocksDir::with_key(*b"12345678");
    dir.write("blk00000.dat", &records(&blocks));
    let key = dir.path().join("xor.dat");
    for length in [0, 7, 9] {
        std::fs::write(&key, vec![1; length]).unwrap();
        let error = scan_error(&dir);
        assert_eq!(error.code(), "ERR_XOR_KEY");
        assert!(error.to_string().ends_with(&format!("xor.dat has {length} bytes, expected 8")));
    }
    std::fs::remove_file(&key).unwrap();
    let error = scan_error(&dir);
    assert_eq!(error.code(), "ERR_XOR_KEY");
    assert!(error.to_string().contains("xor.dat is missing"));
}
