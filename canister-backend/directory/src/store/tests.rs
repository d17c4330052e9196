//! Stories of the log in stable memory.

use ic_stable_structures::VectorMemory;
use paigham_transparency::ladder::base_ladder;
use paigham_transparency::publish::{NewVersion, publish};
use paigham_transparency::store::MemoryStore;
use paigham_transparency::vrf::VrfSecretKey;
use proptest::prelude::*;

use super::*;

fn memories(all: &[VectorMemory; 9]) -> LogMemories<VectorMemory> {
    let [
        entries,
        nodes,
        leaves,
        parents,
        proofs,
        versions,
        ahead,
        values,
        labels,
    ] = all.clone();
    LogMemories {
        entries,
        nodes,
        leaves,
        parents,
        proofs,
        versions,
        ahead,
        values,
        labels,
    }
}

fn label(name: u8) -> Label {
    Label::new(vec![b'a', b':', name]).unwrap()
}

/// The same entries in stable memory and in a model, seen through the same questions.
fn assert_same(stable: &LogStore<VectorMemory>, model: &MemoryStore, names: u8) {
    assert_eq!(stable.tree_size(), model.tree_size());
    assert_eq!(stable.leaf_count(), model.leaf_count());
    for index in 0..model.tree_size() * 2 {
        assert_eq!(stable.entry(index), model.entry(index));
        assert_eq!(stable.log_node(index), model.log_node(index));
    }
    for index in 0..=model.leaf_count() {
        assert_eq!(stable.leaf(index), model.leaf(index));
    }
    for index in 0..=model.parent_count() as u64 {
        assert_eq!(stable.parent(index), model.parent(index));
    }
    for name in 0..=names {
        let label = label(name);
        assert_eq!(stable.version_count(&label), model.version_count(&label));
        for version in 0..=model.version_count(&label) {
            assert_eq!(
                stable.version(&label, version),
                model.version(&label, version)
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Whatever is published, with proofs made at any time and the code replaced at any time, the
    /// log in stable memory is the one that a plain list would be, and every proof kept is right.
    #[test]
    fn stable_memory_is_a_log(
        entries in proptest::collection::vec(
            (proptest::collection::btree_set(0u8..5, 0..4), 0usize..6, any::<bool>()), 1..12),
    ) {
        let vrf = VrfSecretKey::from_seed(&[1; 32]);
        let memory: [VectorMemory; 9] = Default::default();
        let mut stable = LogStore::open(memories(&memory)).unwrap();
        let mut model = MemoryStore::default();
        let mut proved = 0;
        for (time, (names, proofs, reopen)) in entries.into_iter().enumerate() {
            let versions: Vec<_> = names
                .iter()
                .map(|name| NewVersion {
                    label: label(*name),
                    value: vec![*name; 1 + time],
                    opening: [*name; 16],
                })
                .collect();
            publish(&mut stable, &vrf, time as u64, &versions).unwrap();
            publish(&mut model, &vrf, time as u64, &versions).unwrap();
            stable.flush();
            if reopen {
                stable = LogStore::open(memories(&memory)).unwrap();
            }
            proved = stable.prove_some(&vrf, proved, proofs).unwrap();
            assert_same(&stable, &model, 5);
        }
        stable.prove_some(&vrf, proved, usize::MAX).unwrap();
        for name in 0..5 {
            let label = label(name);
            let Some(greatest) = stable.version_count(&label).checked_sub(1) else { continue };
            for version in base_ladder(greatest).unwrap() {
                let made = vrf.prove(&label.vrf_input(version)).unwrap();
                prop_assert_eq!(stable.vrf(&label, version), Some(made));
            }
        }
    }
}

/// Of a label with many versions each is found in few steps.
#[test]
fn old_versions_are_found_by_jumps() {
    let vrf = VrfSecretKey::from_seed(&[1; 32]);
    let memory: [VectorMemory; 9] = Default::default();
    let mut stable = LogStore::open(memories(&memory)).unwrap();
    for time in 0..40u8 {
        let version = NewVersion {
            label: label(1),
            value: vec![time],
            opening: [0; 16],
        };
        publish(&mut stable, &vrf, time.into(), &[version]).unwrap();
    }
    stable.flush();
    for version in 0..40u8 {
        let found = stable.version(&label(1), version.into()).unwrap();
        assert_eq!(found.value, [version]);
    }
    // 39 = 31 + 7 + 1 in steps of the skewed numbers: a handful of records are read, not 39.
    let newest = stable
        .record(stable.newest_record(&label(1)).unwrap())
        .unwrap();
    let mut steps = 0;
    let mut record = newest;
    while record.version > 0 {
        record = stable.record(record.jump).unwrap();
        steps += 1;
    }
    assert!(steps <= 8, "{steps}");
}
