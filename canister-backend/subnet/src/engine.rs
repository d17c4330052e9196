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

/// The replica's weights (`rs/embedders/src/wasm_utils/instrumentation.rs`), as far as they differ
/// from wasmtime's own: 1 for an operator, 0 for structure, and 1 for each byte of a bulk copy.
///
/// wasmtime counts 1 for entering a function, so calls weigh one less here than there. A weight has
/// eight bits: `memory.grow` weighs 255 here, and `prep` adds the 45 that are missing.
fn costs() -> OperatorCost {
    let mut cost = OperatorCost::new();
    macro_rules! weigh {
        ($($weight:literal: $($op:ident)*;)*) => { $($(cost.$op = $weight;)*)* };
    }
    weigh! {
        1: Drop Nop Unreachable Return;
        2: GlobalGet GlobalSet If Br BrIf BrTable ReturnCall
            F32Add F32Sub F32Mul F32Ceil F32Floor F32Trunc F32Nearest F32Copysign
            F64Add F64Sub F64Mul F64Ceil F64Floor F64Trunc F64Nearest;
        3: F32Div F32Eq F32Ne F32Lt F32Gt F32Le F32Ge F64Eq F64Ne F64Lt F64Gt F64Le F64Ge
            F64Copysign F32ConvertI32S F64ConvertI32S F32ConvertI64S F64ConvertI64S;
        4: Call;
        5: TableGet TableSet RefIsNull F64Div F32Sqrt;
        8: F64Sqrt;
        9: CallIndirect;
        10: I32DivS I32DivU I32RemS I32RemU I64DivS I64DivU I64RemS I64RemU;
        16: F32ConvertI32U F64ConvertI32U F32ConvertI64U F64ConvertI64U;
        18: F32Min F32Max F64Min F64Max;
        20: MemorySize I32TruncF32S I32TruncF32U I32TruncF64S I32TruncF64U I64TruncF32S
            I64TruncF32U I64TruncF64S I64TruncF64U I32TruncSatF32S I32TruncSatF32U
            I32TruncSatF64S I32TruncSatF64U I64TruncSatF32S I64TruncSatF32U I64TruncSatF64S
            I64TruncSatF64U;
        59: ReturnCallIndirect;
        100: MemoryCopy MemoryFill MemoryInit TableCopy TableFill TableInit TableSize;
        130: RefFunc;
        255: MemoryGrow TableGrow DataDrop ElemDrop;
    }
    // Vectors of 128 bits: BLAKE3 in the canisters uses them.
    weigh! {
        2: I8x16LtU I8x16GtU I16x8LtU I16x8GtU I32x4LtU I32x4GtU I8x16ShrU I16x8Shl I16x8ShrS
            I16x8ShrU I32x4Shl I32x4ShrS I32x4ShrU I64x2Shl I64x2ShrU I16x8ExtAddPairwiseI8x16U
            I16x8ExtMulHighI8x16S I16x8ExtMulHighI8x16U I32x4Mul I32x4ExtMulLowI16x8S
            I32x4ExtMulHighI16x8S I32x4ExtMulLowI16x8U I32x4ExtMulHighI16x8U F32x4Ceil F32x4Floor
            F32x4Trunc F32x4Nearest F32x4Abs F32x4Neg F32x4Add F32x4Sub F32x4Mul F64x2Ceil
            F64x2Floor F64x2Trunc F64x2Nearest F64x2Abs F64x2Neg F64x2Add F64x2Sub F64x2Mul
            I32x4TruncSatF32x4S I32x4TruncSatF64x2SZero;
        3: I8x16Shuffle I8x16Popcnt I8x16Shl I8x16ShrS I64x2ShrS I32x4ExtAddPairwiseI16x8U
            I32x4TruncSatF64x2UZero;
        4: I64x2Mul F32x4Min F32x4Max F64x2Min I32x4TruncSatF32x4U F32x4ConvertI32x4U;
        5: F32x4Sqrt F64x2Max;
        10: F32x4Div;
        12: F64x2Div;
        14: F64x2Sqrt;
    }
    cost
}

/// What system calls cost beyond their own instructions.
pub(crate) mod charge {
    /// Any system call.
    pub const SYSTEM_CALL: u64 = 500;
    /// Reading or writing stable memory; its size is free.
    pub const STABLE: u64 = 20;
    /// Growing stable memory.
    pub const STABLE_GROW: u64 = 100;
    /// Beginning a call.
    pub const CALL_NEW: u64 = 1_500;
    /// Making a call.
    pub const CALL_PERFORM: u64 = 5_000;
    /// Reading the counter.
    pub const PERFORMANCE_COUNTER: u64 = 200;
    /// Printing.
    pub const DEBUG_PRINT: u64 = 100;
    /// Asking for a controller.
    pub const IS_CONTROLLER: u64 = 1_000;
    /// Each byte copied.
    pub const BYTE: u64 = 1;
    /// Each dirty page of stable memory or of the heap, once per message.
    pub const DIRTY_PAGE: u64 = 1_000;
}

#[cfg(test)]
mod tests {
    use wasmtime::{Instance, Module, Store};

    use super::*;

    /// A function whose cost in the replica is known by heart: a call (5), a copy of 64 bytes
    /// (3 + 100 + 64) and a shift of a vector (1 + 1 + 2 + 1).
    #[test]
    fn weights_are_the_replicas() {
        let wat = r#"(module (memory 1)
            (func $empty)
            (func (export "run")
                call $empty
                i32.const 0 i32.const 4096 i32.const 64 memory.copy
                v128.const i32x4 1 2 3 4 i32.const 1 i32x4.shl drop))"#;
        let engine = engine().unwrap();
        let module = Module::new(&engine, wat::parse_str(wat).unwrap()).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_fuel(10_000).unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance
            .get_typed_func::<(), ()>(&mut store, "run")
            .unwrap();
        run.call(&mut store, ()).unwrap();
        let entered_from_outside = 1;
        assert_eq!(
            10_000 - store.get_fuel().unwrap(),
            5 + 167 + 5 + entered_from_outside
        );
    }
}
