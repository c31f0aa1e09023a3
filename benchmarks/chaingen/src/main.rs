//! `chaingen --out FILE [--blocks 600] [--bytes-per-block 110000]`: writes the chain as records of Core's block
//! files (`magic | size | block`) and prints one JSON line about it.
use chaingen::{Chain, Options};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: chaingen --out FILE [--blocks 600] [--bytes-per-block 110000]";

fn main() -> ExitCode {
    match parse(std::env::args_os().skip(1)).and_then(|(out, options)| generate(&out, options)) {
        Ok(report) => match writeln!(io::stdout(), "{report}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            let _ = writeln!(io::stderr(), "chaingen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<(PathBuf, Options), Box<dyn Error>> {
    let mut options = Options::default();
    let mut out = None;
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        let number = || value.to_str().and_then(|text| text.parse().ok()).ok_or(USAGE);
        match name.to_str() {
            Some("--out") => out = Some(PathBuf::from(&value)),
            Some("--blocks") => options.blocks = number()?,
            Some("--bytes-per-block") => options.bytes_per_block = number()?,
            _ => return Err(USAGE.into()),
        }
    }
    Ok((out.ok_or(USAGE)?, options))
}

fn generate(out: &PathBuf, options: Options) -> Result<String, Box<dyn Error>> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(out)?);
    let mut digest = Sha256::new();
    let mut bytes = 0;
    let mut record = Vec::new();
    let mut tip = [0; 32];
    for block in Chain::new(options)? {
        record.clear();
        block.write_record(&mut record)?;
        digest.update(&record);
        file.write_all(&record)?;
        bytes += record.len();
        tip = block.hash;
    }
    file.flush()?;
    tip.reverse();
    let blocks = options.blocks;
    let (sha256, tip) = (hex(&digest.finalize())?, hex(&tip)?);
    Ok(format!(r#"{{"blocks":{blocks},"lengthBytes":{bytes},"sha256":"{sha256}","tipHash":"{tip}"}}"#))
}

fn hex(bytes: &[u8]) -> Result<String, std::fmt::Error> {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}
