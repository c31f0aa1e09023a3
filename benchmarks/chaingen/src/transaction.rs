//! Transactions (BIP 144 encoding) that spend coins anyone can spend, under four kinds of lock.
use crate::filler::Filler;
use sha2::{Digest, Sha256};

const OP_0: u8 = 0x00;
const PUSH_20: u8 = 0x14;
const PUSH_32: u8 = 0x20;
const OP_TRUE: u8 = 0x51;
const OP_RETURN: u8 = 0x6a;
const OP_2DROP: u8 = 0x6d;
const OP_EQUAL: u8 = 0x87;
const OP_HASH160: u8 = 0xa9;

/// Witness items that a [`Lock::Drop`] coin takes: two for each of its 100 `OP_2DROP` (201 operations are allowed).
const DROP_ITEMS: u32 = 200;
/// Consensus limit of one witness item of a version 0 script.
const ITEM_BYTES_LIMIT: u32 = 520;

/// How a coin is locked; every one of them is open to anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// `OP_TRUE` itself.
    Bare,
    /// P2SH of `OP_TRUE` (BIP 16).
    ScriptHash,
    /// P2WSH of `OP_TRUE` (BIP 141).
    Witness,
    /// P2WSH in P2SH of `OP_TRUE`.
    Nested,
    /// P2WSH of 100 `OP_2DROP` and `OP_TRUE`: takes 200 witness items of any content.
    Drop,
}

impl Lock {
    fn witness_script(self) -> Vec<u8> {
        let mut script = match self {
            Self::Drop => vec![OP_2DROP; DROP_ITEMS as usize / 2],
            _ => Vec::new(),
        };
        script.push(OP_TRUE);
        script
    }

    fn witness_program(self) -> Vec<u8> {
        let mut program = vec![OP_0, PUSH_32];
        program.extend_from_slice(&Sha256::digest(self.witness_script()));
        program
    }

    /// The output script.
    fn script(self) -> Vec<u8> {
        match self {
            Self::Bare => vec![OP_TRUE],
            Self::Witness | Self::Drop => self.witness_program(),
            // HASH160 of the redeem scripts `51` and `0020 || SHA-256(51)`: constants, or this tool would need
            // RIPEMD-160 for two values.
            Self::ScriptHash => script_hash(&TRUE_HASH160),
            Self::Nested => script_hash(&NESTED_TRUE_HASH160),
        }
    }

    /// What the input's script must push.
    fn redeem(self) -> Vec<u8> {
        match self {
            Self::ScriptHash => vec![1, OP_TRUE],
            Self::Nested => {
                let program = self.witness_program();
                let mut push = vec![program.len() as u8];
                push.extend_from_slice(&program);
                push
            }
            _ => Vec::new(),
        }
    }

    fn witness(self) -> Vec<Vec<u8>> {
        match self {
            Self::Bare | Self::ScriptHash => Vec::new(),
            Self::Witness | Self::Nested => vec![self.witness_script()],
            Self::Drop => {
                let mut items = vec![Vec::new(); DROP_ITEMS as usize];
                items.push(self.witness_script());
                items
            }
        }
    }
}

const TRUE_HASH160: [u8; 20] = [
    0xda, 0x17, 0x45, 0xe9, 0xb5, 0x49, 0xbd, 0x0b, 0xfa, 0x1a, 0x56, 0x99, 0x71, 0xc7, 0x7e, 0xba, 0x30,
    0xcd, 0x5a, 0x4b,
];
const NESTED_TRUE_HASH160: [u8; 20] = [
    0x72, 0xc4, 0x4f, 0x95, 0x7f, 0xc0, 0x11, 0xd9, 0x7e, 0x34, 0x06, 0x66, 0x7d, 0xca, 0x5b, 0x1c, 0x93,
    0x0c, 0x40, 0x26,
];

fn script_hash(hash: &[u8; 20]) -> Vec<u8> {
    let mut script = vec![OP_HASH160, PUSH_20];
    script.extend_from_slice(hash);
    script.push(OP_EQUAL);
    script
}

/// An unspent output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    txid: [u8; 32],
    index: u32,
    value_satoshi: u64,
    lock: Lock,
}

#[derive(Debug, Clone)]
struct Input {
    txid: [u8; 32],
    index: u32,
    script: Vec<u8>,
    witness: Vec<Vec<u8>>,
}

