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

/// What is in a sample archive, in a folder of its own.
#[expect(clippy::unwrap_used, reason = "tests")]
pub(crate) fn untar(name: &str) -> Option<tempfile::TempDir> {
    let path = path(name)?;
    let folder = tempfile::tempdir().unwrap();
    let status =
        Command::new("tar").args(["--zstd", "-xf"]).arg(path).arg("-C").arg(folder.path()).status().unwrap();
    assert!(status.success());
    Some(folder)
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

/// All sample blocks of a network: height and bytes.
#[expect(clippy::unwrap_used, reason = "tests")]
pub(crate) fn samples(network: &str) -> Vec<(u32, Vec<u8>)> {
    let Some(folder) = path(&format!("blocks/{network}")) else { return Vec::new() };
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".raw.zst"))
        .collect();
    names.sort();
    let read = |name: &String| {
        let height = name.split('-').next().unwrap().parse().unwrap();
        (height, read(&format!("blocks/{network}/{name}")).unwrap())
    };
    names.iter().map(read).collect()
}

/// The coins that a sample block spends, when there are such: `PVO1` records as `INDEX.md` of the samples says.
#[expect(clippy::unwrap_used, reason = "tests")]
#[cfg(feature = "engine")]
pub(crate) fn prevouts(network: &str, height: u32) -> Option<Vec<u8>> {
    let folder = path(&format!("blocks/{network}"))?;
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let prefix = format!("{height:07}-");
    let mut names = names.filter(|name| name.starts_with(&prefix) && name.ends_with(".prevouts.zst"));
    read(&format!("blocks/{network}/{}", names.next()?))
}
