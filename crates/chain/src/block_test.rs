#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::encode::push_compact_size;
use crate::testdata::{self, samples};

fn check(bytes: &[u8], height: u32, params: &Params) -> Result<BlockFacts, BlockFault> {
    let header = bytes.first_chunk().unwrap();
    check_block(bytes, &BlockContext { header, height, params })
}

fn sample(network: &str, height: u32) -> Option<Vec<u8>> {
    samples(network).into_iter().find(|(at, _)| *at == height).map(|(_, bytes)| bytes)
}

/// The transactions of a block as slices.
fn transactions(block: &[u8]) -> Vec<Transaction<'_>> {
    let mut reader = Reader::new(block);
    reader.take(HEADER_BYTES).unwrap();
    let count = reader.count(1).unwrap();
    (0..count).map(|_| Transaction::read(&mut reader).unwrap()).collect()
}

/// A block of a header and transactions; the merkle root is made to fit when `fit`.
fn assemble(header: &[u8], transactions: &[Vec<u8>], fit: bool) -> Vec<u8> {
    let mut block = header.to_vec();
    if fit {
        let ids = transactions.iter().map(|bytes| Transaction::read(&mut Reader::new(bytes)).unwrap().txid());
        block[36..68].copy_from_slice(&merkle_root(ids.collect()).0);
    }
    push_compact_size(&mut block, transactions.len() as u64);
    block.extend(transactions.iter().flatten());
    block
}

/// A coinbase with outputs of these scripts, and a witness when there is one.
fn coinbase(scripts: &[&[u8]], witness: &[u8]) -> Vec<u8> {
    let flags: &[u8] = if witness.is_empty() { &[] } else { &[0, 1] };
    let mut bytes = [&[1, 0, 0, 0][..], flags, &[1], &[0; 32], &[0xff; 4], &[2, 1, 1], &[0xff; 4]].concat();
    push_compact_size(&mut bytes, scripts.len() as u64);
    for script in scripts {
        bytes.extend([0; 8]);
        push_compact_size(&mut bytes, script.len() as u64);
        bytes.extend_from_slice(script);
    }
    [&bytes, witness, &[0; 4]].concat()
}

/// A transaction that spends something, with an output script of `length` bytes.
fn spender(tag: u8, length: usize) -> Vec<u8> {
    let mut bytes = [&[1, 0, 0, 0, 1][..], &[tag; 36], &[0], &[0xff; 4], &[1], &[0; 8]].concat();
    push_compact_size(&mut bytes, length as u64);
    bytes.resize(bytes.len() + length, 0);
    [&bytes[..], &[0; 4]].concat()
}

#[test]
fn accepts_every_sample_block() {
    for (network, params, count) in [
        ("mainnet", Params::mainnet(), 58),
        ("testnet3", Params::testnet3(), 20),
        ("testnet4", Params::testnet4(), 1),
    ] {
        let blocks = samples(network);
        assert!(blocks.is_empty() || blocks.len() == count, "{network}: {}", blocks.len());
        for (height, bytes) in blocks {
            let facts = check(&bytes, height, &params);
            assert_eq!(facts.as_ref().err(), None, "{network} {height}");
            assert_eq!(facts.unwrap().inputs.len() + 1, transactions(&bytes).len());
        }
    }
}

#[test]
fn counts_inputs_and_weight_as_published() {
    let Some(block) = sample("mainnet", 866_342) else { return };
    let facts = check(&block, 866_342, &Params::mainnet()).unwrap();
    assert_eq!((facts.inputs.len(), facts.inputs.iter().sum::<u32>()), (4863, 7972));
    let stripped: usize = 83 + transactions(&block).iter().map(Transaction::stripped_bytes).sum::<usize>();
    assert_eq!(facts.weight as usize, 3 * stripped + block.len());
}

