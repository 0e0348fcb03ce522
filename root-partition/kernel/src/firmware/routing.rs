//! Which input of the IOAPICs an interrupt that is no message arrives at.
//!
//! 1. ISA: input number = IRQ, edge, active high, but for the overrides of the MADT (ACPI 6.5, 5.2.12.5).
//! 2. A PCI pin: what the table of the multiprocessor specification says ([`super::mp`]), where firmware still writes
//!    one. Otherwise the ISA IRQ in the function's interrupt line register, level-triggered: firmware routed the pin there
//!    for operating systems that use the 8259s, and on most chipsets that wire reaches the IOAPIC as well.
//!
//! Not covered: machines that tell the routing in AML (`_PRT`) only, and whose IOAPIC does not see the ISA wires. Little
//! depends on a pin: IDE controllers in native mode, whose driver looks for lost interrupts itself, and virtio devices
//! without MSI-X.

use super::mp::PinRoute;
use alloc::vec::Vec;

/// Where an interrupt arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Input {
    /// Its number over all IOAPICs (global system interrupt).
    pub number: u32,
    /// Level-triggered.
    pub level: bool,
    /// Active low.
    pub active_low: bool,
}

/// An override: an ISA interrupt that is not what its number says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Override {
    /// The ISA IRQ.
    pub irq: u8,
    /// Where it arrives.
    pub input: Input,
}

/// What the tables say.
#[derive(Debug, Default)]
pub struct Routing {
    /// Of the MADT.
    pub overrides: Vec<Override>,
    /// Of the multiprocessor table.
    pub pins: Vec<PinRoute>,
}

impl Routing {
    /// Where an ISA interrupt arrives.
    #[must_use]
    pub fn isa(&self, irq: u8) -> Input {
        let found = self.overrides.iter().find(|entry| entry.irq == irq);
        found.map_or(Input { number: u32::from(irq), level: false, active_low: false }, |entry| entry.input)
    }

    /// Where pin `pin` (0 is INTA) of `device` on `bus` arrives; `line` is its interrupt line register. `None`: nobody
    /// says.
    #[must_use]
    pub fn pin(&self, bus: u8, device: u8, pin: u8, line: u8) -> Option<Input> {
        let listed =
            self.pins.iter().find(|route| (route.bus, route.device, route.pin) == (bus, device, pin));
        if let Some(route) = listed {
            // An override speaks about the same wire, and firmware is more careful with the newer table.
            let known = self.overrides.iter().map(|entry| entry.input);
            return known.into_iter().find(|input| input.number == route.input.number).or(Some(route.input));
        }
        if !(1..=15).contains(&line) {
            return None;
        }
        let found = self.overrides.iter().find(|entry| entry.irq == line);
        Some(
            found.map_or(Input { number: u32::from(line), level: true, active_low: true }, |entry| {
                entry.input
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(number: u32, level: bool, active_low: bool) -> Input {
        Input { number, level, active_low }
    }

    fn routing() -> Routing {
        let overrides = [(0, input(2, false, false)), (10, input(10, true, false))];
        let overrides = overrides.map(|(irq, input)| Override { irq, input }).to_vec();
        let pins = vec![
            PinRoute { bus: 0, device: 31, pin: 1, input: input(18, true, true) },
            PinRoute { bus: 0, device: 5, pin: 0, input: input(10, true, true) },
        ];
        Routing { overrides, pins }
    }

    #[test]
    fn isa_interrupts_are_their_number_but_for_overrides() {
        assert_eq!(routing().isa(14), input(14, false, false));
        assert_eq!(routing().isa(0), input(2, false, false));
    }

    #[test]
    fn a_pin_is_what_a_table_says_or_else_its_line() {
        assert_eq!(routing().pin(0, 31, 1, 11), Some(input(18, true, true)));
        assert_eq!(routing().pin(0, 5, 0, 10), Some(input(10, true, false)));
        assert_eq!(routing().pin(0, 6, 0, 10), Some(input(10, true, false)));
        assert_eq!(routing().pin(0, 31, 0, 11), Some(input(11, true, true)));
        assert_eq!(routing().pin(0, 31, 0, 0xFF), None);
        assert_eq!(routing().pin(0, 31, 0, 0), None);
    }
}
