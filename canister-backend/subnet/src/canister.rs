//! One canister: its module, its memory, and how a message runs in it.
//!
//! The live instance works on its own heap; the committed heap is a copy that a trap, a query or
//! an upgrade falls back to, together with every mutable global (a trap leaves the stack pointer
//! wherever it was).

mod compare;

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use wasmtime::{Engine, Instance, InstancePre, Linker, Store, Trap, Val};

use crate::engine::{charge, compile};
use crate::ic0::{
    Answer, CERTIFIED_DATA_MAX_BYTES, Host, IMPLEMENTED, Message, Mode, SystemTrap, limits, link,
};
use crate::prep::{GLOBAL_PREFIX, ModuleError, Prepared, prepare};
use crate::stable::{PAGE, StableMemory};

pub(crate) use compare::Part;

/// Instructions that one message may use, by what it is: the replica's limits, but for queries.
pub(crate) mod limit {
    /// Update.
    pub const UPDATE: u64 = 40_000_000_000;
    /// Query: a fifth of the replica's. One thread serves all, anybody may ask, and a billion
    /// instructions are about a second of it; the largest reply costs far less.
    pub const QUERY: u64 = 1_000_000_000;
    /// `inspect_message`.
    pub const INSPECT: u64 = 200_000_000;
    /// init, pre- and post-upgrade.
    pub const INSTALL: u64 = 300_000_000_000;
}

/// What a message did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// What came of it.
    pub outcome: Outcome,
    /// Instructions with the replica's weights and system-call charges, dirty pages included.
    pub instructions: u64,
    /// 4-KiB pages of stable memory that it wrote to.
    pub dirty_pages: u64,
    /// 4-KiB pages of the heap that it left changed; 0 where nothing of it is kept.
    pub dirty_heap_pages: u64,
}

impl Execution {
    /// What needed no run.
    const fn without_run(outcome: Outcome) -> Self {
        Self {
            outcome,
            instructions: 0,
            dirty_pages: 0,
            dirty_heap_pages: 0,
        }
    }
}

/// What came of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Replied with these bytes.
    Replied(Vec<u8>),
    /// Rejected by the canister itself.
    Rejected(String),
    /// Stopped by the system; nothing of it remains.
    Failed {
        /// The replica's error code.
        code: &'static str,
        /// Why.
        message: String,
    },
    /// `inspect_message` let it pass.
    Accepted,
}

/// What of a canister goes into a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct CanisterState {
    #[serde(with = "serde_bytes")]
    pub id: Vec<u8>,
    pub controllers: Vec<serde_bytes::ByteBuf>,
    #[serde(with = "serde_bytes")]
    pub module: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub heap: Vec<u8>,
    /// Mutable globals: type (0 = i32, 1 = i64, 2 = f32, 3 = f64) and bits.
    pub globals: Vec<(u8, u64)>,
    pub stable_size: u64,
    pub stable_pages: BTreeMap<u64, serde_bytes::ByteBuf>,
    #[serde(with = "serde_bytes")]
    pub certified_data: Vec<u8>,
    pub version: u64,
}

/// A canister that runs.
pub(crate) struct Canister {
    module: Vec<u8>,
    module_hash: [u8; 32],
    prepared: Prepared,
    pre: InstancePre<Host>,
    store: Store<Host>,
    instance: Instance,
    heap: Vec<u8>,
    globals: Vec<Val>,
    /// Whether the live heap is the committed one.
    clean: bool,
    certified_data: Vec<u8>,
}

impl std::fmt::Debug for Canister {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canister")
            .field("exports", &self.prepared.exports)
            .finish_non_exhaustive()
    }
}

/// Why a canister was not installed, upgraded or restored.
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
        /// Why.
        message: String,
    },
    /// There is no canister of this id, or there is one already.
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

impl Canister {
    /// Instantiates a module; runs no hook.
    pub fn new(
        engine: &Engine,
        module: &[u8],
        id: &[u8],
        controllers: Vec<Vec<u8>>,
        root_key: &[u8],
    ) -> Result<Self, InstallError> {
        let prepared = prepare(module, IMPLEMENTED)?;
        let compiled = compile(engine, &prepared.wasm).map_err(engine_error)?;
        let mut linker = Linker::new(engine);
        link(&mut linker).map_err(engine_error)?;
        let pre = linker.instantiate_pre(&compiled).map_err(engine_error)?;
        let host = Host {
            message: Message::new(Mode::Start, "", Vec::new(), Vec::new(), 0),
            stable: StableMemory::default(),
            canister: id.to_vec(),
            controllers,
            version: 1,
            root_key: root_key.to_vec(),
            limits: limits(),
        };
        let (mut store, instance) = instantiate(&pre, host)?;
        check_entry_points(&prepared, &instance, &mut store)?;
        let mut canister = Self {
            module: module.to_vec(),
            module_hash: Sha256::digest(module).into(),
            prepared,
            pre,
            store,
            instance,
            heap: Vec::new(),
            globals: Vec::new(),
            clean: true,
            certified_data: Vec::new(),
        };
        canister.keep_heap()?;
        Ok(canister)
    }

