//! The IOAPIC: only what has no message-signalled interrupt is connected here.

use crate::drivers::mmio::Registers;

const SELECT: usize = 0x00;
const WINDOW: usize = 0x10;
const VERSION: u32 = 0x01;
const REDIRECTION: u32 = 0x10;
const MASKED: u32 = 1 << 16;
const LEVEL: u32 = 1 << 15;
const ACTIVE_LOW: u32 = 1 << 13;

/// One IOAPIC.
pub struct IoApic {
    registers: Registers,
    first: u32,
}

impl IoApic {
    /// The IOAPIC at physical `address`, whose first input is global interrupt `first`; all inputs are masked.
    #[must_use]
    pub fn new(address: u64, first: u32) -> Option<Self> {
        let ioapic = Self { registers: crate::drivers::map_registers(address, 0x20)?, first };
        for input in 0..ioapic.inputs() {
            ioapic.write(REDIRECTION + input * 2, MASKED);
        }
        Some(ioapic)
    }

    fn inputs(&self) -> u32 {
        (self.read(VERSION) >> 16 & 0xFF) + 1
    }

    fn read(&self, register: u32) -> u32 {
        self.registers.write(SELECT, register);
        self.registers.read(WINDOW)
    }

    fn write(&self, register: u32, value: u32) {
        self.registers.write(SELECT, register);
        self.registers.write(WINDOW, value);
    }

    /// Sends global interrupt `input` as `vector` to processor `processor`; `false`: it is not one of this IOAPIC's.
    pub fn connect(&self, input: u32, vector: u8, processor: u32, level: bool, active_low: bool) -> bool {
        let Some(index) = input.checked_sub(self.first).filter(|&index| index < self.inputs()) else {
            return false;
        };
        let mut low = u32::from(vector);
        if level {
            low |= LEVEL;
        }
        if active_low {
            low |= ACTIVE_LOW;
        }
        self.write(REDIRECTION + index * 2 + 1, processor << 24);
        self.write(REDIRECTION + index * 2, low);
        true
    }
}
