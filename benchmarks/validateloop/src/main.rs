//! Validation against bare loops over Core's verifier and over SHA-256, on the same blocks and coins.
//!
//! `validateloop [--runs N] [--blocks N] [--samples DIR] BLOCKS` takes the first N blocks of a generated regtest chain
//! from the plain `blk*.dat` of the folder BLOCKS and, when it is given, the real blocks of DIR with the coins that they
//! spend (the one of one transaction with 20,000 inputs by itself), makes two blocks that cost the most, and prints one
//! JSON object: `{"cases":[{"case","blocks","inputs","coins","bytes","hashedBytes","rows":[{"subject","threads",
//! "seconds":[…],"cpuSeconds":[…]}…]}…]}`.
//! Subjects take turns every few blocks, in one order and then in the other:
//!
//! - `bare`: each input through the verifier, with transactions found and coins at hand; whole blocks spread over threads.
//! - `scripts`: every consensus rule for each block, scripts among them, and the sums of its coins.
//! - `rest`: the same with a judge that says yes.
//! - `chain`: the bytes of each block against its header.
//! - `sha256`, `sums`, `muhash`: the coins that blocks create and spend, as bytes to hash, to a salted sum and to a
//!   product; one thread.

mod bare;
mod cases;
mod costly;
mod sums;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use blockswarm_chain::block::check_block;
use blockswarm_chain::sums::{SALT_BYTES, Salt};
use blockswarm_chain::validate::{BlockScripts, EngineJudge, ScriptFault, ScriptJudge, validate_block};
use cases::{Block, Case};
use rayon::iter::{ParallelBridge, ParallelIterator};
use rustix::time::{ClockId, clock_gettime};
use sums::{CoinList, Summing};

/// Blocks after which the subjects take turns: enough of them that threads are rarely idle at the end.
const TURN_BLOCKS: usize = 64;

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
    let (mut runs, mut blocks, mut samples, mut folder) = (5, usize::MAX, None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if !name.starts_with("--") {
            folder = Some(name);
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("`{name}` needs a value"))?;
        match name.as_str() {
            "--runs" => runs = value.parse()?,
            "--blocks" => blocks = value.parse()?,
            "--samples" => samples = Some(value),
            _ => return Err(format!("unknown option `{name}`").into()),
        }
    }
    let folder = folder.ok_or("a folder of block files is needed")?;
    let mut cases = vec![Case::generated(folder.as_ref(), blocks)?];
    if let Some(folder) = samples {
        cases.extend(Case::samples(folder.as_ref())?);
    }
    cases.extend(costly::cases()?);
    let shown: Vec<String> = cases.iter().map(|case| measure(case, runs)).collect::<Result<_, _>>()?;
    writeln!(io::stdout(), "{{\"cases\":[{}]}}", shown.join(","))?;
    Ok(())
}

type Verdict = Result<(), Box<dyn Error + Send + Sync>>;
/// A name, its threads, and what to time.
type Subject<'a> = (&'static str, usize, Box<dyn Fn() -> Verdict + 'a>);

/// A loop that gives no verdict.
fn timed<'a>(run: impl Fn() + 'a) -> Box<dyn Fn() -> Verdict + 'a> {
    Box::new(move || {
        run();
        Ok(())
    })
}

/// What one subject took, a figure for each run.
struct Row {
    subject: &'static str,
    threads: usize,
    seconds: Vec<f64>,
    cpu_seconds: Vec<f64>,
}

/// Times all subjects in turn, and writes the case as JSON.
fn measure(case: &Case, runs: usize) -> Result<String, Box<dyn Error>> {
    let judge = EngineJudge::default();
    let [one, two] = [1, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build());
    let (one, two) = (one?, two?);
    let salt = Salt::new(&[7; SALT_BYTES]);
    let mut rows: Vec<Row> = Vec::new();
    let (mut coins, mut hashed) = (0, 0);
    for blocks in case.blocks.chunks(TURN_BLOCKS) {
        let spends = bare::spends(blocks);
        let list = CoinList::of(case, blocks)?;
        coins += list.len();
        hashed += list.bytes();
        let (spends, list, judge, salt): (_, _, &dyn ScriptJudge, _) = (&spends, &list, &judge, &salt);
        let mut subjects: Vec<Subject<'_>> = Vec::new();
        for (threads, pool) in [(1, &one), (2, &two)] {
            subjects.push((
                "bare",
                threads,
                Box::new(move || bare::verify_blocks(case, blocks, spends, threads)),
            ));
            let rules = move |judge| pool.install(|| all_rules(case, blocks, judge, salt));
            subjects.push(("scripts", threads, Box::new(move || rules(judge))));
            subjects.push(("rest", threads, Box::new(move || rules(&Trusting))));
            subjects.push(("chain", threads, Box::new(move || pool.install(|| bytes_only(case, blocks)))));
        }
        subjects.push(("sha256", 1, timed(|| list.hash())));
        subjects.push(("sums", 1, timed(|| list.sum(salt))));
        subjects.push(("muhash", 1, timed(|| list.multiply())));
        if rows.is_empty() {
            rows.extend(subjects.iter().map(|(subject, threads, _)| Row {
                subject,
                threads: *threads,
                seconds: vec![0.0; runs],
                cpu_seconds: vec![0.0; runs],
            }));
        }
        for run in 0..runs {
            let mut order: Vec<usize> = (0..subjects.len()).collect();
            if run % 2 == 1 {
                order.reverse();
            }
            for place in order {
                let (begun, cpu) = (Instant::now(), cpu_seconds());
                (subjects[place].2)().map_err(|error| format!("{}: {error}", case.name))?;
                rows[place].seconds[run] += begun.elapsed().as_secs_f64();
                rows[place].cpu_seconds[run] += cpu_seconds() - cpu;
            }
        }
    }
    let bytes: usize = case.blocks.iter().map(|block| block.bytes.len()).sum();
    let inputs: usize = case.blocks.iter().map(|block| block.spent.len()).sum();
    let counts = format!(
        "\"blocks\":{},\"inputs\":{inputs},\"coins\":{coins},\"bytes\":{bytes},\"hashedBytes\":{hashed}",
        case.blocks.len()
    );
    let rows: Vec<String> = rows.iter().map(Row::to_json).collect();
    Ok(format!("{{\"case\":\"{}\",{counts},\"rows\":[{}]}}", case.name, rows.join(",")))
}

impl Row {
    fn to_json(&self) -> String {
        let Self { subject, threads, seconds, cpu_seconds } = self;
        format!(
            "{{\"subject\":\"{subject}\",\"threads\":{threads},\"seconds\":{seconds:?},\"cpuSeconds\":{cpu_seconds:?}}}"
        )
    }
}

/// CPU time of this process.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned() as u32).as_secs_f64()
}

fn all_rules(case: &Case, blocks: &[Block], judge: &dyn ScriptJudge, salt: &Salt) -> Verdict {
    let verdicts = blocks.iter().par_bridge().map(|block| {
        let mut summing = Summing::new(salt);
        let verdict = validate_block(&block.bytes, &case.place(block), &block.spent, judge, &mut summing);
        verdict.map(|_| summing.finish())
    });
    verdicts.collect::<Result<(), _>>().map_err(Into::into)
}

fn bytes_only(case: &Case, blocks: &[Block]) -> Verdict {
    let verdicts = blocks.iter().par_bridge();
    let verdicts = verdicts.map(|block| check_block(&block.bytes, &case.place(block).context).map(|_| ()));
    verdicts.collect::<Result<(), _>>().map_err(Into::into)
}
