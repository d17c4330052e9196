//! The replicated state: canisters, request statuses, time; and the round that changes it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use candid::Principal;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use wasmtime::Engine;

use crate::canister::{Canister, CanisterState, Execution, InstallError, Outcome};
use crate::keys::{Keys, to_cbor};
use crate::topology::{RangesForm, Signed, canister_id};
use crate::tree::{Tree, Trie, leb128};

/// Bytes of answers that are kept for who asks again. Beyond, the oldest are dropped; that they were
/// given, and so the protection against replays, stays until the request expires.
pub(crate) const ANSWERS_MAX_BYTES: usize = 256 * 1024 * 1024;

/// One update call, authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ingress {
    #[serde(with = "serde_bytes")]
    pub id: Vec<u8>,
    pub canister: Principal,
    pub sender: Principal,
    pub method: String,
    #[serde(with = "serde_bytes")]
    pub argument: Vec<u8>,
    pub expiry: u64,
}

/// What the journal keeps of a round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Round {
    pub time: u64,
    /// State root after the round before, so that a replay proves that it is the same.
    #[serde(with = "serde_bytes")]
    pub root_before: Vec<u8>,
    pub ingress: Vec<Ingress>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Status {
    canister: Principal,
    sender: Principal,
    expiry: u64,
    /// Reply, or (reject code, message, error code); `None` once the answer was dropped for room.
    answer: Option<Result<ByteBuf, (u8, String, String)>>,
}

impl Status {
    fn answer_bytes(&self) -> usize {
        match &self.answer {
            Some(Ok(reply)) => reply.len(),
            Some(Err((_, message, _))) => message.len(),
            None => 0,
        }
    }
}

/// Calls and instructions of one method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodUse {
    /// Calls.
    pub calls: u64,
    /// Instructions in all.
    pub instructions: u64,
    /// Dirty pages in all.
    pub dirty_pages: u64,
    /// Calls that failed.
    pub failed: u64,
}

/// What a checkpoint holds.
#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    time: u64,
    rounds: u64,
    next_canister: u64,
    canisters: Vec<CanisterState>,
    statuses: BTreeMap<ByteBuf, Status>,
}

/// Why a stored state does not come back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error("the checkpoint is not one of ours")]
    Checkpoint,
    #[error("a record of the log is not one of ours")]
    Record,
    #[error("the replay of the log gives another state; the data folder was altered")]
    Diverged,
    #[error(transparent)]
    Install(#[from] InstallError),
}

pub(crate) struct State {
    engine: Engine,
    pub keys: Keys,
    canisters: BTreeMap<Principal, Canister>,
    next_canister: u64,
    statuses: BTreeMap<Vec<u8>, Status>,
    expiries: BTreeSet<(u64, Vec<u8>)>,
    /// Requests whose answers are kept, oldest first, and the bytes of all answers.
    answered: VecDeque<Vec<u8>>,
    answers_bytes: usize,
    /// The tree as sealed; execution changes it only through `seal`.
    tree: Tree,
    changed: Vec<Vec<u8>>,
    pub time: u64,
    pub rounds: u64,
    root: [u8; 32],
    signature: Vec<u8>,
    pub usage: BTreeMap<(Principal, String), MethodUse>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

impl State {
    /// An empty subnet.
    pub fn new(engine: Engine, keys: Keys, time: u64) -> Self {
        let tree = Tree::map([(b"request_status", Tree::Statuses(Trie::default()))]);
        let mut state = Self {
            engine,
            next_canister: keys.range.first(),
            keys,
            canisters: BTreeMap::new(),
            statuses: BTreeMap::new(),
            expiries: BTreeSet::new(),
            answered: VecDeque::new(),
            answers_bytes: 0,
            tree,
            changed: Vec::new(),
            time,
            rounds: 0,
            root: [0; 32],
            signature: Vec::new(),
            usage: BTreeMap::new(),
        };
        state.seal();
        state
    }

