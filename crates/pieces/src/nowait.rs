//! Reads that give up instead of waiting for the disk: `preadv2` with `RWF_NOWAIT` (Linux 4.14).

use std::fs::File;
use std::io::{self, IoSliceMut};

use rustix::io::{Errno, ReadWriteFlags};

use crate::undo_xor;

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

/// Fills `buffers`, none of them empty, from `offset`, without waiting, and undoes the XOR. The end of the file is an
/// error.
pub(crate) fn read_now(
    file: &File,
    key: Option<[u8; 8]>,
    mut offset: u64,
    mut buffers: &mut [IoSliceMut<'_>],
) -> io::Result<NowRead> {
    while !buffers.is_empty() {
        let count = buffers.len().min(MAX_BUFFERS);
        let batch = buffers.split_at_mut(count).0;
        match rustix::io::preadv2(file, batch, offset, ReadWriteFlags::NOWAIT) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => {
                if let Some(key) = key {
                    undo_in(buffers, bytes, key, offset);
                }
                offset += bytes as u64;
                IoSliceMut::advance_slices(&mut buffers, bytes);
            }
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

/// Undoes the XOR in the first `bytes` bytes of `buffers`.
fn undo_in(buffers: &mut [IoSliceMut<'_>], mut bytes: usize, key: [u8; 8], mut offset: u64) {
    for buffer in buffers {
        let count = bytes.min(buffer.len());
        let head = buffer.split_at_mut(count).0;
        undo_xor(head, key, offset);
        offset += head.len() as u64;
        bytes -= head.len();
        if bytes == 0 {
            return;
        }
    }
}
