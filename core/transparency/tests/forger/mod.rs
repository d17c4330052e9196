//! A log that can lie: it keeps every version of the prefix tree as a plain map, computes trees and
//! proofs from the draft's definitions by brute force, and shares nothing with the crate's prover
//! but the structures, the VRF and the commitment. Where it does not lie it is a second
//! implementation to compare with.

#![allow(dead_code, reason = "each suite uses a part")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use paigham_transparency::hash::{HashValue, Label, Opening, commitment};
use paigham_transparency::structs::{
    AuditorUpdate, BinaryLadderStep, CombinedTreeProof, Configuration, FullTreeHead,
    InclusionProof, PrefixLeaf, PrefixProof, SearchRequest, SearchResponse, TreeHead,
};
use paigham_transparency::vrf::VrfSecretKey;

mod trees;
pub mod visits;

pub use trees::{Tree, all_ancestors, base_ladder, frontier, prefix_proof, prefix_root};

use trees::sha;

use crate::common::{configuration, label, sign_head, vrf_key};

#[derive(Clone)]
pub struct Entry {
    pub timestamp: u64,
    pub tree: Tree,
}

#[derive(Clone)]
pub struct Forger {
    pub config: Configuration,
    pub vrf: VrfSecretKey,
    pub entries: Vec<Entry>,
    /// Places computed before: the VRF is what takes time here.
    keys: RefCell<BTreeMap<(String, u32), HashValue>>,
}

impl Forger {
    pub fn new(window: u64) -> Self {
        Self {
            config: configuration(window),
            vrf: vrf_key(),
            entries: Vec::new(),
            keys: RefCell::default(),
        }
    }

    pub fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    pub fn newest(&self) -> u64 {
        self.entries.last().unwrap().timestamp
    }

    pub fn key(&self, name: &str, version: u32) -> HashValue {
        let evaluate = || self.vrf.evaluate(&label(name).vrf_input(version)).unwrap();
        let mut keys = self.keys.borrow_mut();
        *keys
            .entry((name.to_owned(), version))
            .or_insert_with(evaluate)
    }

    pub fn commit(&self, name: &str, version: u32, value: &[u8], opening: Opening) -> HashValue {
        commitment(&opening, &label(name), version, value).unwrap()
    }

    /// Adds an entry whose tree is the one before, changed as the forger likes.
    pub fn add(&mut self, timestamp: u64, change: impl FnOnce(&mut Tree)) {
        let mut tree = self
            .entries
            .last()
            .map(|entry| entry.tree.clone())
            .unwrap_or_default();
        change(&mut tree);
        self.entries.push(Entry { timestamp, tree });
    }

    /// Adds a version with an opening of zeros, as an honest log would.
    pub fn publish(&mut self, timestamp: u64, name: &str, version: u32, value: &[u8]) {
        let key = self.key(name, version);
        let commitment = self.commit(name, version, value, [0; 16]);
        self.add(timestamp, |tree| {
            assert_eq!(tree.insert(key, commitment), None);
        });
    }

    fn leaf(&self, position: u64) -> HashValue {
        let entry = &self.entries[position as usize];
        sha(&[&entry.timestamp.to_be_bytes(), &prefix_root(&entry.tree)])
    }

    fn log_value(&self, from: u64, to: u64) -> HashValue {
        if to - from == 1 {
            return self.leaf(from);
        }
        let split = from + (to - from).next_power_of_two() / 2;
        let tag = |from: u64, to: u64| [u8::from(to - from > 1)];
        let (left, right) = (self.log_value(from, split), self.log_value(split, to));
        sha(&[&tag(from, split), &left, &tag(split, to), &right])
    }

    pub fn root(&self) -> HashValue {
        self.log_value(0, self.size())
    }

    fn log_proof(
        &self,
        from: u64,
        to: u64,
        last: u64,
        wanted: &BTreeSet<u64>,
        out: &mut Vec<HashValue>,
    ) {
        let size = to - from;
        let wants = wanted.range(from..to).next().is_some();
        if size.is_power_of_two() && !wants {
            let mut start = 0;
            for width in (0..64)
                .rev()
                .map(|bit| 1u64 << bit)
                .filter(|width| last & width != 0)
            {
                if (from, to) == (start, start + width) {
                    return;
                }
                start += width;
            }
            if to <= last || from >= last {
                out.push(self.log_value(from, to));
                return;
            }
        }
        if size > 1 {
            let split = from + size.next_power_of_two() / 2;
            self.log_proof(from, split, last, wanted, out);
            self.log_proof(split, to, last, wanted, out);
        }
    }

