#![expect(clippy::unwrap_used, reason = "tests")]
use super::super::{BlockIndex, NodeRecords};
use super::*;
use crate::params::Params;
use crate::segments::SegmentKind::{self, Blocks, Spent};
use crate::testdata::untar;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

/// The first blocks of mainnet as Core keeps them, and three segments' files beside them, in a folder.
fn node() -> Option<(TempDir, NodeRecords)> {
    let dir = untar("chain-mainnet/core-blocksdir-0-14131-xor.tar.zst")?;
    let params = Params::mainnet();
    let index = Arc::new(BlockIndex::scan(dir.path(), &params).unwrap());
    for segment in 0..3 {
        for kind in [Blocks, Spent] {
            let extents = index.settle(segment, kind, &AtomicBool::new(false)).unwrap();
            let mut bytes = vec![0; extents.length() as usize];
            extents.read_exact_at(0, &mut bytes).unwrap();
            fs::write(dir.path().join(kind.file_name(&params, segment)), bytes).unwrap();
        }
    }
    let node = NodeRecords::new(index, 1_300_000_000, Arc::default()).unwrap().unwrap();
    Some((dir, node))
}

fn open(folder: &Path, headers: &HeaderChain, numbers: &[u32]) -> Result<SegmentRecords, ScanError> {
    let params = headers.params();
    let files = numbers.iter().map(|number| {
        let path = |kind: SegmentKind| folder.join(kind.file_name(params, *number));
        let spent = path(Spent);
        SegmentFiles::open(
            params,
            *number,
            &path(Blocks),
            Some(&spent).filter(|spent| spent.exists()).map(|p| &**p),
        )
    });
    SegmentRecords::new(headers.clone(), files.collect::<Result<_, _>>()?)
}

#[test]
fn segment_files_hold_what_the_node_holds() {
    let Some((dir, node)) = node() else { return };
    assert_eq!(node.heights(), 0..14_132);
    let chain = open(dir.path(), node.headers(), &[0, 1, 2]).unwrap();
    assert_eq!(chain.heights(), 0..6048);
    let [mut ours, mut theirs] = [Vec::new(), Vec::new()];
    for height in chain.heights() {
        chain.read_block(height, &mut ours).unwrap();
        node.read_block(height, &mut theirs).unwrap();
        assert!(ours == theirs, "block {height}");
        chain.read_undo(height, &mut ours).unwrap();
        node.read_undo(height, &mut theirs).unwrap();
        assert!(ours == theirs, "record {height}");
    }
    let later = open(dir.path(), node.headers(), &[1, 2]).unwrap();
    assert_eq!(later.heights(), 2016..6048);
    assert_eq!(later.read_block(2015, &mut ours).err().unwrap().code(), "ERR_SEGMENT_RANGE");
    assert_eq!(open(dir.path(), node.headers(), &[0, 2]).err().unwrap().code(), "ERR_SEGMENT_RANGE");
}

#[test]
fn files_of_another_chain_and_spent_files_of_another_length_are_refused() {
    let Some((dir, node)) = node() else { return };
    let params = Params::mainnet();
    let spent = dir.path().join(Spent.file_name(&params, 1));
    let genuine = fs::read(&spent).unwrap();
    for bytes in [&genuine[..genuine.len() - 1], &genuine[1..], &[&genuine[..], &[0]].concat()] {
        fs::write(&spent, bytes).unwrap();
        assert_eq!(open(dir.path(), node.headers(), &[1]).err().unwrap().code(), "ERR_SPENT_MISSING");
    }
    fs::remove_file(&spent).unwrap();
    let blocks_only = open(dir.path(), node.headers(), &[1]).unwrap();
    blocks_only.read_block(2016, &mut Vec::new()).unwrap();
    let error = blocks_only.read_undo(2016, &mut Vec::new()).err().unwrap();
    assert_eq!(error.to_string(), "segment 1 has no spent file: block 2016: its spent file is missing");
    // Another segment's blocks under this one's name.
    fs::copy(dir.path().join(Blocks.file_name(&params, 2)), dir.path().join(Blocks.file_name(&params, 1)))
        .unwrap();
    let error = open(dir.path(), node.headers(), &[1]).err().unwrap();
    assert!(error.to_string().ends_with("height 2016: not the header of the chain"), "{error}");
}
