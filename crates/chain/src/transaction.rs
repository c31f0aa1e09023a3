//! One transaction, read in place: nothing is copied, nothing is kept but slices of the block.
//!
//! Accepts exactly what Core's `UnserializeTransaction` accepts and would write back byte for byte
//! (`primitives/transaction.h`, BIP 144). Says nothing about whether the transaction is valid.

use blockswarm_pieces::sha::sha256d_many;

use crate::coins::OutPoint;
use crate::encode::{EncodingFault, Hash, Reader, sha256d};

/// Bytes of an input with an empty script: outpoint, length, sequence.
const LEAST_INPUT_BYTES: usize = 41;
/// Bytes of an output with an empty script: value, length.
const LEAST_OUTPUT_BYTES: usize = 9;
/// Bytes of the shortest thing that parses as a transaction.
pub const LEAST_TRANSACTION_BYTES: usize = 10;

/// A transaction as slices of the bytes it was read from.
#[derive(Debug, Clone, Copy)]
pub struct Transaction<'a> {
    bytes: &'a [u8],
    version: &'a [u8],
    /// The count of inputs and the inputs.
    inputs: &'a [u8],
    /// The count of outputs and the outputs.
    outputs: &'a [u8],
    /// One stack for each input; empty when there is no witness.
    witness: &'a [u8],
    lock_time: &'a [u8],
    input_count: usize,
}

/// An input, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Id of the transaction whose output is spent, internal order.
    pub prev_txid: &'a Hash,
    /// Which of its outputs.
    pub prev_index: u32,
    /// The unlocking script.
    pub script: &'a [u8],
    /// The sequence number.
    pub sequence: u32,
}

impl<'a> Input<'a> {
    /// The output that is spent.
    pub fn outpoint(&self) -> OutPoint<'a> {
        OutPoint { txid: self.prev_txid, index: self.prev_index }
    }
}

/// An output, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// Satoshi; anything, as it is not judged here.
    pub value: u64,
    /// The locking script.
    pub script: &'a [u8],
}

impl<'a> Transaction<'a> {
    /// Reads the next transaction. Offsets in a fault are the reader's.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, EncodingFault> {
        let start = reader.offset();
        let version = reader.take(4)?;
        let (mut inputs, mut input_count) = read_list(reader, LEAST_INPUT_BYTES, read_input)?;
        let outputs;
        let mut witness = &[][..];
        if input_count > 0 {
            outputs = read_list(reader, LEAST_OUTPUT_BYTES, read_output)?.0;
        } else {
            // No inputs: either the marker of the witness form, or really none (then Core reads no outputs).
            let flags_offset = reader.offset();
            match reader.u8()? {
                0 => outputs = reader.since(flags_offset),
                1 => {
                    (inputs, input_count) = read_list(reader, LEAST_INPUT_BYTES, read_input)?;
                    outputs = read_list(reader, LEAST_OUTPUT_BYTES, read_output)?.0;
                    let witness_start = reader.offset();
                    let mut items = 0;
                    for _ in 0..input_count {
                        items += read_stack(reader)?;
                    }
                    if items == 0 {
                        return Err(EncodingFault::SuperfluousWitness { offset: start });
                    }
                    witness = reader.since(witness_start);
                }
                _ => return Err(EncodingFault::UnknownFlags { offset: flags_offset }),
            }
        }
        let lock_time = reader.take(4)?;
        Ok(Self { bytes: reader.since(start), version, inputs, outputs, witness, lock_time, input_count })
    }

    /// All its bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The number of inputs.
    pub fn input_count(&self) -> usize {
        self.input_count
    }

    /// Whether any input has a witness.
    pub fn has_witness(&self) -> bool {
        !self.witness.is_empty()
    }

    /// Bytes without the witness.
    pub fn stripped_bytes(&self) -> usize {
        8 + self.inputs.len() + self.outputs.len()
    }

    /// Hash without the witness: the transaction's id.
    pub fn txid(&self) -> Hash {
        sha256d([self.version, self.inputs, self.outputs, self.lock_time])
    }

    /// Hash with the witness.
    pub fn wtxid(&self) -> Hash {
        sha256d([self.bytes])
    }

    /// Whether it spends nothing but the null outpoint.
    pub fn is_coinbase(&self) -> bool {
        self.input_count == 1
            && self
                .inputs()
                .next()
                .is_some_and(|input| *input.prev_txid == [0; 32] && input.prev_index == u32::MAX)
    }

    /// The inputs in order.
    pub fn inputs(&self) -> impl Iterator<Item = Input<'a>> + use<'a> {
        list(self.inputs, read_input)
    }

    /// The outputs in order.
    pub fn outputs(&self) -> impl Iterator<Item = Output<'a>> + use<'a> {
        list(self.outputs, read_output)
    }

    /// The witness items of the first input, in order; none without a witness.
    pub fn first_witness(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        list(self.witness, Reader::var_bytes)
    }

    /// The number of witness items of each input and the last of them, in the order of the inputs; none without a
    /// witness.
    pub fn last_witness_items(&self) -> impl Iterator<Item = (usize, &'a [u8])> + use<'a> {
        let mut reader = Reader::new(self.witness);
        let stacks = if self.has_witness() { self.input_count } else { 0 };
        (0..stacks).map_while(move |_| {
            let count = reader.count(1).ok()?;
            let mut last = &[][..];
            for _ in 0..count {
                last = reader.var_bytes().ok()?;
            }
            Some((count, last))
        })
    }

    /// The version, unsigned as consensus reads it.
    pub fn version(&self) -> u32 {
        self.version.first_chunk().copied().map_or(0, u32::from_le_bytes)
    }

    /// The lock time.
    pub fn lock_time(&self) -> u32 {
        self.lock_time.first_chunk().copied().map_or(0, u32::from_le_bytes)
    }

    /// The parts of the form without witness, for hashing with other outputs: version, inputs, lock time.
    pub fn parts(&self) -> [&'a [u8]; 3] {
        [self.version, self.inputs, self.lock_time]
    }
}

