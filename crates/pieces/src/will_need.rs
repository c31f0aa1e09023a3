//! What a disk is asked for before somebody waits for it.

use std::fs::File;
use std::num::NonZeroU64;
use std::ops::Range;

use rustix::fs::{Advice, fadvise};

/// Linux passes over what goes beyond the largest operation of the disk, which is often 512 KiB.
const STEP_BYTES: u64 = 512 * 1024;

/// Asks the system to have a range of a file in memory soon. May wait for the disk's queue. Best effort.
pub fn will_need(file: &File, range: Range<u64>) {
    for start in range.clone().step_by(STEP_BYTES as usize) {
        let bytes = STEP_BYTES.min(range.end - start);
        let _ = fadvise(file, start, NonZeroU64::new(bytes), Advice::WillNeed);
    }
}
