//! The bare hash loops, on one core: what torrent making and checking are measured against.
//!
//! `hashloop [SECONDS]` spends about so long on each row (0.3 by default) and prints one JSON object,
//! `{"rows":[{"case","subject","gibPerSecond"}…]}`: the crates, the copying of memory, and every way of ours that this
//! processor has, each in a process of its own under `BLOCKSWARM_CPU`. Results are compared before they are timed.
//! Built with `--cfg sha1_backend="soft" --cfg sha2_backend="soft"` in `RUSTFLAGS`, the crates' rows are those of a
//! processor without SHA-NI.

use std::error::Error;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::process::{Command, ExitCode};
use std::time::Instant;

use blockswarm_pieces::sha::{self, Sha1Streams};
use sha1::Sha1;
use sha2::{Digest, Sha256};

const LEAF_BYTES: usize = 16 << 10;
const PIECE_BYTES: usize = 256 << 10;
/// Equally far for 1, 2, 4, 6, 8 and 16 lanes.
const PIECES: usize = 48;
/// The share of the data that fits a core's cache.
const HOT_BYTES: usize = 512 << 10;
const COPY_BYTES: usize = 256 << 10;
const HEADER_BYTES: usize = 80;
/// Lengths of transactions as blocks have them: most are short, few are alike.
const TRANSACTION_BYTES: [usize; 8] = [192, 222, 340, 225, 1_010, 370, 226, 520];
/// The name that stands for the programs beside ours instead of one of our ways.
const OTHERS: &str = "others";

type Hash = [u8; 32];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "hashloop: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let (seconds, part) = match arguments {
        [] => ("0.3", None),
        [seconds] => (seconds.as_str(), None),
        [seconds, part] => (seconds.as_str(), Some(part.as_str())),
        _ => return Err("usage: hashloop [SECONDS]".into()),
    };
    let bench = Bench { seconds: seconds.parse()?, data: noise(PIECES * PIECE_BYTES) };
    let rows = match part {
        Some(OTHERS) => bench.others(),
        Some(name) => bench.ours(name)?,
        None => {
            let mut rows = Vec::new();
            for name in [OTHERS].into_iter().chain(sha::available().iter().map(|hashing| hashing.name())) {
                let child = Command::new(std::env::current_exe()?)
                    .args([seconds, name])
                    .env("BLOCKSWARM_CPU", if name == OTHERS { "" } else { name })
                    .output()?;
                if !child.status.success() {
                    return Err(String::from_utf8_lossy(&child.stderr).into());
                }
                rows.push(String::from_utf8(child.stdout)?);
            }
            writeln!(io::stdout(), r#"{{"rows":[{}]}}"#, rows.join(","))?;
            return Ok(());
        }
    };
    write!(io::stdout(), "{}", rows.join(","))?;
    Ok(())
}

struct Bench {
    seconds: f64,
    data: Vec<u8>,
}

impl Bench {
    fn others(&self) -> Vec<String> {
        let hot = &self.data[..HOT_BYTES];
        let leaves: Vec<&[u8]> = hot.chunks(LEAF_BYTES).collect();
        let mut out = vec![[0; 32]; leaves.len()];
        let mut copy = vec![0; COPY_BYTES];
        vec![
            self.row("copy", "memory", 2 * COPY_BYTES, || {
                copy.copy_from_slice(black_box(&hot[..COPY_BYTES]));
                black_box(&mut copy).copy_from_slice(black_box(&hot[COPY_BYTES..2 * COPY_BYTES]));
            }),
            self.row("sha1 pieces", "sha1", self.data.len(), || {
                black_box(self.sha1_pieces());
            }),
            self.row("sha256 leaves", "sha2", HOT_BYTES, || {
                black_box(sha256_each(hot, LEAF_BYTES));
            }),
            self.row("sha256 leaves", "tape-sha256", HOT_BYTES, || tape_sha256::hash_many(&leaves, &mut out)),
            self.row("sha256 pairs", "sha2", HOT_BYTES, || {
                black_box(sha256_each(hot, 64));
            }),
            self.row("sha256d headers", "sha2", HOT_BYTES, || {
                black_box(sha256d_each(&headers(hot)));
            }),
            self.row("sha256d transactions", "sha2", HOT_BYTES, || {
                black_box(sha256d_each(&transactions(hot)));
            }),
        ]
    }

