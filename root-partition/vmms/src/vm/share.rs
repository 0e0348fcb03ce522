//! `vm set`, and what has to be so before a VM gets its share of the processors.

use super::definitions::file;
use super::{Manager, unknown};
use crate::changes::Changes;
use crate::definition::Definition;
use crate::name::Name;
use crate::reserve::{Claim, fits};
use crate::store::{Volume, VolumeError};
use crate::system::System;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

impl<S: System, V: Volume> Manager<S, V> {
    /// Changes a VM: its file, and what it gets of the processors at once if it is not off.
    ///
    /// # Errors
    /// Why it cannot be; nothing has changed then.
    pub fn set(&mut self, name: &Name, changes: &Changes) -> Result<(), String> {
        let old = self.definition(name)?.clone();
        let vm = self.vm(name)?;
        if changes.need_off() && vm.instance.is_some() {
            let state = vm.state();
            return Err(alloc::format!(
                "{name} is {state}; memory, virtual processors and command line are changed while it is off"
            ));
        }
        let new = changes.apply(&old)?;
        let gains = new.affinity != old.affinity
            || Claim::of(new.share(), new.vps) != Claim::of(old.share(), old.vps);
        if gains {
            self.check_share(name, &new, vm.instance.is_some())?;
        }
        self.give(name, &new)?;
        if let Err(why) = self.write(name, &new) {
            // What was accepted before is accepted again.
            let _ = self.give(name, &old);
            return Err(why);
        }
        match self.vms.iter_mut().find(|vm| vm.name == *name) {
            Some(vm) => vm.definition = Ok(new),
            None => return Err(unknown(name)),
        }
        Ok(())
    }

    fn write(&mut self, name: &Name, definition: &Definition) -> Result<(), String> {
        let volume = self.volume.as_mut().ok_or_else(|| VolumeError::NoVolume.to_string())?;
        let written = volume.replace(&file(name), definition.to_file().as_bytes());
        written.map_err(|error| alloc::format!("{}: {error}", file(name)))
    }

    /// Tells the kernel, if the VM is there.
    fn give(&self, name: &Name, definition: &Definition) -> Result<(), String> {
        let instance = self.vm(name)?.instance.as_ref();
        let Some(vm) = instance.and_then(|instance| instance.vm.here()) else { return Ok(()) };
        let share = definition.share().to_kernel();
        let given = self.system.vm_set_share(vm, &share);
        given.map_err(|error| alloc::format!("the share of {name} cannot be set: {error}"))
    }

    /// Whether this host can give a VM its share: `beside` those of the VMs that are not off, or were it alone.
    pub(super) fn check_share(
        &self,
        name: &Name,
        definition: &Definition,
        beside: bool,
    ) -> Result<(), String> {
        let processors = self.system.host_info().map_err(|error| error.to_string())?.processors;
        let on = self.vms.iter().filter(|vm| beside && vm.instance.is_some() && vm.name != *name);
        let others = on.filter_map(|vm| Some((vm.name.as_str(), vm.definition.as_ref().ok()?)));
        let others: Vec<_> = others.map(|(name, it)| (name, Claim::of(it.share(), it.vps))).collect();
        fits(Claim::of(definition.share(), definition.vps), &others, processors)
    }
}
