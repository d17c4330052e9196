//! What a module must be before it runs here, and what is added to it: the exports that rollback and
//! callbacks need, and the rest of what `memory.grow` weighs.

use std::collections::BTreeMap;

use wasm_encoder::{CodeSection, ExportKind, ExportSection, Module, RawSection};
use wasmparser::{
    ExternalKind, FunctionBody, MemoryType, Operator, Parser, Payload, TypeRef, ValType,
};

/// Largest module in bytes.
pub(crate) const MODULE_MAX_BYTES: usize = 100 * 1024 * 1024;
/// Prefix of the exports added for mutable globals.
pub(crate) const GLOBAL_PREFIX: &str = "paigham_global_";
/// Name of the export added for the function table: callbacks are indices into it.
pub(crate) const TABLE: &str = "paigham_table";
/// Most globals of a module.
const MAX_GLOBALS: u32 = 1_000;
/// Most sections of metadata, and their bytes together: the replica's limits.
const MAX_METADATA: usize = 16;
const METADATA_MAX_BYTES: usize = 1024 * 1024;
/// Follows each `memory.grow`, which weighs 300 and a weight of the engine at most 255: twice
/// `memory.size` and `drop` (21 each) and three times `nop`.
const GROW_REMAINDER: [u8; 9] = [0x3f, 0, 0x1a, 0x3f, 0, 0x1a, 0x01, 0x01, 0x01];

/// Why a module is not installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// Not a WebAssembly module, or one beyond a limit.
    #[error("not a module that a subnet runs: {0}")]
    Invalid(String),
    /// An import that the embedded subnet does not implement.
    #[error("the embedded subnet has no {0}")]
    UnsupportedImport(String),
    /// An export in the system's name space that means nothing.
    #[error("unknown system export {0}")]
    UnknownExport(String),
    /// An entry point that a subnet has and the embedded one leaves out.
    #[error("the embedded subnet does not run {0}")]
    UnsupportedExport(String),
}

/// A custom section that the state tree shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Whether everybody may read it (`icp:public`) or controllers alone (`icp:private`).
    pub public: bool,
    pub content: Vec<u8>,
}

/// A module fit to run: rewritten, with its entry points listed.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub wasm: Vec<u8>,
    pub exports: Vec<String>,
    pub globals: u32,
    pub metadata: BTreeMap<String, Metadata>,
}

/// Validates a module and adds an export for each mutable global: rustc exports none, and a trap
/// leaves the stack pointer wherever it was. The first table is exported for callbacks.
pub(crate) fn prepare(wasm: &[u8], implemented: &[&str]) -> Result<Prepared, ModuleError> {
    if wasm.len() > MODULE_MAX_BYTES {
        return Err(ModuleError::Invalid("too large".into()));
    }
    let mut module = Module::new();
    let mut prepared = Prepared {
        wasm: Vec::new(),
        exports: Vec::new(),
        globals: 0,
        metadata: BTreeMap::new(),
    };
    let mut mutable = Vec::new();
    let mut has_exports = false;
    let mut has_memory = false;
    let mut has_table = false;
    let mut code = Code::default();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(invalid)?;
        match &payload {
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    let import = import.map_err(invalid)?;
                    let name = format!("{}.{}", import.module, import.name);
                    let known = import.module == "ic0" && implemented.contains(&import.name);
                    if !known || !matches!(import.ty, TypeRef::Func(_)) {
                        return Err(ModuleError::UnsupportedImport(name));
                    }
                }
            }
            Payload::MemorySection(memories) => {
                if memories.count() > 1 {
                    return Err(ModuleError::Invalid("more than one memory".into()));
                }
                for memory in memories.clone() {
                    check_memory(memory.map_err(invalid)?)?;
                    has_memory = true;
                }
            }
            Payload::TableSection(tables) => has_table = tables.count() > 0,
            Payload::GlobalSection(globals) => {
                if globals.count() > MAX_GLOBALS {
                    return Err(ModuleError::Invalid("too many globals".into()));
                }
                for (index, global) in (0..).zip(globals.clone()) {
                    let global = global.map_err(invalid)?.ty;
                    if global.mutable {
                        check_global(global.content_type)?;
                        mutable.push(index);
                    }
                }
            }
            Payload::ExportSection(exports) => {
                has_exports = true;
                let mut exports_memory = false;
                let mut section = ExportSection::new();
                for export in exports.clone() {
                    let export = export.map_err(invalid)?;
                    check_export(export.name)?;
                    exports_memory |=
                        export.name == "memory" && export.kind == ExternalKind::Memory;
                    section.export(export.name, kind(export.kind)?, export.index);
                    prepared.exports.push(export.name.to_owned());
                }
                if has_memory && !exports_memory {
                    let text = "a memory that is not exported as memory";
                    return Err(ModuleError::Invalid(text.into()));
                }
                for (number, index) in (0..).zip(&mutable) {
                    section.export(
                        &format!("{GLOBAL_PREFIX}{number}"),
                        ExportKind::Global,
                        *index,
                    );
                    prepared.globals = number + 1;
                }
                if has_table {
                    section.export(TABLE, ExportKind::Table, 0);
                }
                module.section(&section);
                continue;
            }
            Payload::CodeSectionStart { count, .. } => {
                code.expected = *count;
                if *count == 0 {
                    module.section(&code.section);
                }
                continue;
            }
            Payload::CodeSectionEntry(body) => {
                code.section.raw(&weigh_grow(body)?);
                if code.section.len() == code.expected {
                    module.section(&code.section);
                }
                continue;
            }
            Payload::CustomSection(section) => {
                keep_metadata(&mut prepared.metadata, section.name(), section.data())?;
            }
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            module.section(&RawSection {
                id,
                data: &wasm[range],
            });
        }
    }
    if !has_exports {
        return Err(ModuleError::Invalid("no exports".into()));
    }
    prepared.wasm = module.finish();
    Ok(prepared)
}

