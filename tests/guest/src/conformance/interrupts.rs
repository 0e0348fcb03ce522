//! When interrupts and NMIs are taken: shadows, priorities, HLT.

use super::body;
use super::catch::{Then, attempt, attempt_with};
use super::event::{Outcome, yes};
use super::priority;
use super::processor::{rdmsr, rdtsc, wrmsr, wrmsr_now};
use super::{PATIENCE, Spared, probe};

/// Sends itself vector 0x41 with interrupts off, then runs instructions from label 2: where the interrupt came.
macro_rules! pending {
    ($spared:expr, $name:literal, $($text:literal),+) => {{
        let mut words = [0];
        let outcome = taken(
            $spared,
            body!(
                "mov r15, rdi", "lea rax, [rip + 2f]", "mov [rdi], rax", "mov ecx, 0x83F", "mov eax, 0x41", "xor edx, edx", "wrmsr",
                "xor ebx, ebx", "2:",
                $($text,)+
                "nop", "sti", "nop", "nop", "cli"
            ),
            &mut words,
        );
        probe!($name, "{}", outcome.at(words[0]));
    }};
}

/// What comes of `body`, asked several times where the machine may let an interrupt come late: the first time that it comes,
/// or, where it may come at a later place as well, the earliest.
fn taken(spared: Spared, body: extern "C" fn(*mut u64), words: &mut [u64]) -> Outcome {
    let times = if spared.late_interrupts || spared.late_windows { PATIENCE } else { 1 };
    let mut outcomes = (0..times).map(|_| attempt(body, words)).filter(|outcome| !outcome.is_none());
    let outcome = if spared.late_windows {
        outcomes.min_by_key(|outcome| outcome.first().rip)
    } else {
        outcomes.next()
    };
    outcome.unwrap_or(Outcome::NOTHING)
}

/// Asks.
pub fn run(spared: Spared) {
    pending!(spared, "window cli holds it", "nop");
    pending!(spared, "window cli holds it beyond pause", "pause", "inc ebx");
    pending!(spared, "window sti has a shadow", "sti", "inc ebx", "inc ebx", "cli");
    pending!(spared, "window sti and cli let nothing in", "sti", "cli", "nop");
    pending!(spared, "window sti, then an instruction that exits", "sti", "cpuid", "nop", "cli");
    pending!(spared, "window sti, then a port", "mov edx, 0x3FF", "sti", "in al, dx", "nop", "cli");
    pending!(
        spared,
        "window sti, then absent memory",
        "mov esi, 0xF0000000",
        "sti",
        "mov al, [rsi]",
        "nop",
        "cli"
    );
    pending!(spared, "window sti, then hlt", "sti", "hlt", "cli");
    pending!(spared, "window popf has no shadow", "push 0x202", "popfq", "inc ebx", "cli");
    if !spared.priority {
        pending!(
            spared,
            "window task priority",
            "mov eax, 4",
            "mov cr8, rax",
            "sti",
            "nop",
            "nop",
            "nop",
            "xor eax, eax",
            "mov cr8, rax",
            "nop",
            "cli"
        );
        pending!(
            spared,
            "window task priority below",
            "mov eax, 3",
            "mov cr8, rax",
            "sti",
            "nop",
            "nop",
            "xor eax, eax",
            "mov cr8, rax",
            "cli"
        );
    } else {
        probe!("window task priority", "not tried");
        probe!("window task priority below", "not tried");
    }
    probe!("interrupt the higher goes first", "{}", taken(spared, three(spared), &mut []));
    probe!(
        "interrupt the same twice is one",
        "{}",
        taken(
            spared,
            body!(
                "mov ecx, 0x83F",
                "mov eax, 0x41",
                "xor edx, edx",
                "wrmsr",
                "wrmsr",
                "sti",
                "nop",
                "nop",
                "nop",
                "cli"
            ),
            &mut []
        )
    );
    probe!("interrupt requested, then over", "{:x?}", request_registers(spared));
    probe!("interrupt lower waits for EOI", "{}", lower_waits(spared));
    probe!(
        "interrupt through ICR to itself",
        "{}",
        taken(
            spared,
            body!("mov ecx, 0x830", "mov eax, 0x40042", "xor edx, edx", "wrmsr", "sti", "nop", "nop", "cli"),
            &mut []
        )
    );
    probe!("interrupt while the timer runs ends hlt", "{}", timer_ends_hlt());
    probe!("interrupt of the deadline timer ends hlt", "{}", deadline_ends_hlt());
    priority::run();
    nmi();
}

/// Asks for three and takes them, the second and the third when the one before has ended.
fn three(spared: Spared) -> extern "C" fn(*mut u64) {
    macro_rules! taken {
        ($($text:literal),+) => {
            body!(
                "mov ecx, 0x83F", "xor edx, edx", "mov eax, 0x41", "wrmsr", "mov eax, 0x62", "wrmsr", "mov eax, 0x51", "wrmsr",
                $($text),+
            )
        };
    }
    if spared.late_windows {
        taken!("sti", "nop", "nop", "cli", "sti", "nop", "nop", "cli", "sti", "nop", "nop", "cli")
    } else {
        taken!("sti", "nop", "nop", "nop", "nop", "cli")
    }
}

