//! The header chain: grows from genesis, header by header, and keeps the first bad one out.
//!
//! Core's `CheckBlockHeader` and `ContextualCheckBlockHeader` (`validation.cpp`), `GetNextWorkRequired`
//! (`pow.cpp`). One chain, no forks: two chains are compared by their work.

use std::fmt;

use crate::encode::Hash;
use crate::header::{HEADER_BYTES, Header, RawHeader, block_hashes};
use crate::params::Params;
use crate::pow;
use crate::u256::U256;

/// Seconds a header's time may be ahead of the clock.
const MAX_FUTURE_SECONDS: u64 = 2 * 60 * 60;
/// BIP 94: seconds that the first block of a period may be earlier than the block before.
const MAX_TIMEWARP_SECONDS: u32 = 600;
/// Blocks whose median time a header must be later than.
const MEDIAN_SPAN: usize = 11;
/// Headers between two stored sums of work.
const WORK_SPAN: usize = 2016;

/// Headers that are hashed together.
const HASH_BATCH: usize = 256;

/// The rule a header broke. Shown as Core's reject reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderRule {
    /// The first header is not the network's.
    Genesis,
    /// It does not name the header before it.
    Linkage,
    /// Its hash is above its target, or its target is none.
    HighHash,
    /// Its target is not the one its place asks for.
    DiffBits,
    /// Not later than the median of the eleven before it.
    TimeTooOld,
    /// BIP 94: more than 600 s before the last block of the period before.
    Timewarp,
    /// More than two hours ahead of the clock.
    TimeTooNew,
    /// A version that BIP 34, 65 or 66 retired at this height.
    Version(i32),
    /// Fewer than 80 bytes.
    Truncated,
}

impl fmt::Display for HeaderRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Genesis => f.write_str("bad-genesis"),
            Self::Linkage => f.write_str("prev-blk-not-found"),
            Self::HighHash => f.write_str("high-hash"),
            Self::DiffBits => f.write_str("bad-diffbits"),
            Self::TimeTooOld => f.write_str("time-too-old"),
            Self::Timewarp => f.write_str("time-timewarp-attack"),
            Self::TimeTooNew => f.write_str("time-too-new"),
            Self::Version(version) => write!(f, "bad-version(0x{version:08x})"),
            Self::Truncated => f.write_str("bad-header-length"),
        }
    }
}

/// The first header that does not extend the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header {height}: {rule}: {message}")]
pub struct HeaderFault {
    /// The height it would have had.
    pub height: u32,
    /// The rule it broke.
    pub rule: HeaderRule,
    /// What was found and what was expected.
    pub message: String,
}

/// A chain of checked headers from genesis. 80 bytes each, and 32 for every 2016.
#[derive(Debug, Clone)]
pub struct HeaderChain {
    params: Params,
    headers: Vec<RawHeader>,
    tip_hash: Hash,
    tip_work: U256,
    /// Work before heights 0, 2016, 4032…
    work_before: Vec<U256>,
    /// Bits of the last header that did not use, or could not use, the easiest target: what a minimum
    /// difficulty network goes back to. Kept, because walking back costs up to a period for each header.
    last_regular_bits: u32,
    /// The bits last seen and their work: the same for a whole period on mainnet.
    recent_work: (u32, U256),
}

impl HeaderChain {
    /// An empty chain; the first header appended must be the network's genesis.
    pub fn new(params: Params) -> Self {
        let bits = params.pow_limit_bits;
        Self {
            params,
            headers: Vec::new(),
            tip_hash: [0; 32],
            tip_work: U256::ZERO,
            work_before: Vec::new(),
            last_regular_bits: bits,
            recent_work: (bits, pow::work(bits)),
        }
    }

    /// The network's values.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Headers held.
    pub fn len(&self) -> u32 {
        self.headers.len() as u32
    }

    /// Whether there is not even genesis.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// Hash of the last header, internal order.
    pub fn tip_hash(&self) -> Option<Hash> {
        (!self.is_empty()).then_some(self.tip_hash)
    }

    /// Work of the whole chain.
    pub fn tip_work(&self) -> U256 {
        self.tip_work
    }

    /// The headers of the heights `[first, end)`; `None` when not all are held.
    pub fn headers(&self, first: u32, end: u32) -> Option<&[RawHeader]> {
        self.headers.get(first as usize..end as usize)
    }

    /// Hash of the header at `height`, internal order.
    pub fn hash_at(&self, height: u32) -> Option<Hash> {
        // The next header names it; only the tip's own is kept.
        match self.headers.get(height as usize + 1) {
            Some(next) => Some(Header::parse(next).prev),
            None => self.tip_hash().filter(|_| height as usize + 1 == self.headers.len()),
        }
    }

    /// Work of the chain up to and with `height`.
    pub fn work_at(&self, height: u32) -> Option<U256> {
        let span = height as usize / WORK_SPAN;
        let range = self.headers.get(span * WORK_SPAN..=height as usize)?;
        let mut recent = self.recent_work;
        Some(range.iter().fold(*self.work_before.get(span)?, |sum, raw| {
            let bits = Header::parse(raw).bits;
            if recent.0 != bits {
                recent = (bits, pow::work(bits));
            }
            sum.wrapping_add(recent.1)
        }))
    }

    /// Median time of the eleven headers up to the tip, in Unix seconds.
    pub fn median_time(&self) -> Option<u32> {
        self.median_time_at(self.len().checked_sub(1)?)
    }

