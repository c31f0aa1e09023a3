//! A chain in memory for tests: a sample of mainnet whose blocks and records may be changed.
#![expect(clippy::unwrap_used, reason = "tests")]
use crate::block::{BlockContext, read_block};
use crate::chain_records::ChainRecords;
use crate::coins::{Coin, OutPoint, SpentCoins};
use crate::compressor::push_coin;
use crate::encode::{Hash, push_compact_size, push_varint, sha256d};
use crate::header::Header;
use crate::headers::HeaderChain;
use crate::hints::HintsWriter;
use crate::params::Params;
use crate::scan::ScanError;
use crate::testdata;
use crate::transaction::Transaction;
use crate::undo::read_undo;
use crate::validate::{CoinVisitor, Place, visit_coins};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

/// Blocks and undo records by height.
#[derive(Clone)]
pub struct MemoryChain {
    pub headers: HeaderChain,
    pub blocks: Vec<Vec<u8>>,
    pub undo: Vec<Vec<u8>>,
}

impl ChainRecords for MemoryChain {
    fn headers(&self) -> &HeaderChain {
        &self.headers
    }

    fn heights(&self) -> Range<u32> {
        0..self.blocks.len() as u32
    }

    fn read_block(&self, height: u32, out: &mut Vec<u8>) -> Result<(), ScanError> {
        self.blocks[height as usize].clone_into(out);
        Ok(())
    }

    fn read_undo(&self, height: u32, out: &mut Vec<u8>) -> Result<(), ScanError> {
        self.undo[height as usize].clone_into(out);
        Ok(())
    }
}

/// A coin that can be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCoin {
    pub height: u32,
    pub is_coinbase: bool,
    pub value: u64,
    pub script: Vec<u8>,
}

impl OwnCoin {
    pub fn of(coin: &Coin<'_>) -> Self {
        let Coin { height, is_coinbase, value, script } = *coin;
        Self { height, is_coinbase, value, script: script.to_vec() }
    }

    pub fn borrow(&self) -> Coin<'_> {
        let Self { height, is_coinbase, value, script } = self;
        Coin { height: *height, is_coinbase: *is_coinbase, value: *value, script }
    }
}

/// The first blocks of mainnet, with the records that belong to them.
pub fn mainnet() -> Option<MemoryChain> {
    static CHAIN: OnceLock<Option<MemoryChain>> = OnceLock::new();
    let made = CHAIN.get_or_init(|| {
        let file = testdata::read("chain-mainnet/btcd-blk_0_to_14131.dat.zst")?;
        let params = Params::mainnet();
        let blocks = testdata::frames(&file, params.magic).into_iter().map(<[u8]>::to_vec).collect();
        Some(MemoryChain::of(params, blocks))
    });
    made.clone()
}

#[derive(Default)]
struct Created {
    coins: HashMap<(Hash, u32), (OwnCoin, u32)>,
    place: u32,
}

impl CoinVisitor for Created {
    fn created(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        self.coins.insert((*point.txid, point.index), (OwnCoin::of(coin), self.place));
        self.place += 1;
    }

    fn spent(&mut self, point: OutPoint<'_>, _: &Coin<'_>) {
        self.coins.remove(&(*point.txid, point.index)).unwrap();
    }
}

impl MemoryChain {
    /// Valid blocks, and the records that they make.
    pub fn of(params: Params, blocks: Vec<Vec<u8>>) -> Self {
        let mut chain = Self::unspent(params, blocks);
        chain.replay(Self::set_spent);
        chain
    }

    /// Blocks, and what each is said to spend.
    pub fn claimed(params: Params, blocks: Vec<Vec<u8>>, said: &[Vec<OwnCoin>]) -> Self {
        let mut chain = Self::unspent(params, blocks);
        for (height, coins) in (0..).zip(said) {
            chain.set_spent(height, coins);
        }
        chain
    }

    fn unspent(params: Params, blocks: Vec<Vec<u8>>) -> Self {
        let raw: Vec<u8> = blocks.iter().flat_map(|block| block[..80].to_vec()).collect();
        let mut headers = HeaderChain::new(params);
        headers.append(&raw, u64::MAX).unwrap();
        let undo = vec![Vec::new(); blocks.len()];
        Self { headers, blocks, undo }
    }

