//! The interrupt table: one stub a vector, which tells ring 3 from ring 0.
#![expect(unsafe_code, reason = "interrupt entry")]

use core::sync::atomic::{AtomicU64, Ordering};
use spin::Once;
use x86_64::VirtAddr;
use x86_64::structures::DescriptorTablePointer;

/// Bytes of a stub.
const STUB: u64 = 16;
const VECTORS: usize = 256;
/// Vectors below are exceptions.
pub(super) const FIRST_INTERRUPT: u64 = 32;

/// What a trap from ring 0 left on the stack, from the lowest address.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "registers")]
pub struct TrapFrame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// Where traps from ring 3 go.
static USER_TRAP: AtomicU64 = AtomicU64::new(0);

/// Traps from ring 3 (but for those with a stack of their own) jump to `entry` with the program's registers, on the
/// processor's trap stack, where the vector, the error code or 0, and the frame of IRETQ are.
///
/// # Safety
/// `entry` is written for that.
pub unsafe fn set_user_trap(entry: unsafe extern "C" fn()) {
    USER_TRAP.store(entry as *const () as u64, Ordering::Relaxed);
}

// Vectors with an error code (APM vol. 2, 8.2): 8, 10 to 14, 17, 21, 29, 30. Vectors with a stack of their own: 2, 8, 18.
core::arch::global_asm!(
    r#"
    .section .text.trap, "ax"
    .align 16
trap_stubs:
    .set vector, 0
    .rept 256
    .align 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
        push 0
    .endif
    push vector
    .if vector == 2 || vector == 8 || vector == 18
        jmp kernel_trap_entry
    .else
        jmp trap_entry
    .endif
    .set vector, vector + 1
    .endr

    .align 16
trap_entry:
    test byte ptr [rsp + 24], 3
    jz kernel_trap_entry
    jmp [rip + {user_trap}]
kernel_trap_entry:
    cld
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    mov rdi, rsp
    mov rbx, rsp
    and rsp, -16
    call {handler}
    mov rsp, rbx
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16
    iretq
"#,
    user_trap = sym USER_TRAP,
    handler = sym kernel_trap,
);

unsafe extern "C" {
    static trap_stubs: u8;
}

extern "C" fn kernel_trap(frame: &TrapFrame) {
    if frame.vector < FIRST_INTERRUPT {
        super::fault::exception(frame);
    }
    crate::interrupts::dispatch(frame.vector as u8);
}

/// A gate (APM vol. 2, 4.8.3).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Gate {
    low: u64,
    high: u64,
}

impl Gate {
    /// An interrupt gate: interrupts off, privilege 0. Stack 0 is the one in use.
    fn new(handler: u64, stack: u64) -> Self {
        const PRESENT_INTERRUPT_GATE: u64 = 0x8E;
        let low = handler & 0xFFFF
            | u64::from(super::KERNEL_CODE) << 16
            | stack << 32
            | PRESENT_INTERRUPT_GATE << 40
            | (handler >> 16 & 0xFFFF) << 48;
        Self { low, high: handler >> 32 }
    }
}

static TABLE: Once<[Gate; VECTORS]> = Once::new();

/// Loads the table.
pub(super) fn start() {
    let stubs = (&raw const trap_stubs).addr() as u64;
    let table = TABLE.call_once(|| {
        core::array::from_fn(|vector| {
            let stack = match vector {
                8 => 1,
                2 => 2,
                18 => 3,
                _ => 0,
            };
            Gate::new(stubs + vector as u64 * STUB, stack)
        })
    });
    let pointer = DescriptorTablePointer {
        limit: (size_of_val(table) - 1) as u16,
        base: VirtAddr::from_ptr(table.as_ptr()),
    };
    // SAFETY: the table is static and every gate leads to a stub.
    unsafe { x86_64::instructions::tables::lidt(&pointer) };
}
