//! Whole pieces that wait a moment for others to be judged with: SHA-1 takes several pieces in lock step in hardly more
//! time than one of them.

use blockswarm_pieces::{PieceIndex, Store, sha};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a piece waits. A round trip or two: nobody misses its announcement, and a fast download brings several.
const PATIENCE: Duration = Duration::from_millis(100);

/// A piece whose last block has landed.
pub(crate) struct Case {
    pub(crate) torrent: u32,
    pub(crate) store: Arc<Store>,
    pub(crate) piece: PieceIndex,
}

/// What to do now that a case was added.
pub(crate) enum Call {
    /// Judge these.
    Judge(Vec<Case>),
    /// Ask [`Docket::due`] at that time; nobody else does.
    WaitUntil(Instant),
    /// Somebody will.
    Wait,
}

/// Pieces that wait to be judged.
pub(crate) struct Docket {
    /// Memory for them is wanted for pieces in assembly.
    most_bytes: u64,
    /// As many as are hashed together.
    most_cases: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    cases: Vec<Case>,
    bytes: u64,
    /// When the first of them came.
    since: Option<Instant>,
    is_watched: bool,
}

impl Waiting {
    fn take(&mut self) -> Vec<Case> {
        (self.bytes, self.since) = (0, None);
        std::mem::take(&mut self.cases)
    }
}

impl Docket {
    /// Holds at most `most_bytes` of pieces back.
    pub(crate) fn new(most_bytes: u64) -> Self {
        Self { most_bytes, most_cases: sha::sha1_lanes(), waiting: Mutex::default() }
    }

    /// Takes a piece in, and says which are to be judged: all when they are enough, or when no other piece of the torrent
    /// is on its way.
    pub(crate) fn add(&self, case: Case, now: Instant) -> Call {
        if !case.store.judges_better_together() {
            return Call::Judge(vec![case]);
        }
        let open = case.store.open_pieces();
        let mut waiting = self.waiting.lock();
        waiting.bytes += u64::from(case.store.geometry().piece_bytes(case.piece));
        waiting.since.get_or_insert(now);
        waiting.cases.push(case);
        let own = waiting.cases.last().map_or(0, |last| {
            waiting.cases.iter().filter(|case| Arc::ptr_eq(&case.store, &last.store)).count()
        });
        let enough = waiting.cases.len() >= self.most_cases || waiting.bytes >= self.most_bytes;
        if enough || open <= own {
            return Call::Judge(waiting.take());
        }
        if std::mem::replace(&mut waiting.is_watched, true) {
            return Call::Wait;
        }
        Call::WaitUntil(now + PATIENCE)
    }

    /// The time is up: what has waited long enough, and when to ask again; `None` for never.
    pub(crate) fn due(&self, now: Instant) -> (Vec<Case>, Option<Instant>) {
        let mut waiting = self.waiting.lock();
        let due_at = waiting.since.map(|since| since + PATIENCE).filter(|due_at| *due_at > now);
        waiting.is_watched = due_at.is_some();
        (if due_at.is_some() { Vec::new() } else { waiting.take() }, due_at)
    }

    /// Takes all that waits: their memory is wanted.
    pub(crate) fn take(&self) -> Vec<Case> {
        self.waiting.lock().take()
    }
}

#[cfg(test)]
#[path = "docket_test.rs"]
mod tests;
