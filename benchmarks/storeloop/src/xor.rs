//! Undoing the XOR of Core's block files in a buffer that the core's cache holds.
use std::hint::black_box;
use std::time::{Duration, Instant};

use blockswarm_pieces::undo_xor;

use crate::{Outcome, noise};

const BUFFER_BYTES: usize = 256 << 10;
const BUFFERS_PER_GIB: f64 = 4096.0;
/// Each row of a cache line, and each phase of the key, is an alignment of its own.
const LINE_BYTES: usize = 64;
const KEYS: [[u8; 8]; 3] =
    [[0x02, 0xd8, 0x04, 0x98, 0x9a, 0x27, 0x1d, 0xb7], [0xff; 8], [1, 0, 0, 0, 0, 0, 0, 0]];
/// Enough for some to be undisturbed on a busy machine.
const PASSES: usize = 300;

/// The slowest and the median of all alignments, phases and keys.
pub fn run() -> Outcome {
    let mut space = vec![0; BUFFER_BYTES + 2 * LINE_BYTES];
    noise::fill(0, &mut space);
    let line = space.as_ptr().align_offset(LINE_BYTES);
    let mut rates = Vec::new();
    for key in KEYS {
        for alignment in 0..LINE_BYTES {
            for phase in 0..key.len() as u64 {
                let buffer = &mut space[line + alignment..line + alignment + BUFFER_BYTES];
                let before = buffer.to_vec();
                undo_xor(buffer, key, phase);
                let expected = |n: usize| before[n] ^ key[(n + phase as usize) % key.len()];
                if !buffer.iter().enumerate().all(|(n, byte)| *byte == expected(n)) {
                    return Err(format!("wrong at alignment {alignment}, phase {phase}").into());
                }
                rates.push(rate(buffer, key, phase));
            }
        }
    }
    rates.sort_by(f64::total_cmp);
    let (slowest, median) = (rates[0], rates[rates.len() / 2]);
    Ok(format!(r#"{{"slowest":{slowest:.3},"median":{median:.3},"ways":{}}}"#, rates.len()))
}

/// GiB/s over one buffer, of the fastest pass: the others were disturbed.
fn rate(buffer: &mut [u8], key: [u8; 8], phase: u64) -> f64 {
    let pass = |_| {
        let begun = Instant::now();
        undo_xor(black_box(buffer), black_box(key), black_box(phase));
        begun.elapsed()
    };
    let best = (0..PASSES).map(pass).min().unwrap_or(Duration::MAX);
    1.0 / BUFFERS_PER_GIB / best.as_secs_f64()
}
