//! State that an entry into a guest does not switch: x87 and vector registers, XCR0, debug registers, TSC_AUX.
//!
//! The hypervisor itself uses none of it, so it stays live across exits and is switched only when another VP is put on
//! the processor.
#![expect(unsafe_code, reason = "XSAVE, debug registers, TSC_AUX")]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::registers::debug::{DebugAddressRegister, Dr0, Dr1, Dr2, Dr3};
use x86_64::registers::xcontrol::XCr0;

use crate::arch::cpu;
use crate::arch::live::{Live, OnProcessor};

/// Bytes of the save area: enough for AVX-512 and PKRU in the standard form.
const AREA: usize = 2752;
/// Components that guests may have: x87, SSE, AVX, the three of AVX-512, PKRU.
const COMPONENTS: u64 = 0b10_1110_0111;
const X87: u64 = 1 << 0;
const SSE: u64 = 1 << 1;
const AVX: u64 = 1 << 2;
const AVX512: u64 = 0b111 << 5;

/// The components of this machine; 0: it has no XSAVE, and FXSAVE is used.
static ALL: AtomicU64 = AtomicU64::new(0);
/// Whether there is TSC_AUX.
static HAS_TSC_AUX: AtomicU64 = AtomicU64::new(0);

/// A VP's share of it.
#[repr(C, align(64))]
pub struct Extended {
    area: [u8; AREA],
    xcr0: u64,
    loaded: bool,
    /// Registers that no component of XSAVE holds.
    pub registers: Live<Registers>,
}

/// DR0 to DR3, which mean nothing to the hypervisor, whose DR7 is clear; and TSC_AUX.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    pub dr: [u64; 4],
    pub tsc_aux: u64,
}

impl OnProcessor for Registers {
    fn read() -> Self {
        let dr = [Dr0::read(), Dr1::read(), Dr2::read(), Dr3::read()];
        let has_tsc_aux = HAS_TSC_AUX.load(Ordering::Relaxed) != 0;
        // SAFETY: the register exists.
        Self { dr, tsc_aux: if has_tsc_aux { unsafe { cpu::rdmsr(cpu::TSC_AUX) } } else { 0 } }
    }
    fn write(&self) {
        let [a, b, c, d] = self.dr;
        Dr0::write(a);
        Dr1::write(b);
        Dr2::write(c);
        Dr3::write(d);
        if HAS_TSC_AUX.load(Ordering::Relaxed) != 0 {
            // SAFETY: the register exists, the hypervisor does not use it, and the upper half is 0.
            unsafe { cpu::wrmsr(cpu::TSC_AUX, self.tsc_aux) };
        }
    }
}

/// Finds out what the machine has, and enables it for the hypervisor on this processor.
pub fn init() {
    const XSAVE: u32 = 1 << 26;
    const RDTSCP: u32 = 1 << 27;
    let [last, ..] = cpu::cpuid(0, 0);
    let [_, _, ecx, _] = cpu::cpuid(1, 0);
    let [_, _, _, edx] = cpu::cpuid(0x8000_0001, 0);
    HAS_TSC_AUX.store(u64::from(edx & RDTSCP != 0), Ordering::Relaxed);
    if ecx & XSAVE == 0 || last < 0xD {
        return;
    }
    let [low, _, _, high] = cpu::cpuid(0xD, 0);
    let mut all = (u64::from(high) << 32 | u64::from(low)) & COMPONENTS;
    for component in 2..64 {
        let [size, offset, ..] = cpu::cpuid(0xD, component);
        if all >> component & 1 != 0 && offset.saturating_add(size) as usize > AREA {
            all &= !(1 << component);
        }
    }
    ALL.store(all, Ordering::Relaxed);
}

/// Whether the hypervisor's CR4 needs OSXSAVE.
pub fn has_xsave() -> bool {
    ALL.load(Ordering::Relaxed) != 0
}

fn xsetbv(value: u64) {
    // SAFETY: CR4.OSXSAVE is set where this is called, and the value was checked.
    unsafe { XCr0::write_raw(value) };
}

impl Extended {
    /// After RESET.
    pub const fn new() -> Self {
        let mut area = [0; AREA];
        // FCW = 037F (used by FXRSTOR; XRSTOR takes the initial state), MXCSR = 1F80.
        area[0] = 0x7F;
        area[1] = 0x03;
        area[24] = 0x80;
        area[25] = 0x1F;
        let registers = Live::new(Registers { dr: [0; 4], tsc_aux: 0 });
        Self { area, xcr0: X87, loaded: false, registers }
    }

    /// Puts it on the processor.
    pub fn load(&mut self) {
        self.loaded = true;
        let all = ALL.load(Ordering::Relaxed);
        let area = self.area.as_ptr();
        if all == 0 {
            // SAFETY: the area is aligned and holds what FXSAVE or `new` wrote.
            unsafe { asm!("fxrstor64 [{}]", in(reg) area, options(nostack)) };
        } else {
            xsetbv(all);
            // SAFETY: the area is aligned, large enough, and holds what XSAVE or `new` wrote.
            unsafe {
                asm!("xrstor64 [{}]", in(reg) area, in("eax") all as u32, in("edx") (all >> 32) as u32,
                    options(nostack));
            }
            xsetbv(self.xcr0);
        }
        self.registers.load();
    }

    /// Takes it off the processor.
    pub fn unload(&mut self) {
        self.loaded = false;
        let all = ALL.load(Ordering::Relaxed);
        let area = self.area.as_mut_ptr();
        if all == 0 {
            // SAFETY: the area is aligned and has 512 bytes.
            unsafe { asm!("fxsave64 [{}]", in(reg) area, options(nostack)) };
        } else {
            self.xcr0 = XCr0::read_raw();
            xsetbv(all);
            // SAFETY: the area is aligned and large enough for all components.
            unsafe {
                asm!("xsave64 [{}]", in(reg) area, in("eax") all as u32, in("edx") (all >> 32) as u32,
                    options(nostack));
            }
        }
        self.registers.unload();
    }

    /// XCR0.
    pub fn xcr0(&self) -> u64 {
        if self.loaded && has_xsave() { XCr0::read_raw() } else { self.xcr0 }
    }

    /// Sets XCR0 where the processor would take the value.
    pub fn set_xcr0(&mut self, value: u64) -> bool {
        let all = ALL.load(Ordering::Relaxed);
        let avx512 = value & AVX512;
        let valid = value & X87 != 0
            && value & !all == 0
            && (value & AVX == 0 || value & SSE != 0)
            && (avx512 == 0 || avx512 == AVX512 && value & AVX != 0);
        if valid {
            self.xcr0 = value;
            if self.loaded {
                xsetbv(value);
            }
        }
        valid
    }
}
