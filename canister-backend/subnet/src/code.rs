//! Installed code: the module, its memory, and how a message runs in it.
//!
//! The live instance works on its own heap; the committed heap is a copy that a trap, a query or
//! an upgrade falls back to, together with every mutable global (a trap leaves the stack pointer
//! wherever it was).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};
use wasmtime::{Engine, Func, Instance, InstancePre, Linker, Ref, Store, Val};

use crate::canister::Part;
use crate::engine::{charge, compile};
use crate::execution::{Execution, Outcome, limit};
use crate::ic0::{
    Answer, Closure, Host, IMPLEMENTED, Message, Mode, OutgoingCall, SystemTrap, link,
};
use crate::prep::{GLOBAL_PREFIX, Metadata, ModuleError, Prepared, TABLE, prepare};
use crate::profile::{Part as Spent, timed};
use crate::stable::{PAGE, StableMemory};
use crate::tree::Tree;

/// What of the code goes into a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeState {
    #[serde(with = "serde_bytes")]
    pub module: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub heap: Vec<u8>,
    /// Mutable globals: type (0 = i32, 1 = i64, 2 = f32, 3 = f64) and bits.
    pub globals: Vec<(u8, u64)>,
    pub stable_size: u64,
    pub stable_pages: BTreeMap<u64, ByteBuf>,
}

/// What runs: an export, or a function of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Export(String),
    Callback(Closure),
}

/// What a message leaves for the canister that it ran in; nothing if its changes are not kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Whether the changes are kept.
    pub kept: bool,
    pub certified_data: Option<Vec<u8>>,
    pub timer: Option<u64>,
    pub calls: Vec<OutgoingCall>,
}

/// Code that runs.
pub(crate) struct Code {
    module: Arc<[u8]>,
    module_hash: [u8; 32],
    prepared: Arc<Prepared>,
    /// The module's metadata as the state tree shows it, hashed once.
    metadata: Option<Tree>,
    pre: InstancePre<Host>,
    store: Store<Host>,
    instance: Instance,
    heap: Vec<u8>,
    globals: Vec<Val>,
    /// Whether the live heap is the committed one.
    clean: bool,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Code")
            .field("exports", &self.prepared.exports)
            .finish_non_exhaustive()
    }
}

/// Why code was not installed, upgraded or restored.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The module is not one that runs here.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The engine does not take it.
    #[error("the module does not compile or start: {0}")]
    Engine(String),
    /// init, pre- or post-upgrade trapped; the canister is as before.
    #[error("{hook} failed: {message}")]
    Hook {
        /// Which.
        hook: &'static str,
        /// The replica's error code.
        code: &'static str,
        /// Why.
        message: String,
    },
    /// There is no canister of this id, or not one that this can be done to.
    #[error("{0}")]
    Id(&'static str),
    /// A checkpoint that does not fit its module.
    #[error("the stored state does not fit its module")]
    StoredState,
    /// The subnet has stopped, before or over this.
    #[error("{0}")]
    Stopped(String),
}

fn engine_error(error: impl std::fmt::Display) -> InstallError {
    InstallError::Engine(error.to_string())
}

impl Code {
    /// Instantiates a module; runs no hook.
    pub fn new(engine: &Engine, module: &[u8]) -> Result<Self, InstallError> {
        let prepared = prepare(module, IMPLEMENTED)?;
        let compiled = compile(engine, &prepared.wasm).map_err(engine_error)?;
        let mut linker = Linker::new(engine);
        link(&mut linker).map_err(engine_error)?;
        let pre = linker.instantiate_pre(&compiled).map_err(engine_error)?;
        let (mut store, instance) = instantiate(&pre, Host::new(StableMemory::default()))?;
        check_entry_points(&prepared, &instance, &mut store)?;
        let mut code = Self {
            module: module.into(),
            module_hash: Sha256::digest(module).into(),
            metadata: metadata_tree(&prepared),
            prepared: Arc::new(prepared),
            pre,
            store,
            instance,
            heap: Vec::new(),
            globals: Vec::new(),
            clean: true,
        };
        code.keep_heap()?;
        Ok(code)
    }

