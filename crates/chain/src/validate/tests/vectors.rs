//! Core's vectors of scripts and transactions: `../shared/data/core-vectors`.

use std::collections::HashMap;

use bitcoinkernel::{KernelError, ScriptVerifyError};
use serde_json::Value;

use super::super::engine_judge::Prepared;
use super::super::*;
use super::asm::assemble;
use super::transactions::{In, Tx, parse};
use crate::coins::Coin;
use crate::encode::Reader;
use crate::params::script_flags::{
    CHECKLOCKTIMEVERIFY, CHECKSEQUENCEVERIFY, DERSIG, NULLDUMMY, P2SH, TAPROOT, WITNESS,
};
use crate::testdata::{self, unhex};
use crate::transaction::Transaction;

/// Errors that only rules of policy cause, or those of consensus in other places.
const POLICY_ERRORS: [&str; 17] = [
    "SIG_DER",
    "SIG_HASHTYPE",
    "SIG_HIGH_S",
    "SIG_PUSHONLY",
    "PUBKEYTYPE",
    "MINIMALDATA",
    "MINIMALIF",
    "NULLFAIL",
    "SIG_NULLFAIL",
    "CLEANSTACK",
    "DISCOURAGE_UPGRADABLE_NOPS",
    "DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM",
    "WITNESS_PUBKEYTYPE",
    "OP_CODESEPARATOR",
    "SIG_FINDANDDELETE",
    "SIG_NULLDUMMY",
    "SCRIPTNUM",
];

const ALL: u32 = P2SH | DERSIG | NULLDUMMY | CHECKLOCKTIMEVERIFY | CHECKSEQUENCEVERIFY | WITNESS | TAPROOT;

fn vectors(name: &str) -> Option<Vec<Value>> {
    let text = testdata::read(&format!("core-vectors/{name}"))?;
    Some(serde_json::from_slice(&text).unwrap())
}

/// The flags of a list that are consensus, and whether all of them are.
fn flags(names: &str) -> (u32, bool) {
    let mut all_known = true;
    let bits = names.split(',').filter(|name| !["", "NONE"].contains(name)).fold(0, |flags, name| {
        flags
            | match name {
                "P2SH" => P2SH,
                "DERSIG" => DERSIG,
                "NULLDUMMY" => NULLDUMMY,
                "CHECKLOCKTIMEVERIFY" => CHECKLOCKTIMEVERIFY,
                "CHECKSEQUENCEVERIFY" => CHECKSEQUENCEVERIFY,
                "WITNESS" => WITNESS,
                "TAPROOT" => TAPROOT,
                _ => {
                    all_known = false;
                    0
                }
            }
    });
    (bits, all_known)
}

/// The flags without those that stand on others (`TrimFlags` of Core's tests).
fn trimmed(flags: u32) -> u32 {
    if flags & P2SH == 0 { flags & !WITNESS } else { flags }
}

/// The flags with those that they stand on (`FillFlags`).
fn filled(flags: u32) -> u32 {
    if flags & WITNESS == 0 { flags } else { flags | P2SH }
}

/// Judges all inputs of one transaction.
fn judge(transaction: &Transaction<'_>, coins: &[(u64, Vec<u8>)], flags: u32) -> Result<(), ScriptFault> {
    let mut spent = SpentCoins::default();
    for (value, script) in coins {
        spent.push(Some(Coin { height: 1, is_coinbase: false, value: *value, script }));
    }
    // The first is a coinbase's place.
    let transactions = [*transaction, *transaction];
    EngineJudge::default().judge(&BlockScripts { transactions: &transactions, spent: &spent, flags })
}

/// Satoshi from a number of bitcoin.
fn satoshi(value: &Value) -> u64 {
    format!("{:.8}", value.as_f64().unwrap()).replace('.', "").parse().unwrap()
}

