//! Each way in which coins do not add up, one at a time.

use super::super::facts::{OwnCoin, Point};
use super::super::{Cause, CoinField, CoinRange, CoinSetError, Culprit, EndCoins, find_culprits, make_hints};
use super::made_chain::{MadeChain, OP_TRUE, Spent};

/// Twenty blocks; in each from the eleventh on one transaction spends the coinbase ten below, all three outputs open to
/// anyone. The ids of those transactions, and of the coinbases, by height.
fn chain() -> (MadeChain, Vec<Point>, Vec<Point>) {
    let (mut chain, mut coinbases, mut spenders) =
        (MadeChain::new(), vec![([0; 32], 0)], vec![([0; 32], 0); 11]);
    for height in 1..=20 {
        let spent: Vec<Spent> =
            if height > 10 { vec![chain.spend(coinbases[height - 10])] } else { Vec::new() };
        let outputs = [(5, vec![OP_TRUE]), (6, vec![OP_TRUE]), (7, vec![OP_TRUE])];
        let transactions = [(&spent[..], &outputs[..])];
        let txids = chain.push(if spent.is_empty() { &[] } else { &transactions });
        coinbases.push((txids[0], 0));
        spenders.extend(txids.get(1).map(|txid| (*txid, 0)));
    }
    (chain, coinbases, spenders)
}

fn found(chain: &MadeChain, end: EndCoins<'_>) -> Vec<Culprit> {
    let range = CoinRange { heights: 0..chain.height(), start: None, end };
    let many = find_culprits(&chain.job(100, 3), &range).unwrap();
    assert_eq!(find_culprits(&chain.job(1 << 20, 1), &range).unwrap(), many);
    many
}

fn culprit(height: u32, coin: Point, spender: Option<Point>, cause: Cause) -> Culprit {
    Culprit { height, segment: 0, coin: Some(coin), spender, cause }
}

#[test]
fn a_record_that_differs_is_named_with_its_fields() {
    type Change = fn(&mut OwnCoin);
    let changes: [(Change, CoinField); 4] = [
        (|coin| coin.height -= 1, CoinField::Height),
        (|coin| coin.is_coinbase = false, CoinField::Coinbase),
        (|coin| coin.value += 1, CoinField::Value),
        (|coin| coin.script.push(OP_TRUE), CoinField::Script),
    ];
    for (change, field) in changes {
        let (mut chain, coinbases, spenders) = chain();
        let hints = chain.write_hints(|_| {});
        let snapshot = chain.write_snapshot(|_| {});
        chain.retell(14, 0, 0, change);
        let cause = Cause::RecordDiffers { created_height: 4, fields: vec![field] };
        let expected = vec![culprit(14, coinbases[4], Some(spenders[14]), cause)];
        for end in [EndCoins::Unspent, EndCoins::Hints(&hints), EndCoins::Snapshot(&snapshot)] {
            assert_eq!(found(&chain, end), expected);
        }
        let out = chain.path("made.hints");
        match make_hints(&chain.job(1 << 20, 2), chain.height(), &out) {
            Err(CoinSetError::Culprits(culprits)) => assert_eq!(culprits, expected),
            other => assert!(other.is_err(), "{other:?}"),
        }
        assert!(!out.exists() && !chain.path("made.hints.part").exists());
    }
}

#[test]
fn a_coin_that_is_spent_twice_or_never_created_or_created_later_is_named() {
    let (mut chain, coinbases, spenders) = chain();
    let never = (([9; 32], 3), OwnCoin { height: 5, is_coinbase: false, value: 1, script: vec![OP_TRUE] });
    let twice = (coinbases[4], OwnCoin { height: 4, is_coinbase: true, value: 5, script: vec![OP_TRUE] });
    let first = chain.push(&[(std::slice::from_ref(&never), &[(1, vec![OP_TRUE])])]);
    let second = chain.push(&[(&[twice], &[(1, vec![OP_TRUE])])]);
    let culprits = found(&chain, EndCoins::Unspent);
    assert_eq!(spenders.len(), 21);
    assert_eq!(
        culprits,
        [
            culprit(21, never.0, Some((first[1], 0)), Cause::NeverCreated),
            culprit(22, coinbases[4], Some((second[1], 0)), Cause::SpentTwice { first_height: 14 }),
        ]
    );

    // The id of a transaction that another block has later: the same chain again with the spend before it.
    let (mut later, ..) = super::culprits::chain();
    let transaction = [(5, vec![OP_TRUE])];
    let spent = [later.spend(coinbases[19])];
    let id = MadeChain::id_of(&spent, &transaction);
    let coin = OwnCoin { height: 7, is_coinbase: false, value: 5, script: vec![OP_TRUE] };
    let early = later.push(&[(&[((id, 0), coin)], &[(4, vec![OP_TRUE])])]);
    later.push(&[(&spent, &transaction)]);
    let cause = Cause::CreatedLater { created_height: 22 };
    assert_eq!(found(&later, EndCoins::Unspent), [culprit(21, (id, 0), Some((early[1], 0)), cause)]);
}

