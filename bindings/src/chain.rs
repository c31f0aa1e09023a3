//! Networks, the header chain and the judge of a blocks file for JavaScript. Heights and counts are numbers,
//! hashes are bytes in internal order, work is 32 bytes big-endian.
use crate::error::coded;
use crate::store::Store;
use crate::task::Job;
use blockswarm_chain::decoded;
use blockswarm_chain::encode::Hash;
use blockswarm_chain::headers::{self, HeaderChain as Chain};
use blockswarm_chain::judge::{self, Judge};
use blockswarm_chain::params::Params;
use blockswarm_pieces::Store as PieceStore;
use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi_derive::napi;
use std::sync::Arc;

pub fn params(network: &str, signet_challenge: Option<&[u8]>) -> napi::Result<Params> {
    Params::by_name(network, signet_challenge).map_err(|error| coded(error.code(), error))
}

/// A JavaScript number; files stay far below 2^53.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The values of a network.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct NetworkParams {
    /// The name asked for.
    pub name: String,
    /// 4 bytes.
    pub magic: Buffer,
    /// Blocks in a segment.
    pub interval: u32,
    /// 32 bytes.
    pub genesis_hash: Buffer,
    /// 80 bytes.
    pub genesis_header: Buffer,
    /// Work that a header chain must have to count; 32 bytes big-endian.
    pub min_chain_work: Buffer,
    /// TCP port of the Bitcoin P2P protocol.
    pub default_port: u32,
    /// Folder below Core's `-datadir`; empty on mainnet.
    pub datadir_folder: String,
    /// Hash of the block below which Core assumes scripts to be valid.
    pub assume_valid: Option<Buffer>,
    /// Its height.
    pub assume_valid_height: Option<u32>,
}

/// The values of a network; a custom signet (`signet-<8 hex>`) needs its challenge. ERR_NETWORK_UNKNOWN.
#[napi(catch_unwind)]
pub fn network_params(network: String, signet_challenge: Option<&[u8]>) -> napi::Result<NetworkParams> {
    let params = params(&network, signet_challenge)?;
    let (assume_valid, assume_valid_height) = params.assume_valid.unzip();
    Ok(NetworkParams {
        name: params.name,
        magic: params.magic.to_vec().into(),
        interval: params.interval,
        genesis_hash: params.genesis_hash.to_vec().into(),
        genesis_header: params.genesis_header.to_vec().into(),
        min_chain_work: params.min_chain_work.to_vec().into(),
        default_port: params.default_port.into(),
        datadir_folder: params.datadir_folder.into(),
        assume_valid: assume_valid.map(|hash| hash.to_vec().into()),
        assume_valid_height,
    })
}

/// What the bytes of a block come to. Hashes are 32 bytes, internal order.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct DecodedBlock {
    /// Of the header.
    pub hash: Buffer,
    /// Of the transactions, whatever the header says.
    pub merkle_root: Buffer,
    /// The commitment to the witnesses that the coinbase should have (BIP 141), when it has a reserved value.
    pub witness_commitment: Option<Buffer>,
    /// The ids of the transactions, one behind the other.
    pub txids: Buffer,
    /// The hashes of the transactions with their witnesses; zeros for the coinbase.
    pub wtxids: Buffer,
    /// Weight units, BIP 141.
    pub weight: u32,
}

/// Reads a block in full serialization, at most 4,000,000 bytes; milliseconds. ERR_BLOCK_DAMAGED when it is none.
#[napi(catch_unwind)]
pub fn decode_block(block: &[u8]) -> napi::Result<DecodedBlock> {
    let decoded = decoded::decode_block(block).map_err(|fault| coded("ERR_BLOCK_DAMAGED", fault))?;
    let joined = |hashes: Vec<Hash>| Buffer::from(hashes.into_flattened());
    Ok(DecodedBlock {
        hash: decoded.hash.to_vec().into(),
        merkle_root: decoded.merkle_root.to_vec().into(),
        witness_commitment: decoded.witness_commitment.map(|hash| hash.to_vec().into()),
        txids: joined(decoded.txids),
        wtxids: joined(decoded.wtxids),
        weight: decoded.weight,
    })
}

/// The first header that does not extend a chain.
#[napi(object, object_from_js = false)]
pub struct HeaderFault {
    /// The height it would have had.
    pub height: u32,
    /// Core's reject reason: `high-hash`, `bad-diffbits`, `time-too-old`…
    pub rule: String,
    /// What was found and what was expected.
    pub message: String,
}

impl From<headers::HeaderFault> for HeaderFault {
    fn from(fault: headers::HeaderFault) -> Self {
        Self { height: fault.height, rule: fault.rule.to_string(), message: fault.message }
    }
}

/// A chain of checked headers that grows from genesis.
#[napi]
pub struct HeaderChain {
    chain: Chain,
}

#[cfg(feature = "engine")]
impl HeaderChain {
    /// The headers so far.
    pub(crate) fn judged(&self) -> Chain {
        self.chain.clone()
    }
}

#[napi]
impl HeaderChain {
    /// An empty chain. ERR_NETWORK_UNKNOWN.
    #[napi(constructor, catch_unwind)]
    pub fn new(network: String, signet_challenge: Option<&[u8]>) -> napi::Result<Self> {
        Ok(Self { chain: Chain::new(params(&network, signet_challenge)?) })
    }

