//! Exceptions in the hypervisor itself. Each but NMI, a redirected INIT, a trap that was a guest's and a tried MSR access is
//! a defect, and ends in a panic.
#![expect(unsafe_code, reason = "the interrupt descriptor table and its entry code")]

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU64, Ordering};

use handoff::space::Stack;
use hv_abi::control::rflags;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, Segment};
use x86_64::instructions::tables::lidt;
use x86_64::structures::DescriptorTablePointer;

use crate::arch::vmx::world_switch;
use crate::arch::{per_cpu, vendor};
use crate::backend::Gprs;

/// What the entry code leaves on the stack.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Frame {
    /// General registers; RSP is that of the entry code.
    pub registers: Gprs,
    /// Which exception.
    pub vector: u64,
    /// Its error code, or 0.
    pub error_code: u64,
    /// Where it happened.
    pub rip: u64,
    /// Code segment.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack segment.
    pub ss: u64,
}

global_asm!(
    r#"
    .macro stub vector, has_code
        .balign 16
        .if \has_code == 0
        push 0
        .endif
        push \vector
        jmp exception_entry
    .endm

    .balign 16
    .global exception_stubs
exception_stubs:
    .set vector, 0
    .rept 32
        .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
            stub vector, 1
        .else
            stub vector, 0
        .endif
        .set vector, vector + 1
    .endr

exception_entry:
    .irp register, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rsp, rbx, rdx, rcx, rax
    push \register
    .endr
    cld
    mov rdi, rsp
    sub rsp, 8
    call {handle}
    add rsp, 8
    /* RBP twice: the first is RSP's. */
    .irp register, rax, rcx, rdx, rbx, rbp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    pop \register
    .endr
    add rsp, 16
    iretq

    /* rdi: register. rax: value. rdx: 1 when it exists. */
    .global try_rdmsr
try_rdmsr:
    mov ecx, edi
try_rdmsr_at:
    rdmsr
    shl rdx, 32
    or rax, rdx
    mov edx, 1
    ret
try_rdmsr_failed:
    xor eax, eax
    xor edx, edx
    ret

    /* edi: register. esi, edx: value. rax: 1 when it was taken. */
    .global try_wrmsr
try_wrmsr:
    mov ecx, edi
    mov eax, esi
try_wrmsr_at:
    wrmsr
    mov eax, 1
    ret
try_wrmsr_failed:
    xor eax, eax
    ret
    "#,
    handle = sym handle,
);

unsafe extern "C" {
    static exception_stubs: u8;
    static try_rdmsr_at: u8;
    static try_rdmsr_failed: u8;
    static try_wrmsr_at: u8;
    static try_wrmsr_failed: u8;
}

/// The instructions that may raise #GP, and where they go on.
fn recovery(rip: u64) -> Option<u64> {
    let places = [
        (&raw const try_rdmsr_at, &raw const try_rdmsr_failed),
        (&raw const try_wrmsr_at, &raw const try_wrmsr_failed),
    ];
    let place = places.iter().find(|(at, _)| at.addr() as u64 == rip);
    place.map(|(_, failed)| failed.addr() as u64)
}

/// Bytes of an entry of the code above.
const STUB: u64 = 16;
/// The vectors that have their own stack, in the order of the task state.
pub const OWN_STACK: [(u8, Stack); 3] = [(8, Stack::DoubleFault), (2, Stack::Nmi), (18, Stack::MachineCheck)];

/// The gates of all exceptions: two words each, the same on every processor.
static GATES: [AtomicU64; 2 * EXCEPTIONS] = [const { AtomicU64::new(0) }; 2 * EXCEPTIONS];
/// Vectors of exceptions. Others do not come: the hypervisor takes no interrupts.
const EXCEPTIONS: usize = 32;

/// Fills the table and loads it. Each processor does so on its own segments: a gate names the code segment in use, and
/// the loader's is another (UEFI's lies behind the end of the hypervisor's table).
pub fn load() {
    let stubs = (&raw const exception_stubs).addr() as u64;
    let selector = u64::from(CS::get_reg().0);
    for (vector, words) in (0_u8..).zip(GATES.as_chunks::<2>().0) {
        let own = (1_u64..).zip(OWN_STACK).find(|(_, (number, _))| *number == vector);
        let stack = own.map_or(0, |(place, _)| place);
        let address = stubs.wrapping_add(u64::from(vector).wrapping_mul(STUB));
        for (word, value) in words.iter().zip(gate(address, selector, stack)) {
            word.store(value, Ordering::Relaxed);
        }
    }
    let limit = const { size_of::<[u64; 2 * EXCEPTIONS]>() as u16 - 1 };
    let pointer = DescriptorTablePointer { limit, base: VirtAddr::from_ptr(&raw const GATES) };
    // SAFETY: the table stays for good; each stub keeps every register and returns with IRETQ; the stacks that the
    // gates name are in the task state, and nothing else uses them.
    unsafe { lidt(&pointer) };
}

/// An interrupt gate of 64-bit mode, present, for CPL 0 (APM vol. 2, 4.8.4).
const fn gate(address: u64, selector: u64, stack: u64) -> [u64; 2] {
    const PRESENT_INTERRUPT_GATE: u64 = 0x8E << 40;
    let middle = address & 0xFFFF_0000;
    [address & 0xFFFF | selector << 16 | stack << 32 | PRESENT_INTERRUPT_GATE | middle << 32, address >> 32]
}

extern "C" fn handle(frame: &mut Frame) {
    const DEBUG: u64 = 1;
    const NMI: u64 = 2;
    const GENERAL_PROTECTION: u64 = 13;
    const SECURITY: u64 = 30;
    /// Error code of #SX: an INIT was redirected.
    const INIT: u64 = 1;
    if frame.vector == SECURITY && frame.error_code == INIT {
        return;
    }
    // A guest's: nothing steps the hypervisor. Bochs (2.7) carries the trap of an instruction that ends in #VMEXIT over to
    // the host; what such an instruction traps with, the hypervisor injects.
    if frame.vector == DEBUG && frame.rflags & rflags::TF == 0 {
        return;
    }
    if frame.vector == NMI {
        if vendor::is_vmx() {
            per_cpu::this().kicked.store(true, Ordering::Relaxed);
            frame.rip = world_switch::after_nmi(frame.rip).unwrap_or(frame.rip);
        }
        return;
    }
    let recovery = if frame.vector == GENERAL_PROTECTION { recovery(frame.rip) } else { None };
    match recovery {
        Some(rip) => frame.rip = rip,
        None => crate::arch::panic::exception(frame),
    }
}

/// RDMSR of a register that may not exist (Bochs lacks several that every processor has).
pub fn try_rdmsr(register: u32) -> Option<u64> {
    let (value, exists): (u64, u64);
    // SAFETY: reads a model-specific register; where there is none the exception above answers.
    unsafe {
        asm!("call try_rdmsr", in("edi") register, out("rax") value, out("rdx") exists, out("rcx") _);
    }
    (exists != 0).then_some(value)
}

/// WRMSR of a register that may not exist, or not take the value; `false`: it did not.
pub fn try_wrmsr(register: u32, value: u64) -> bool {
    let taken: u64;
    // SAFETY: the caller means the effect of the register; where it is refused the exception above answers.
    unsafe {
        asm!("call try_wrmsr", in("edi") register, in("esi") value as u32, in("edx") (value >> 32) as u32,
            out("rax") taken, out("rcx") _);
    }
    taken != 0
}