#[test]
fn hints_that_lie_are_named_either_way() {
    let (chain, coinbases, spenders) = chain();
    let hints = chain.write_hints(|places| {
        // A coinbase that is spent at 14, one that is left, and a place that the block does not have.
        places.entry(4).or_default().push(0);
        places.entry(17).or_default().retain(|place| *place != 0);
        places.entry(19).or_default().push(9);
    });
    let nowhere = Cause::HintedNotThere { place: 9 };
    assert_eq!(
        found(&chain, EndCoins::Hints(&hints)),
        [
            culprit(14, coinbases[4], Some(spenders[14]), Cause::HintedButSpent { created_height: 4 }),
            culprit(17, coinbases[17], None, Cause::NotHinted),
            Culprit { height: 19, segment: 0, coin: None, spender: None, cause: nowhere },
        ]
    );
}

#[test]
fn a_snapshot_that_lies_is_named_coin_by_coin() {
    let (chain, coinbases, spenders) = chain();
    let coin = |height| OwnCoin { height, is_coinbase: true, value: 5, script: vec![OP_TRUE] };
    let snapshot = chain.write_snapshot(|coins| {
        coins.insert(coinbases[4], (0, coin(4)));
        coins.insert(([9; 32], 1), (0, coin(9)));
        coins.remove(&coinbases[15]);
        coins.get_mut(&coinbases[18]).unwrap().1.value = 77;
    });
    let differs = Cause::SnapshotDiffers { fields: vec![CoinField::Value] };
    let expected = [
        culprit(9, ([9; 32], 1), None, Cause::SnapshotNeverCreated),
        culprit(14, coinbases[4], Some(spenders[14]), Cause::SnapshotButSpent { created_height: 4 }),
        culprit(15, coinbases[15], None, Cause::NotInSnapshot),
        culprit(18, coinbases[18], None, differs),
    ];
    assert_eq!(found(&chain, EndCoins::Snapshot(&snapshot)), expected);
}

#[test]
fn a_range_is_judged_between_two_snapshots() {
    let (mut chain, coinbases, _) = chain();
    let start = chain.write_snapshot(|_| {});
    let kept = chain.path("start.utxo");
    std::fs::rename(start, &kept).unwrap();
    let first = chain.height();
    let spent = chain.spend(coinbases[15]);
    chain.push(&[(&[spent], &[(1, vec![OP_TRUE])])]);
    let again = chain.push(&[]);
    let end = chain.write_snapshot(|_| {});
    let range = |start| CoinRange { heights: first..chain.height(), start, end: EndCoins::Snapshot(&end) };
    assert_eq!(find_culprits(&chain.job(1 << 20, 2), &range(Some(&kept))).unwrap(), []);
    assert_eq!(again.len(), 1);
    // Without it, what it has is created nowhere.
    let culprits = find_culprits(&chain.job(1 << 20, 2), &range(None)).unwrap();
    assert_eq!(culprits.len(), 10);
    assert!(culprits.iter().all(|culprit| culprit.cause == Cause::SnapshotNeverCreated));
}

#[test]
fn ten_are_told_the_lowest_heights_first() {
    let (chain, coinbases, _) = chain();
    let hints = chain.write_hints(|places| places.values_mut().for_each(Vec::clear));
    let culprits = found(&chain, EndCoins::Hints(&hints));
    assert_eq!(culprits.len(), 10);
    assert_eq!(culprits[0].coin.map(|(txid, _)| txid), chain.lowest_left(11).map(|(txid, _)| txid));
    assert!(culprits.is_sorted_by_key(|culprit| culprit.height));
    assert!(coinbases.len() == 21);
}
