//! How a forger answers people: truthfully about its trees, whatever these are.

use std::collections::BTreeSet;

use paigham_transparency::auditor::AuditorState;
use paigham_transparency::codec::Codec;
use paigham_transparency::hash::Opening;
use paigham_transparency::structs::{
    ContactMonitorRequest, ContactMonitorResponse, MonitorMapEntry, OwnerInitRequest,
    OwnerInitResponse, OwnerMonitorRequest, OwnerMonitorResponse, PrefixProof,
};
use paigham_transparency::verifier::{Found, MonitorProgress, VerifyError};

use super::{Answer, Forger, all_ancestors, base_ladder};
use crate::common::*;

pub const NO_OPENING: Opening = [0; 16];

pub fn ask(
    person: &mut Person,
    forger: &Forger,
    name: &str,
    claim: (u32, &[u8]),
) -> Result<Found, VerifyError> {
    let request = person.request(name, None);
    let response = forger.greatest(&request, name, (claim.0, claim.1, NO_OPENING));
    person.accept(&request, &response.encode().unwrap(), forger.newest())
}

/// The forger's answer to somebody who watches versions: true monitoring ladders of its trees.
pub fn monitor(person: &mut Person, forger: &Forger, name: &str) -> Result<(), VerifyError> {
    let contacts = person.contacts[&label(name)].clone();
    let request = contacts.request(label(name), person.view.as_ref().unwrap());
    let bytes = contact_answer(forger, &request, name).encode().unwrap();
    let now = forger.newest();
    person.check(|verifier, view| {
        verifier.contact_monitor(view.unwrap(), &contacts, &request, &bytes, now)
    })?;
    Ok(())
}

/// What a watcher is answered.
pub fn contact_answer(
    forger: &Forger,
    request: &ContactMonitorRequest,
    name: &str,
) -> ContactMonitorResponse {
    let mut answer = Answer::new(forger, request.last.unwrap_or(0));
    answer.view();
    let mut shown = BTreeSet::new();
    for entry in request.entries.iter().rev() {
        watch(&mut answer, forger, name, entry, None, &mut shown);
    }
    ContactMonitorResponse {
        full_tree_head: forger.head(answer.last),
        monitor: answer.finish(),
    }
}

/// One entry of a monitoring map. Where a greater version was shown already, it ends.
fn watch(
    answer: &mut Answer<'_>,
    forger: &Forger,
    name: &str,
    entry: &MonitorMapEntry,
    owner_start: Option<u64>,
    shown: &mut BTreeSet<u64>,
) {
    let distinguished = forger.distinguished();
    let path = all_ancestors(forger.size())[&entry.position].clone();
    for node in path.iter().filter(|node| distinguished.contains(node)) {
        answer.time(*node);
    }
    if distinguished.contains(&entry.position) {
        return;
    }
    let right = path.iter().rev().filter(|node| **node > entry.position);
    for node in right {
        let last = distinguished.contains(node);
        let covered = owner_start.is_some_and(|start| entry.position >= start);
        if last && covered || !shown.insert(*node) {
            return;
        }
        let tree = &forger.entries[*node as usize].tree;
        let mut keys = Vec::new();
        for step in base_ladder(u64::from(entry.version)) {
            if step <= entry.version {
                keys.push(forger.key(name, step));
                if !tree.contains_key(keys.last().unwrap()) {
                    break;
                }
            }
        }
        answer.lookups(*node, &keys);
        if last {
            return;
        }
    }
}