    /// Median time of the eleven headers up to and with `height`, in Unix seconds (`GetMedianTimePast`).
    pub fn median_time_at(&self, height: u32) -> Option<u32> {
        let end = height as usize + 1;
        let headers = self.headers.get(end.saturating_sub(MEDIAN_SPAN)..end)?;
        let mut times: Vec<u32> = headers.iter().map(|raw| Header::parse(raw).time).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }

    /// Appends headers, 80 bytes each, at the time `now` (Unix seconds). Those before the first bad one stay,
    /// nothing after it does.
    pub fn append(&mut self, bytes: &[u8], now: u64) -> Result<(), HeaderFault> {
        let (headers, rest) = bytes.as_chunks::<HEADER_BYTES>();
        for batch in headers.chunks(HASH_BATCH) {
            for (raw, hash) in batch.iter().zip(block_hashes(batch)) {
                self.push(raw, hash, now)?;
            }
        }
        if rest.is_empty() {
            return Ok(());
        }
        Err(self.fault(HeaderRule::Truncated, format!("{} bytes of 80", rest.len())))
    }

    fn push(&mut self, raw: &RawHeader, hash: Hash, now: u64) -> Result<(), HeaderFault> {
        let header = Header::parse(raw);
        match self.headers.last().map(Header::parse) {
            None if *raw == self.params.genesis_header => {}
            None => {
                return Err(
                    self.fault(HeaderRule::Genesis, format!("not the first header of {}", self.params.name))
                );
            }
            Some(last) => self.check(&header, &hash, &last, now)?,
        }
        if self.recent_work.0 != header.bits {
            self.recent_work = (header.bits, pow::work(header.bits));
        }
        if self.headers.len().is_multiple_of(WORK_SPAN) {
            self.work_before.push(self.tip_work);
        }
        if self.starts_period() || header.bits != self.params.pow_limit_bits {
            self.last_regular_bits = header.bits;
        }
        self.headers.push(*raw);
        self.tip_hash = hash;
        self.tip_work = self.tip_work.wrapping_add(self.recent_work.1);
        Ok(())
    }

    /// The rules in Core's order: those of the header alone, then those of its place.
    fn check(&self, header: &Header, hash: &Hash, last: &Header, now: u64) -> Result<(), HeaderFault> {
        if !pow::meets_target(hash, header.bits, &self.params.pow_limit) {
            let message = format!("hash {} is not below the target of {:08x}", shown(hash), header.bits);
            return Err(self.fault(HeaderRule::HighHash, message));
        }
        if header.prev != self.tip_hash {
            let message = format!("follows {}, not {}", shown(&header.prev), shown(&self.tip_hash));
            return Err(self.fault(HeaderRule::Linkage, message));
        }
        let bits = self.next_bits(header.time, last);
        if header.bits != bits {
            let message = format!("bits {:08x} where {bits:08x} are due", header.bits);
            return Err(self.fault(HeaderRule::DiffBits, message));
        }
        let median = self.median_time().unwrap_or(0);
        if header.time <= median {
            let message = format!("time {} is not after the median {median}", header.time);
            return Err(self.fault(HeaderRule::TimeTooOld, message));
        }
        if self.params.bip94
            && self.starts_period()
            && header.time < last.time.saturating_sub(MAX_TIMEWARP_SECONDS)
        {
            let message = format!("time {} is over 600 s before {}", header.time, last.time);
            return Err(self.fault(HeaderRule::Timewarp, message));
        }
        if u64::from(header.time) > now.saturating_add(MAX_FUTURE_SECONDS) {
            let message = format!("time {} is over two hours after {now}", header.time);
            return Err(self.fault(HeaderRule::TimeTooNew, message));
        }
        let (height, active) = (self.len(), &self.params.activations);
        let retired = |version, from| header.version < version && height >= from;
        if retired(2, active.bip34) || retired(3, active.bip66) || retired(4, active.bip65) {
            let message = format!("version {} is retired", header.version);
            return Err(self.fault(HeaderRule::Version(header.version), message));
        }
        Ok(())
    }

    /// Whether the next header is the first of a difficulty period.
    fn starts_period(&self) -> bool {
        self.len().is_multiple_of(self.params.interval)
    }

    /// The bits that the next header must have, given its time (Core's `GetNextWorkRequired`).
    fn next_bits(&self, time: u32, last: &Header) -> u32 {
        let params = &self.params;
        if self.starts_period() {
            let first = self.headers.len() - params.interval as usize;
            let first = self.headers.get(first).map_or(*last, Header::parse);
            // BIP 94: the last block of a period may have the easiest target; the first cannot.
            let base_bits = if params.bip94 { first.bits } else { last.bits };
            return pow::retarget(params, base_bits, first.time, last.time);
        }
        if !params.min_difficulty_blocks {
            return last.bits;
        }
        if u64::from(time) > u64::from(last.time) + 2 * u64::from(params.target_spacing) {
            return params.pow_limit_bits;
        }
        self.last_regular_bits
    }

    fn fault(&self, rule: HeaderRule, message: String) -> HeaderFault {
        HeaderFault { height: self.len(), rule, message }
    }
}

/// A hash as Core shows it: hex, reversed.
fn shown(hash: &Hash) -> String {
    use fmt::Write;
    hash.iter().rev().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[path = "headers_test.rs"]
mod tests;
