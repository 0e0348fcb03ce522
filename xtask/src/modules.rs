//! Linux kernel modules: which others one needs, and the order in which they can be loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use elf::ElfBytes;
use elf::endian::LittleEndian;

use crate::paths;

/// The modules of one kernel, by name (with `_` for `-`).
pub struct Modules(BTreeMap<String, PathBuf>);

impl Modules {
    /// Finds every module under a folder.
    pub fn find(folder: &Path) -> Self {
        let mut found = BTreeMap::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "ko") {
                    found.insert(name(&path), path);
                }
            }
        }
        Self(found)
    }

    /// The files of `wanted` and of everything that they need, each behind what it needs.
    ///
    /// A module that the kernel has built in is not among the files: `wanted` says what must be there at the end.
    pub fn in_load_order(&self, wanted: &[&str]) -> Result<Vec<PathBuf>> {
        let mut order = Vec::new();
        for name in wanted {
            self.add(name, &mut order)?;
        }
        Ok(order)
    }

    fn add(&self, name: &str, order: &mut Vec<PathBuf>) -> Result<()> {
        let Some(file) = self.0.get(name) else { return Ok(()) };
        if order.contains(file) {
            return Ok(());
        }
        let module = paths::read(file)?;
        let depends = dependencies(&module).with_context(|| format!("{}: not a module", file.display()))?;
        for other in depends {
            self.add(&other, order)?;
        }
        order.push(file.clone());
        Ok(())
    }
}

fn name(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().replace('-', "_")
}

/// What a module says in `.modinfo` that it needs, and the checksum module that ext4 asks for by another way.
fn dependencies(module: &[u8]) -> Option<Vec<String>> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(module).ok()?;
    let header = elf.section_header_by_name(".modinfo").ok()??;
    let (text, _) = elf.section_data(&header).ok()?;
    let lines: Vec<_> =
        text.split(|&byte| byte == 0).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    let depends =
        lines.iter().filter_map(|line| line.strip_prefix("depends=")).flat_map(|list| list.split(','));
    let soft = lines.iter().filter_map(|line| line.strip_prefix("softdep=pre: "));
    let soft = soft.flat_map(|list| list.split_ascii_whitespace());
    let names = depends.chain(soft).filter(|name| !name.is_empty());
    Some(names.map(|name| name.replace('-', "_")).collect())
}
