//! Whether a file is still the one that was verified: looked at when it is opened, and once a second while it is read.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

use crate::FileIdentity;

/// Between two looks at a file that is read.
const INTERVAL_MS: u64 = 1_000;

/// What a file may do while it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Of a program that goes on writing to it, as a node to its block files: may grow, and lose what lies behind
    /// our runs. A run that is cut off shows when it is read.
    Foreign,
    /// Of the torrent: nobody but us writes to it.
    Own,
    /// Likewise, and it goes on being served from its handle when it was deleted: a job that is done tidies up.
    Scratch,
    /// Like `Foreign`, and it goes on being served when its owner deleted it: it is kept for its bytes.
    Kept,
}

/// What is known of one file since it was first opened.
pub(crate) struct Watch {
    nature: Nature,
    looked_at_ms: AtomicU64,
    /// Of a file of others, as of the last look: when it was last written to.
    modified_ns: AtomicI64,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    identity: Option<FileIdentity>,
    /// What it was before it was forgotten.
    earlier: Option<FileIdentity>,
    /// It had a name.
    linked: bool,
    /// Writes of ours that have begun, and that have ended.
    begun: u64,
    ended: u64,
    /// The time in `identity` is older than the last write of ours.
    outdated: bool,
}

impl Watch {
    pub(crate) fn new(nature: Nature) -> Self {
        let (looked_at_ms, modified_ns) = (AtomicU64::new(0), AtomicI64::new(0));
        Self { nature, looked_at_ms, modified_ns, seen: Mutex::default() }
    }

    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self.nature, Nature::Foreign | Nature::Kept)
    }

    /// Whether it is time for another look.
    pub(crate) fn is_due(&self) -> bool {
        now_ms().saturating_sub(self.looked_at_ms.load(Ordering::Relaxed)) >= INTERVAL_MS
    }

    /// Whether a file of others was written to since the last look: to be asked after its bytes were read. The system
    /// notes the time before it lets the new bytes be seen.
    pub(crate) fn is_stale(&self, file: &File) -> bool {
        self.is_foreign()
            && rustix::fs::fstat(file).is_ok_and(|stat| {
                FileIdentity::from(&stat).modified_ns != self.modified_ns.load(Ordering::Acquire)
            })
    }

    /// Looks at the file; the first look says what the later ones are held against. Returns whether its bytes may be
    /// others than at the last look: a file of others was written to, or another one has its place.
    pub(crate) fn look(&self, file: &File) -> io::Result<bool> {
        self.looked_at_ms.store(now_ms(), Ordering::Relaxed);
        let mut seen = self.seen.lock();
        // Under the lock: no write of ours begins between this look and its judgement.
        let metadata = file.metadata()?;
        let (now, linked) = (FileIdentity::from(&metadata), metadata.nlink() > 0);
        let Some(was) = seen.identity else {
            (seen.identity, seen.linked, seen.outdated) = (Some(now), linked, seen.begun > seen.ended);
            self.modified_ns.store(now.modified_ns, Ordering::Release);
            return Ok(seen.earlier.take().is_some_and(|was| now.change_since(&was).is_some()));
        };
        if seen.linked && !linked && !matches!(self.nature, Nature::Scratch | Nature::Kept) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it was deleted"));
        }
        let mut held = was;
        match self.nature {
            Nature::Foreign | Nature::Kept => (held.size, held.modified_ns) = (now.size, now.modified_ns),
            _ if seen.outdated || seen.begun > seen.ended => held.modified_ns = now.modified_ns,
            Nature::Own | Nature::Scratch => {}
        }
        if let Some(change) = now.change_since(&held) {
            return Err(changed(change));
        }
        if seen.outdated && seen.begun == seen.ended {
            (seen.identity, seen.outdated) = (Some(now), false);
        }
        let is_other = self.is_foreign() && now.modified_ns != was.modified_ns;
        if is_other {
            seen.identity = Some(now);
            self.modified_ns.store(now.modified_ns, Ordering::Release);
        }
        Ok(is_other)
    }

    /// A write of ours begins; [`Self::wrote`] follows.
    pub(crate) fn writing(&self) {
        let mut seen = self.seen.lock();
        seen.begun += 1;
        seen.outdated = true;
    }

    pub(crate) fn wrote(&self) {
        self.seen.lock().ended += 1;
    }

    /// What the file is from now on is right: it is about to be verified.
    pub(crate) fn forget(&self) {
        let mut seen = self.seen.lock();
        let was = seen.identity.take();
        seen.earlier = was.or(seen.earlier);
        drop(seen);
        self.looked_at_ms.store(0, Ordering::Relaxed);
    }
}

fn changed(change: crate::FileChange) -> io::Error {
    let kind = match change {
        crate::FileChange::Missing => io::ErrorKind::NotFound,
        // Of all kinds the one that says: not the file that it was.
        _ => io::ErrorKind::StaleNetworkFileHandle,
    };
    io::Error::new(kind, change.to_string())
}

/// Milliseconds of a clock that is read without a system call and steps by the kernel's tick.
fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    // From 1 on: 0 is before any look, also right after the machine's start.
    (now.tv_sec.cast_unsigned() * 1_000 + now.tv_nsec.cast_unsigned() / 1_000_000).saturating_add(INTERVAL_MS)
}
