//! What a program would do that only has the verifier.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bitcoinkernel::{
    KernelError, PrecomputedTransactionData, ScriptPubkey, Transaction, TxOut, VERIFY_TAPROOT, verify,
};
use blockswarm_chain::script::is_taproot;

use crate::Verdict;
use crate::cases::{Block, Case, Spends};

/// What the loop needs of each block.
pub fn spends(blocks: &[Block]) -> Vec<Vec<Spends<'_>>> {
    blocks.iter().map(Block::spends).collect()
}

/// Each input through the verifier, whole blocks spread over threads.
pub fn verify_blocks(case: &Case, blocks: &[Block], spends: &[Vec<Spends<'_>>], threads: usize) -> Verdict {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(i) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|i| *i < spends.len()) {
                    let flags = case.flags(&blocks[i]);
                    if spends[i].iter().any(|spends| verify_all(spends, flags).is_err()) {
                        failed.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    if failed.into_inner() { Err("the verifier refuses a block".into()) } else { Ok(()) }
}

/// The cheaper kind of shared data for each input.
fn verify_all(spends: &Spends<'_>, flags: u32) -> Result<(), KernelError> {
    let transaction = Transaction::new(spends.transaction)?;
    let scripts: Vec<ScriptPubkey> =
        spends.coins.iter().map(|coin| ScriptPubkey::new(coin.script)).collect::<Result<_, _>>()?;
    let taproot = |i: usize| flags & VERIFY_TAPROOT != 0 && is_taproot(spends.coins[i].script);
    let inputs = 0..scripts.len();
    let with_coins = if inputs.clone().any(taproot) {
        let outputs = scripts.iter().zip(&spends.coins);
        let outputs: Vec<TxOut> =
            outputs.map(|(script, coin)| TxOut::new(script, coin.value.cast_signed())).collect();
        Some(PrecomputedTransactionData::new(&transaction, &outputs)?)
    } else {
        None
    };
    let plain = if inputs.clone().all(taproot) {
        None
    } else {
        Some(PrecomputedTransactionData::new(&transaction, &[] as &[TxOut])?)
    };
    for i in inputs {
        let (data, flags) = if taproot(i) { (&with_coins, flags) } else { (&plain, flags & !VERIFY_TAPROOT) };
        let data = data.as_ref().ok_or(KernelError::OutOfBounds)?;
        verify(&scripts[i], Some(spends.coins[i].value.cast_signed()), &transaction, i, Some(flags), data)?;
    }
    Ok(())
}
