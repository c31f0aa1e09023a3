//! Which parts of files were in memory before they were read, so that reading can leave the page cache as it was.

use std::fs::File;
use std::io::IoSliceMut;
use std::num::NonZeroU64;
use std::ops::Range;

use rustix::fs::{Advice, fadvise};

use crate::Geometry;
use crate::nowait::{self, NowRead};

/// What is remembered, and forgotten, as one.
const WINDOW_BYTES: u64 = 1024 * 1024;

/// A bit for each MiB of each of [`Geometry::files`].
///
/// Looked at before the first byte is read: once reading has begun, the kernel's read-ahead brings in pages that would
/// seem to have been there.
pub(crate) struct CacheMap {
    cached: Vec<bool>,
    /// Where each file's bits begin.
    starts: Vec<usize>,
}

impl CacheMap {
    /// Looks at all files that `open` can open.
    pub(crate) fn look(geometry: &Geometry, open: impl Fn(usize) -> Option<File>) -> Self {
        let mut map = Self { cached: Vec::new(), starts: Vec::new() };
        for (n, span) in geometry.files().iter().enumerate() {
            let (first, file) = (map.cached.len(), open(n));
            map.starts.push(first);
            // From the end: a look may set off the kernel's read-ahead, into what was looked at already then.
            let windows = (0..span.length.div_ceil(WINDOW_BYTES)).rev();
            map.cached.extend(windows.map(|window| {
                let start = window * WINDOW_BYTES;
                let window = start..span.length.min(start + WINDOW_BYTES);
                file.as_ref().is_some_and(|file| is_cached(file, &window))
            }));
            if let Some(bits) = map.cached.get_mut(first..) {
                bits.reverse();
            }
        }
        map
    }

    /// Takes a range of a file out of memory, but for what was there before.
    pub(crate) fn forget(&self, file: usize, handle: &File, range: &Range<u64>) {
        let first = self.starts.get(file).copied().unwrap_or(usize::MAX);
        let windows = range.start / WINDOW_BYTES..range.end.div_ceil(WINDOW_BYTES);
        for window in windows {
            let cached = first.checked_add(window as usize).and_then(|at| self.cached.get(at));
            let start = range.start.max(window * WINDOW_BYTES);
            let end = range.end.min((window + 1) * WINDOW_BYTES);
            if cached == Some(&false) {
                let _ = fadvise(handle, start, NonZeroU64::new(end - start), Advice::DontNeed);
            }
        }
    }
}

/// Whether a range seems to be in memory: its last byte, its middle and its first are. A file system that cannot
/// tell is taken to have nothing there.
pub(crate) fn is_cached(file: &File, range: &Range<u64>) -> bool {
    [range.end - 1, range.start.midpoint(range.end), range.start].into_iter().all(|at| {
        matches!(nowait::read_now(file, None, at, &mut [IoSliceMut::new(&mut [0])]), Ok(NowRead::Done))
    })
}
