//! Signature operations, counted as Core counts them (`consensus/tx_verify.cpp`, `script/interpreter.cpp`).

use crate::coins::Coin;
use crate::encode::Reader;
use crate::params::script_flags::{P2SH, WITNESS};
use crate::script::{
    OP_1, OP_16, OP_CHECKMULTISIG, OP_CHECKMULTISIGVERIFY, OP_CHECKSIG, OP_CHECKSIGVERIFY, is_script_hash,
    last_push, next_op, witness_program,
};
use crate::transaction::{Input, Transaction};

/// The most that the signature operations of a block may cost.
pub const MAX_SIGOP_COST: u32 = 80_000;
/// What one outside a witness costs.
pub const SCALE: u32 = 4;
/// What a multiple check counts where its number of keys is not looked at.
const MAX_KEYS: u32 = 20;

/// Operations in the scripts of a transaction, run or not (`GetLegacySigOpCount`).
pub fn legacy_sigops(transaction: &Transaction<'_>) -> u32 {
    let inputs = transaction.inputs().map(|input| count(input.script, false));
    let outputs = transaction.outputs().map(|output| count(output.script, false));
    inputs.chain(outputs).sum()
}

/// What an input costs beside: for the script that a hash stands for, and for its witness. `witness` is the number of
/// its witness items and the last of them.
pub fn input_sigop_cost(input: &Input<'_>, coin: &Coin<'_>, witness: (usize, &[u8]), flags: u32) -> u32 {
    let redeem = if is_script_hash(coin.script) { last_push(input.script) } else { None };
    let hashed = match redeem {
        Some(script) if flags & P2SH != 0 => SCALE * count(script, true),
        _ => 0,
    };
    if flags & WITNESS == 0 {
        return hashed;
    }
    let program = witness_program(coin.script).or_else(|| witness_program(redeem?));
    hashed
        + match (program, witness) {
            (Some((0, program)), _) if program.len() == 20 => 1,
            (Some((0, program)), (1.., script)) if program.len() == 32 => count(script, true),
            _ => 0,
        }
}

/// `CScript::GetSigOpCount`. Stops at a broken push.
fn count(script: &[u8], accurate: bool) -> u32 {
    let (mut reader, mut before, mut sigops) = (Reader::new(script), 0, 0);
    while let Ok((opcode, _)) = next_op(&mut reader) {
        sigops += match opcode {
            OP_CHECKSIG | OP_CHECKSIGVERIFY => 1,
            OP_CHECKMULTISIG | OP_CHECKMULTISIGVERIFY if accurate && (OP_1..=OP_16).contains(&before) => {
                u32::from(before - OP_1 + 1)
            }
            OP_CHECKMULTISIG | OP_CHECKMULTISIGVERIFY => MAX_KEYS,
            _ => 0,
        };
        before = opcode;
    }
    sigops
}

#[cfg(test)]
mod tests {
    use super::*;

    const TXID: [u8; 32] = [7; 32];

    fn cost(script_sig: &[u8], script: &[u8], witness: &[&[u8]], flags: u32) -> u32 {
        let input = Input { prev_txid: &TXID, prev_index: 0, script: script_sig, sequence: 0 };
        let coin = Coin { height: 1, is_coinbase: false, value: 0, script };
        let last = witness.last().copied().unwrap_or_default();
        input_sigop_cost(&input, &coin, (witness.len(), last), flags)
    }

    // As in Core's sigopcount_tests.cpp.
    #[test]
    fn counts_as_core_does() {
        let multisig = [&[OP_1, 20][..], &[0; 20], &[20], &[0; 20], &[OP_1 + 1, OP_CHECKMULTISIG]].concat();
        assert_eq!((count(&[], false), count(&multisig, true), count(&multisig, false)), (0, 2, 20));
        let more = [&multisig[..], &[0x63, OP_CHECKSIG, 0x68]].concat();
        assert_eq!((count(&more, true), count(&more, false)), (3, 21));
        // A broken push ends the count; what stands before it counts.
        assert_eq!(count(&[OP_CHECKSIG, 0x4d, 1], false), 1);
        assert_eq!(count(&[OP_CHECKSIG, 2, OP_CHECKSIG], false), 1);
    }

    #[test]
    fn what_a_hash_stands_for_counts_once_it_is_known() {
        let script_hash = [&[0xa9, 20][..], &[0; 20], &[0x87]].concat();
        let redeem = [OP_1 + 2, OP_CHECKMULTISIG];
        let script_sig = [&[0][..], &[2], &redeem].concat();
        assert_eq!(cost(&script_sig, &script_hash, &[], P2SH | WITNESS), 12);
        assert_eq!(cost(&script_sig, &script_hash, &[], 0), 0);
        // More than pushes: nothing is known.
        assert_eq!(cost(&[&script_sig[..], &[0x61]].concat(), &script_hash, &[], P2SH), 0);
        assert_eq!(cost(&script_sig, &redeem, &[], P2SH), 0);
    }

    #[test]
    fn witnesses_cost_a_quarter() {
        let (key, script) = ([&[0, 20][..], &[0; 20]].concat(), [&[0, 32][..], &[0; 32]].concat());
        let witness: &[&[u8]] = &[&[1], &[OP_1 + 1, OP_CHECKMULTISIG]];
        let flags = P2SH | WITNESS;
        assert_eq!(cost(&[], &key, witness, flags), 1);
        assert_eq!(cost(&[], &script, witness, flags), 2);
        assert_eq!(cost(&[], &script, &[], flags), 0);
        assert_eq!(cost(&[], &script, witness, P2SH), 0);
        let taproot = [&[OP_1, 32][..], &[0; 32]].concat();
        assert_eq!(cost(&[], &taproot, witness, flags), 0);
        let script_hash = [&[0xa9, 20][..], &[0; 20], &[0x87]].concat();
        assert_eq!(cost(&[&[22][..], &key].concat(), &script_hash, witness, flags), 1);
        assert_eq!(cost(&[&[34][..], &script].concat(), &script_hash, witness, flags), 2);
    }
}
