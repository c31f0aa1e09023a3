#![expect(clippy::unwrap_used, reason = "tests")]
use super::memory_chain::{MemoryChain, mainnet};
use super::*;
use crate::coins::OutPoint;
use crate::snapshot::{SnapshotHead, SnapshotWriter};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A height of the sample whose block spends a coin of another, and not a coinbase's alone: block 170's is the first.
const SPENDING: u32 = 170;

fn run(chain: &MemoryChain, plan: &Plan) -> Result<Verdict, ValidationError> {
    validate(chain, plan, &Arc::default(), &Arc::default())
}

fn failure(chain: &MemoryChain, plan: &Plan) -> (Level, u32, String, Blame) {
    let failure = run(chain, plan).unwrap().failure.unwrap();
    (failure.level, failure.height, failure.reason, failure.blame)
}

fn scripts() -> Plan {
    Plan { scripts: true, ..Plan::default() }
}

fn by_hints(path: &Path) -> Plan {
    let set = SetPlan { survivors: Survivors::Hints(path.to_owned()), start: None };
    Plan { scripts: true, set: Some(set), ..Plan::default() }
}

/// A chain, and its hints in a file.
fn scene() -> Option<(MemoryChain, TempDir, PathBuf)> {
    let chain = mainnet()?;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hints");
    fs::write(&path, chain.hints()).unwrap();
    Some((chain, dir, path))
}

fn write_snapshot(chain: &MemoryChain, end: u32, path: &Path) {
    let part = MemoryChain::of(chain.headers.params().clone(), chain.blocks[..end as usize].to_vec());
    let mut coins = part.survivors();
    coins.sort_unstable_by_key(|(point, _, _)| *point);
    let head = SnapshotHead {
        magic: chain.headers.params().magic,
        block_hash: chain.headers.hash_at(end - 1).unwrap(),
        coins: coins.len() as u64,
    };
    let mut writer = SnapshotWriter::new(Vec::new(), &head).unwrap();
    for ((txid, index), coin, _) in &coins {
        writer.push(OutPoint { txid, index: *index }, &coin.borrow()).unwrap();
    }
    fs::write(path, writer.finish().unwrap()).unwrap();
}

#[test]
fn mainnets_first_blocks_are_proven_at_every_level_on_any_number_of_threads() {
    let Some((chain, _dir, hints)) = scene() else { return };
    for threads in [0, 1, 3, 300] {
        let verdict = run(&chain, &Plan { threads, ..by_hints(&hints) }).unwrap();
        assert_eq!(
            (verdict.heights, verdict.blocks, verdict.transactions, verdict.inputs, verdict.new_inputs),
            (0..14_132, 14_132, 14_247, 865, 865)
        );
        assert_eq!((verdict.proven_end, verdict.set, verdict.failure), (14_132, true, None));
    }
    let chain_only = run(&chain, &Plan::default()).unwrap();
    assert_eq!((chain_only.inputs, chain_only.set, chain_only.warnings.len()), (865, false, 1));
    let part = Plan { first_height: 100, end_height: Some(5000), ..scripts() };
    let part = run(&chain, &part).unwrap();
    assert_eq!((part.heights, part.blocks, part.proven_end), (100..5000, 4900, 5000));
}

#[test]
fn a_set_is_proven_by_snapshots_from_genesis_and_between_two_blocks() {
    let Some(chain) = mainnet() else { return };
    let dir = tempfile::tempdir().unwrap();
    let [start, end] = ["start", "end"].map(|name| dir.path().join(name));
    write_snapshot(&chain, 3000, &start);
    write_snapshot(&chain, 9001, &end);
    let set = |survivors: &Path, start: Option<&Path>| {
        Some(SetPlan {
            survivors: Survivors::Snapshot(survivors.to_owned()),
            start: start.map(Path::to_owned),
        })
    };
    // Without an end, it is the snapshot's.
    let whole = run(&chain, &Plan { set: set(&end, None), ..scripts() }).unwrap();
    assert_eq!((whole.heights, whole.set), (0..9001, true));
    let between = Plan { first_height: 3000, set: set(&end, Some(&start)), ..Plan::default() };
    let verdict = run(&chain, &between).unwrap();
    assert_eq!((verdict.heights, verdict.set), (3000..9001, true));
    let code = |plan: &Plan| run(&chain, plan).err().unwrap().code();
    assert_eq!(code(&Plan { first_height: 3000, set: set(&end, None), ..Plan::default() }), "ERR_USAGE");
    assert_eq!(code(&Plan { set: set(&end, Some(&start)), ..Plan::default() }), "ERR_USAGE");
    assert_eq!(code(&Plan { end_height: Some(9000), set: set(&end, None), ..scripts() }), "ERR_SNAPSHOT");
    assert_eq!(code(&Plan { first_height: 3001, ..between.clone() }), "ERR_SNAPSHOT");
    assert_eq!(code(&Plan { end_height: Some(14_133), ..scripts() }), "ERR_SEGMENT_RANGE");
    assert_eq!(code(&Plan { first_height: 7, end_height: Some(7), ..scripts() }), "ERR_SEGMENT_RANGE");
    // A coin less, and a coin of another value.
    let genuine = fs::read(&end).unwrap();
    let mut forged = genuine.clone();
    let at = forged.len() - 40;
    forged[at] ^= 1;
    fs::write(&end, &forged).unwrap();
    let found = run(&chain, &between).map(|verdict| verdict.failure.map(|failure| failure.blame));
    assert!(matches!(found, Ok(Some(Blame::Coins)) | Err(ValidationError::Snapshot { .. })), "{found:?}");
    fs::write(&end, &genuine[..genuine.len() - 1]).unwrap();
    assert_eq!(code(&between), "ERR_SNAPSHOT");
    // Of another network.
    fs::write(&end, [&genuine[..7], &[0], &genuine[8..]].concat()).unwrap();
    assert_eq!(code(&between), "ERR_SNAPSHOT");
}