    /// Distinguished entries, by the recursive definition over all timestamps.
    pub fn distinguished(&self) -> BTreeSet<u64> {
        let mut out = BTreeSet::new();
        self.distinguish(0, self.size(), 0, self.newest(), &mut out);
        out
    }

    fn distinguish(&self, from: u64, to: u64, before: u64, after: u64, out: &mut BTreeSet<u64>) {
        if from >= to || after.saturating_sub(before) < self.config.reasonable_monitoring_window {
            return;
        }
        let root = from + (1 << (to - from).ilog2()) - 1;
        out.insert(root);
        let own = self.entries[root as usize].timestamp;
        self.distinguish(from, root, before, own, out);
        self.distinguish(root + 1, to, own, after, out);
    }

    pub fn head(&self, last: u64) -> FullTreeHead {
        if last == self.size() {
            return FullTreeHead::Same;
        }
        FullTreeHead::Updated(TreeHead {
            tree_size: self.size(),
            signature: sign_head(&self.config, self.size(), self.root()),
        })
    }

    /// The greatest version at an entry, by looking.
    pub fn greatest_at(&self, name: &str, position: u64) -> Option<u32> {
        let tree = &self.entries[position as usize].tree;
        (0..40)
            .rev()
            .find(|version| tree.contains_key(&self.key(name, *version)))
    }

    /// Answers a search for the greatest version with the version that the forger claims.
    pub fn greatest(
        &self,
        request: &SearchRequest,
        name: &str,
        claim: (u32, &[u8], Opening),
    ) -> SearchResponse {
        let mut answer = Answer::new(self, request.last.unwrap_or(0));
        answer.view();
        let from = self.distinguished().last().copied().unwrap_or(0);
        let mut shown = BTreeSet::new();
        for position in frontier(self.size()).into_iter().filter(|at| *at >= from) {
            let ladder = answer.ladder(position, name, claim.0, &shown, &BTreeSet::new());
            shown.extend(
                ladder
                    .into_iter()
                    .filter(|(_, there)| *there)
                    .map(|(step, _)| step),
            );
        }
        self.response(request, name, claim, answer)
    }

    /// Answers a search for one version.
    pub fn fixed(
        &self,
        request: &SearchRequest,
        name: &str,
        claim: (u32, &[u8], Opening),
    ) -> SearchResponse {
        let mut answer = Answer::new(self, request.last.unwrap_or(0));
        answer.view();
        let (mut from, mut to) = (0, self.size());
        let (mut included, mut absent) = (BTreeSet::new(), BTreeSet::new());
        let mut greater = None;
        let mut equal = false;
        while from < to {
            let root = from + (1u64 << (to - from).ilog2()) - 1;
            answer.time(root);
            let ladder = answer.ladder(root, name, claim.0, &included, &absent);
            match ladder.last() {
                Some((step, true)) if *step > claim.0 => {
                    absent.extend(
                        ladder
                            .iter()
                            .filter(|(_, there)| !there)
                            .map(|(step, _)| *step),
                    );
                    greater = Some(root);
                    to = root;
                }
                Some((step, false)) if *step <= claim.0 => {
                    included.extend(
                        ladder
                            .iter()
                            .filter(|(_, there)| *there)
                            .map(|(step, _)| *step),
                    );
                    from = root + 1;
                }
                _ => {
                    equal = true;
                    break;
                }
            }
        }
        if let (false, Some(position)) = (equal, greater) {
            answer.lookups(position, &[self.key(name, claim.0)]);
        }
        self.response(request, name, claim, answer)
    }

    fn response(
        &self,
        request: &SearchRequest,
        name: &str,
        (version, value, opening): (u32, &[u8], Opening),
        answer: Answer<'_>,
    ) -> SearchResponse {
        let newest = &self.entries.last().unwrap().tree;
        let step = |step: u32| {
            let (output, proof) = self.vrf.prove(&label(name).vrf_input(step)).unwrap();
            let shown = request.version.is_some() || step <= version;
            let commitment = newest.get(&output).copied();
            BinaryLadderStep {
                proof,
                commitment: commitment.filter(|_| step != version && shown),
            }
        };
        SearchResponse {
            full_tree_head: self.head(answer.last),
            version: request.version.is_none().then_some(version),
            opening,
            value: value.to_vec(),
            binary_ladder: base_ladder(u64::from(version))
                .into_iter()
                .map(step)
                .collect(),
            search: answer.finish(),
        }
    }

