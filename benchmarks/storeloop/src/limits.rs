//! What no program on this machine can exceed by much.
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use blockswarm_pieces::sha::{self, Sha1Streams};

use crate::noise;

/// More than the caches of a core hold: contents of files come from memory.
const DATA_BYTES: usize = 64 << 20;
/// What is hashed or copied at once, with several streams of SHA-1 in it.
const PORTION_BYTES: usize = 256 << 10;
const PORTIONS_PER_GIB: f64 = 4096.0;
const TIME: Duration = Duration::from_millis(700);

pub fn run(threads: usize) -> String {
    let copy = rate(1, || {
        let mut hot = vec![0; PORTION_BYTES];
        move |portion: &[u8]| black_box(&mut hot).copy_from_slice(portion)
    });
    let v1 = rate(threads, || {
        let mut sha1 = sha1();
        move |portion: &[u8]| sha1(portion)
    });
    let v2 = rate(threads, || sha256);
    let hybrid = rate(threads, || {
        let mut sha1 = sha1();
        move |portion: &[u8]| {
            sha1(portion);
            sha256(portion);
        }
    });
    format!(r#"{{"threads":{threads},"copy":{copy:.3},"v1":{v1:.3},"v2":{v2:.3},"hybrid":{hybrid:.3}}}"#)
}

fn sha1() -> impl FnMut(&[u8]) {
    let lanes = sha::sha1_lanes();
    let mut streams = Sha1Streams::new(lanes);
    move |portion| {
        let length = portion.len() / lanes / 64 * 64;
        streams.update(&portion.chunks_exact(length).take(lanes).collect::<Vec<_>>());
    }
}

fn sha256(portion: &[u8]) {
    let mut leaves = Vec::with_capacity(PORTION_BYTES >> 14);
    sha::sha256_leaves(portion, &mut leaves);
    black_box(leaves);
}

/// GiB/s of all threads together; each makes its own worker and goes over data of its own.
fn rate<W: FnMut(&[u8]) + Send>(threads: usize, mut worker: impl FnMut() -> W) -> f64 {
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                let (mut work, barrier) = (worker(), &barrier);
                scope.spawn(move || {
                    let mut data = vec![0; DATA_BYTES];
                    noise::fill(0, &mut data);
                    barrier.wait();
                    let (begun, mut portions) = (Instant::now(), 0_u32);
                    for portion in data.chunks(PORTION_BYTES).cycle() {
                        work(black_box(portion));
                        portions += 1;
                        if begun.elapsed() >= TIME {
                            break;
                        }
                    }
                    f64::from(portions) / PORTIONS_PER_GIB / begun.elapsed().as_secs_f64()
                })
            })
            .collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).sum()
    })
}
