//! `chaingen`: see `--help`.
mod arguments;

use arguments::{Arguments, USAGE, parse};
use chaingen::datadir::{self, DatadirOptions};
use chaingen::{Block, Chain, OptionsError};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, sync_channel};

/// Blocks made ahead of the one that is written: the engine and the generator overlap.
const AHEAD: usize = 4;
/// Exit code of arguments that were not understood.
const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    let said = match parse(std::env::args_os().skip(1)) {
        Ok(None) => Ok(USAGE.to_owned()),
        Ok(Some(arguments)) => generate(&arguments),
        Err(fault) => {
            let _ = writeln!(io::stderr(), "chaingen: {fault}\n\n{USAGE}");
            return ExitCode::from(USAGE_ERROR);
        }
    };
    match said.and_then(|text| Ok(io::stdout().write_all(text.as_bytes())?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "chaingen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn generate(arguments: &Arguments) -> Result<String, Box<dyn Error>> {
    let options = &arguments.options;
    let chain = Chain::new(options.clone())?;
    let mut records = Records::new(arguments)?;
    std::thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        let (sender, receiver): (_, Receiver<Result<Block, OptionsError>>) = sync_channel(AHEAD);
        scope.spawn(move || {
            for block in chain {
                // A receiver that is gone has failed and says why itself.
                if sender.send(block).is_err() {
                    return;
                }
            }
        });
        let mut fault = None;
        let mut written = receiver.into_iter().map_while(|block| {
            if let Ok(block) = &block {
                fault = records.add(block).err();
            }
            fault.is_none().then_some(block)
        });
        if let Some(path) = &arguments.datadir {
            let (xored, shuffled, seed) = (arguments.xored, arguments.shuffled, options.seed);
            let worker_threads = options.threads.saturating_sub(1) as u32;
            let how = DatadirOptions { xored, shuffled, seed, worker_threads };
            datadir::write(path, options.network, how, written)?;
        } else {
            written.try_for_each(|block| block.map(drop))?;
        }
        fault.map_or(Ok(()), |fault| Err(fault.into()))
    })?;
    records.report()
}

/// The records in order of arrival, and what there is to say about them.
struct Records<'a> {
    arguments: &'a Arguments,
    file: Option<BufWriter<File>>,
    digest: Sha256,
    record: Vec<u8>,
    bytes: usize,
    blocks: u64,
    tip: [u8; 32],
}

impl<'a> Records<'a> {
    fn new(arguments: &'a Arguments) -> io::Result<Self> {
        let file = arguments.out.as_ref().map(File::create).transpose()?;
        let file = file.map(|file| BufWriter::with_capacity(1 << 20, file));
        let digest = Sha256::new();
        Ok(Self { arguments, file, digest, record: Vec::new(), bytes: 0, blocks: 0, tip: [0; 32] })
    }

    fn add(&mut self, block: &Block) -> io::Result<()> {
        self.record.clear();
        block.write_record(self.arguments.options.network, &mut self.record)?;
        self.digest.update(&self.record);
        self.bytes += self.record.len();
        self.blocks += 1;
        if block.on_chain {
            self.tip = block.hash;
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(&self.record))
    }

    fn report(mut self) -> Result<String, Box<dyn Error>> {
        if let Some(mut file) = self.file.take() {
            file.flush()?;
        }
        self.tip.reverse();
        let (blocks, bytes) = (self.arguments.options.blocks, self.bytes);
        let stale = self.blocks - u64::from(blocks);
        let (sha256, tip) = (hex(&self.digest.finalize())?, hex(&self.tip)?);
        let counts = format!(r#""blocks":{blocks},"staleBlocks":{stale},"lengthBytes":{bytes}"#);
        Ok(format!("{{{counts},\"sha256\":\"{sha256}\",\"tipHash\":\"{tip}\"}}\n"))
    }
}

fn hex(bytes: &[u8]) -> Result<String, std::fmt::Error> {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}
