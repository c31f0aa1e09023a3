//! The coins that a chain leaves, for JavaScript: hints, snapshots, and what does not add up.
use crate::chain::params;
use crate::chain_records::ChainRecords;
use crate::error::coded;
use crate::hash::Progress;
use crate::store::{CancelFlag, flag, number};
use crate::task::Job;
use blockswarm_chain::coinset::{
    Cause, CoinRange, CoinSetError, CoinSetJob, Culprit, EndCoins, SetTotals, differing_segments,
    find_culprits, make_hints, make_hints_of_snapshot, make_snapshot, make_sums, read_totals,
};
use blockswarm_chain::known_snapshots::{KnownSnapshot, known_snapshots};
use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi_derive::napi;
use std::path::{Path, PathBuf};

fn refused(error: CoinSetError) -> napi::Error {
    coded(error.code(), error)
}

/// How a job over the coins of a chain runs.
#[napi(object, object_to_js = false)]
pub struct CoinSetOptions {
    /// An existing folder; what does not fit into memory lies there in files without a name.
    pub scratch: String,
    /// For what is sorted.
    pub memory_bytes: i64,
    /// Threads that read blocks.
    pub threads: u32,
}

/// One thing about a coin that does not add up. Hashes are 32 bytes.
#[napi(object, object_from_js = false)]
pub struct CoinCulprit {
    /// The block at which it shows.
    pub height: u32,
    /// Its segment.
    pub segment: u32,
    /// The coin: its transaction and output; absent when the block has none like that.
    pub txid: Option<Buffer>,
    /// Number of the output.
    pub index: Option<u32>,
    /// The transaction that spends it.
    pub spender_txid: Option<Buffer>,
    /// Number of its input.
    pub spender_input: Option<u32>,
    /// `never-created`, `created-later`, `spent-twice`, `record-differs`, `hinted-but-spent`, `hinted-not-there`,
    /// `not-hinted`, `not-in-snapshot`, `snapshot-never-created`, `snapshot-but-spent` or `snapshot-differs`.
    pub cause: String,
    /// All of it in words.
    pub text: String,
    /// The block that created the coin, where the cause has to do with it.
    pub created_height: Option<u32>,
    /// The block that spent it first, where it is spent twice.
    pub first_spent_height: Option<u32>,
    /// In what a record or snapshot differs from it.
    pub fields: Option<Vec<String>>,
}

impl From<Culprit> for CoinCulprit {
    fn from(culprit: Culprit) -> Self {
        let (txid, index) = culprit.coin.unzip();
        let (spender_txid, spender_input) = culprit.spender.unzip();
        let buffer = |hash: [u8; 32]| hash.to_vec().into();
        let created_height = match culprit.cause {
            Cause::CreatedLater { created_height }
            | Cause::RecordDiffers { created_height, .. }
            | Cause::HintedButSpent { created_height }
            | Cause::SnapshotButSpent { created_height } => Some(created_height),
            _ => None,
        };
        let first_spent_height = match culprit.cause {
            Cause::SpentTwice { first_height } => Some(first_height),
            _ => None,
        };
        let fields = match &culprit.cause {
            Cause::RecordDiffers { fields, .. } | Cause::SnapshotDiffers { fields } => {
                Some(fields.iter().map(|field| field.name().to_owned()).collect())
            }
            _ => None,
        };
        Self {
            height: culprit.height,
            segment: culprit.segment,
            txid: txid.map(buffer),
            index,
            spender_txid: spender_txid.map(buffer),
            spender_input,
            cause: culprit.cause.name().to_owned(),
            text: culprit.to_string(),
            created_height,
            first_spent_height,
            fields,
        }
    }
}

/// A hints file that was made, or why it was not.
#[napi(object, object_from_js = false)]
pub struct MadeHints {
    /// Coins that survive.
    pub survivors: i64,
    /// Of the file.
    pub length_bytes: i64,
    /// What does not add up, at most ten, the lowest height first: there is no file then.
    pub culprits: Vec<CoinCulprit>,
}

/// A set of coins as `gettxoutsetinfo` tells of it. Hashes are 32 bytes, internal order.
#[napi(object, object_from_js = false)]
pub struct CoinTotals {
    /// How many coins.
    pub coins: i64,
    /// Satoshi of all.
    pub value: i64,
    /// `hash_serialized_3`.
    pub hash_serialized: Buffer,
    /// `muhash`.
    pub muhash: Buffer,
}

impl From<SetTotals> for CoinTotals {
    fn from(totals: SetTotals) -> Self {
        Self {
            coins: number(totals.coins),
            value: number(totals.value),
            hash_serialized: totals.hash_serialized.to_vec().into(),
            muhash: totals.muhash.to_vec().into(),
        }
    }
}

