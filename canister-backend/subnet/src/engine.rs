//! The wasm engine: deterministic, metered like the replica.

use wasmtime::{Config, Engine, Module, OperatorCost, OptLevel};

/// Wasm stack in bytes.
const MAX_WASM_STACK: usize = 1024 * 1024;

/// The engine of a subnet.
#[cfg(not(feature = "testkit"))]
pub(crate) fn engine() -> wasmtime::Result<Engine> {
    new_engine()
}

/// Compiles a module.
#[cfg(not(feature = "testkit"))]
pub(crate) fn compile(engine: &Engine, module: &[u8]) -> wasmtime::Result<Module> {
    Module::new(engine, module)
}

#[cfg(feature = "testkit")]
pub(crate) use shared::{compile, engine};

/// Tests start and restart many subnets in one process, over the same few modules. Compiling them
/// takes seconds in a debug build, so they are compiled once.
#[cfg(feature = "testkit")]
mod shared {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    use super::{Engine, Module, new_engine};

    struct Shared {
        engine: Option<Engine>,
        modules: BTreeMap<[u8; 32], Module>,
    }

    static SHARED: Mutex<Shared> = Mutex::new(Shared {
        engine: None,
        modules: BTreeMap::new(),
    });

    /// The engine of all subnets of this process.
    pub(crate) fn engine() -> wasmtime::Result<Engine> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        match &shared.engine {
            Some(engine) => Ok(engine.clone()),
            None => Ok(shared.engine.insert(new_engine()?).clone()),
        }
    }

    /// Compiles a module, or takes it as it was compiled before.
    pub(crate) fn compile(engine: &Engine, module: &[u8]) -> wasmtime::Result<Module> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = *blake3::hash(module).as_bytes();
        let known = shared.modules.get(&hash);
        if let Some(known) = known.filter(|known| Engine::same(known.engine(), engine)) {
            return Ok(known.clone());
        }
        let compiled = Module::new(engine, module)?;
        shared.modules.insert(hash, compiled.clone());
        Ok(compiled)
    }
}

/// An engine whose fuel is the replica's instruction count.
fn new_engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .operator_cost(costs())
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .max_wasm_stack(MAX_WASM_STACK);
    Engine::new(&config)
}

/// The replica's weights, as far as they differ from 1 (and from 0 for structure).
fn costs() -> OperatorCost {
    let mut cost = OperatorCost::new();
    macro_rules! weigh {
        ($($weight:literal: $($op:ident)*;)*) => { $($(cost.$op = $weight;)*)* };
    }
    weigh! {
        1: Drop Nop Unreachable Return;
        2: GlobalGet GlobalSet If Br BrIf BrTable;
        3: F32Div F32Eq F32Ne F32Lt F32Gt F32Le F32Ge F64Eq F64Ne F64Lt F64Gt F64Le F64Ge
            I32WrapI64 F32ConvertI32S F64ConvertI32S F32ConvertI64S F64ConvertI64S;
        5: Call TableGet TableSet F64Div F32Sqrt;
        8: F64Sqrt;
        10: I32DivS I32DivU I32RemS I32RemU I64DivS I64DivU I64RemS I64RemU CallIndirect;
        16: F32ConvertI32U F64ConvertI32U F32ConvertI64U F64ConvertI64U;
        18: F32Min F32Max F64Min F64Max;
        20: MemorySize I32TruncF32S I32TruncF32U I32TruncF64S I32TruncF64U I64TruncF32S
            I64TruncF32U I64TruncF64S I64TruncF64U;
        100: MemoryCopy MemoryFill MemoryInit TableCopy TableFill TableInit TableSize;
        130: RefFunc;
        255: MemoryGrow TableGrow DataDrop ElemDrop;
    }
    cost.I32WrapI64 = 1;
    cost
}

/// What system calls cost beyond their own instructions.
pub(crate) mod charge {
    /// Any system call.
    pub const SYSTEM_CALL: u64 = 500;
    /// Reading or writing stable memory.
    pub const STABLE: u64 = 20;
    /// Reading the counter.
    pub const PERFORMANCE_COUNTER: u64 = 200;
    /// Printing.
    pub const DEBUG_PRINT: u64 = 100;
    /// Asking for a controller.
    pub const IS_CONTROLLER: u64 = 1_000;
    /// Each byte copied.
    pub const BYTE: u64 = 1;
    /// Each dirty page of stable memory, once per message.
    pub const DIRTY_PAGE: u64 = 1_000;
}
