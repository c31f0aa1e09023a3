//! The program's arguments.
use chaingen::{Fork, ForkKind, Mix, Network, Options};
use std::ffi::OsString;
use std::path::PathBuf;

pub const USAGE: &str = "\
usage: chaingen (--out FILE | --datadir DIR)... [options]

Makes a valid chain that is the same on every host, and prints one JSON line about it.

where it goes (one or both)
  --out FILE             records of Core's block files (magic | size | block), in order of arrival
  --datadir DIR          a new data directory, written by Core's engine; what `bitcoind -datadir` takes

the chain
  --network NAME         regtest (default), or signet: a custom one whose challenge is OP_TRUE
                         (`bitcoind -signet -signetchallenge=51`), about 5 million hashes a block
  --blocks N             blocks, genesis and empty ones included (600)
  --empty-blocks N       the last N hold a coinbase only (0); 2100 outlast assumed-valid's two weeks
  --bytes-per-block N    size aimed at (110000); at most 900000, with inputs 3900000
  --inputs-per-block N   signed inputs aimed at, in the mix of scripts of today's mainnet; at most 6000.
                         Without it the coins are anyone's and a block has a handful of inputs
  --seed N               another seed is another chain (0)
  --stale HEIGHT:DEPTH   a branch that is never followed (repeatable)
  --stale-every N        such a branch of one block at every N-th height
  --reorg HEIGHT:DEPTH   a branch that is followed until the chain outgrows it (repeatable)

the data directory
  --xor                  XORed block files (plain)
  --shuffle              headers first, blocks in the order of a download from many peers (by height)

  --threads N            threads that sign, grind and check (all); the chain does not depend on it
";

/// What was asked for.
pub struct Arguments {
    pub out: Option<PathBuf>,
    pub datadir: Option<PathBuf>,
    pub xored: bool,
    pub shuffled: bool,
    pub options: Options,
}

/// `None`: the usage was asked for. An error is the argument that was not understood.
pub fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Option<Arguments>, String> {
    let mut options = Options::default();
    let (mut out, mut datadir, mut xored, mut shuffled, mut stale_every) = (None, None, false, false, 0);
    while let Some(name) = arguments.next() {
        let name = name.to_string_lossy().into_owned();
        match name.as_str() {
            "--help" | "-h" => return Ok(None),
            "--xor" => xored = true,
            "--shuffle" => shuffled = true,
            _ => {
                let value = arguments.next().ok_or(format!("{name} has no value"))?;
                let text = value.to_string_lossy();
                match name.as_str() {
                    "--out" => out = Some(PathBuf::from(&value)),
                    "--datadir" => datadir = Some(PathBuf::from(&value)),
                    "--network" => options.network = network(&text)?,
                    "--blocks" => options.blocks = number(&name, &text)?,
                    "--empty-blocks" => options.empty_blocks = number(&name, &text)?,
                    "--bytes-per-block" => options.bytes_per_block = number(&name, &text)?,
                    "--inputs-per-block" => {
                        options.mix = Mix::Mainnet { inputs_per_block: number(&name, &text)? };
                    }
                    "--seed" => options.seed = number(&name, &text)?,
                    "--threads" => options.threads = number(&name, &text)?,
                    "--stale" => options.forks.push(fork(&name, &text, ForkKind::Stale)?),
                    "--reorg" => options.forks.push(fork(&name, &text, ForkKind::Reorganised)?),
                    "--stale-every" => stale_every = number(&name, &text)?,
                    _ => return Err(format!("{name} is not an option")),
                }
            }
        }
    }
    if out.is_none() && datadir.is_none() {
        return Err("--out or --datadir is missing".into());
    }
    if stale_every > 0 {
        let heights = (stale_every..options.blocks.saturating_sub(1)).step_by(stale_every as usize);
        options.forks.extend(heights.map(|height| Fork { height, depth: 1, kind: ForkKind::Stale }));
    }
    Ok(Some(Arguments { out, datadir, xored, shuffled, options }))
}

fn number<N: std::str::FromStr>(name: &str, text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{name}: a number expected, got {text}"))
}

fn network(text: &str) -> Result<Network, String> {
    match text {
        "regtest" => Ok(Network::Regtest),
        "signet" => Ok(Network::Signet),
        _ => Err(format!("--network: regtest or signet expected, got {text}")),
    }
}

fn fork(name: &str, text: &str, kind: ForkKind) -> Result<Fork, String> {
    let (height, depth) = text.split_once(':').ok_or(format!("{name}: HEIGHT:DEPTH expected, got {text}"))?;
    Ok(Fork { height: number(name, height)?, depth: number(name, depth)?, kind })
}
