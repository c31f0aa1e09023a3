//! Several buffers filled in turn, in portions that do not know where one buffer ends.

use std::io::IoSliceMut;

/// What is left of a list of buffers.
pub(crate) struct Scatter<'a, 'b> {
    buffers: std::slice::IterMut<'a, IoSliceMut<'b>>,
    rest: &'a mut [u8],
}

impl<'a, 'b> Scatter<'a, 'b> {
    pub(crate) fn new(buffers: &'a mut [IoSliceMut<'b>]) -> Self {
        Self { buffers: buffers.iter_mut(), rest: &mut [] }
    }

    /// The next `bytes` bytes, in parts: put into `parts`, which is emptied first. Fewer at the end.
    pub(crate) fn take(&mut self, mut bytes: u64, parts: &mut Vec<IoSliceMut<'a>>) {
        parts.clear();
        while bytes > 0 {
            if self.rest.is_empty() {
                let Some(next) = self.buffers.next() else { return };
                self.rest = next;
                continue;
            }
            let count = bytes.min(self.rest.len() as u64);
            let (head, tail) = std::mem::take(&mut self.rest).split_at_mut(count as usize);
            parts.push(IoSliceMut::new(head));
            self.rest = tail;
            bytes -= count;
        }
    }
}