    /// As it was stored.
    pub fn restore(engine: &Engine, state: CodeState) -> Result<Self, InstallError> {
        let mut code = Self::new(engine, &state.module)?;
        let pages = state.stable_pages.into_iter();
        let pages = pages.map(|(at, page)| (at, page.into_vec())).collect();
        code.store.data_mut().stable =
            StableMemory::restore(state.stable_size, pages).ok_or(InstallError::StoredState)?;
        let fits = state.globals.len() == code.globals.len()
            && state.heap.len() >= code.heap.len()
            && state.heap.len().is_multiple_of(65_536);
        if !fits {
            return Err(InstallError::StoredState);
        }
        code.heap = state.heap;
        code.globals = state.globals.into_iter().map(to_val).collect();
        code.clean = false;
        // What the module cannot hold must show now and not at every message.
        code.make_clean().map_err(|_| InstallError::StoredState)?;
        Ok(code)
    }

    /// A second instance in the same state, without compiling again.
    pub fn copy(&self) -> Result<Self, InstallError> {
        let stable = self.store.data().stable.committed();
        let (store, instance) = instantiate(&self.pre, Host::new(stable))?;
        Ok(Self {
            module: Arc::clone(&self.module),
            module_hash: self.module_hash,
            prepared: Arc::clone(&self.prepared),
            metadata: self.metadata.clone(),
            pre: self.pre.clone(),
            store,
            instance,
            heap: self.heap.clone(),
            globals: self.globals.clone(),
            clean: false,
        })
    }

    /// Everything that must outlive the process.
    pub fn state(&self) -> CodeState {
        let stable = &self.store.data().stable;
        let pages = stable.committed_pages().into_iter();
        CodeState {
            module: self.module.to_vec(),
            heap: self.heap.clone(),
            globals: self.globals.iter().filter_map(from_val).collect(),
            stable_size: stable.committed_size(),
            stable_pages: pages.map(|(at, page)| (at, ByteBuf::from(page))).collect(),
        }
    }

    pub const fn module_hash(&self) -> [u8; 32] {
        self.module_hash
    }

    pub fn metadata(&self) -> &BTreeMap<String, Metadata> {
        &self.prepared.metadata
    }

    pub fn metadata_tree(&self) -> Option<Tree> {
        self.metadata.clone()
    }

    /// (heap, stable) in bytes.
    pub fn memory_sizes(&self) -> (u64, u64) {
        (
            self.heap.len() as u64,
            self.store.data().stable.committed_size() * 65_536,
        )
    }

    /// Takes over the stable memory of the code before.
    pub fn inherit_stable(&mut self, before: &mut Self) {
        self.store.data_mut().stable = std::mem::take(&mut before.store.data_mut().stable);
    }

    /// The first part of memory in which another replica differs.
    pub fn difference(&self, other: &Self) -> Option<Part> {
        let globals = |it: &Self| it.globals.iter().map(from_val).collect::<Vec<_>>();
        let (stable, theirs) = (&self.store.data().stable, &other.store.data().stable);
        let parts = [
            (Part::Module, self.module_hash == other.module_hash),
            (Part::Heap, self.heap == other.heap),
            (Part::Globals, globals(self) == globals(other)),
            (Part::StableMemory, stable.is_committed_as(theirs)),
        ];
        let differs = parts.into_iter().find(|(_, same)| !same);
        differs.map(|(part, _)| part)
    }

    /// Takes a stable memory in place of its own.
    #[cfg(feature = "testkit")]
    pub fn set_stable(&mut self, stable: StableMemory) {
        self.store.data_mut().stable = stable;
    }

    /// Bytes of stable memory; `None` beyond its end.
    #[cfg(feature = "testkit")]
    pub fn stable_bytes(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = self.store.data().stable.read(offset, &mut bytes);
        read.ok().map(|()| bytes)
    }

    /// Numbers of the pages of stable memory that the last message that was kept wrote to.
    #[cfg(feature = "testkit")]
    pub fn written_pages(&self) -> &[u64] {
        self.store.data().stable.written()
    }

    /// Turns over one bit of the committed heap.
    #[cfg(feature = "testkit")]
    pub fn flip_heap_bit(&mut self, byte: usize) {
        if let Some(byte) = self.heap.get_mut(byte) {
            *byte ^= 1;
        }
        self.clean = false;
    }

    pub fn exports(&self, name: &str) -> bool {
        self.prepared.exports.iter().any(|export| export == name)
    }

    /// Runs one message: all of its changes are kept, or none.
    pub fn run(&mut self, entry: &Entry, message: Message) -> (Execution, Effects) {
        timed(Spent::Memory, || self.run_timed(entry, message))
    }

