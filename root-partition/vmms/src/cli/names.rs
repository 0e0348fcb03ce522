//! Names for the Tab key.

use crate::command::Names;
use crate::path::DataPath;
use crate::store::{EntryKind, Volume};
use crate::system::System;
use crate::vm::Manager;
use alloc::string::String;
use alloc::vec::Vec;

/// The names that the store knows.
pub struct StoreNames<'a, S: System, V: Volume>(pub &'a mut Manager<S, V>);

impl<S: System, V: Volume> Names for StoreNames<'_, S, V> {
    fn vms(&mut self) -> Vec<String> {
        self.0.vms().iter().map(|vm| vm.name.as_str().into()).collect()
    }

    fn directory(&mut self, path: &DataPath) -> Vec<String> {
        // A directory that cannot be read has nothing to offer.
        let entries = self.0.volume.as_mut().and_then(|volume| volume.list(path).ok()).unwrap_or_default();
        let names = entries.into_iter().map(|entry| match entry.kind {
            EntryKind::Directory => entry.name + "/",
            EntryKind::File | EntryKind::Other => entry.name,
        });
        names.collect()
    }
}