    /// As a checkpoint holds it.
    pub fn restore(engine: Engine, keys: Keys, bytes: &[u8]) -> Result<Self, RestoreError> {
        let stored: Checkpoint =
            serde_cbor::from_slice(bytes).map_err(|_| RestoreError::Checkpoint)?;
        let mut state = Self::new(engine, keys, stored.time);
        state.rounds = stored.rounds;
        state.next_canister = stored.next_canister;
        for canister in stored.canisters {
            let id = principal(&canister.id)?;
            if id >= canister_id(state.next_canister) || !state.keys.range.contains(&id) {
                return Err(RestoreError::Checkpoint);
            }
            let canister = Canister::restore(&state.engine, canister, &state.keys.root_der)?;
            state.canisters.insert(id, canister);
        }
        for (id, status) in stored.statuses {
            state.set_status(id.into_vec(), status);
        }
        state.seal();
        Ok(state)
    }

    pub fn checkpoint(&self) -> Vec<u8> {
        let statuses = self.statuses.iter();
        to_cbor(&Checkpoint {
            time: self.time,
            rounds: self.rounds,
            next_canister: self.next_canister,
            canisters: self.canisters.values().map(Canister::state).collect(),
            statuses: statuses
                .map(|(id, status)| (id.clone().into(), status.clone()))
                .collect(),
        })
    }

    /// Replays a record of the log.
    pub fn replay(&mut self, record: &[u8]) -> Result<(), RestoreError> {
        let round: Round = serde_cbor::from_slice(record).map_err(|_| RestoreError::Record)?;
        // The round before was sealed at its own time; idle rounds since are not logged and
        // change nothing but time.
        if round.root_before != self.contents_root() {
            return Err(RestoreError::Diverged);
        }
        self.execute(&round);
        Ok(())
    }

    /// Hash over modules and certified data: what a replay must reproduce before the next round is
    /// replayed on top. Heaps are not in it; the journal's own checksums guard its bytes.
    pub fn contents_root(&self) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new();
        for (id, canister) in &self.canisters {
            hasher.update(id.as_slice());
            hasher.update(&canister.module_hash());
            let data = canister.certified_data();
            hasher.update(&(data.len() as u64).to_be_bytes());
            hasher.update(data);
        }
        hasher.finalize().as_bytes().to_vec()
    }

    pub const fn root(&self) -> [u8; 32] {
        self.root
    }

    /// Runs a round and signs the state once.
    pub fn execute(&mut self, round: &Round) {
        self.time = round.time.max(self.time);
        self.rounds += 1;
        for ingress in &round.ingress {
            self.execute_one(ingress);
        }
        self.drop_answers(round.ingress.len(), ANSWERS_MAX_BYTES);
        self.seal();
    }

    fn execute_one(&mut self, ingress: &Ingress) {
        let time = self.time;
        let answer = match self.canisters.get_mut(&ingress.canister) {
            None => Err((3, "no such canister".to_owned(), "IC0301".to_owned())),
            Some(canister) => {
                let argument = ingress.argument.clone();
                let sender = ingress.sender.as_slice();
                let execution = canister.update(&ingress.method, argument, sender, time);
                self.count(ingress.canister, &ingress.method, &execution);
                match execution.outcome {
                    Outcome::Replied(bytes) => Ok(ByteBuf::from(bytes)),
                    Outcome::Rejected(text) => Err((4, text, "IC0406".to_owned())),
                    Outcome::Failed { code, message } => Err((5, message, code.to_owned())),
                    Outcome::Accepted => Ok(ByteBuf::new()),
                }
            }
        };
        let status = Status {
            canister: ingress.canister,
            sender: ingress.sender,
            expiry: ingress.expiry,
            answer: Some(answer),
        };
        self.set_status(ingress.id.clone(), status);
    }

    fn set_status(&mut self, id: Vec<u8>, status: Status) {
        self.expiries.insert((status.expiry, id.clone()));
        if status.answer.is_some() {
            self.answers_bytes += status.answer_bytes();
            self.answered.push_back(id.clone());
        }
        self.statuses.insert(id.clone(), status);
        self.changed.push(id);
    }

    /// Drops the oldest answers beyond `most` bytes, but none of the `newest`: those are
    /// about to be certified to who waits.
    fn drop_answers(&mut self, newest: usize, most: usize) {
        while self.answers_bytes > most && self.answered.len() > newest {
            let Some(id) = self.answered.pop_front() else {
                return;
            };
            // Expired ones were taken out of the count when they were pruned.
            if let Some(status) = self.statuses.get_mut(&id) {
                self.answers_bytes -= status.answer_bytes();
                status.answer = None;
                self.changed.push(id);
            }
        }
    }