#[test]
fn runs_cores_script_tests() {
    let Some(cases) = vectors("core/script_tests.json") else { return };
    let (mut good, mut bad, mut not_ours) = (0, 0, 0);
    for case in cases.iter().filter_map(Value::as_array).filter(|case| case.len() > 3) {
        let (witness, rest) = match case[0].as_array() {
            Some(witness) => (&witness[..], &case[1..]),
            None => (&[][..], &case[..]),
        };
        let [script_sig, script, names, expected] = [0, 1, 2, 3].map(|i| rest[i].as_str().unwrap());
        let (flags, consensus) = flags(names);
        // Cases with a hash sign are made when they run. Rules of policy only add reasons to fail: what fails for
        // another reason fails without them.
        let policy = !consensus && POLICY_ERRORS.contains(&expected);
        if Value::from(witness).to_string().contains('#') || policy {
            not_ours += 1;
            continue;
        }
        let (items, value) = match witness.split_last() {
            Some((value, items)) => (items, satoshi(value)),
            None => (witness, 0),
        };
        let null = In { index: u32::MAX, script: vec![0, 0], sequence: u32::MAX, ..In::default() };
        let locks = vec![(value, assemble(script))];
        let credit = Tx { version: 1, inputs: vec![null], outputs: locks.clone(), lock_time: 0 };
        let input = In {
            txid: credit.txid(),
            script: assemble(script_sig),
            sequence: u32::MAX,
            witness: items.iter().map(|item| unhex(item.as_str().unwrap())).collect(),
            index: 0,
        };
        let spend = Tx { version: 1, inputs: vec![input], outputs: vec![(value, vec![])], lock_time: 0 };
        let verdict = judge(&parse(&spend.to_bytes()), &locks, filled(flags));
        if expected == "OK" {
            assert_eq!(verdict, Ok(()), "{case:?}");
            good += 1;
        } else {
            assert_eq!(verdict, Err(ScriptFault::Failed { transaction: 1, input: 0 }), "{case:?}");
            bad += 1;
        }
    }
    assert!(good == 672 && bad > 300, "{good} {bad} {not_ours}");
}

/// The coins of a case, in the order of the inputs.
fn case_coins(prevouts: &Value, transaction: &Transaction<'_>) -> Vec<(u64, Vec<u8>)> {
    let known: HashMap<(Vec<u8>, u32), (u64, Vec<u8>)> = prevouts
        .as_array()
        .unwrap()
        .iter()
        .map(|prevout| {
            let mut txid = unhex(prevout[0].as_str().unwrap());
            txid.reverse();
            let index = (prevout[1].as_i64().unwrap() as i32).cast_unsigned();
            let value = prevout[3].as_u64().unwrap_or(0);
            ((txid, index), (value, assemble(prevout[2].as_str().unwrap())))
        })
        .collect();
    transaction.inputs().map(|input| known[&(input.prev_txid.to_vec(), input.prev_index)].clone()).collect()
}

#[test]
fn accepts_cores_valid_transactions() {
    let Some(cases) = vectors("core/tx_valid.json") else { return };
    let mut count = 0;
    for case in cases.iter().filter(|case| case[0].is_array()) {
        let bytes = unhex(case[1].as_str().unwrap());
        let transaction = parse(&bytes);
        assert_eq!(check_transaction(&transaction), Ok(()), "{case}");
        let (excluded, _) = flags(case[2].as_str().unwrap());
        let coins = case_coins(&case[0], &transaction);
        assert_eq!(judge(&transaction, &coins, trimmed(ALL & !excluded)), Ok(()), "{case}");
        count += 1;
    }
    assert_eq!(count, 121);
}

#[test]
fn refuses_cores_invalid_transactions() {
    let Some(cases) = vectors("core/tx_invalid.json") else { return };
    let (mut malformed, mut failing, mut not_ours) = (0, 0, 0);
    for case in cases.iter().filter(|case| case[0].is_array()) {
        let bytes = unhex(case[1].as_str().unwrap());
        let mut reader = Reader::new(&bytes);
        let names = case[2].as_str().unwrap();
        let transaction = match Transaction::read(&mut reader) {
            Ok(transaction) if names != "BADTX" => transaction,
            Ok(transaction) => {
                assert!(check_transaction(&transaction).is_err(), "{case}");
                malformed += 1;
                continue;
            }
            Err(_) => {
                malformed += 1;
                continue;
            }
        };
        let (flags, consensus) = flags(names);
        if !consensus {
            not_ours += 1;
            continue;
        }
        let verdict = judge(&transaction, &case_coins(&case[0], &transaction), filled(flags));
        assert!(matches!(verdict, Err(ScriptFault::Failed { .. })), "{case} {verdict:?}");
        failing += 1;
    }
    assert_eq!((malformed, failing, not_ours), (9, 70, 14));
}

