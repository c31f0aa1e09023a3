//! The piece store beside bare loops that do the same, and what the machine allows at all. Prints one JSON object.
//!
//! `storeloop limits THREADS`: the hash functions over memory on so many cores, and copying memory on one.
//! `storeloop lay FOLDER MIB`: makes a segment, as one file and scattered over XORed block files, and checks that both
//! read the same; `storeloop read file|extents|undone FOLDER MIB` reads it as one file, through extents, or through
//! extents with the XOR undone. `storeloop xor`: undoing the XOR in a buffer in the cache. `storeloop write
//! loop|hashed|store FOLDER MIB`: writes pieces by a bare loop, by one that hashes them too, or by the store.
mod cost;
mod limits;
mod noise;
mod segment;
mod write;
mod xor;

use std::error::Error;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

/// What a command gives: an object of JSON, or what failed.
type Outcome = Result<String, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(object) => {
            let _ = writeln!(io::stdout(), "{object}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "storeloop: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Outcome {
    match arguments {
        ["limits", threads] => Ok(limits::run(threads.parse()?)),
        ["lay", folder, mib] => segment::lay(Path::new(folder), mib.parse()?),
        ["read", way, folder, mib] => segment::read(way, Path::new(folder), mib.parse()?),
        ["xor"] => xor::run(),
        ["write", way, folder, mib] => write::run(way, Path::new(folder), mib.parse()?),
        _ => Err("usage: see the top of benchmarks/storeloop/src/main.rs".into()),
    }
}
