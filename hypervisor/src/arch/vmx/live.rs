//! State of a guest that neither an entry nor an exit switches and that the hypervisor does not use: it stays on the
//! processor across exits, and is switched when another VP is put there.
#![expect(unsafe_code, reason = "model-specific registers, CR2, DR6")]

use core::arch::asm;

use hv_abi::msr;

use crate::arch::cpu;

/// The model-specific registers among it.
const REGISTERS: [u32; 5] = [msr::STAR, msr::LSTAR, msr::CSTAR, msr::SFMASK, msr::KERNEL_GS_BASE];

/// DR6 after RESET.
const RESET_DR6: u64 = 0xFFFF_0FF0;

/// A VP's share of it.
#[derive(Debug)]
pub struct Live {
    registers: [u64; REGISTERS.len()],
    cr2: u64,
    dr6: u64,
    loaded: bool,
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

impl Live {
    /// After RESET.
    pub const fn new() -> Self {
        Self { registers: [0; REGISTERS.len()], cr2: 0, dr6: RESET_DR6, loaded: false }
    }

    /// Puts it on the processor.
    pub fn load(&mut self) {
        self.loaded = true;
        for (register, value) in REGISTERS.into_iter().zip(self.registers) {
            write_msr(register, value);
        }
        write_cr2(self.cr2);
        write_dr6(self.dr6);
    }

    /// Takes it off the processor.
    pub fn unload(&mut self) {
        self.loaded = false;
        for (register, value) in REGISTERS.into_iter().zip(&mut self.registers) {
            *value = read_msr(register);
        }
        self.cr2 = read_cr2();
        self.dr6 = read_dr6();
    }

    /// As after RESET, where it is on no processor.
    pub fn reset(&mut self) {
        *self = Self { loaded: self.loaded, ..Self::new() };
        if self.loaded {
            self.load();
        }
    }

    /// A model-specific register.
    pub fn register(&self, number: u32) -> u64 {
        let mut all = REGISTERS.into_iter().zip(self.registers);
        match all.find(|(register, _)| *register == number) {
            Some(_) if self.loaded => read_msr(number),
            Some((_, value)) => value,
            None => 0,
        }
    }

    /// Sets one, to a value that the processor takes.
    pub fn set_register(&mut self, number: u32, value: u64) {
        let mut all = REGISTERS.into_iter().zip(&mut self.registers);
        if let Some((_, slot)) = all.find(|(register, _)| *register == number) {
            *slot = value;
            if self.loaded {
                write_msr(number, value);
            }
        }
    }

    /// CR2.
    pub fn cr2(&self) -> u64 {
        if self.loaded { read_cr2() } else { self.cr2 }
    }

    /// Sets CR2.
    pub fn set_cr2(&mut self, value: u64) {
        self.cr2 = value;
        if self.loaded {
            write_cr2(value);
        }
    }

    /// DR6.
    pub fn dr6(&self) -> u64 {
        if self.loaded { read_dr6() } else { self.dr6 }
    }

    /// Sets DR6, of which 32 bits exist.
    pub fn set_dr6(&mut self, value: u64) {
        self.dr6 = value;
        if self.loaded {
            write_dr6(value);
        }
    }
}

fn read_msr(register: u32) -> u64 {
    // SAFETY: the register exists on every processor with 64-bit mode.
    unsafe { cpu::rdmsr(register) }
}

fn write_msr(register: u32, value: u64) {
    // SAFETY: the register exists, the value was checked or read from it, and the hypervisor does not use it.
    unsafe { cpu::wrmsr(register, value) };
}

fn read_cr2() -> u64 {
    let value;
    // SAFETY: the hypervisor takes no page faults, so the register is the guest's.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack)) };
    value
}

fn write_cr2(value: u64) {
    // SAFETY: as above.
    unsafe { asm!("mov cr2, {}", in(reg) value, options(nomem, nostack)) };
}

fn read_dr6() -> u64 {
    let value;
    // SAFETY: an exit clears DR7, so the register means nothing to the hypervisor.
    unsafe { asm!("mov {}, dr6", out(reg) value, options(nomem, nostack)) };
    value
}

fn write_dr6(value: u64) {
    // SAFETY: as above; the upper half is 0.
    unsafe { asm!("mov dr6, {}", in(reg) value, options(nomem, nostack)) };
}
