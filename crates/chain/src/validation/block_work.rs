//! One height of a run.
use super::failure::{Blame, Failure, Level, Stop};
use super::{Tally, ValidationError};
use crate::block::{BlockContext, ReadBlock, check_block, read_block};
use crate::chain_records::ChainRecords;
use crate::coins::{Coin, OutPoint, SpentCoins};
use crate::encode::Hash;
use crate::hints::BlockHints;
use crate::hints_file::HintsFile;
use crate::sums::{Salt, SaltedSum};
use crate::transaction::Transaction;
use crate::undo::{CHECKSUM_BYTES, read_undo};
use crate::validate::bip30::Coinbases;
use crate::validate::{CoinVisitor, EngineJudge, Place, check_connected, judge_scripts, visit_coins};
use std::path::PathBuf;

/// Memory that a thread uses again for each block.
#[derive(Default)]
pub(super) struct Scratch {
    block: Vec<u8>,
    undo: Vec<u8>,
    coin: Vec<u8>,
}

/// Judges blocks one by one, on several threads at once.
pub(super) struct BlockWork<'a> {
    pub chain: &'a dyn ChainRecords,
    /// Whether scripts are run.
    pub scripts: Option<EngineJudge>,
    /// With what coins are added up, and which of them survive.
    pub sums: Option<(&'a Salt, Option<&'a (PathBuf, HintsFile)>)>,
}

impl BlockWork<'_> {
    /// Whether what blocks spend is looked at.
    pub fn needs_coins(&self) -> bool {
        self.scripts.is_some() || self.sums.is_some()
    }

    /// Judges the block at a height and adds it to the tally.
    pub fn judge(&self, height: u32, scratch: &mut Scratch, tally: &mut Tally) -> Result<(), Stop> {
        let (context, hash) = self.context(height)?;
        self.chain.read_block(height, &mut scratch.block)?;
        if !self.needs_coins() {
            let facts =
                check_block(&scratch.block, &context).map_err(|fault| Stop::of_bytes(height, fault))?;
            let inputs = facts.inputs.iter().copied().map(u64::from).sum();
            tally.count(facts.inputs.len() as u64 + 1, inputs);
            return Ok(());
        }
        let block = read_block(&scratch.block, &context).map_err(|fault| Stop::of_bytes(height, fault))?;
        self.chain.read_undo(height, &mut scratch.undo)?;
        let spent = self.spent(&block, height, &scratch.undo)?;
        let place = Place { context, hash: &hash, median_times: self.chain.headers() };
        let refused = |refusal| Stop::of_refusal(self.coin_level(), height, &refusal);
        let connected = check_connected(&block, &place, &spent).map_err(refused)?;
        if let Some(judge) = &self.scripts {
            judge_scripts(&block, &place, &spent, &connected, judge).map_err(refused)?;
        }
        if let Some((salt, hints)) = self.sums {
            let survivors = hints.map(|(path, hints)| {
                hints.block(height).map_err(|fault| ValidationError::Hints { path: path.clone(), fault })
            });
            let survivors = survivors.transpose()?.unwrap_or_default();
            let mut balance = Balance::new(salt, &survivors, &mut scratch.coin);
            visit_coins(&block, &place, &spent, &mut balance);
            tally.balance.combine(balance.of_block(height)?);
        }
        if Coinbases::counts(height, context.params) {
            tally.coinbases.extend(block.txids.first().map(|txid| (height, *txid)));
        }
        tally.count(block.transactions.len() as u64, spent.len() as u64);
        Ok(())
    }

    /// Reads the coinbase's id of a block below those that are judged.
    pub fn read_coinbase(&self, height: u32, scratch: &mut Scratch, tally: &mut Tally) -> Result<(), Stop> {
        let (context, _) = self.context(height)?;
        self.chain.read_block(height, &mut scratch.block)?;
        let block = read_block(&scratch.block, &context).map_err(|fault| Stop::of_bytes(height, fault))?;
        tally.coinbases.extend(block.txids.first().map(|txid| (height, *txid)));
        Ok(())
    }

    fn context(&self, height: u32) -> Result<(BlockContext<'_>, Hash), ValidationError> {
        let headers = self.chain.headers();
        let header = headers.headers(height, height.saturating_add(1)).and_then(<[_]>::first);
        let Some((header, hash)) = header.zip(headers.hash_at(height)) else {
            let (wanted, held) = (height..height.saturating_add(1), 0..headers.len());
            return Err(ValidationError::Heights { wanted, held });
        };
        Ok((BlockContext { header, height, params: headers.params() }, hash))
    }

    /// For which level what blocks spend is read.
    fn coin_level(&self) -> Level {
        if self.scripts.is_some() { Level::Scripts } else { Level::Set }
    }

    fn spent(&self, block: &ReadBlock<'_>, height: u32, undo: &[u8]) -> Result<SpentCoins, Stop> {
        if height == 0 {
            return Ok(SpentCoins::default());
        }
        let inputs = block.transactions.iter().skip(1).map(Transaction::input_count);
        let inputs: Vec<u32> = inputs.map(|count| count as u32).collect();
        let size = (undo.len() as u64).saturating_sub(CHECKSUM_BYTES);
        read_undo(undo, size, &block.header.prev, &inputs, height).map_err(|fault| {
            let segment = height / self.chain.headers().params().interval.max(1);
            Stop::of_undo(self.coin_level(), height, segment, &fault)
        })
    }
}

impl Tally {
    fn count(&mut self, transactions: u64, inputs: u64) {
        self.blocks += 1;
        self.transactions += transactions;
        self.inputs += inputs;
    }
}

/// The coins of one block: those created, without survivors, less those spent.
struct Balance<'a> {
    salt: &'a Salt,
    created: SaltedSum,
    spent: SaltedSum,
    /// Places of survivors among the coins that the block creates, from the next one on.
    survivors: &'a [u32],
    place: u32,
    scratch: &'a mut Vec<u8>,
}

impl<'a> Balance<'a> {
    fn new(salt: &'a Salt, survivors: &'a BlockHints, scratch: &'a mut Vec<u8>) -> Self {
        let (created, spent) = (SaltedSum::default(), SaltedSum::default());
        Self { salt, created, spent, survivors, place: 0, scratch }
    }

    fn of_block(self, height: u32) -> Result<SaltedSum, Stop> {
        if let Some(place) = self.survivors.first() {
            let reason = format!("output {place} is said to survive where the block has {}", self.place);
            return Err(Stop::Failure(Failure::new(Level::Set, height, &reason, Blame::Hints)));
        }
        let mut balance = self.created;
        balance.remove(self.spent);
        Ok(balance)
    }
}

impl CoinVisitor for Balance<'_> {
    fn created(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        match self.survivors.split_first() {
            Some((first, rest)) if *first == self.place => self.survivors = rest,
            _ => self.created.add(self.salt, point, coin, self.scratch),
        }
        self.place += 1;
    }

    fn spent(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        self.spent.add(self.salt, point, coin, self.scratch);
    }
}
