//! Chains made by hand whose blocks lie about what they spend, over several segments.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::memory_chain::{MemoryChain, OwnCoin};
use super::*;
use crate::header::Header;
use crate::hints::HintsWriter;
use crate::money::COIN;
use crate::params::Params;
use crate::script::push_number;
use crate::validate::tests::transactions::{In, Tx, block, mine, root};
use std::path::Path;

const OP_TRUE: u8 = 0x51;
const FINAL: u32 = u32::MAX;
const REWARD: u64 = 50 * COIN;
/// Blocks of each chain: thirteen segments of ten.
const BLOCKS: u32 = 130;

/// Transactions of a height, and the coins that their inputs are said to spend.
type Spends = Vec<(u32, Tx, Vec<OwnCoin>)>;

/// The coinbase of a block; its mark, mostly its height, tells it from others.
fn coinbase(mark: u32) -> Tx {
    let script = [push_number(mark), vec![0; 2]].concat();
    let input = In { index: u32::MAX, script, sequence: FINAL, ..In::default() };
    Tx { version: 1, inputs: vec![input], outputs: vec![(REWARD, vec![OP_TRUE])], lock_time: 0 }
}

/// Spends the only output of a transaction, all of it.
fn spend(txid: Hash) -> Tx {
    let input = In { txid, sequence: FINAL, ..In::default() };
    Tx { version: 1, inputs: vec![input], outputs: vec![(REWARD, vec![OP_TRUE])], lock_time: 0 }
}

fn coin(height: u32, is_coinbase: bool) -> OwnCoin {
    OwnCoin { height, is_coinbase, value: REWARD, script: vec![OP_TRUE] }
}

/// The chain of these spends, and of a genesis of its own; `repeated` is a height, and the one before it whose coinbase it
/// has again.
fn chain(spends: &Spends, repeated: Option<(u32, u32)>) -> MemoryChain {
    let mut params = Params { interval: 10, ..Params::regtest() };
    // Coinbases need not name their height.
    params.activations.bip34 = 1000;
    let (mut blocks, mut said) = (Vec::new(), Vec::new());
    let mut header = Header::parse(&params.genesis_header);
    for height in 0..BLOCKS {
        let mark = repeated.filter(|(later, _)| *later == height).map_or(height, |(_, earlier)| earlier);
        let here = || spends.iter().filter(|(at, _, _)| *at == height);
        let mut transactions = vec![coinbase(mark)];
        transactions.extend(here().map(|(_, transaction, _)| transaction.clone()));
        said.push(here().flat_map(|(_, _, coins)| coins.clone()).collect::<Vec<_>>());
        let prev = if height == 0 { [0; 32] } else { header.hash() };
        let (merkle_root, time) = (root(&transactions), header.time + 600);
        header = mine(Header { version: 4, prev, merkle_root, time, nonce: 0, ..header });
        blocks.push(block(&header, &transactions));
        if height == 0 {
            params.genesis_header = header.to_bytes();
            params.genesis_hash = header.hash();
        }
    }
    MemoryChain::claimed(params, blocks, &said)
}

/// Hints of which coinbases (the only output of their block) survive.
fn write_hints(path: &Path, survives: impl Fn(u32) -> Vec<u32>) {
    let mut writer = HintsWriter::new(Vec::new(), BLOCKS).unwrap();
    for height in 1..BLOCKS {
        writer.push_block(&survives(height)).unwrap();
    }
    std::fs::write(path, writer.into_sink()).unwrap();
}

fn prove(chain: &MemoryChain, survives: impl Fn(u32) -> Vec<u32>) -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hints");
    write_hints(&path, survives);
    let set = SetPlan { survivors: Survivors::Hints(path), start: None };
    let plan = Plan { scripts: true, set: Some(set), ..Plan::default() };
    validate(chain, &plan, &Arc::default(), &Arc::default()).unwrap()
}

fn refused(verdict: Verdict) -> (Level, Blame) {
    let failure = verdict.failure.unwrap();
    (failure.level, failure.blame)
}

/// Every block leaves its coinbase but block 1, whose coin the spends are about; what `spenders` make survives.
fn honest(spenders: &'static [u32]) -> impl Fn(u32) -> Vec<u32> {
    move |height| match height {
        1 => Vec::new(),
        _ if spenders.contains(&height) => vec![0, 1],
        _ => vec![0],
    }
}

