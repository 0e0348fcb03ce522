//! An I/O APIC with 24 pins (82093AA; version 0x20, so with an EOI register).
//!
//! 1. An edge on a masked pin is remembered and delivered when the pin is unmasked.
//! 2. A level-triggered pin whose message was delivered stays quiet (`Remote IRR`) until its vector is ended.
//! 3. At most one message leaves for each pin and call.

use syscall::InterruptRequest;

/// Where it is in guest-physical memory.
pub const BASE: u64 = 0xFEC0_0000;
/// How many bytes its registers take.
pub const LENGTH: u64 = 0x1000;
/// How many pins it has.
pub const PINS: usize = 24;

const SELECT: u64 = 0x00;
const WINDOW: u64 = 0x10;
const EOI: u64 = 0x40;
const VERSION: u32 = 0x20 | ((PINS as u32 - 1) << 16);

/// Fields of a redirection-table entry.
const VECTOR: u64 = 0xFF;
const LOGICAL: u64 = 1 << 11;
const REMOTE_IRR: u64 = 1 << 14;
const LEVEL: u64 = 1 << 15;
const MASKED: u64 = 1 << 16;
/// What software may write: all but Delivery Status, Remote IRR and the reserved bits.
const WRITABLE: u64 = 0xFF00_0000_0001_AFFF;

/// The device.
#[derive(Debug)]
pub struct Ioapic {
    id: u32,
    select: u8,
    entries: [u64; PINS],
    /// Pins that are high.
    lines: u32,
    /// Edge-triggered pins with an edge that was not delivered.
    edges: u32,
}

impl Default for Ioapic {
    fn default() -> Self {
        Self { id: 0, select: 0, entries: [MASKED; PINS], lines: 0, edges: 0 }
    }
}

impl Ioapic {
    /// Reads the register at `offset` from [`BASE`].
    #[must_use]
    pub fn read(&self, offset: u64) -> u32 {
        match offset {
            SELECT => u32::from(self.select),
            WINDOW => self.read_indirect(),
            _ => 0,
        }
    }

    /// Writes the register at `offset`; `deliver` gets the messages that this causes.
    pub fn write(&mut self, offset: u64, value: u32, mut deliver: impl FnMut(&InterruptRequest)) {
        match offset {
            SELECT => self.select = (value & 0xFF) as u8,
            WINDOW => self.write_indirect(value, deliver),
            EOI => self.end_of_interrupt((value & 0xFF) as u8, &mut deliver),
            _ => {}
        }
    }

    /// Drives pin `pin` high or low.
    pub fn set_line(&mut self, pin: usize, high: bool, deliver: impl FnMut(&InterruptRequest)) {
        if pin >= PINS {
            return;
        }
        let bit = 1 << pin;
        let rose = high && self.lines & bit == 0;
        if high {
            self.lines |= bit;
        } else {
            self.lines &= !bit;
        }
        if rose {
            self.edges |= bit;
            self.service(pin, deliver);
        }
    }

    /// A local APIC has ended the level-triggered `vector`.
    pub fn end_of_interrupt(&mut self, vector: u8, mut deliver: impl FnMut(&InterruptRequest)) {
        for pin in 0..PINS {
            let Some(entry) = self.entries.get_mut(pin) else { continue };
            if *entry & LEVEL != 0 && *entry & VECTOR == u64::from(vector) {
                *entry &= !REMOTE_IRR;
                self.service(pin, &mut deliver);
            }
        }
    }

    fn read_indirect(&self) -> u32 {
        match self.select {
            0 | 2 => self.id,
            1 => VERSION,
            register => {
                let (pin, high) = Self::split(register);
                let entry = pin.and_then(|pin| self.entries.get(pin)).copied().unwrap_or(0);
                let half = if high { entry >> 32 } else { entry };
                (half & 0xFFFF_FFFF) as u32
            }
        }
    }

    fn write_indirect(&mut self, value: u32, deliver: impl FnMut(&InterruptRequest)) {
        if self.select == 0 {
            self.id = value & 0x0F00_0000;
            return;
        }
        let (Some(pin), high) = Self::split(self.select) else { return };
        let Some(entry) = self.entries.get_mut(pin) else { return };
        let written = if high {
            (*entry & 0xFFFF_FFFF) | u64::from(value) << 32
        } else {
            (*entry & !0xFFFF_FFFF) | u64::from(value)
        };
        *entry = (*entry & !WRITABLE) | (written & WRITABLE);
        if *entry & LEVEL == 0 {
            *entry &= !REMOTE_IRR;
        }
        self.service(pin, deliver);
    }

    /// The pin of indirect register `register`, and whether it is the entry's high half.
    fn split(register: u8) -> (Option<usize>, bool) {
        let pin = register.checked_sub(0x10).map(|index| usize::from(index / 2));
        (pin, register & 1 != 0)
    }

    /// Delivers what pin `pin` has to deliver.
    fn service(&mut self, pin: usize, mut deliver: impl FnMut(&InterruptRequest)) {
        let bit = 1 << pin;
        let Some(entry) = self.entries.get_mut(pin) else { return };
        if *entry & MASKED != 0 {
            return;
        }
        if *entry & LEVEL != 0 {
            self.edges &= !bit;
            if self.lines & bit == 0 || *entry & REMOTE_IRR != 0 {
                return;
            }
            *entry |= REMOTE_IRR;
        } else {
            if self.edges & bit == 0 {
                return;
            }
            self.edges &= !bit;
        }
        deliver(&message(*entry));
    }
}

