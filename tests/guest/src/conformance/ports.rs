//! Ports and device memory, in every width and string form.

use super::body;
use super::catch::attempt;
use super::event::Outcome;
use super::page::{PRESENT, RAM, WINDOW, WRITE, map};
use super::probe;

/// What RAX holds before.
const BEFORE: u64 = 0x1122_3344_5566_7788;
/// The page of the window that strings use, and the one behind it, which is not there.
const PAGE: usize = 3;
const AT: u64 = WINDOW + ((PAGE as u64) << 12);

/// RAX after an instruction that reads with RDX `port`.
macro_rules! port {
    ($port:literal, $text:literal) => {{
        let mut words = [BEFORE, 0];
        attempt(
            body!("mov rax, [rdi]", concat!("mov edx, ", $port), $text, "mov [rdi + 8], rax"),
            &mut words,
        );
        words[1]
    }};
}

/// RAX after instructions that read `[rsi]`, an address where nothing is.
macro_rules! absent {
    ($($text:literal),+) => {{
        let mut words = [BEFORE, 0];
        let outcome = attempt(body!("mov rax, [rdi]", "mov esi, 0xF0000000", $($text,)+ "mov [rdi + 8], rax"), &mut words);
        super::event::Value(if outcome.is_none() { Ok(words[1]) } else { Err(outcome.first()) })
    }};
}

/// Asks.
pub fn run() {
    widths();
    strings();
    memory();
    memory_strings();
}

fn widths() {
    probe!("port in al of an absent port", "{:#x}", port!("0x510", "in al, dx"));
    probe!("port in ax of an absent port", "{:#x}", port!("0x510", "in ax, dx"));
    probe!("port in eax of an absent port", "{:#x}", port!("0x510", "in eax, dx"));
    probe!("port in al of an immediate port", "{:#x}", port!("0", "in al, 0xE0"));
    probe!("port out and in of a byte", "{:#x}", port!("0x3FF", "out dx, al\n mov al, 0\n in al, dx"));
    probe!(
        "port out of a word reaches two ports",
        "{:#x}",
        port!("0x3FE", "out dx, ax\n inc edx\n in al, dx")
    );
    probe!(
        "port out of four bytes reaches four ports",
        "{:#x}",
        port!("0x3FC", "mov eax, 0x5A000003\n out dx, eax\n add edx, 3\n in al, dx")
    );
    probe!("port in of the last port", "{:#x}", port!("0xFFFF", "in al, dx"));
}

/// RDI, RCX and what is in memory, after a string instruction on the scratch register of the serial port.
fn string(instructions: extern "C" fn(*mut u64), at: u64, count: u64) -> (Outcome, u64, u64) {
    map(PAGE, RAM[2].address() | PRESENT | WRITE);
    map(PAGE + 1, 0);
    for word in 0..512 {
        RAM[2].set(word, 0x0807_0605_0403_0201);
    }
    let mut words = [at, count, 0, 0];
    let outcome = attempt(instructions, &mut words);
    (outcome, words[0].wrapping_sub(at), words[1])
}

/// A string instruction with RDX a port, RDI and RSI the address and RCX the count.
macro_rules! string {
    ($port:literal, $at:expr, $count:expr, $($text:literal),+) => {
        string(
            body!(
                "mov r15, rdi", concat!("mov edx, ", $port), "mov rcx, [r15 + 8]", "mov rsi, [r15]", "mov rdi, rsi",
                "mov rbx, rsi",
                $($text,)+
                "sub rsi, rbx", "add rdi, rsi", "mov [r15], rdi", "mov [r15 + 8], rcx", "cld"
            ),
            $at,
            $count,
        )
    };
}