#[test]
fn each_altered_field_of_a_spent_record_is_refused() {
    let Some((chain, _dir, hints)) = scene() else { return };
    let plan = by_hints(&hints);
    let end = chain.blocks.len() as u32;
    let altered = |alter: fn(&mut memory_chain::OwnCoin)| {
        let mut chain = chain.clone();
        let mut spent = chain.spent(SPENDING);
        alter(&mut spent[0]);
        chain.set_spent(SPENDING, &spent);
        chain
    };
    let differ = (Level::Set, end, "sums of coins differ".to_owned(), Blame::Coins);
    assert_eq!(failure(&altered(|coin| coin.height -= 1), &plan), differ);
    assert_eq!(
        failure(&altered(|coin| coin.value += 1), &plan),
        differ,
        "more to the fees: only the sums tell"
    );
    assert_eq!(failure(&altered(|coin| coin.is_coinbase = false), &plan), differ);
    // Until `set` is proven, that is evidence only.
    assert_eq!(run(&altered(|coin| coin.height -= 1), &scripts()).unwrap().failure, None);
    let less = failure(&altered(|coin| coin.value -= 1), &plan);
    assert_eq!(less, (Level::Scripts, SPENDING, "bad-txns-in-belowout".into(), Blame::Block));
    let script = failure(&altered(|coin| coin.script[5] ^= 1), &plan);
    assert_eq!((script.0, script.1, script.3), (Level::Scripts, SPENDING, Blame::Block));
    let young = failure(&altered(|coin| coin.height = SPENDING - 99), &plan);
    assert_eq!(young.2, "bad-txns-premature-spend-of-coinbase");
    let later = failure(&altered(|coin| coin.height = SPENDING), &plan);
    assert_eq!((later.0, later.1, later.3), (Level::Scripts, SPENDING, Blame::SpentRecord));
    // What is said of the first failing input.
    let verdict = run(&altered(|coin| coin.script[5] ^= 1), &plan).unwrap();
    assert_eq!((verdict.proven_end, verdict.set), (SPENDING, false));
    let Failure { txid, input, .. } = verdict.failure.unwrap();
    assert_eq!((txid.unwrap()[29..].to_vec(), input), (vec![0x4f, 0x18, 0xf4], Some(0)));
}

#[test]
fn dropped_doubled_and_broken_records_are_refused() {
    let Some(chain) = mainnet() else { return };
    let plan = scripts();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut chain = chain.clone();
        let mut body = chain.undo[SPENDING as usize].clone();
        body.truncate(body.len() - 32);
        change(&mut body);
        chain.set_undo(SPENDING, body);
        failure(&chain, &plan)
    };
    let blamed = |reason: &str| (Level::Scripts, SPENDING, reason.to_owned(), Blame::SpentRecord);
    assert_eq!(with(&|body| *body = vec![0]), blamed("spends of 0 transactions where the block has 1"));
    assert_eq!(
        with(&|body| {
            let coin = body[2..].to_vec();
            body[1] = 2;
            body.extend(coin);
        }),
        blamed("transaction 1 spends 2 coins where it has 1 inputs")
    );
    assert_eq!(with(&|body| body[1] = 0), blamed("transaction 1 spends 0 coins where it has 1 inputs"));
    assert!(with(&|body| body.truncate(20)).2.starts_with("malformed"));
    let mut other = chain.clone();
    other.undo[SPENDING as usize] = chain.undo[SPENDING as usize + 1].clone();
    assert_eq!(failure(&other, &plan), blamed("checksum mismatch"));
    // As Core before 0.15 wrote it: no verdict.
    let mut old = chain.clone();
    let mut body = chain.undo[SPENDING as usize].clone();
    body.truncate(body.len() - 32);
    body.splice(2..4, [0]);
    old.set_undo(SPENDING, body);
    assert_eq!(run(&old, &plan).err().unwrap().code(), "ERR_UNDO_OLD");
}

