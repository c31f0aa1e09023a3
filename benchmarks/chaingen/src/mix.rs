//! Transactions as mainnet's of 2025 are: kinds of scripts, numbers of inputs and outputs, ages of coins, and data.
use crate::filler::Filler;
use crate::keys::{Keys, Kind, Lock};
use crate::parallel;
use crate::room::{HEAD_BYTES, Left, OUTPUT_BYTES, Room};
use crate::sign::{Coin, Signer, Spend};
use crate::transaction::{Encoded, OutPoint, Output, data_output};
use std::collections::VecDeque;
use std::sync::Arc;

/// A coin spent with at most this many blocks between is young: 4 of 10 are.
const YOUNG_BLOCKS: u32 = 10;
/// Of 100 inputs, those that spend a coin of their own block.
const SAME_BLOCK_PERCENT: usize = 8;
/// Of 100 others, those that spend a coin of the blocks before: 8 + 92 × 35 / 100 = 40.
const YOUNG_PERCENT: usize = 35;
/// Coins to have for each input of a block, before the first transaction stops to fan out.
const COINS_PER_INPUT: usize = 12;
const FAN_OUT_LIMIT: usize = 2_000;
/// One of so many transactions has an `OP_RETURN`, of at least so many bytes and fewer than so many more: one push of
/// one byte's length.
const DATA_ONE_OF: usize = 8;
const DATA_BYTES: (u32, usize) = (20, 56);
/// An envelope is a transaction's only input, which must weigh less than 400,000 to be relayed.
const ENVELOPE_BYTES_LIMIT: usize = 380_000;
/// What an envelope takes besides its script: its output and the transaction that spends it.
const REVEAL_BYTES: usize = 270;
const COMMIT_BYTES: usize = 300;
/// Fewer bytes than this are left as they are.
const FILL_BYTES_MIN: usize = 1_000;
/// For each byte, about; a coin that has less pays what it has.
const FEE_RATE_SATOSHI: usize = 2;

/// A transaction before it is signed.
struct Plan {
    spends: Vec<Spend>,
    outputs: Vec<Output>,
    /// The coins among its outputs: place, amount, lock.
    makes: Vec<(u32, u64, Lock)>,
}

/// What a block holds besides its coinbase.
pub struct Body {
    /// In an order in which each finds its coins.
    pub transactions: Vec<Encoded>,
    /// For the coinbase to claim.
    pub fees_satoshi: u64,
}

/// The unspent coins of a chain, and the keys to them.
#[derive(Debug, Clone)]
pub struct MixedCoins {
    keys: Arc<Keys>,
    /// Of coinbases, oldest first: one a height.
    coinbases: VecDeque<Coin>,
    /// With the height that made them, oldest first.
    young: VecDeque<(u32, Vec<Coin>)>,
    old: Vec<Coin>,
}

impl MixedCoins {
    /// None yet.
    pub fn new() -> Result<Self, secp256k1::Error> {
        let (coinbases, young) = (VecDeque::new(), VecDeque::new());
        Ok(Self { keys: Arc::new(Keys::new()?), coinbases, young, old: Vec::new() })
    }

    /// What the coinbase of a height pays to.
    pub fn coinbase_output(&self, height: u32, value_satoshi: u64) -> Output {
        Output { value_satoshi, script: self.keys.locked(coinbase_lock(height)) }
    }

    /// Takes the coin of a coinbase.
    pub fn add_coinbase(&mut self, height: u32, txid: [u8; 32], value_satoshi: u64) {
        let spent = OutPoint { txid, index: 0 };
        self.coinbases.push_back(Coin { spent, value_satoshi, lock: coinbase_lock(height) });
    }

    /// Transactions that fill `room`, the oldest coinbase being mature.
    pub fn body(
        &mut self,
        height: u32,
        filler: &mut Filler,
        room: Room,
        threads: usize,
    ) -> Result<Body, secp256k1::Error> {
        while self.young.front().is_some_and(|(made, _)| made + YOUNG_BLOCKS < height) {
            self.old.extend(self.young.pop_front().into_iter().flat_map(|(_, coins)| coins));
        }
        let (mut fees_satoshi, mut made) = (0, Vec::new());
        let plans = self.first_wave(filler, room, &mut fees_satoshi);
        let mut transactions = self.sign(&plans, threads, &mut made);
        // Those that spend coins of these: their txids are known only now, as old signatures are part of them.
        let plans = self.second_wave(
            filler,
            room,
            room.percent(95).less(&transactions),
            &mut made,
            &mut fees_satoshi,
        );
        transactions.extend(self.sign(&plans, threads, &mut made));
        let left = room.less(&transactions);
        let bytes = left.bytes.min(left.weight);
        if bytes >= FILL_BYTES_MIN
            && let Some(coin) = made.pop().or_else(|| self.pick(filler))
        {
            transactions.extend(self.fill(filler, coin, bytes, threads, &mut made)?);
        }
        self.young.push_back((height, made));
        Ok(Body { transactions, fees_satoshi })
    }

