//! Signatures over transactions: the old way, BIP 143 and BIP 341. Nonces are deterministic (RFC 6979; BIP 340
//! without randomness), so that the same transaction gets the same signature on every host.
use crate::keys::{Keys, Kind, Leaf, Lock, tagged};
use crate::transaction::{
    Input, OutPoint, Output, Transaction, push_bytes, push_compact_size, push_outpoint, push_output, sha256d,
};
use secp256k1::{Keypair, Message, Secp256k1, SignOnly};
use sha2::{Digest, Sha256};

const OP_PUSHDATA1: u8 = 0x4c;
const SIGHASH_ALL: u8 = 1;
/// Opts in to being replaced (BIP 125), as most of today's transactions do; sets no lock (BIP 68).
const SEQUENCE: u32 = 0xffff_fffd;
const VERSION: [u8; 4] = 2u32.to_le_bytes();
const LOCK_TIME: [u8; 4] = 0u32.to_le_bytes();

/// An unspent output.
#[derive(Debug, Clone, Copy)]
pub struct Coin {
    /// Where it is.
    pub spent: OutPoint,
    /// Its amount.
    pub value_satoshi: u64,
    /// How it is locked.
    pub lock: Lock,
}

/// What an input spends.
#[derive(Debug, Clone)]
pub enum Spend {
    /// An ordinary coin.
    Coin(Coin),
    /// A taproot output by an envelope committed to for this.
    Envelope {
        /// Where it is.
        spent: OutPoint,
        /// Its amount.
        value_satoshi: u64,
        /// The key that signs.
        key: u8,
        /// The script.
        leaf: Leaf,
    },
}

impl Spend {
    fn spent(&self) -> OutPoint {
        match self {
            Self::Coin(coin) => coin.spent,
            Self::Envelope { spent, .. } => *spent,
        }
    }

    fn output(&self, keys: &Keys) -> Output {
        match self {
            Self::Coin(coin) => Output { value_satoshi: coin.value_satoshi, script: keys.locked(coin.lock) },
            Self::Envelope { value_satoshi, leaf, .. } => {
                Output { value_satoshi: *value_satoshi, script: leaf.locked.clone() }
            }
        }
    }
}

/// Signs transactions; one a thread. Has a context of its own, although that is deprecated: the one that
/// `secp256k1` shares is blinded anew after every signature, by one more multiplication, and nothing here is a secret.
pub struct Signer<'a> {
    keys: &'a Keys,
    context: Secp256k1<SignOnly>,
}

impl<'a> Signer<'a> {
    /// With these keys.
    pub fn new(keys: &'a Keys) -> Self {
        Self { keys, context: Secp256k1::signing_only() }
    }

    /// The transaction that spends `spends` to `outputs`.
    pub fn signed(&self, spends: &[Spend], outputs: &[Output]) -> Transaction {
        let inputs = spends
            .iter()
            .map(|spend| Input {
                spent: spend.spent(),
                script: Vec::new(),
                sequence: SEQUENCE,
                witness: Vec::new(),
            })
            .collect();
        let mut transaction = Transaction { inputs, outputs: outputs.to_vec() };
        let spent: Vec<Output> = spends.iter().map(|spend| spend.output(self.keys)).collect();
        let hashes = Hashes::of(&transaction, &spent);
        // Signatures of the old kind cover the inputs without scripts, so that all may be made before any is put in.
        let unlocked: Vec<_> = (0..)
            .zip(spends)
            .map(|(index, spend)| match spend {
                Spend::Coin(coin) => self.unlock(&transaction, &hashes, index, coin),
                Spend::Envelope { key, leaf, .. } => {
                    let pair = &self.keys.key(*key).pair;
                    (Vec::new(), self.script_path(&hashes, index, pair, leaf))
                }
            })
            .collect();
        for (input, (script, witness)) in transaction.inputs.iter_mut().zip(unlocked) {
            (input.script, input.witness) = (script, witness);
        }
        transaction
    }

    fn unlock(
        &self,
        transaction: &Transaction,
        hashes: &Hashes,
        index: u32,
        coin: &Coin,
    ) -> (Vec<u8>, Vec<Vec<u8>>) {
        let Lock { kind, key } = coin.lock;
        match kind {
            Kind::WitnessKeyHash => {
                let hash = hashes.version_0(index, coin, &self.keys.key_hash_script(key));
                (Vec::new(), vec![self.ecdsa(hash, key), self.keys.key(key).public.to_vec()])
            }
            Kind::TaprootKey => {
                let hash = hashes.taproot(index, None);
                (Vec::new(), vec![self.schnorr(hash, &self.keys.key(key).path)])
            }
            Kind::TaprootScript => {
                let pair = &self.keys.key(key.wrapping_add(1)).pair;
                (Vec::new(), self.script_path(hashes, index, pair, self.keys.leaf(key)))
            }
            Kind::KeyHash => {
                let hash = legacy(transaction, index, &self.keys.key_hash_script(key));
                let mut script = Vec::new();
                push_bytes(&mut script, &self.ecdsa(hash, key));
                push_bytes(&mut script, &self.keys.key(key).public);
                (script, Vec::new())
            }
            Kind::ScriptHash => {
                let redeem = self.keys.two_of_three(key);
                let hash = legacy(transaction, index, &redeem);
                // What OP_CHECKMULTISIG takes too much.
                let mut script = vec![0];
                for signer in [key, key.wrapping_add(1)] {
                    push_bytes(&mut script, &self.ecdsa(hash, signer));
                }
                script.extend_from_slice(&[OP_PUSHDATA1, redeem.len() as u8]);
                script.extend_from_slice(&redeem);
                (script, Vec::new())
            }
            Kind::WitnessScriptHash => {
                let script = self.keys.two_of_three(key);
                let hash = hashes.version_0(index, coin, &script);
                let [first, last] = [key, key.wrapping_add(2)].map(|signer| self.ecdsa(hash, signer));
                (Vec::new(), vec![Vec::new(), first, last, script])
            }
        }
    }