    /// Appends headers, 80 bytes each, genesis first. Those before the first bad one stay; that one is
    /// returned, null when all are good. About 2 µs a header: append some thousands at a time.
    #[napi(catch_unwind)]
    pub fn append(&mut self, headers: &[u8], now_seconds: i64) -> Option<HeaderFault> {
        let now = u64::try_from(now_seconds).unwrap_or(0);
        self.chain.append(headers, now).err().map(HeaderFault::from)
    }

    /// Height of the last header; -1 when there is none.
    #[napi(catch_unwind)]
    pub fn height(&self) -> i64 {
        i64::from(self.chain.len()) - 1
    }

    /// Hash of a header, 32 bytes; null above the tip.
    #[napi(catch_unwind)]
    pub fn hash_at(&self, height: u32) -> Option<Buffer> {
        self.chain.hash_at(height).map(|hash| hash.to_vec().into())
    }

    /// The headers `[first, end)`, 80 bytes each. ERR_SEGMENT_RANGE when not all are held.
    #[napi(catch_unwind)]
    pub fn headers(&self, first: u32, end: u32) -> napi::Result<Buffer> {
        Ok(self.range(first, end)?.as_flattened().to_vec().into())
    }

    /// Work of the chain up to and with a height, 32 bytes big-endian; null above the tip.
    #[napi(catch_unwind)]
    pub fn work_at(&self, height: u32) -> Option<Buffer> {
        self.chain.work_at(height).map(|work| work.to_be_bytes().to_vec().into())
    }
}

impl HeaderChain {
    fn range(&self, first: u32, end: u32) -> napi::Result<&[[u8; 80]]> {
        let headers = self.chain.headers(first, end);
        let held = self.chain.len();
        headers.ok_or_else(|| coded("ERR_SEGMENT_RANGE", format!("headers {first} to {end} of {held}")))
    }
}

/// Why a file can never be the blocks file of its headers.
#[napi(object, object_from_js = false)]
pub struct JudgeFault {
    /// The height whose frame should be at the offset.
    pub height: u32,
    /// From the start of the file.
    pub offset_bytes: i64,
    /// What is wrong, starting with Core's reject reason where there is one.
    pub reason: String,
}

/// How far a blocks file is judged.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct JudgeReport {
    /// Heights whose block is proven at the `chain` level.
    pub judged_blocks: u32,
    /// Frames proven from the start without a gap.
    pub walked_blocks: u32,
    /// Bytes of those frames.
    pub walked_bytes: i64,
    /// Whether the file is exactly the frames of all heights.
    pub complete: bool,
    /// Null while none is found.
    pub fault: Option<JudgeFault>,
}

impl From<judge::JudgeReport> for JudgeReport {
    fn from(report: judge::JudgeReport) -> Self {
        let fault = report.fault.map(|fault| JudgeFault {
            height: fault.height,
            offset_bytes: number(fault.offset),
            reason: fault.reason,
        });
        Self {
            judged_blocks: report.judged_blocks,
            walked_blocks: report.walked_blocks,
            walked_bytes: number(report.walked_bytes),
            complete: report.complete,
            fault,
        }
    }
}

/// Proves the blocks of one blocks file while its pieces arrive, in any order.
#[napi]
pub struct BlocksJudge {
    judge: Arc<Judge>,
    store: Arc<PieceStore>,
}

#[napi]
impl BlocksJudge {
    /// A judge for the heights `[firstHeight, endHeight)` of the chain, whose headers it copies.
    /// ERR_SEGMENT_RANGE; ERR_NETWORK_MISMATCH when the chain is another network's; ERR_ENGINE for a signet
    /// in a build without the engine.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        store: &Store,
        chain: &HeaderChain,
        network: String,
        first_height: u32,
        end_height: u32,
    ) -> napi::Result<Self> {
        let params = chain.chain.params();
        if params.name != network {
            return Err(coded(
                "ERR_NETWORK_MISMATCH",
                format!("headers of {}, not of {network}", params.name),
            ));
        }
        let headers = chain.range(first_height, end_height)?.to_vec();
        let (length, piece_length) = (store.store.geometry().length(), store.store.geometry().piece_length());
        let judge = Judge::new(headers, first_height, params.clone(), length, piece_length)
            .map_err(|error| coded(error.code(), error))?;
        Ok(Self { judge: Arc::new(judge), store: Arc::clone(&store.store) })
    }

    /// Takes in a servable piece, on a worker; hand in each piece once. ERR_IO when it cannot be read, which
    /// is no verdict.
    #[napi(catch_unwind, ts_return_type = "Promise<JudgeReport>")]
    pub fn piece_arrived(&self, piece: u32) -> AsyncTask<Job<JudgeReport>> {
        let (judge, store) = (Arc::clone(&self.judge), Arc::clone(&self.store));
        AsyncTask::new(Job::new(move || {
            let report = judge.piece_arrived(&*store, piece).map_err(|error| coded("ERR_IO", error))?;
            Ok(report.into())
        }))
    }

    /// How far the file is judged by now.
    #[napi(catch_unwind)]
    pub fn report(&self) -> JudgeReport {
        self.judge.report().into()
    }

    /// Makes pieces under way return at the next block; their reports stand.
    #[napi(catch_unwind)]
    pub fn stop(&self) {
        self.judge.stop();
    }
}
