//! The structures that system calls carry; all little endian, without padding.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The longest message on a channel, in bytes.
pub const MESSAGE_MAX: usize = 16 * 1024;
/// How many handles one message can carry.
pub const MESSAGE_HANDLES_MAX: usize = 72;
/// The handle on the machine that `vmms` starts with.
pub const SYSTEM_HANDLE: u32 = 0;
/// The console handle that `vmms` starts with.
pub const CONSOLE_HANDLE: u32 = 1;
/// The channel to `vmms` that a worker starts with.
pub const PARENT_HANDLE: u32 = 0;
/// For [`Call::VmRun`](crate::Call::VmRun): resume no VP.
pub const NO_VP: u64 = u64::MAX;
/// Guest-physical addresses that are never RAM: memory beyond its start continues at its end.
pub const RAM_HOLE: core::ops::Range<u64> = 0xC000_0000..0x1_0000_0000;
/// A guest's memory is a multiple of this many bytes.
pub const VM_MEMORY_GRANULE: u64 = 2 << 20;
/// How many virtual processors a VM may have.
pub const VM_VPS_MAX: u32 = 240;
/// How many disks a VM may have.
pub const VM_DISKS_MAX: usize = 64;

/// How grave a line of the host log is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum LogLevel {
    /// Something failed.
    Error = 1,
    /// Something is not as it should be.
    Warn = 2,
    /// Something that an administrator wants to know.
    Info = 3,
    /// Something for a developer.
    Debug = 4,
}

/// A clock; all count in 100 ns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Clock {
    /// Since the root partition started; never goes back.
    Monotonic = 0,
    /// Since 1601-01-01 00:00 UTC (the epoch of Hyper-V's time synchronization).
    Utc = 1,
}

/// One entry of [`Call::Wait`](crate::Call::Wait). What is ready: a channel or console with something to read (or whose
/// peer is gone), a process that has ended, a virtual machine that is gone.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct WaitEntry {
    /// What to wait for.
    pub handle: u32,
    /// Out: 1 when it is ready.
    pub ready: u32,
}

/// Whether a process runs, or how it ended. An open enumeration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(transparent)]
pub struct ProcessState(u32);

impl ProcessState {
    /// It runs.
    pub const RUNNING: Self = Self(0);
    /// It said that it ends.
    pub const EXITED: Self = Self(1);
    /// It did what it may not.
    pub const FAULTED: Self = Self(2);
    /// Somebody ended it.
    pub const KILLED: Self = Self(3);
}

/// What became of a process.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ProcessStatus {
    /// Whether it runs.
    pub state: ProcessState,
    /// Exit code, or exception vector.
    pub code: u32,
    /// Where it faulted.
    pub address: u64,
}

/// A disk or a partition of one.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct BlockInfo {
    /// Length in bytes.
    pub bytes: u64,
    /// Bytes in a block.
    pub block_size: u32,
    /// Index of the disk that it is a partition of, or `u32::MAX` for a whole disk.
    pub parent: u32,
    /// GPT partition type GUID as in the table (mixed endian); zero for a whole disk.
    pub partition_type: [u8; 16],
    /// GPT unique partition GUID; zero for a whole disk.
    pub partition_guid: [u8; 16],
    /// Its name, UTF-8, padded with zeros: the GPT name, or the driver's name for a disk ("nvme0").
    pub name: [u8; 72],
}

/// A run of bytes on a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Extent {
    /// First byte on the device; a multiple of its block size.
    pub start: u64,
    /// Length in bytes; a multiple of the block size.
    pub length: u64,
}

/// What [`Call::FileCreate`](crate::Call::FileCreate) reads.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FileCreate {
    /// Address of an array of [`Extent`], in the order of the file's bytes.
    pub extents: u64,
    /// How many.
    pub extent_count: u64,
    /// The file's length in bytes: at most the sum of the extents.
    pub length: u64,
    /// 1: writes are refused.
    pub read_only: u64,
}

