//! Reads that give up instead of waiting for the disk: `preadv2` with `RWF_NOWAIT` (Linux 4.14).

use std::fs::File;
use std::io::{self, IoSliceMut};

use rustix::io::{Errno, ReadWriteFlags};

/// What came of a read that must not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NowRead {
    /// All buffers are filled.
    Done,
    /// Some bytes are not in memory: ask again on a thread that may wait. The buffers hold anything.
    WouldBlock,
}

/// `IOV_MAX`: more buffers than this in one call are an error.
const MAX_BUFFERS: usize = 1024;

/// Fills `buffers` from `offset`, without waiting. The end of the file is an error.
pub(crate) fn read_now(file: &File, mut offset: u64, buffers: &mut [&mut [u8]]) -> io::Result<NowRead> {
    let total: u64 = buffers.iter().map(|buffer| buffer.len() as u64).sum();
    let end = offset + total;
    while offset < end {
        let mut done = total - (end - offset);
        let mut slices: Vec<IoSliceMut<'_>> = Vec::with_capacity(buffers.len().min(MAX_BUFFERS));
        for buffer in buffers.iter_mut() {
            let skip = done.min(buffer.len() as u64);
            done -= skip;
            let rest = buffer.split_at_mut(skip as usize).1;
            if !rest.is_empty() && slices.len() < MAX_BUFFERS {
                slices.push(IoSliceMut::new(rest));
            }
        }
        match rustix::io::preadv2(file, &mut slices, offset, ReadWriteFlags::NOWAIT) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => offset += bytes as u64,
            Err(Errno::INTR) => {}
            // Not in the page cache; or a file system or kernel that cannot promise not to wait.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                return Ok(NowRead::WouldBlock);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(NowRead::Done)
}