/// The interrupt message that `entry` describes.
fn message(entry: u64) -> InterruptRequest {
    InterruptRequest {
        destination: (entry >> 56) as u32,
        vector: (entry & VECTOR) as u32,
        delivery_mode: (entry >> 8 & 7) as u32,
        flags: u32::from(entry & LOGICAL != 0) | u32::from(entry & LEVEL != 0) << 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{EOI, Ioapic, PINS, SELECT, WINDOW};
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use syscall::InterruptRequest;

    fn program(ioapic: &mut Ioapic, pin: u32, entry: u64) -> Vec<InterruptRequest> {
        let mut sent = Vec::new();
        for (register, value) in [(0x11 + 2 * pin, entry >> 32), (0x10 + 2 * pin, entry & 0xFFFF_FFFF)] {
            ioapic.write(SELECT, register, |_| ());
            ioapic.write(WINDOW, value as u32, |message| sent.push(*message));
        }
        sent
    }

    fn line(ioapic: &mut Ioapic, pin: usize, high: bool) -> usize {
        let mut sent = 0;
        ioapic.set_line(pin, high, |_| sent += 1);
        sent
    }

    #[test]
    fn version_says_24_pins() {
        let mut ioapic = Ioapic::default();
        ioapic.write(SELECT, 1, |_| ());
        assert_eq!(ioapic.read(WINDOW), 0x0017_0020);
        ioapic.write(SELECT, 0x10 + 2 * 24, |_| ());
        ioapic.write(WINDOW, 0xFFFF_FFFF, |_| ());
        assert_eq!(ioapic.read(WINDOW), 0);
    }

    #[test]
    fn an_edge_is_one_message_with_the_fields_of_the_entry() {
        let mut ioapic = Ioapic::default();
        assert!(program(&mut ioapic, 4, 0x0500_0000_0000_0931).is_empty());
        let mut sent = Vec::new();
        ioapic.set_line(4, true, |message| sent.push(*message));
        ioapic.set_line(4, true, |message| sent.push(*message));
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].destination, sent[0].vector), (5, 0x31));
        assert_eq!((sent[0].delivery_mode, sent[0].flags), (1, 1));
        assert_eq!(line(&mut ioapic, 4, false), 0);
        assert_eq!(line(&mut ioapic, 4, true), 1);
    }

    #[test]
    fn an_edge_while_masked_is_delivered_when_unmasked() {
        let mut ioapic = Ioapic::default();
        assert_eq!(line(&mut ioapic, 4, true), 0);
        assert_eq!(line(&mut ioapic, 4, false), 0);
        assert_eq!(program(&mut ioapic, 4, 0x31).len(), 1);
        assert_eq!(program(&mut ioapic, 4, 0x31).len(), 0);
    }

    #[test]
    fn a_level_is_sent_again_after_each_end_of_interrupt_while_it_is_high() {
        let mut ioapic = Ioapic::default();
        program(&mut ioapic, 9, 0x8000 | 0x51);
        assert_eq!(line(&mut ioapic, 9, true), 1);
        ioapic.write(SELECT, 0x10 + 18, |_| ());
        assert_eq!(ioapic.read(WINDOW), 0xC051);
        let mut sent = 0;
        ioapic.end_of_interrupt(0x52, |_| sent += 1);
        assert_eq!(sent, 0);
        ioapic.end_of_interrupt(0x51, |_| sent += 1);
        assert_eq!(sent, 1);
        ioapic.set_line(9, false, |_| sent += 1);
        ioapic.write(EOI, 0x51, |_| sent += 1);
        assert_eq!(sent, 1);
        assert_eq!(ioapic.read(WINDOW), 0x8051);
    }

    #[test]
    fn switching_to_edge_clears_remote_irr() {
        let mut ioapic = Ioapic::default();
        program(&mut ioapic, 9, 0x8000 | 0x51);
        line(&mut ioapic, 9, true);
        program(&mut ioapic, 9, 0x1_0051);
        assert_eq!(ioapic.read(WINDOW), 0x1_0051);
    }

    proptest! {
        /// No sequence of accesses panics; a masked pin never sends; the reserved bits never change.
        #[test]
        fn any_access_is_harmless(steps in prop::collection::vec((0u8..4, any::<u8>(), any::<u32>()), 0..300)) {
            let mut ioapic = Ioapic::default();
            for (step, small, value) in steps {
                let sent = core::cell::Cell::new(0);
                let count = |_: &InterruptRequest| sent.set(sent.get() + 1);
                match step {
                    0 => ioapic.write(SELECT, u32::from(small), count),
                    1 => ioapic.write(WINDOW, value, count),
                    2 => ioapic.set_line(usize::from(small % 32), value & 1 != 0, count),
                    _ => ioapic.end_of_interrupt(small, count),
                }
                prop_assert!(sent.get() <= PINS);
                prop_assert!(step == 3 || sent.get() <= 1);
                for entry in ioapic.entries {
                    prop_assert_eq!(entry & 0x00FF_FFFF_FFFE_1000, 0);
                }
            }
        }
    }
}