    /// As it was stored.
    pub fn restore(
        engine: &Engine,
        state: CanisterState,
        root_key: &[u8],
    ) -> Result<Self, InstallError> {
        let controllers = state
            .controllers
            .into_iter()
            .map(serde_bytes::ByteBuf::into_vec);
        let mut canister = Self::new(
            engine,
            &state.module,
            &state.id,
            controllers.collect(),
            root_key,
        )?;
        let pages = state
            .stable_pages
            .into_iter()
            .map(|(at, page)| (at, page.into_vec()));
        canister.store.data_mut().stable =
            StableMemory::restore(state.stable_size, pages.collect())
                .ok_or(InstallError::StoredState)?;
        canister.store.data_mut().version = state.version;
        let fits = state.globals.len() == canister.globals.len()
            && state.heap.len() >= canister.heap.len()
            && state.heap.len().is_multiple_of(65_536)
            && state.certified_data.len() <= CERTIFIED_DATA_MAX_BYTES;
        if !fits {
            return Err(InstallError::StoredState);
        }
        canister.heap = state.heap;
        canister.globals = state.globals.into_iter().map(to_val).collect();
        canister.certified_data = state.certified_data;
        canister.clean = false;
        // What the module cannot hold must show now and not at every message.
        canister
            .make_clean()
            .map_err(|_| InstallError::StoredState)?;
        Ok(canister)
    }

    /// A second instance in the same state, without compiling again.
    fn copy(&self) -> Result<Self, InstallError> {
        let mut host = self.fresh_host();
        host.stable = self.store.data().stable.committed();
        let (store, instance) = instantiate(&self.pre, host)?;
        Ok(Self {
            module: self.module.clone(),
            module_hash: self.module_hash,
            prepared: self.prepared.clone(),
            pre: self.pre.clone(),
            store,
            instance,
            heap: self.heap.clone(),
            globals: self.globals.clone(),
            clean: false,
            certified_data: self.certified_data.clone(),
        })
    }

    /// What a fresh instance of this canister reaches, but for stable memory.
    fn fresh_host(&self) -> Host {
        let host = self.store.data();
        Host {
            message: Message::new(Mode::Start, "", Vec::new(), Vec::new(), 0),
            stable: StableMemory::default(),
            canister: host.canister.clone(),
            controllers: host.controllers.clone(),
            version: host.version,
            root_key: host.root_key.clone(),
            limits: limits(),
        }
    }

    /// Everything that must outlive the process.
    pub fn state(&self) -> CanisterState {
        let host = self.store.data();
        CanisterState {
            id: host.canister.clone(),
            controllers: host.controllers.iter().cloned().map(Into::into).collect(),
            module: self.module.clone(),
            heap: self.heap.clone(),
            globals: self.globals.iter().filter_map(from_val).collect(),
            stable_size: host.stable.committed_size(),
            stable_pages: host
                .stable
                .committed_pages()
                .into_iter()
                .map(|(at, page)| (at, serde_bytes::ByteBuf::from(page)))
                .collect(),
            certified_data: self.certified_data.clone(),
            version: host.version,
        }
    }

    pub const fn module_hash(&self) -> [u8; 32] {
        self.module_hash
    }

    pub fn certified_data(&self) -> &[u8] {
        &self.certified_data
    }

    pub fn controllers(&self) -> &[Vec<u8>] {
        &self.store.data().controllers
    }

    /// (heap, stable) in bytes.
    pub fn memory_sizes(&self) -> (u64, u64) {
        (
            self.heap.len() as u64,
            self.store.data().stable.committed_size() * 65_536,
        )
    }

    /// Whether a method is there as update (true) or query (false).
    pub fn has_method(&self, method: &str, update: bool) -> bool {
        let kind = if update {
            "canister_update"
        } else {
            "canister_query"
        };
        self.exports(&format!("{kind} {method}"))
    }

    fn exports(&self, name: &str) -> bool {
        self.prepared.exports.iter().any(|export| export == name)
    }

    /// Runs `canister_init`.
    pub fn init(
        &mut self,
        argument: Vec<u8>,
        caller: &[u8],
        time: u64,
    ) -> Result<(), InstallError> {
        self.hook("canister_init", Mode::Init, argument, caller, time)
    }