    /// What the forger would have to show an auditor: the difference of two trees.
    pub fn audit(&self, position: u64) -> AuditorUpdate {
        let entry = &self.entries[position as usize];
        let before = position
            .checked_sub(1)
            .map(|at| self.entries[at as usize].tree.clone());
        let before = before.unwrap_or_default();
        let difference = |a: &Tree, b: &Tree| -> Vec<PrefixLeaf> {
            a.iter()
                .filter(|(key, value)| b.get(*key) != Some(value))
                .map(|(key, value)| PrefixLeaf {
                    vrf_output: *key,
                    commitment: *value,
                })
                .collect()
        };
        let added = difference(&entry.tree, &before);
        let removed = difference(&before, &entry.tree);
        let keys: Vec<_> = added
            .iter()
            .chain(&removed)
            .map(|leaf| leaf.vrf_output)
            .collect();
        AuditorUpdate {
            timestamp: entry.timestamp,
            added,
            removed,
            proof: prefix_proof(&before, &keys),
        }
    }
}

/// A `CombinedTreeProof` in the making.
pub struct Answer<'a> {
    forger: &'a Forger,
    pub last: u64,
    retained: BTreeSet<u64>,
    given: BTreeSet<u64>,
    searched: BTreeSet<u64>,
    timestamps: Vec<u64>,
    pub proofs: Vec<PrefixProof>,
}

impl<'a> Answer<'a> {
    pub fn new(forger: &'a Forger, last: u64) -> Self {
        let retained = match last {
            0 => BTreeSet::new(),
            last => frontier(last).into_iter().collect(),
        };
        Self {
            forger,
            last,
            retained,
            given: BTreeSet::new(),
            searched: BTreeSet::new(),
            timestamps: Vec::new(),
            proofs: Vec::new(),
        }
    }

    pub fn time(&mut self, position: u64) {
        if !self.retained.contains(&position) && self.given.insert(position) {
            self.timestamps
                .push(self.forger.entries[position as usize].timestamp);
        }
    }

    /// Updating the view, by the words of §4.2.
    pub fn view(&mut self) {
        let size = self.forger.size();
        if self.last == size {
            return;
        }
        let Some(newest_seen) = self.last.checked_sub(1) else {
            frontier(size)
                .into_iter()
                .for_each(|position| self.time(position));
            return;
        };
        let mut path = all_ancestors(size)[&newest_seen].clone();
        path.reverse();
        path.retain(|position| *position >= self.last);
        let on_frontier = path.last().copied().unwrap_or(newest_seen);
        assert!(frontier(size).contains(&on_frontier));
        let rest = frontier(size)
            .into_iter()
            .filter(|position| *position > on_frontier);
        path.into_iter()
            .chain(rest)
            .for_each(|position| self.time(position));
    }

    pub fn lookups(&mut self, position: u64, keys: &[HashValue]) {
        self.raw(
            position,
            prefix_proof(&self.forger.entries[position as usize].tree, keys),
        );
    }

    /// Shows whatever it is given as the proof of an entry.
    pub fn raw(&mut self, position: u64, proof: PrefixProof) {
        self.time(position);
        self.searched.insert(position);
        self.proofs.push(proof);
    }

    /// A search ladder that tells the truth about the forged tree.
    pub fn ladder(
        &mut self,
        position: u64,
        name: &str,
        target: u32,
        included: &BTreeSet<u32>,
        absent: &BTreeSet<u32>,
    ) -> Vec<(u32, bool)> {
        let tree = &self.forger.entries[position as usize].tree;
        let mut steps = Vec::new();
        let mut keys = Vec::new();
        for step in base_ladder(u64::from(target)) {
            if included.contains(&step) || absent.contains(&step) {
                continue;
            }
            let key = self.forger.key(name, step);
            let there = tree.contains_key(&key);
            steps.push((step, there));
            keys.push(key);
            if (there && step > target) || (!there && step <= target) {
                break;
            }
        }
        self.lookups(position, &keys);
        steps
    }

    pub fn finish(self) -> CombinedTreeProof {
        let roots = self.given.difference(&self.searched);
        let prefix_roots = roots
            .map(|position| prefix_root(&self.forger.entries[*position as usize].tree))
            .collect();
        let mut elements = Vec::new();
        let size = self.forger.size();
        self.forger
            .log_proof(0, size, self.last, &self.given, &mut elements);
        CombinedTreeProof {
            timestamps: self.timestamps,
            prefix_proofs: self.proofs,
            prefix_roots,
            inclusion: InclusionProof { elements },
        }
    }
}

pub fn named(name: &str) -> Label {
    label(name)
}
