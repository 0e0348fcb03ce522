//! The seams of vmms on the real kernel.

use crate::config::{Configuration, Origin, SYSTEM_PARTITION};
use crate::store::{Device, Ext4Volume, Layout, VolumeError};
use crate::system::{Attachment, System, Waitable};
use alloc::string::String;
use alloc::vec::Vec;
use runtime::{Channel, Console, File, Handle, Object, Process, Vm, VmEnd};
use syscall::{
    BlockInfo, Error, HostAction, HostInfo, LogLevel, ProcessStatus, ProcessorTimes, VmChurn, VmCounters,
    VmCreate, VmShare, VmStatus, VpStatistics, WaitEntry,
};

/// GPT partition type "Linux filesystem data", as it stands in the table.
const LINUX_DATA: [u8; 16] =
    [0xAF, 0x3D, 0xC6, 0x0F, 0x83, 0x84, 0x72, 0x47, 0x8E, 0x79, 0x3D, 0x69, 0xD8, 0x47, 0x7D, 0xE4];
/// Bytes of heap that are taken at once.
const HEAP: usize = 4 << 20;
/// Bytes that the file system reads or writes in one system call.
const TRANSFER: usize = 256 << 10;

impl Waitable for Channel {
    fn wait_entry(&self) -> WaitEntry {
        Object::wait_entry(self)
    }
}

impl Waitable for Process {
    fn wait_entry(&self) -> WaitEntry {
        Object::wait_entry(self)
    }
}

impl Waitable for VmEnd {
    fn wait_entry(&self) -> WaitEntry {
        Object::wait_entry(self)
    }
}

/// A partition of a disk.
#[derive(Debug)]
pub struct Partition {
    file: File,
    length: u64,
}

impl Device for Partition {
    fn length(&self) -> u64 {
        self.length
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        (offset..)
            .step_by(TRANSFER)
            .zip(into.chunks_mut(TRANSFER))
            .try_for_each(|(at, piece)| self.file.read(at, piece))
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), Error> {
        (offset..)
            .step_by(TRANSFER)
            .zip(from.chunks(TRANSFER))
            .try_for_each(|(at, piece)| self.file.write(at, piece))
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.flush()
    }
}

/// The kernel.
#[derive(Debug)]
pub struct Kernel {
    system: runtime::System,
    console: Console,
    /// The data volume's partition and what identifies it.
    partition: Option<(File, [u8; 16])>,
}

impl Kernel {
    /// The kernel as vmms finds it when it starts, what the host was told, and the data volume.
    pub fn open() -> (Self, Configuration, Result<Ext4Volume<Partition>, VolumeError>) {
        // The heap never shrinks: with this piece from the start, `memory free` stays what it is when VMs come and go.
        drop(core::hint::black_box(Vec::<u8>::with_capacity(HEAP)));
        let mut kernel =
            Self { system: runtime::System::inherited(), console: Console::inherited(), partition: None };
        let blocks = kernel.system.blocks();
        let configuration = Configuration::load(kernel.system_partitions(blocks.as_deref().unwrap_or(&[])));
        let level = match configuration.origin {
            Origin::Refused(_) => LogLevel::Error,
            Origin::Defaults | Origin::File(_) => LogLevel::Info,
        };
        runtime::log(level, &alloc::format!("configuration: {}", configuration.origin));
        let name = &configuration.settings.data_volume;
        let volume = blocks.map_err(|_| VolumeError::Io).and_then(|blocks| kernel.mount(&blocks, name));
        if let Err(error) = &volume {
            runtime::log(LogLevel::Error, &alloc::format!("data volume: {error}"));
        }
        (kernel, configuration, volume)
    }

    /// The EFI system partitions, with the names of their disks.
    fn system_partitions(&self, blocks: &[BlockInfo]) -> impl Iterator<Item = (String, Partition)> {
        let found = blocks.iter().enumerate().filter(|(_, block)| block.partition_type == SYSTEM_PARTITION);
        found.filter_map(|(index, block)| {
            let file = self.system.open_block(index).ok()?;
            let disk = blocks.get(block.parent as usize).map_or("a disk".into(), name);
            Some((disk, Partition { file, length: block.bytes }))
        })
    }

    fn mount(&mut self, blocks: &[BlockInfo], wanted: &str) -> Result<Ext4Volume<Partition>, VolumeError> {
        let is_data = |block: &BlockInfo| block.partition_type == LINUX_DATA && name(block) == wanted;
        let found = blocks.iter().enumerate().find(|(_, block)| is_data(block));
        let (index, block) = found.ok_or(VolumeError::NoVolume)?;
        let open = || self.system.open_block(index).map_err(|_| VolumeError::Io);
        let partition = Partition { file: open()?, length: block.bytes };
        let volume = Ext4Volume::mount(partition, runtime::utc)?;
        self.partition = Some((open()?, block.partition_guid));
        Ok(volume)
    }
}

