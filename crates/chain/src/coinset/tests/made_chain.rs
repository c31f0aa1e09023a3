//! A regtest chain in memory, whose spent records may say anything.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::chain_records::ChainRecords;
use crate::coins::{Coin, OutPoint};
use crate::compressor::push_coin;
use crate::encode::{Hash, push_compact_size, push_varint, sha256d};
use crate::header::Header;
use crate::headers::HeaderChain;
use crate::hints::HintsWriter;
use crate::params::Params;
use crate::scan::ScanError;
use crate::script::{is_unspendable, push_number};
use crate::snapshot::{SnapshotHead, SnapshotWriter};
use crate::validate::tests::transactions::{In, Tx, block, mine, root};

use super::super::CoinSetJob;
use super::super::facts::{OwnCoin, Point};

pub const OP_TRUE: u8 = 0x51;

/// Coins with their places among those that their block creates.
pub type Coins = BTreeMap<Point, (u32, OwnCoin)>;

/// A spend: what the input names, and what the record says of it.
pub type Spent = (Point, OwnCoin);

/// Value and script of an output.
pub type Output = (u64, Vec<u8>);

/// What a transaction spends and creates.
pub type Plan<'a> = (&'a [Spent], &'a [Output]);

pub struct MadeChain {
    headers: HeaderChain,
    blocks: Vec<Vec<u8>>,
    /// What the records say: by height, transaction and input.
    records: Vec<Vec<Vec<OwnCoin>>>,
    /// The coins, if the first creation and the first spend of each counts.
    pub coins: Coins,
    pub folder: tempfile::TempDir,
    pub cancelled: AtomicBool,
    pub progress: AtomicU64,
}

impl ChainRecords for MadeChain {
    fn headers(&self) -> &HeaderChain {
        &self.headers
    }

    fn heights(&self) -> Range<u32> {
        0..self.headers.len()
    }

    fn read_block(&self, height: u32, out: &mut Vec<u8>) -> Result<(), ScanError> {
        out.clone_from(&self.blocks[height as usize]);
        Ok(())
    }

    fn read_undo(&self, height: u32, out: &mut Vec<u8>) -> Result<(), ScanError> {
        out.clear();
        let transactions = &self.records[height as usize];
        push_compact_size(out, transactions.len() as u64);
        for coins in transactions {
            push_compact_size(out, coins.len() as u64);
            for coin in coins {
                push_spent(coin, out);
            }
        }
        let prev = self.headers.hash_at(height - 1).unwrap();
        let checksum = sha256d([&prev, out]);
        out.extend(checksum);
        Ok(())
    }
}

/// A coin as undo records have it: a zero stands behind the code.
fn push_spent(coin: &OwnCoin, out: &mut Vec<u8>) {
    let (mut code, mut whole) = (Vec::new(), Vec::new());
    push_varint(&mut code, u64::from(coin.height << 1 | u32::from(coin.is_coinbase)));
    push_coin(&borrowed(coin), &mut whole);
    out.extend_from_slice(&code);
    out.push(0);
    out.extend_from_slice(&whole[code.len()..]);
}

pub fn borrowed(coin: &OwnCoin) -> Coin<'_> {
    let OwnCoin { height, is_coinbase, value, script } = coin;
    Coin { height: *height, is_coinbase: *is_coinbase, value: *value, script }
}

impl MadeChain {
    pub fn new() -> Self {
        let params = Params::regtest();
        let mut headers = HeaderChain::new(params.clone());
        headers.append(&params.genesis_header, u64::MAX).unwrap();
        Self {
            headers,
            blocks: vec![Vec::new()],
            records: vec![Vec::new()],
            coins: Coins::new(),
            folder: tempfile::tempdir().unwrap(),
            cancelled: AtomicBool::new(false),
            progress: AtomicU64::new(0),
        }
    }

    /// The next block's height.
    pub fn height(&self) -> u32 {
        self.headers.len()
    }

