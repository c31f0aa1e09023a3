//! A small node: a tree of headers, the coins of the best chain in a map, and Core's `submitblock` over them.

use std::collections::{HashMap, HashSet};

use super::super::bip30;
use super::super::*;
use super::coin_map::{Changes, CoinMap};
use crate::block::BlockFault;
use crate::header::{Header, RawHeader, block_hash};
use crate::params::Params;
use crate::pow;
use crate::u256::U256;

struct Node {
    header: RawHeader,
    height: u32,
    work: U256,
    bytes: Option<Vec<u8>>,
    invalid: bool,
    /// In order of arrival: of two chains with the same work the first counts.
    arrival: usize,
}

pub struct ChainState {
    params: Params,
    nodes: HashMap<Hash, Node>,
    /// The best chain, genesis first.
    chain: Vec<Hash>,
    headers: HeaderChain,
    changes: Vec<Changes>,
    pub coins: CoinMap,
    judge: EngineJudge,
    arrivals: usize,
}

impl ChainState {
    pub fn new(params: Params) -> Self {
        let genesis = params.genesis_hash;
        let mut headers = HeaderChain::new(params.clone());
        headers.append(&params.genesis_header, u64::MAX).unwrap();
        let node = Node {
            header: params.genesis_header,
            height: 0,
            work: U256::ZERO,
            bytes: Some(Vec::new()),
            invalid: false,
            arrival: 0,
        };
        Self {
            params,
            nodes: HashMap::from([(genesis, node)]),
            chain: vec![genesis],
            headers,
            changes: vec![Changes::default()],
            coins: CoinMap::default(),
            judge: EngineJudge::default(),
            arrivals: 1,
        }
    }

    pub fn tip(&self) -> Hash {
        *self.chain.last().unwrap()
    }

    /// Core's `submitblock`: `None` for a block that is now the tip, otherwise what it says.
    pub fn submit(&mut self, bytes: &[u8], now: u64) -> Option<String> {
        let header: RawHeader = *bytes.first_chunk().unwrap();
        let hash = block_hash(&header);
        let Some(parent) = self.nodes.get(&Header::parse(&header).prev) else {
            return Some("prev-blk-not-found".into());
        };
        if parent.invalid {
            return Some("bad-prevblk".into());
        }
        let (height, work) = (parent.height + 1, parent.work);
        let mut headers = self.headers_to(&Header::parse(&header).prev);
        if let Err(fault) = headers.append(&header, now) {
            return Some(fault.rule.to_string());
        }
        let context = BlockContext { header: &header, height, params: &self.params };
        let place = Place { context, hash: &hash, median_times: &headers };
        let verdict =
            read_block(bytes, &context).map_err(Refusal::from).and_then(|block| check_rules(&block, &place));
        // Otherwise mutated, or found bad before Core looks at the header's place: not remembered.
        let contextual = match &verdict {
            Ok(()) => true,
            Err(Refusal::Bytes(fault)) => *fault == BlockFault::Weight,
            Err(Refusal::Invalid(broken)) => matches!(broken.rule, Rule::NotFinal | Rule::CoinbaseHeight),
            Err(_) => false,
        };
        match self.nodes.get(&hash) {
            _ if !contextual => return verdict.err().map(|refusal| refusal.reason()),
            Some(node) if node.invalid => return Some("duplicate-invalid".into()),
            Some(_) => return Some("duplicate".into()),
            None => {}
        }
        let invalid = verdict.is_err();
        let work = work.wrapping_add(pow::work(Header::parse(&header).bits));
        let bytes = (!invalid).then(|| bytes.to_vec());
        self.nodes.insert(hash, Node { header, height, work, bytes, invalid, arrival: self.arrivals });
        self.arrivals += 1;
        if let Err(refusal) = verdict {
            return Some(refusal.reason());
        }
        let mut result = Some("inconclusive".to_string());
        self.activate_best(|connected, verdict| {
            if connected == hash {
                result = verdict;
            }
        });
        result
    }

    /// Core's `invalidateblock`.
    pub fn invalidate(&mut self, hash: &Hash) {
        self.mark_invalid(hash);
        while self.chain.iter().any(|on_chain| self.nodes[on_chain].invalid) {
            self.disconnect();
        }
        self.activate_best(|_, _| {});
    }

    fn mark_invalid(&mut self, hash: &Hash) {
        let mut bad = HashSet::from([*hash]);
        let mut by_height: Vec<(u32, Hash)> = self.nodes.iter().map(|(hash, n)| (n.height, *hash)).collect();
        by_height.sort_unstable();
        for (_, at) in by_height {
            if bad.contains(&at) || bad.contains(&Header::parse(&self.nodes[&at].header).prev) {
                bad.insert(at);
                self.nodes.get_mut(&at).unwrap().invalid = true;
            }
        }
    }

    /// Goes to the chain with the most work whose blocks are all here, and tells of each block that it connects.
    fn activate_best(&mut self, mut told: impl FnMut(Hash, Option<String>)) {
        loop {
            let candidates = self.nodes.iter().filter(|(_, node)| !node.invalid && node.bytes.is_some());
            let best = candidates.max_by_key(|(_, node)| (node.work, std::cmp::Reverse(node.arrival)));
            let best = *best.unwrap().0;
            if best == self.tip() {
                return;
            }
            let mut path = vec![best];
            while self.chain.get(self.nodes[path.last().unwrap()].height as usize) != path.last() {
                path.push(Header::parse(&self.nodes[path.last().unwrap()].header).prev);
            }
            let fork = path.pop().unwrap();
            while self.tip() != fork {
                self.disconnect();
            }
            for hash in path.iter().rev() {
                let verdict = self.connect(hash);
                told(*hash, verdict.as_ref().err().map(Refusal::reason));
                if verdict.is_err() {
                    self.mark_invalid(hash);
                    break;
                }
            }
        }
    }

    fn connect(&mut self, hash: &Hash) -> Result<(), Refusal> {
        let node = &self.nodes[hash];
        let (header, bytes) = (node.header, node.bytes.as_ref().unwrap());
        let mut headers = self.headers.clone();
        headers.append(&header, u64::MAX).unwrap();
        let context = BlockContext { header: &header, height: node.height, params: &self.params };
        let place = Place { context, hash, median_times: &headers };
        let block = read_block(bytes, &context)?;
        let bip34_block = self.chain.get(self.params.activations.bip34 as usize);
        if bip30::is_enforced(node.height, hash, &self.params, bip34_block) {
            let exists = |txid: &Hash, index| self.coins.contains(txid, index);
            bip30::check_outputs(&block, node.height, exists)?;
        }
        let spent = self.coins.spent_by(&block, node.height);
        validate_block(bytes, &place, &spent, &self.judge, &mut self.coins)?;
        self.changes.push(self.coins.take_changes());
        self.headers = headers;
        self.chain.push(*hash);
        Ok(())
    }

    fn disconnect(&mut self) {
        let changes = self.changes.pop().unwrap();
        self.chain.pop();
        self.coins.revert(changes);
        self.headers = self.headers_to(&self.tip());
    }

    fn headers_to(&self, hash: &Hash) -> HeaderChain {
        if self.headers.tip_hash() == Some(*hash) {
            return self.headers.clone();
        }
        let mut raw = Vec::new();
        let mut at = *hash;
        while let Some(node) = self.nodes.get(&at) {
            raw.push(node.header);
            at = Header::parse(&node.header).prev;
        }
        raw.reverse();
        let mut headers = HeaderChain::new(self.params.clone());
        headers.append(&raw.concat(), u64::MAX).unwrap();
        headers
    }
}
