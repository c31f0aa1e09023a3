//! Transactions and blocks made by hand. Shares no encoding with what it tests but CompactSize.

use crate::encode::{Hash, Reader, push_compact_size, sha256d};
use crate::header::Header;
use crate::merkle::merkle_root;
use crate::params::Params;
use crate::pow;
use crate::transaction::Transaction;

/// An input: transaction and output, unlocking script, sequence.
#[derive(Debug, Clone, Default)]
pub struct In {
    pub txid: Hash,
    pub index: u32,
    pub script: Vec<u8>,
    pub sequence: u32,
    pub witness: Vec<Vec<u8>>,
}

/// A transaction in parts.
#[derive(Debug, Clone, Default)]
pub struct Tx {
    pub version: u32,
    pub inputs: Vec<In>,
    /// Values and scripts.
    pub outputs: Vec<(u64, Vec<u8>)>,
    pub lock_time: u32,
}

impl Tx {
    /// Takes one apart, without its witnesses.
    pub fn of(transaction: &Transaction<'_>) -> Self {
        let inputs = transaction.inputs().map(|input| In {
            txid: *input.prev_txid,
            index: input.prev_index,
            script: input.script.to_vec(),
            sequence: input.sequence,
            witness: Vec::new(),
        });
        Self {
            version: transaction.version(),
            inputs: inputs.collect(),
            outputs: transaction.outputs().map(|output| (output.value, output.script.to_vec())).collect(),
            lock_time: transaction.lock_time(),
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode(self.inputs.iter().any(|input| !input.witness.is_empty()))
    }

    pub fn txid(&self) -> Hash {
        sha256d([&self.encode(false)])
    }

    fn encode(&self, with_witness: bool) -> Vec<u8> {
        let mut bytes = self.version.to_le_bytes().to_vec();
        if with_witness {
            bytes.extend([0, 1]);
        }
        push_compact_size(&mut bytes, self.inputs.len() as u64);
        for input in &self.inputs {
            bytes.extend(input.txid);
            bytes.extend(input.index.to_le_bytes());
            push_var_bytes(&mut bytes, &input.script);
            bytes.extend(input.sequence.to_le_bytes());
        }
        push_compact_size(&mut bytes, self.outputs.len() as u64);
        for (value, script) in &self.outputs {
            bytes.extend(value.to_le_bytes());
            push_var_bytes(&mut bytes, script);
        }
        for input in self.inputs.iter().filter(|_| with_witness) {
            push_compact_size(&mut bytes, input.witness.len() as u64);
            input.witness.iter().for_each(|item| push_var_bytes(&mut bytes, item));
        }
        bytes.extend(self.lock_time.to_le_bytes());
        bytes
    }
}

fn push_var_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_compact_size(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The transaction that these bytes are.
pub fn parse(bytes: &[u8]) -> Transaction<'_> {
    let mut reader = Reader::new(bytes);
    let transaction = Transaction::read(&mut reader).unwrap();
    assert!(reader.is_empty());
    transaction
}

/// The commitment to the witnesses of a block with the reserved value 0, as an output of no value.
pub fn commitment(transactions: &[Tx]) -> (u64, Vec<u8>) {
    let mut wtxids: Vec<Hash> = transactions.iter().map(|tx| sha256d([&tx.to_bytes()])).collect();
    wtxids[0] = [0; 32];
    let root = merkle_root(wtxids).0;
    (0, [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], &sha256d([&root, &[0; 32]])].concat())
}

/// The merkle root of the ids.
pub fn root(transactions: &[Tx]) -> Hash {
    merkle_root(transactions.iter().map(Tx::txid).collect()).0
}

/// Tries nonces until the header meets its own target, at regtest's difficulty.
pub fn mine(mut header: Header) -> Header {
    let limit = Params::regtest().pow_limit;
    while !pow::meets_target(&header.hash(), header.bits, &limit) {
        header.nonce += 1;
    }
    header
}

/// A block in full serialization.
pub fn block(header: &Header, transactions: &[Tx]) -> Vec<u8> {
    let mut bytes = header.to_bytes().to_vec();
    push_compact_size(&mut bytes, transactions.len() as u64);
    bytes.extend(transactions.iter().flat_map(Tx::to_bytes));
    bytes
}
