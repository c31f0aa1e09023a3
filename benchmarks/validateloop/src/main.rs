//! Validation against a bare loop over Core's verifier, on the same blocks and coins.
//!
//! `validateloop [--runs N] [--blocks N] [--inputs N] [--samples DIR]` makes a chain of mainnet's mix of scripts in
//! memory (`--blocks` of about `--inputs` inputs), takes the real blocks of DIR with the coins that they spend when it is
//! given (the one of one transaction with 20,000 inputs by itself), and prints one JSON object:
//! `{"cases":[{"case","blocks","inputs","bytes","rows":[{"subject","threads","seconds":[…]}…]}…]}`. Subjects take turns:
//!
//! - `bare`: each input through the verifier, with transactions found and coins at hand; whole blocks spread over threads.
//! - `scripts`: every consensus rule for each block, scripts among them.
//! - `rest`: the same with a judge that says yes.
//! - `chain`: the bytes of each block against its header.

mod cases;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use bitcoinkernel::{
    KernelError, PrecomputedTransactionData, ScriptPubkey, Transaction, TxOut, VERIFY_TAPROOT, verify,
};
use blockswarm_chain::block::check_block;
use blockswarm_chain::script::is_taproot;
use blockswarm_chain::validate::{BlockScripts, EngineJudge, ScriptFault, ScriptJudge, validate_block};
use cases::{Case, Spends};
use rayon::iter::{ParallelBridge, ParallelIterator};

/// Says yes.
struct Trusting;

impl ScriptJudge for Trusting {
    fn judge(&self, _: &BlockScripts<'_>) -> Result<(), ScriptFault> {
        Ok(())
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "validateloop: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (mut runs, mut blocks, mut inputs, mut samples) = (5, 260, 1_200, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("`{name}` needs a value"))?;
        match name.as_str() {
            "--runs" => runs = value.parse()?,
            "--blocks" => blocks = value.parse()?,
            "--inputs" => inputs = value.parse()?,
            "--samples" => samples = Some(value),
            _ => return Err(format!("unknown option `{name}`").into()),
        }
    }
    let mut cases = vec![Case::generated(blocks, inputs)?];
    if let Some(folder) = samples {
        cases.extend(Case::samples(folder.as_ref())?);
    }
    let shown: Vec<String> = cases.iter().map(|case| measure(case, runs)).collect::<Result<_, _>>()?;
    writeln!(io::stdout(), "{{\"cases\":[{}]}}", shown.join(","))?;
    Ok(())
}

type Verdict = Result<(), Box<dyn Error + Send + Sync>>;
/// A name, its threads, and what to time.
type Subject<'a> = (&'static str, usize, Box<dyn Fn() -> Verdict + 'a>);

/// Times all subjects in turn, and writes the case as JSON.
fn measure(case: &Case, runs: usize) -> Result<String, Box<dyn Error>> {
    let spends: Vec<Vec<Spends<'_>>> = case.blocks.iter().map(cases::Block::spends).collect();
    let judge = EngineJudge::default();
    let [one, two] = [1, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build());
    let (one, two) = (one?, two?);
    let mut subjects: Vec<Subject<'_>> = Vec::new();
    let (spends, judge) = (&spends, &judge);
    for (threads, pool) in [(1, &one), (2, &two)] {
        subjects.push(("bare", threads, Box::new(move || bare(case, spends, threads))));
        subjects.push(("scripts", threads, Box::new(move || pool.install(|| all_rules(case, judge)))));
        subjects.push(("rest", threads, Box::new(move || pool.install(|| all_rules(case, &Trusting)))));
        subjects.push(("chain", threads, Box::new(move || pool.install(|| bytes_only(case)))));
    }
    let mut seconds = vec![Vec::new(); subjects.len()];
    for _ in 0..runs {
        for ((_, _, run), seconds) in subjects.iter().zip(&mut seconds) {
            let begun = Instant::now();
            run().map_err(|error| format!("{}: {error}", case.name))?;
            seconds.push(begun.elapsed().as_secs_f64());
        }
    }
    let rows: Vec<String> = subjects
        .iter()
        .zip(&seconds)
        .map(|((subject, threads, _), seconds)| {
            format!("{{\"subject\":\"{subject}\",\"threads\":{threads},\"seconds\":{seconds:?}}}")
        })
        .collect();
    let bytes: usize = case.blocks.iter().map(|block| block.bytes.len()).sum();
    let inputs: usize = case.blocks.iter().map(|block| block.spent.len()).sum();
    Ok(format!(
        "{{\"case\":\"{}\",\"blocks\":{},\"inputs\":{inputs},\"bytes\":{bytes},\"rows\":[{}]}}",
        case.name,
        case.blocks.len(),
        rows.join(",")
    ))
}

fn all_rules(case: &Case, judge: &dyn ScriptJudge) -> Verdict {
    let verdicts = case.blocks.iter().par_bridge().map(|block| {
        validate_block(&block.bytes, &case.place(block), &block.spent, judge, &mut ()).map(|_| ())
    });
    verdicts.collect::<Result<(), _>>().map_err(Into::into)
}

fn bytes_only(case: &Case) -> Verdict {
    let verdicts = case.blocks.iter().par_bridge();
    let verdicts = verdicts.map(|block| check_block(&block.bytes, &case.place(block).context).map(|_| ()));
    verdicts.collect::<Result<(), _>>().map_err(Into::into)
}

fn bare(case: &Case, spends: &[Vec<Spends<'_>>], threads: usize) -> Verdict {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(i) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|i| *i < spends.len()) {
                    let flags = case.flags(&case.blocks[i]);
                    if spends[i].iter().any(|spends| verify_all(spends, flags).is_err()) {
                        failed.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    if failed.into_inner() { Err("the verifier refuses a block".into()) } else { Ok(()) }
}

/// What a program would do that only has the verifier: the cheaper kind of shared data for each input.
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
