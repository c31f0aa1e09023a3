//! Validation of a chain for JavaScript: one task for all blocks, progress to be polled.
use crate::chain::HeaderChain;
use crate::datadir::{Datadir, refused};
use crate::error::coded;
use crate::store::{CancelFlag, flag, number};
use crate::task::Job;
use blockswarm_chain::chain_records::ChainRecords;
use blockswarm_chain::headers;
use blockswarm_chain::params::Params;
use blockswarm_chain::scan::{NodeRecords, ScanError, SegmentFiles, SegmentRecords};
use blockswarm_chain::validation::{Failure, Plan, Progress, SetPlan, Survivors, Verdict, validate};
use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi_derive::napi;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// What is to be proven of which blocks; the `chain` level always is.
#[napi(object, object_to_js = false, use_nullable = true)]
pub struct ValidationPlan {
    /// The first height.
    pub first_height: u32,
    /// The height behind the last; null: the end of the hints or snapshot, or of what is held.
    pub end_height: Option<u32>,
    /// Every script, and all rules about coins as claimed.
    pub scripts: bool,
    /// Hints, which prove `set` from genesis on. With neither this nor `snapshot`, `set` is not proven.
    pub hints: Option<String>,
    /// A UTXO snapshot of the last block, which proves `set`.
    pub snapshot: Option<String>,
    /// A UTXO snapshot of the block before the first, unless that is genesis.
    pub start_snapshot: Option<String>,
    /// 0 stands for one a core.
    pub threads: u32,
    /// Where the run is kept, in an existing folder: it goes on there after a kill.
    pub record_path: Option<String>,
}

/// Why a chain is not proven.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct ValidationFailure {
    /// The level that is not: `chain`, `scripts` or `set`.
    pub level: String,
    /// Where; when sums differ, the height behind the last block.
    pub height: u32,
    /// Core's reject reason where Core has one.
    pub reason: String,
    /// The transaction: 32 bytes, internal order.
    pub txid: Option<Buffer>,
    /// Its input.
    pub input: Option<u32>,
    /// What is wrong: `bytes`, `block`, `spent-record`, `header`, `hints` or `coins`.
    pub blame: String,
}

/// Heights, half-open.
#[napi(object, object_from_js = false)]
pub struct HeightRange {
    /// The first.
    pub first_height: u32,
    /// The height behind the last.
    pub end_height: u32,
}

/// What a run has found.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct ValidationVerdict {
    /// The heights that were to be judged.
    pub first_height: u32,
    /// Behind the last of them.
    pub end_height: u32,
    /// Blocks judged, in this run and in those that it goes on from.
    pub blocks: i64,
    /// Their transactions.
    pub transactions: i64,
    /// Their inputs, the coinbases' not among them.
    pub inputs: i64,
    /// Inputs judged in this run.
    pub new_inputs: i64,
    /// The height below which every block is valid as far as was asked for.
    pub proven_end_height: u32,
    /// All heights whose blocks are, in order: more ranges than one while segments are missing.
    pub valid: Vec<HeightRange>,
    /// Whether the sums over all coins are equal.
    pub set: bool,
    /// What is wrong, at the lowest height.
    pub failure: Option<ValidationFailure>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// How far a run is.
#[napi(object, object_from_js = false)]
pub struct ValidationCounts {
    /// Blocks judged, in earlier runs too.
    pub blocks: i64,
    /// Their inputs.
    pub inputs: i64,
    /// The height behind the last block; 0 until it is known.
    pub end_height: u32,
}

/// Counts while a run goes on; read it whenever it is to be shown.
#[napi]
#[derive(Default)]
pub struct ValidationProgress {
    progress: Arc<Progress>,
}

impl From<&Progress> for ValidationCounts {
    fn from(progress: &Progress) -> Self {
        let Progress { blocks, inputs, end_height, .. } = progress;
        Self {
            blocks: number(blocks.load(Ordering::Relaxed)),
            inputs: number(inputs.load(Ordering::Relaxed)),
            end_height: end_height.load(Ordering::Relaxed),
        }
    }
}

#[napi]
impl ValidationProgress {
    /// Nothing done yet.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Self {
        Self::default()
    }

    /// How far it is now.
    #[napi(catch_unwind)]
    pub fn counts(&self) -> ValidationCounts {
        (&*self.progress).into()
    }
}

/// The files of a segment.
#[napi(object, object_to_js = false, use_nullable = true)]
pub struct SegmentPaths {
    /// Its number.
    pub segment: u32,
    /// The blocks file.
    pub blocks: String,
    /// The spent file.
    pub spent: Option<String>,
}

impl SegmentPaths {
    pub(crate) fn open(self, params: &Params) -> Result<SegmentFiles, ScanError> {
        let spent = self.spent.map(PathBuf::from);
        SegmentFiles::open(params, self.segment, Path::new(&self.blocks), spent.as_deref())
    }
}

