//! What no guest should do, done: instructions of the hypervisor, every MSR, every port, absent memory, hypercalls
//! with any code and any input. The guest must survive all of it, and so must everybody else.
#![expect(unsafe_code, reason = "every attack is an instruction")]

use core::arch::asm;

use crate::hypercall;
use crate::trap::attempt;
use crate::{power_off, say};

/// Hypercalls made with random input.
const RANDOM_HYPERCALLS: u32 = 20_000;

/// A generator of numbers that look random (xorshift64*), so that a seed names a run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

macro_rules! instructions {
    ($($function:ident: $text:literal),* $(,)?) => {
        $(extern "C" fn $function(_: *mut u64) {
            // SAFETY: it faults, or has no effect that this program depends on; whoever calls it recovers.
            unsafe {
                asm!($text, in("rax") 0x1000_u64, inout("rcx") 0_u64 => _, inout("rdx") 0_u64 => _, out("r8") _, out("r9") _);
            }
        })*
        /// Instructions that a guest has no business to execute.
        const FORBIDDEN: &[(&str, extern "C" fn(*mut u64))] = &[$((stringify!($function), $function)),*];
    };
}

instructions! {
    vmrun: "vmrun rax",
    vmload: "vmload rax",
    vmsave: "vmsave rax",
    stgi: "stgi",
    clgi: "clgi",
    invlpga: "invlpga rax, ecx",
    skinit: ".byte 0x0f, 0x01, 0xde",
    vmxon: ".byte 0xf3, 0x0f, 0xc7, 0x30",
    vmclear: ".byte 0x66, 0x0f, 0xc7, 0x30",
    vmptrld: ".byte 0x0f, 0xc7, 0x30",
    vmlaunch: ".byte 0x0f, 0x01, 0xc2",
    vmread: ".byte 0x0f, 0x78, 0xc1",
    invept: ".byte 0x66, 0x0f, 0x38, 0x80, 0x08",
    vmcall_of_the_other_vendor: ".byte 0x0f, 0x01, 0xc1",
    monitor: "monitor",
    mwait: ".byte 0x0f, 0x01, 0xc9",
    rdpmc: "rdpmc",
    xsetbv: "xsetbv",
    rsm: ".byte 0x0f, 0xaa",
    getsec: ".byte 0x0f, 0x37",
    invd: "invd",
    ud2: "ud2",
    icebp: ".byte 0xf1",
}

/// `[msr, value, 0]`: reads the MSR into `value`.
extern "C" fn read_msr(argument: *mut u64) {
    // SAFETY: `argument` names two words; a fault is recovered from.
    unsafe {
        asm!("rdmsr", "shl rdx, 32", "mov eax, eax", "or rax, rdx", in("rcx") *argument, out("rax") *argument.add(1), out("rdx") _);
    }
}

/// `[msr, value]`: writes the MSR.
extern "C" fn write_msr(argument: *mut u64) {
    // SAFETY: as above; MSRs that would take the ground from under this program are left out by the caller.
    unsafe {
        asm!("wrmsr", in("rcx") *argument, in("rax") *argument.add(1), in("rdx") *argument.add(1) >> 32);
    }
}

/// `[port]`: reads it in every width.
extern "C" fn read_port(argument: *mut u64) {
    // SAFETY: reads only.
    unsafe {
        asm!("in al, dx", "in ax, dx", "in eax, dx", in("rdx") *argument, out("rax") _);
    }
}

/// `[address]`: reads it and writes it.
extern "C" fn touch(argument: *mut u64) {
    // SAFETY: the address is not RAM; a fault is recovered from.
    unsafe {
        asm!("mov rax, [rcx]", "mov [rcx], rax", in("rcx") *argument, out("rax") _);
    }
}

/// `[rcx, rdx, r8, rax]`: a hypercall with these registers.
extern "C" fn call(argument: *mut u64) {
    // SAFETY: it has four words.
    let [rcx, rdx, r8, rax] = unsafe { &mut *argument.cast::<[u64; 4]>() };
    *rax = hypercall::call((*rcx).into(), *rdx, *r8);
}

