//! Core's script verifier (`bitcoinkernel`) as the judge of scripts, on all cores.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bitcoinkernel::{
    KernelError, PrecomputedTransactionData, ScriptPubkey, ScriptVerifyError,
    Transaction as EngineTransaction, TxOut, verify,
};
use parking_lot::Mutex;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use super::scripts::{BlockScripts, ScriptFault, ScriptJudge};
use crate::coins::Coin;
use crate::params::script_flags::TAPROOT;
use crate::script::is_taproot;

/// Inputs that stay on one thread.
const SPLIT_INPUTS: usize = 32;
/// Most bytes of spent outputs that several threads may copy at once; a taproot output takes 82.
const COPIED_BYTES: usize = 16 << 20;
/// What the engine holds of an output beside its script.
const OUTPUT_BYTES: usize = 48;

/// Core's verifier, on all threads of the rayon pool it is called in. Transactions are spread over them, and the
/// inputs of one with many. For each input that spends a taproot output the engine copies all outputs that the transaction
/// spends: a transaction that spends taproot outputs beside tens of megabytes of other scripts is judged by one thread,
/// and one such at a time.
#[derive(Debug, Default)]
pub struct EngineJudge {
    stopped: Arc<AtomicBool>,
    large: Mutex<()>,
}

impl EngineJudge {
    /// A judge that stops when the flag is raised: calls under way return after the input at hand, later ones at once.
    pub fn new(stopped: Arc<AtomicBool>) -> Self {
        Self { stopped, large: Mutex::default() }
    }
}

impl ScriptJudge for EngineJudge {
    fn judge(&self, block: &BlockScripts<'_>) -> Result<(), ScriptFault> {
        let mut first = 0;
        let tasks: Vec<Range<usize>> = block
            .transactions
            .iter()
            .skip(1)
            .map(|transaction| {
                let inputs = first..first + transaction.input_count();
                first = inputs.end;
                inputs
            })
            .collect();
        let fault = tasks
            .into_par_iter()
            .enumerate()
            .find_map_first(|(i, inputs)| self.judge_transaction(block, i + 1, inputs).err());
        fault.map_or(Ok(()), Err)
    }
}

impl EngineJudge {
    /// `inputs` are counted over the whole block.
    fn judge_transaction(
        &self,
        block: &BlockScripts<'_>,
        transaction: usize,
        inputs: Range<usize>,
    ) -> Result<(), ScriptFault> {
        let engine = ScriptFault::Engine { transaction };
        let coins: Option<Vec<_>> = inputs.clone().map(|input| block.spent.get(input)).collect();
        let (Some(coins), Some(of)) = (coins, block.transactions.get(transaction)) else {
            return Err(engine);
        };
        // Held over no call that lets this thread take up another transaction.
        let alone = (copied_bytes(&coins, block.flags) > COPIED_BYTES).then(|| self.large.lock());
        let Ok(prepared) = Prepared::new(of.bytes(), coins, block.flags) else { return Err(engine) };
        let judge_input = |input| {
            if self.stopped.load(Ordering::Relaxed) {
                return Some(ScriptFault::Stopped);
            }
            match prepared.verify(input) {
                Ok(()) => None,
                Err(KernelError::ScriptVerify(ScriptVerifyError::Invalid)) => {
                    Some(ScriptFault::Failed { transaction, input })
                }
                Err(_) => Some(engine),
            }
        };
        let all = 0..inputs.len();
        let fault = if alone.is_some() || all.len() <= SPLIT_INPUTS {
            all.into_iter().find_map(judge_input)
        } else {
            all.into_par_iter().with_min_len(SPLIT_INPUTS).find_map_first(judge_input)
        };
        fault.map_or(Ok(()), Err)
    }
}

/// One transaction in the engine's form, with what its inputs share.
pub(super) struct Prepared<'a> {
    transaction: EngineTransaction,
    coins: Vec<Coin<'a>>,
    flags: u32,
    /// With all spent outputs, for inputs that spend a taproot output; only when there are such.
    taproot: Option<PrecomputedTransactionData>,
    /// Without them, for all others: the engine copies the data for each input, which with many spent outputs
    /// takes longer than the scripts.
    plain: Option<PrecomputedTransactionData>,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(bytes: &[u8], coins: Vec<Coin<'a>>, flags: u32) -> Result<Self, KernelError> {
        let transaction = EngineTransaction::new(bytes)?;
        let needs_all = |coin: &Coin<'_>| needs_spent_outputs(coin, flags);
        let spent_outputs = || -> Result<Vec<TxOut>, KernelError> {
            coins
                .iter()
                .map(|coin| Ok(TxOut::new(&ScriptPubkey::new(coin.script)?, coin.value.cast_signed())))
                .collect()
        };
        let taproot = if coins.iter().any(needs_all) {
            Some(PrecomputedTransactionData::new(&transaction, &spent_outputs()?)?)
        } else {
            None
        };
        let plain = if coins.iter().all(needs_all) {
            None
        } else {
            Some(PrecomputedTransactionData::new(&transaction, &[] as &[TxOut])?)
        };
        Ok(Self { transaction, coins, flags, taproot, plain })
    }

    pub(super) fn verify(&self, input: usize) -> Result<(), KernelError> {
        let Some(coin) = self.coins.get(input) else { return Err(KernelError::OutOfBounds) };
        // TAPROOT means something only where a taproot output is spent.
        let (data, flags) = if needs_spent_outputs(coin, self.flags) {
            (&self.taproot, self.flags)
        } else {
            (&self.plain, self.flags & !TAPROOT)
        };
        let Some(data) = data else { return Err(KernelError::OutOfBounds) };
        let script = ScriptPubkey::new(coin.script)?;
        verify(&script, Some(coin.value.cast_signed()), &self.transaction, input, Some(flags), data)
    }
}

/// What the engine copies for each taproot input of a transaction.
fn copied_bytes(coins: &[Coin<'_>], flags: u32) -> usize {
    if !coins.iter().any(|coin| needs_spent_outputs(coin, flags)) {
        return 0;
    }
    coins.iter().map(|coin| OUTPUT_BYTES + coin.script.len()).sum()
}

fn needs_spent_outputs(coin: &Coin<'_>, flags: u32) -> bool {
    flags & TAPROOT != 0 && is_taproot(coin.script)
}