    pub fn count(&mut self, canister: Principal, method: &str, execution: &Execution) {
        // Unknown methods count under one name: callers choose names without bound.
        let method = if execution.instructions == 0 {
            "(refused)"
        } else {
            method
        };
        let usage = self.usage.entry((canister, method.to_owned())).or_default();
        usage.calls += 1;
        usage.instructions += execution.instructions;
        usage.dirty_pages += execution.dirty_pages;
        usage.failed += u64::from(matches!(execution.outcome, Outcome::Failed { .. }));
    }

    /// Lets time pass without a message, so that certificates stay fresh.
    pub fn advance(&mut self, time: u64) {
        self.time = time.max(self.time);
        self.rounds += 1;
        self.seal();
    }

    /// Brings the tree up to date, prunes what expired and signs the root.
    fn seal(&mut self) {
        let mut expired = Vec::new();
        while let Some((expiry, id)) = self.expiries.first().cloned() {
            if expiry >= self.time {
                break;
            }
            self.expiries.pop_first();
            if let Some(status) = self.statuses.remove(&id) {
                self.answers_bytes -= status.answer_bytes();
            }
            expired.push(id);
        }
        // Now and then, so that the work stays in proportion.
        if self.answered.len() / 2 > self.statuses.len() {
            self.answered.retain(|id| self.statuses.contains_key(id));
        }
        let changed = std::mem::take(&mut self.changed);
        let Tree::Map(mut top) = std::mem::replace(&mut self.tree, Tree::Leaf(Vec::new())) else {
            return;
        };
        if let Some(Tree::Statuses(trie)) = top.get_mut(&b"request_status"[..]) {
            for id in changed.iter().chain(&expired) {
                let Ok(label) = id.as_slice().try_into() else {
                    continue;
                };
                match self.statuses.get(id) {
                    Some(status) => trie.insert(label, status_tree(status)),
                    None => trie.remove(&label),
                }
            }
        }
        top.insert(b"canister".to_vec(), self.canister_tree());
        top.insert(b"canister_ranges".to_vec(), self.ranges_tree());
        top.insert(b"subnet".to_vec(), self.subnet_tree());
        top.insert(b"time".to_vec(), Tree::Leaf(leb128(self.time)));
        self.tree = Tree::Map(top);
        self.root = self.tree.digest();
        self.signature = self.keys.sign_root(&self.root);
        if let Some(delegator) = &self.keys.delegator {
            delegator.renew(self.time);
        }
    }

    fn canister_tree(&self) -> Tree {
        let canisters = self.canisters.iter().map(|(id, canister)| {
            let controllers: Vec<_> = canister
                .controllers()
                .iter()
                .map(|id| ByteBuf::from(id.clone()))
                .collect();
            let tree = Tree::map([
                (
                    b"certified_data",
                    Tree::Leaf(canister.certified_data().to_vec()),
                ),
                (b"controllers", Tree::Leaf(to_cbor(&controllers))),
                (b"module_hash", Tree::Leaf(canister.module_hash().to_vec())),
            ]);
            (id.as_slice().to_vec(), tree)
        });
        Tree::Map(canisters.collect())
    }

    fn ranges_tree(&self) -> Tree {
        let range = self.keys.range;
        let shard = Tree::map([(range.label().as_slice(), Tree::Leaf(range.leaf()))]);
        Tree::map([(self.keys.subnet.as_slice(), shard)])
    }

    fn subnet_tree(&self) -> Tree {
        let keys = &self.keys;
        let node = Tree::map([(b"public_key", Tree::Leaf(keys.node_der.clone()))]);
        let subnet = Tree::map([
            (b"canister_ranges", Tree::Leaf(keys.range.leaf())),
            (b"node", Tree::map([(keys.node_id.as_slice(), node)])),
            (b"public_key", Tree::Leaf(keys.subnet_der.clone())),
            (b"type", Tree::Leaf(b"application".to_vec())),
        ]);
        Tree::map([(keys.subnet.as_slice(), subnet)])
    }

    /// What the subnet signed of some paths; time is always shown.
    pub fn certify(&self, paths: &[Vec<Vec<u8>>]) -> Signed {
        let time = vec![b"time".to_vec()];
        let all: Vec<_> = paths.iter().chain([&time]).map(Vec::as_slice).collect();
        Signed {
            tree: self.tree.witness(&all),
            signature: self.signature.clone(),
        }
    }

