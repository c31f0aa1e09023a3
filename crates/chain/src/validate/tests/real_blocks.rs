//! The real blocks of `../shared/data/blocks`, 22 of them with all the coins that they spend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::super::*;
use crate::block::BlockFault;
use crate::coins::{Coin, OutPoint};
use crate::encode::Reader;
use crate::header::{Header, block_hash};
use crate::params::Params;
use crate::testdata::{self, samples};
use crate::transaction::Transaction;

/// Stands for the headers below a block: those right below it are as old as it may be, all others are from long ago.
pub struct Ages {
    height: u32,
    time: u32,
}

impl MedianTimes for Ages {
    fn median_time_at(&self, height: u32) -> Option<u32> {
        Some(if height + 1 == self.height { self.time - 1 } else { 0 })
    }
}

/// A real block with the coins that it spends.
pub struct Sample {
    pub network: &'static str,
    pub params: Params,
    pub height: u32,
    pub bytes: Vec<u8>,
    pub spent: SpentCoins,
    hash: Hash,
    ages: Ages,
}

impl Sample {
    fn new(network: &'static str, height: u32, bytes: Vec<u8>, spent: SpentCoins) -> Self {
        let header = Header::parse(bytes.first_chunk().unwrap());
        let (hash, ages) = (block_hash(bytes.first_chunk().unwrap()), Ages { height, time: header.time });
        let params = Params::by_name(network, None).unwrap();
        Self { network, params, height, bytes, spent, hash, ages }
    }

    pub fn place(&self) -> Place<'_> {
        let header = self.bytes.first_chunk().unwrap();
        let context = BlockContext { header, height: self.height, params: &self.params };
        Place { context, hash: &self.hash, median_times: &self.ages }
    }

    /// The verdict on other bytes in this place.
    fn judge(&self, bytes: &[u8], spent: &SpentCoins) -> Result<ValidBlock, Refusal> {
        validate_block(bytes, &self.place(), spent, &EngineJudge::default(), &mut ())
    }
}

/// A sample with its coins, when it has them.
fn with_coins(network: &'static str, height: u32, bytes: Vec<u8>) -> Option<Sample> {
    let record = testdata::prevouts(network, height)?;
    let mut sample = Sample::new(network, height, bytes, SpentCoins::default());
    sample.spent = read_prevouts(&record, &sample);
    Some(sample)
}

/// All samples that have their coins.
pub fn all_with_coins() -> impl Iterator<Item = Sample> {
    ["mainnet", "testnet3"].into_iter().flat_map(|network| {
        let with = move |(height, bytes)| with_coins(network, height, bytes);
        samples(network).into_iter().filter_map(with)
    })
}

/// Reads `PVO1 | count` and for each input `value | height | coinbase | script`. What the samples do not know is made
/// up: old enough, and no coinbase.
fn read_prevouts(record: &[u8], sample: &Sample) -> SpentCoins {
    let mut reader = Reader::new(record);
    assert_eq!(reader.take(4).unwrap(), b"PVO1");
    let count = reader.u32().unwrap();
    let read = read_block(&sample.bytes, &sample.place().context).unwrap();
    let mut inputs = read.transactions.iter().skip(1).flat_map(Transaction::inputs);
    let mut spent = SpentCoins::default();
    for _ in 0..count {
        let value = reader.u64().unwrap();
        let (coin_height, coinbase) = (reader.u32().unwrap(), reader.u8().unwrap());
        let script = reader.var_bytes().unwrap();
        let is_own = read.txids.contains(inputs.next().unwrap().prev_txid);
        let height = match coin_height {
            _ if is_own => sample.height,
            u32::MAX => 1,
            known => known,
        };
        spent.push(Some(Coin { height, is_coinbase: coinbase == 1, value, script }));
    }
    assert!(reader.is_empty());
    spent
}