    /// Replaces the module: all of it happens, or nothing.
    pub fn upgrade(
        &mut self,
        engine: &Engine,
        module: &[u8],
        argument: Vec<u8>,
        caller: &[u8],
        time: u64,
    ) -> Result<(), InstallError> {
        let host = self.store.data();
        let (id, root_key) = (host.canister.clone(), host.root_key.clone());
        let mut next = Self::new(engine, module, &id, host.controllers.clone(), &root_key)?;
        // The hooks run on a copy: whatever fails, this canister was never touched.
        let mut last = self.copy()?;
        last.hook(
            "canister_pre_upgrade",
            Mode::PreUpgrade,
            Vec::new(),
            caller,
            time,
        )?;
        next.certified_data = std::mem::take(&mut last.certified_data);
        let last = last.store.data_mut();
        let host = next.store.data_mut();
        host.version = last.version + 1;
        host.stable = std::mem::take(&mut last.stable);
        next.hook("canister_post_upgrade", Mode::Init, argument, caller, time)?;
        *self = next;
        Ok(())
    }

    fn hook(
        &mut self,
        name: &'static str,
        mode: Mode,
        argument: Vec<u8>,
        caller: &[u8],
        time: u64,
    ) -> Result<(), InstallError> {
        let hooked = self.run_hook(name, mode, argument, caller, time);
        match hooked.map(|execution| execution.outcome) {
            Some(Outcome::Failed { message, .. }) => Err(InstallError::Hook {
                hook: name,
                message,
            }),
            _ => Ok(()),
        }
    }

    /// `None` for a module that has no such hook.
    fn run_hook(
        &mut self,
        name: &'static str,
        mode: Mode,
        argument: Vec<u8>,
        caller: &[u8],
        time: u64,
    ) -> Option<Execution> {
        if !self.exports(name) {
            return None;
        }
        let message = Message::new(mode, name, argument, caller.to_vec(), time);
        Some(self.run(name, message, limit::INSTALL))
    }

    /// Takes a stable memory in place of its own and runs `canister_post_upgrade` on it, as the end
    /// of an upgrade does; `None` for a module without that hook.
    #[cfg(feature = "testkit")]
    pub fn resume_on(&mut self, stable: StableMemory, time: u64) -> Option<Execution> {
        self.store.data_mut().stable = stable;
        self.run_hook("canister_post_upgrade", Mode::Init, Vec::new(), &[], time)
    }

    /// Bytes of stable memory; `None` beyond its end.
    #[cfg(feature = "testkit")]
    pub fn stable_bytes(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = self.store.data().stable.read(offset, &mut bytes);
        read.ok().map(|()| bytes)
    }

    /// Numbers of the pages of stable memory that the message before wrote to.
    #[cfg(feature = "testkit")]
    pub fn written_pages(&self) -> &[u64] {
        self.store.data().stable.written()
    }

    /// Runs an update, or a query as an update.
    pub fn update(
        &mut self,
        method: &str,
        argument: Vec<u8>,
        caller: &[u8],
        time: u64,
    ) -> Execution {
        let (mode, kind) = if self.has_method(method, true) {
            (Mode::Update, "canister_update")
        } else {
            (Mode::ReplicatedQuery, "canister_query")
        };
        let message = Message::new(mode, method, argument, caller.to_vec(), time);
        self.run(&format!("{kind} {method}"), message, limit::UPDATE)
    }

    /// Runs a query on the committed state; nothing of it remains.
    pub fn query(
        &mut self,
        method: &str,
        argument: Vec<u8>,
        caller: &[u8],
        time: u64,
        certificate: Vec<u8>,
    ) -> Execution {
        let mut message = Message::new(Mode::Query, method, argument, caller.to_vec(), time);
        message.certificate = Some(certificate);
        self.run(&format!("canister_query {method}"), message, limit::QUERY)
    }

    /// Asks `canister_inspect_message`, if there is one.
    pub fn inspect(
        &mut self,
        method: &str,
        argument: Vec<u8>,
        caller: &[u8],
        time: u64,
    ) -> Execution {
        let name = "canister_inspect_message";
        if !self.exports(name) {
            return Execution::without_run(Outcome::Accepted);
        }
        let message = Message::new(Mode::Inspect, method, argument, caller.to_vec(), time);
        self.run(name, message, limit::INSPECT)
    }

