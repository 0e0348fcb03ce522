//! Exceptions: each with its error code, where it came, and what went before it.

use super::body;
use super::catch::{Then, attempt, attempt_with, set_gate, usual_gate};
use super::descriptor::{ABSENT, END};
use super::event::Outcome;
use super::page::{PRESENT, RAM, USER, WRITE, map};
use super::probe;
use super::processor::{cr0, cr4, set_cr0, set_cr4};
use super::user::{self, user};
use hv_abi::control::cr0::{AM, NE};
use hv_abi::control::cr4::OSXMMEXCPT;

/// Words whose first is where code begins.
fn placed(instructions: extern "C" fn(*mut u64)) -> (Outcome, u64) {
    let mut words = [0; 4];
    let outcome = attempt(instructions, &mut words);
    (outcome, words[0])
}

/// A line of events with their distances from label 2.
macro_rules! placed {
    ($name:literal, $($text:literal),+) => {{
        let (outcome, base) = placed(body!("lea rax, [rip + 2f]", "mov [rdi], rax", $($text),+));
        probe!($name, "{}", outcome.at(base));
    }};
}

/// Asks.
pub fn run() {
    placed!("exception divide", "xor ecx, ecx", "2: div ecx");
    placed!("exception breakpoint", "2: int3");
    placed!("exception icebp", "2: .byte 0xF1");
    placed!("exception int 1", "2: int 1");
    placed!("exception int 4", "2: int 4");
    placed!("exception ud2", "2: ud2");
    placed!("exception int of another vector", "2: int 0x45");
    placed!("exception lock on a register", "2: .byte 0xF0, 0x01, 0xC0");
    placed!(
        "exception instruction of 16 bytes",
        "2: .byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90"
    );
    placed!("exception into in 64-bit mode", "2: .byte 0xCE");
    placed!("exception address not canonical", "mov rax, 1", "shl rax, 62", "2: mov eax, [rax]");
    placed!("exception stack address not canonical", "mov rbp, 1", "shl rbp, 62", "2: mov eax, [rbp]");
    probe!(
        "exception jump not canonical",
        "{}",
        attempt(body!("mov rax, 1", "shl rax, 62", "jmp rax"), &mut [])
    );
    probe!("exception selector behind the table", "{}", load_ds(END));
    probe!("exception segment not present", "{}", load_ds(ABSENT));
    probe!(
        "exception stack segment not present",
        "{}",
        attempt(body!("mov eax, 0x58", "mov ss, eax"), &mut [])
    );
    probe!(
        "exception code segment that is data",
        "{}",
        attempt(body!("push 0x10", "lea rax, [rip]", "push rax", "retfq"), &mut [])
    );
    probe!("exception gate behind the table", "{}", attempt(body!("int 0xFE"), &mut []));
    probe!("exception jump to a task in long mode", "{}", far_jump(0x48));
    set_gate(0x45, [usual_gate(0x45)[0] & !(1 << 47), 0]);
    probe!("exception gate not present", "{}", attempt(body!("int 0x45"), &mut []));
    set_gate(0x45, usual_gate(0x45));
    double_faults();
    probe!("exception x87 error", "{}", x87());
    probe!("exception SSE error", "{}", sse(false));
    probe!("exception SSE error without OSXMMEXCPT", "{}", sse(true));
    probe!("exception alignment check in user mode", "{}", alignment());
    probe!("exception NM is mended and goes on", "{}", mended());
    probe!(
        "exception iret with NT",
        "{}",
        attempt(body!("pushfq", "bts qword ptr [rsp], 14", "popfq", "iretq"), &mut [])
    );
    probe!("exception popf of reserved flags", "{:#x}", flags());
    let (outcome, flags) = compare_and_exchange();
    probe!("exception cmpxchg16b, and the flags behind it", "{outcome}, {flags:#x}");
    user_gates();
}

fn load_ds(selector: u16) -> Outcome {
    attempt(body!("mov eax, [rdi]", "mov ds, eax"), &mut [u64::from(selector)])
}

fn far_jump(selector: u64) -> Outcome {
    attempt(body!("mov qword ptr [rdi], 0", "rex64 jmp fword ptr [rdi]"), &mut [0, selector])
}

/// #GP whose gate is not there is #NP, which makes a double fault; so does a #PF whose gate is not there.
fn double_faults() {
    set_gate(13, [0; 2]);
    probe!(
        "exception double fault of GP",
        "{}",
        attempt(body!("mov rax, 1", "shl rax, 62", "mov eax, [rax]"), &mut [])
    );
    set_gate(13, usual_gate(13));
    set_gate(14, [0; 2]);
    map(0, 0);
    probe!(
        "exception double fault of PF",
        "{}",
        attempt(body!("mov rax, 1", "shl rax, 39", "mov eax, [rax]"), &mut [])
    );
    set_gate(14, usual_gate(14));
    // #DE is contributory as well, and the table ends before it: #GP of its gate, then #DF.
    set_gate(0, [0; 2]);
    probe!("exception double fault of DE", "{}", attempt(body!("xor ecx, ecx", "div ecx"), &mut []));
    set_gate(0, usual_gate(0));
    set_gate(6, [0; 2]);
    probe!("exception UD without a gate", "{}", attempt(body!("ud2"), &mut []));
    set_gate(6, usual_gate(6));
}