/// A snapshot that was made, or why it was not.
#[napi(object, object_from_js = false)]
pub struct MadeSnapshot {
    /// The set; absent when there are culprits.
    pub totals: Option<CoinTotals>,
    /// Of the file.
    pub length_bytes: i64,
    /// What does not add up, at most ten, the lowest height first: there is no file then.
    pub culprits: Vec<CoinCulprit>,
}

/// A snapshot that was read from end to end.
#[napi(object, object_from_js = false)]
pub struct ReadSnapshot {
    /// 4 bytes of the network.
    pub magic: Buffer,
    /// Hash of the block after which these are the coins; 32 bytes.
    pub block_hash: Buffer,
    /// The set.
    pub totals: CoinTotals,
}

/// A snapshot that Core knows.
#[napi(object, object_from_js = false)]
pub struct CoreSnapshot {
    /// Height of the block after which these are the coins.
    pub height: u32,
    /// Its hash, 32 bytes.
    pub block_hash: Buffer,
    /// What the coins hash to, 32 bytes.
    pub hash_serialized: Buffer,
}

/// Whose coins are to add up. Paths of files; `hints` and `snapshot` exclude each other.
#[napi(object, object_to_js = false)]
pub struct CoinSides {
    /// First block.
    pub first_height: u32,
    /// Behind the last block.
    pub end_height: u32,
    /// A snapshot of the coins before the first block, when that is not genesis.
    pub start: Option<String>,
    /// Hints for the blocks from genesis on.
    pub hints: Option<String>,
    /// A snapshot of the coins behind the last block.
    pub snapshot: Option<String>,
}

/// What every job takes along to its worker.
struct Task {
    records: std::sync::Arc<dyn blockswarm_chain::chain_records::ChainRecords + Send>,
    scratch: PathBuf,
    memory_bytes: usize,
    threads: usize,
    progress: std::sync::Arc<std::sync::atomic::AtomicU64>,
    cancelled: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Task {
    fn new(
        records: &ChainRecords,
        options: CoinSetOptions,
        progress: &Progress,
        cancel: Option<&CancelFlag>,
    ) -> Self {
        Self {
            records: records.shared(),
            scratch: PathBuf::from(options.scratch),
            memory_bytes: usize::try_from(options.memory_bytes).unwrap_or(0),
            threads: options.threads.max(1) as usize,
            progress: progress.shared(),
            cancelled: flag(cancel),
        }
    }

    fn job(&self) -> CoinSetJob<'_> {
        CoinSetJob {
            records: &*self.records,
            scratch: &self.scratch,
            memory_bytes: self.memory_bytes,
            threads: self.threads,
            progress: &self.progress,
            cancelled: &self.cancelled,
        }
    }
}

/// The value, or the culprits; other errors stay.
fn or_culprits<T>(outcome: Result<T, CoinSetError>) -> napi::Result<Result<T, Vec<CoinCulprit>>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(CoinSetError::Culprits(culprits)) => Ok(Err(culprits.into_iter().map(Into::into).collect())),
        Err(error) => Err(refused(error)),
    }
}

/// Finds which coins of the blocks below `end_height` survive, and writes hints to `out`, whole or not at all, on a
/// worker and threads of its own: from blocks and undo records, or, with `snapshot`, from blocks and that file.
/// `progress` counts heights.
///
/// Errors: ERR_SEGMENT_RANGE, ERR_SPENT_MISSING, ERR_UNDO_OLD, ERR_BLOCK_DAMAGED, ERR_BLOCK_PRUNED, ERR_DATADIR_UNREADABLE,
/// ERR_SNAPSHOT, ERR_IO, ERR_DISK_FULL, ERR_INTERRUPTED.
#[napi(catch_unwind, ts_return_type = "Promise<MadeHints>")]
pub fn make_coin_hints(
    records: &ChainRecords,
    end_height: u32,
    snapshot: Option<String>,
    out: String,
    options: CoinSetOptions,
    progress: &Progress,
    cancel: Option<&CancelFlag>,
) -> AsyncTask<Job<MadeHints>> {
    let task = Task::new(records, options, progress, cancel);
    AsyncTask::new(Job::new(move || {
        let (job, out) = (task.job(), Path::new(&out));
        let made = match &snapshot {
            Some(snapshot) => make_hints_of_snapshot(&job, end_height, Path::new(snapshot), out),
            None => make_hints(&job, end_height, out),
        };
        Ok(match or_culprits(made)? {
            Ok(made) => MadeHints {
                survivors: number(made.survivors),
                length_bytes: number(made.length_bytes),
                culprits: Vec::new(),
            },
            Err(culprits) => MadeHints { survivors: 0, length_bytes: 0, culprits },
        })
    }))
}

