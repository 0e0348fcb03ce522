//! Everything that has to be in order before a VM starts. What fails leaves nothing behind.

use super::instance::{Instance, Partition, State, Timer, UsedDisk};
use super::{LOAD_TIME, Manager};
use crate::definition::{Definition, Disk};
use crate::disk;
use crate::name::Name;
use crate::path::DataPath;
use crate::size::Size;
use crate::store::{Layout, Volume, VolumeError};
use crate::system::{Attachment, System};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use syscall::VmCreate;
use syscall::worker::ToWorker;

/// Bytes of holes in a file that are filled when it is opened, while everything else waits.
const FILL_MAX: u64 = 64 << 20;
/// The program that runs a VM.
const WORKER: &str = "worker";

impl<S: System, V: Volume> Manager<S, V> {
    /// Makes partition and worker of `name`, which is off; `console`: its output is wanted.
    pub(super) fn make(&mut self, name: &Name, console: bool) -> Result<Instance<S>, String> {
        let definition = self.definition(name)?.clone();
        let (_, kernel) = self.open(&definition.kernel, true)?;
        let mut files = alloc::vec![kernel];
        if let Some(initrd) = &definition.initrd {
            files.push(self.open(initrd, true)?.1);
        }
        let (mut disks, mut used) = (Vec::new(), Vec::new());
        for (lun, disk) in (0..).zip(&definition.disks) {
            disks.push(self.open_disk(lun, disk, &mut used)?);
        }
        self.check_memory(name, definition.memory)?;
        let fits = self.check_share(name, &definition, true);
        fits.map_err(|why| alloc::format!("{name} cannot be started: {why}"))?;
        let vm = self.system.vm_create(&create(name, &definition)).map_err(|error| {
            alloc::format!("{name} cannot be made ({} of memory): {error}", definition.memory)
        })?;
        let share = definition.share().to_kernel();
        let given = self.system.vm_set_share(&vm, &share);
        given.map_err(|error| alloc::format!("the share of {name} cannot be set: {error}"))?;
        for ((file, attachment), disk) in disks.iter().zip(&definition.disks) {
            let attached = self.system.vm_attach(&vm, file, attachment);
            attached.map_err(|error| alloc::format!("{} cannot be attached: {error}", disk.path))?;
        }
        self.launch(&definition, vm, files, used, console)
            .map_err(|error| alloc::format!("{name}: its worker cannot be started: {error}"))
    }

    /// Starts the worker and tells it what to do.
    fn launch(
        &self,
        definition: &Definition,
        vm: S::Vm,
        files: Vec<S::File>,
        disks: Vec<UsedDisk>,
        console: bool,
    ) -> Result<Instance<S>, syscall::Error> {
        let (channel, theirs) = self.system.channel()?;
        let process = self.system.spawn(WORKER, theirs)?;
        let start = ToWorker::Start {
            memory: definition.memory.bytes(),
            vps: definition.vps,
            cmdline: definition.cmdline.clone(),
            initrd: definition.initrd.is_some(),
            console,
        };
        let message = postcard::to_allocvec(&start).map_err(|_| syscall::Error::OutOfMemory)?;
        let sent = self
            .system
            .vm_duplicate(&vm)
            .and_then(|theirs| self.system.send_with(&channel, &message, theirs, files));
        if let Err(error) = sent {
            self.system.kill(&process);
            return Err(error);
        }
        Ok(Instance {
            vm: Partition::Here(vm),
            process,
            channel,
            hung_up: false,
            started: self.system.monotonic(),
            rests_until: None,
            state: State::Starting,
            timer: Some(Timer::Load(self.system.monotonic().saturating_add(LOAD_TIME))),
            end: None,
            killed: false,
            disks,
            attached: console,
            unsent: Vec::new(),
        })
    }

    /// Opens a file below the file system.
    pub(crate) fn open(&mut self, path: &DataPath, read_only: bool) -> Result<(Layout, S::File), String> {
        let says = |error: &dyn core::fmt::Display| alloc::format!("{path}: {error}");
        let volume = self.volume.as_mut().ok_or_else(|| VolumeError::NoVolume.to_string())?;
        let layout = match volume.layout(path) {
            // What was copied with `cp` may lack blocks that are all zeros.
            Err(VolumeError::Holes) => volume.fill(path, FILL_MAX).and_then(|_| volume.layout(path)),
            layout => layout,
        };
        let layout = layout.map_err(|error| says(&error))?;
        if layout.length == 0 {
            return Err(says(&"the file is empty"));
        }
        let file = self.system.file(&layout, read_only).map_err(|error| says(&error))?;
        Ok((layout, file))
    }

    /// Opens a disk of a VM that has those in `used` already.
    fn open_disk(
        &mut self,
        lun: u32,
        disk: &Disk,
        used: &mut Vec<UsedDisk>,
    ) -> Result<(S::File, Attachment), String> {
        let Disk { path, read_only } = disk;
        let (layout, file) = self.open(path, *read_only)?;
        // By its number: a file can have more names than one.
        if let Some(user) = self.user_of(layout.number, *read_only) {
            return Err(alloc::format!("{path} is in use by {user}"));
        }
        let this = UsedDisk { path: path.clone(), number: layout.number, read_only: *read_only };
        if let Some(other) = used.iter().find(|other| other.excludes(this.number, this.read_only)) {
            return Err(alloc::format!("{path} is the same file as {}", other.path));
        }
        used.push(this);
        let found = disk::inspect(&self.system, path, &layout, &file)
            .map_err(|error| alloc::format!("{path}: {error}"))?;
        let attachment =
            Attachment { lun, length: found.length, unique_id: found.unique_id, read_only: *read_only };
        Ok((file, attachment))
    }

    /// Which VM uses the disk file with this number in a way that keeps it from another who wants to use it so.
    fn user_of(&self, number: u64, read_only: bool) -> Option<&Name> {
        let uses =
            |instance: &Instance<S>| instance.disks.iter().any(|used| used.excludes(number, read_only));
        self.vms.iter().find(|vm| vm.instance.as_ref().is_some_and(uses)).map(|vm| &vm.name)
    }

    fn check_memory(&self, name: &Name, wanted: Size) -> Result<(), String> {
        let info = self.system.host_info().map_err(|error| error.to_string())?;
        if info.hypervisor == 0 {
            return Err("there is no hypervisor, so no VM can be started".into());
        }
        if wanted.bytes() > info.memory_free {
            let free = Size::new(info.memory_free).rounded();
            return Err(alloc::format!("{name} needs {wanted} of memory, {free} is free"));
        }
        Ok(())
    }
}

fn create(name: &Name, definition: &Definition) -> VmCreate {
    let mut create =
        VmCreate { memory: definition.memory.bytes(), vps: definition.vps, reserved: 0, name: [0; 64] };
    for (byte, character) in create.name.iter_mut().zip(name.as_str().bytes()) {
        *byte = character;
    }
    create
}