    /// The certificate that a canister's query sees.
    pub fn data_certificate(&self, canister: &Principal, form: RangesForm) -> Vec<u8> {
        let path = vec![
            b"canister".to_vec(),
            canister.as_slice().to_vec(),
            b"certified_data".to_vec(),
        ];
        self.certify(&[path])
            .certificate(self.keys.delegator.as_deref(), form)
    }

    /// Whether a request is known.
    pub fn is_known(&self, id: &[u8]) -> bool {
        self.statuses.contains_key(id)
    }

    /// Who sent a request and to which canister, if it is known.
    pub fn parties_of(&self, id: &[u8]) -> Option<(Principal, Principal)> {
        let status = self.statuses.get(id)?;
        Some((status.sender, status.canister))
    }

    pub fn canister_mut(&mut self, id: &Principal) -> Option<&mut Canister> {
        self.canisters.get_mut(id)
    }

    pub const fn canisters(&self) -> &BTreeMap<Principal, Canister> {
        &self.canisters
    }

    /// Installs a new canister under the next id.
    pub fn install(
        &mut self,
        module: &[u8],
        argument: Vec<u8>,
        controllers: &[Principal],
    ) -> Result<Principal, InstallError> {
        if !self.keys.range.has_number(self.next_canister) {
            return Err(InstallError::Id("the subnet's canister ids are used up"));
        }
        let id = canister_id(self.next_canister);
        let controllers = controllers
            .iter()
            .map(|id| id.as_slice().to_vec())
            .collect();
        let root_key = &self.keys.root_der;
        let mut canister =
            Canister::new(&self.engine, module, id.as_slice(), controllers, root_key)?;
        canister.init(
            argument,
            Principal::management_canister().as_slice(),
            self.time,
        )?;
        self.next_canister += 1;
        self.canisters.insert(id, canister);
        self.seal();
        Ok(id)
    }

    /// Upgrades a canister.
    pub fn upgrade(
        &mut self,
        id: &Principal,
        module: &[u8],
        argument: Vec<u8>,
    ) -> Result<(), InstallError> {
        let caller = Principal::management_canister();
        let canister = self
            .canisters
            .get_mut(id)
            .ok_or(InstallError::Id("there is no such canister"))?;
        canister.upgrade(&self.engine, module, argument, caller.as_slice(), self.time)?;
        self.seal();
        Ok(())
    }
}

fn status_tree(status: &Status) -> BTreeMap<Vec<u8>, Tree> {
    let leaf = |label: &[u8], bytes: Vec<u8>| (label.to_vec(), Tree::Leaf(bytes));
    match &status.answer {
        None => BTreeMap::from([leaf(b"status", b"done".to_vec())]),
        Some(Ok(reply)) => BTreeMap::from([
            leaf(b"reply", reply.to_vec()),
            leaf(b"status", b"replied".to_vec()),
        ]),
        Some(Err((code, message, error_code))) => BTreeMap::from([
            leaf(b"error_code", error_code.clone().into_bytes()),
            leaf(b"reject_code", leb128(u64::from(*code))),
            leaf(b"reject_message", message.clone().into_bytes()),
            leaf(b"status", b"rejected".to_vec()),
        ]),
    }
}