/// The code section as it is put together again, function by function.
#[derive(Default)]
struct Code {
    section: CodeSection,
    expected: u32,
}

/// Checks the operators of a function and adds to each `memory.grow` the rest of its weight.
fn weigh_grow(body: &FunctionBody<'_>) -> Result<Vec<u8>, ModuleError> {
    let (bytes, start) = (body.as_bytes(), body.range().start);
    let mut out = Vec::with_capacity(bytes.len());
    let mut copied = 0;
    let mut grows = false;
    let operators = body.get_operators_reader().map_err(invalid)?;
    for operator in operators.into_iter_with_offsets() {
        let (operator, at) = operator.map_err(invalid)?;
        check_operator(&operator)?;
        if grows {
            out.extend_from_slice(&bytes[copied..at - start]);
            out.extend_from_slice(&GROW_REMAINDER);
            copied = at - start;
        }
        grows = matches!(operator, Operator::MemoryGrow { .. });
    }
    out.extend_from_slice(&bytes[copied..]);
    Ok(out)
}

fn keep_metadata(
    metadata: &mut BTreeMap<String, Metadata>,
    section: &str,
    content: &[u8],
) -> Result<(), ModuleError> {
    let (name, public) = match section.strip_prefix("icp:public ") {
        Some(name) => (name, true),
        None => match section.strip_prefix("icp:private ") {
            Some(name) => (name, false),
            None if section.starts_with("icp:") => {
                return Err(ModuleError::Invalid(
                    "a section icp: that is neither public nor private".into(),
                ));
            }
            None => return Ok(()),
        },
    };
    let kept = Metadata {
        public,
        content: content.to_vec(),
    };
    if metadata.insert(name.to_owned(), kept).is_some() {
        return Err(ModuleError::Invalid("metadata of one name twice".into()));
    }
    let bytes: usize = metadata.values().map(|kept| kept.content.len()).sum();
    if metadata.len() > MAX_METADATA || bytes > METADATA_MAX_BYTES {
        return Err(ModuleError::Invalid("too much metadata".into()));
    }
    Ok(())
}

/// Rollback copies one memory of at most 4 GiB.
fn check_memory(memory: MemoryType) -> Result<(), ModuleError> {
    if memory.memory64 || memory.shared || memory.page_size_log2.is_some() {
        let text = "a memory with 64-bit addresses, of threads or with pages of its own size";
        return Err(ModuleError::Invalid(text.into()));
    }
    Ok(())
}