/// Appends the id of each transaction and its hash with the witness, all hashed together.
pub fn push_ids(transactions: &[Transaction<'_>], txids: &mut Vec<Hash>, wtxids: &mut Vec<Hash>) {
    let witnessed = || transactions.iter().filter(|transaction| transaction.has_witness());
    let mut stripped = Vec::with_capacity(witnessed().map(Transaction::stripped_bytes).sum());
    for transaction in witnessed() {
        for part in [transaction.version, transaction.inputs, transaction.outputs, transaction.lock_time] {
            stripped.extend_from_slice(part);
        }
    }
    let mut rest = &stripped[..];
    let mut messages: Vec<&[u8]> = Vec::with_capacity(2 * transactions.len());
    for transaction in transactions {
        messages.push(if transaction.has_witness() {
            let (own, others) = rest.split_at(transaction.stripped_bytes());
            rest = others;
            own
        } else {
            transaction.bytes
        });
    }
    messages.extend(witnessed().map(|transaction| transaction.bytes));
    let mut hashes = vec![[0; 32]; messages.len()];
    sha256d_many(&messages, &mut hashes);
    let (plain, witness) = hashes.split_at(transactions.len());
    let mut witness = witness.iter();
    txids.extend_from_slice(plain);
    wtxids.extend(transactions.iter().zip(plain).map(|(transaction, txid)| {
        let own = if transaction.has_witness() { witness.next() } else { None };
        *own.unwrap_or(txid)
    }));
}

fn read_list<'a, T>(
    reader: &mut Reader<'a>,
    least_bytes: usize,
    read: fn(&mut Reader<'a>) -> Result<T, EncodingFault>,
) -> Result<(&'a [u8], usize), EncodingFault> {
    let start = reader.offset();
    let count = reader.count(least_bytes)?;
    for _ in 0..count {
        read(reader)?;
    }
    Ok((reader.since(start), count))
}

/// Reads again what `read_list` has already found to be good.
fn list<'a, T>(
    bytes: &'a [u8],
    read: fn(&mut Reader<'a>) -> Result<T, EncodingFault>,
) -> impl Iterator<Item = T> + use<'a, T> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(1).unwrap_or(0);
    (0..count).map_while(move |_| read(&mut reader).ok())
}

