//! What vmms needs from the kernel: the seam between its logic and the system calls.

use crate::store::Layout;
use alloc::string::String;
use alloc::vec::Vec;
use syscall::{
    Error, HostAction, HostInfo, LogLevel, ProcessStatus, ProcessorTimes, VmChurn, VmCounters, VmCreate,
    VmShare, VmStatus, VpStatistics, WaitEntry,
};

/// Something that can be waited for.
pub trait Waitable {
    /// Its entry for [`System::wait`].
    fn wait_entry(&self) -> WaitEntry;
}

/// A disk of a VM, as the kernel takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attachment {
    /// Its unit number.
    pub lun: u32,
    /// Bytes that the guest sees.
    pub length: u64,
    /// Identifies it to the guest.
    pub unique_id: [u8; 16],
    /// Whether the guest may only read it.
    pub read_only: bool,
}

/// The machine, the console, the clocks. What it hands out is closed when it is dropped.
pub trait System {
    /// One end of a channel.
    type Channel: Waitable;
    /// A process.
    type Process: Waitable;
    /// A virtual machine.
    type Vm;
    /// The end of a virtual machine: ready once that is gone.
    type VmEnd: Waitable;
    /// A file on the data volume.
    type File;

    /// The monotonic clock, in 100 ns.
    fn monotonic(&self) -> u64;
    /// The time in 100 ns since 1601, UTC.
    fn utc(&self) -> u64;
    /// A line for the host log.
    fn log(&self, level: LogLevel, line: &str);
    /// Waits until an entry is ready or the monotonic clock reaches `deadline`; marks those that are ready.
    fn wait(&self, entries: &mut [WaitEntry], deadline: u64);

    /// The console's entry for [`System::wait`].
    fn console_entry(&self) -> WaitEntry;
    /// What was typed, as far as `into` goes; how many bytes, none when nothing waits.
    fn console_read(&self, into: &mut [u8]) -> usize;
    /// Writes to the console.
    fn console_write(&self, bytes: &[u8]);

    /// Makes a channel; its two ends.
    ///
    /// # Errors
    /// What the kernel says.
    fn channel(&self) -> Result<(Self::Channel, Self::Channel), Error>;
    /// Sends a message.
    ///
    /// # Errors
    /// `WouldBlock` when the queue is full, `PeerClosed`.
    fn send(&self, channel: &Self::Channel, bytes: &[u8]) -> Result<(), Error>;
    /// Sends a message with the handles of a VM and of files, in this order.
    ///
    /// # Errors
    /// As [`System::send`]; the handles are closed then.
    fn send_with(
        &self,
        channel: &Self::Channel,
        bytes: &[u8],
        vm: Self::Vm,
        files: Vec<Self::File>,
    ) -> Result<(), Error>;
    /// Takes the next message; its length.
    ///
    /// # Errors
    /// `WouldBlock` when there is none, `PeerClosed` when there will be none.
    fn receive(&self, channel: &Self::Channel, into: &mut [u8]) -> Result<usize, Error>;

    /// Starts the program `name` with `channel` as its parent's.
    ///
    /// # Errors
    /// What the kernel says.
    fn spawn(&self, name: &str, channel: Self::Channel) -> Result<Self::Process, Error>;
    /// What became of a process.
    fn status(&self, process: &Self::Process) -> ProcessStatus;
    /// Ends a process at once.
    fn kill(&self, process: &Self::Process);

    /// The file with this layout on the data volume.
    ///
    /// # Errors
    /// What the kernel says.
    fn file(&self, layout: &Layout, read_only: bool) -> Result<Self::File, Error>;
    /// Reads exactly `into.len()` bytes of a file.
    ///
    /// # Errors
    /// What the kernel says.
    fn file_read(&self, file: &Self::File, offset: u64, into: &mut [u8]) -> Result<(), Error>;
    /// Identifies the data volume.
    fn volume_id(&self) -> [u8; 16];

    /// Makes a VM, all stopped.
    ///
    /// # Errors
    /// What the kernel says.
    fn vm_create(&self, create: &VmCreate) -> Result<Self::Vm, Error>;
    /// A second handle on it.
    ///
    /// # Errors
    /// What the kernel says.
    fn vm_duplicate(&self, vm: &Self::Vm) -> Result<Self::Vm, Error>;
    /// Gives it a disk.
    ///
    /// # Errors
    /// What the kernel says.
    fn vm_attach(&self, vm: &Self::Vm, file: &Self::File, disk: &Attachment) -> Result<(), Error>;
    /// What it does.
    fn vm_status(&self, vm: &Self::Vm) -> VmStatus;
    /// Asks its guest to shut down.
    ///
    /// # Errors
    /// `InvalidState`: the guest does not listen.
    fn vm_shutdown(&self, vm: &Self::Vm) -> Result<(), Error>;
    /// Stops every VP for good.
    fn vm_stop(&self, vm: &Self::Vm);
    /// Stops it for good and closes the handle. What tells that it is gone, with its memory free and none of its requests at
    /// a disk: when all handles are closed.
    ///
    /// # Errors
    /// What the kernel says.
    fn vm_end(&self, vm: Self::Vm) -> Result<Self::VmEnd, Error>;
    /// What it has had of its disks.
    fn vm_counters(&self, vm: &Self::Vm) -> VmCounters;
    /// What each of its VPs has done.
    fn vm_statistics(&self, vm: &Self::Vm) -> Vec<VpStatistics>;
    /// What it gets of the processors, from now on.
    ///
    /// # Errors
    /// What the kernel says.
    fn vm_set_share(&self, vm: &Self::Vm, share: &VmShare) -> Result<(), Error>;
    /// Takes a page away from it again and again.
    ///
    /// # Errors
    /// What the kernel says.
    fn vm_churn(&self, vm: &Self::Vm, rounds: u64) -> Result<VmChurn, Error>;

    /// What machine this is.
    ///
    /// # Errors
    /// What the kernel says.
    fn host_info(&self) -> Result<HostInfo, Error>;
    /// What each processor has spent its time on.
    fn host_times(&self) -> Vec<ProcessorTimes>;
    /// The host log from `offset` on; how many bytes were copied.
    fn host_log(&self, offset: u64, into: &mut [u8]) -> usize;
    /// Powers off or resets the machine; why it did not.
    fn power(&self, action: HostAction) -> Error;
    /// The boot command line.
    fn command_line(&self) -> String;
}
