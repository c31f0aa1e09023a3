#![expect(clippy::unwrap_used, reason = "tests")]
use super::memory_chain::{MemoryChain, mainnet};
use super::*;
use std::fs;
use tempfile::TempDir;

/// Of the sample: seven whole segments, and a part of one.
const SEGMENTS: [u32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
const ORDERS: [[u32; 8]; 3] = [[7, 6, 5, 4, 3, 2, 1, 0], [3, 0, 7, 5, 1, 6, 2, 4], SEGMENTS];

fn scene() -> Option<(MemoryChain, TempDir, Plan)> {
    let chain = mainnet()?;
    let dir = tempfile::tempdir().unwrap();
    let hints = dir.path().join("hints");
    fs::write(&hints, chain.hints()).unwrap();
    let set = SetPlan { survivors: Survivors::Hints(hints), start: None };
    let record = Some(dir.path().join("run.redb"));
    Some((chain, dir, Plan { scripts: true, set: Some(set), record, ..Plan::default() }))
}

fn open(chain: &MemoryChain, plan: &Plan) -> Validation {
    Validation::open(&chain.headers, &chain.heights(), plan, &Arc::default()).unwrap()
}

fn judge(validation: &mut Validation, chain: &MemoryChain, segment: u32) {
    validation.judge(chain, &[segment], &Arc::default()).unwrap();
}

#[test]
fn segments_in_any_order_come_to_what_they_come_to_together() {
    let Some((chain, _dir, plan)) = scene() else { return };
    let together = validate(&chain, &plan, &Arc::default(), &Arc::default()).unwrap();
    assert_eq!((together.set, together.valid.first(), together.valid.len()), (true, Some(&(0..14_132)), 1));
    for order in ORDERS {
        let mut validation = open(&chain, &plan);
        for segment in order {
            judge(&mut validation, &chain, segment);
        }
        assert_eq!(validation.left(), Vec::<u32>::new());
        assert_eq!(validation.finish(&AtomicBool::new(false)).unwrap(), together);
    }
}

#[test]
fn what_is_missing_is_not_said_to_be_proven() {
    let Some((chain, _dir, plan)) = scene() else { return };
    let mut validation = open(&chain, &plan);
    for segment in [1, 2, 4, 7] {
        judge(&mut validation, &chain, segment);
    }
    assert_eq!(validation.left(), [0, 3, 5, 6]);
    let verdict = validation.finish(&AtomicBool::new(false)).unwrap();
    assert_eq!((verdict.proven_end, verdict.set, verdict.failure), (0, false, None));
    assert_eq!(verdict.valid, [2016..6048, 8064..10_080, 14_112..14_132]);
    assert!(plan.record.as_ref().unwrap().exists(), "it is not at its end");
}

#[test]
fn a_later_run_goes_on_with_the_segments_that_are_left() {
    let Some((chain, _dir, plan)) = scene() else { return };
    let mut validation = open(&chain, &plan);
    for segment in [6, 0, 3] {
        judge(&mut validation, &chain, segment);
    }
    let inputs = validation.verdict().inputs;
    drop(validation);
    let mut validation = open(&chain, &plan);
    assert_eq!((validation.left(), validation.verdict().inputs), (vec![1, 2, 4, 5, 7], inputs));
    for segment in [5, 7, 2, 1, 4, 0] {
        judge(&mut validation, &chain, segment);
    }
    let verdict = validation.finish(&AtomicBool::new(false)).unwrap();
    assert_eq!((verdict.inputs, verdict.new_inputs, verdict.set), (865, 865 - inputs, true));
    assert!(!plan.record.as_ref().unwrap().exists());
}

#[test]
fn without_sums_a_segment_counts_in_a_run_over_other_blocks_of_its_chain() {
    let Some((chain, _dir, plan)) = scene() else { return };
    let plan = Plan { set: None, ..plan };
    let part = Plan { first_height: 100, end_height: Some(5000), ..plan.clone() };
    let mut validation = open(&chain, &part);
    for segment in [0, 1, 2] {
        judge(&mut validation, &chain, segment);
    }
    drop(validation);
    // Of the first and the third only parts were judged.
    let mut validation = open(&chain, &plan);
    assert_eq!(validation.left(), [0, 2, 3, 4, 5, 6, 7]);
    judge(&mut validation, &chain, 7);
    judge(&mut validation, &chain, 6);
    assert_eq!(validation.verdict().valid, [2016..4032, 12_096..14_132]);
    drop(validation);
    // Another chain from there on.
    let mut blocks = chain.blocks.clone();
    blocks.truncate(14_130);
    let shorter = MemoryChain::of(chain.headers.params().clone(), blocks);
    assert_eq!(open(&shorter, &plan).left(), [0, 2, 3, 4, 5, 7]);
}

#[test]
fn the_lowest_block_that_fails_is_told_whatever_comes_first_and_nothing_above_it_is_judged() {
    let Some((mut chain, _dir, plan)) = scene() else { return };
    for height in [9000, 4097, 13_000] {
        *chain.blocks[height].last_mut().unwrap() ^= 1;
    }
    for order in ORDERS {
        let plan = Plan { record: None, ..plan.clone() };
        let mut validation = open(&chain, &plan);
        for segment in order {
            judge(&mut validation, &chain, segment);
        }
        assert_eq!(validation.left(), Vec::<u32>::new());
        let verdict = validation.finish(&AtomicBool::new(false)).unwrap();
        assert_eq!((verdict.failure.unwrap().height, verdict.proven_end), (4097, 4097));
        assert_eq!(verdict.valid.first(), Some(&(0..4097)));
    }
    let mut validation = open(&chain, &plan);
    judge(&mut validation, &chain, 4);
    assert_eq!(
        (validation.left(), validation.verdict().valid.first()),
        (vec![0, 1, 2, 3], Some(&(8064..9000)))
    );
    judge(&mut validation, &chain, 6);
    assert_eq!(validation.verdict().failure.unwrap().height, 9000, "it was not looked at");
    // It fails again in the next run, because nothing of it is kept.
    assert_eq!(open(&chain, &plan).left(), SEGMENTS);
}

#[test]
fn what_was_cut_short_is_counted_once() {
    let Some((chain, _dir, plan)) = scene() else { return };
    let mut validation = open(&chain, &plan);
    judge(&mut validation, &chain, 1);
    let cancelled = Arc::new(AtomicBool::new(true));
    let error = validation.judge(&chain, &[0], &cancelled).err().unwrap();
    assert_eq!((error.code(), validation.verdict().blocks), ("ERR_INTERRUPTED", 2016));
    // A record of Core before 0.15, which is no verdict.
    let mut old = chain.clone();
    let mut body = chain.undo[170].clone();
    body.truncate(body.len() - 32);
    body.splice(2..4, [0]);
    old.set_undo(170, body);
    assert_eq!(validation.judge(&old, &[0], &Arc::default()).err().unwrap().code(), "ERR_UNDO_OLD");
    assert_eq!((validation.verdict().blocks, validation.left()), (2016, vec![0, 2, 3, 4, 5, 6, 7]));
    for segment in SEGMENTS {
        judge(&mut validation, &chain, segment);
    }
    let verdict = validation.finish(&AtomicBool::new(false)).unwrap();
    assert_eq!((verdict.blocks, verdict.inputs, verdict.new_inputs, verdict.set), (14_132, 865, 865, true));
}
