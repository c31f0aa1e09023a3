//! Hashes for one peer (BEP 52): its requests wait in a short queue, one at a time is answered by a worker. 49 bytes may
//! ask for the hashing of a piece of many MiB, so what has to be read and hashed is rationed too.

use crate::context::Context;
use crate::link::Link;
use crate::message::{HashSpan, Message};
use blockswarm_net::TokenBucket;
use blockswarm_pieces::Store;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Requests of a peer that wait; more are refused. libtorrent has two under way.
const WAITING: usize = 32;
/// While so much waits to be written, no more answers are made.
const OUT_BYTES: usize = 64 * 1024;

/// The hash requests of one peer.
#[derive(Debug)]
pub(crate) struct HashServing {
    waiting: VecDeque<HashSpan>,
    answering: Option<HashSpan>,
    job: Option<JoinHandle<Option<Vec<u8>>>>,
    hashed: TokenBucket,
}

impl HashServing {
    /// `hashed_kib`: what may be hashed at once, and in a second.
    pub(crate) fn new((burst, refill): (u32, u32)) -> Self {
        let hashed = TokenBucket::new(burst, refill, Duration::ZERO);
        Self { waiting: VecDeque::new(), answering: None, job: None, hashed }
    }

    /// Waits for the answer on its way, for ever when there is none. `None` when it is to be a refusal.
    pub(crate) async fn answer(&mut self) -> Option<Vec<u8>> {
        match &mut self.job {
            Some(job) => job.await.ok().flatten(),
            None => std::future::pending().await,
        }
    }

    /// Whether a request waits, or is being answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.answering.is_none()
    }
}

impl Drop for HashServing {
    /// An answer that nobody waits for is not begun.
    fn drop(&mut self) {
        if let Some(job) = &self.job {
            job.abort();
        }
    }
}

impl Link {
    /// Queues a request, or refuses it.
    pub(crate) fn hear_hash_request(&mut self, span: HashSpan) {
        if self.store.is_some() && self.hash_serving.waiting.len() < WAITING {
            self.hash_serving.waiting.push_back(span);
        } else {
            Message::HashReject(span).write(&mut self.out);
        }
    }

    /// Begins the next answer, refusing what cannot be had on the way.
    pub(crate) fn serve_hashes(&mut self) {
        while self.hash_serving.job.is_none() && self.out_backlog() < OUT_BYTES {
            let Some(span) = self.hash_serving.waiting.pop_front() else { return };
            let Some((store, pieces)) = self.hash_source(&span) else {
                Message::HashReject(span).write(&mut self.out);
                continue;
            };
            // A piece larger than the burst takes all of it.
            let kib = (pieces.len() as u64).saturating_mul(u64::from(store.geometry().piece_length() / 1024));
            let kib = u32::try_from(kib).unwrap_or(u32::MAX).min(self.context.limits.hashed_kib.0);
            let passed = self.now.saturating_duration_since(self.start);
            if !self.hash_serving.hashed.take(kib, passed) {
                self.hash_serving.waiting.push_front(span);
                self.hurry();
                return;
            }
            self.hash_serving.answering = Some(span);
            self.hash_serving.job = Some(answering(&self.context, store, span, pieces));
        }
    }

    /// The store, and the pieces whose leaves must be hashed: those that the peer could get.
    fn hash_source(&self, span: &HashSpan) -> Option<(Arc<Store>, Range<u32>)> {
        let store = self.store.as_ref()?;
        let pieces = store.hash_source(span)?;
        pieces.clone().all(|piece| self.shown.has(piece)).then(|| (Arc::clone(store), pieces))
    }

    /// The worker is back.
    pub(crate) fn answered_hashes(&mut self, answer: Option<&[u8]>) {
        self.hash_serving.job = None;
        let Some(span) = self.hash_serving.answering.take() else { return };
        match answer {
            Some(hashes) => Message::Hashes { span, hashes }.write(&mut self.out),
            None => Message::HashReject(span).write(&mut self.out),
        }
    }
}

/// Only a few at a time are hashed for all peers together: our own pieces come first.
fn answering(
    context: &Arc<Context>,
    store: Arc<Store>,
    span: HashSpan,
    pieces: Range<u32>,
) -> JoinHandle<Option<Vec<u8>>> {
    let (handle, places) = (context.handle.clone(), Arc::clone(&context.hash_answers));
    context.handle.spawn(async move {
        let place = if pieces.is_empty() { None } else { Some(places.acquire_owned().await.ok()?) };
        let answer = handle.spawn_blocking(move || {
            let answer = store.answer_hashes(&span);
            drop(place);
            answer
        });
        answer.await.ok().flatten()
    })
}
