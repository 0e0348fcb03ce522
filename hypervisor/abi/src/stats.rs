//! Counters: one page for each VP, each partition and each processor, mapped read-only into the root. The layout is our
//! own.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::partition::HvPartitionId;
use crate::vp::HvVpIndex;

open_enum! {
    /// `HV_STATS_OBJECT_TYPE`.
    pub struct StatsObjectType(u32) {
        /// [`PartitionStats`].
        PARTITION = 0x0001_0001,
        /// [`VpStats`].
        VP = 0x0001_0002,
    }
}

/// `HvCallMapStatsPage` 0x6C and `HvCallUnmapStatsPage` 0x6D, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | object type | @0 u32 |
/// | In | padding (0) | @4 u32 |
/// | In | partition id | @8 u64 |
/// | In | VP index (partition: 0) | @16 u32 |
/// | In | padding (0) | @20 u32 |
/// | Map: Out | GPA page where the caller sees the counters | @0 u64 |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StatsPage {
    /// Of what.
    pub object_type: StatsObjectType,
    /// 0.
    pub padding0: u32,
    /// Of which partition.
    pub partition_id: HvPartitionId,
    /// Of which VP.
    pub vp_index: HvVpIndex,
    /// 0.
    pub padding1: u32,
}
const _: () = assert!(size_of::<StatsPage>() == 24);

/// Output of `MAP_STATS_PAGE`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MapStatsPageOutput {
    /// GPA page of the caller.
    pub gpa_page: u64,
}
const _: () = assert!(size_of::<MapStatsPageOutput>() == 8);

/// Why a VP left the guest: the index in [`VpStats::exits`]. The names are no vendor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[expect(missing_docs, reason = "each says itself")]
pub enum ExitReason {
    Cpuid,
    MsrRead,
    MsrWrite,
    Hypercall,
    IoPort,
    SecondLevelFault,
    Halt,
    InterruptWindow,
    PhysicalInterrupt,
    Nmi,
    TripleFault,
    Xsetbv,
    WriteBackInvalidate,
    UndefinedInstruction,
    Exception,
    ControlRegister,
    Other,
}

impl ExitReason {
    /// Name of each, in order.
    pub const NAMES: [&'static str; 17] = [
        "cpuid",
        "msr-read",
        "msr-write",
        "hypercall",
        "io-port",
        "memory",
        "halt",
        "interrupt-window",
        "physical-interrupt",
        "nmi",
        "triple-fault",
        "xsetbv",
        "write-back-invalidate",
        "undefined-instruction",
        "exception",
        "control-register",
        "other",
    ];
}
const _: () = assert!(ExitReason::Other as usize + 1 == ExitReason::NAMES.len());

/// Counters of a VP, at the start of its page. Each only grows.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VpStats {
    /// Times it was dispatched.
    pub dispatches: u64,
    /// Ticks of the time stamp counter that it spent in guest mode. Like [`Self::hypervisor_run_ticks`] brought up to
    /// date when a dispatch ends.
    pub guest_run_ticks: u64,
    /// Exits for each [`ExitReason`].
    pub exits: [u64; 32],
    /// Intercepts handed to the root.
    pub intercepts: u64,
    /// Interrupts injected.
    pub interrupts: u64,
    /// Hypercalls answered with an error.
    pub hypercall_errors: u64,
    /// Timers that expired.
    pub timers: u64,
    /// Ticks that the hypervisor worked for it while it was dispatched.
    pub hypervisor_run_ticks: u64,
}
const _: () = assert!(size_of::<VpStats>() == 312);

/// Counters of a partition, at the start of its page.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PartitionStats {
    /// Pages deposited and not withdrawn.
    pub deposited_pages: u64,
    /// Of these, free.
    pub free_pages: u64,
    /// Guest pages mapped, in units of 4 KiB.
    pub mapped_gpa_pages: u64,
    /// VPs.
    pub virtual_processors: u64,
    /// Messages posted by it.
    pub messages_posted: u64,
    /// Events signalled by it.
    pub events_signaled: u64,
}
const _: () = assert!(size_of::<PartitionStats>() == 48);

/// Counters of a processor since its root VP started, at the start of the page that the root VP finds by
/// [`HV_X64_MSR_STATS_VP_INTERNAL_PAGE`](crate::msr::HV_X64_MSR_STATS_VP_INTERNAL_PAGE): ticks of the time stamp counter,
/// brought up to date before the root VP goes on. What is left of the time is the root's, with its HLT.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LogicalProcessorStats {
    /// Guests' VPs, in guest mode.
    pub guest_run_ticks: u64,
    /// The hypervisor, whomever it worked for.
    pub hypervisor_run_ticks: u64,
}
const _: () = assert!(size_of::<LogicalProcessorStats>() == 16);
