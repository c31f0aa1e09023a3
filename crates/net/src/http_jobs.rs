//! Requests for short answers by number: begun, ended early, and what came of them kept until it is asked for.

use crate::http_dial::HttpDialer;
use crate::http_error::HttpError;
use crate::http_get::{self, HttpAnswer, HttpGet};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// Requests on their way, and answers that nobody took yet. Each holds no more than its `max_bytes`.
const JOBS: usize = 64;

/// What came of a request.
#[derive(Debug)]
pub struct HttpOutcome {
    /// As [`HttpJobs::start`] numbered it.
    pub job: u32,
    /// An answer of any status, or why there is none.
    pub result: Result<HttpAnswer, HttpError>,
}

/// The requests of a process.
pub struct HttpJobs {
    dialer: Arc<HttpDialer>,
    state: Arc<Mutex<State>>,
    notify: Arc<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    last: u32,
    running: HashMap<u32, AbortHandle>,
    outcomes: Vec<HttpOutcome>,
}

impl HttpJobs {
    /// `notify` is called, on a network thread, when there is an outcome to take.
    pub fn new(dialer: Arc<HttpDialer>, notify: impl Fn() + Send + Sync + 'static) -> Self {
        Self { dialer, state: Arc::default(), notify: Arc::new(notify) }
    }

    /// Begins a request; its number is in its outcome, which is `Busy` when there are too many.
    pub fn start(&self, handle: &Handle, request: HttpGet) -> u32 {
        let mut state = self.state.lock();
        if state.running.len() + state.outcomes.len() >= JOBS {
            drop(state);
            return self.fail(HttpError::Busy);
        }
        state.last = state.last.wrapping_add(1);
        let job = state.last;
        let (dialer, shared, notify) =
            (Arc::clone(&self.dialer), Arc::clone(&self.state), Arc::clone(&self.notify));
        // It cannot end before the lock is free, so it is known when it does.
        let task = handle.spawn(async move {
            let result = http_get::get(&dialer, &request).await;
            let mut state = shared.lock();
            if state.running.remove(&job).is_some() {
                state.outcomes.push(HttpOutcome { job, result });
                drop(state);
                notify();
            }
        });
        state.running.insert(job, task.abort_handle());
        job
    }

    /// The number of a request that fails before it begins.
    pub fn fail(&self, error: HttpError) -> u32 {
        let mut state = self.state.lock();
        state.last = state.last.wrapping_add(1);
        let job = state.last;
        state.outcomes.push(HttpOutcome { job, result: Err(error) });
        drop(state);
        (self.notify)();
        job
    }

    /// Ends a request; it has no outcome.
    pub fn cancel(&self, job: u32) {
        let mut state = self.state.lock();
        if let Some(task) = state.running.remove(&job) {
            task.abort();
        }
        state.outcomes.retain(|outcome| outcome.job != job);
    }

    /// What came since the last call.
    pub fn drain(&self) -> Vec<HttpOutcome> {
        std::mem::take(&mut self.state.lock().outcomes)
    }
}
