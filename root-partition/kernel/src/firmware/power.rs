//! Power off and reset.

/// Where a register is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Register {
    /// An I/O port.
    Port(u16),
    /// Physical memory.
    Memory(u64),
}

/// What the tables say about both.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PowerRegisters {
    /// PM1a and PM1b control, and the sleep type of each for S5.
    pub pm1: [Option<(u16, u8)>; 2],
    /// The sleep control register of hardware-reduced ACPI, and the sleep type for S5.
    pub sleep_control: Option<(Register, u8)>,
    /// The reset register, and what to write there.
    pub reset: Option<(Register, u8)>,
}

#[cfg(not(test))]
mod act {
    use super::{PowerRegisters, Register};
    use crate::arch::{self, port};
    use core::sync::atomic::{AtomicU16, Ordering};
    use spin::Once;

    static REGISTERS: Once<PowerRegisters> = Once::new();
    /// PM1 control of a machine whose tables do not name it; 0: not found.
    static FOUND: AtomicU16 = AtomicU16::new(0);

    /// SLP_EN of PM1 control (ACPI 6.5, 4.8.3.2.1), and where the sleep type is.
    const SLEEP_ENABLE: u16 = 1 << 13;
    const SLEEP_TYPE_SHIFT: u32 = 10;
    const SLEEP_TYPE: u16 = 7 << SLEEP_TYPE_SHIFT;
    /// The same in the sleep control register (ACPI 6.5, 4.8.3.7).
    const REDUCED_ENABLE: u8 = 1 << 5;

    /// Remembers what the tables say.
    pub(crate) fn start(registers: PowerRegisters) {
        REGISTERS.call_once(|| registers);
    }

    /// Remembers what a device says that is known to have the register, and 0 for the sleep type of S5.
    pub(crate) fn found_pm1_control(port: u16) {
        FOUND.store(port, Ordering::Relaxed);
    }

    fn write(register: Register, value: u8) {
        match register {
            Register::Port(number) => port::write(number, value),
            Register::Memory(address) => {
                if let Some(window) = crate::memory::map_registers(address, 1) {
                    window.write(0, value);
                }
            }
        }
    }

    /// Powers the machine off; where it cannot, stops it.
    pub fn off() -> ! {
        if let Some(registers) = REGISTERS.get() {
            if let Some((register, sleep_type)) = registers.sleep_control {
                write(register, sleep_type << 2 | REDUCED_ENABLE);
            }
            let known = registers.pm1.into_iter().flatten();
            let found = Some((FOUND.load(Ordering::Relaxed), 0)).filter(|(port, _)| *port != 0);
            let found = found.filter(|_| registers.pm1 == [None; 2] && registers.sleep_control.is_none());
            for (number, sleep_type) in known.chain(found) {
                let value = port::read::<u16>(number) & !SLEEP_TYPE;
                port::write(number, value | u16::from(sleep_type) << SLEEP_TYPE_SHIFT | SLEEP_ENABLE);
            }
        }
        wait_a_little();
        crate::console::emergency(format_args!("\r\nThe machine can be switched off now.\r\n"));
        arch::stop()
    }

    /// Resets the machine.
    pub fn reset() -> ! {
        const RESET_CONTROL: u16 = 0xCF9;
        const HARD_RESET: u8 = 6;
        const KEYBOARD_COMMAND: u16 = 0x64;
        const PULSE_RESET: u8 = 0xFE;
        if let Some((register, value)) = REGISTERS.get().and_then(|registers| registers.reset) {
            write(register, value);
            wait_a_little();
        }
        port::write(RESET_CONTROL, HARD_RESET);
        wait_a_little();
        port::write(KEYBOARD_COMMAND, PULSE_RESET);
        wait_a_little();
        arch::stop()
    }

    fn wait_a_little() {
        let until = crate::time::now() + crate::time::SECOND;
        while crate::time::now() < until {
            core::hint::spin_loop();
        }
    }
}
#[cfg(not(test))]
pub(crate) use act::{found_pm1_control, start};
#[cfg(not(test))]
pub use act::{off, reset};