    /// Appends a block whose coinbase has one output, and these transactions: what they spend, and values and scripts.
    /// The ids of all.
    pub fn push(&mut self, transactions: &[Plan<'_>]) -> Vec<Hash> {
        let height = self.height();
        let script = [push_number(height), vec![0; 2]].concat();
        let input = In { index: u32::MAX, script, sequence: u32::MAX, ..In::default() };
        let mut all = vec![tx(vec![input], &[(u64::from(height) + 1, vec![OP_TRUE])])];
        for (spent, outputs) in transactions {
            all.push(transaction(spent, outputs));
        }
        let params = self.headers.params();
        let header = mine(Header {
            version: 0x2000_0000,
            prev: self.headers.tip_hash().unwrap(),
            merkle_root: root(&all),
            time: Header::parse(&params.genesis_header).time + 600 * height,
            bits: params.pow_limit_bits,
            nonce: 0,
        });
        self.headers.append(&header.to_bytes(), u64::MAX).unwrap();
        self.blocks.push(block(&header, &all));
        self.records.push(
            transactions
                .iter()
                .map(|(spent, _)| spent.iter().map(|(_, coin)| coin.clone()).collect())
                .collect(),
        );
        let txids: Vec<Hash> = all.iter().map(Tx::txid).collect();
        let mut place = 0;
        for (at, (txid, tx)) in txids.iter().zip(&all).enumerate() {
            for (index, (value, script)) in (0..).zip(&tx.outputs) {
                if !is_unspendable(script) {
                    let coin =
                        OwnCoin { height, is_coinbase: at == 0, value: *value, script: script.clone() };
                    self.coins.insert((*txid, index), (place, coin));
                    place += 1;
                }
            }
        }
        for (point, _) in transactions.iter().flat_map(|(spent, _)| spent.iter()) {
            self.coins.remove(point);
        }
        txids
    }

    /// A coin that there is, as a spend of it.
    pub fn spend(&self, point: Point) -> Spent {
        (point, self.coins[&point].1.clone())
    }

    /// The first block from `height` on that spends something.
    pub fn spending_height(&self, height: u32) -> u32 {
        (height..self.height()).find(|height| !self.records[*height as usize].is_empty()).unwrap()
    }

    /// Lets the record of a block say something else of one of its coins.
    pub fn retell(&mut self, height: u32, transaction: usize, input: usize, change: impl Fn(&mut OwnCoin)) {
        change(&mut self.records[height as usize][transaction][input]);
    }

    /// The id of a transaction that [`push`](Self::push) would make.
    pub fn id_of(spent: &[Spent], outputs: &[Output]) -> Hash {
        transaction(spent, outputs).txid()
    }

    /// The first of the coins that the block at `height` left.
    pub fn lowest_left(&self, height: u32) -> Option<Point> {
        self.coins.iter().find(|(_, (_, coin))| coin.height == height).map(|(point, _)| *point)
    }

    pub fn job(&self, memory_bytes: usize, threads: usize) -> CoinSetJob<'_> {
        CoinSetJob {
            records: self,
            scratch: self.folder.path(),
            memory_bytes,
            threads,
            progress: &self.progress,
            cancelled: &self.cancelled,
        }
    }

    /// Names in the folder.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The hints of the coins that are left, with some changed by `change`.
    pub fn write_hints(&self, change: impl Fn(&mut BTreeMap<u32, Vec<u32>>)) -> PathBuf {
        let mut places: BTreeMap<u32, Vec<u32>> =
            (1..self.height()).map(|height| (height, Vec::new())).collect();
        for (place, coin) in self.coins.values() {
            places.entry(coin.height).or_default().push(*place);
        }
        change(&mut places);
        let mut writer = HintsWriter::new(Vec::new(), self.height()).unwrap();
        for places in places.values_mut() {
            places.sort_unstable();
            writer.push_block(places).unwrap();
        }
        self.write("expected.hints", &writer.into_sink())
    }

    /// A snapshot of the coins that are left, with some changed by `change`.
    pub fn write_snapshot(&self, change: impl Fn(&mut Coins)) -> PathBuf {
        let mut coins = self.coins.clone();
        change(&mut coins);
        let head = SnapshotHead {
            magic: self.headers.params().magic,
            block_hash: self.headers.tip_hash().unwrap(),
            coins: coins.len() as u64,
        };
        let mut writer = SnapshotWriter::new(Vec::new(), &head).unwrap();
        for ((txid, index), (_, coin)) in &coins {
            writer.push(OutPoint { txid, index: *index }, &borrowed(coin)).unwrap();
        }
        self.write("expected.utxo", &writer.finish().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn path(&self, name: &str) -> PathBuf {
        Path::join(self.folder.path(), name)
    }
}

fn transaction(spent: &[Spent], outputs: &[Output]) -> Tx {
    let input = |((txid, index), _): &Spent| In { txid: *txid, index: *index, ..In::default() };
    tx(spent.iter().map(input).collect(), outputs)
}

fn tx(inputs: Vec<In>, outputs: &[Output]) -> Tx {
    Tx { version: 1, inputs, outputs: outputs.to_vec(), lock_time: 0 }
}
