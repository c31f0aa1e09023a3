//! A bare BitTorrent leecher and seeder over TCP: they move blocks and do nothing else, so that what a benchmark
//! measures is the other side. Nothing is shared with the crates under test.
//!
//! `load leech --peer H:P --info-hash HEX --length N --piece-length N [--connections 8] [--depth 256] [--passes 1]
//! [--pieces FILE]` asks for every block once a pass and throws it away; with `--pieces` (20 bytes a piece) every
//! piece is checked first. `load latency` with the same options and `[--newcomers 100]` keeps `--connections` busy and
//! times the first block of others that come. `load hold` keeps `--connections` open until its stdin ends.
//! `load seed --file F --info-hash HEX --piece-length N` serves a file on a free port. All print one JSON line.
mod crowd;
mod leech;
mod options;
mod seed;
mod wire;

use options::Options;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// What ends a run early.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The command line is wrong.
    #[error("{0}\nusage: see the top of benchmarks/load/src/main.rs")]
    Usage(String),
    /// A socket or a file failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other side did what no peer may do, or refused.
    #[error("the peer {0}")]
    Peer(String),
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let done = Options::parse(arguments).and_then(|options| match command.as_str() {
        "leech" => leech::run(&options),
        "latency" => crowd::latency(&options),
        "hold" => crowd::hold(&options),
        "seed" => seed::run(&options),
        other => Err(LoadError::Usage(format!("unknown command `{other}`"))),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "load: {error}");
            ExitCode::FAILURE
        }
    }
}