#[test]
fn every_real_block_with_its_coins_is_valid() {
    let (mut blocks, mut inputs) = (0, 0);
    for sample in all_with_coins() {
        let valid = sample.judge(&sample.bytes, &sample.spent);
        let at = format!("{} {}", sample.network, sample.height);
        assert_eq!(valid.as_ref().err(), None, "{at}");
        let valid = valid.unwrap();
        assert!(valid.sigop_cost <= 80_000 && valid.weight <= 4_000_000, "{at}");
        (blocks, inputs) = (blocks + 1, inputs + valid.inputs);
    }
    assert!((blocks, inputs) == (22, 85_108) || testdata::path("blocks").is_none(), "{blocks} {inputs}");
}

#[test]
fn every_real_block_keeps_the_rules_that_need_no_coins() {
    let mut blocks = 0;
    for network in ["mainnet", "testnet3", "testnet4", "signet"] {
        for (height, bytes) in samples(network) {
            let sample = Sample::new(network, height, bytes, SpentCoins::default());
            let read = read_block(&sample.bytes, &sample.place().context).unwrap();
            let verdict = check_rules(&read, &sample.place());
            // Version 1 and no height in its coinbase, above the height of BIP 34: not of today's testnet3.
            if (network, height) == ("testnet3", 26_478) {
                assert_eq!(verdict, Err(Rule::CoinbaseHeight.of_block(height).into()));
            } else {
                assert_eq!(verdict, Ok(()), "{network} {height}");
            }
            blocks += 1;
        }
    }
    assert!(blocks == 80 || testdata::path("blocks").is_none(), "{blocks}");
}

fn small_sample() -> Option<Sample> {
    let (height, bytes) = samples("mainnet").into_iter().find(|(height, _)| *height == 757_753)?;
    with_coins("mainnet", height, bytes)
}

