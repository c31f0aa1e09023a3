//! Core's own functional tests, recorded with Core's verdict on each block: `../shared/data/acceptance`.

use serde_json::Value;

use super::chain_state::ChainState;
use crate::encode::Hash;
use crate::header::block_hash;
use crate::params::Params;
use crate::testdata::{self, unhex};

fn lines(name: &str) -> Option<Vec<Value>> {
    let text = testdata::read(&format!("acceptance/{name}"))?;
    let text = std::str::from_utf8(&text).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn shown(hash: &Hash) -> String {
    hash.iter().rev().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Regtest with the heights that a node's arguments move.
fn params(arguments: &Value) -> Params {
    let mut params = Params::regtest();
    for argument in arguments[0].as_array().into_iter().flatten() {
        let Some(moved) = argument.as_str().unwrap().strip_prefix("-testactivationheight=") else { continue };
        let (name, height) = moved.split_once('@').unwrap();
        let active = &mut params.activations;
        let which = match name {
            "bip34" => &mut active.bip34,
            "dersig" => &mut active.bip66,
            "cltv" => &mut active.bip65,
            "csv" => &mut active.csv,
            "segwit" => &mut active.segwit,
            _ => panic!("{name}"),
        };
        *which = height.parse().unwrap();
    }
    params
}

/// Core tells why a script fails, its library does not.
fn without_script_error(reason: &str) -> &str {
    reason.split_once(" (").map_or(reason, |(reason, _)| reason)
}

/// Feeds the blocks of a test in their order and compares each verdict and each tip, and at the end the coins.
fn replay(test: &str) -> Option<(usize, usize)> {
    let events = lines(&format!("core-{test}.jsonl.zst"))?;
    let expected = lines(&format!("core-{test}.submitblock-replay.jsonl.zst"))?;
    let mut expected = expected.iter();
    let mut state = ChainState::new(params(&events[0]["extra_args"]));
    let (mut accepted, mut refused) = (0, 0);
    for event in &events {
        let now = event["now"].as_u64().unwrap_or_default();
        if event["ev"] == "invalidateblock" {
            let mut hash: Hash = unhex(event["hash"].as_str().unwrap()).try_into().unwrap();
            hash.reverse();
            state.invalidate(&hash);
            assert_eq!(expected.next().unwrap()["tip"], shown(&state.tip()).as_str());
            continue;
        }
        let raws: Vec<&Value> = match event["blocks"].as_array() {
            Some(blocks) => blocks.iter().map(|block| &block["raw"]).collect(),
            None => event.get("raw").into_iter().collect(),
        };
        for raw in raws {
            let bytes = unhex(raw.as_str().unwrap());
            let row = expected.next().unwrap();
            let hash = shown(&block_hash(bytes.first_chunk().unwrap()));
            assert_eq!(row["hash"], hash.as_str());
            let verdict = state.submit(&bytes, now);
            let at = format!("{test} {}: block {hash}, {}", row["i"], event["label"]);
            match &row["result"] {
                Value::Null => assert_eq!(verdict, None, "{at}"),
                Value::String(reason) => {
                    assert_eq!(verdict.as_deref(), Some(without_script_error(reason)), "{at}");
                }
                _ => assert!(verdict.is_some_and(|reason| reason.starts_with("bad-encoding")), "{at}"),
            }
            assert_eq!(row["tip"], shown(&state.tip()).as_str(), "{at}");
            if row["result"].is_null() { accepted += 1 } else { refused += 1 }
        }
    }
    let end = expected.next().unwrap();
    assert_eq!(end["utxo"]["txouts"], state.coins.len());
    assert_eq!(end["utxo"]["hash_serialized_3"], shown(&state.coins.hash()).as_str());
    Some((accepted, refused))
}

#[test]
fn agrees_with_core_on_each_block_of_its_block_test() {
    let Some(counts) = replay("feature_block") else { return };
    assert_eq!(counts, (136, 93));
}

#[test]
fn agrees_with_core_on_each_block_of_its_taproot_test() {
    let Some(counts) = replay("feature_taproot") else { return };
    assert_eq!(counts, (1516, 2490));
}

#[test]
fn agrees_with_core_on_each_block_of_its_tests_of_older_soft_forks() {
    for (test, counts) in
        [("feature_cltv", (111, 6)), ("feature_dersig", (102, 2)), ("feature_nulldummy", (105, 2))]
    {
        let Some(found) = replay(test) else { return };
        assert_eq!(found, counts, "{test}");
    }
}

#[test]
fn agrees_with_core_on_each_block_of_its_test_of_invalid_blocks() {
    let Some(counts) = replay("p2p_invalid_block") else { return };
    assert_eq!(counts, (103, 14));
}

#[test]
fn a_mutated_block_does_not_speak_against_its_header() {
    let Some(events) = lines("core-p2p_mutated_blocks.jsonl.zst") else { return };
    let mut state = ChainState::new(params(&events[0]["extra_args"]));
    let raw = |event: &Value| unhex(event["raw"].as_str().unwrap());
    for event in events.iter().filter(|event| event["ev"] == "generated") {
        assert_eq!(state.submit(&raw(event), u64::MAX), None);
    }
    // A block with another version in its transaction, and the right transactions below a header without parent.
    let sent: Vec<Vec<u8>> = events.iter().filter(|event| event["ev"] == "p2p_block_msg").map(raw).collect();
    assert_eq!(state.submit(&sent[0], u64::MAX).as_deref(), Some("bad-txnmrklroot"));
    assert_eq!(state.submit(&sent[1], u64::MAX).as_deref(), Some("prev-blk-not-found"));
    // Another peer gives the block of the first header.
    let right = [&sent[0][..80], &sent[1][80..]].concat();
    assert_eq!(state.submit(&right, u64::MAX), None);
    let end = events.last().unwrap();
    assert_eq!(end["best"], shown(&state.tip()).as_str());
    assert_eq!(end["utxo"]["hash_serialized_3"], shown(&state.coins.hash()).as_str());
}

#[test]
fn takes_the_regtest_chain_of_cores_kernel_tests() {
    let name = "core-vectors/core-functional/kernel-regtest-blocks.txt";
    let Some(text) = testdata::read(name) else { return };
    let mut state = ChainState::new(Params::regtest());
    let blocks = std::str::from_utf8(&text).unwrap().lines();
    let taken = blocks.map(|line| state.submit(&unhex(line), u64::MAX)).filter(Option::is_none).count();
    assert_eq!(taken, 206);
}