#[test]
fn reads_the_transactions_of_cores_signature_hash_vectors() {
    let Some(cases) = vectors("core/sighash.json") else { return };
    let mut count = 0;
    for case in cases.iter().filter(|case| case[1].is_string()) {
        let bytes = unhex(case[0].as_str().unwrap());
        let transaction = parse(&bytes);
        assert_eq!(check_transaction(&transaction), Ok(()));
        assert_eq!(Tx::of(&transaction).to_bytes(), bytes);
        count += 1;
    }
    assert_eq!(count, 500);
}

#[test]
fn accepts_the_signed_transaction_of_bip341_and_no_other() {
    let Some(text) = testdata::read("core-vectors/core/bip341_wallet_vectors.json") else { return };
    let vectors: Value = serde_json::from_slice(&text).unwrap();
    for case in vectors["keyPathSpending"].as_array().unwrap() {
        let coins: Vec<(u64, Vec<u8>)> = case["given"]["utxosSpent"]
            .as_array()
            .unwrap()
            .iter()
            .map(|coin| (coin["amountSats"].as_u64().unwrap(), unhex(coin["scriptPubKey"].as_str().unwrap())))
            .collect();
        let bytes = unhex(case["auxiliary"]["fullySignedTx"].as_str().unwrap());
        assert_eq!(judge(&parse(&bytes), &coins, ALL), Ok(()));
        // A taproot signature for all inputs covers the amounts of all.
        for i in 0..coins.len() {
            let mut dearer = coins.clone();
            dearer[i].0 += 1;
            assert!(matches!(judge(&parse(&bytes), &dearer, ALL), Err(ScriptFault::Failed { .. })), "{i}");
        }
        // Before taproot, its outputs are open to anyone.
        let unsigned = unhex(case["given"]["rawUnsignedTx"].as_str().unwrap());
        let first_fails = Err(ScriptFault::Failed { transaction: 1, input: 0 });
        assert_eq!(judge(&parse(&unsigned), &coins, ALL), first_fails);
    }
}

/// Judges one input as the judge does.
fn verify(tx: &Tx, coins: &[(u64, Vec<u8>)], input: usize, flags: u32) -> bool {
    let borrow = |(value, script)| Coin { height: 1, is_coinbase: false, value, script };
    let coins = coins.iter().map(|(value, script)| borrow((*value, &script[..]))).collect();
    match Prepared::new(&tx.to_bytes(), coins, flags).unwrap().verify(input) {
        Ok(()) => true,
        Err(KernelError::ScriptVerify(ScriptVerifyError::Invalid)) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn agrees_with_core_on_its_script_assets() {
    let Some(cases) = vectors("qa-assets/script_assets_test.json.zst") else { return };
    let (mut good, mut bad) = (0, 0);
    for case in &cases {
        let bytes = unhex(case["tx"].as_str().unwrap());
        let mut tx = Tx::of(&parse(&bytes));
        let coins: Vec<(u64, Vec<u8>)> = case["prevouts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|prevout| {
                let bytes = unhex(prevout.as_str().unwrap());
                let mut reader = Reader::new(&bytes);
                (reader.u64().unwrap(), reader.var_bytes().unwrap().to_vec())
            })
            .collect();
        let index = case["index"].as_u64().unwrap() as usize;
        let (flags, _) = flags(case["flags"].as_str().unwrap());
        let mut with = |unlock: &Value, flags| {
            tx.inputs[index].script = unhex(unlock["scriptSig"].as_str().unwrap());
            let items = unlock["witness"].as_array().unwrap().iter();
            tx.inputs[index].witness = items.map(|item| unhex(item.as_str().unwrap())).collect();
            verify(&tx, &coins, index, flags)
        };
        if let Some(unlock) = case.get("success") {
            assert!(with(unlock, flags), "{}", case["comment"]);
            assert!(case["final"] != true || with(unlock, ALL), "{}", case["comment"]);
            good += 1;
        }
        if let Some(unlock) = case.get("failure") {
            assert!(!with(unlock, flags) && !with(unlock, ALL), "{}", case["comment"]);
            bad += 1;
        }
    }
    assert_eq!((good, bad), (2_243, 1_492));
}
