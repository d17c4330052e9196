//! How a forger answers people: truthfully about its trees, whatever these are.

use std::collections::BTreeSet;

use paigham_transparency::auditor::AuditorState;
use paigham_transparency::codec::Codec;
use paigham_transparency::hash::Opening;
use paigham_transparency::structs::{
    ContactMonitorResponse, OwnerInitRequest, OwnerInitResponse, OwnerMonitorResponse, PrefixProof,
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
    let mut answer = Answer::new(forger, request.last.unwrap());
    answer.view();
    let distinguished = forger.distinguished();
    for entry in request.entries.iter().rev() {
        watch(
            &mut answer,
            forger,
            name,
            (entry.position, entry.version),
            &distinguished,
        );
    }
    let response = ContactMonitorResponse {
        full_tree_head: forger.head(answer.last),
        monitor: answer.finish(),
    };
    let bytes = response.encode().unwrap();
    let now = forger.newest();
    person.check(|verifier, view| {
        verifier.contact_monitor(view.unwrap(), &contacts, &request, &bytes, now)
    })?;
    Ok(())
}

fn watch(
    answer: &mut Answer<'_>,
    forger: &Forger,
    name: &str,
    (position, version): (u64, u32),
    distinguished: &BTreeSet<u64>,
) {
    let path = all_ancestors(forger.size())[&position].clone();
    for node in path.iter().filter(|node| distinguished.contains(node)) {
        answer.time(*node);
    }
    for node in path.iter().rev().filter(|node| **node > position) {
        let tree = &forger.entries[*node as usize].tree;
        let mut keys = Vec::new();
        for step in base_ladder(u64::from(version)) {
            if step <= version {
                keys.push(forger.key(name, step));
                if !tree.contains_key(keys.last().unwrap()) {
                    break;
                }
            }
        }
        answer.lookups(*node, &keys);
        if distinguished.contains(node) {
            break;
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

/// The forger's answer to an owner without open versions: ladders of its trees.
pub fn owner_monitor(
    person: &mut Person,
    forger: &Forger,
    name: &str,
    lie: impl Fn(&mut PrefixProof),
) -> Result<MonitorProgress, VerifyError> {
    let state = person.owned[&label(name)].clone();
    let request = state.monitor_request(label(name), person.view.as_ref().unwrap());
    let mut answer = Answer::new(forger, request.last.unwrap());
    answer.view();
    let distinguished = forger.distinguished();
    for entry in request.entries.iter().rev() {
        let path = all_ancestors(forger.size())[&entry.position].clone();
        path.iter()
            .filter(|node| distinguished.contains(node))
            .for_each(|node| answer.time(*node));
        let right = path.iter().rev().filter(|node| **node > entry.position);
        for node in right.take_while(|node| !distinguished.contains(node)) {
            let steps = base_ladder(u64::from(entry.version)).into_iter();
            let steps = steps.filter(|step| *step <= entry.version);
            let keys: Vec<_> = steps.map(|step| forger.key(name, step)).collect();
            answer.lookups(*node, &keys);
        }
    }
    for position in distinguished
        .iter()
        .filter(|position| **position > request.start)
    {
        for above in &all_ancestors(forger.size())[position] {
            answer.time(*above);
        }
        let none = BTreeSet::new();
        answer.ladder(
            *position,
            name,
            request.greatest_version.unwrap_or(0),
            &none,
            &none,
        );
    }
    answer.proofs.iter_mut().for_each(lie);
    let response = OwnerMonitorResponse {
        full_tree_head: forger.head(answer.last),
        monitor: answer.finish(),
    };
    let bytes = response.encode().unwrap();
    let now = forger.newest();
    let (state, progress) = person.check(|verifier, view| {
        verifier.owner_monitor(view.unwrap(), &state, &request, &bytes, now)
    })?;
    person.keep(name, state);
    Ok(progress)
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