#[test]
fn accepts_the_contiguous_chains_from_genesis() {
    let mainnet = Params::mainnet();
    for (file, params, count) in [
        ("chain-mainnet/btcd-blk_0_to_14131.dat.zst", &mainnet, 14132),
        ("chain-testnet/blk-testnet.dat", &Params::testnet3(), 401),
    ] {
        let Some(bytes) = testdata::read(file) else { return };
        let frames = testdata::frames(&bytes, params.magic);
        assert_eq!(frames.len(), count);
        for (height, block) in frames.iter().enumerate() {
            assert_eq!(check(block, height as u32, params).err(), None, "{file} {height}");
        }
    }
    let Some(text) = testdata::read("core-vectors/core-functional/kernel-regtest-blocks.txt") else { return };
    for (height, line) in std::str::from_utf8(&text).unwrap().lines().enumerate() {
        check(&testdata::unhex(line), height as u32 + 1, &Params::regtest()).unwrap();
    }
}

#[test]
fn notices_any_changed_byte() {
    for (network, params, height) in
        [("testnet4", Params::testnet4(), 40_000), ("mainnet", Params::mainnet(), 757_739)]
    {
        let Some(block) = sample(network, height) else { return };
        let header: RawHeader = *block.first_chunk().unwrap();
        let context = BlockContext { header: &header, height, params: &params };
        for i in (0..block.len()).step_by(7) {
            let mut changed = block.clone();
            changed[i] ^= 1 << (i % 8);
            assert!(check_block(&changed, &context).is_err(), "{network} byte {i}");
        }
        for end in [0, 79, 80, 81, block.len() - 1] {
            assert!(check_block(&block[..end], &context).is_err(), "{network} cut at {end}");
        }
        let longer = [&block[..], &[0]].concat();
        let fault = EncodingFault::Trailing { offset: block.len() };
        assert_eq!(check_block(&longer, &context), Err(fault.into()));
    }
}

#[test]
fn an_altered_witness_breaks_the_commitment_only() {
    let Some(block) = sample("testnet4", 40_000) else { return };
    let params = Params::testnet4();
    let mut all: Vec<Vec<u8>> = transactions(&block).iter().map(|tx| tx.bytes().to_vec()).collect();
    let i = transactions(&block).iter().rposition(Transaction::has_witness).unwrap();
    let last = all[i].len() - 5; // the last byte of the last witness item
    all[i][last] ^= 1;
    let changed = assemble(&block[..80], &all, false);
    assert_eq!(check(&changed, 40_000, &params), Err(BlockFault::WitnessCommitment));
    // Without its witnesses the block is shorter and hashes to the same root.
    let strip = |tx: &Transaction<'_>| {
        let [version, inputs, lock_time] = tx.parts();
        let outputs = tx.stripped_bytes() - 8 - inputs.len();
        let start = if tx.has_witness() { 6 } else { 4 } + inputs.len();
        [version, inputs, &tx.bytes()[start..start + outputs], lock_time].concat()
    };
    let stripped: Vec<Vec<u8>> = transactions(&block).iter().map(strip).collect();
    let bare = assemble(&block[..80], &stripped, false);
    assert_eq!(check(&bare, 40_000, &params), Err(BlockFault::WitnessReservedSize));
    // Below the height of segwit no witness may be there, committed to or not.
    assert_eq!(check(&block, 40_000, &Params::mainnet()), Err(BlockFault::UnexpectedWitness));
    check(&bare, 40_000, &Params::mainnet()).unwrap();
}

#[test]
fn a_repeated_tail_is_a_mutation_not_another_block() {
    let mut tried = 0;
    for (height, block) in samples("mainnet") {
        let mut all: Vec<Vec<u8>> = transactions(&block).iter().map(|tx| tx.bytes().to_vec()).collect();
        if all.len() < 3 || all.len().is_multiple_of(2) || height > 200_000 {
            continue;
        }
        all.push(all.last().unwrap().clone());
        let doubled = assemble(&block[..80], &all, false);
        assert_eq!(check(&doubled, height, &Params::mainnet()), Err(BlockFault::DuplicateTransactions));
        all.swap(0, 1);
        let swapped = assemble(&block[..80], &all, false);
        assert_eq!(check(&swapped, height, &Params::mainnet()), Err(BlockFault::MerkleRoot));
        tried += 1;
    }
    assert!(tried > 0 || testdata::path("blocks").is_none());
}

