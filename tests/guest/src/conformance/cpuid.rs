//! CPUID: leaves that answer the same each time, the hypervisor's own, and bits that follow registers.

use hv_abi::control;

use super::event::yes;
use super::probe;
use super::processor::{cpuid, cr4, set_cr4};

/// Asks.
pub fn run() {
    probe!(
        "cpuid a leaf answers the same twice",
        "{}",
        yes((0..0x10).all(|leaf| cpuid(leaf, 0) == cpuid(leaf, 0)))
    );
    probe!("cpuid highest basic leaf", "{:#x}", cpuid(0, 0)[0]);
    probe!("cpuid under a hypervisor", "{}", cpuid(1, 0)[2] >> 31);
    probe!("cpuid hypervisor vendor", "{:x?}", &cpuid(0x4000_0000, 0)[1..]);
    probe!("cpuid hypervisor interface", "{:#x}", cpuid(0x4000_0001, 0)[0]);
    probe!("cpuid privileges", "{:x?}", cpuid(0x4000_0003, 0));
    probe!("cpuid recommendations", "{:x?}", cpuid(0x4000_0004, 0));
    probe!("cpuid behind the hypervisor's leaves", "{:x?}", cpuid(0x4000_00FF, 0));
    probe!(
        "cpuid no virtualization of its own",
        "{} {}",
        cpuid(1, 0)[2] >> 5 & 1,
        cpuid(0x8000_0001, 0)[2] >> 2 & 1
    );
    probe!("cpuid no MONITOR, x2APIC, deadline timer", "{} {} {}", bit(3), bit(21), bit(24));
    probe!("cpuid registers are zero-extended", "{}", yes(zero_extended()));
    probe!("cpuid OSXSAVE follows CR4", "{:?}", follows_osxsave());
    probe!("cpuid one thread a core, its id", "{:x?}", &cpuid(0xB, 0));
}

fn bit(number: u32) -> u32 {
    cpuid(1, 0)[2] >> number & 1
}

fn follows_osxsave() -> [u32; 3] {
    let (before, kept) = (bit(27), cr4());
    set_cr4(kept | control::cr4::OSXSAVE);
    let on = bit(27);
    set_cr4(kept & !control::cr4::OSXSAVE);
    let off = bit(27);
    set_cr4(kept);
    [before, on, off]
}

/// With ones above EAX and ECX.
fn zero_extended() -> bool {
    let mut words = [0; 4];
    super::catch::attempt(
        super::body!(
            "mov rax, -1",
            "shl rax, 32",
            "mov rcx, rax",
            "mov rbx, rax",
            "mov rdx, rax",
            "cpuid",
            "mov [rdi], rax",
            "mov [rdi + 8], rbx",
            "mov [rdi + 16], rcx",
            "mov [rdi + 24], rdx"
        ),
        &mut words,
    );
    words.iter().all(|word| word >> 32 == 0)
}
