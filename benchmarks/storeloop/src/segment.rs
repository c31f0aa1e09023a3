//! A segment of blocks, as a node has it and as one file.
use std::fs::File;
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use blockswarm_pieces::{Extents, ExtentsBuilder, Files, PiecesError};

use crate::{Outcome, cost, noise};

/// A segment of 3 GiB has 1,500 blocks.
const MEAN_BYTES: u64 = (3 << 30) / 1500;
/// Core's limit for a block file.
const BLOCK_FILE_BYTES: u64 = 128 << 20;
/// What an upload reads at once.
const BUFFER_BYTES: usize = 256 << 10;
/// A buffer that begins a few bytes into a page is filled with 1.5 times the CPU on Zen when what is copied begins
/// with a page: extents, which begin anywhere, would seem faster than a file.
const PAGE_BYTES: usize = 4096;
const KEY: [u8; 8] = [0x02, 0xd8, 0x04, 0x98, 0x9a, 0x27, 0x1d, 0xb7];

/// A block: where it starts in the segment, and where it lies.
struct Block {
    start: u64,
    length: u64,
    file: usize,
    file_offset: u64,
}

/// Blocks of half to one and a half times the mean, in the segment's order. As a node received them out of order,
/// each eight lie in their files the other way round, so that none continues the one before.
fn blocks(total: u64) -> Vec<Block> {
    let count = total / MEAN_BYTES;
    let mut start = 0;
    let mut blocks: Vec<Block> = (0..count)
        .map(|n| {
            // Every seventh step through the lengths: no two neighbours are alike.
            let length =
                if n + 1 == count { total - start } else { MEAN_BYTES / 2 + n * 7 % 100 * MEAN_BYTES / 99 };
            let length = length.min(total - start);
            start += length;
            Block { start: start - length, length, file: 0, file_offset: 0 }
        })
        .collect();
    let (mut file, mut at) = (0, 0);
    for window in blocks.chunks_mut(8) {
        for block in window.iter_mut().rev() {
            if at + block.length > BLOCK_FILE_BYTES {
                (file, at) = (file + 1, 0);
            }
            (block.file, block.file_offset) = (file, at);
            at += block.length;
        }
    }
    blocks
}

fn flat_path(folder: &Path) -> PathBuf {
    folder.join("segment.dat")
}

fn block_path(folder: &Path, file: usize) -> PathBuf {
    folder.join(format!("blk{file:05}.dat"))
}

fn extents(folder: &Path, total: u64, key: Option<[u8; 8]>) -> Result<Extents, PiecesError> {
    let blocks = blocks(total);
    let files = Files::new(64);
    let count = blocks.iter().map(|block| block.file + 1).max().unwrap_or(0);
    let ids: Vec<_> = (0..count).map(|file| files.add(block_path(folder, file), key)).collect();
    let mut builder = ExtentsBuilder::new(files);
    for block in blocks {
        builder.push(ids[block.file], block.file_offset, block.length)?;
    }
    Ok(builder.finish())
}

/// Reads `[0, total)` in order, as an upload does, and hands over each part with its offset.
fn read_through<E>(
    total: u64,
    mut read: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
    mut take: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(), E>
where
    E: From<io::Error>,
{
    let mut space = vec![0; BUFFER_BYTES + PAGE_BYTES];
    let start = space.as_ptr().align_offset(PAGE_BYTES);
    let buffer = &mut space[start..start + BUFFER_BYTES];
    for offset in (0..total).step_by(BUFFER_BYTES) {
        let part = &mut buffer[..(total - offset).min(BUFFER_BYTES as u64) as usize];
        read(offset, part)?;
        take(offset, part)?;
    }
    Ok(())
}

pub fn lay(folder: &Path, mib: u64) -> Outcome {
    let total = mib << 20;
    let flat = File::create(flat_path(folder))?;
    // Both are written block by block: how a file was written decides how large the pages of its cache are.
    for block in blocks(total) {
        let path = block_path(folder, block.file);
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        let mut bytes = vec![0; block.length as usize];
        noise::fill(block.start, &mut bytes);
        flat.write_all_at(&bytes, block.start)?;
        for (at, byte) in (block.file_offset..).zip(&mut bytes) {
            *byte ^= KEY[(at % 8) as usize];
        }
        file.write_all_at(&bytes, block.file_offset)?;
        file.sync_data()?;
    }
    flat.sync_data()?;
    let extents = extents(folder, total, Some(KEY))?;
    let flat = File::open(flat_path(folder))?;
    let mut expected = vec![0; BUFFER_BYTES];
    read_through(
        total,
        |offset, part| extents.read_exact_at(offset, part),
        |offset, part| -> Result<(), Box<dyn std::error::Error>> {
            let expected = &mut expected[..part.len()];
            flat.read_exact_at(expected, offset)?;
            let same = part == expected;
            if same { Ok(()) } else { Err(format!("extents and file differ after {offset}").into()) }
        },
    )?;
    Ok(format!(r#"{{"lengthBytes":{total},"extents":{}}}"#, extents.run_count()))
}

pub fn read(way: &str, folder: &Path, mib: u64) -> Outcome {
    let total = mib << 20;
    let take = |_, part: &[u8]| -> io::Result<()> {
        black_box(part);
        Ok(())
    };
    let cost = match way {
        "file" => {
            let flat = File::open(flat_path(folder))?;
            cost::of(|| read_through(total, |offset, part| flat.read_exact_at(part, offset), take))
        }
        "extents" | "undone" => {
            let extents = extents(folder, total, (way == "undone").then_some(KEY))?;
            cost::of(|| read_through(total, |offset, part| extents.read_exact_at(offset, part), take))
        }
        _ => return Err(format!("unknown way to read `{way}`").into()),
    };
    Ok(cost?)
}