#[test]
fn the_lowest_height_that_fails_is_told_whatever_the_order() {
    let Some(mut chain) = mainnet() else { return };
    for height in [13_000, 9000, 4097, 5000] {
        *chain.blocks[height].last_mut().unwrap() ^= 1;
    }
    for threads in [1, 2, 8] {
        let found = failure(&chain, &Plan { threads, ..scripts() });
        assert_eq!(found, (Level::Chain, 4097, "bad-txnmrklroot".into(), Blame::Bytes));
    }
}

#[test]
fn wrong_hints_are_noticed() {
    let Some((chain, _dir, path)) = scene() else { return };
    let plan = by_hints(&path);
    let genuine = chain.hints();
    // Block 9's only coin was spent; block 1's was not: both told the other way round.
    for height in [9, 1] {
        let mut hints = genuine.clone();
        let at = if height == 9 { hints_at(&genuine, 9) } else { hints_at(&genuine, 1) };
        let (start, end) = at;
        let other: &[u8] = if end - start == 1 { &[1, 0, 1] } else { &[0] };
        hints.splice(start..end, other.iter().copied());
        fs::write(&path, &hints).unwrap();
        assert_eq!(failure(&chain, &plan).3, Blame::Coins, "block {height}");
    }
    // A place that the block does not have.
    let mut hints = genuine.clone();
    let (start, end) = hints_at(&genuine, 9);
    hints.splice(start..end, [1, 9, 0x01, 0x01]);
    fs::write(&path, &hints).unwrap();
    let found = run(&chain, &plan);
    assert!(
        matches!(&found, Err(ValidationError::Hints { .. }))
            || found.as_ref().is_ok_and(|verdict| verdict.failure.as_ref().unwrap().blame == Blame::Hints),
        "{found:?}"
    );
    let code = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        run(&chain, &Plan { end_height: Some(14_132), ..plan.clone() }).err().unwrap().code()
    };
    assert_eq!(code(&genuine[..genuine.len() - 1]), "ERR_HINTS");
    assert_eq!(code(&[&genuine[..], &[0]].concat()), "ERR_HINTS");
    assert_eq!(code(b"UTXO\0\xfe\xff\xff\xff\0\0"), "ERR_HINTS");
    assert_eq!(code(b"nonsense, all of it"), "ERR_HINTS");
    fs::remove_file(&path).unwrap();
    assert_eq!(run(&chain, &plan).err().unwrap().code(), "ERR_IO");
}

/// Where the hints of a block lie.
fn hints_at(bytes: &[u8], height: u32) -> (usize, usize) {
    let before = |height: u32| {
        let mut rest = &bytes[9..];
        for at in 1..height {
            let mut reader = crate::hints::HintsReader::of_block(&mut rest, at);
            reader.next_block().unwrap();
        }
        bytes.len() - rest.len()
    };
    (before(height), before(height + 1))
}

#[test]
fn a_run_that_was_stopped_goes_on_where_it_was_and_a_finished_one_leaves_nothing() {
    let Some((chain, dir, hints)) = scene() else { return };
    let path = dir.path().join("run.redb");
    let plan = Plan { record: Some(path.clone()), threads: 1, ..by_hints(&hints) };
    // It ends in the fourth segment: three are kept.
    let mut broken = chain.clone();
    *broken.blocks[6100].last_mut().unwrap() ^= 1;
    assert_eq!(failure(&broken, &plan).1, 6100);
    let progress = Arc::<Progress>::default();
    let verdict = validate(&chain, &plan, &progress, &Arc::default()).unwrap();
    assert_eq!((verdict.blocks, verdict.inputs, verdict.set), (14_132, 865, true));
    assert!(verdict.new_inputs < 865 && verdict.new_inputs > 0);
    assert_eq!(progress.segments.load(Ordering::Relaxed), 8);
    assert!(!path.exists());
    // Other hints make another run, which does not go on from what was kept.
    assert_eq!(failure(&broken, &plan).1, 6100);
    let other = Plan { set: None, ..plan.clone() };
    assert_eq!(run(&chain, &other).unwrap().new_inputs, 865);
    assert!(!path.exists());
}

#[test]
fn a_run_that_is_cancelled_ends() {
    let Some(chain) = mainnet() else { return };
    let cancelled = Arc::new(AtomicBool::new(true));
    let error = validate(&chain, &scripts(), &Arc::default(), &cancelled).err().unwrap();
    assert_eq!(error.code(), "ERR_INTERRUPTED");
}
