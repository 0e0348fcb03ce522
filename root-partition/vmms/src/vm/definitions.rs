//! The definitions on the data volume: `data:/vms/NAME/NAME.toml`.

use super::{Manager, Vm, unknown};
use crate::definition::Definition;
use crate::name::Name;
use crate::path::DataPath;
use crate::store::{EntryKind, Volume, VolumeError};
use crate::system::System;
use crate::toml_file::{LENGTH_MAX, Mistake};
use alloc::string::{String, ToString};
use syscall::LogLevel;

/// The directory of all VMs.
pub const DIRECTORY: &str = "vms";

fn directory(name: &Name) -> DataPath {
    DataPath::ROOT.join(DIRECTORY).join(name.as_str())
}

/// The file that defines `name`.
pub fn file(name: &Name) -> DataPath {
    directory(name).join(&alloc::format!("{name}.toml"))
}

impl<S: System, V: Volume> Manager<S, V> {
    pub(super) fn read_definitions(&mut self) {
        let Some(volume) = self.volume.as_mut() else { return };
        let entries = match volume.list(&DataPath::ROOT.join(DIRECTORY)) {
            Ok(entries) => entries,
            Err(VolumeError::NotFound) => return,
            Err(error) => {
                return self.system.log(LogLevel::Error, &alloc::format!("data:/{DIRECTORY}: {error}"));
            }
        };
        for entry in entries.into_iter().filter(|entry| entry.kind == EntryKind::Directory) {
            // A directory of another name is nobody's.
            let Ok(name) = Name::parse(&entry.name) else { continue };
            let definition = match volume.read(&file(&name), LENGTH_MAX) {
                Ok(bytes) => Definition::parse(&bytes),
                Err(VolumeError::NotFound) => continue,
                Err(error) => Err(Mistake { line: 0, message: error.to_string() }),
            };
            if let Err(error) = &definition {
                self.system.log(LogLevel::Warn, &alloc::format!("{}: {error}", file(&name)));
            }
            self.vms.push(Vm { name, definition, instance: None });
        }
        self.vms.sort_by(|one, other| one.name.cmp(&other.name));
    }

    /// The definition of `name`.
    pub(super) fn definition(&self, name: &Name) -> Result<&Definition, String> {
        let vm = self.vm(name)?;
        vm.definition.as_ref().map_err(|error| alloc::format!("{}: {error}", file(name)))
    }

    /// Defines a VM.
    ///
    /// # Errors
    /// Why it cannot be; nothing has changed then.
    pub fn create(&mut self, name: &Name, definition: Definition) -> Result<(), String> {
        if self.vms.iter().any(|vm| vm.name == *name) {
            return Err(alloc::format!("there is a VM {name} already"));
        }
        self.check_share(name, &definition, false)?;
        let volume = self.volume.as_mut().ok_or_else(|| VolumeError::NoVolume.to_string())?;
        let files = [&definition.kernel].into_iter().chain(&definition.initrd);
        for path in files.chain(definition.disks.iter().map(|disk| &disk.path)) {
            let is_file = volume.entry(path).and_then(|entry| match entry.kind {
                EntryKind::File => Ok(()),
                EntryKind::Directory | EntryKind::Other => Err(VolumeError::NotAFile),
            });
            is_file.map_err(|error| alloc::format!("{path}: {error}"))?;
        }
        let written = volume
            .create_directory(&directory(name))
            .and_then(|()| volume.replace(&file(name), definition.to_file().as_bytes()));
        if let Err(error) = written {
            // Whatever is left of it would be no VM.
            let _ = volume.remove_directory(&directory(name));
            return Err(alloc::format!("{}: {error}", file(name)));
        }
        let at = self.vms.partition_point(|vm| vm.name < *name);
        self.vms.insert(at, Vm { name: name.clone(), definition: Ok(definition), instance: None });
        Ok(())
    }

    /// Deletes the definition of a VM that is off, and its directory unless something else is in it.
    ///
    /// # Errors
    /// Why it cannot be; it is there still.
    pub fn delete(&mut self, name: &Name) -> Result<(), String> {
        let vm = self.vm(name)?;
        if vm.instance.is_some() {
            return Err(alloc::format!("{name} is {}; stop it first", vm.state()));
        }
        let volume = self.volume.as_mut().ok_or_else(|| unknown(name))?;
        volume.remove(&file(name)).map_err(|error| alloc::format!("{}: {error}", file(name)))?;
        match volume.remove_directory(&directory(name)) {
            Ok(()) | Err(VolumeError::NotEmpty) => {}
            Err(error) => {
                let line = alloc::format!("{} stays: {error}", directory(name));
                self.system.log(LogLevel::Warn, &line);
            }
        }
        self.vms.retain(|vm| vm.name != *name);
        Ok(())
    }
}
