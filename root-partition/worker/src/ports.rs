//! The chipset: which port and which address belongs to which device, and the interrupt lines between them.
//!
//! 1. A port or address that nothing answers reads all ones and swallows what is written.
//! 2. After each access the UART's interrupt line at the IOAPIC is what the UART says.

use crate::console::Console;
use crate::device::cmos::Cmos;
use crate::device::ioapic::{self, Ioapic};
use crate::device::power;
use crate::device::uart::Uart;
use core::ops::RangeInclusive;
use hv_abi::Gpa;
use syscall::InterruptRequest;
use syscall::worker::StopReason;

/// Ports of the first serial port.
pub const COM1: RangeInclusive<u16> = 0x3F8..=0x3FF;
/// Its pin at the IOAPIC.
pub const COM1_IRQ: usize = 4;
/// Ports of the clock.
pub const CMOS: RangeInclusive<u16> = 0x70..=0x71;
/// System control port B.
const SYSTEM_CONTROL_B: u16 = 0x61;
/// Its bits: memory is being refreshed (toggles), timer 2 has run out.
const REFRESH: u8 = 1 << 4;
const TIMER_2: u8 = 1 << 5;

/// What devices want from outside.
pub trait Host {
    /// Asserts an interrupt on the guest's local APICs.
    fn interrupt(&self, request: &InterruptRequest);
    /// The time in 100 ns since 1601, UTC.
    fn utc(&self) -> u64;
}

/// The devices of a guest.
#[derive(Debug, Default)]
pub struct Chipset {
    /// Between the UART and `vmms`.
    pub console: Console,
    uart: Uart,
    ioapic: Ioapic,
    cmos: Cmos,
    control_b: u8,
    stop: Option<StopReason>,
}

impl Chipset {
    /// Reads `size` (1, 2 or 4) bytes from `port`.
    pub fn read_port(&mut self, host: &impl Host, port: u16, size: u8) -> u32 {
        let mut value = u32::from(self.read_byte(host, port));
        for byte in 1..size.min(4) {
            let read = port.checked_add(u16::from(byte)).map_or(0xFF, |port| self.read_byte(host, port));
            value |= u32::from(read) << (byte * 8);
        }
        value
    }

    /// Writes the low `size` (1, 2 or 4) bytes of `value` to `port`.
    pub fn write_port(&mut self, host: &impl Host, port: u16, size: u8, value: u32) {
        // The reset register shares its address with the PCI configuration address, which is written as four bytes.
        if size == 4 && port == power::RESET - 1 {
            return;
        }
        let [first, rest @ ..] = value.to_le_bytes();
        self.write_byte(host, port, first);
        for (byte, value) in rest.into_iter().take(usize::from(size).saturating_sub(1)).enumerate() {
            if let Some(port) = port.checked_add(byte as u16 + 1) {
                self.write_byte(host, port, value);
            }
        }
    }

    /// Reads `size` (1 to 8) bytes at `at`, which is not RAM.
    #[must_use]
    pub fn read_memory(&self, at: Gpa, size: usize) -> u64 {
        let ones = u64::MAX >> (64 - 8 * size.clamp(1, 8));
        let offset = at.get().wrapping_sub(ioapic::BASE);
        if offset >= ioapic::LENGTH {
            return ones;
        }
        u64::from(self.ioapic.read(offset)) & ones
    }

    /// Writes the low `size` bytes of `value` to `at`, which is not RAM.
    pub fn write_memory(&mut self, host: &impl Host, at: Gpa, value: u64) {
        let offset = at.get().wrapping_sub(ioapic::BASE);
        if offset < ioapic::LENGTH {
            self.ioapic.write(offset, (value & 0xFFFF_FFFF) as u32, |request| host.interrupt(request));
        }
    }

    /// A local APIC has ended the level-triggered `vector`.
    pub fn end_of_interrupt(&mut self, host: &impl Host, vector: u8) {
        self.ioapic.end_of_interrupt(vector, |request| host.interrupt(request));
    }

    /// Gives the UART what was typed, as far as it has room.
    pub fn feed(&mut self, host: &impl Host) {
        for _ in 0..self.uart.room() {
            let Some(byte) = self.console.take_typed() else { break };
            self.uart.receive(byte);
        }
        self.update_line(host);
    }

    /// Why the guest is to stop, if it has asked for it.
    #[must_use]
    pub fn stop(&self) -> Option<StopReason> {
        self.stop
    }

    fn read_byte(&mut self, host: &impl Host, port: u16) -> u8 {
        match port {
            0x3F8..=0x3FF => self.read_uart(host, port - COM1.start()),
            0x70..=0x71 => self.cmos.read(port - CMOS.start(), || host.utc()),
            SYSTEM_CONTROL_B => {
                self.control_b ^= REFRESH;
                self.control_b | TIMER_2
            }
            power::SYSTEM_CONTROL_A | power::SLEEP_CONTROL | power::SLEEP_STATUS | power::RESET => 0,
            _ => 0xFF,
        }
    }

