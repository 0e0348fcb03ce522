//! The local APIC, as far as the hypervisor needs it: to start processors, and to kick one. All else of it is the
//! root's (APM vol. 2, 16).
#![expect(unsafe_code, reason = "the APIC's registers")]

use core::sync::atomic::{AtomicU32, Ordering, fence};

use handoff::space;
use hv_abi::control::apic_base;

use crate::arch::cpu;

/// Offsets of registers.
const TASK_PRIORITY: u64 = 0x80;
const ICR_LOW: u64 = 0x300;
const ICR_HIGH: u64 = 0x310;
/// The same in x2APIC mode.
const X2APIC_TASK_PRIORITY: u32 = 0x808;
/// ICR as one register in x2APIC mode.
const X2APIC_ICR: u32 = 0x830;
/// ICR: the interrupt has not been accepted yet.
const DELIVERY_PENDING: u32 = 1 << 12;
/// Looks at that bit before it is given up.
const PATIENCE: u32 = 100_000;

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// An interrupt with this vector.
    Fixed(u8),
    /// An NMI.
    Nmi,
    /// INIT.
    Init,
    /// SIPI: real mode at this page.
    Startup(u8),
}

impl Message {
    /// Delivery mode, level and vector in the low half of ICR.
    const fn command(self) -> u32 {
        const ASSERT: u32 = 1 << 14;
        match self {
            Self::Fixed(vector) => ASSERT | vector as u32,
            Self::Nmi => ASSERT | 4 << 8,
            Self::Init => ASSERT | 5 << 8,
            Self::Startup(page) => ASSERT | 6 << 8 | page as u32,
        }
    }
}

/// The root may change it at any time.
fn is_x2apic() -> bool {
    // SAFETY: the register exists on every processor with a local APIC.
    unsafe { cpu::rdmsr(cpu::APIC_BASE) & apic_base::EXTD != 0 }
}

fn register(offset: u64) -> &'static AtomicU32 {
    let address = space::LOCAL_APIC.wrapping_add(offset);
    let register = core::ptr::with_exposed_provenance::<AtomicU32>(address as usize);
    // SAFETY: the APIC's page stays mapped, uncached; its registers are 32 bits wide.
    unsafe { &*register }
}

/// Sends `message` to the processor whose APIC has `target`.
///
/// The root uses the same registers: between its two writes of ICR an exit may come here, so the high half is put
/// back.
pub fn send(target: u32, message: Message) {
    if is_x2apic() {
        let value = u64::from(target) << 32 | u64::from(message.command());
        // What the other is to see is there before the interrupt: writing this register waits for nothing.
        fence(Ordering::SeqCst);
        // SAFETY: the register exists in this mode; what is sent is the caller's business.
        unsafe { cpu::wrmsr(X2APIC_ICR, value) };
        return;
    }
    wait_until_sent();
    let high = register(ICR_HIGH).load(Ordering::Relaxed);
    register(ICR_HIGH).store(target << 24, Ordering::Relaxed);
    register(ICR_LOW).store(message.command(), Ordering::Relaxed);
    wait_until_sent();
    register(ICR_HIGH).store(high, Ordering::Relaxed);
}

/// Has this processor's look for what it is to take: its task priority is written, as it is.
pub fn look_again() {
    if is_x2apic() {
        // SAFETY: the register exists in this mode.
        let priority = unsafe { cpu::rdmsr(X2APIC_TASK_PRIORITY) };
        // SAFETY: nothing changes by it.
        unsafe { cpu::wrmsr(X2APIC_TASK_PRIORITY, priority) };
    } else {
        let priority = register(TASK_PRIORITY);
        priority.store(priority.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

fn wait_until_sent() {
    for _ in 0..PATIENCE {
        if register(ICR_LOW).load(Ordering::Relaxed) & DELIVERY_PENDING == 0 {
            return;
        }
        cpu::pause();
    }
}