/// Runs every attack with the numbers that follow from `seed`.
pub fn run(seed: u64) -> ! {
    let mut random = Random(seed | 1);
    for (name, instruction) in FORBIDDEN {
        match attempt(*instruction, &mut []) {
            Some(vector) => say!("HOSTILE {name} vector {vector}"),
            None => say!("HOSTILE {name} executed"),
        }
    }
    model_specific_registers(&mut random);
    let ports = (0..=0xFFFF_u64).filter(|&port| attempt(read_port, &mut [port]).is_some()).count();
    say!("HOSTILE ports that fault: {ports}");
    absent_memory(&mut random);
    hypercalls(&mut random);
    say!("HOSTILE SURVIVED");
    power_off()
}

/// Reads every MSR of the architectural, synthetic and vendors' ranges; writes to those that can be read.
fn model_specific_registers(random: &mut Random) {
    let ranges =
        [0..0x2000_u64, 0x4000_0000..0x4000_0200, 0xC000_0000..0xC000_0200, 0xC001_0000..0xC001_0300];
    let (mut readable, mut faults) = (0, 0);
    // To read HV_X64_MSR_GUEST_IDLE is to sleep until an interrupt, and there is none.
    for msr in ranges.into_iter().flatten().filter(|&msr| msr != 0x4000_00F0) {
        let mut words = [msr, 0];
        if attempt(read_msr, &mut words).is_some() {
            faults += 1;
            continue;
        }
        readable += 1;
        // What this program stands on keeps its value: EFER, bases, the local APIC, the hypercall page, power.
        let kept = matches!(msr, 0x1B | 0x4000_0001 | 0x4000_0003 | 0xC000_0080 | 0xC000_0100 | 0xC000_0101)
            || (0x800..0x900).contains(&msr);
        if !kept {
            let value = words[1];
            attempt(write_msr, &mut [msr, random.next()]);
            attempt(write_msr, &mut [msr, value]);
        }
    }
    say!("HOSTILE msrs readable {readable} faulting {faults}");
}

/// Touches guest-physical addresses where nothing is.
fn absent_memory(random: &mut Random) {
    let mut faults = 0;
    for _ in 0..200 {
        // Between 3 GiB and 4 GiB there is no RAM; the chipset's own pages are left alone.
        let address = 0xC000_0000 + ((random.next() % 0x3E00_0000) & !7);
        faults += u32::from(attempt(touch, &mut [address]).is_some());
    }
    say!("HOSTILE absent memory faults {faults}");
}

/// Hypercalls: each code with plain input, then random control words and addresses.
fn hypercalls(random: &mut Random) {
    if attempt(hypercall::enable, &mut []).is_some() {
        say!("HOSTILE no hypercalls");
        return;
    }
    // Input and output in RAM that nothing else is in.
    let (input, output) = (0x80_0000, 0x80_1000);
    let mut succeeded = 0;
    for code in 0..0x1_0000_u64 {
        let mut words = [code, input, output, 0];
        attempt(call, &mut words);
        succeeded += u32::from(words[3] & 0xFFFF == 0);
    }
    for _ in 0..RANDOM_HYPERCALLS {
        let code = random.next() & if random.next() & 1 == 0 { 0xFF } else { 0xFFFF_FFFF_FFFF_FFFF };
        let shape = random.next() & 0x0FFF_0FFF_07FF_0000;
        let mut words = [code | shape, 0x80_0000 + random.next() % 0x2000, random.next(), 0];
        if random.next() & 3 != 0 {
            words[2] = output;
        } else {
            // Anywhere but in this program.
            words[2] |= 0xC000_0000;
        }
        attempt(call, &mut words);
    }
    say!("HOSTILE hypercalls that succeeded {succeeded}");
}