    fn write_byte(&mut self, host: &impl Host, port: u16, value: u8) {
        match port {
            0x3F8..=0x3FF => self.write_uart(host, port - COM1.start(), value),
            0x70..=0x71 => self.cmos.write(port - CMOS.start(), value, || host.utc()),
            SYSTEM_CONTROL_B => self.control_b = (self.control_b & REFRESH) | (value & 3),
            _ => self.stop = self.stop.or(power::stop(port, value)),
        }
    }

    fn read_uart(&mut self, host: &impl Host, offset: u16) -> u8 {
        let value = self.uart.read(offset);
        if offset == 0 && self.console.has_input() {
            self.feed(host);
        } else {
            self.update_line(host);
        }
        value
    }

    fn write_uart(&mut self, host: &impl Host, offset: u16, value: u8) {
        if let Some(byte) = self.uart.write(offset, value) {
            self.console.put(byte);
        } else if self.console.has_input() {
            self.feed(host);
        }
        self.update_line(host);
    }

    fn update_line(&mut self, host: &impl Host) {
        let high = self.uart.interrupt();
        self.ioapic.set_line(COM1_IRQ, high, |request| host.interrupt(request));
    }
}

#[cfg(test)]
mod tests {
    use super::{Chipset, Host};
    use crate::memory::gpa;
    use core::cell::RefCell;
    use proptest::prelude::*;
    use syscall::InterruptRequest;
    use syscall::worker::StopReason;

    #[derive(Default)]
    struct Recorder(RefCell<Vec<u32>>);

    impl Host for Recorder {
        fn interrupt(&self, request: &InterruptRequest) {
            self.0.borrow_mut().push(request.vector);
        }
        fn utc(&self) -> u64 {
            134_400_000_000_000_000
        }
    }

    fn unmask_com1(chipset: &mut Chipset, host: &Recorder) {
        chipset.write_memory(host, gpa(0xFEC0_0000), 0x18);
        chipset.write_memory(host, gpa(0xFEC0_0010), 0x34);
    }

    #[test]
    fn what_is_typed_interrupts_and_arrives_in_order() {
        let (mut chipset, host) = (Chipset::default(), Recorder::default());
        unmask_com1(&mut chipset, &host);
        for (port, value) in [(0x3FA, 1), (0x3FC, 8), (0x3F9, 1)] {
            chipset.write_port(&host, port, 1, value);
        }
        let typed: Vec<u8> = (0..100).collect();
        chipset.console.type_in(&typed);
        chipset.feed(&host);
        assert_eq!(*host.0.borrow(), [0x34]);
        let mut heard = Vec::new();
        while chipset.read_port(&host, 0x3FD, 1) & 1 != 0 {
            heard.push(chipset.read_port(&host, 0x3F8, 1) as u8);
        }
        assert_eq!(heard, typed);
    }

    #[test]
    fn each_transmitted_batch_interrupts_once() {
        let (mut chipset, host) = (Chipset::default(), Recorder::default());
        unmask_com1(&mut chipset, &host);
        chipset.write_port(&host, 0x3FC, 1, 8);
        chipset.write_port(&host, 0x3F9, 1, 2);
        assert_eq!(chipset.read_port(&host, 0x3FA, 1), 2);
        for byte in b"sixteen bytes ok" {
            chipset.write_port(&host, 0x3F8, 1, u32::from(*byte));
        }
        assert_eq!(host.0.borrow().len(), 2);
        chipset.console.attach(true);
        assert_eq!(chipset.console.chunk(), b"sixteen bytes ok");
    }

    #[test]
    fn absent_things_read_all_ones() {
        let (mut chipset, host) = (Chipset::default(), Recorder::default());
        assert_eq!(chipset.read_port(&host, 0xCFC, 4), 0xFFFF_FFFF);
        assert_eq!(chipset.read_port(&host, 0x60, 1), 0xFF);
        assert_eq!(chipset.read_port(&host, 0xFFFF, 4), 0xFFFF_FFFF);
        assert_eq!(chipset.read_memory(gpa(0xF000_0000), 8), u64::MAX);
        assert_eq!(chipset.read_memory(gpa(0xFED0_0000), 2), 0xFFFF);
    }

    #[test]
    fn the_pci_address_port_does_not_reset() {
        let (mut chipset, host) = (Chipset::default(), Recorder::default());
        chipset.write_port(&host, 0xCF8, 4, 0x8000_FFFF);
        assert_eq!(chipset.stop(), None);
        chipset.write_port(&host, 0xCF9, 1, 6);
        assert_eq!(chipset.stop(), Some(StopReason::Reset));
        chipset.write_port(&host, 0x604, 1, 0x34);
        assert_eq!(chipset.stop(), Some(StopReason::Reset));
    }

    proptest! {
        #[test]
        fn any_port_access_is_harmless(steps in prop::collection::vec((any::<bool>(), any::<u16>(), 0usize..4, any::<u32>()), 0..300)) {
            let (mut chipset, host) = (Chipset::default(), Recorder::default());
            for (write, port, size, value) in steps {
                let (port, size) = (if value & 1 == 0 { 0x3F8 + port % 8 } else { port }, [1, 2, 4, 7][size]);
                if write { chipset.write_port(&host, port, size, value) } else { chipset.read_port(&host, port, size); }
            }
        }
    }
}
