//! The shortest way from block bytes to Core's engine: what every other way to feed it is measured against.
//!
//! `plainfeed NETWORK RECORDS FOLDER` reads a file of `magic | size | block` records into memory, hands the blocks
//! over in order, closes the engine, and prints one JSON line.
use bitcoinkernel::{Block, ChainType, ChainstateManagerBuilder, ContextBuilder};
use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "plainfeed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [network, records, folder] = arguments else {
        return Err("usage: plainfeed mainnet|regtest RECORDS FOLDER".into());
    };
    let chain = if network == "mainnet" { ChainType::Mainnet } else { ChainType::Regtest };
    let bytes = std::fs::read(records)?;
    let begun = Instant::now();
    let context = ContextBuilder::new().chain_type(chain).build()?;
    let manager = ChainstateManagerBuilder::new(&context, folder, &format!("{folder}/blocks"))?.build()?;
    let opened = begun.elapsed().as_secs_f64();
    let mut rest = bytes.as_slice();
    while let Some((head, after)) = rest.split_at_checked(8) {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let (block, next) = after.split_at_checked(length).ok_or("a cut record")?;
        manager.process_block(&Block::new(block)?);
        rest = next;
    }
    let fed = begun.elapsed().as_secs_f64();
    let tip = manager.active_chain().tip();
    let (height, hash) = (tip.height(), tip.block_hash().to_string());
    drop(manager);
    let closed = begun.elapsed().as_secs_f64();
    writeln!(
        io::stdout(),
        r#"{{"openSeconds":{opened:.4},"feedSeconds":{:.4},"closeSeconds":{:.4},"height":{height},"hash":"{hash}"}}"#,
        fed - opened,
        closed - fed
    )?;
    Ok(())
}
