//! Transactions and their encoding (BIP 144).
use sha2::{Digest, Sha256};

const OP_0: u8 = 0x00;
const OP_1: u8 = 0x51;
const OP_RETURN: u8 = 0x6a;

/// What an input spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutPoint {
    /// The transaction that made the coin, internal order.
    pub txid: [u8; 32],
    /// The output's place in it.
    pub index: u32,
}

/// An input.
#[derive(Debug, Clone)]
pub struct Input {
    /// The coin.
    pub spent: OutPoint,
    /// `scriptSig`.
    pub script: Vec<u8>,
    /// `nSequence`.
    pub sequence: u32,
    /// Items of its witness, the first pushed first.
    pub witness: Vec<Vec<u8>>,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its amount.
    pub value_satoshi: u64,
    /// `scriptPubKey`.
    pub script: Vec<u8>,
}

/// An unspendable output that carries `data` as it is, pushed or not.
pub fn data_output(data: &[u8]) -> Output {
    let mut script = vec![OP_RETURN];
    script.extend_from_slice(data);
    Output { value_satoshi: 0, script }
}

/// A transaction of version 2 without lock time.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Its inputs.
    pub inputs: Vec<Input>,
    /// Its outputs.
    pub outputs: Vec<Output>,
}

/// A transaction as it goes into a block.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// Full encoding; without any witness it has the old form.
    pub bytes: Vec<u8>,
    /// Bytes that count four times towards the block's weight.
    pub base_bytes: usize,
    /// SHA-256d of the encoding without witness, internal order.
    pub txid: [u8; 32],
    /// SHA-256d of the full encoding.
    pub wtxid: [u8; 32],
}

impl Encoded {
    /// What it adds to a block's weight (BIP 141).
    pub fn weight(&self) -> usize {
        self.base_bytes * 3 + self.bytes.len()
    }
}

impl Transaction {
    /// The coinbase of `height` (BIP 34), with its witness reserved value (BIP 141). Those of two branches differ.
    pub fn coinbase(height: u32, branch: u32, outputs: Vec<Output>) -> Self {
        let spent = OutPoint { txid: [0; 32], index: u32::MAX };
        let script = coinbase_script(height, branch);
        Self {
            inputs: vec![Input { spent, script, sequence: u32::MAX, witness: vec![vec![0; 32]] }],
            outputs,
        }
    }

    /// Encodes and hashes it.
    pub fn encoded(&self) -> Encoded {
        let base = self.encode(false);
        let (base_bytes, txid) = (base.len(), sha256d(&base));
        if self.inputs.iter().all(|input| input.witness.is_empty()) {
            return Encoded { bytes: base, base_bytes, txid, wtxid: txid };
        }
        let bytes = self.encode(true);
        let wtxid = sha256d(&bytes);
        Encoded { bytes, base_bytes, txid, wtxid }
    }

    /// SHA-256d of the encoding without witness.
    pub fn txid(&self) -> [u8; 32] {
        sha256d(&self.encode(false))
    }

    fn encode(&self, with_witness: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + 150 * self.inputs.len() + 44 * self.outputs.len());
        bytes.extend_from_slice(&2u32.to_le_bytes());
        if with_witness {
            bytes.extend_from_slice(&[0, 1]);
        }
        push_compact_size(&mut bytes, self.inputs.len());
        for input in &self.inputs {
            push_outpoint(&mut bytes, &input.spent);
            push_bytes(&mut bytes, &input.script);
            bytes.extend_from_slice(&input.sequence.to_le_bytes());
        }
        push_compact_size(&mut bytes, self.outputs.len());
        for output in &self.outputs {
            push_output(&mut bytes, output);
        }
        if with_witness {
            for input in &self.inputs {
                push_compact_size(&mut bytes, input.witness.len());
                for item in &input.witness {
                    push_bytes(&mut bytes, item);
                }
            }
        }
        bytes.extend_from_slice(&0u32.to_le_bytes());
        bytes
    }
}

/// BIP 34: the height as a minimal push, then one more push so that height 1 has the two bytes that a coinbase
/// needs: nothing, or the number of a branch.
fn coinbase_script(height: u32, branch: u32) -> Vec<u8> {
    let mut script = if let Ok(small @ 1..=16) = u8::try_from(height) {
        vec![OP_1 - 1 + small]
    } else {
        let mut number = height.to_le_bytes().to_vec();
        while number.last() == Some(&0) {
            number.pop();
        }
        // A set high bit would be the number's sign.
        if number.last().is_some_and(|byte| byte & 0x80 != 0) {
            number.push(0);
        }
        number.insert(0, number.len() as u8);
        number
    };
    if branch == 0 {
        script.push(OP_0);
    } else {
        push_bytes(&mut script, &branch.to_le_bytes());
    }
    script
}

/// SHA-256 twice, Bitcoin's hash.
pub fn sha256d(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// Bitcoin's CompactSize.
pub fn push_compact_size(bytes: &mut Vec<u8>, value: usize) {
    match value {
        0..=0xfc => bytes.push(value as u8),
        0xfd..=0xffff => {
            bytes.push(0xfd);
            bytes.extend_from_slice(&(value as u16).to_le_bytes());
        }
        _ => {
            bytes.push(0xfe);
            bytes.extend_from_slice(&(value as u32).to_le_bytes());
        }
    }
}

/// Data behind its length.
pub fn push_bytes(bytes: &mut Vec<u8>, data: &[u8]) {
    push_compact_size(bytes, data.len());
    bytes.extend_from_slice(data);
}

/// 36 bytes.
pub fn push_outpoint(bytes: &mut Vec<u8>, spent: &OutPoint) {
    bytes.extend_from_slice(&spent.txid);
    bytes.extend_from_slice(&spent.index.to_le_bytes());
}

/// Amount and script.
pub fn push_output(bytes: &mut Vec<u8>, output: &Output) {
    bytes.extend_from_slice(&output.value_satoshi.to_le_bytes());
    push_bytes(bytes, &output.script);
}
