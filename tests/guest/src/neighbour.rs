//! Guests that share a host: one that counts its work, and some that would keep the others from theirs.
#![expect(unsafe_code, reason = "hypercalls, and memory that only it uses")]

use core::arch::asm;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use hv_abi::hypercall::CallCode;

use crate::bench::{enable_x2apic, wrmsr};
use crate::hypercall;
use crate::serial::{LINE_STATUS, inb, outb, read};
use crate::startup::{self, Stack};
use crate::trap::{self, COUNTED_VECTOR, attempt};
use crate::{power_off, say};

/// The most virtual processors that take part.
pub const VPS: usize = 8;
const ICR: u32 = 0x830;
/// To all but oneself.
const TO_OTHERS: u64 = 3 << 18;
/// Steps between two looks at the serial port, which cost an exit each.
const STEPS: u64 = 1 << 20;
/// The reset control register of a PC, and the value that resets it.
const RESET: (u16, u8) = (0xCF9, 0x06);
/// The connections of VMBus (its messages), and one that nobody has.
const CONNECTIONS: [u64; 3] = [1, 4, 77];

/// The steps that each has done.
static WORK: [AtomicU64; VPS] = [const { AtomicU64::new(0) }; VPS];
static RUNNING: AtomicU32 = AtomicU32::new(0);
static mut STACKS: [Stack; VPS] = [const { Stack::new() }; VPS];

/// Counts a step for the virtual processor `id`.
#[inline]
fn step(id: usize) {
    if let Some(work) = WORK.get(id) {
        // Only its owner writes to it.
        work.store(work.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// Starts `main` on the virtual processors with ids from 1 on, so that there are `count`.
pub fn start(count: usize, main: extern "C" fn() -> !) {
    if attempt(enable_x2apic, &mut []).is_some() {
        return;
    }
    for id in 1..count.min(VPS) {
        let stack = (&raw mut STACKS).cast::<Stack>().wrapping_add(id);
        // SAFETY: each has its stack, and the one before runs.
        unsafe { startup::start(id as u32, stack, main) };
        while RUNNING.load(Ordering::SeqCst) != id as u32 {
            spin_loop();
        }
    }
}

/// Says that this one, which [`start`] started, runs; its id.
pub fn begin() -> usize {
    RUNNING.fetch_add(1, Ordering::SeqCst) as usize + 1
}

/// The same, and takes interrupts from then on.
pub fn begin_with_interrupts() -> usize {
    trap::load();
    enable_x2apic(core::ptr::null_mut());
    begin()
}

extern "C" fn worker() -> ! {
    let id = begin();
    loop {
        step(id);
    }
}

/// Counts steps on `count` virtual processors, and says how many when it is asked.
pub fn work(count: usize) -> ! {
    start(count, worker);
    say!("WORKING");
    // SAFETY: the interrupt table is loaded, and none comes. Bochs holds the host's interrupts back while these are off.
    unsafe { asm!("sti") };
    loop {
        for _ in 0..STEPS {
            step(0);
        }
        if inb(LINE_STATUS) & 1 != 0 && read() == b'\r' {
            let all: u64 = WORK.iter().map(|work| work.load(Ordering::Relaxed)).sum();
            say!("WORK {all}");
        }
    }
}

/// Halts, again and again.
pub extern "C" fn victim() -> ! {
    begin_with_interrupts();
    loop {
        // SAFETY: the interrupt table is loaded.
        unsafe { asm!("sti", "hlt", "cli") };
    }
}

/// Wakes up the other virtual processors, which halt, and itself, without end.
pub fn flood_interrupts(count: usize) -> ! {
    start(count, victim);
    say!("FLOODING");
    loop {
        wrmsr(ICR, TO_OTHERS | u64::from(COUNTED_VECTOR));
        // SAFETY: the interrupt table is loaded.
        unsafe { asm!("sti", "nop", "cli") };
    }
}

/// Makes hypercalls without end on `count` virtual processors: messages and signals to the root, and calls that are refused.
pub fn flood_hypercalls(count: usize) -> ! {
    if attempt(hypercall::enable, &mut []).is_some() {
        power_off();
    }
    start(count, flooder);
    say!("FLOODING");
    make_hypercalls(0)
}

extern "C" fn flooder() -> ! {
    make_hypercalls(begin())
}

fn make_hypercalls(id: usize) -> ! {
    let call = |control: u64, rdx| hypercall::call(control.into(), rdx, 0);
    const FAST: u64 = 1 << 16;
    // A message of connection id, type and length (TLFS 11.11), which says nothing that VMBus understands.
    let at = 0x80_0000 + id * 0x1000;
    let message = core::ptr::with_exposed_provenance_mut::<u64>(at);
    loop {
        for connection in CONNECTIONS {
            // SAFETY: RAM that nothing else is in.
            unsafe { message.write_volatile(connection) };
            // SAFETY: as above.
            unsafe { message.add(1).write_volatile(1 | 16 << 32) };
            call(CallCode::POST_MESSAGE.0.into(), at as u64);
            call(FAST | u64::from(CallCode::SIGNAL_EVENT.0), connection);
            call(FAST | 0xFFFF, 0);
        }
    }
}

/// Resets itself, each time that it has started.
pub fn reset() -> ! {
    outb(RESET.0, RESET.1);
    loop {
        trap::halt();
    }
}