/// What [`Call::VmCreate`](crate::Call::VmCreate) reads.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VmCreate {
    /// RAM in bytes; a multiple of [`VM_MEMORY_GRANULE`].
    pub memory: u64,
    /// Virtual processors, 1 to [`VM_VPS_MAX`].
    pub vps: u32,
    /// Zero.
    pub reserved: u32,
    /// The VM's name, UTF-8, padded with zeros: for the host log.
    pub name: [u8; 64],
}

/// A register and its value, by the names of `HvRegisterName` (TLFS 7.8, crate `hv-abi`).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VmRegister {
    /// The number of the register.
    pub name: u32,
    /// Zero.
    pub reserved: [u32; 3],
    /// Its value, low half first; a segment register as `HvSegmentRegister` is laid out.
    pub value: [u64; 2],
}

/// What [`Call::VmRun`](crate::Call::VmRun) returned for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VmEvent {
    /// This VP has an intercept: its message is in its intercept-message page. It stands still until it is resumed.
    Intercept(u32),
    /// The channel has a message, or its peer is gone.
    Channel,
    /// The deadline has passed.
    Timeout,
    /// The VM was stopped.
    Stopped,
}

impl VmEvent {
    /// The value in RAX.
    #[must_use]
    pub fn encode(self) -> i64 {
        match self {
            Self::Intercept(vp) => i64::from(vp),
            Self::Channel => 1 << 32,
            Self::Timeout => 2 << 32,
            Self::Stopped => 3 << 32,
        }
    }

    /// The event that RAX value `code` (not negative) stands for.
    #[must_use]
    pub fn decode(code: i64) -> Self {
        match code >> 32 {
            0 => Self::Intercept(u32::try_from(code & 0xFFFF_FFFF).unwrap_or(u32::MAX)),
            1 => Self::Channel,
            2 => Self::Timeout,
            _ => Self::Stopped,
        }
    }
}

/// What [`Call::VmInterrupt`](crate::Call::VmInterrupt) reads: an interrupt message as an IOAPIC or an MSI makes it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct InterruptRequest {
    /// Destination: APIC id, or logical destination.
    pub destination: u32,
    /// Interrupt vector.
    pub vector: u32,
    /// Delivery mode as in the local APIC: 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 external.
    pub delivery_mode: u32,
    /// Bit 0: logical destination; bit 1: level triggered.
    pub flags: u32,
}

/// What [`Call::VmAttachDisk`](crate::Call::VmAttachDisk) reads.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct DiskAttach {
    /// A File handle; stays open with the VM.
    pub file: u32,
    /// The disk's logical unit number, 0 to 63.
    pub lun: u32,
    /// Its length in bytes, without any footer.
    pub length: u64,
    /// Identifies the disk to the guest (VPD page 0x83).
    pub unique_id: [u8; 16],
    /// 1: read only.
    pub read_only: u32,
    /// Zero.
    pub reserved: u32,
}

/// What a guest's heartbeat service says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(transparent)]
pub struct Heartbeat(u32);

impl Heartbeat {
    /// Nothing yet: the guest has no such service that listens.
    pub const UNKNOWN: Self = Self(0);
    /// It answers.
    pub const ALIVE: Self = Self(1);
    /// It does not answer any more.
    pub const LOST: Self = Self(2);
}

/// What [`Call::VmStatus`](crate::Call::VmStatus) writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VmStatus {
    /// How the guest is.
    pub heartbeat: Heartbeat,
    /// Zero.
    pub reserved: u32,
    /// Since it was started, in 100 ns.
    pub uptime: u64,
    /// Time that its worker ran, in 100 ns.
    pub root_time: u64,
}

