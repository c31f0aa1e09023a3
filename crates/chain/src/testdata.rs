//! For tests: reads the sample chain data beside the checkout, `../shared/data`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A sample file's path; `None`, with a line that says so, when the samples are not there.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no {}", path.display());
    None
}

/// A sample file's bytes, decompressed when its name ends in `.zst`.
#[expect(clippy::unwrap_used, reason = "tests")]
pub(crate) fn read(name: &str) -> Option<Vec<u8>> {
    let path = path(name)?;
    if path.extension().is_none_or(|extension| extension != "zst") {
        return Some(std::fs::read(path).unwrap());
    }
    let output = Command::new("zstd").args(["-dc", "--long=27"]).arg(path).output().unwrap();
    assert!(output.status.success(), "zstd {name}");
    Some(output.stdout)
}

/// Bytes from hex text.
#[expect(clippy::unwrap_used, reason = "tests")]
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// The values of a key in JSON text, strings and bare words alike: enough for the flat sample files.
pub(crate) fn json_values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let key = format!("\"{key}\":");
    let value = |rest: &'a str| {
        let rest = rest.trim_start();
        match rest.strip_prefix('"') {
            Some(string) => string.split('"').next(),
            None => rest.split([',', '}', ']']).next(),
        }
    };
    text.split(key.as_str()).skip(1).filter_map(value).collect()
}

/// The records `magic | size | block` of a block file, up to the first that is cut or zero.
pub(crate) fn frames(file: &[u8], magic: [u8; 4]) -> Vec<&[u8]> {
    let (mut frames, mut rest) = (Vec::new(), file);
    while let Some((head, tail)) = rest.split_first_chunk::<8>() {
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if head[..4] != magic || size > tail.len() {
            break;
        }
        frames.push(&tail[..size]);
        rest = &tail[size..];
    }
    frames
}