/// Division by zero, unmasked, is reported by the next x87 instruction.
fn x87() -> Outcome {
    let before = cr0();
    set_cr0(before | NE);
    let outcome = attempt(
        body!("fninit", "push 0x37B", "fldcw [rsp]", "pop rax", "fldz", "fld1", "fdiv st, st(1)", "fwait"),
        &mut [],
    );
    attempt(body!("fninit"), &mut []);
    set_cr0(before);
    outcome
}

fn sse(without: bool) -> Outcome {
    let before = cr4();
    if without {
        set_cr4(before & !OSXMMEXCPT);
    }
    let outcome = attempt(
        body!(
            "push 0x1D80",
            "ldmxcsr [rsp]",
            "pop rax",
            "xorps xmm1, xmm1",
            "mov eax, 0x3F800000",
            "movd xmm0, eax",
            "divss xmm0, xmm1"
        ),
        &mut [],
    );
    set_cr4(before);
    attempt(body!("push 0x1F80", "ldmxcsr [rsp]", "pop rax"), &mut []);
    outcome
}

fn alignment() -> Outcome {
    let before = cr0();
    set_cr0(before | AM);
    // RFLAGS.AC, then a read at an odd address.
    let outcome =
        user(body!("pushfq", "bts qword ptr [rsp], 18", "popfq", "mov eax, [rsp + 1]", "int 0x80"), 2);
    set_cr0(before);
    outcome
}

/// The handler clears TS, and the instruction is executed again.
fn mended() -> Outcome {
    let before = cr0();
    set_cr0(before | 8);
    let outcome = attempt_with(
        body!("fninit"),
        &mut [],
        Some(|_| {
            super::processor::clear_task_switched();
            Then::Resume
        }),
    );
    set_cr0(before);
    outcome
}

fn flags() -> u64 {
    let mut words = [0];
    attempt(body!("mov rax, 0x8028", "push rax", "popfq", "pushfq", "pop rax", "mov [rdi], rax"), &mut words);
    words[0]
}

/// CMPXCHG16B that finds what it compares with: ZF is one, and CF and AF are those of the comparison before it.
fn compare_and_exchange() -> (Outcome, u64) {
    let mut words = [0];
    let outcome = attempt(
        body!(
            "mov r8, rsp",
            "and rsp, -16",
            "push 0",
            "push 0",
            "push 2",
            "popfq",
            "xor eax, eax",
            "xor ebx, ebx",
            "xor ecx, ecx",
            "xor edx, edx",
            "xor r9d, r9d",
            "mov r10, -1",
            "cmp r9, r10",
            "cmpxchg16b [rsp]",
            "pushfq",
            "pop rax",
            "mov rsp, r8",
            "mov [rdi], rax"
        ),
        &mut words,
    );
    (outcome, words[0])
}

/// What user mode may not.
fn user_gates() {
    probe!("user int of a gate for the supervisor", "{}", user(body!("int 0x45"), 2));
    probe!("user breakpoint", "{}", user(body!("int3", "int 0x80"), 2));
    probe!("user hlt", "{}", user(body!("hlt"), 2));
    probe!("user cli", "{}", user(body!("cli"), 2));
    probe!("user rdmsr", "{}", user(body!("xor ecx, ecx", "rdmsr"), 2));
    probe!("user in", "{}", user(body!("mov edx, 0x3FD", "in al, dx"), 2));
    probe!("user in with IOPL 3", "{}", user(body!("mov edx, 0x3FD", "in al, dx", "int 0x80"), 0x3002));
    probe!("user cpuid", "{}", user(body!("xor eax, eax", "cpuid", "int 0x80"), 2));
    probe!(
        "user cpuid with a prefix, of the next program without",
        "{} {}",
        user(body!(".byte 0x66", "cpuid", "int 0x80"), 2),
        user(body!("cpuid", "int3", "int 0x80"), 2)
    );
    probe!("user mov to CR3", "{}", user(body!("mov cr3, rax"), 2));
    probe!("user supervisor page", "{}", supervisor_page());
    probe!("user invlpg", "{}", user(body!("invlpg [rsp]"), 2));
    probe!("user vmcall, vmmcall", "{} {}", user(body!("vmcall"), 2), user(body!("vmmcall"), 2));
    probe!("user wbinvd", "{}", user(body!("wbinvd"), 2));
}

fn supervisor_page() -> Outcome {
    map(user::FREE, RAM[3].address() | PRESENT | WRITE);
    let outcome = user(body!("mov rax, 1", "shl rax, 39", "mov eax, [rax + 0x2000]"), 2);
    map(user::FREE, RAM[3].address() | PRESENT | WRITE | USER);
    outcome
}