/// Writes the coins that the blocks below `end_height` leave to `out`, whole or not at all, as Core's `dumptxoutset`
/// does. Hints, when given, are believed; without them the survivors are found in a pass before. `progress` counts the
/// heights of each pass. Errors as `makeCoinHints`, and ERR_HINTS.
#[napi(catch_unwind, ts_return_type = "Promise<MadeSnapshot>")]
pub fn make_coin_snapshot(
    records: &ChainRecords,
    end_height: u32,
    hints: Option<String>,
    out: String,
    options: CoinSetOptions,
    progress: &Progress,
    cancel: Option<&CancelFlag>,
) -> AsyncTask<Job<MadeSnapshot>> {
    let task = Task::new(records, options, progress, cancel);
    AsyncTask::new(Job::new(move || {
        let hints = hints.as_ref().map(Path::new);
        Ok(match or_culprits(make_snapshot(&task.job(), end_height, hints, Path::new(&out)))? {
            Ok(made) => MadeSnapshot {
                totals: Some(made.totals.into()),
                length_bytes: number(made.length_bytes),
                culprits: Vec::new(),
            },
            Err(culprits) => MadeSnapshot { totals: None, length_bytes: 0, culprits },
        })
    }))
}

/// Looks for what makes the coins of a range not add up: at most ten things, the lowest height first. Errors as
/// `makeCoinSnapshot`.
#[napi(catch_unwind, ts_return_type = "Promise<CoinCulprit[]>")]
pub fn find_coin_culprits(
    records: &ChainRecords,
    sides: CoinSides,
    options: CoinSetOptions,
    progress: &Progress,
    cancel: Option<&CancelFlag>,
) -> AsyncTask<Job<Vec<CoinCulprit>>> {
    let task = Task::new(records, options, progress, cancel);
    AsyncTask::new(Job::new(move || {
        let end = match (&sides.hints, &sides.snapshot) {
            (Some(hints), _) => EndCoins::Hints(Path::new(hints)),
            (None, Some(snapshot)) => EndCoins::Snapshot(Path::new(snapshot)),
            (None, None) => EndCoins::Unspent,
        };
        let range = CoinRange {
            heights: sides.first_height..sides.end_height,
            start: sides.start.as_ref().map(Path::new),
            end,
        };
        let culprits = find_culprits(&task.job(), &range).map_err(refused)?;
        Ok(culprits.into_iter().map(Into::into).collect())
    }))
}

/// Writes what each of the first `segments` segments creates and spends to `out`, the `sums` companion, whole or not at
/// all; its length in bytes. `progress` counts heights. Errors as `makeCoinHints`.
#[napi(catch_unwind, ts_return_type = "Promise<number>")]
pub fn make_coin_sums(
    records: &ChainRecords,
    segments: u32,
    out: String,
    options: CoinSetOptions,
    progress: &Progress,
    cancel: Option<&CancelFlag>,
) -> AsyncTask<Job<i64>> {
    let task = Task::new(records, options, progress, cancel);
    AsyncTask::new(Job::new(move || {
        make_sums(&task.job(), segments, Path::new(&out)).map(number).map_err(refused)
    }))
}

/// The segments that come to something else than a `sums` companion says, rising. `progress` counts heights. ERR_SUMS, and
/// as `makeCoinHints`.
#[napi(catch_unwind, ts_return_type = "Promise<number[]>")]
pub fn differing_coin_segments(
    records: &ChainRecords,
    sums: String,
    options: CoinSetOptions,
    progress: &Progress,
    cancel: Option<&CancelFlag>,
) -> AsyncTask<Job<Vec<u32>>> {
    let task = Task::new(records, options, progress, cancel);
    AsyncTask::new(Job::new(move || differing_segments(&task.job(), Path::new(&sums)).map_err(refused)))
}

/// Reads a snapshot from end to end, checks its form, and adds up its coins, on a worker and threads of its own.
/// `progress` counts bytes. ERR_SNAPSHOT, ERR_IO, ERR_INTERRUPTED.
#[napi(catch_unwind, ts_return_type = "Promise<ReadSnapshot>")]
pub fn read_coin_snapshot(
    path: String,
    threads: u32,
    progress: &Progress,
    cancel: Option<&CancelFlag>,
) -> AsyncTask<Job<ReadSnapshot>> {
    let (progress, cancelled) = (progress.shared(), flag(cancel));
    AsyncTask::new(Job::new(move || {
        let read = read_totals(Path::new(&path), threads as usize, &progress, &cancelled);
        let (head, totals) = read.map_err(refused)?;
        Ok(ReadSnapshot {
            magic: head.magic.to_vec().into(),
            block_hash: head.block_hash.to_vec().into(),
            totals: totals.into(),
        })
    }))
}

/// The snapshots of a network that Core knows, the lowest height first. ERR_NETWORK_UNKNOWN.
#[napi(catch_unwind)]
pub fn core_snapshots(network: String) -> napi::Result<Vec<CoreSnapshot>> {
    let of = |known: &KnownSnapshot| CoreSnapshot {
        height: known.height,
        block_hash: known.block_hash.to_vec().into(),
        hash_serialized: known.hash_serialized.to_vec().into(),
    };
    Ok(known_snapshots(&params(&network, None)?).iter().map(of).collect())
}