/// IRR before, then IRR, ISR and processor priority after, of vector 0x41.
fn request_registers(spared: Spared) -> [u64; 4] {
    wrmsr(0x83F, 0x41);
    let requested = rdmsr(0x822).unwrap_or(0);
    taken(spared, body!("sti", "nop", "cli"), &mut []);
    [requested, rdmsr(0x822).unwrap_or(0), rdmsr(0x812).unwrap_or(0), rdmsr(0x80A).unwrap_or(0)]
}

/// The handler of 0x61 asks for 0x51 and lets interrupts in: it comes only after the EOI.
fn lower_waits(spared: Spared) -> Outcome {
    taken(
        spared,
        body!(
            "mov ecx, 0x83F",
            "xor edx, edx",
            "mov eax, 0x61",
            "wrmsr",
            "sti",
            "nop",
            "mov eax, 0x51",
            "wrmsr",
            "nop",
            "cli"
        ),
        &mut [],
    )
}

fn timer_ends_hlt() -> Outcome {
    wrmsr(0x83E, 0xB);
    wrmsr(0x832, 0x44);
    wrmsr(0x838, 200_000);
    let outcome = attempt(body!("sti", "hlt", "cli"), &mut []);
    wrmsr(0x838, 0);
    wrmsr(0x832, 1 << 16);
    outcome
}

fn deadline_ends_hlt() -> Outcome {
    wrmsr(0x832, 0x4_0045);
    wrmsr(0x6E0, rdtsc() + 200_000);
    let outcome = attempt(body!("sti", "hlt", "cli"), &mut []);
    wrmsr(0x832, 1 << 16);
    outcome
}

/// The deadline moves, by `step` ticks each time, over the moment at which STI is reached: its shadow ends behind HLT only. An
/// interrupt that came before HLT would leave it waiting for good. How many did not come behind it.
///
/// Interrupts come at multiples of 100 ns after the timer was armed, so the way from there to STI has other lengths too.
pub fn deadline_around_sti(step: u64) -> usize {
    const LENGTHS: u64 = 25;
    const STEPS: u64 = 100;
    const FAR: u64 = 200_000;
    let mut words = [0; 2];
    let mut try_at = |distance: u64, length: u64| {
        let start = rdtsc();
        wrmsr(0x6E0, start + distance);
        words[1] = length + 1;
        let reached = rdtsc() - start;
        let body = body!(
            "lea rax, [rip + 3f]",
            "mov [rdi], rax",
            "mov rcx, [rdi + 8]",
            "2:",
            "dec rcx",
            "jnz 2b",
            "sti",
            "hlt",
            "3:",
            "cli"
        );
        let outcome = attempt(body, &mut words);
        let right = outcome.events().len() == 1 && outcome.first().vector == 0x45;
        (right && outcome.first().rip == words[0], reached)
    };
    wrmsr(0x832, 0x4_0045);
    // The first take longer: they are the first to touch what they need.
    let reached = (0..16).map(|_| try_at(FAR, 0).1).min().unwrap_or(FAR);
    let tries = (0..LENGTHS).flat_map(|length| (0..STEPS).map(move |number| (length, number)));
    let wrong = tries.filter(|(length, number)| !try_at(reached + number * step, *length).0).count();
    wrmsr(0x832, 1 << 16);
    wrong
}

const NMI_TO_SELF: u64 = 0x400;

fn nmi() {
    probe!(
        "nmi to itself",
        "{}",
        attempt(body!("mov ecx, 0x830", "mov eax, 0x400", "xor edx, edx", "wrmsr", "nop", "nop"), &mut [])
    );
    probe!("nmi waits for the end of its handler", "{}", nested());
}

/// The handler of the first sends two more: they are one, and it comes when the handler has ended, at an exit at the latest.
fn nested() -> &'static str {
    let mut words = [0];
    let outcome = attempt_with(
        body!(
            "lea rax, [rip]",
            "mov [rdi], rax",
            "mov ecx, 0x830",
            "mov eax, 0x400",
            "xor edx, edx",
            "wrmsr",
            "nop",
            "xor eax, eax",
            "cpuid",
            "nop",
            "xor eax, eax",
            "cpuid",
            "nop",
            "nop"
        ),
        &mut words,
        Some(|frame| {
            if frame.r8 != 0x600D {
                frame.r8 = 0x600D;
                wrmsr_now(0x830, NMI_TO_SELF);
                wrmsr_now(0x830, NMI_TO_SELF);
            }
            Then::Resume
        }),
    );
    let in_body = outcome.events().iter().all(|event| event.rip.wrapping_sub(words[0]) < 64);
    yes(outcome.count_of(2) == 2 && outcome.events().len() == 2 && in_body)
}
