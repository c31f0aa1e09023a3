//! Blocks with the coins that they spend: a generated chain, and the real ones of the sample folder.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::process::Command;

use blockswarm_chain::block::{BlockContext, read_block};
use blockswarm_chain::coins::{Coin, SpentCoins};
use blockswarm_chain::encode::{Hash, Reader};
use blockswarm_chain::header::{HEADER_BYTES, RawHeader, block_hash};
use blockswarm_chain::headers::HeaderChain;
use blockswarm_chain::params::Params;
use blockswarm_chain::transaction::Transaction;
use blockswarm_chain::validate::{MedianTimes, Place};

/// Nearly all of its inputs are those of one transaction.
const LARGE_HEIGHT: u32 = 367_891;
const LARGE: &str = "mainnet block 367,891";

/// Blocks to be judged.
pub struct Case {
    pub name: &'static str,
    pub blocks: Vec<Block>,
    params: Params,
    median_times: Box<dyn MedianTimes>,
}

/// One of them.
pub struct Block {
    pub bytes: Vec<u8>,
    pub spent: SpentCoins,
    header: RawHeader,
    hash: Hash,
    height: u32,
}

/// What the bare loop needs of a transaction.
pub struct Spends<'a> {
    pub transaction: &'a [u8],
    pub coins: Vec<Coin<'a>>,
}

/// A coin of one's own: height, coinbase, satoshi, script.
pub type OwnCoin = (u32, bool, u64, Vec<u8>);

pub fn borrow((height, is_coinbase, value, script): &OwnCoin) -> Coin<'_> {
    Coin { height: *height, is_coinbase: *is_coinbase, value: *value, script }
}

/// Stands for the headers around samples: about when blocks of mainnet came, rather late.
struct Schedule;

impl MedianTimes for Schedule {
    fn median_time_at(&self, height: u32) -> Option<u32> {
        Some(1_250_000_000 + 600 * height)
    }
}

impl Block {
    fn new(bytes: Vec<u8>, height: u32) -> Result<Self, Box<dyn Error>> {
        let header: RawHeader = *bytes.first_chunk().ok_or("a block without header")?;
        Ok(Self { hash: block_hash(&header), bytes, spent: SpentCoins::default(), header, height })
    }

    fn transactions(&self) -> Vec<Transaction<'_>> {
        let mut reader = Reader::new(&self.bytes);
        let count = reader.take(HEADER_BYTES).and_then(|_| reader.count(1)).unwrap_or(0);
        (0..count).map_while(|_| Transaction::read(&mut reader).ok()).collect()
    }

    /// Its transactions but the coinbase, with their coins.
    pub fn spends(&self) -> Vec<Spends<'_>> {
        let mut next = 0..self.spent.len();
        let transactions = self.transactions();
        let spends = transactions.iter().skip(1).map(|transaction| Spends {
            transaction: transaction.bytes(),
            coins: next.by_ref().take(transaction.input_count()).filter_map(|i| self.spent.get(i)).collect(),
        });
        spends.collect()
    }
}

impl Case {
    /// The first blocks of a regtest chain, by height in the plain block files of a folder, with the coins that they
    /// spend.
    pub fn generated(folder: &Path, limit: usize) -> Result<Self, Box<dyn Error>> {
        let params = Params::regtest();
        let (mut headers, mut coins) = (HeaderChain::new(params.clone()), HashMap::new());
        let mut blocks = Vec::new();
        for file in 0.. {
            let path = folder.join(format!("blk{file:05}.dat"));
            if !path.exists() || blocks.len() == limit {
                break;
            }
            for bytes in records(&std::fs::read(path)?, &params)? {
                let mut block = Block::new(bytes, headers.len())?;
                headers.append(&block.header, u64::MAX)?;
                if block.height > 0 && blocks.len() < limit {
                    block.spent = spend(&block, &mut coins)?;
                    blocks.push(block);
                }
            }
        }
        Ok(Self { name: "generated, mainnet's mix", blocks, params, median_times: Box::new(headers) })
    }

