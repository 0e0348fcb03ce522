//! Exceptions in the hypervisor itself. Each but NMI, a redirected INIT and a tried MSR access is a defect, and ends in a
//! panic.
#![expect(unsafe_code, reason = "the interrupt descriptor table and its entry code")]

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU64, Ordering};

use spin::Once;
use x86_64::VirtAddr;
use x86_64::structures::idt::InterruptDescriptorTable;

use crate::arch::layout::Stack;
use crate::arch::panic::Registers;
use crate::arch::vmx::world_switch;
use crate::arch::{per_cpu, vendor};

/// What the entry code leaves on the stack.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Frame {
    /// General registers.
    pub registers: Registers,
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
    push r15
    push r14
    push r13
    push r12
    push r11
    push r10
    push r9
    push r8
    push rdi
    push rsi
    push rbp
    push rbx
    push rdx
    push rcx
    push rax
    cld
    mov rdi, rsp
    call {handle}
    pop rax
    pop rcx
    pop rdx
    pop rbx
    pop rbp
    pop rsi
    pop rdi
    pop r8
    pop r9
    pop r10
    pop r11
    pop r12
    pop r13
    pop r14
    pop r15
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

/// NMIs taken in the hypervisor.
pub static NMIS: AtomicU64 = AtomicU64::new(0);

/// Bytes of an entry of the code above.
const STUB: u64 = 16;
/// The vectors that have their own stack.
const OWN_STACK: [(u8, Stack); 3] = [(8, Stack::DoubleFault), (2, Stack::Nmi), (18, Stack::MachineCheck)];

/// Loads the table, made by whoever comes first.
pub fn load() {
    static TABLE: Once<InterruptDescriptorTable> = Once::new();
    TABLE.call_once(make_table).load();
}

fn make_table() -> InterruptDescriptorTable {
    let mut table = InterruptDescriptorTable::new();
    let stubs = (&raw const exception_stubs).addr() as u64;
    let stub = |vector: u8| VirtAddr::new(stubs.wrapping_add(u64::from(vector).wrapping_mul(STUB)));
    macro_rules! set {
        ($($field:ident $vector:literal),*) => {$(
            // SAFETY: the stub keeps every register and returns with IRETQ.
            let entry = unsafe { table.$field.set_handler_addr(stub($vector)) };
            let own = OWN_STACK.iter().find(|(vector, _)| *vector == $vector);
            if let Some(index) = own.and_then(|(_, stack)| stack.index()) {
                // SAFETY: the task state holds that stack, which nothing else uses.
                unsafe { entry.set_stack_index(index) };
            }
        )*};
    }
    set!(divide_error 0, debug 1, non_maskable_interrupt 2, breakpoint 3, overflow 4, bound_range_exceeded 5,
        invalid_opcode 6, device_not_available 7, double_fault 8, invalid_tss 10, segment_not_present 11,
        stack_segment_fault 12, general_protection_fault 13, page_fault 14, x87_floating_point 16,
        alignment_check 17, machine_check 18, simd_floating_point 19, security_exception 30);
    table
}

extern "C" fn handle(frame: &mut Frame) {
    const NMI: u64 = 2;
    const GENERAL_PROTECTION: u64 = 13;
    const SECURITY: u64 = 30;
    /// Error code of #SX: an INIT was redirected.
    const INIT: u64 = 1;
    if frame.vector == SECURITY && frame.error_code == INIT {
        return;
    }
    if frame.vector == NMI {
        NMIS.fetch_add(1, Ordering::Relaxed);
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
