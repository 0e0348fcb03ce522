//! The IOAPICs: only what has no message-signalled interrupt is connected here.

use crate::firmware::routing::Input;
use crate::memory::mmio::Registers;
use alloc::vec::Vec;
use spin::Mutex;

const SELECT: usize = 0x00;
const WINDOW: usize = 0x10;
const VERSION: u32 = 0x01;
const REDIRECTION: u32 = 0x10;
const MASKED: u32 = 1 << 16;
const LEVEL: u32 = 1 << 15;
const ACTIVE_LOW: u32 = 1 << 13;

/// All of them. Guards their select and window registers; a leaf lock.
static IOAPICS: Mutex<Vec<IoApic>> = Mutex::new(Vec::new());

/// One IOAPIC.
struct IoApic {
    registers: Registers,
    first: u32,
}

/// Takes over the IOAPICs at these physical addresses, with the number of each one's first input; all inputs are masked.
pub fn start(found: impl Iterator<Item = (u64, u32)>) {
    let open = |(address, first)| {
        let ioapic = IoApic { registers: crate::memory::map_registers(address, 0x20)?, first };
        (0..ioapic.inputs()).for_each(|index| ioapic.write(REDIRECTION + index * 2, MASKED));
        Some(ioapic)
    };
    let opened: Vec<_> = found.filter_map(open).collect();
    IOAPICS.lock().extend(opened);
}

impl IoApic {
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
}

/// Changes the low and the high half of the entry of input `number`; `false`: no IOAPIC has it.
fn update(number: u32, change: impl FnOnce(u32, u32) -> (u32, u32)) -> bool {
    let ioapics = IOAPICS.lock();
    let mut inputs = ioapics.iter().filter_map(|ioapic| Some((ioapic, number.checked_sub(ioapic.first)?)));
    let Some((ioapic, index)) = inputs.find(|(ioapic, index)| *index < ioapic.inputs()) else { return false };
    let low = REDIRECTION + index * 2;
    let (old_low, old_high) = (ioapic.read(low), ioapic.read(low + 1));
    let (new_low, new_high) = change(old_low, old_high);
    if new_high != old_high {
        ioapic.write(low + 1, new_high);
    }
    ioapic.write(low, new_low);
    true
}

/// Sends `input` as `vector` to processor `processor`; `false`: no IOAPIC has it.
pub fn connect(input: Input, vector: u8, processor: u32) -> bool {
    let mut low = u32::from(vector);
    if input.level {
        low |= LEVEL;
    }
    if input.active_low {
        low |= ACTIVE_LOW;
    }
    update(input.number, |_, _| (low, processor << 24))
}

/// Lets nothing of input `number` through for now.
pub fn mask(number: u32) {
    update(number, |low, high| (low | MASKED, high));
}

/// Lets it through again.
pub fn unmask(number: u32) {
    update(number, |low, high| (low & !MASKED, high));
}
