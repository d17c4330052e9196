//! What a module must be before it runs here, and the exports that rollback needs.

use wasm_encoder::{ExportKind, ExportSection, Module, RawSection};
use wasmparser::{ExternalKind, MemoryType, Operator, Parser, Payload, TypeRef, ValType};

/// Largest module in bytes.
const MODULE_MAX_BYTES: usize = 100 * 1024 * 1024;
/// Prefix of the exports added for mutable globals.
pub(crate) const GLOBAL_PREFIX: &str = "paigham_global_";
/// Most globals of a module.
const MAX_GLOBALS: u32 = 1_000;

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
}

/// A module fit to run: rewritten, with its entry points listed.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub wasm: Vec<u8>,
    pub exports: Vec<String>,
    pub globals: u32,
}

/// Validates a module and adds an export for each mutable global: rustc exports none, and a trap
/// leaves the stack pointer wherever it was.
pub(crate) fn prepare(wasm: &[u8], implemented: &[&str]) -> Result<Prepared, ModuleError> {
    if wasm.len() > MODULE_MAX_BYTES {
        return Err(ModuleError::Invalid("too large".into()));
    }
    let mut module = Module::new();
    let mut prepared = Prepared {
        wasm: Vec::new(),
        exports: Vec::new(),
        globals: 0,
    };
    let mut mutable = Vec::new();
    let mut has_exports = false;
    let mut has_memory = false;
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
                module.section(&section);
                continue;
            }
            Payload::CodeSectionEntry(body) => {
                for operator in body.get_operators_reader().map_err(invalid)? {
                    check_operator(&operator.map_err(invalid)?)?;
                }
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
    const KNOWN: [&str; 4] = [
        "canister_init",
        "canister_pre_upgrade",
        "canister_post_upgrade",
        "canister_inspect_message",
    ];
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
