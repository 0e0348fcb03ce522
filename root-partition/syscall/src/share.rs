//! What a VM gets of the processors, and what became of it.

use crate::ProcessorSet;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The most that [`VmShare::weight`] can be; the least is 1.
pub const WEIGHT_MAX: u32 = 10_000;
/// The weight of a VM for which nobody says otherwise.
pub const WEIGHT_DEFAULT: u32 = 100;

/// What [`Call::VmSetShare`](crate::Call::VmSetShare) reads: what a VM gets of the processors.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VmShare {
    /// 1 to [`WEIGHT_MAX`]: where processors are short, VMs get of them in proportion to their weights.
    pub weight: u32,
    /// 0 to 100: what it gets of the capacity of its VPs, in percent, however much the others want. (All that its VPs
    /// could do, were each alone on a processor, is 100 %.)
    pub reserve: u32,
    /// 1 to 100, not below `reserve`: the most that it gets of that capacity, even when nobody else wants it.
    pub limit: u32,
    /// Zero.
    pub padding: u32,
    /// The processors that its VPs may run on; one at least that exists.
    pub affinity: ProcessorSet,
}

impl Default for VmShare {
    fn default() -> Self {
        Self { weight: WEIGHT_DEFAULT, reserve: 0, limit: 100, padding: 0, affinity: ProcessorSet::ALL }
    }
}

/// How many kinds of exits are told apart in [`VpStatistics::exits`].
pub const EXIT_KINDS: usize = 32;

/// What [`Call::VmStatistics`](crate::Call::VmStatistics) writes for each VP; times in 100 ns. Each only grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VpStatistics {
    /// Time that its guest ran.
    pub guest_time: u64,
    /// Time that the hypervisor ran for it.
    pub hypervisor_time: u64,
    /// Time that it was ready and waited for a processor.
    pub wait_time: u64,
    /// Time that it was ready and its VM had reached its limit.
    pub limited_time: u64,
    /// How often it woke up from a halt.
    pub wake_ups: u64,
    /// How often it was dispatched.
    pub dispatches: u64,
    /// The processor that it ran on last.
    pub processor: u32,
    /// Zero.
    pub reserved: u32,
    /// Exits, by the reasons of crate `hv-abi`'s `ExitReason`.
    pub exits: [u64; EXIT_KINDS],
}

/// What [`Call::HostTimes`](crate::Call::HostTimes) writes for each processor; in 100 ns since it started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ProcessorTimes {
    /// Guests ran.
    pub guest: u64,
    /// The root partition ran: its kernel, drivers and programs.
    pub root: u64,
    /// The hypervisor ran.
    pub hypervisor: u64,
    /// Nothing was to be done.
    pub idle: u64,
}

const _: () = {
    assert!(size_of::<VmShare>() == 48);
    assert!(size_of::<VpStatistics>() == 312);
    assert!(size_of::<ProcessorTimes>() == 32);
};
