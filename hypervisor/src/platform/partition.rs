//! What the VPs of a partition share.

use hv_abi::cpuid::HvPrivileges;

use super::Intercepts;
use crate::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::cpuid::Cpuid;
use crate::reference_time::ReferenceTime;

/// What a partition is made from.
#[derive(Clone, Copy, Debug)]
pub struct PlatformConfig {
    /// What it may do.
    pub privileges: HvPrivileges,
    /// Number of VPs that CPUID shows.
    pub max_vps: u32,
    /// Frequency of the time stamp counter.
    pub tsc_hz: u64,
    /// The counter now: reference time 0.
    pub tsc: u64,
    /// The processor carries out what guests do with their local APICs.
    pub has_apic_assist: bool,
}

/// Shared by all VPs of a partition.
pub struct PartitionPlatform {
    /// What CPUID answers.
    pub cpuid: Cpuid,
    /// Its time.
    pub time: ReferenceTime,
    /// What the root wants to hear of.
    pub intercepts: Intercepts,
    /// What it may do.
    pub privileges: HvPrivileges,
    /// GUEST_OS_ID.
    pub guest_os_id: AtomicU64,
    /// HYPERCALL.
    pub hypercall: AtomicU64,
    /// REFERENCE_TSC.
    pub reference_tsc: AtomicU64,
    /// CRASH_P0 to CRASH_P4.
    pub crash: [AtomicU64; 5],
    /// The guest reported a crash (CRASH_CTL).
    pub crashed: AtomicBool,
    /// TSC_INVARIANT_CONTROL.
    pub tsc_invariant: AtomicBool,
}

impl PartitionPlatform {
    /// As after RESET. `host` answers the host's CPUID (leaf, subleaf: EAX, EBX, ECX, EDX).
    pub fn new(config: &PlatformConfig, host: impl Fn(u32, u32) -> [u32; 4]) -> Self {
        Self {
            cpuid: Cpuid::new(config, host),
            time: ReferenceTime::new(config.tsc_hz, config.tsc),
            intercepts: Intercepts::default(),
            privileges: config.privileges,
            guest_os_id: AtomicU64::new(0),
            hypercall: AtomicU64::new(0),
            reference_tsc: AtomicU64::new(0),
            crash: core::array::from_fn(|_| AtomicU64::new(0)),
            crashed: AtomicBool::new(false),
            tsc_invariant: AtomicBool::new(false),
        }
    }

    /// Whether the guest has asked that CPUID promise an invariant counter.
    #[inline]
    pub fn tsc_is_invariant(&self) -> bool {
        self.tsc_invariant.load(Ordering::Relaxed)
    }

    /// Whether the hypercall instruction does anything (TLFS 3.13): the guest has said who it is and placed the page.
    #[inline]
    pub fn hypercalls_enabled(&self) -> bool {
        self.hypercall.load(Ordering::Relaxed) & 1 != 0
    }
}
