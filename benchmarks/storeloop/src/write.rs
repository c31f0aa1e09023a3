//! Pieces on their way to disk.
use std::fs::File;
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use blockswarm_pieces::sha::Sha1Stream;
use blockswarm_pieces::{BLOCK_BYTES, Geometry, PieceHashes, PieceOutcome, Store};

use crate::{Outcome, cost, noise};

const PIECE_BYTES: u32 = 4 << 20;
/// Blocks that come in together.
const BATCH_BLOCKS: usize = 16;
/// Different pieces; the rest of the torrent repeats them.
const PIECES: usize = 8;

pub fn run(way: &str, folder: &Path, mib: u64) -> Outcome {
    let path = folder.join("written.dat");
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    let geometry = Geometry::new(mib << 20, PIECE_BYTES)?;
    let mut content = vec![0; PIECES * PIECE_BYTES as usize];
    noise::fill(0, &mut content);
    let pieces = || geometry.pieces().zip(content.chunks(PIECE_BYTES as usize).cycle());
    let cost = match way {
        "loop" | "hashed" => {
            let file = File::create(&path)?;
            cost::of(|| -> io::Result<()> {
                for (piece, data) in pieces() {
                    let data = &data[..geometry.piece_bytes(piece) as usize];
                    if way == "hashed" {
                        black_box(sha1(data));
                    }
                    file.write_all_at(data, geometry.piece_offset(piece))?;
                }
                Ok(())
            })?
        }
        "store" => {
            let hashes =
                pieces().flat_map(|(piece, data)| sha1(&data[..geometry.piece_bytes(piece) as usize]));
            let hashes = PieceHashes { v1: Some(hashes.collect()), v2: None };
            let store = Store::open_scratch(geometry.clone(), hashes, &path)?;
            cost::of(|| -> Result<(), Box<dyn std::error::Error>> {
                for (piece, data) in pieces() {
                    store.wanted_blocks(piece, 0..geometry.block_count(piece))?;
                    let data = &data[..geometry.piece_bytes(piece) as usize];
                    for (block, data) in data.chunks(BLOCK_BYTES as usize).enumerate() {
                        store.write_block(piece, block as u32 * BLOCK_BYTES, data, 1);
                        if block % BATCH_BLOCKS == BATCH_BLOCKS - 1 {
                            store.hash_arrived(piece);
                        }
                    }
                    let verdict = store.finish_piece(piece);
                    if !matches!(verdict.map(|verdict| verdict.outcome), Some(PieceOutcome::Good)) {
                        return Err("the store does not take a piece".into());
                    }
                }
                Ok(store.flush()?)
            })?
        }
        _ => return Err(format!("unknown way to write `{way}`").into()),
    };
    let written = File::open(&path)?;
    let mut got = vec![0; PIECE_BYTES as usize];
    for (piece, data) in pieces() {
        let got = &mut got[..geometry.piece_bytes(piece) as usize];
        written.read_exact_at(got, geometry.piece_offset(piece))?;
        if *got != data[..got.len()] {
            return Err("what was written is not what was given".into());
        }
    }
    std::fs::remove_file(&path)?;
    Ok(cost)
}

fn sha1(data: &[u8]) -> [u8; 20] {
    let mut stream = Sha1Stream::new();
    stream.update(data);
    stream.finish()
}