const SUMS: (Level, Blame) = (Level::Set, Blame::Coins);

#[test]
fn an_honest_chain_is_proven() {
    let spends = vec![(105, spend(coinbase(1).txid()), vec![coin(1, true)])];
    let verdict = prove(&chain(&spends, None), honest(&[105]));
    assert_eq!((verdict.failure, verdict.set, verdict.inputs), (None, true, 1));
}

#[test]
fn a_coin_spent_twice_in_other_segments_is_noticed_whatever_the_hints_say() {
    let mut again = spend(coinbase(1).txid());
    again.lock_time = 1;
    let spends =
        vec![(105, spend(coinbase(1).txid()), vec![coin(1, true)]), (125, again, vec![coin(1, true)])];
    let chain = chain(&spends, None);
    assert_eq!(refused(prove(&chain, honest(&[105, 125]))), SUMS);
    assert_eq!(refused(prove(&chain, |_| vec![0])), SUMS);
    assert_eq!(refused(prove(&chain, |_| Vec::new())), SUMS);
}

#[test]
fn a_coin_spent_before_it_is_created_in_a_later_segment_is_noticed() {
    // Made at 125 of block 2's coin, and spent at 105.
    let later = spend(coinbase(2).txid());
    let early = spend(later.txid());
    let with = |said: OwnCoin| {
        let spends = vec![(105, early.clone(), vec![said]), (125, later.clone(), vec![coin(2, true)])];
        let survives = |height| match height {
            2 => Vec::new(),
            105 => vec![0, 1],
            _ => vec![0],
        };
        prove(&chain(&spends, None), survives)
    };
    // With the height where it is created, the record itself cannot be.
    let verdict = with(coin(125, false));
    assert_eq!((verdict.proven_end, refused(verdict)), (105, (Level::Scripts, Blame::SpentRecord)));
    assert_eq!(refused(with(coin(50, false))), SUMS);
}

#[test]
fn a_coin_from_nowhere_is_noticed() {
    let spends = vec![(105, spend([7; 32]), vec![coin(50, false)])];
    assert_eq!(
        refused(prove(&chain(&spends, None), |height| if height == 105 { vec![0, 1] } else { vec![0] })),
        SUMS
    );
}

#[test]
fn a_repeated_coinbase_is_refused_at_the_later_block_also_when_only_that_is_asked_about() {
    let chain = chain(&Vec::new(), Some((115, 15)));
    let at = |first_height| {
        let plan = Plan { first_height, scripts: true, ..Plan::default() };
        let failure = validate(&chain, &plan, &Arc::default(), &Arc::default()).unwrap().failure.unwrap();
        (failure.height, failure.reason)
    };
    assert_eq!(at(0), (115, "bad-txns-BIP30".to_owned()));
    assert_eq!(at(100), (115, "bad-txns-BIP30".to_owned()));
    let before = Plan { end_height: Some(115), scripts: true, ..Plan::default() };
    assert_eq!(validate(&chain, &before, &Arc::default(), &Arc::default()).unwrap().failure, None);
}

#[test]
fn a_repeated_coinbase_is_refused_in_whichever_order_the_segments_come_and_after_a_restart() {
    let chain = chain(&Vec::new(), Some((115, 15)));
    let interval = chain.headers.params().interval;
    let (early, late) = (15 / interval, 115 / interval);
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { scripts: true, record: Some(dir.path().join("run.redb")), ..Plan::default() };
    let open = || Validation::open(&chain.headers, &chain.heights(), &plan, &Arc::default()).unwrap();
    for order in [[early, late], [late, early]] {
        let mut validation = open();
        validation.judge(&chain, &order[..1], &Arc::default()).unwrap();
        assert_eq!(validation.verdict().failure, None);
        drop(validation);
        let mut validation = open();
        validation.judge(&chain, &order[1..], &Arc::default()).unwrap();
        let verdict = validation.verdict();
        assert_eq!(verdict.failure.map(|failure| failure.height), Some(115), "{order:?}");
        drop(validation);
        std::fs::remove_file(dir.path().join("run.redb")).unwrap();
    }
}
