//! Forged spent records against the sums: every block is judged by itself, from the last to the first, with coins as its
//! record claims them. What a block cannot tell of its own record, the sums over the chain do.

use std::collections::HashSet;

use super::super::*;
use super::drafts::{OP_TRUE, REWARD, Tip, move_all, output_of, pay};
use super::transactions::{In, Tx};
use crate::coins::{Coin, OutPoint};
use crate::encode::Hash;
use crate::headers::HeaderChain;
use crate::params::Params;
use crate::sums::{MuHash, SALT_BYTES, Salt, SaltedSum};

/// Blocks with a coinbase only, below those of the cases: the first twenty coinbases are mature.
const BASE: u32 = 120;
/// A script that asks for a signature.
const LOCK: [u8; 35] = {
    let mut lock = [2; 35];
    (lock[0], lock[34]) = (33, 0xac);
    lock
};

/// A coin as a record claims it: height, coinbase, satoshi, script.
type Claim = (u32, bool, u64, Vec<u8>);
/// A block's transactions with the claim for each input.
type Made = (Vec<Tx>, Vec<Claim>);

/// The coinbase's coin at that height, as it is.
fn reward(height: u32) -> Claim {
    (height, true, REWARD, vec![OP_TRUE])
}

/// Another coin open to anyone.
fn open(height: u32, value: u64) -> Claim {
    (height, false, value, vec![OP_TRUE])
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// All that was created was spent once or is left.
    Proven,
    /// Every block is valid by what its record claims, and the claims are not true.
    SumsDiffer,
}

/// Both kinds of sums over the coins of a chain.
struct Sums {
    salt: Salt,
    /// Created less spent.
    salted: SaltedSum,
    created: MuHash,
    spent: MuHash,
    coins: Vec<(Hash, u32, Claim)>,
    gone: HashSet<(Hash, u32)>,
    scratch: Vec<u8>,
}

impl Sums {
    fn new() -> Self {
        Self {
            salt: Salt::new(&[9; SALT_BYTES]),
            salted: SaltedSum::default(),
            created: MuHash::default(),
            spent: MuHash::default(),
            coins: Vec::new(),
            gone: HashSet::new(),
            scratch: Vec::new(),
        }
    }

    /// Compares with the coins that are left by the hints that fit best: each created one that nobody names as spent.
    fn verdict(mut self) -> Verdict {
        let (mut left, mut product) = (SaltedSum::default(), self.spent.clone());
        let unspent = self.coins.iter().filter(|(txid, index, _)| !self.gone.contains(&(*txid, *index)));
        for (txid, index, (height, is_coinbase, value, script)) in unspent {
            let point = OutPoint { txid, index: *index };
            let coin = Coin { height: *height, is_coinbase: *is_coinbase, value: *value, script };
            left.add(&self.salt, point, &coin, &mut self.scratch);
            product.insert_coin(point, &coin, &mut self.scratch);
        }
        let proven = left == self.salted;
        assert_eq!(product == self.created, proven, "both kinds of sums say the same");
        if proven { Verdict::Proven } else { Verdict::SumsDiffer }
    }
}

impl CoinVisitor for Sums {
    fn created(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        self.salted.add(&self.salt, point, coin, &mut self.scratch);
        self.created.insert_coin(point, coin, &mut self.scratch);
        let claim = (coin.height, coin.is_coinbase, coin.value, coin.script.to_vec());
        self.coins.push((*point.txid, point.index, claim));
    }

    fn spent(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        let mut one = SaltedSum::default();
        one.add(&self.salt, point, coin, &mut self.scratch);
        self.salted.remove(one);
        self.spent.insert_coin(point, coin, &mut self.scratch);
        self.gone.insert((*point.txid, point.index));
    }
}

/// Judges a chain that ends with these blocks, from its end to its start.
fn prove(made: &[fn(&Tip) -> Made]) -> Result<Verdict, Refusal> {
    let params = Params::regtest();
    let (mut tip, mut headers) = (Tip::genesis(&params), HeaderChain::new(params.clone()));
    headers.append(&params.genesis_header, u64::MAX).unwrap();
    let nothing: fn(&Tip) -> Made = |_| (vec![], vec![]);
    let mut blocks: Vec<(Vec<u8>, Vec<Claim>)> = Vec::new();
    for make in std::iter::repeat_n(&nothing, BASE as usize).chain(made) {
        let (transactions, claims) = make(&tip);
        let bytes = tip.draft(0, &transactions).finish();
        headers.append(&bytes[..80], u64::MAX).unwrap();
        tip.advance(&bytes);
        blocks.push((bytes, claims));
    }
    let mut sums = Sums::new();
    for (height, (bytes, claims)) in (1..=tip.height).rev().zip(blocks.iter().rev()) {
        let mut spent = SpentCoins::default();
        for (height, is_coinbase, value, script) in claims {
            let (height, is_coinbase, value) = (*height, *is_coinbase, *value);
            spent.push(Some(Coin { height, is_coinbase, value, script }));
        }
        let hash = headers.hash_at(height).unwrap();
        let context = BlockContext { header: bytes.first_chunk().unwrap(), height, params: &params };
        let place = Place { context, hash: &hash, median_times: &headers };
        validate_block(bytes, &place, &spent, &EngineJudge::default(), &mut sums)?;
    }
    Ok(sums.verdict())
}

