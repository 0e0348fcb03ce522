//! What only the processor that runs a VP touches.

use crate::apic::LocalApic;
use crate::msr::Stored;
use crate::reference_time::ReferenceTime;
use crate::timer::SyntheticTimers;

/// Whether a VP executes: `HV_INTERNAL_ACTIVITY_REGISTER`, one bit of it or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Activity {
    /// It does.
    Running = 0,
    /// Until SIPI.
    WaitForStartup = 1 << 0,
    /// HLT: until an interrupt.
    Halted = 1 << 1,
    /// GUEST_IDLE: until an interrupt is there, whether or not it can be taken (TLFS 8.5).
    Idle = 1 << 2,
}

impl Activity {
    /// All.
    pub const ALL: [Self; 4] = [Self::Running, Self::WaitForStartup, Self::Halted, Self::Idle];
}

/// A VP's devices.
pub struct VpPlatform {
    /// Its APIC.
    pub apic: LocalApic,
    /// Its synthetic timers.
    pub timers: SyntheticTimers,
    /// MSRs that are storage only.
    pub stored: Stored,
    /// Whether it executes.
    pub activity: Activity,
    /// An NMI waits until the VP runs.
    pub nmi_waits: bool,
    /// Host's counter at which a timer runs out next; `u64::MAX`: none.
    next_timer: u64,
}

impl VpPlatform {
    /// After RESET: VP 0 runs, the others wait for SIPI.
    pub fn new(index: u32) -> Self {
        Self {
            apic: LocalApic::new(index),
            timers: SyntheticTimers::RESET,
            stored: Stored::RESET,
            activity: if index == 0 { Activity::Running } else { Activity::WaitForStartup },
            nmi_waits: false,
            next_timer: u64::MAX,
        }
    }

    /// Host's time stamp counter at which a timer of this VP runs out next; `u64::MAX`: none.
    #[inline]
    pub const fn next_timer(&self) -> u64 {
        self.next_timer
    }

    /// Works it out anew, after a timer was written or ran out, or reference time was frozen or set.
    pub fn update_next_timer(&mut self, time: &ReferenceTime, now: u64) {
        self.next_timer = self.apic.timer.due().min(time.tsc_at(self.timers.due(), now));
    }
}