    fn run_timed(&mut self, entry: &Entry, message: Message) -> (Execution, Effects) {
        let (mode, limit) = (message.mode, message.limit);
        if let Err(error) = self.make_clean() {
            let outcome = Outcome::stopped(&error);
            return (Execution::without_run(outcome), Effects::default());
        }
        self.store.data_mut().message = message;
        let ran = self.call(entry, limit);
        let used = limit - self.store.get_fuel().unwrap_or(0).min(limit);
        let mut message = std::mem::take(&mut self.store.data_mut().message);
        let mut outcome = match ran {
            Ok(()) => outcome(&mut message),
            Err(error) => Outcome::stopped(&error),
        };
        let dirty_pages = self.store.data().stable.dirty();
        let mut dirty_heap_pages = 0;
        let mut effects = Effects::default();
        if mode.keeps_changes() && !outcome.is_failed() {
            match self.commit() {
                Ok(pages) => {
                    dirty_heap_pages = pages;
                    effects = Effects {
                        kept: true,
                        certified_data: message.certified_data,
                        timer: message.timer_set,
                        calls: message.calls,
                    };
                }
                Err(error) => outcome = Outcome::stopped(&wasmtime::Error::new(error)),
            }
        }
        if !self.clean {
            self.store.data_mut().stable.rollback();
            // Where it fails, so does the next message, which begins with it.
            dirty_heap_pages = self.make_clean().unwrap_or(0);
        }
        let execution = Execution {
            outcome,
            instructions: used + (dirty_pages + dirty_heap_pages) * charge::DIRTY_PAGE,
            dirty_pages,
            dirty_heap_pages,
        };
        (execution, effects)
    }

    fn call(&mut self, entry: &Entry, limit: u64) -> wasmtime::Result<()> {
        self.store.set_fuel(limit)?;
        self.clean = false;
        match entry {
            Entry::Export(name) => {
                let function = self
                    .instance
                    .get_typed_func::<(), ()>(&mut self.store, name)?;
                timed(Spent::Wasm, || function.call(&mut self.store, ()))
            }
            Entry::Callback(closure) => {
                let function = self
                    .callback(closure.function)
                    .ok_or_else(|| wasmtime::Error::new(SystemTrap::NoCallback))?;
                let function = function
                    .typed::<i32, ()>(&self.store)
                    .map_err(|_| wasmtime::Error::new(SystemTrap::NoCallback))?;
                let environment = closure.environment.cast_signed();
                timed(Spent::Wasm, || function.call(&mut self.store, environment))
            }
        }
    }

    fn callback(&mut self, index: u32) -> Option<Func> {
        let table = self.instance.get_table(&mut self.store, TABLE)?;
        match table.get(&mut self.store, u64::from(index))? {
            Ref::Func(function) => function,
            _ => None,
        }
    }

    /// Keeps what the message changed; tells how many pages of the heap that was.
    fn commit(&mut self) -> Result<u64, InstallError> {
        let dirty_heap_pages = self.keep_heap()?;
        self.store.data_mut().stable.commit();
        Ok(dirty_heap_pages)
    }

    /// Takes the live heap and globals as the committed ones; tells how many pages differed. A
    /// replica counts pages that were written to, also with what was there before.
    fn keep_heap(&mut self) -> Result<u64, InstallError> {
        let memory = self.instance.get_memory(&mut self.store, "memory");
        let live = memory.map_or(&[][..], |memory| memory.data(&self.store));
        self.heap.resize(live.len(), 0);
        let changed = copy_changed_pages(live, &mut self.heap);
        self.globals.clear();
        for number in 0..self.prepared.globals {
            let global = self
                .instance
                .get_global(&mut self.store, &format!("{GLOBAL_PREFIX}{number}"))
                .ok_or(InstallError::StoredState)?;
            self.globals.push(global.get(&mut self.store));
        }
        self.clean = true;
        Ok(changed)
    }