fn read_input<'a>(reader: &mut Reader<'a>) -> Result<Input<'a>, EncodingFault> {
    Ok(Input {
        prev_txid: reader.array()?,
        prev_index: reader.u32()?,
        script: reader.var_bytes()?,
        sequence: reader.u32()?,
    })
}

fn read_output<'a>(reader: &mut Reader<'a>) -> Result<Output<'a>, EncodingFault> {
    Ok(Output { value: reader.u64()?, script: reader.var_bytes()? })
}

/// Passes over one witness stack; how many items it has.
fn read_stack(reader: &mut Reader<'_>) -> Result<usize, EncodingFault> {
    let items = reader.count(1)?;
    for _ in 0..items {
        reader.var_bytes()?;
    }
    Ok(items)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::testdata;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<(Transaction<'_>, usize), EncodingFault> {
        let mut reader = Reader::new(bytes);
        let transaction = Transaction::read(&mut reader)?;
        Ok((transaction, reader.remaining()))
    }

    /// Version 1, one input without script, one output without script; `witness` before the lock time.
    fn with_witness(flags: &[u8], witness: &[u8]) -> Vec<u8> {
        [&[1, 0, 0, 0][..], flags, &[1], &[9; 36], &[0], &[0; 4], &[1], &[0; 9], witness, &[0; 4]].concat()
    }

    #[test]
    fn reads_both_forms() {
        let bytes = with_witness(&[], &[]);
        let (plain, rest) = read(&bytes).unwrap();
        assert_eq!((rest, plain.input_count(), plain.has_witness()), (0, 1, false));
        assert_eq!((plain.txid(), plain.stripped_bytes()), (plain.wtxid(), 60));
        let bytes = with_witness(&[0, 1], &[2, 1, 7, 0]);
        let (witness, _) = read(&bytes).unwrap();
        assert_eq!((witness.txid(), witness.stripped_bytes()), (plain.txid(), 60));
        assert_ne!(witness.wtxid(), witness.txid());
        assert_eq!(witness.first_witness().collect::<Vec<_>>(), [&[7][..], &[]]);
        assert_eq!((witness.inputs().count(), witness.outputs().count()), (1, 1));
    }

    #[test]
    fn rejects_an_empty_witness_and_unknown_flags() {
        let empty = with_witness(&[0, 1], &[0]);
        assert_eq!(read(&empty).unwrap_err(), EncodingFault::SuperfluousWitness { offset: 0 });
        for flags in [2, 3, 0x81] {
            let bytes = with_witness(&[0, flags], &[1, 0]);
            assert_eq!(read(&bytes).unwrap_err(), EncodingFault::UnknownFlags { offset: 5 });
        }
    }

    #[test]
    fn a_transaction_without_inputs_has_no_outputs_either() {
        let bytes = [1, 0, 0, 0, 0, 0, 5, 0, 0, 0];
        let (empty, rest) = read(&bytes).unwrap();
        assert_eq!((rest, empty.input_count(), empty.stripped_bytes()), (0, 0, LEAST_TRANSACTION_BYTES));
        assert_eq!((empty.txid(), empty.is_coinbase()), (empty.wtxid(), false));
    }

    #[test]
    fn reads_the_mainnet_transaction_with_half_a_million_witness_items() {
        let Some(hex) = testdata::read("core-vectors/rust-bitcoin/huge_witness.hex.zst") else { return };
        let bytes = testdata::unhex(std::str::from_utf8(&hex).unwrap().trim());
        let (huge, rest) = read(&bytes).unwrap();
        assert_eq!((rest, huge.first_witness().count()), (0, 500_003));
    }

    proptest! {
        #[test]
        fn never_panics_on_random_bytes(bytes: Vec<u8>, flag: bool) {
            let _ = read(&bytes);
            let mut made = with_witness(if flag { &[0, 1] } else { &[] }, &bytes);
            if let Ok((transaction, _)) = read(&made) {
                let _ = (transaction.txid(), transaction.inputs().count(), transaction.outputs().count());
            }
            if let Some(byte) = made.get_mut(5) { *byte = 0xfe; }
            let _ = read(&made);
        }
    }
}