#[test]
fn the_coinbase_comes_first_and_alone() {
    let (params, header) = (Params::regtest(), [0; 80]);
    let judge = |transactions: &[Vec<u8>]| check(&assemble(&header, transactions, true), 1, &params);
    let cb = coinbase(&[&[]], &[]);
    judge(std::slice::from_ref(&cb)).unwrap();
    judge(&[cb.clone(), spender(1, 4)]).unwrap(); // 64 bytes are fine behind a coinbase
    assert_eq!(judge(&[spender(1, 0)]), Err(BlockFault::CoinbaseMissing));
    assert_eq!(spender(1, 4).len(), 64);
    assert_eq!(judge(&[spender(1, 4)]), Err(BlockFault::NodeSize));
    assert_eq!(judge(&[cb.clone(), coinbase(&[&[1]], &[])]), Err(BlockFault::CoinbaseMultiple));
    assert_eq!(judge(&[]), Err(BlockFault::Length));
}

#[test]
fn the_last_commitment_counts_and_needs_its_reserved_value() {
    let (params, header) = (Params::regtest(), [0; 80]);
    let judge = |transactions: &[Vec<u8>]| check(&assemble(&header, transactions, true), 1, &params);
    let root =
        merkle_root(vec![[0; 32], Transaction::read(&mut Reader::new(&spender(1, 0))).unwrap().txid()]).0;
    let good = [&COMMITMENT_HEAD[..], &sha256d([&root, &[3; 32]])].concat();
    let bad = [&COMMITMENT_HEAD[..], &[9; 32]].concat();
    let reserved = [&[1, 32][..], &[3; 32]].concat();
    judge(&[coinbase(&[&bad, &good], &reserved), spender(1, 0)]).unwrap();
    judge(&[coinbase(&[&good, &good[..37]], &reserved), spender(1, 0)]).unwrap();
    let wrong = judge(&[coinbase(&[&good, &bad], &reserved), spender(1, 0)]);
    assert_eq!(wrong, Err(BlockFault::WitnessCommitment));
    for witness in [&[][..], &[1, 1, 3], &[&[2, 32][..], &[3; 32], &[0]].concat()] {
        let wrong = judge(&[coinbase(&[&good], witness), spender(1, 0)]);
        assert_eq!(wrong, Err(BlockFault::WitnessReservedSize));
    }
    assert_eq!(judge(&[coinbase(&[], &reserved)]), Err(BlockFault::UnexpectedWitness));
}

#[test]
fn bounds_bytes_and_weight() {
    let (params, header) = (Params::regtest(), [0; 80]);
    let judge = |transactions: &[Vec<u8>]| check(&assemble(&header, transactions, true), 1, &params);
    let cb = coinbase(&[&[]], &[]);
    let room = 1_000_000 - 81 - cb.len() - spender(1, 70_000).len();
    judge(&[cb.clone(), spender(1, 70_000 + room)]).unwrap();
    assert_eq!(judge(&[cb.clone(), spender(1, 70_001 + room)]), Err(BlockFault::Length));
    assert_eq!(judge(&[cb, spender(1, 4_000_000)]), Err(BlockFault::Length));
    // 950,000 bytes without witness leave 200,000 for it.
    let spend = spender(1, 949_000);
    let weigh = |witness: usize| {
        let [head, tail] = [&spend[..4], &spend[spend.len() - 4..]];
        let mut item = vec![1];
        push_compact_size(&mut item, witness as u64);
        item.resize(item.len() + witness, 0);
        let heavy = [head, &[0, 1], &spend[4..spend.len() - 4], &item, tail].concat();
        let root = merkle_root(vec![[0; 32], Transaction::read(&mut Reader::new(&heavy)).unwrap().wtxid()]).0;
        let commitment = [&COMMITMENT_HEAD[..], &sha256d([&root, &[0; 32]])].concat();
        judge(&[coinbase(&[&commitment], &[&[1, 32][..], &[0; 32]].concat()), heavy])
    };
    let weight = weigh(199_000).unwrap().weight as usize;
    assert_eq!(weigh(199_000 + 4_000_000 - weight).unwrap().weight, 4_000_000);
    assert_eq!(weigh(199_001 + 4_000_000 - weight), Err(BlockFault::Weight));
}