    /// Puts the committed heap and globals back into the live instance; tells how many pages
    /// differed.
    fn make_clean(&mut self) -> wasmtime::Result<u64> {
        if self.clean {
            return Ok(0);
        }
        let mut changed = 0;
        let live = self.instance.get_memory(&mut self.store, "memory");
        if let Some(grown) = live.filter(|live| live.data_size(&self.store) > self.heap.len()) {
            // A memory does not shrink: a fresh instance.
            changed = changed_pages(grown.data(&self.store), &self.heap);
            let stable = std::mem::take(&mut self.store.data_mut().stable);
            let (store, instance) = match instantiate(&self.pre, Host::new(stable)) {
                Ok(fresh) => fresh,
                Err(error) => return Err(wasmtime::Error::new(error)),
            };
            self.instance = instance;
            self.store = store;
        }
        if let Some(memory) = self.instance.get_memory(&mut self.store, "memory") {
            let missing = self
                .heap
                .len()
                .saturating_sub(memory.data_size(&self.store));
            memory.grow(&mut self.store, (missing / 65_536) as u64)?;
            let restored = copy_changed_pages(&self.heap, memory.data_mut(&mut self.store));
            if changed == 0 {
                changed = restored;
            }
        }
        for (number, value) in self.globals.iter().enumerate() {
            let name = format!("{GLOBAL_PREFIX}{number}");
            if let Some(global) = self.instance.get_global(&mut self.store, &name) {
                global.set(&mut self.store, *value)?;
            }
        }
        self.clean = true;
        Ok(changed)
    }
}

/// How many pages of a memory that grew differ from what it was.
fn changed_pages(live: &[u8], before: &[u8]) -> u64 {
    let pages = live.chunks(PAGE).enumerate();
    let changed = pages.filter(|(number, page)| {
        let at = number * PAGE;
        match before.get(at..at + page.len()) {
            Some(before) => before != *page,
            None => page.iter().any(|byte| *byte != 0),
        }
    });
    changed.count() as u64
}

fn metadata_tree(prepared: &Prepared) -> Option<Tree> {
    let sections = prepared.metadata.iter();
    let leaves: BTreeMap<_, _> = sections
        .map(|(name, kept)| (name.clone().into_bytes(), Tree::Leaf(kept.content.clone())))
        .collect();
    (!leaves.is_empty()).then(|| Tree::fixed(Tree::Map(leaves)))
}

fn outcome(message: &mut Message) -> Outcome {
    match (message.mode, message.answer.take()) {
        (Mode::Init | Mode::PreUpgrade, _) => Outcome::Accepted,
        (Mode::Inspect, _) if message.accepted => Outcome::Accepted,
        (Mode::Inspect, _) => Outcome::Failed {
            code: "IC0406",
            message: "the canister's inspect_message refused the call".into(),
        },
        (_, Some(Answer::Reply(bytes))) => Outcome::Replied(bytes),
        (_, Some(Answer::Reject(text))) => Outcome::Rejected(text),
        (_, None) => Outcome::Unanswered,
    }
}

/// Makes `to` what `from` is, both of one size; tells how many pages differed. A message changes few
/// of them, and comparing costs less than writing.
fn copy_changed_pages(from: &[u8], to: &mut [u8]) -> u64 {
    let mut changed = 0;
    for (from, to) in from.chunks(PAGE).zip(to.chunks_mut(PAGE)) {
        if from != to {
            to.copy_from_slice(from);
            changed += 1;
        }
    }
    changed
}

fn instantiate(
    pre: &InstancePre<Host>,
    host: Host,
) -> Result<(Store<Host>, Instance), InstallError> {
    let mut store = Store::new(pre.module().engine(), host);
    store.limiter(|host| &mut host.limits);
    store.set_fuel(limit::INSTALL).map_err(engine_error)?;
    let instance = pre.instantiate(&mut store).map_err(engine_error)?;
    Ok((store, instance))
}

/// What the system calls takes nothing and returns nothing.
fn check_entry_points(
    prepared: &Prepared,
    instance: &Instance,
    store: &mut Store<Host>,
) -> Result<(), InstallError> {
    let system = prepared.exports.iter();
    for name in system.filter(|name| name.starts_with("canister_")) {
        if instance
            .get_typed_func::<(), ()>(&mut *store, name)
            .is_err()
        {
            let text = format!("{name} is no function without parameters and results");
            return Err(ModuleError::Invalid(text).into());
        }
    }
    Ok(())
}

fn from_val(value: &Val) -> Option<(u8, u64)> {
    match value {
        Val::I32(bits) => Some((0, u64::from(bits.cast_unsigned()))),
        Val::I64(bits) => Some((1, bits.cast_unsigned())),
        Val::F32(bits) => Some((2, u64::from(*bits))),
        Val::F64(bits) => Some((3, *bits)),
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "32-bit values were stored widened"
)]
fn to_val((kind, bits): (u8, u64)) -> Val {
    match kind {
        0 => Val::I32((bits as u32).cast_signed()),
        1 => Val::I64(bits.cast_signed()),
        2 => Val::F32(bits as u32),
        _ => Val::F64(bits),
    }
}