    /// The coinbase is spent, to many as long as coins are few; then most inputs, of coins of earlier blocks.
    fn first_wave(&mut self, filler: &mut Filler, room: Room, fees: &mut u64) -> Vec<Plan> {
        let wanted = room.inputs * COINS_PER_INPUT;
        let coins = self.old.len() + self.young.iter().map(|(_, coins)| coins.len()).sum::<usize>();
        let fits = room.bytes.min(room.weight / 4) / 4 / OUTPUT_BYTES;
        let fan_out = wanted.saturating_sub(coins).min(FAN_OUT_LIMIT).min(fits).max(1);
        let mut plans: Vec<Plan> = Vec::new();
        plans.extend(self.coinbases.pop_front().map(|coin| self.plan(filler, vec![coin], fan_out, fees)));
        // One for the coinbase, and two for what fills the block.
        let mut inputs = (room.inputs * (100 - SAME_BLOCK_PERCENT) / 100).saturating_sub(3);
        let mut left = Left(room.percent(85));
        for plan in &plans {
            left.take(&plan.spends, plan.outputs.len());
        }
        while inputs > 0 && left.some() {
            let count = input_count(filler).min(inputs);
            let picked: Vec<Coin> = (0..count).map_while(|_| self.pick(filler)).collect();
            if picked.is_empty() {
                break;
            }
            inputs -= picked.len();
            let outputs = output_count(filler);
            let plan = self.plan(filler, picked, outputs, fees);
            left.take(&plan.spends, plan.outputs.len());
            plans.push(plan);
        }
        plans
    }

    /// Some of the coins just made are spent again.
    fn second_wave(
        &self,
        filler: &mut Filler,
        room: Room,
        left: Room,
        made: &mut Vec<Coin>,
        fees: &mut u64,
    ) -> Vec<Plan> {
        let mut inputs = (room.inputs * SAME_BLOCK_PERCENT / 100).min(made.len());
        let mut left = Left(left);
        let mut plans = Vec::new();
        while inputs > 0 && left.some() {
            let count = (1 + filler.below(2)).min(inputs);
            let picked: Vec<Coin> = (0..count).map(|_| made.swap_remove(filler.below(made.len()))).collect();
            inputs -= count;
            let outputs = 1 + filler.below(2);
            let plan = self.plan(filler, picked, outputs, fees);
            left.take(&plan.spends, plan.outputs.len());
            plans.push(plan);
        }
        plans
    }

    /// Data in about `bytes`: an output for each envelope, then the transactions that show what is in them.
    fn fill(
        &self,
        filler: &mut Filler,
        coin: Coin,
        bytes: usize,
        threads: usize,
        made: &mut Vec<Coin>,
    ) -> Result<Vec<Encoded>, secp256k1::Error> {
        let count = bytes.div_ceil(ENVELOPE_BYTES_LIMIT);
        let each = (bytes - COMMIT_BYTES) / count - REVEAL_BYTES;
        let value_satoshi = coin.value_satoshi / (count as u64 + 1);
        let mut leaves = Vec::new();
        for _ in 0..count {
            let key = filler.word() as u8;
            leaves.push((key, self.keys.envelope(key, each, |bytes| filler.bytes(bytes))?));
        }
        let rest = lock(filler);
        let mut outputs = vec![Output { value_satoshi, script: self.keys.locked(rest) }];
        outputs.extend(leaves.iter().map(|(_, leaf)| Output { value_satoshi, script: leaf.locked.clone() }));
        let commit = Plan { spends: vec![Spend::Coin(coin)], outputs, makes: vec![(0, value_satoshi, rest)] };
        let mut transactions = self.sign(&[commit], 1, made);
        let txid = transactions[0].txid;
        let reveals: Vec<Plan> = (1..)
            .zip(leaves)
            .map(|(index, (key, leaf))| {
                let spent = OutPoint { txid, index };
                let lock = lock(filler);
                Plan {
                    spends: vec![Spend::Envelope { spent, value_satoshi, key, leaf }],
                    outputs: vec![Output { value_satoshi, script: self.keys.locked(lock) }],
                    makes: vec![(0, value_satoshi, lock)],
                }
            })
            .collect();
        transactions.extend(self.sign(&reveals, threads, made));
        Ok(transactions)
    }

