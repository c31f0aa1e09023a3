//! What fits into a block.
use crate::sign::Spend;
use crate::transaction::Encoded;

/// Bytes of an output, rounded up.
pub const OUTPUT_BYTES: usize = 43;
/// Bytes of a transaction besides inputs and outputs.
pub const HEAD_BYTES: usize = 12;

/// What a block may still take.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Inputs.
    pub inputs: usize,
    /// Bytes.
    pub bytes: usize,
    /// Units of weight (BIP 141).
    pub weight: usize,
}

impl Room {
    /// A share of the bytes and the weight.
    pub fn percent(self, percent: usize) -> Self {
        Self { bytes: self.bytes * percent / 100, weight: self.weight * percent / 100, ..self }
    }

    /// What these leave of it.
    pub fn less(self, transactions: &[Encoded]) -> Self {
        let bytes: usize = transactions.iter().map(|transaction| transaction.bytes.len()).sum();
        let weight: usize = transactions.iter().map(Encoded::weight).sum();
        Self {
            inputs: self.inputs,
            bytes: self.bytes.saturating_sub(bytes),
            weight: self.weight.saturating_sub(weight),
        }
    }
}

/// What is left for transactions that are planned and not yet signed, by estimate.
pub struct Left(pub Room);

impl Left {
    /// Takes a transaction off.
    pub fn take(&mut self, spends: &[Spend], outputs: usize) {
        let outputs = outputs * OUTPUT_BYTES + HEAD_BYTES;
        let (mut base, mut full) = (outputs, outputs);
        for spend in spends {
            if let Spend::Coin(coin) = spend {
                let (input_base, input_full) = coin.lock.kind.input_bytes();
                base += input_base;
                full += input_full;
            }
        }
        self.0.bytes = self.0.bytes.saturating_sub(full);
        self.0.weight = self.0.weight.saturating_sub(3 * base + full);
    }

    /// Whether there is any.
    pub fn some(&self) -> bool {
        self.0.bytes > 0 && self.0.weight > 0
    }
}