/// A transaction's output; without a lock it carries data and makes no coin.
#[derive(Debug, Clone)]
pub struct Output {
    value_satoshi: u64,
    script: Vec<u8>,
    lock: Option<Lock>,
}

/// An output of `value_satoshi` under `lock`.
pub fn output(value_satoshi: u64, lock: Lock) -> Output {
    Output { value_satoshi, script: lock.script(), lock: Some(lock) }
}

/// An unspendable output that carries `data`.
pub fn data_output(data: &[u8]) -> Output {
    let mut script = vec![OP_RETURN];
    script.extend_from_slice(data);
    Output { value_satoshi: 0, script, lock: None }
}

/// A transaction.
#[derive(Debug, Clone)]
pub struct Transaction {
    inputs: Vec<Input>,
    /// Its outputs; data may be added before the transaction is encoded.
    pub outputs: Vec<Output>,
}

impl Transaction {
    /// The coinbase of `height` (BIP 34), with its witness reserved value (BIP 141).
    pub fn coinbase(height: u32, outputs: Vec<Output>) -> Self {
        let script = coinbase_script(height);
        Self {
            inputs: vec![Input { txid: [0; 32], index: u32::MAX, script, witness: vec![vec![0; 32]] }],
            outputs,
        }
    }

    /// Spends `coins`, less `fee_satoshi`, in equal parts to `locks`.
    pub fn spend(coins: &[Coin], fee_satoshi: u64, locks: &[Lock]) -> Self {
        let inputs = coins
            .iter()
            .map(|coin| Input {
                txid: coin.txid,
                index: coin.index,
                script: coin.lock.redeem(),
                witness: coin.lock.witness(),
            })
            .collect();
        let value: u64 = coins.iter().map(|coin| coin.value_satoshi).sum();
        let each = value.saturating_sub(fee_satoshi) / (locks.len() as u64).max(1);
        Self { inputs, outputs: locks.iter().map(|lock| output(each, *lock)).collect() }
    }

    /// Puts up to `bytes` of filler into the empty items of its witnesses; returns how many it took.
    pub fn fill_witness(&mut self, filler: &mut Filler, bytes: u32) -> u32 {
        let mut left = bytes;
        for item in self.inputs.iter_mut().flat_map(|input| &mut input.witness) {
            if item.is_empty() && left > 0 {
                let part = left.min(ITEM_BYTES_LIMIT);
                *item = filler.bytes(part);
                left -= part;
            }
        }
        bytes - left
    }

    /// The coins it makes, in output order.
    pub fn coins(&self) -> Vec<Coin> {
        let txid = self.txid();
        let coin = |(index, output): (usize, &Output)| {
            output.lock.map(|lock| Coin {
                txid,
                index: index as u32,
                value_satoshi: output.value_satoshi,
                lock,
            })
        };
        self.outputs.iter().enumerate().filter_map(coin).collect()
    }

    /// SHA-256d of the encoding without witness.
    pub fn txid(&self) -> [u8; 32] {
        sha256d(&self.encode(false))
    }

    /// The full encoding; a transaction without any witness has the old form.
    pub fn encode_full(&self) -> Vec<u8> {
        self.encode(self.inputs.iter().any(|input| !input.witness.is_empty()))
    }

    fn encode(&self, with_witness: bool) -> Vec<u8> {
        let mut bytes = 2u32.to_le_bytes().to_vec();
        if with_witness {
            bytes.extend_from_slice(&[0, 1]);
        }
        push_compact_size(&mut bytes, self.inputs.len());
        for input in &self.inputs {
            bytes.extend_from_slice(&input.txid);
            bytes.extend_from_slice(&input.index.to_le_bytes());
            push_bytes(&mut bytes, &input.script);
            bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        }
        push_compact_size(&mut bytes, self.outputs.len());
        for output in &self.outputs {
            bytes.extend_from_slice(&output.value_satoshi.to_le_bytes());
            push_bytes(&mut bytes, &output.script);
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

/// BIP 34: the height as a minimal push, then one more push so that height 1 has the two bytes that a coinbase needs.
fn coinbase_script(height: u32) -> Vec<u8> {
    let mut script = if let Ok(small @ 1..=16) = u8::try_from(height) {
        vec![OP_TRUE - 1 + small]
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
    script.push(OP_0);
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

fn push_bytes(bytes: &mut Vec<u8>, data: &[u8]) {
    push_compact_size(bytes, data.len());
    bytes.extend_from_slice(data);
}