    /// One block at height 1 of a regtest chain.
    pub fn of_one(name: &'static str, bytes: Vec<u8>, spent: SpentCoins) -> Result<Self, Box<dyn Error>> {
        let block = Block { spent, ..Block::new(bytes, 1)? };
        Ok(Self { name, blocks: vec![block], params: Params::regtest(), median_times: Box::new(Schedule) })
    }

    /// The mainnet blocks of the sample folder that have their coins, and the one with a transaction of 20,000 inputs
    /// by itself.
    pub fn samples(folder: &Path) -> Result<[Self; 2], Box<dyn Error>> {
        let params = Params::mainnet();
        let mut names: Vec<String> = std::fs::read_dir(folder.join("mainnet"))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(".prevouts.zst").map(str::to_string))
            .collect();
        names.sort();
        let (mut blocks, mut large) = (Vec::new(), Vec::new());
        for name in names {
            let read = |kind: &str| unpack(&folder.join("mainnet").join(format!("{name}.{kind}.zst")));
            let height: u32 = name.split('-').next().unwrap_or_default().parse()?;
            let mut block = Block::new(read("raw")?, height)?;
            block.spent = read_prevouts(&read("prevouts")?, &block, &params)?;
            let list = if height == LARGE_HEIGHT { &mut large } else { &mut blocks };
            list.push(block);
        }
        Ok([("real mainnet blocks", blocks), (LARGE, large)].map(|(name, blocks)| Self {
            name,
            blocks,
            params: params.clone(),
            median_times: Box::new(Schedule),
        }))
    }

    pub fn place<'a>(&'a self, block: &'a Block) -> Place<'a> {
        let context = BlockContext { header: &block.header, height: block.height, params: &self.params };
        Place { context, hash: &block.hash, median_times: &*self.median_times }
    }

    /// The script rules for a block.
    pub fn flags(&self, block: &Block) -> u32 {
        self.params.script_flags(block.height, &block.hash)
    }
}

/// The blocks of a file, up to the zeros at its end.
fn records(file: &[u8], params: &Params) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut reader = Reader::new(file);
    let mut blocks = Vec::new();
    while reader.array().is_ok_and(|magic| *magic == params.magic) {
        let length = reader.u32()? as usize;
        blocks.push(reader.take(length)?.to_vec());
    }
    Ok(blocks)
}

/// Takes the coins of a block and adds those it creates.
fn spend(block: &Block, coins: &mut HashMap<(Hash, u32), OwnCoin>) -> Result<SpentCoins, Box<dyn Error>> {
    let mut spent = SpentCoins::default();
    for (i, transaction) in block.transactions().iter().enumerate() {
        for input in transaction.inputs().filter(|_| i > 0) {
            let coin = coins.remove(&(*input.prev_txid, input.prev_index)).ok_or("a coin is missing")?;
            spent.push(Some(borrow(&coin)));
        }
        let txid = transaction.txid();
        for (index, output) in (0..).zip(transaction.outputs()) {
            coins.insert((txid, index), (block.height, i == 0, output.value, output.script.to_vec()));
        }
    }
    Ok(spent)
}

/// Reads `PVO1 | count` and for each input `value | height | coinbase | script`; what is unknown is long ago.
fn read_prevouts(record: &[u8], block: &Block, params: &Params) -> Result<SpentCoins, Box<dyn Error>> {
    let context = BlockContext { header: &block.header, height: block.height, params };
    let read = read_block(&block.bytes, &context)?;
    let mut reader = Reader::new(record);
    reader.take(4)?;
    let count = reader.u32()? as usize;
    let mut spent = SpentCoins::with_capacity(count);
    let inputs = read.transactions.iter().skip(1).flat_map(Transaction::inputs);
    for input in inputs.take(count) {
        let (value, known, coinbase) = (reader.u64()?, reader.u32()?, reader.u8()?);
        let script = reader.var_bytes()?;
        let height = match known {
            _ if read.txids.contains(input.prev_txid) => block.height,
            u32::MAX => 1,
            known => known,
        };
        spent.push(Some(Coin { height, is_coinbase: coinbase == 1, value, script }));
    }
    Ok(spent)
}

fn unpack(path: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let output = Command::new("zstd").args(["-dc", "--long=27"]).arg(path).output()?;
    if output.status.success() { Ok(output.stdout) } else { Err(format!("zstd {}", path.display()).into()) }
}