    fn script_path(&self, hashes: &Hashes, index: u32, pair: &Keypair, leaf: &Leaf) -> Vec<Vec<u8>> {
        let signature = self.schnorr(hashes.taproot(index, Some(&leaf.hash)), pair);
        vec![signature, leaf.script.clone(), leaf.control.clone()]
    }

    #[expect(deprecated, reason = "see the type")]
    fn ecdsa(&self, hash: [u8; 32], key: u8) -> Vec<u8> {
        let secret = &self.keys.key(key).secret;
        let mut signature =
            self.context.sign_ecdsa(Message::from_digest(hash), secret).serialize_der().to_vec();
        signature.push(SIGHASH_ALL);
        signature
    }

    #[expect(deprecated, reason = "see the type")]
    fn schnorr(&self, hash: [u8; 32], pair: &Keypair) -> Vec<u8> {
        self.context.sign_schnorr_no_aux_rand(&hash, pair).to_byte_array().to_vec()
    }
}

/// What all inputs of a transaction sign.
struct Hashes {
    outpoints: Vec<[u8; 36]>,
    /// SHA-256 once (BIP 341); BIP 143 hashes them again.
    all_outpoints: [u8; 32],
    all_sequences: [u8; 32],
    all_outputs: [u8; 32],
    all_amounts: [u8; 32],
    all_scripts: [u8; 32],
}

impl Hashes {
    fn of(transaction: &Transaction, spent: &[Output]) -> Self {
        let outpoints: Vec<[u8; 36]> = transaction
            .inputs
            .iter()
            .map(|input| {
                let mut bytes = [0; 36];
                bytes[..32].copy_from_slice(&input.spent.txid);
                bytes[32..].copy_from_slice(&input.spent.index.to_le_bytes());
                bytes
            })
            .collect();
        let mut outputs = Vec::new();
        for output in &transaction.outputs {
            push_output(&mut outputs, output);
        }
        let mut scripts = Vec::new();
        for output in spent {
            push_bytes(&mut scripts, &output.script);
        }
        let amounts: Vec<[u8; 8]> = spent.iter().map(|output| output.value_satoshi.to_le_bytes()).collect();
        Self {
            all_outpoints: Sha256::digest(outpoints.as_flattened()).into(),
            all_sequences: Sha256::digest(SEQUENCE.to_le_bytes().repeat(outpoints.len())).into(),
            all_outputs: Sha256::digest(&outputs).into(),
            all_amounts: Sha256::digest(amounts.as_flattened()).into(),
            all_scripts: Sha256::digest(&scripts).into(),
            outpoints,
        }
    }

    /// BIP 143.
    fn version_0(&self, index: u32, coin: &Coin, script: &[u8]) -> [u8; 32] {
        let mut bytes = VERSION.to_vec();
        bytes.extend_from_slice(&Sha256::digest(self.all_outpoints));
        bytes.extend_from_slice(&Sha256::digest(self.all_sequences));
        bytes.extend_from_slice(&self.outpoints[index as usize]);
        push_bytes(&mut bytes, script);
        bytes.extend_from_slice(&coin.value_satoshi.to_le_bytes());
        bytes.extend_from_slice(&SEQUENCE.to_le_bytes());
        bytes.extend_from_slice(&Sha256::digest(self.all_outputs));
        bytes.extend_from_slice(&LOCK_TIME);
        bytes.extend_from_slice(&u32::from(SIGHASH_ALL).to_le_bytes());
        sha256d(&bytes)
    }

    /// BIP 341 with SIGHASH_DEFAULT and no annex; BIP 342 in a script.
    fn taproot(&self, index: u32, leaf_hash: Option<&[u8; 32]>) -> [u8; 32] {
        // Epoch and hash type.
        let mut bytes = vec![0, 0];
        bytes.extend_from_slice(&VERSION);
        bytes.extend_from_slice(&LOCK_TIME);
        for all in [
            &self.all_outpoints,
            &self.all_amounts,
            &self.all_scripts,
            &self.all_sequences,
            &self.all_outputs,
        ] {
            bytes.extend_from_slice(all);
        }
        bytes.push(if leaf_hash.is_some() { 2 } else { 0 });
        bytes.extend_from_slice(&index.to_le_bytes());
        if let Some(hash) = leaf_hash {
            bytes.extend_from_slice(hash);
            // Key version, and no OP_CODESEPARATOR.
            bytes.push(0);
            bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        }
        tagged("TapSighash", &[&bytes])
    }
}

/// What inputs signed before BIP 143: the whole transaction with the script in place of the input's own.
fn legacy(transaction: &Transaction, index: u32, script: &[u8]) -> [u8; 32] {
    let mut bytes = VERSION.to_vec();
    push_compact_size(&mut bytes, transaction.inputs.len());
    for (place, input) in (0..).zip(&transaction.inputs) {
        push_outpoint(&mut bytes, &input.spent);
        push_bytes(&mut bytes, if place == index { script } else { &[] });
        bytes.extend_from_slice(&input.sequence.to_le_bytes());
    }
    push_compact_size(&mut bytes, transaction.outputs.len());
    for output in &transaction.outputs {
        push_output(&mut bytes, output);
    }
    bytes.extend_from_slice(&LOCK_TIME);
    bytes.extend_from_slice(&u32::from(SIGHASH_ALL).to_le_bytes());
    sha256d(&bytes)
}
