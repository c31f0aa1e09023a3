//! Blocks on their way to be spoilt, above the tip of a regtest chain.

use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

use super::transactions::{In, Tx, block, commitment, mine, root};
use crate::encode::{Hash, Reader};
use crate::header::{HEADER_BYTES, Header};
use crate::money::COIN;
use crate::params::Params;
use crate::script::push_number;
use crate::transaction::Transaction;

pub const OP_TRUE: u8 = 0x51;
pub const OP_CHECKSIG: u8 = 0xac;
pub const OP_CHECKMULTISIG: u8 = 0xae;
pub const FINAL: u32 = u32::MAX;
/// Satoshi of a coinbase of the first 150 blocks.
pub const REWARD: u64 = 50 * COIN;

/// The tip that a case builds on.
pub struct Tip {
    pub height: u32,
    pub hash: Hash,
    pub time: u32,
    /// Median time of the last eleven.
    pub median: u32,
    /// Ids of the coinbases by height.
    pub coinbases: Vec<Hash>,
    times: Vec<u32>,
}

/// A block on its way, to be spoilt.
pub struct Draft {
    pub header: Header,
    pub transactions: Vec<Tx>,
}

impl Draft {
    /// Mends the merkle root, finds a nonce, and writes the block.
    pub fn finish(mut self) -> Vec<u8> {
        self.header.merkle_root = root(&self.transactions);
        block(&mine(self.header), &self.transactions)
    }
}

impl Tip {
    pub fn genesis(params: &Params) -> Self {
        let time = Header::parse(&params.genesis_header).time;
        let hash = params.genesis_hash;
        Self { height: 0, hash, time, median: time, coinbases: vec![[0; 32]], times: vec![time] }
    }

    /// Genesis, were it at that height.
    pub fn at(height: u32, params: &Params) -> Self {
        Self { height, ..Self::genesis(params) }
    }

    /// Goes on to a block made from a draft.
    pub fn advance(&mut self, bytes: &[u8]) {
        let header = Header::parse(bytes.first_chunk().unwrap());
        let coinbase = Transaction::read(&mut Reader::new(&bytes[HEADER_BYTES + 1..])).unwrap();
        self.times.push(header.time);
        let mut recent = self.times[self.times.len().saturating_sub(11)..].to_vec();
        recent.sort_unstable();
        self.height += 1;
        self.hash = header.hash();
        self.time = header.time;
        self.median = recent[recent.len() / 2];
        self.coinbases.push(coinbase.txid());
    }

    /// The coin of a coinbase, open to anyone.
    pub fn coin(&self, height: u32) -> In {
        In { txid: self.coinbases[height as usize], sequence: FINAL, ..In::default() }
    }

    /// The next block with these transactions and a coinbase that takes what they leave as fees.
    pub fn draft(&self, fees: u64, transactions: &[Tx]) -> Draft {
        let height = self.height + 1;
        let script = [push_number(height), vec![0; 2]].concat();
        let input = In { index: u32::MAX, script, sequence: FINAL, ..In::default() };
        let coinbase = Tx {
            version: 1,
            inputs: vec![input],
            outputs: vec![(REWARD + fees, vec![OP_TRUE])],
            lock_time: 0,
        };
        let transactions = [&[coinbase], transactions].concat();
        let header = Header {
            version: 0x2000_0000,
            prev: self.hash,
            merkle_root: [0; 32],
            time: self.time + 600,
            bits: 0x207f_ffff,
            nonce: 0,
        };
        Draft { header, transactions }
    }

    /// The next block with witnesses and the commitment to them.
    pub fn witnessed(&self, fees: u64, transactions: &[Tx]) -> Draft {
        let mut draft = self.draft(fees, transactions);
        let output = commitment(&draft.transactions);
        draft.transactions[0].outputs.push(output);
        draft.transactions[0].inputs[0].witness = vec![vec![0; 32]];
        draft
    }
}

pub fn pay(inputs: Vec<In>, outputs: Vec<(u64, Vec<u8>)>) -> Tx {
    Tx { version: 1, inputs, outputs, lock_time: 0 }
}

/// Spends to anyone, all of it.
pub fn move_all(input: In, value: u64) -> Tx {
    pay(vec![input], vec![(value, vec![OP_TRUE])])
}

pub fn output_of(tx: &Tx, index: u32) -> In {
    In { txid: tx.txid(), index, sequence: FINAL, ..In::default() }
}

pub fn script_hash(script: &[u8]) -> Vec<u8> {
    [&[0xa9, 20][..], &Ripemd160::digest(Sha256::digest(script)), &[0x87]].concat()
}

pub fn witness_script_hash(script: &[u8]) -> Vec<u8> {
    [&[0, 32][..], &Sha256::digest(script)].concat()
}

pub fn push(data: &[u8]) -> Vec<u8> {
    [&[0x4d][..], &(data.len() as u16).to_le_bytes(), data].concat()
}