/// What [`Call::VmCounters`](crate::Call::VmCounters) writes. Each only grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VmCounters {
    /// Requests of its disks that were served.
    pub disk_requests: u64,
    /// Bytes that were read from them.
    pub disk_bytes_read: u64,
    /// Bytes that were written to them.
    pub disk_bytes_written: u64,
}

/// By what the hypervisor runs virtual machines. An open enumeration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(transparent)]
pub struct Virtualization(u32);

impl Virtualization {
    /// There is no hypervisor.
    pub const NONE: Self = Self(0);
    /// AMD's, with nested paging.
    pub const AMD_V: Self = Self(1);
    /// Intel's, with EPT.
    pub const VT_X: Self = Self(2);
    /// Intel's, with EPT and interrupt delivery.
    pub const VT_X_APIC: Self = Self(3);
}

/// The kind of IOMMU that the firmware tells of. An open enumeration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(transparent)]
pub struct Iommu(pub u32);

impl Iommu {
    /// None.
    pub const NONE: Self = Self(0);
    /// Intel's.
    pub const VT_D: Self = Self(1);
    /// AMD's.
    pub const AMD_VI: Self = Self(2);
}

/// What [`Call::HostInfo`](crate::Call::HostInfo) writes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct HostInfo {
    /// RAM of the machine in bytes.
    pub memory: u64,
    /// RAM that the root partition can still give to VMs, in bytes.
    pub memory_free: u64,
    /// RAM that the hypervisor keeps, in bytes.
    pub memory_hypervisor: u64,
    /// Ticks of the time-stamp counter a second.
    pub tsc_hz: u64,
    /// Since the root partition started, in 100 ns.
    pub uptime: u64,
    /// Logical processors that run the root partition.
    pub processors: u32,
    /// Those that the machine has.
    pub processors_present: u32,
    /// How long each of the others took the first one to start, in microseconds.
    pub processor_start: u32,
    /// 1 when there is a hypervisor below.
    pub hypervisor: u32,
    /// By what it runs virtual machines.
    pub virtualization: Virtualization,
    /// The IOMMU, which is not used yet.
    pub iommu: Iommu,
    /// The processor's brand string, padded with zeros.
    pub processor_name: [u8; 48],
}

/// What [`Call::HostPower`](crate::Call::HostPower) does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum HostAction {
    /// Power off.
    PowerOff = 0,
    /// Reset.
    Reboot = 1,
}

const _: () = {
    assert!(size_of::<WaitEntry>() == 8);
    assert!(size_of::<BlockInfo>() == 120);
    assert!(size_of::<VmCreate>() == 80);
    assert!(size_of::<VmRegister>() == 32);
    assert!(size_of::<DiskAttach>() == 40);
    assert!(size_of::<VmStatus>() == 24);
    assert!(size_of::<VmCounters>() == 24);
    assert!(size_of::<HostInfo>() == 112);
};

/// The most rounds of a [`Call::VmChurn`](crate::Call::VmChurn), which holds its processor.
pub const CHURN_ROUNDS_MAX: u64 = 64;
/// Words at the start of the page, each written by another virtual processor, that are watched then.
pub const CHURN_WRITERS: usize = 8;
/// Offset of the word that is not 0 in a page that the guest may not read any more.
pub const CHURN_GONE: usize = 8 * CHURN_WRITERS;

/// What [`Call::VmChurn`](crate::Call::VmChurn) writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VmChurn {
    /// How often a page was taken away.
    pub taken: u64,
    /// How often it had been written to before.
    pub in_use: u64,
    /// Words of it that changed after it was taken away: 0.
    pub late: u64,
}

#[cfg(test)]
mod tests {
    use super::VmEvent;

    #[test]
    fn events_survive_the_register() {
        for event in [
            VmEvent::Intercept(0),
            VmEvent::Intercept(239),
            VmEvent::Channel,
            VmEvent::Timeout,
            VmEvent::Stopped,
        ] {
            assert_eq!(VmEvent::decode(event.encode()), event);
        }
    }
}