/// Spends the coinbase of block 1 with nothing left over.
fn honest(tip: &Tip) -> Made {
    (vec![move_all(tip.coin(1), REWARD)], vec![reward(1)])
}

/// What block 122 or later creates in the cases of a spend before its coin: of the coinbase of block 2.
fn later(tip: &Tip) -> Tx {
    move_all(tip.coin(2), REWARD)
}

#[test]
fn true_records_are_proven_in_any_order_of_blocks() {
    assert_eq!(prove(&[honest]), Ok(Verdict::Proven));
    let in_own_block = |tip: &Tip| {
        let first = later(tip);
        let second = move_all(output_of(&first, 0), REWARD);
        (vec![first, second], vec![reward(2), open(tip.height + 1, REWARD)])
    };
    let from_the_block_before = |tip: &Tip| {
        let first = move_all(tip.coin(1), REWARD);
        (vec![move_all(output_of(&first, 0), REWARD)], vec![open(tip.height, REWARD)])
    };
    assert_eq!(prove(&[honest, from_the_block_before, in_own_block]), Ok(Verdict::Proven));
}

#[test]
fn a_coin_spent_in_two_blocks_shows_in_the_sums() {
    let again = |tip: &Tip| {
        (vec![pay(vec![tip.coin(1)], vec![(REWARD - 1, vec![OP_TRUE]), (1, vec![OP_TRUE])])], vec![reward(1)])
    };
    assert_eq!(prove(&[honest, again]), Ok(Verdict::SumsDiffer));
    // Two more do not make it right.
    let third = |tip: &Tip| (vec![pay(vec![tip.coin(1)], vec![(REWARD, vec![])])], vec![reward(1)]);
    assert_eq!(prove(&[honest, again, third]), Ok(Verdict::SumsDiffer));
}

#[test]
fn a_coin_spent_before_it_is_created_shows_in_its_block_or_in_the_sums() {
    // The record gives the height at which the coin is created later on.
    let told = |tip: &Tip| (vec![move_all(output_of(&later(tip), 0), REWARD)], vec![open(122, REWARD)]);
    let create = |tip: &Tip| (vec![later(tip)], vec![reward(2)]);
    assert_eq!(
        prove(&[told, create]),
        Err(SpentFault::Height { input: 0, coin_height: 122 }.into()),
        "the record contradicts its block"
    );
    // Or an earlier one.
    let hidden = |tip: &Tip| (vec![move_all(output_of(&later(tip), 0), REWARD)], vec![open(60, REWARD)]);
    assert_eq!(prove(&[hidden, create]), Ok(Verdict::SumsDiffer));
}

#[test]
fn a_coin_from_nowhere_shows_in_the_sums() {
    let forged = |tip: &Tip| {
        let input = In { txid: [8; 32], ..tip.coin(1) };
        (vec![move_all(input, REWARD)], vec![open(5, REWARD)])
    };
    assert_eq!(prove(&[forged]), Ok(Verdict::SumsDiffer));
}

#[test]
fn a_record_with_one_field_altered_shows_in_the_sums() {
    let dearer = |tip: &Tip| {
        let (height, is_coinbase, value, script) = reward(1);
        (vec![move_all(tip.coin(1), REWARD + 1)], vec![(height, is_coinbase, value + 1, script)])
    };
    assert_eq!(prove(&[dearer]), Ok(Verdict::SumsDiffer), "value");
    let younger = |tip: &Tip| (vec![move_all(tip.coin(1), REWARD)], vec![reward(2)]);
    assert_eq!(prove(&[younger]), Ok(Verdict::SumsDiffer), "height");
    let premature = |tip: &Tip| (vec![move_all(tip.coin(100), REWARD)], vec![open(100, REWARD)]);
    assert_eq!(prove(&[premature]), Ok(Verdict::SumsDiffer), "coinbase flag");
    let lock = |tip: &Tip| {
        let locked = pay(vec![tip.coin(1)], vec![(REWARD, LOCK.to_vec())]);
        (vec![locked], vec![reward(1)])
    };
    let unlock = |tip: &Tip| {
        let locked = pay(vec![tip.coin(1)], vec![(REWARD, LOCK.to_vec())]);
        (vec![move_all(output_of(&locked, 0), REWARD)], vec![open(tip.height, REWARD)])
    };
    assert_eq!(prove(&[lock, unlock]), Ok(Verdict::SumsDiffer), "script");
}

#[test]
fn a_dropped_a_doubled_and_an_exchanged_record_show() {
    let dropped = |tip: &Tip| (vec![move_all(tip.coin(1), REWARD)], vec![]);
    assert_eq!(prove(&[dropped]), Err(SpentFault::Count { found: 0, expected: 1 }.into()));
    let doubled = |tip: &Tip| (vec![move_all(tip.coin(1), REWARD)], vec![reward(1), reward(1)]);
    assert_eq!(prove(&[doubled]), Err(SpentFault::Count { found: 2, expected: 1 }.into()));
    // Two records of one coin each, in the wrong order: each block is fine by itself.
    let first = |tip: &Tip| (vec![move_all(tip.coin(1), REWARD)], vec![reward(2)]);
    let second = |tip: &Tip| (vec![move_all(tip.coin(2), REWARD)], vec![reward(1)]);
    assert_eq!(prove(&[first, second]), Ok(Verdict::SumsDiffer));
}