    /// The coins left at the end: their points, themselves, and their places among the coins of their blocks.
    pub fn survivors(&self) -> Vec<((Hash, u32), OwnCoin, u32)> {
        let mut chain = self.clone();
        let created = chain.replay(|_, _, _| {});
        let mut all: Vec<_> =
            created.coins.into_iter().map(|(point, (coin, place))| (point, coin, place)).collect();
        all.sort_unstable_by_key(|(point, coin, place)| (coin.height, *place, *point));
        all
    }

    /// The hints of the whole chain.
    pub fn hints(&self) -> Vec<u8> {
        let mut blocks = vec![Vec::new(); self.blocks.len()];
        for (_, coin, place) in self.survivors() {
            blocks[coin.height as usize].push(place);
        }
        let mut writer = HintsWriter::new(Vec::new(), self.blocks.len() as u32).unwrap();
        for block in &blocks[1..] {
            writer.push_block(block).unwrap();
        }
        writer.into_sink()
    }

    fn replay(&mut self, mut each: impl FnMut(&mut Self, u32, &[OwnCoin])) -> Created {
        let mut created = Created::default();
        for height in 0..self.blocks.len() as u32 {
            let bytes = self.blocks[height as usize].clone();
            let params = self.headers.params().clone();
            let header = *bytes.first_chunk().unwrap();
            let context = BlockContext { header: &header, height, params: &params };
            let block = read_block(&bytes, &context).unwrap();
            let hash = self.headers.hash_at(height).unwrap();
            let headers = self.headers.clone();
            let place = Place { context, hash: &hash, median_times: &headers };
            created.place = 0;
            // Created first, so that what the block itself creates is found.
            visit_coins(&block, &place, &SpentCoins::default(), &mut created);
            let mut spent = Vec::new();
            for input in block.transactions.iter().skip(1).flat_map(Transaction::inputs) {
                let point = input.outpoint();
                spent.push(created.coins.remove(&(*point.txid, point.index)).unwrap().0);
            }
            each(self, height, &spent);
        }
        created
    }

    /// What the block at a height is said to spend.
    pub fn spent(&self, height: u32) -> Vec<OwnCoin> {
        let undo = &self.undo[height as usize];
        let prev = Header::parse(self.blocks[height as usize].first_chunk().unwrap()).prev;
        let coins = read_undo(&undo[..], undo.len() as u64 - 32, &prev, &self.shape(height), height).unwrap();
        (0..coins.len()).map(|input| OwnCoin::of(&coins.get(input).unwrap())).collect()
    }

    /// Says that it spends other coins.
    pub fn set_spent(&mut self, height: u32, coins: &[OwnCoin]) {
        if height == 0 {
            return;
        }
        let (mut body, mut coins) = (Vec::new(), coins.iter());
        let shape = self.shape(height);
        push_compact_size(&mut body, shape.len() as u64);
        for inputs in shape {
            push_compact_size(&mut body, inputs.into());
            for coin in coins.by_ref().take(inputs as usize) {
                push_undo(&coin.borrow(), &mut body);
            }
        }
        self.set_undo(height, body);
    }

    /// Puts a CBlockUndo in place, with its checksum.
    pub fn set_undo(&mut self, height: u32, mut body: Vec<u8>) {
        let prev = Header::parse(self.blocks[height as usize].first_chunk().unwrap()).prev;
        body.extend(sha256d([&prev, &body]));
        self.undo[height as usize] = body;
    }

    fn shape(&self, height: u32) -> Vec<u32> {
        let bytes = &self.blocks[height as usize];
        let context =
            BlockContext { header: bytes.first_chunk().unwrap(), height, params: self.headers.params() };
        let block = read_block(bytes, &context).unwrap();
        block.transactions.iter().skip(1).map(|transaction| transaction.input_count() as u32).collect()
    }
}

/// A coin as an undo record has it: as in a snapshot, with a zero behind its code.
fn push_undo(coin: &Coin<'_>, out: &mut Vec<u8>) {
    let mut code = Vec::new();
    push_varint(&mut code, u64::from(coin.height) << 1 | u64::from(coin.is_coinbase));
    let mut whole = Vec::new();
    push_coin(coin, &mut whole);
    out.extend_from_slice(&code);
    out.push(0);
    out.extend_from_slice(&whole[code.len()..]);
}
