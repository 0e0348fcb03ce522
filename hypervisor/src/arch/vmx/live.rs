//! State of a guest that neither an entry nor an exit switches and that the hypervisor does not use: it stays on the
//! processor across exits, and is switched when another VP is put there.
#![expect(unsafe_code, reason = "model-specific registers, CR2, DR6")]

use core::arch::asm;

use hv_abi::msr;
use x86_64::registers::control::Cr2;
use x86_64::registers::debug::Dr6;

use crate::arch::cpu;
use crate::arch::live::OnProcessor;

/// The model-specific registers among it.
const REGISTERS: [u32; 5] = [msr::STAR, msr::LSTAR, msr::CSTAR, msr::SFMASK, msr::KERNEL_GS_BASE];

/// Their values, and those of two registers beside.
#[derive(Clone, Copy, Debug)]
pub struct Values {
    registers: [u64; REGISTERS.len()],
    pub cr2: u64,
    pub dr6: u64,
}

impl OnProcessor for Values {
    fn read() -> Self {
        let registers = REGISTERS.map(|register| {
            // SAFETY: the register exists on every processor with 64-bit mode.
            unsafe { cpu::rdmsr(register) }
        });
        Self { registers, cr2: Cr2::read_raw(), dr6: Dr6::read_raw() }
    }

    fn write(&self) {
        for (register, value) in REGISTERS.into_iter().zip(self.registers) {
            // SAFETY: the register exists, the value was checked or read from it, and the hypervisor does not use it.
            unsafe { cpu::wrmsr(register, value) };
        }
        // SAFETY: the hypervisor takes no page faults and an exit clears DR7, so they mean nothing to it; the upper
        // half of DR6 is 0.
        unsafe {
            asm!("mov cr2, {}", "mov dr6, {}", in(reg) self.cr2, in(reg) self.dr6, options(nomem, nostack))
        };
    }
}

impl Values {
    /// After RESET.
    pub const RESET: Self = Self { registers: [0; REGISTERS.len()], cr2: 0, dr6: 0xFFFF_0FF0 };

    /// The place of a model-specific register.
    pub fn register(&mut self, number: u32) -> Option<&mut u64> {
        let mut all = REGISTERS.into_iter().zip(&mut self.registers);
        all.find(|(register, _)| *register == number).map(|(_, value)| value)
    }
}