#[napi]
impl Datadir {
    /// Validates blocks of the most-work chain, on threads of its own. What is wrong with them is a result.
    ///
    /// Errors: ERR_SEGMENT_RANGE, ERR_SPENT_MISSING, ERR_UNDO_OLD, ERR_BLOCK_PRUNED, ERR_DATADIR_UNREADABLE, ERR_HINTS,
    /// ERR_SNAPSHOT, ERR_USAGE, ERR_ENGINE, ERR_IO, ERR_INTERRUPTED.
    #[napi(catch_unwind, ts_return_type = "Promise<ValidationVerdict>")]
    pub fn validate(
        &self,
        plan: ValidationPlan,
        progress: &ValidationProgress,
        cancel: Option<&CancelFlag>,
    ) -> AsyncTask<Job<ValidationVerdict>> {
        let (index, cancelled, progress) = (self.index(), flag(cancel), Arc::clone(&progress.progress));
        AsyncTask::new(Job::new(move || {
            let plan = Plan::from(plan);
            match NodeRecords::new(index, now(), Arc::clone(&cancelled)).map_err(refused)? {
                Ok(chain) => run(&chain, &plan, &progress, &cancelled),
                Err(fault) => Ok(Verdict::of_header(&plan, &fault).into()),
            }
        }))
    }
}

/// Validates blocks in segment files, neighbours in the order of their numbers. Without `headers` the first segment is 0
/// and theirs are judged. Otherwise as `Datadir.validate`; ERR_NETWORK_UNKNOWN, ERR_BLOCK_DAMAGED too.
#[napi(catch_unwind, ts_return_type = "Promise<ValidationVerdict>")]
pub fn validate_segments(
    network: String,
    segments: Vec<SegmentPaths>,
    headers: Option<&HeaderChain>,
    plan: ValidationPlan,
    progress: &ValidationProgress,
    cancel: Option<&CancelFlag>,
) -> napi::Result<AsyncTask<Job<ValidationVerdict>>> {
    let params = Params::by_name(&network, None).map_err(|error| coded(error.code(), error))?;
    let known = headers.map(HeaderChain::judged);
    let (cancelled, progress) = (flag(cancel), Arc::clone(&progress.progress));
    Ok(AsyncTask::new(Job::new(move || {
        let plan = Plan::from(plan);
        let files: Vec<_> = segments
            .into_iter()
            .map(|paths| paths.open(&params))
            .collect::<Result<_, _>>()
            .map_err(refused)?;
        let headers = match known {
            Some(headers) => headers,
            None => match judged(&params, &files) {
                Ok(headers) => headers,
                Err(fault) => return Ok(Verdict::of_header(&plan, &fault).into()),
            },
        };
        let chain = SegmentRecords::new(headers, files).map_err(refused)?;
        run(&chain, &plan, &progress, &cancelled)
    })))
}

fn judged(params: &Params, files: &[SegmentFiles]) -> Result<headers::HeaderChain, headers::HeaderFault> {
    let mut chain = headers::HeaderChain::new(params.clone());
    for file in files {
        chain.append(file.headers().as_flattened(), now())?;
    }
    Ok(chain)
}

fn run(
    chain: &dyn ChainRecords,
    plan: &Plan,
    progress: &Arc<Progress>,
    cancelled: &Arc<AtomicBool>,
) -> napi::Result<ValidationVerdict> {
    let verdict = validate(chain, plan, progress, cancelled);
    verdict.map(Into::into).map_err(|error| coded(error.code(), error))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

impl From<ValidationPlan> for Plan {
    fn from(plan: ValidationPlan) -> Self {
        let hints = plan.hints.map(|path| Survivors::Hints(path.into()));
        let survivors = hints.or_else(|| plan.snapshot.map(|path| Survivors::Snapshot(path.into())));
        let start = plan.start_snapshot.map(PathBuf::from);
        Self {
            first_height: plan.first_height,
            end_height: plan.end_height,
            scripts: plan.scripts,
            set: survivors.map(|survivors| SetPlan { survivors, start }),
            threads: plan.threads as usize,
            record: plan.record_path.map(PathBuf::from),
        }
    }
}

impl From<Failure> for ValidationFailure {
    fn from(failure: Failure) -> Self {
        Self {
            level: failure.level.to_string(),
            height: failure.height,
            reason: failure.reason,
            txid: failure.txid.map(|txid| txid.to_vec().into()),
            input: failure.input,
            blame: failure.blame.to_string(),
        }
    }
}

impl From<Verdict> for ValidationVerdict {
    fn from(verdict: Verdict) -> Self {
        Self {
            first_height: verdict.heights.start,
            end_height: verdict.heights.end,
            blocks: number(verdict.blocks),
            transactions: number(verdict.transactions),
            inputs: number(verdict.inputs),
            new_inputs: number(verdict.new_inputs),
            proven_end_height: verdict.proven_end,
            valid: verdict
                .valid
                .into_iter()
                .map(|heights| HeightRange { first_height: heights.start, end_height: heights.end })
                .collect(),
            set: verdict.set,
            failure: verdict.failure.map(Into::into),
            warnings: verdict.warnings,
        }
    }
}