#[test]
fn agrees_with_core_on_its_recorded_acceptance_tests() {
    let ours =
        ["bad-blk-length", "bad-cb-missing", "bad-cb-multiple", "bad-txnmrklroot", "bad-txns-duplicate"];
    let (mut accepted, mut rejected) = (0, 0);
    for file in ["core-feature_block", "core-p2p_invalid_block"] {
        let Some(lines) = testdata::read(&format!("acceptance/{file}.jsonl.zst")) else { return };
        for line in
            std::str::from_utf8(&lines).unwrap().lines().filter(|line| line.contains("\"p2p_blocks\""))
        {
            let reason = testdata::json_values(line, "reject_reason")[0];
            let raws = testdata::json_values(line, "raw");
            let Some((last, before)) = raws.split_last() else { continue };
            for raw in before {
                check(&testdata::unhex(raw), 1000, &Params::regtest()).unwrap();
            }
            let verdict = check(&testdata::unhex(last), 1000, &Params::regtest());
            if reason == "null" {
                assert_eq!(verdict.err(), None);
                accepted += 1;
            } else if ours.contains(&reason) {
                assert_eq!(verdict.unwrap_err().to_string(), reason);
                rejected += 1;
            } else if reason.starts_with("non-canonical") {
                assert!(matches!(verdict, Err(BlockFault::Encoding(EncodingFault::NotShortest { .. }))));
                rejected += 1;
            }
        }
    }
    assert!(accepted > 50 && rejected >= 8, "{accepted} {rejected}");
}

#[cfg(feature = "engine")]
#[test]
fn signet_blocks_need_their_solution() {
    let signet = Params::signet();
    for (height, block) in samples("signet") {
        check(&block, height, &signet).unwrap();
        let open = Params::custom_signet(&[0x51]);
        check(&block, height, &open).unwrap();
        let closed = Params::custom_signet(&[0x00]);
        assert_eq!(check(&block, height, &closed), Err(BlockFault::SignetSolution));
    }
    let Some(text) = testdata::read("chain-testnet/floresta-signet-blocks.json") else { return };
    let blocks = String::from_utf8(text).unwrap();
    let blocks = testdata::json_values(&blocks, "block");
    assert_eq!(blocks.len(), 121);
    for (height, raw) in blocks.iter().enumerate() {
        check(&testdata::unhex(raw), height as u32, &signet).unwrap();
    }
    let lines = testdata::read("acceptance/core-feature_signet.jsonl.zst").unwrap();
    let lines = std::str::from_utf8(&lines).unwrap();
    // The last one goes to a node that asks for both of the two keys.
    let both_keys = lines.split("-signetchallenge=").find(|rest| rest.starts_with("52")).unwrap();
    let both_keys = Params::custom_signet(&testdata::unhex(both_keys.split('"').next().unwrap()));
    let mut results = Vec::new();
    for line in lines.lines().filter(|line| line.contains("\"submitblock\"")) {
        let params = if line.contains("incompatible") { &both_keys } else { &signet };
        let verdict = check(&testdata::unhex(testdata::json_values(line, "raw")[0]), 1, params);
        let expected = testdata::json_values(line, "result")[0];
        assert_eq!(verdict.map_or_else(|fault| fault.to_string(), |_| "null".into()), expected);
        results.push(expected);
    }
    assert_eq!((results.len(), results.last().copied()), (11, Some("bad-signet-blksig")));
    // A changed solution keeps the witness commitment but moves the merkle root: mend it, and it is unsigned.
    let block = testdata::unhex(blocks[5]);
    let mut coinbase = transactions(&block)[0].bytes().to_vec();
    let head = coinbase.windows(4).position(|window| window == [0xec, 0xc7, 0xda, 0xa2]).unwrap();
    coinbase[head + 20] ^= 1;
    assert_eq!(
        check(&assemble(&block[..80], &[coinbase], true), 5, &signet),
        Err(BlockFault::SignetSolution)
    );
}

#[cfg(not(feature = "engine"))]
#[test]
fn a_build_without_engine_proves_no_signet_block() {
    let mut block = coinbase(&[&[]], &[]);
    block = assemble(&[0; 80], &[block], true);
    assert_eq!(check(&block, 1, &Params::signet()), Err(BlockFault::NeedsEngine));
}

proptest! {
    #[test]
    fn never_panics_on_random_bytes(tail: Vec<u8>, count: u8) {
        let params = Params::regtest();
        let block = [&[0; 80][..], &[count], &tail].concat();
        let _ = check(&block, 1, &params);
        let _ = check_block(&tail, &BlockContext { header: &[0; 80], height: 1, params: &params });
    }
}
