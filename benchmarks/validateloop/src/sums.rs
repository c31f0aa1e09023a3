//! The coins of blocks: added up as validation does, and as a list for the hash loops.

use std::hint::black_box;

use blockswarm_chain::block::read_block;
use blockswarm_chain::coins::{Coin, OutPoint};
use blockswarm_chain::encode::{Hash, push_compact_size};
use blockswarm_chain::sums::{MuHash, Salt, SaltedSum};
use blockswarm_chain::validate::{CoinVisitor, visit_coins};
use sha2::{Digest, Sha256};

use crate::cases::{Block, Case, OwnCoin, borrow};

/// Adds up what is created, and takes away what is spent.
pub struct Summing<'a> {
    salt: &'a Salt,
    created: SaltedSum,
    spent: SaltedSum,
    scratch: Vec<u8>,
}

impl<'a> Summing<'a> {
    pub fn new(salt: &'a Salt) -> Self {
        Self { salt, created: SaltedSum::default(), spent: SaltedSum::default(), scratch: Vec::new() }
    }

    /// Nothing is proven of the sums of these blocks: they are only to be made.
    pub fn finish(mut self) {
        self.created.remove(self.spent);
        black_box(self.created);
    }
}

impl CoinVisitor for Summing<'_> {
    fn created(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        self.created.add(self.salt, point, coin, &mut self.scratch);
    }

    fn spent(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        self.spent.add(self.salt, point, coin, &mut self.scratch);
    }
}

/// All coins that blocks create and spend, at hand and as the bytes that are hashed of each.
#[derive(Default)]
pub struct CoinList {
    coins: Vec<(Hash, u32, OwnCoin)>,
    preimages: Vec<u8>,
    ends: Vec<usize>,
}

impl CoinList {
    pub fn of(case: &Case, blocks: &[Block]) -> Result<Self, Box<dyn std::error::Error>> {
        let mut list = Self::default();
        for block in blocks {
            let place = case.place(block);
            visit_coins(&read_block(&block.bytes, &place.context)?, &place, &block.spent, &mut list);
        }
        Ok(list)
    }

    pub fn len(&self) -> usize {
        self.coins.len()
    }

    pub fn bytes(&self) -> usize {
        self.preimages.len()
    }

    fn push(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        let Coin { height, is_coinbase, value, script } = *coin;
        self.coins.push((*point.txid, point.index, (height, is_coinbase, value, script.to_vec())));
        // Outpoint, height and coinbase flag, value, script behind its length: what every hash over coins takes.
        let out = &mut self.preimages;
        out.extend_from_slice(point.txid);
        out.extend_from_slice(&point.index.to_le_bytes());
        out.extend_from_slice(&(height << 1 | u32::from(is_coinbase)).to_le_bytes());
        out.extend_from_slice(&value.to_le_bytes());
        push_compact_size(out, script.len() as u64);
        out.extend_from_slice(script);
        self.ends.push(self.preimages.len());
    }

    /// The bare loop: one SHA-256 for each coin.
    pub fn hash(&self) {
        let mut start = 0;
        for &end in &self.ends {
            black_box(Sha256::digest(&self.preimages[start..end]));
            start = end;
        }
    }

    pub fn sum(&self, salt: &Salt) {
        let (mut sum, mut scratch) = (SaltedSum::default(), Vec::new());
        for (txid, index, coin) in &self.coins {
            sum.add(salt, OutPoint { txid, index: *index }, &borrow(coin), &mut scratch);
        }
        black_box(sum);
    }

    pub fn multiply(&self) {
        let (mut product, mut scratch) = (MuHash::default(), Vec::new());
        for (txid, index, coin) in &self.coins {
            product.insert_coin(OutPoint { txid, index: *index }, &borrow(coin), &mut scratch);
        }
        black_box(product);
    }
}

impl CoinVisitor for CoinList {
    fn created(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        self.push(point, coin);
    }

    fn spent(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        self.push(point, coin);
    }
}
