//! Coins that anyone can spend, under five kinds of lock: no signature is needed, so that a chain is made as fast as
//! it is written.
use crate::filler::Filler;
use crate::transaction::{Encoded, Input, OutPoint, Output, Transaction, data_output};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;

const OP_0: u8 = 0x00;
const PUSH_20: u8 = 0x14;
const PUSH_32: u8 = 0x20;
const OP_TRUE: u8 = 0x51;
const OP_2DROP: u8 = 0x6d;
const OP_EQUAL: u8 = 0x87;
const OP_HASH160: u8 = 0xa9;

/// Witness items that a [`Lock::Drop`] coin takes: two for each of its 100 `OP_2DROP` (201 operations are allowed).
const DROP_ITEMS: u32 = 200;
/// Consensus limit of one witness item of a version 0 script.
const ITEM_BYTES_LIMIT: u32 = 520;
/// Blocks on top after which the bare `OP_TRUE` coin of a transaction is spent.
const BARE_COIN_AGE: u32 = 7;
/// Paid by every transaction, so that amounts out are below amounts in. The coinbase leaves fees unclaimed.
const FEE_SATOSHI: u64 = 1_000;
/// Bytes of one filler output, below the 10,000 from which Core prunes a script as unspendable by its size.
const DATA_OUTPUT_BYTES: u32 = 9_000;

/// How a coin is locked; every one of them is open to anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    /// `OP_TRUE` itself.
    Bare,
    /// P2SH of `OP_TRUE` (BIP 16).
    ScriptHash,
    /// P2WSH of `OP_TRUE` (BIP 141).
    Witness,
    /// P2WSH in P2SH of `OP_TRUE`.
    Nested,
    /// P2WSH of 100 `OP_2DROP` and `OP_TRUE`: takes 200 witness items of any content.
    Drop,
}

const COINBASE_LOCKS: [Lock; 3] = [Lock::Witness, Lock::Bare, Lock::ScriptHash];

impl Lock {
    fn witness_script(self) -> Vec<u8> {
        let mut script = match self {
            Self::Drop => vec![OP_2DROP; DROP_ITEMS as usize / 2],
            _ => Vec::new(),
        };
        script.push(OP_TRUE);
        script
    }

    fn witness_program(self) -> Vec<u8> {
        let mut program = vec![OP_0, PUSH_32];
        program.extend_from_slice(&Sha256::digest(self.witness_script()));
        program
    }

    /// The output script.
    fn script(self) -> Vec<u8> {
        match self {
            Self::Bare => vec![OP_TRUE],
            Self::Witness | Self::Drop => self.witness_program(),
            Self::ScriptHash => script_hash(&TRUE_HASH160),
            Self::Nested => script_hash(&NESTED_TRUE_HASH160),
        }
    }

    /// What the input's script must push.
    fn redeem(self) -> Vec<u8> {
        match self {
            Self::ScriptHash => vec![1, OP_TRUE],
            Self::Nested => {
                let program = self.witness_program();
                let mut push = vec![program.len() as u8];
                push.extend_from_slice(&program);
                push
            }
            _ => Vec::new(),
        }
    }

    fn witness(self) -> Vec<Vec<u8>> {
        match self {
            Self::Bare | Self::ScriptHash => Vec::new(),
            Self::Witness | Self::Nested => vec![self.witness_script()],
            Self::Drop => {
                let mut items = vec![Vec::new(); DROP_ITEMS as usize];
                items.push(self.witness_script());
                items
            }
        }
    }
}

/// HASH160 of the redeem script `51`.
const TRUE_HASH160: [u8; 20] = [
    0xda, 0x17, 0x45, 0xe9, 0xb5, 0x49, 0xbd, 0x0b, 0xfa, 0x1a, 0x56, 0x99, 0x71, 0xc7, 0x7e, 0xba, 0x30,
    0xcd, 0x5a, 0x4b,
];
/// HASH160 of the redeem script `0020 || SHA-256(51)`.
const NESTED_TRUE_HASH160: [u8; 20] = [
    0x72, 0xc4, 0x4f, 0x95, 0x7f, 0xc0, 0x11, 0xd9, 0x7e, 0x34, 0x06, 0x66, 0x7d, 0xca, 0x5b, 0x1c, 0x93,
    0x0c, 0x40, 0x26,
];

fn script_hash(hash: &[u8; 20]) -> Vec<u8> {
    let mut script = vec![OP_HASH160, PUSH_20];
    script.extend_from_slice(hash);
    script.push(OP_EQUAL);
    script
}

