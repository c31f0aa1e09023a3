//! The solution of a signet block (BIP 325; Core's `signet.cpp`).
//!
//! A signet block is signed: its witness commitment output carries a scriptSig and a witness that must
//! unlock the network's challenge, over the block without that solution. The script runs in Core's engine.

use bitcoinkernel::{
    PrecomputedTransactionData, ScriptPubkey, Transaction as EngineTransaction, TxOut, VERIFY_DERSIG,
    VERIFY_NULLDUMMY, VERIFY_P2SH, VERIFY_WITNESS, verify,
};

use crate::block::commitment;
use crate::encode::{EncodingFault, Hash, Reader, push_compact_size, sha256d};
use crate::header::Header;
use crate::merkle::merkle_root;
use crate::script::{OP_PUSHDATA1, OP_PUSHDATA2, OP_PUSHDATA4, OP_RETURN, next_op};
use crate::transaction::Transaction;

/// What a push of the solution starts with.
const SOLUTION_HEAD: [u8; 4] = [0xec, 0xc7, 0xda, 0xa2];

/// Whether the block whose coinbase and transaction ids these are solves the `challenge`.
pub fn is_solved(header: &Header, coinbase: &Transaction<'_>, txids: &[Hash], challenge: &[u8]) -> bool {
    solution_transaction(header, coinbase, txids, challenge).is_some_and(|to_sign| run(challenge, &to_sign))
}

/// BIP 325's `to_sign`: spends the one output of `to_spend`, which commits to the block.
fn solution_transaction(
    header: &Header,
    coinbase: &Transaction<'_>,
    txids: &[Hash],
    challenge: &[u8],
) -> Option<Vec<u8>> {
    let (index, script) = commitment(coinbase)?;
    let (script_sig, witness, txid) = match split_solution(script) {
        Some((solution, rest)) => {
            let (script_sig, witness) = parse_solution(&solution).ok()?;
            (script_sig, witness, txid_with_output(coinbase, index, &rest))
        }
        // A trivial challenge needs no solution.
        None => (Vec::new(), vec![0], coinbase.txid()),
    };
    let mut leaves = txids.to_vec();
    *leaves.first_mut()? = txid;
    let (root, _) = merkle_root(leaves);

    let mut commits = Vec::with_capacity(74);
    commits.push(0); // OP_0
    commits.push(72);
    commits.extend_from_slice(&header.version.to_le_bytes());
    commits.extend_from_slice(&header.prev);
    commits.extend_from_slice(&root);
    commits.extend_from_slice(&header.time.to_le_bytes());
    let to_spend = spend(&[0; 32], u32::MAX, &commits, challenge, &[0]);
    Some(spend(&sha256d([&to_spend]), 0, &script_sig, &[OP_RETURN], &witness))
}