fn strings() {
    let show = |(outcome, moved, left): (Outcome, u64, u64)| -> (Outcome, i64, u64) {
        (outcome, moved.cast_signed(), left)
    };
    let (outcome, moved, left) = show(string!("0x3FF", AT, 5, "rep outsb"));
    probe!(
        "string rep outsb",
        "{outcome}, moved {moved}, left {left}, last {:#x}",
        port!("0x3FF", "in al, dx") & 0xFF
    );
    let (outcome, moved, left) = show(string!("0x3FF", AT + 8, 5, "rep insb"));
    probe!("string rep insb", "{outcome}, moved {moved}, left {left}, {:x}", RAM[2].get(1));
    let (outcome, moved, left) = show(string!("0x3FF", AT + 15, 3, "std", "rep insb"));
    probe!("string rep insb down", "{outcome}, moved {moved}, left {left}, {:x}", RAM[2].get(1));
    let (outcome, moved, left) = show(string!("0x510", AT, 1, "insw"));
    probe!("string insw", "{outcome}, moved {moved}, left {left}, {:x}", RAM[2].get(0));
    let (outcome, moved, left) = show(string!("0x510", AT, 2, "rep insd"));
    probe!(
        "string rep insd",
        "{outcome}, moved {moved}, left {left}, {:x} {:x}",
        RAM[2].get(0),
        RAM[2].get(1)
    );
    let (outcome, moved, left) = show(string!("0x510", AT, 3, "rep outsd"));
    probe!("string rep outsd", "{outcome}, moved {moved}, left {left}");
    let (outcome, moved, left) = show(string!("0x510", AT, 0, "rep insb"));
    probe!("string nothing to do", "{outcome}, moved {moved}, left {left}, {:x}", RAM[2].get(0));
    let (outcome, moved, left) = show(string!("0x510", AT, 3, "std", "outsw", "outsw"));
    probe!("string outsw down", "{outcome}, moved {moved}, left {left}");
    let (outcome, ..) = string!("0x510", AT + 0x1800, 2, "rep insb");
    probe!("string insb to a page that is not there", "{outcome}");
    let (outcome, ..) = string!("0x510", AT + 0x1800, 2, "rep outsb");
    probe!("string outsb from a page that is not there", "{outcome}");
    probe!("string rep insb into a page that is not there", "{}", half());
    probe!("string many insb", "{}", {
        let (outcome, moved, left) = string!("0x510", AT, 4096, "rep insb");
        (moved, left, outcome.is_none(), RAM[2].get(511)) == (4096, 0, true, u64::MAX)
    });
}

/// The page behind is mapped when the fault comes, and the instruction goes on.
fn half() -> Outcome {
    map(PAGE, RAM[2].address() | PRESENT | WRITE);
    map(PAGE + 1, 0);
    let mut words = [AT + 0xFFC, 8];
    let mut outcome = super::catch::attempt_with(
        body!(
            "mov r15, rdi",
            "mov edx, 0x510",
            "mov rcx, [r15 + 8]",
            "mov rdi, [r15]",
            "rep insb",
            "mov [r15], rdi",
            "mov [r15 + 8], rcx"
        ),
        &mut words,
        Some(|frame| {
            map(PAGE + 1, RAM[3].address() | PRESENT | WRITE);
            // What is left is what lies behind the boundary.
            if frame.rcx == 4 && frame.rdi == AT + 0x1000 {
                super::catch::Then::Resume
            } else {
                super::catch::Then::End
            }
        }),
    );
    if words != [AT + 0x1004, 0] {
        outcome.note(super::event::Event::default());
    }
    outcome
}

fn memory() {
    probe!("absent memory mov al", "{}", absent!("mov al, [rsi]"));
    probe!("absent memory mov ah", "{}", absent!("mov ah, [rsi]"));
    probe!("absent memory mov ax", "{}", absent!("mov ax, [rsi]"));
    probe!("absent memory mov eax", "{}", absent!("mov eax, [rsi]"));
    probe!("absent memory mov rax", "{}", absent!("mov rax, [rsi]"));
    probe!(
        "absent memory movzx, movsx",
        "{} {}",
        absent!("movzx eax, byte ptr [rsi]"),
        absent!("movsx rax, word ptr [rsi]")
    );
    probe!(
        "absent memory and, or, xor, add",
        "{} {} {} {}",
        absent!("and rax, [rsi]"),
        absent!("or rax, [rsi]"),
        absent!("xor rax, [rsi]"),
        absent!("add rax, [rsi]")
    );
    probe!("absent memory cmp", "{}", absent!("cmp qword ptr [rsi], -1", "setz al", "movzx eax, al"));
    probe!("absent memory test", "{}", absent!("test byte ptr [rsi], 0x80", "sets al", "movzx eax, al"));
    probe!("absent memory xchg", "{}", absent!("xchg eax, [rsi]"));
    probe!("absent memory lock xadd", "{}", absent!("lock xadd [rsi], eax"));
    probe!("absent memory lock cmpxchg", "{}", absent!("mov rax, -1", "lock cmpxchg [rsi], rcx", "setz al"));
    probe!(
        "absent memory lock add, bts",
        "{} {}",
        absent!("lock add dword ptr [rsi], 1", "lahf", "shr eax, 8", "movzx eax, al"),
        absent!("lock bts dword ptr [rsi], 1", "setc al")
    );
    probe!("absent memory bt", "{}", absent!("bt dword ptr [rsi], 5", "setc al"));
    probe!(
        "absent memory writes",
        "{}",
        absent!(
            "mov [rsi], al",
            "mov [rsi], ax",
            "mov [rsi], eax",
            "mov [rsi], rax",
            "mov dword ptr [rsi], 7",
            "mov al, [rsi]"
        )
    );
    probe!("ioapic select and window", "{:#x}", ioapic());
    probe!("ioapic window in other widths", "{:x?}", ioapic_widths());
}