/// Rollback and checkpoints keep numbers; a reference means nothing outside its instance.
fn check_global(content: ValType) -> Result<(), ModuleError> {
    match content {
        ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64 => Ok(()),
        _ => Err(ModuleError::Invalid(
            "a mutable global that is no number".into(),
        )),
    }
}

/// Neither a rollback nor a checkpoint brings tables and dropped segments back, so nothing may
/// change them; compilers do not.
fn check_operator(operator: &Operator<'_>) -> Result<(), ModuleError> {
    match operator {
        Operator::TableSet { .. }
        | Operator::TableGrow { .. }
        | Operator::TableFill { .. }
        | Operator::TableCopy { .. }
        | Operator::TableInit { .. }
        | Operator::DataDrop { .. }
        | Operator::ElemDrop { .. } => Err(ModuleError::Invalid(
            "an instruction that changes a table or drops a segment".into(),
        )),
        _ => Ok(()),
    }
}

fn check_export(name: &str) -> Result<(), ModuleError> {
    const KNOWN: [&str; 5] = [
        "canister_init",
        "canister_pre_upgrade",
        "canister_post_upgrade",
        "canister_inspect_message",
        "canister_global_timer",
    ];
    const LEFT_OUT: [&str; 2] = ["canister_heartbeat", "canister_on_low_wasm_memory"];
    if LEFT_OUT.contains(&name) || name.starts_with("canister_composite_query ") {
        return Err(ModuleError::UnsupportedExport(name.to_owned()));
    }
    let method = ["canister_update ", "canister_query "]
        .iter()
        .any(|kind| name.starts_with(kind));
    if name.starts_with("canister_") && !method && !KNOWN.contains(&name) {
        return Err(ModuleError::UnknownExport(name.to_owned()));
    }
    Ok(())
}

fn kind(kind: ExternalKind) -> Result<ExportKind, ModuleError> {
    match kind {
        ExternalKind::Func => Ok(ExportKind::Func),
        ExternalKind::Table => Ok(ExportKind::Table),
        ExternalKind::Memory => Ok(ExportKind::Memory),
        ExternalKind::Global => Ok(ExportKind::Global),
        _ => Err(ModuleError::Invalid("an export of an unknown kind".into())),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn invalid(error: wasmparser::BinaryReaderError) -> ModuleError {
    ModuleError::Invalid(error.to_string())
}

#[cfg(test)]
mod tests {
    use wasmtime::{Instance, Module as Compiled, Store};

    use super::*;

    /// `memory.grow` weighs 300, wherever it stands and however often, and does what it did.
    #[test]
    fn growing_weighs_300() {
        let wat = r#"(module (memory (export "memory") 1 4)
            (func (export "canister_query a") (result i32)
                (if (result i32) (memory.grow (i32.const 1))
                    (then (memory.grow (i32.const 1))) (else (i32.const 9)))))"#;
        let prepared = prepare(&wat::parse_str(wat).unwrap(), &[]).unwrap();
        let engine = crate::engine::engine().unwrap();
        let module = Compiled::new(&engine, &prepared.wasm).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_fuel(10_000).unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance
            .get_typed_func::<(), i32>(&mut store, "canister_query a")
            .unwrap();
        assert_eq!(run.call(&mut store, ()).unwrap(), 2);
        let (entered, constant, branch) = (1, 1, 2);
        assert_eq!(
            10_000 - store.get_fuel().unwrap(),
            entered + 2 * (constant + 300) + branch
        );
    }

    /// A module without code, or without a function that grows memory, is as it was but for the
    /// exports.
    #[test]
    fn other_code_stays_as_it_is() {
        let wat = r#"(module (memory (export "memory") 1) (table 1 funcref)
            (global (mut i32) (i32.const 1)) (func (export "canister_query a")))"#;
        let prepared = prepare(&wat::parse_str(wat).unwrap(), &[]).unwrap();
        assert_eq!(prepared.exports, ["memory", "canister_query a"]);
        assert_eq!(prepared.globals, 1);
        let engine = crate::engine::engine().unwrap();
        let module = Compiled::new(&engine, &prepared.wasm).unwrap();
        let exports: Vec<_> = module
            .exports()
            .map(|export| export.name().to_owned())
            .collect();
        let expected = [
            "memory",
            "canister_query a",
            "paigham_global_0",
            "paigham_table",
        ];
        assert_eq!(exports, expected);
    }
}
