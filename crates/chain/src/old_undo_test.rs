#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::undo::{UndoFault, check_undo};

const MAGIC: [u8; 4] = [0xf9, 0xbe, 0xb4, 0xd9];
const PREV: Hash = [7; 32];
const HEIGHT: u32 = 400_000;

/// A coin as both encodings need it.
#[derive(Debug, Clone)]
struct Coin {
    code: u32,
    /// Of its transaction; written by an old Core with the last output to be spent.
    version: u8,
    is_last: bool,
    amount: u64,
    script: Vec<u8>,
}

fn coins() -> impl Strategy<Value = Vec<Vec<Coin>>> {
    let script = prop_oneof![
        (0..2u8, any::<[u8; 20]>()).prop_map(|(form, hash)| [&[form][..], &hash].concat()),
        (2..6u8, any::<[u8; 32]>()).prop_map(|(form, key)| [&[form][..], &key].concat()),
        vec(any::<u8>(), 0..20).prop_map(|script| [&[script.len() as u8 + 6][..], &script].concat()),
    ];
    // A VARINT of a negative number, too, was one byte; a longer one is one of two or more.
    let coin = (2..2 * HEIGHT, 0..128u8, any::<bool>(), 0..1_000_000u64, script)
        .prop_map(|(code, version, is_last, amount, script)| Coin { code, version, is_last, amount, script });
    vec(vec(coin, 1..6), 0..5)
}

fn write(transactions: &[Vec<Coin>], coin: impl Fn(&mut Vec<u8>, &Coin)) -> Vec<u8> {
    let mut undo = Vec::new();
    push_compact_size(&mut undo, transactions.len() as u64);
    for coins in transactions {
        push_compact_size(&mut undo, coins.len() as u64);
        for each in coins {
            coin(&mut undo, each);
            push_varint(&mut undo, each.amount);
            undo.extend_from_slice(&each.script);
        }
    }
    undo
}

/// As `CTxInUndo` was written.
fn old(transactions: &[Vec<Coin>]) -> Vec<u8> {
    write(transactions, |undo, coin| {
        push_varint(undo, if coin.is_last { coin.code.into() } else { 0 });
        if coin.is_last {
            push_varint(undo, coin.version.into());
        }
    })
}

/// As Core's `TxInUndoFormatter` writes today.
fn current(transactions: &[Vec<Coin>]) -> Vec<u8> {
    write(transactions, |undo, coin| {
        push_varint(undo, coin.code.into());
        undo.push(0);
    })
}

fn shape(transactions: &[Vec<Coin>]) -> Vec<u32> {
    transactions.iter().map(|coins| coins.len() as u32).collect()
}

proptest! {
    #[test]
    fn an_old_record_with_its_heights_filled_in_is_the_current_one(transactions in coins()) {
        let (old, current, inputs) = (old(&transactions), current(&transactions), shape(&transactions));
        let mut read = read_undo(&old, &inputs).unwrap();
        let is_as_today = transactions.iter().flatten().all(|coin| coin.is_last && coin.version == 0);
        prop_assert_eq!(is_old(&old).unwrap(), !is_as_today);
        prop_assert!(!is_old(&current).unwrap());
        let lacking = read.iter().flatten().filter(|coin| coin.lacks_height()).count();
        prop_assert_eq!(lacking, transactions.iter().flatten().filter(|coin| !coin.is_last).count());
        for (coin, whole) in read.iter_mut().flatten().zip(transactions.iter().flatten()) {
            if coin.lacks_height() {
                coin.code = whole.code;
            }
        }
        let record = write_record(&read, MAGIC, &PREV);
        let size = current.len() as u32;
        prop_assert_eq!(&record[..8], &[&MAGIC[..], &size.to_le_bytes()].concat());
        prop_assert_eq!(&record[8..8 + current.len()], &current[..]);
        let verdict = check_undo(&record[8..], size.into(), &PREV, &inputs, HEIGHT);
        // Scripts are arbitrary bytes here: one may look like a form that has a shorter encoding.
        prop_assert!(matches!(verdict, Ok(()) | Err(UndoFault::Malformed { .. })), "{verdict:?}");
    }

    #[test]
    fn another_shape_and_random_bytes_are_faults(
        transactions in coins(), bytes: Vec<u8>, inputs in vec(0..9u32, 0..4),
    ) {
        let old = old(&transactions);
        prop_assert_eq!(read_undo(&old, &inputs).is_ok(), inputs == shape(&transactions));
        prop_assert!(read_undo(&[&old[..], &[0]].concat(), &shape(&transactions)).is_err());
        let _ = (is_old(&bytes), read_undo(&bytes, &inputs));
    }
}
