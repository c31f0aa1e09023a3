//! Writing: all of several buffers, and past the page cache where that pays.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::portion::PAGE_BYTES;

/// `IOV_MAX`: more buffers than this in one call are an error.
const MAX_BUFFERS: usize = 1024;
/// Shorter runs are better off in the page cache: the system joins and orders them.
const LEAST_BYTES: usize = 1024 * 1024;
/// A disk that takes so long several times in a row is too slow to be waited for: the page cache takes what it cannot.
const PATIENCE: Duration = Duration::from_millis(100);
const BYTES_PER_SECOND: u64 = 64 * 1024 * 1024;
const STRIKES: u32 = 4;

/// Whether writes go past the page cache.
pub(crate) struct DirectWrites {
    /// Slow ones in a row; once it is [`STRIKES`], none goes that way any more.
    strikes: AtomicU32,
}

impl DirectWrites {
    pub(crate) fn new(wanted: bool) -> Self {
        Self { strikes: AtomicU32::new(if wanted { 0 } else { STRIKES }) }
    }

    /// Whether it pays for these buffers, and can be done: they, and their place in the file, begin at pages.
    pub(crate) fn suits(&self, offset: u64, buffers: &[IoSlice<'_>]) -> bool {
        let begins = offset.is_multiple_of(PAGE_BYTES as u64);
        begins
            && self.strikes.load(Ordering::Relaxed) < STRIKES
            && buffers
                .iter()
                .take_while(|buffer| is_aligned(buffer))
                .map(|buffer| buffer.len())
                .sum::<usize>()
                >= LEAST_BYTES
    }

    /// Writes the aligned buffers at the front to `direct`, and the others to `file`, which is the same one.
    pub(crate) fn write(
        &self,
        direct: &File,
        file: &File,
        offset: u64,
        buffers: &mut [IoSlice<'_>],
    ) -> io::Result<()> {
        let aligned = buffers.iter().take_while(|buffer| is_aligned(buffer)).count();
        let (front, rest) = buffers.split_at_mut(aligned);
        let (begun, bytes): (_, u64) = (Instant::now(), front.iter().map(|buffer| buffer.len() as u64).sum());
        let mut front = Unwritten { at: offset, buffers: front };
        match front.write_to(direct) {
            // The file system wants another alignment, or nothing of this.
            Err(Errno::INVAL) => {
                self.strikes.store(STRIKES, Ordering::Relaxed);
                front.write_to(file)?;
            }
            written => written?,
        }
        if begun.elapsed() <= PATIENCE + Duration::from_millis(1000 * bytes / BYTES_PER_SECOND) {
            // One that was given up stays so.
            let _ = self.strikes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |strikes| {
                (strikes < STRIKES).then_some(0)
            });
        } else {
            self.strikes.fetch_add(1, Ordering::Relaxed);
        }
        write_all(file, front.at, rest)
    }
}

/// The same file, opened anew to write past the page cache.
pub(crate) fn reopen(file: &File) -> Option<Arc<File>> {
    let flags = (OFlags::DIRECT | OFlags::NOCTTY).bits().cast_signed();
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    File::options().write(true).custom_flags(flags).open(path).ok().map(Arc::new)
}

/// Writes all of `buffers` at `offset`.
pub(crate) fn write_all(file: &File, offset: u64, buffers: &mut [IoSlice<'_>]) -> io::Result<()> {
    Ok(Unwritten { at: offset, buffers }.write_to(file)?)
}

/// What is left to be written.
struct Unwritten<'a, 'b> {
    at: u64,
    buffers: &'a mut [IoSlice<'b>],
}

impl Unwritten<'_, '_> {
    fn write_to(&mut self, file: &File) -> Result<(), Errno> {
        while !self.buffers.is_empty() {
            let batch = self.buffers.split_at(self.buffers.len().min(MAX_BUFFERS)).0;
            match rustix::io::pwritev(file, batch, self.at) {
                // No room, as a disk says it that has lost count.
                Ok(0) => return Err(Errno::NOSPC),
                Ok(bytes) => {
                    self.at += bytes as u64;
                    IoSlice::advance_slices(&mut self.buffers, bytes);
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

fn is_aligned(buffer: &[u8]) -> bool {
    buffer.as_ptr().align_offset(PAGE_BYTES) == 0 && buffer.len().is_multiple_of(PAGE_BYTES)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::portion::Portion;

    fn portion(bytes: usize, salt: usize) -> Portion {
        let mut portion = Portion::with_room(bytes);
        portion.put(0, &(0..bytes).map(|at| (at / 5 + salt) as u8).collect::<Vec<u8>>());
        portion
    }

    #[test]
    fn what_is_aligned_goes_past_the_page_cache_and_the_rest_follows() {
        let folder = tempfile::tempdir().unwrap();
        let file =
            File::options().read(true).write(true).create_new(true).open(folder.path().join("file")).unwrap();
        let portions = [portion(1 << 20, 1), portion(1 << 18, 2), portion(70_001, 3)];
        let expected: Vec<u8> = portions.iter().flat_map(|portion| portion.iter()).copied().collect();
        let writes = DirectWrites::new(true);
        let slices = || portions.iter().map(|portion| IoSlice::new(portion)).collect::<Vec<_>>();
        assert!(writes.suits(8192, &slices()) && !writes.suits(8193, &slices()));
        assert!(!writes.suits(0, &slices()[1..]), "too short");
        assert!(!writes.suits(0, &[IoSlice::new(&expected[1..])]), "not at a page");
        assert!(!DirectWrites::new(false).suits(0, &slices()));
        // A file system that cannot do it says so: then all goes the usual way.
        let direct = reopen(&file).unwrap_or_else(|| Arc::new(file.try_clone().unwrap()));
        writes.write(&direct, &file, 8192, &mut slices()).unwrap();
        let written = std::fs::read(folder.path().join("file")).unwrap();
        assert!(written[..8192].iter().all(|byte| *byte == 0) && written[8192..] == expected);
    }

    #[test]
    fn a_file_that_cannot_be_written_so_is_written_the_usual_way_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create_new(folder.path().join("file")).unwrap();
        // It gives this very error for a negative offset, as it does for one that is not aligned.
        let (writes, portion) = (DirectWrites::new(true), portion(1 << 20, 1));
        writes.write(&file, &file, u64::MAX, &mut [IoSlice::new(&portion)]).unwrap_err();
        assert!(!writes.suits(0, &[IoSlice::new(&portion)]));
    }
}