/// An unspent output.
#[derive(Debug, Clone)]
struct Coin {
    spent: OutPoint,
    value_satoshi: u64,
    lock: Lock,
}

/// The unspent coins of a chain.
#[derive(Debug, Clone, Default)]
pub struct OpenCoins {
    /// Coins of coinbases, oldest first: one entry a height.
    coinbases: VecDeque<Vec<Coin>>,
    /// Bare coins of earlier transactions, oldest first, with the height that made them.
    bare: VecDeque<(u32, Coin)>,
}

impl OpenCoins {
    /// What a coinbase pays to.
    pub fn coinbase_outputs(value_satoshi: u64) -> Vec<Output> {
        outputs(value_satoshi / 3, &COINBASE_LOCKS)
    }

    /// Takes the coins of a coinbase.
    pub fn add_coinbase(&mut self, txid: [u8; 32], value_satoshi: u64) {
        self.coinbases.push_back(coins(txid, value_satoshi / 3, &COINBASE_LOCKS));
    }

    /// Transactions that spend the oldest coinbase, with about `budget` bytes of filler.
    pub fn transactions(&mut self, height: u32, filler: &mut Filler, budget: u32) -> Vec<Encoded> {
        let Some(coinbase) = self.coinbases.pop_front() else { return Vec::new() };
        // Coinbase coins of three types become a coin for the filler's witness, a bare and a nested one.
        let (first, mut made) = spend(&coinbase, &[Lock::Drop, Lock::Bare, Lock::Nested]);
        let nested = made.pop();
        let bare = made.pop();
        // The second spends two of them in the same block.
        made.extend(nested);
        let (mut second, _) = spend(&made, &[Lock::Witness]);
        let in_witness = fill_witness(&mut second, filler, budget / 2);
        second.outputs.extend(data_outputs(filler, budget.saturating_sub(in_witness)));
        let mut transactions = vec![first, second];
        // The third has no witness at all: the old encoding.
        if self.bare.front().is_some_and(|(made, _)| height >= made + BARE_COIN_AGE)
            && let Some((_, coin)) = self.bare.pop_front()
        {
            transactions.push(spend(&[coin], &[Lock::ScriptHash, Lock::Bare]).0);
        }
        self.bare.extend(bare.map(|coin| (height, coin)));
        transactions.iter().map(Transaction::encoded).collect()
    }
}

/// A transaction that spends `spent`, less the fee, in equal parts to `locks`, and the coins it makes.
fn spend(spent: &[Coin], locks: &[Lock]) -> (Transaction, Vec<Coin>) {
    let inputs = spent
        .iter()
        .map(|coin| Input {
            spent: coin.spent,
            script: coin.lock.redeem(),
            sequence: u32::MAX,
            witness: coin.lock.witness(),
        })
        .collect();
    let value: u64 = spent.iter().map(|coin| coin.value_satoshi).sum();
    let each = value.saturating_sub(FEE_SATOSHI) / (locks.len() as u64).max(1);
    let transaction = Transaction { inputs, outputs: outputs(each, locks) };
    let made = coins(transaction.txid(), each, locks);
    (transaction, made)
}

fn outputs(value_satoshi: u64, locks: &[Lock]) -> Vec<Output> {
    locks.iter().map(|lock| Output { value_satoshi, script: lock.script() }).collect()
}

fn coins(txid: [u8; 32], value_satoshi: u64, locks: &[Lock]) -> Vec<Coin> {
    let coin =
        |(index, lock): (u32, &Lock)| Coin { spent: OutPoint { txid, index }, value_satoshi, lock: *lock };
    (0..).zip(locks).map(coin).collect()
}

/// Puts up to `bytes` of filler into the empty items of its witnesses; returns how many it took.
fn fill_witness(transaction: &mut Transaction, filler: &mut Filler, bytes: u32) -> u32 {
    let mut left = bytes;
    for item in transaction.inputs.iter_mut().flat_map(|input| &mut input.witness) {
        if item.is_empty() && left > 0 {
            let part = left.min(ITEM_BYTES_LIMIT);
            *item = filler.bytes(part);
            left -= part;
        }
    }
    bytes - left
}

/// Outputs that carry `bytes` of filler.
pub fn data_outputs(filler: &mut Filler, bytes: u32) -> Vec<Output> {
    let mut left = bytes;
    let mut outputs = Vec::new();
    while left > 0 {
        let part = left.min(DATA_OUTPUT_BYTES);
        outputs.push(data_output(&filler.bytes(part)));
        left -= part;
    }
    outputs
}
