//! Core's engine as the judge of the judge: both get the same blocks in the same order, from genesis of a regtest chain,
//! and each verdict and tip is compared.

use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use super::chain_state::ChainState;
use super::drafts::Tip;
use crate::engine::{ChainEngine, FrameRange};
use crate::params::Params;

/// Blocks below the first case: all coins of the first are mature.
const BASE: u32 = 120;

pub type Make = fn(&Tip) -> Vec<u8>;

/// Both judges, and the chain that both have.
struct Judges {
    folder: tempfile::TempDir,
    engine: ChainEngine,
    state: ChainState,
    tip: Tip,
}

impl Judges {
    fn new() -> Self {
        let params = Params::regtest();
        let folder = tempfile::tempdir().unwrap();
        let engine = ChainEngine::open(&folder.path().join("node"), params.clone(), 0).unwrap();
        let tip = Tip::genesis(&params);
        Self { folder, engine, state: ChainState::new(params), tip }
    }

    /// Hands both the next block; the reason of both, which is the same, or `None` when it is the new tip.
    fn submit(&mut self, name: &str, bytes: &[u8]) -> Option<String> {
        let path = self.folder.path().join("block.dat");
        let frame = [&Params::regtest().magic[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat();
        std::fs::write(&path, &frame).unwrap();
        let range = FrameRange { path, offset: 0, length: frame.len() as u64, xor_key: None };
        let fed = self.engine.feed(&range, &AtomicBool::new(false)).unwrap();
        let core = fed.rejected.map(|rejected| match rejected.kind {
            "undecodable" => "bad-encoding".to_string(),
            _ => rejected.reason.split([',', ' ']).next().unwrap().to_string(),
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let ours =
            self.state.submit(bytes, now).map(|reason| reason.split([':', ' ']).next().unwrap().to_string());
        assert_eq!(ours, core, "{name}");
        assert_eq!(self.state.tip(), fed.tip.hash, "{name}");
        if ours.is_none() {
            self.tip.advance(bytes);
        }
        ours
    }
}

/// Hands the cases over one after the other: name, expected reason, block.
pub fn run(cases: &[(&str, Option<&str>, Make)]) {
    let mut judges = Judges::new();
    for _ in 0..BASE {
        let bytes = judges.tip.draft(0, &[]).finish();
        assert_eq!(judges.submit("base", &bytes), None);
    }
    for (name, expected, make) in cases {
        let bytes = make(&judges.tip);
        assert_eq!(judges.submit(name, &bytes).as_deref(), *expected, "{name}");
    }
}
