//! Interrupts of an emulated device for some virtual processors, while the others halt.
#![expect(unsafe_code, reason = "the registers of an IOAPIC")]

use core::hint::spin_loop;
use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::Ordering;

use crate::neighbour::{start, victim};
use crate::say;
use crate::serial::{inb, outb};
use crate::trap::{self, COUNTED_VECTOR, INTERRUPTS};

/// The IOAPIC's selector, its window, and the redirection entry of the first serial port's pin.
const SELECT: usize = 0xFEC0_0000;
const WINDOW: usize = 0xFEC0_0010;
const ENTRY: u32 = 0x10 + 2 * 4;
/// Of an entry: the destination is a logical id.
const LOGICAL: u32 = 1 << 11;
/// Of a serial port: interrupts that are enabled, which of them it is, and modem control.
const IER: u16 = 0x3F9;
const IIR: u16 = 0x3FA;
const MCR: u16 = 0x3FC;
/// The transmitter is empty, which it always is; interrupts come out.
const EMPTY: u8 = 2;
const OUT2: u8 = 8;
/// What an entry says, and how many have each interrupt then: processor 1, then 1 and 3.
const DESTINATIONS: [(u32, u32, u64); 2] = [(0, 1, 1), (LOGICAL, 0b1010, 2)];
/// Interrupts for each.
const TIMES: u64 = 50;

fn write(register: u32, value: u32) {
    for (address, value) in [(SELECT, register), (WINDOW, value)] {
        // SAFETY: an IOAPIC's registers.
        unsafe { with_exposed_provenance_mut::<u32>(address).write_volatile(value) };
    }
}

/// Interrupts them one after the other, with `count` virtual processors of which all but the first halt, and says when all
/// have come.
pub fn interrupts(count: usize) -> ! {
    start(count, victim);
    outb(MCR, OUT2);
    let mut all = INTERRUPTS.load(Ordering::SeqCst);
    for (mode, destination, each) in DESTINATIONS {
        write(ENTRY + 1, destination << 24);
        write(ENTRY, mode | u32::from(COUNTED_VECTOR));
        for _ in 0..TIMES {
            all += each;
            outb(IER, EMPTY);
            while INTERRUPTS.load(Ordering::SeqCst) != all {
                spin_loop();
            }
            inb(IIR);
            outb(IER, 0);
        }
    }
    say!("INTERRUPTED");
    loop {
        trap::halt();
    }
}