/// A transaction of version 0 with one input and one output of no value. `witness` is a serialized stack.
fn spend(prev: &Hash, index: u32, script_sig: &[u8], script: &[u8], witness: &[u8]) -> Vec<u8> {
    let has_witness = witness != [0];
    let mut bytes = vec![0; 4];
    if has_witness {
        bytes.extend_from_slice(&[0, 1]);
    }
    bytes.push(1);
    bytes.extend_from_slice(prev);
    bytes.extend_from_slice(&index.to_le_bytes());
    push_var_bytes(&mut bytes, script_sig);
    bytes.extend_from_slice(&[0; 4]);
    bytes.push(1);
    bytes.extend_from_slice(&[0; 8]);
    push_var_bytes(&mut bytes, script);
    if has_witness {
        bytes.extend_from_slice(witness);
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

/// Splits the solution off the commitment script: the solution, and the script with only the head of its
/// push left. Every push is written anew in its shortest form and what follows a broken one is dropped, as
/// Core does.
fn split_solution(script: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut solution, mut rest) = (None, Vec::with_capacity(script.len()));
    let mut reader = Reader::new(script);
    while let Ok((opcode, data)) = next_op(&mut reader) {
        if data.is_empty() {
            rest.push(opcode);
            continue;
        }
        match data.strip_prefix(&SOLUTION_HEAD) {
            Some(found) if solution.is_none() && !found.is_empty() => {
                solution = Some(found.to_vec());
                push_data(&mut rest, &SOLUTION_HEAD);
            }
            _ => push_data(&mut rest, data),
        }
    }
    solution.map(|solution| (solution, rest))
}

fn push_data(script: &mut Vec<u8>, data: &[u8]) {
    match data.len() {
        length @ 0..0x4c => script.push(length as u8),
        length @ 0x4c..=0xff => script.extend_from_slice(&[OP_PUSHDATA1, length as u8]),
        length @ 0x100..=0xffff => {
            script.push(OP_PUSHDATA2);
            script.extend_from_slice(&(length as u16).to_le_bytes());
        }
        length => {
            script.push(OP_PUSHDATA4);
            script.extend_from_slice(&(length as u32).to_le_bytes());
        }
    }
    script.extend_from_slice(data);
}

/// The scriptSig and the serialized witness stack of a solution, with nothing after them.
fn parse_solution(solution: &[u8]) -> Result<(Vec<u8>, Vec<u8>), EncodingFault> {
    let mut reader = Reader::new(solution);
    let script_sig = reader.var_bytes()?.to_vec();
    let start = reader.offset();
    for _ in 0..reader.count(1)? {
        reader.var_bytes()?;
    }
    if !reader.is_empty() {
        return Err(EncodingFault::Trailing { offset: reader.offset() });
    }
    Ok((script_sig, reader.since(start).to_vec()))
}

/// The id of the coinbase with the script of one output replaced.
fn txid_with_output(coinbase: &Transaction<'_>, index: usize, script: &[u8]) -> Hash {
    let mut outputs = Vec::new();
    push_compact_size(&mut outputs, coinbase.outputs().count() as u64);
    for (i, output) in coinbase.outputs().enumerate() {
        outputs.extend_from_slice(&output.value.to_le_bytes());
        push_var_bytes(&mut outputs, if i == index { script } else { output.script });
    }
    let [version, inputs, lock_time] = coinbase.parts();
    sha256d([version, inputs, &outputs, lock_time])
}

fn push_var_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_compact_size(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Runs the challenge over the solution in the engine; anything that does not run to the end is a no.
fn run(challenge: &[u8], to_sign: &[u8]) -> bool {
    let (Ok(challenge), Ok(to_sign)) = (ScriptPubkey::new(challenge), EngineTransaction::new(to_sign)) else {
        return false;
    };
    let spent = TxOut::new(&challenge, 0);
    let Ok(data) = PrecomputedTransactionData::new(&to_sign, std::slice::from_ref(&spent)) else {
        return false;
    };
    let flags = VERIFY_P2SH | VERIFY_WITNESS | VERIFY_DERSIG | VERIFY_NULLDUMMY;
    verify(&challenge, Some(0), &to_sign, 0, Some(flags), &data).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splits_the_first_solution_and_rewrites_the_pushes() {
        let script =
            [&[OP_RETURN, OP_PUSHDATA1, 2, 7, 8, 6][..], &SOLUTION_HEAD, &[1, 2], &[OP_PUSHDATA1, 0]]
                .concat();
        let (solution, rest) = split_solution(&script).unwrap_or_default();
        assert_eq!(solution, [1, 2]);
        assert_eq!(rest, [&[OP_RETURN, 2, 7, 8, 4][..], &SOLUTION_HEAD, &[OP_PUSHDATA1]].concat());
        // A head without data is no solution; nor is one behind a broken push.
        assert_eq!(split_solution(&[&[4][..], &SOLUTION_HEAD].concat()), None);
        assert_eq!(split_solution(&[&[9, 1, 2][..], &SOLUTION_HEAD, &[1]].concat()), None);
    }

    proptest! {
        #[test]
        fn never_panics_on_random_bytes(script: Vec<u8>) {
            if let Some((solution, _)) = split_solution(&[&[6][..], &SOLUTION_HEAD, &[0, 0], &script].concat()) {
                let _ = parse_solution(&solution);
            }
            let _ = (split_solution(&script), parse_solution(&script));
        }
    }
}