fn principal(bytes: &[u8]) -> Result<Principal, RestoreError> {
    Principal::try_from_slice(bytes).map_err(|_| RestoreError::Checkpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAT: &str = r#"(module
        (import "ic0" "msg_reply" (func $reply))
        (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
        (memory (export "memory") 1 2)
        (global $calls (mut i64) (i64.const 0))
        (func (export "canister_update ten") (call $append (i32.const 0) (i32.const 10)) (call $reply)))"#;

    fn keys() -> Keys {
        let seeds = crate::keys::Seeds::of_test(&[1; 32]);
        Keys::new(&seeds, &crate::Topology::SelfRoot, 1).unwrap()
    }

    fn state() -> (State, Principal) {
        let mut state = State::new(crate::engine::engine().unwrap(), keys(), 1);
        let module = wat::parse_str(WAT).unwrap();
        let canister = state.install(&module, Vec::new(), &[]).unwrap();
        (state, canister)
    }

    fn round(state: &State, canister: Principal, number: u8, expiry: u64) -> Round {
        let ingress = Ingress {
            id: vec![number; 32],
            canister,
            sender: Principal::anonymous(),
            method: "ten".into(),
            argument: Vec::new(),
            expiry,
        };
        Round {
            time: state.time + 1,
            root_before: state.contents_root(),
            ingress: vec![ingress],
        }
    }

    fn shown(state: &State, number: u8) -> String {
        use ic_certification::LookupResult;
        let path = vec![b"request_status".to_vec(), vec![number; 32]];
        let signed = state.certify(&[path]);
        let path = [&b"request_status"[..], &[number; 32], b"status"];
        match signed.tree.lookup_path(path) {
            LookupResult::Found(status) => String::from_utf8(status.to_vec()).unwrap(),
            LookupResult::Absent => "absent".into(),
            other => panic!("{other:?}"),
        }
    }

    /// More answers than may be kept: the oldest are dropped, that they were given is still known
    /// (so no replay), and what expires leaves the count.
    #[test]
    fn old_answers_make_room() {
        let (mut state, canister) = state();
        for number in 0..4 {
            let round = round(&state, canister, number, 100 + u64::from(number));
            state.execute(&round);
        }
        assert_eq!(state.answers_bytes, 40);
        state.drop_answers(1, 25);
        state.seal();
        let now: Vec<_> = (0..4).map(|number| shown(&state, number)).collect();
        assert_eq!(now, ["done", "done", "replied", "replied"]);
        assert!(state.is_known(&[0; 32]));
        state.drop_answers(1, 0);
        assert_eq!(state.answers_bytes, 10, "the newest round's stay");
        let again = State::restore(state.engine.clone(), keys(), &state.checkpoint()).unwrap();
        assert_eq!((again.answers_bytes, again.answered.len()), (10, 1));
        assert_eq!(shown(&again, 2), "done");
        state.advance(200);
        assert_eq!(state.answers_bytes, 0);
        assert_eq!(shown(&state, 0), "absent");
        assert!(state.statuses.is_empty() && state.answered.len() <= 1);
    }

    /// A checkpoint whose parts do not fit each other, however it came about, is an error at the
    /// start and not at each message.
    #[test]
    fn a_checkpoint_that_does_not_fit_is_refused() {
        let (state, _) = state();
        let good = state.checkpoint();
        let restore = |bytes: &[u8]| State::restore(state.engine.clone(), keys(), bytes).map(drop);
        assert!(restore(&good).is_ok());
        let page = || ByteBuf::from(vec![0; 4096]);
        let changes: [fn(&mut Checkpoint); 10] = [
            |it| it.next_canister = 0,
            |it| it.canisters[0].id = vec![0; 40],
            |it| it.canisters[0].module.truncate(20),
            |it| it.canisters[0].heap.truncate(100),
            |it| it.canisters[0].heap.clear(),
            // One page more than the module's own maximum.
            |it| it.canisters[0].heap.resize(3 * 65_536, 0),
            |it| it.canisters[0].globals.clear(),
            |it| it.canisters[0].globals[0].0 = 3,
            |it| it.canisters[0].certified_data = vec![0; 33],
            |it| it.canisters[0].stable_size = u64::MAX,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut checkpoint: Checkpoint = serde_cbor::from_slice(&good).unwrap();
            change(&mut checkpoint);
            assert!(restore(&to_cbor(&checkpoint)).is_err(), "{number}");
        }
        for (at, bytes) in [(16, page()), (0, ByteBuf::from(vec![0; 9]))] {
            let mut checkpoint: Checkpoint = serde_cbor::from_slice(&good).unwrap();
            checkpoint.canisters[0].stable_size = 1;
            checkpoint.canisters[0].stable_pages.insert(at, bytes);
            assert!(restore(&to_cbor(&checkpoint)).is_err(), "page {at}");
        }
        assert!(restore(&good[..good.len() - 1]).is_err());
    }

    /// The log is replayed on another state than it was written on: refused.
    #[test]
    fn a_log_of_another_state_is_refused() {
        let (mut state, canister) = state();
        let record = to_cbor(&round(&state, canister, 1, 100));
        let module = wat::parse_str(WAT).unwrap();
        state.install(&module, Vec::new(), &[]).unwrap();
        assert!(matches!(state.replay(&record), Err(RestoreError::Diverged)));
        assert!(matches!(
            state.replay(&record[1..]),
            Err(RestoreError::Record)
        ));
    }
}