/// Begins to own a label at the newest distinguished entry, as the forger shows it.
pub fn own(person: &mut Person, forger: &Forger, name: &str) {
    let start = *forger.distinguished().last().unwrap();
    let request = OwnerInitRequest {
        last: person.last(),
        label: label(name),
        start,
    };
    let mut answer = Answer::new(forger, request.last.unwrap_or(0));
    answer.view();
    let path = all_ancestors(forger.size())[&start].clone();
    path.iter().for_each(|node| answer.time(*node));
    answer.time(start);
    let mut greatest_versions = Vec::new();
    let left = path.iter().rev().filter(|node| **node < start);
    let mut versions = BTreeSet::from([0]);
    for position in [start].iter().chain(left) {
        let greatest = forger.greatest_at(name, *position);
        greatest_versions.extend(greatest);
        let none = BTreeSet::new();
        answer.ladder(*position, name, greatest.unwrap_or(0), &none, &none);
        let steps = greatest.map(|greatest| base_ladder(u64::from(greatest)));
        versions.extend(steps.unwrap_or_default());
    }
    let exists = greatest_versions.first().copied();
    let tree = &forger.entries[start as usize].tree;
    let step = |version: u32| {
        let (output, proof) = forger.vrf.prove(&label(name).vrf_input(version)).unwrap();
        paigham_transparency::structs::BinaryLadderStep {
            proof,
            commitment: tree
                .get(&output)
                .copied()
                .filter(|_| Some(version) <= exists),
        }
    };
    let response = OwnerInitResponse {
        full_tree_head: forger.head(answer.last),
        greatest_versions,
        binary_ladder: versions.into_iter().map(step).collect(),
        init: answer.finish(),
    };
    let bytes = response.encode().unwrap();
    let now = forger.newest();
    let state = person
        .check(|verifier, view| verifier.owner_init(view, &request, &bytes, now))
        .unwrap();
    person.keep(name, state);
}

/// The forger's answer to an owner: ladders of its trees.
pub fn owner_monitor(
    person: &mut Person,
    forger: &Forger,
    name: &str,
    lie: impl Fn(&mut PrefixProof),
) -> Result<MonitorProgress, VerifyError> {
    let state = person.owned[&label(name)].clone();
    let request = state.monitor_request(label(name), person.view.as_ref().unwrap());
    let mut response = owner_answer(forger, &request, name);
    response.monitor.prefix_proofs.iter_mut().for_each(lie);
    let bytes = response.encode().unwrap();
    let now = forger.newest();
    let (state, progress) = person.check(|verifier, view| {
        verifier.owner_monitor(view.unwrap(), &state, &request, &bytes, now)
    })?;
    person.keep(name, state);
    Ok(progress)
}

/// What an owner is answered.
pub fn owner_answer(
    forger: &Forger,
    request: &OwnerMonitorRequest,
    name: &str,
) -> OwnerMonitorResponse {
    let mut answer = Answer::new(forger, request.last.unwrap_or(0));
    answer.view();
    let mut shown = BTreeSet::new();
    for entry in request.entries.iter().rev() {
        let start = Some(request.start);
        watch(&mut answer, forger, name, entry, start, &mut shown);
    }
    owner_ladders(&mut answer, forger, request, name, (0, forger.size()));
    OwnerMonitorResponse {
        full_tree_head: forger.head(answer.last),
        monitor: answer.finish(),
    }
}

/// The second algorithm of §8.3 over the entries from `from` to before `to`.
fn owner_ladders(
    answer: &mut Answer<'_>,
    forger: &Forger,
    request: &OwnerMonitorRequest,
    name: &str,
    (from, to): (u64, u64),
) {
    if from >= to {
        return;
    }
    let root = from + (1u64 << (to - from).ilog2()) - 1;
    if !forger.distinguished().contains(&root) {
        return;
    }
    if root > request.start {
        if from < root {
            answer.time(root);
            owner_ladders(answer, forger, request, name, (from, root));
        }
        let greatest = forger.greatest_at(name, root).min(request.greatest_version);
        let none = BTreeSet::new();
        answer.ladder(root, name, greatest.unwrap_or(0), &none, &none);
    }
    if root + 1 < to {
        answer.time(root);
        owner_ladders(answer, forger, request, name, (root + 1, to));
    }
}

pub fn hour(count: u64) -> u64 {
    START + count * HOUR
}

/// `count` entries a minute apart.
pub fn heartbeats(forger: &mut Forger, count: usize) {
    for _ in 0..count {
        forger.add(forger.newest() + MINUTE, |_| {});
    }
}

pub fn auditor_until(forger: &Forger, size: u64) -> AuditorState {
    (0..size).fold(AuditorState::default(), |state, position| {
        state.apply(&forger.audit(position)).unwrap()
    })
}
