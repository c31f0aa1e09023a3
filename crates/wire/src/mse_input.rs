//! What has come of a handshake of MSE, taken field by field and found behind pads.

use crate::mse::{MseError, PAD_BYTES};
use crate::rc4::Rc4;

/// Bytes that must come behind a pad of unknown length.
pub(crate) struct Sync {
    needle: Vec<u8>,
    /// What the pad may still have.
    pad_left: usize,
}

impl Sync {
    pub(crate) fn new(needle: &[u8]) -> Self {
        Self { needle: needle.to_vec(), pad_left: PAD_BYTES }
    }
}

/// What has come and how much of it is done with.
pub(crate) struct Input<'a> {
    bytes: &'a mut [u8],
    consumed: usize,
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, consumed: 0 }
    }

    fn rest(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.consumed..).unwrap_or_default()
    }

    /// Bytes that are done with.
    pub(crate) fn consumed(&self) -> usize {
        self.consumed
    }

    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.rest().first_chunk::<N>()?;
        self.consumed += N;
        Some(taken)
    }

    /// Passes a pad and the bytes behind it; false until they have come. Every byte is looked at a bounded number of
    /// times, whatever portions it comes in.
    pub(crate) fn find(&mut self, sync: &mut Sync) -> Result<bool, MseError> {
        let length = sync.needle.len();
        let at = self.rest().windows(length).position(|window| window == sync.needle);
        let pad = at.unwrap_or_else(|| (self.rest().len() + 1).saturating_sub(length));
        sync.pad_left = sync.pad_left.checked_sub(pad).ok_or(MseError::NoSync)?;
        self.consumed += pad + if at.is_some() { length } else { 0 };
        Ok(at.is_some())
    }

    /// Passes a pad of known length; false until all of it has come.
    pub(crate) fn pass(&mut self, cipher: &mut Rc4, left: &mut usize) -> bool {
        let passed = self.rest().len().min(*left);
        cipher.apply(self.rest().get_mut(..passed).unwrap_or_default());
        self.consumed += passed;
        *left -= passed;
        *left == 0
    }
}