    fn run(&mut self, export: &str, mut message: Message, limit: u64) -> Execution {
        if !self.exports(export) {
            let message = format!("the canister has no method {}", message.method);
            let outcome = Outcome::Failed {
                code: "IC0536",
                message,
            };
            return Execution::without_run(outcome);
        }
        message.limit = limit;
        let mode = message.mode;
        if let Err(error) = self.make_clean() {
            return Execution::without_run(failed(&error));
        }
        self.store.data_mut().message = message;
        let ran = self.call(export, limit);
        let used = limit - self.store.get_fuel().unwrap_or(0).min(limit);
        let outcome = match ran {
            Ok(()) => self.finish(mode),
            Err(error) => failed(&error),
        };
        let keep = matches!(mode, Mode::Update | Mode::Init | Mode::PreUpgrade)
            && !matches!(outcome, Outcome::Failed { .. });
        let dirty_pages = self.store.data().stable.dirty();
        let (outcome, dirty_heap_pages) = if keep {
            self.commit(outcome)
        } else {
            (self.discard(outcome), 0)
        };
        let instructions = used + (dirty_pages + dirty_heap_pages) * charge::DIRTY_PAGE;
        Execution {
            outcome,
            instructions,
            dirty_pages,
            dirty_heap_pages,
        }
    }

    fn call(&mut self, export: &str, limit: u64) -> wasmtime::Result<()> {
        self.store.set_fuel(limit)?;
        self.clean = false;
        let function = self
            .instance
            .get_typed_func::<(), ()>(&mut self.store, export)?;
        function.call(&mut self.store, ())
    }

    fn finish(&mut self, mode: Mode) -> Outcome {
        let message = &mut self.store.data_mut().message;
        match (mode, message.answer.take()) {
            (Mode::Init | Mode::PreUpgrade, _) => Outcome::Accepted,
            (Mode::Inspect, _) if message.accepted => Outcome::Accepted,
            (Mode::Inspect, _) => Outcome::Failed {
                code: "IC0406",
                message: "the canister's inspect_message refused the call".into(),
            },
            (_, Some(Answer::Reply(bytes))) => Outcome::Replied(bytes),
            (_, Some(Answer::Reject(text))) => Outcome::Rejected(text),
            (_, None) => Outcome::Failed {
                code: "IC0506",
                message: "the canister did not reply".into(),
            },
        }
    }

    /// Keeps what the message changed; tells how many pages of the heap that was.
    fn commit(&mut self, outcome: Outcome) -> (Outcome, u64) {
        let dirty_heap_pages = match self.keep_heap() {
            Ok(pages) => pages,
            Err(error) => {
                self.store.data_mut().stable.rollback();
                let failed = Outcome::Failed {
                    code: "IC0504",
                    message: error.to_string(),
                };
                return (failed, 0);
            }
        };
        let host = self.store.data_mut();
        host.stable.commit();
        if let Some(data) = host.message.certified_data.take() {
            self.certified_data = data;
        }
        (outcome, dirty_heap_pages)
    }

    fn discard(&mut self, outcome: Outcome) -> Outcome {
        self.store.data_mut().stable.rollback();
        outcome
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

    /// Puts the committed heap and globals back into the live instance.
    fn make_clean(&mut self) -> wasmtime::Result<()> {
        if self.clean {
            return Ok(());
        }
        let live = self.instance.get_memory(&mut self.store, "memory");
        let live_size = live.map_or(0, |memory| memory.data_size(&self.store));
        if live_size > self.heap.len() {
            // A memory does not shrink: a fresh instance.
            let (mut store, instance) = instantiate(&self.pre, self.fresh_host())?;
            store.data_mut().stable = std::mem::take(&mut self.store.data_mut().stable);
            self.instance = instance;
            self.store = store;
        }
        if let Some(memory) = self.instance.get_memory(&mut self.store, "memory") {
            let missing = self
                .heap
                .len()
                .saturating_sub(memory.data_size(&self.store));
            memory.grow(&mut self.store, (missing / 65_536) as u64)?;
            copy_changed_pages(&self.heap, memory.data_mut(&mut self.store));
        }
        for (number, value) in self.globals.iter().enumerate() {
            let name = format!("{GLOBAL_PREFIX}{number}");
            if let Some(global) = self.instance.get_global(&mut self.store, &name) {
                global.set(&mut self.store, *value)?;
            }
        }
        self.clean = true;
        Ok(())
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

fn failed(error: &wasmtime::Error) -> Outcome {
    let out_of_instructions = error.downcast_ref::<Trap>() == Some(&Trap::OutOfFuel)
        || error.downcast_ref::<SystemTrap>() == Some(&SystemTrap::OutOfInstructions);
    let (code, message) = if out_of_instructions {
        (
            "IC0522",
            "the canister exceeded its instruction limit".to_owned(),
        )
    } else if let Some(SystemTrap::Explicit(text)) = error.downcast_ref() {
        ("IC0503", format!("the canister trapped: {text}"))
    } else {
        (
            "IC0502",
            format!("the canister trapped: {}", error.root_cause()),
        )
    };
    Outcome::Failed { code, message }
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