type Alteration<'a> = &'a dyn Fn(&mut Coin<'_>);

/// The verdict when one coin of the spent record is another.
fn judge_altered(
    sample: &Sample,
    judge: &dyn ScriptJudge,
    at: usize,
    alter: Alteration<'_>,
) -> Result<ValidBlock, Refusal> {
    let mut spent = SpentCoins::default();
    for i in 0..sample.spent.len() {
        let mut coin = sample.spent.get(i).unwrap();
        if i == at {
            alter(&mut coin);
        }
        spent.push(Some(coin));
    }
    validate_block(&sample.bytes, &sample.place(), &spent, judge, &mut ())
}

#[test]
fn a_record_that_contradicts_its_own_block_is_not_blamed_on_the_block() {
    let mut tried = 0;
    for sample in all_with_coins().filter(|sample| sample.spent.len() < 9_000) {
        let read = read_block(&sample.bytes, &sample.place().context).unwrap();
        let inputs = read.transactions.iter().skip(1).flat_map(Transaction::inputs).enumerate();
        let own = inputs.filter(|(_, input)| read.txids.contains(input.prev_txid));
        for (i, _) in own.take(5) {
            let alterations: [Alteration<'_>; 4] = [
                &|coin| coin.value += 1,
                &|coin| coin.height -= 1,
                &|coin| coin.is_coinbase = true,
                &|coin| coin.script = &[0x51],
            ];
            for alter in alterations {
                let verdict = judge_altered(&sample, &Asked::default(), i, alter);
                assert_eq!(verdict, Err(SpentFault::Differs { input: i }.into()));
            }
            tried += 1;
        }
    }
    assert!(tried > 10 || testdata::path("blocks").is_none(), "{tried}");
}

#[test]
fn an_altered_coin_of_an_earlier_block_is_refused_where_it_can_be_told() {
    const OTHER: [u8; 22] = [0, 20, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9];
    let Some(sample) = small_sample() else { return };
    let judge = EngineJudge::default();
    let altered = |at, alter: Alteration<'_>| judge_altered(&sample, &judge, at, alter).unwrap_err();
    for i in 0..sample.spent.len() {
        let coin = sample.spent.get(i).unwrap();
        let future = altered(i, &|coin| coin.height = sample.height);
        assert_eq!(future, SpentFault::Height { input: i, coin_height: sample.height }.into());
        let young = altered(i, &|coin| (coin.height, coin.is_coinbase) = (sample.height - 99, true));
        assert_eq!(young.reason(), "bad-txns-premature-spend-of-coinbase");
        // What a witness signs covers the value.
        if crate::script::witness_program(coin.script).is_some() {
            let dearer = altered(i, &|coin| coin.value += 1);
            assert_eq!(dearer.reason(), "block-script-verify-flag-failed");
        }
        let other = altered(i, &|coin| coin.script = &OTHER);
        assert_eq!(other.reason(), "block-script-verify-flag-failed");
    }
}

#[test]
fn a_dropped_or_doubled_coin_is_refused() {
    let Some(sample) = small_sample() else { return };
    for doubled in [false, true] {
        let mut spent = SpentCoins::default();
        for i in 0..sample.spent.len() {
            if i != 7 || doubled {
                spent.push(sample.spent.get(i));
            }
            if i == 7 && doubled {
                spent.push(sample.spent.get(i));
            }
        }
        let (found, expected) = (spent.len(), sample.spent.len());
        assert_eq!(sample.judge(&sample.bytes, &spent), Err(SpentFault::Count { found, expected }.into()));
    }
}

#[test]
fn shows_each_coin_once() {
    #[derive(Default)]
    struct Totals {
        created: u64,
        spent: u64,
        coins: (u32, u32),
    }
    impl CoinVisitor for Totals {
        fn created(&mut self, _: OutPoint<'_>, coin: &Coin<'_>) {
            self.created += coin.value;
            self.coins.0 += 1;
        }
        fn spent(&mut self, _: OutPoint<'_>, coin: &Coin<'_>) {
            self.spent += coin.value;
            self.coins.1 += 1;
        }
    }
    for sample in all_with_coins().filter(|sample| sample.spent.len() < 1_000) {
        let mut totals = Totals::default();
        let judge = EngineJudge::default();
        let valid =
            validate_block(&sample.bytes, &sample.place(), &sample.spent, &judge, &mut totals).unwrap();
        // All is created from what is spent and the subsidy, as far as the miner claims it; and nothing of value is
        // unspendable in these blocks.
        let subsidy = crate::money::subsidy(sample.height, &sample.params);
        assert!(totals.created <= totals.spent + subsidy, "{}", sample.height);
        assert!(totals.created + 1_000 > totals.spent + subsidy, "{}", sample.height);
        assert_eq!(totals.coins.1, valid.inputs);
    }
}

#[test]
fn a_judge_that_was_stopped_gives_no_verdict() {
    let Some(sample) = small_sample() else { return };
    let judge = EngineJudge::new(Arc::new(AtomicBool::new(true)));
    let verdict = validate_block(&sample.bytes, &sample.place(), &sample.spent, &judge, &mut ());
    assert_eq!(verdict, Err(Refusal::Judge(ScriptFault::Stopped)));
}

/// Says yes, and that it was asked.
#[derive(Default)]
struct Asked(AtomicBool);

impl ScriptJudge for Asked {
    fn judge(&self, _: &BlockScripts<'_>) -> Result<(), ScriptFault> {
        self.0.store(true, Ordering::Relaxed);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn one_bit_flipped_anywhere_is_the_fault_of_the_bytes(place: prop::sample::Index, bit in 0..8u8, choice: usize) {
        thread_local! {
            static SAMPLES: Vec<Sample> = all_with_coins().collect();
        }
        SAMPLES.with(|samples| {
            if samples.is_empty() {
                return Ok(());
            }
            let sample = &samples[choice % samples.len()];
            let mut bytes = sample.bytes.clone();
            let at = place.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let judge = Asked::default();
            let verdict = validate_block(&bytes, &sample.place(), &sample.spent, &judge, &mut ());
            prop_assert!(matches!(verdict, Err(Refusal::Bytes(_))), "{verdict:?}");
            prop_assert!(verdict != Err(Refusal::Bytes(BlockFault::WrongHeader)) || at < 80);
            prop_assert!(!judge.0.into_inner(), "no script runs before the bytes are known to be the block's");
            Ok(())
        })?;
    }
}
