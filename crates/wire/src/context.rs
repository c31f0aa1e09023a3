//! What every link of a hub shares.

use crate::batch::BatchPool;
use crate::docket::{Call, Case, Docket};
use crate::encryption::EncryptionPolicy;
use crate::events::{Outbox, Verdict};
use crate::limits::Limits;
use blockswarm_net::{Connector, HttpDialer, Utp};
use blockswarm_pieces::{PieceIndex, PieceOutcome, PieceVerdict, Store};
use parking_lot::Mutex;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Links that finished their handshake.
    pub opened: AtomicU64,
    /// Links that ended, whatever their state.
    pub closed: AtomicU64,
    /// Incoming connections dropped for want of room.
    pub turned_away: AtomicU64,
    /// Block bytes received and asked for.
    pub downloaded_bytes: AtomicU64,
    /// Block bytes sent.
    pub uploaded_bytes: AtomicU64,
    /// Block bytes received that were had already, or that nobody wanted.
    pub wasted_bytes: AtomicU64,
    /// Blocks that were never asked for.
    pub unsolicited_blocks: AtomicU64,
    /// Batches for which a worker had to wait for the disk.
    pub disk_reads: AtomicU64,
    /// Served blocks that could not be read.
    pub failed_reads: AtomicU64,
    /// Requests answered with a reject, or with nothing.
    pub refused_requests: AtomicU64,
    /// Times that a link with something to send, or to read, waited for its rates.
    pub paced: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

pub(crate) struct Context {
    pub(crate) limits: Limits,
    /// What rates count their time from.
    pub(crate) start: Instant,
    pub(crate) handle: Handle,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) batches: Arc<BatchPool>,
    pub(crate) docket: Docket,
    pub(crate) counters: Counters,
    pub(crate) encryption: EncryptionPolicy,
    /// While a UDP socket with uTP is bound.
    pub(crate) utp: Mutex<Option<Arc<Utp>>>,
    pub(crate) half_open_out: Semaphore,
    pub(crate) half_open_in: Arc<Semaphore>,
    /// Apart from those of TCP: whoever begins a connection over uTP may have forged its address.
    pub(crate) half_open_utp: Arc<Semaphore>,
    pub(crate) connector: Arc<Connector>,
    pub(crate) http: Arc<HttpDialer>,
    /// Answers with leaves, which must be hashed, that are made at a time.
    pub(crate) hash_answers: Arc<Semaphore>,
}

impl Context {
    /// Hashes what came of a piece on a worker, while the rest comes.
    pub(crate) fn hash_arrived(&self, store: Arc<Store>, piece: PieceIndex) {
        // A panic is the worker's own: the piece is then lost, and asked for again.
        self.handle.spawn_blocking(move || store.hash_arrived(piece));
    }

    /// Judges a whole piece on a worker, soon and together with others; the verdict goes to the outbox.
    pub(crate) fn finish_piece(self: &Arc<Self>, torrent: u32, store: Arc<Store>, piece: PieceIndex) {
        match self.docket.add(Case { torrent, store, piece }, Instant::now()) {
            Call::Judge(cases) => self.judge(cases),
            Call::Wait => {}
            Call::WaitUntil(mut at) => {
                let context = Arc::clone(self);
                self.handle.spawn(async move {
                    loop {
                        tokio::time::sleep_until(at).await;
                        let (cases, next) = context.docket.due(Instant::now());
                        context.judge(cases);
                        let Some(next) = next else { return };
                        at = next;
                    }
                });
            }
        }
    }

    /// Judges the pieces that wait for others, now.
    pub(crate) fn judge_waiting(&self) {
        self.judge(self.docket.take());
    }

    fn judge(&self, cases: Vec<Case>) {
        if cases.is_empty() {
            return;
        }
        let outbox = Arc::clone(&self.outbox);
        self.handle.spawn_blocking(move || {
            let pieces: Vec<_> = cases.iter().map(|case| (&*case.store, case.piece)).collect();
            let judged = catch_unwind(AssertUnwindSafe(|| Store::finish_together(&pieces)));
            let verdicts =
                judged.unwrap_or_else(|_| pieces.iter().map(|(_, piece)| Some(lost(*piece))).collect());
            let of_case = |(case, verdict): (&Case, Option<PieceVerdict>)| {
                // None was taken by somebody else, who reports it.
                Some(Verdict { torrent: case.torrent, verdict: verdict? })
            };
            outbox.push_verdicts(cases.iter().zip(verdicts).filter_map(of_case));
            let mut written: Vec<*const Store> = Vec::new();
            for case in &cases {
                if !written.contains(&Arc::as_ptr(&case.store)) {
                    written.push(Arc::as_ptr(&case.store));
                    case.store.write_due();
                }
            }
        });
    }
}

/// The verdict of a piece whose judge panicked.
fn lost(piece: PieceIndex) -> PieceVerdict {
    let outcome = PieceOutcome::Io(io::Error::other("the judge of the piece panicked"));
    PieceVerdict { piece, outcome, senders: Vec::new(), culprits: Vec::new() }
}
