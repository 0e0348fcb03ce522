//! Everything that has to be in order before a VM starts. What fails leaves nothing behind.

use super::instance::{Instance, State, Timer, UsedDisk};
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
        let mut disks = Vec::new();
        for (lun, disk) in (0..).zip(&definition.disks) {
            disks.push(self.open_disk(name, lun, disk)?);
        }
        self.check_memory(name, definition.memory)?;
        let vm = self.system.vm_create(&create(name, &definition)).map_err(|error| {
            alloc::format!("{name} cannot be made ({} of memory): {error}", definition.memory)
        })?;
        for ((file, attachment), disk) in disks.iter().zip(&definition.disks) {
            let attached = self.system.vm_attach(&vm, file, attachment);
            attached.map_err(|error| alloc::format!("{} cannot be attached: {error}", disk.path))?;
        }
        self.launch(&definition, vm, files, console)
            .map_err(|error| alloc::format!("{name}: its worker cannot be started: {error}"))
    }

    /// Starts the worker and tells it what to do.
    fn launch(
        &self,
        definition: &Definition,
        vm: S::Vm,
        files: Vec<S::File>,
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
        let disks = definition.disks.iter();
        Ok(Instance {
            vm,
            process,
            channel,
            state: State::Starting,
            timer: Some(Timer::Load(self.system.monotonic().saturating_add(LOAD_TIME))),
            end: None,
            killed: false,
            disks: disks
                .map(|disk| UsedDisk { path: disk.path.clone(), read_only: disk.read_only })
                .collect(),
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

    fn open_disk(&mut self, name: &Name, lun: u32, disk: &Disk) -> Result<(S::File, Attachment), String> {
        let path = &disk.path;
        if let Some((user, _)) = self.user_of(path, disk.read_only).filter(|(user, _)| *user != name) {
            return Err(alloc::format!("{path} is in use by {user}"));
        }
        let (layout, file) = self.open(path, disk.read_only)?;
        let found = disk::inspect(&self.system, path, &layout, &file)
            .map_err(|error| alloc::format!("{path}: {error}"))?;
        let attachment =
            Attachment { lun, length: found.length, unique_id: found.unique_id, read_only: disk.read_only };
        Ok((file, attachment))
    }

    /// Which VM uses the disk at `path` in a way that keeps it from another who wants to use it so.
    pub(crate) fn user_of(&self, path: &DataPath, read_only: bool) -> Option<(&Name, bool)> {
        self.vms.iter().find_map(|vm| {
            let instance = vm.instance.as_ref()?;
            let used = instance.disks.iter().find(|used| used.path == *path)?;
            (!used.read_only || !read_only).then_some((&vm.name, used.read_only))
        })
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