    fn ours(&self, name: &str) -> Result<Vec<String>, Box<dyn Error>> {
        if sha::hashing().name() != name || sha::warning().is_some() {
            return Err(format!("{name}: {}", sha::warning().unwrap_or("not chosen")).into());
        }
        let hot = &self.data[..HOT_BYTES];
        let nodes = hot.as_chunks::<32>().0;
        let (headers, transactions) = (headers(hot), transactions(hot));
        let subject = format!("blockswarm {name}");

        let pieces = || -> Vec<[u8; 20]> {
            let lanes = sha::hashing().sha1_lanes();
            let mut streams = Sha1Streams::new(lanes);
            let mut hashes = Vec::with_capacity(PIECES);
            for pieces in self.data.chunks(lanes * PIECE_BYTES) {
                for start in (0..PIECE_BYTES).step_by(LEAF_BYTES) {
                    let blocks = pieces.chunks(PIECE_BYTES).map(|piece| &piece[start..start + LEAF_BYTES]);
                    streams.update(&blocks.collect::<Vec<_>>());
                }
                hashes.extend(streams.finish());
            }
            hashes
        };
        let leaves = || {
            let mut out = Vec::new();
            sha::sha256_leaves(black_box(hot), &mut out);
            out
        };
        let pairs = || {
            let mut out = Vec::new();
            sha::sha256_pairs(black_box(nodes), &mut out);
            out
        };
        let double = |messages: &[&[u8]]| {
            let mut out = vec![[0; 32]; messages.len()];
            sha::sha256d_many(black_box(messages), &mut out);
            out
        };
        let same = pieces() == self.sha1_pieces()
            && leaves() == sha256_each(hot, LEAF_BYTES)
            && pairs() == sha256_each(hot, 64)
            && double(&headers) == sha256d_each(&headers)
            && double(&transactions) == sha256d_each(&transactions);
        if !same {
            return Err(format!("{name} hashes differently than the crates").into());
        }
        Ok(vec![
            self.row("sha1 pieces", &subject, self.data.len(), || drop(black_box(pieces()))),
            self.row("sha256 leaves", &subject, HOT_BYTES, || drop(black_box(leaves()))),
            self.row("sha256 pairs", &subject, HOT_BYTES, || drop(black_box(pairs()))),
            self.row("sha256d headers", &subject, HOT_BYTES, || drop(black_box(double(&headers)))),
            self.row("sha256d transactions", &subject, HOT_BYTES, || drop(black_box(double(&transactions)))),
        ])
    }

    fn sha1_pieces(&self) -> Vec<[u8; 20]> {
        self.data.chunks(PIECE_BYTES).map(|piece| Sha1::digest(piece).into()).collect()
    }

    /// The best of the passes that fit the time, as a row of JSON.
    fn row(&self, case: &str, subject: &str, bytes: usize, mut pass: impl FnMut()) -> String {
        pass();
        let begun = Instant::now();
        let mut best = f64::MAX;
        while begun.elapsed().as_secs_f64() < self.seconds {
            let pass_begun = Instant::now();
            pass();
            best = best.min(pass_begun.elapsed().as_secs_f64());
        }
        let rate = f64::from(bytes as u32) / best / f64::from(1 << 30);
        format!(r#"{{"case":"{case}","subject":"{subject}","gibPerSecond":{rate:.3}}}"#)
    }
}

fn sha256_each(data: &[u8], bytes: usize) -> Vec<Hash> {
    data.chunks(bytes).map(|part| Sha256::digest(black_box(part)).into()).collect()
}

fn sha256d_each(messages: &[&[u8]]) -> Vec<Hash> {
    messages.iter().map(|message| Sha256::digest(Sha256::digest(black_box(message))).into()).collect()
}

fn headers(data: &[u8]) -> Vec<&[u8]> {
    data.chunks_exact(HEADER_BYTES).collect()
}

/// The data in messages of the lengths of transactions, in no order.
fn transactions(mut data: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    for place in 0.. {
        let longer = messages.len() % 61;
        let bytes = TRANSACTION_BYTES[place * place % 7 + usize::from(place % 3 == 0)] + longer;
        let Some((message, rest)) = data.split_at_checked(bytes) else { break };
        messages.push(message);
        data = rest;
    }
    messages
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 32
    };
    (0..length / 4).flat_map(|_| (next() as u32).to_le_bytes()).collect()
}