    /// A coin of an earlier block.
    fn pick(&mut self, filler: &mut Filler) -> Option<Coin> {
        let young: usize = self.young.iter().map(|(_, coins)| coins.len()).sum();
        let wants_young = filler.below(100) < YOUNG_PERCENT;
        if self.old.is_empty() || (wants_young && young > 0) {
            let mut place = filler.below(young);
            for (_, coins) in &mut self.young {
                if place < coins.len() {
                    return Some(coins.swap_remove(place));
                }
                place -= coins.len();
            }
            return None;
        }
        Some(self.old.swap_remove(filler.below(self.old.len())))
    }

    /// The amounts of the coins, less a fee, in uneven parts to `outputs` locks.
    fn plan(&self, filler: &mut Filler, coins: Vec<Coin>, outputs: usize, fees: &mut u64) -> Plan {
        let value: u64 = coins.iter().map(|coin| coin.value_satoshi).sum();
        let bytes = HEAD_BYTES + 100 * coins.len() + OUTPUT_BYTES * outputs;
        let fee = ((bytes * FEE_RATE_SATOSHI) as u64).min(value / 2);
        *fees += fee;
        let weights: Vec<u64> = (0..outputs).map(|_| 1 + filler.word() % 1_000).collect();
        // At most 21 million coins times a million: fits.
        let unit = (value - fee) / weights.iter().sum::<u64>().max(1);
        let mut rest = value - fee - unit * weights.iter().sum::<u64>();
        let mut plan = Plan {
            spends: coins.into_iter().map(Spend::Coin).collect(),
            outputs: Vec::with_capacity(outputs + 1),
            makes: Vec::with_capacity(outputs),
        };
        for (index, weight) in (0..).zip(weights) {
            let lock = lock(filler);
            let value_satoshi = unit * weight + std::mem::take(&mut rest);
            plan.outputs.push(Output { value_satoshi, script: self.keys.locked(lock) });
            plan.makes.push((index, value_satoshi, lock));
        }
        if filler.below(DATA_ONE_OF) == 0 {
            let length = DATA_BYTES.0 + filler.below(DATA_BYTES.1) as u32;
            let mut data = vec![length as u8];
            data.extend(filler.bytes(length));
            plan.outputs.push(data_output(&data));
        }
        plan
    }

    /// Signs and encodes; the new coins go to `made`.
    fn sign(&self, plans: &[Plan], threads: usize, made: &mut Vec<Coin>) -> Vec<Encoded> {
        let signed = parallel::map(
            plans,
            threads,
            || Signer::new(&self.keys),
            |signer, plan| signer.signed(&plan.spends, &plan.outputs).encoded(),
        );
        for (plan, transaction) in plans.iter().zip(&signed) {
            made.extend(plan.makes.iter().map(|&(index, value_satoshi, lock)| Coin {
                spent: OutPoint { txid: transaction.txid, index },
                value_satoshi,
                lock,
            }));
        }
        signed
    }
}

fn coinbase_lock(height: u32) -> Lock {
    Lock { kind: Kind::WitnessKeyHash, key: height as u8 }
}

fn lock(filler: &mut Filler) -> Lock {
    Lock { kind: Kind::of_percent(filler.below(100)), key: filler.word() as u8 }
}

/// Mean 2.5; a consolidation now and then.
fn input_count(filler: &mut Filler) -> usize {
    match filler.below(100) {
        0..70 => 1,
        70..87 => 2,
        87..95 => 3 + filler.below(3),
        95..99 => 6 + filler.below(15),
        _ => 30 + filler.below(70),
    }
}

/// Mean 2.9, so that coins become more; a batch of payments now and then.
fn output_count(filler: &mut Filler) -> usize {
    match filler.below(100) {
        0..25 => 1,
        25..85 => 2,
        85..96 => 3 + filler.below(3),
        96..99 => 6 + filler.below(15),
        _ => 30 + filler.below(60),
    }
}
