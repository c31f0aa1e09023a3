#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::{RUN_BYTES, Run};
use blockswarm_pieces::{BLOCK_BYTES, FileEntry, Geometry};
use proptest::prelude::*;

/// A byte of the torrent: zero in padding, else never zero.
fn byte_at(geometry: &Geometry, offset: u64) -> u8 {
    let inside = geometry.files().iter().any(|file| (file.start..file.end()).contains(&offset));
    if inside { (offset % 251) as u8 + 1 } else { 0 }
}

fn block_at(geometry: &Geometry, piece: u32, block: u32) -> Vec<u8> {
    let index = geometry.piece(piece).unwrap();
    let start = geometry.piece_offset(index) + u64::from(block * BLOCK_BYTES);
    (start..start + u64::from(geometry.block_bytes(index, block))).map(|at| byte_at(geometry, at)).collect()
}

/// Fetches blocks as a web seed does, with bodies in chunks of `chunk` bytes; the blocks as they were kept, and the bytes
/// that were asked for.
fn fetch(geometry: &Geometry, blocks: &[(u32, u32)], chunk: usize) -> (Vec<(u32, u32)>, u64) {
    let (mut kept, mut asked, mut next) = (Vec::new(), 0, 0);
    while next < blocks.len() {
        let mut run = Run::default();
        while next < blocks.len() && run.push(geometry, blocks[next].0, blocks[next].1) {
            next += 1;
        }
        let mut keep = |piece, block, data: &[u8]| {
            assert!(data == block_at(geometry, piece, block), "block {block} of piece {piece}");
            kept.push((piece, block));
        };
        while let Some((file, range)) = run.next_part(&mut keep) {
            let span = geometry.files()[file];
            assert!(range.end <= span.length && range.start < range.end);
            asked += range.end - range.start;
            let body: Vec<u8> = range.map(|at| byte_at(geometry, span.start + at)).collect();
            body.chunks(chunk).for_each(|bytes| run.take(bytes, &mut keep));
        }
        assert!(run.is_empty() && run.left() == 0);
    }
    (kept, asked)
}

fn every_block(geometry: &Geometry) -> Vec<(u32, u32)> {
    let of = |piece| (0..geometry.block_count(piece)).map(move |block| (piece.get(), block));
    geometry.pieces().flat_map(of).collect()
}

fn geometries() -> impl Strategy<Value = Geometry> {
    let entries = proptest::collection::vec((0_u64..60_000, proptest::bool::weighted(0.3)), 1..8);
    (entries, 0_u32..3).prop_filter_map("a torrent with content", |(entries, kind)| match kind {
        0 => {
            let list: Vec<FileEntry> = entries
                .iter()
                .map(|(length, padding)| FileEntry { length: *length, padding: *padding })
                .collect();
            Geometry::v1(&list, 20_000).ok()
        }
        1 => Geometry::v2(&entries.iter().map(|(length, _)| *length).collect::<Vec<_>>(), 32_768).ok(),
        _ => {
            let padded = entries.iter().flat_map(|(length, _)| {
                let pad = length.next_multiple_of(32_768) - length;
                [FileEntry { length: *length, padding: false }, FileEntry { length: pad, padding: true }]
            });
            Geometry::hybrid(&padded.collect::<Vec<_>>(), 32_768).ok()
        }
    })
}

proptest! {
    #[test]
    fn the_bytes_of_files_become_the_blocks_that_were_asked_for(
        geometry in geometries(), chunk in 1_usize..40_000, skip in proptest::collection::vec(any::<bool>(), 1..9)
    ) {
        let all = every_block(&geometry);
        let (kept, asked) = fetch(&geometry, &all, chunk);
        prop_assert_eq!(&kept, &all);
        prop_assert_eq!(asked, geometry.content_length(), "each byte of content once, padding never");
        let some: Vec<_> = all.into_iter().zip(skip.iter().cycle()).filter(|(_, skip)| !**skip).map(|(at, _)| at).collect();
        prop_assert_eq!(fetch(&geometry, &some, chunk).0, some);
    }
}

#[test]
fn a_run_ends_where_blocks_do_not_follow_and_at_its_longest() {
    let geometry = Geometry::new(64 << 20, 1 << 20).unwrap();
    let mut run = Run::default();
    assert!(run.push(&geometry, 1, 62) && run.push(&geometry, 1, 63) && run.push(&geometry, 2, 0));
    assert!(!run.push(&geometry, 2, 2) && !run.push(&geometry, 1, 62) && !run.push(&geometry, 64, 0));
    let mut kept = 0;
    assert_eq!(run.next_part(|_, _, _| kept += 1), Some((0, (1 << 20) + 62 * 16_384..(2 << 20) + 16_384)));
    assert_eq!(kept, 0);
    let mut long = Run::default();
    let taken = every_block(&geometry)
        .iter()
        .take_while(|(piece, block)| long.push(&geometry, *piece, *block))
        .count();
    assert_eq!(taken as u64 * 16_384, RUN_BYTES);
    long.take(&vec![0; RUN_BYTES as usize], |_, _, _| {});
    assert!(
        long.is_empty() && long.push(&geometry, 16, 0) && long.push(&geometry, 16, 1),
        "and is begun anew"
    );
}

#[test]
fn a_cancelled_run_is_not_wanted() {
    let geometry = Geometry::new(1 << 20, 1 << 20).unwrap();
    let mut run = Run::default();
    assert!(run.push(&geometry, 0, 0) && run.push(&geometry, 0, 1));
    run.cancel(0, &[1]);
    assert!(run.is_wanted() && run.left() == 32_768);
    run.take(&[7; 16_384], |_, block, _| assert_eq!(block, 0));
    assert!(!run.is_wanted() && run.left() == 16_384);
    assert_eq!(run.blocks().collect::<Vec<_>>(), [(0, 1)]);
}
