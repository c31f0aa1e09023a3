//! Validation of a chain whose segments come one by one, for JavaScript.
use crate::chain::HeaderChain;
use crate::datadir::refused;
use crate::error::coded;
use crate::store::{CancelFlag, flag};
use crate::task::Job;
use crate::validate::{SegmentPaths, ValidationCounts, ValidationFailure, ValidationPlan, ValidationVerdict};
use blockswarm_chain::headers;
use blockswarm_chain::scan::SegmentRecords;
use blockswarm_chain::validation::{Plan, Progress, Validation, ValidationError};
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use parking_lot::Mutex;
use std::sync::Arc;

/// A run that is given segments in any order. Its calls on workers wait for each other.
#[napi]
pub struct ArrivingValidation {
    headers: Arc<headers::HeaderChain>,
    progress: Arc<Progress>,
    /// None once it was closed.
    validation: Arc<Mutex<Option<Validation>>>,
    left: Vec<u32>,
}

#[napi]
impl ArrivingValidation {
    /// Begins over the segments of a chain, whose headers it copies, or goes on where the plan's record ends; on a worker.
    /// Without an end the plan goes up to that of its hints or snapshot, or of the headers.
    ///
    /// Errors: ERR_SEGMENT_RANGE, ERR_HINTS, ERR_SNAPSHOT, ERR_USAGE, ERR_IO.
    #[napi(catch_unwind, ts_return_type = "Promise<ArrivingValidation>")]
    pub fn open(headers: &HeaderChain, plan: ValidationPlan) -> AsyncTask<Job<ArrivingValidation>> {
        let headers = Arc::new(headers.judged());
        AsyncTask::new(Job::new(move || {
            let (plan, progress) = (Plan::from(plan), Arc::<Progress>::default());
            let first = plan.first_height - plan.first_height % headers.params().interval.max(1);
            let validation =
                Validation::open(&headers, &(first..headers.len()), &plan, &progress).map_err(unproven)?;
            let left = validation.left();
            let validation = Arc::new(Mutex::new(Some(validation)));
            Ok(ArrivingValidation { headers, progress, validation, left })
        }))
    }

    /// The numbers of the segments that no earlier run has judged, rising.
    #[napi(getter, catch_unwind)]
    pub fn left(&self) -> Vec<u32> {
        self.left.clone()
    }

    /// How far it is now, earlier runs included.
    #[napi(catch_unwind)]
    pub fn counts(&self) -> ValidationCounts {
        (&*self.progress).into()
    }

    /// Judges a segment, on the threads of the plan. What is wrong, at the lowest height of all segments so far, is a result;
    /// above it nothing is judged. After an error the segment may be given again.
    ///
    /// Errors: ERR_SEGMENT_RANGE, ERR_SPENT_MISSING, ERR_BLOCK_DAMAGED, ERR_UNDO_OLD, ERR_DATADIR_UNREADABLE, ERR_HINTS,
    /// ERR_ENGINE, ERR_IO, ERR_INTERRUPTED.
    #[napi(catch_unwind, ts_return_type = "Promise<ValidationFailure | null>")]
    pub fn judge(
        &self,
        paths: SegmentPaths,
        cancel: Option<&CancelFlag>,
    ) -> AsyncTask<Job<Option<ValidationFailure>>> {
        let (headers, validation) = (Arc::clone(&self.headers), Arc::clone(&self.validation));
        let cancelled = flag(cancel);
        AsyncTask::new(Job::new(move || {
            let segment = paths.segment;
            let files = paths.open(headers.params()).map_err(refused)?;
            let records = SegmentRecords::new(headers, vec![files]).map_err(refused)?;
            let mut validation = validation.lock();
            let validation = validation.as_mut().ok_or_else(closed)?;
            validation.judge(&records, &[segment], &cancelled).map_err(unproven)?;
            Ok(validation.failure().cloned().map(Into::into))
        }))
    }

    /// What was found so far, on a worker; nothing of the set.
    #[napi(catch_unwind, ts_return_type = "Promise<ValidationVerdict>")]
    pub fn verdict(&self) -> AsyncTask<Job<ValidationVerdict>> {
        let validation = Arc::clone(&self.validation);
        AsyncTask::new(Job::new(move || Ok(validation.lock().as_ref().ok_or_else(closed)?.verdict().into())))
    }

    /// The verdict, on a worker. When all segments are valid, snapshots are read for that on the set, and the record of the run
    /// is dropped.
    ///
    /// Errors: ERR_SNAPSHOT, ERR_IO, ERR_INTERRUPTED.
    #[napi(catch_unwind, ts_return_type = "Promise<ValidationVerdict>")]
    pub fn finish(&self, cancel: Option<&CancelFlag>) -> AsyncTask<Job<ValidationVerdict>> {
        let (validation, cancelled) = (Arc::clone(&self.validation), flag(cancel));
        AsyncTask::new(Job::new(move || {
            let validation = validation.lock();
            let validation = validation.as_ref().ok_or_else(closed)?;
            validation.finish(&cancelled).map(Into::into).map_err(unproven)
        }))
    }

    /// Lets go of the record, on a worker, when no other call is under way.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn close(&self) -> AsyncTask<Job<()>> {
        let validation = Arc::clone(&self.validation);
        AsyncTask::new(Job::new(move || {
            drop(validation.lock().take());
            Ok(())
        }))
    }
}

fn closed() -> napi::Error {
    coded("ERR_INTERRUPTED", "the validation was closed")
}

fn unproven(error: ValidationError) -> napi::Error {
    coded(error.code(), error)
}
