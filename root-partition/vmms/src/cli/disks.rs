//! Which disks there are.

use super::Cli;
use crate::disk;
use crate::path::DataPath;
use crate::store::{EntryKind, Volume};
use crate::system::System;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// A file that is a disk, or is said to be one.
pub struct DiskFile {
    /// Where it is.
    pub path: DataPath,
    /// By its name.
    pub format: &'static str,
    /// How long the disk is, in bytes; or why it is none.
    pub length: Result<u64, String>,
}

impl<S: System, V: Volume> Cli<S, V> {
    /// The files that definitions name or that lie in `data:/disks`.
    pub(super) fn disks(&mut self) -> Result<Vec<DiskFile>, String> {
        let directory = DataPath::ROOT.join("disks");
        let entries = self.volume()?.list(&directory).unwrap_or_default();
        let files = entries.into_iter().filter(|entry| entry.kind == EntryKind::File);
        let mut paths: Vec<DataPath> = files
            .filter(|entry| !entry.name.starts_with('.'))
            .map(|entry| directory.join(&entry.name))
            .collect();
        for vm in self.manager.vms() {
            paths.extend(vm.definition.iter().flat_map(|it| &it.disks).map(|disk| disk.path.clone()));
        }
        paths.sort();
        paths.dedup();
        Ok(paths.into_iter().map(|path| self.describe(path)).collect())
    }

    fn describe(&mut self, path: DataPath) -> DiskFile {
        let format = if path.has_extension(disk::VHD) { "VHD" } else { "raw" };
        let found = self
            .manager
            .open(&path, true)
            .and_then(|(layout, file)| disk::inspect(&self.manager.system, &path, &layout, &file));
        let prefix = alloc::format!("{path}: ");
        let length = found.map(|found| found.length);
        let length = length.map_err(|why| why.strip_prefix(&prefix).unwrap_or(&why).to_owned());
        DiskFile { path, format, length }
    }
}