/// The name of a disk or partition.
fn name(block: &BlockInfo) -> String {
    let name = block.name.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

impl System for Kernel {
    type Channel = Channel;
    type Process = Process;
    type Vm = Vm;
    type VmEnd = VmEnd;
    type File = File;

    fn monotonic(&self) -> u64 {
        runtime::monotonic()
    }

    fn utc(&self) -> u64 {
        runtime::utc()
    }

    fn log(&self, level: LogLevel, line: &str) {
        runtime::log(level, line);
    }

    fn wait(&self, entries: &mut [WaitEntry], deadline: u64) {
        if let Err(error) = runtime::wait(entries, deadline) {
            // Rather slow than deaf.
            runtime::log(LogLevel::Error, &alloc::format!("cannot wait: {error}"));
            runtime::sleep_until(runtime::monotonic().saturating_add(crate::vm::SECOND / 10));
            entries.iter_mut().for_each(|entry| entry.ready = 1);
        }
    }

    fn console_entry(&self) -> WaitEntry {
        Object::wait_entry(&self.console)
    }

    fn console_read(&self, into: &mut [u8]) -> usize {
        self.console.read(into).unwrap_or(0)
    }

    fn console_write(&self, bytes: &[u8]) {
        // Where the console cannot be written to there is nobody to tell.
        let _ = self.console.write(bytes);
    }

    fn channel(&self) -> Result<(Channel, Channel), Error> {
        Channel::pair()
    }

    fn send(&self, channel: &Channel, bytes: &[u8]) -> Result<(), Error> {
        channel.send(bytes)
    }

    fn send_with(&self, channel: &Channel, bytes: &[u8], vm: Vm, files: Vec<File>) -> Result<(), Error> {
        let handles = core::iter::once(Handle::from(vm)).chain(files.into_iter().map(Handle::from));
        channel.send_with(bytes, handles.collect()).map_err(|(error, _)| error)
    }

    fn receive(&self, channel: &Channel, into: &mut [u8]) -> Result<usize, Error> {
        channel.receive(into).map(|received| received.length)
    }

    fn spawn(&self, name: &str, channel: Channel) -> Result<Process, Error> {
        self.system.spawn(name, channel)
    }

    fn status(&self, process: &Process) -> ProcessStatus {
        process.status().unwrap_or_default()
    }

    fn kill(&self, process: &Process) {
        // One that has ended needs no killing.
        let _ = process.kill();
    }

    fn file(&self, layout: &Layout, read_only: bool) -> Result<File, Error> {
        let (partition, _) = self.partition.as_ref().ok_or(Error::NotFound)?;
        partition.create(&layout.extents, layout.length, read_only)
    }

    fn file_read(&self, file: &File, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        file.read(offset, into)
    }

    fn volume_id(&self) -> [u8; 16] {
        self.partition.as_ref().map_or([0; 16], |(_, id)| *id)
    }

    fn vm_create(&self, create: &VmCreate) -> Result<Vm, Error> {
        self.system.create_vm(create)
    }

    fn vm_duplicate(&self, vm: &Vm) -> Result<Vm, Error> {
        vm.handle().duplicate().map(Vm::from)
    }

    fn vm_attach(&self, vm: &Vm, file: &File, disk: &Attachment) -> Result<(), Error> {
        vm.attach_disk(file, disk.lun, disk.length, disk.unique_id, disk.read_only)
    }

    fn vm_status(&self, vm: &Vm) -> VmStatus {
        vm.status().unwrap_or_default()
    }

    fn vm_shutdown(&self, vm: &Vm) -> Result<(), Error> {
        vm.shutdown()
    }

    fn vm_stop(&self, vm: &Vm) {
        // One that has stopped needs no stopping.
        let _ = vm.stop();
    }

    fn vm_end(&self, vm: Vm) -> Result<VmEnd, Error> {
        vm.end()
    }

    fn vm_counters(&self, vm: &Vm) -> VmCounters {
        vm.counters().unwrap_or_default()
    }

    fn vm_statistics(&self, vm: &Vm) -> Vec<VpStatistics> {
        vm.statistics().unwrap_or_default()
    }

    fn vm_set_share(&self, vm: &Vm, share: &VmShare) -> Result<(), Error> {
        self.system.set_share(vm, share)
    }

    fn vm_churn(&self, vm: &Vm, rounds: u64) -> Result<VmChurn, Error> {
        self.system.churn(vm, rounds)
    }

    fn host_info(&self) -> Result<HostInfo, Error> {
        self.system.info()
    }

    fn host_times(&self) -> Vec<ProcessorTimes> {
        self.system.times().unwrap_or_default()
    }

    fn host_log(&self, offset: u64, into: &mut [u8]) -> usize {
        self.system.log(offset, into).unwrap_or(0)
    }

    fn power(&self, action: HostAction) -> Error {
        self.system.power(action)
    }

    fn command_line(&self) -> String {
        self.system.command_line().unwrap_or_default()
    }
}