/// Redirection entry 20 by the registers at 0xFEC00000 and 0xFEC00010.
fn ioapic() -> u64 {
    let mut words = [0];
    attempt(
        body!(
            "mov esi, 0xFEC00000",
            "mov dword ptr [rsi], 0x38",
            "mov dword ptr [rsi + 16], 0x10055",
            "mov dword ptr [rsi], 0x39",
            "mov eax, [rsi + 16]",
            "mov dword ptr [rsi], 0x38",
            "mov eax, [rsi + 16]",
            "mov [rdi], rax"
        ),
        &mut words,
    );
    words[0]
}

fn ioapic_widths() -> [u64; 3] {
    let mut words = [0; 3];
    attempt(
        body!(
            "mov esi, 0xFEC00000",
            "mov dword ptr [rsi], 0x38",
            "movzx eax, byte ptr [rsi + 16]",
            "mov [rdi], rax",
            "movzx eax, word ptr [rsi + 16]",
            "mov [rdi + 8], rax",
            "mov eax, [rsi + 16]",
            "mov [rdi + 16], rax"
        ),
        &mut words,
    );
    words
}

fn memory_strings() {
    let mut words = [0; 6];
    let outcome = attempt(
        body!(
            "mov r15, rdi",
            "mov esi, 0xF0000000",
            "mov ecx, 5",
            "rep movsb",
            "mov [r15 + 40], rcx",
            "std",
            "lea rdi, [r15 + 24]",
            "mov esi, 0xF0000100",
            "mov ecx, 2",
            "rep movsq",
            "cld",
            "sub rdi, r15",
            "mov [r15 + 32], rdi"
        ),
        &mut words,
    );
    probe!("string rep movs from absent memory", "{outcome} {words:x?}");
    let mut words = [1, 2, 3, 0, 0, 0];
    let outcome = attempt(
        body!(
            "mov r15, rdi",
            "mov rsi, rdi",
            "mov edi, 0xF0000000",
            "mov ecx, 3",
            "rep movsq",
            "mov eax, 9",
            "mov ecx, 4",
            "rep stosd",
            "mov [r15 + 24], edi",
            "mov [r15 + 32], rcx"
        ),
        &mut words,
    );
    probe!("string rep movs and stos to absent memory", "{outcome} {words:x?}");
    let mut words = [0; 3];
    let outcome = attempt(
        body!(
            "mov r15, rdi",
            "mov edi, 0xF0000000",
            "mov eax, -1",
            "mov ecx, 9",
            "repe scasb",
            "setz al",
            "movzx eax, al",
            "mov [r15], rax",
            "mov [r15 + 8], rcx",
            "mov esi, 0xF0000000",
            "lodsd",
            "mov [r15 + 16], rax"
        ),
        &mut words,
    );
    probe!("string scas and lods of absent memory", "{outcome} {words:x?}");
    let mut words = [0x38, 0x0001_0066, 0];
    let outcome = attempt(
        body!(
            "mov r15, rdi",
            "mov rsi, rdi",
            "mov edi, 0xFEC00000",
            "movsd",
            "lea rsi, [r15 + 8]",
            "mov edi, 0xFEC00010",
            "movsd",
            "mov esi, 0xFEC00010",
            "lea rdi, [r15 + 16]",
            "movsd"
        ),
        &mut words,
    );
    probe!("string movs to and from a device", "{outcome} {:#x}", words[2]);
}
