//! The hypervisor's own interface: synthetic MSRs, the hypercall page, reference time, synthetic timers.

use hv_abi::msr::{
    HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL, HV_X64_MSR_SINT0, HV_X64_MSR_STIMER0_CONFIG,
    HV_X64_MSR_STIMER0_COUNT, HV_X64_MSR_SVERSION, HV_X64_MSR_TIME_REF_COUNT, HV_X64_MSR_VP_INDEX,
    HV_X64_MSR_VP_RUNTIME,
};

use super::body;
use super::catch::attempt;
use super::event::{Outcome, Value, yes};
use super::page::Page;
use super::probe;
use super::processor::{rdmsr, rdtsc, wrmsr};

const REFERENCE_TSC: u32 = 0x4000_0021;
/// An operating system of nobody.
const OS: u64 = 0x8180_0000_0000_0004;

const SCONTROL: u32 = 0x4000_0080;
const SIMP: u32 = 0x4000_0083;

static MESSAGES: Page = Page::new();
/// The hypercall page, from when this area was asked.
pub static HYPERCALL: Page = Page::new();
static REFERENCE: Page = Page::new();

/// Asks.
pub fn run() {
    probe!(
        "hyperv page is off without an OS id",
        "{}",
        Value({
            wrmsr(HV_X64_MSR_GUEST_OS_ID, 0);
            wrmsr(HV_X64_MSR_HYPERCALL, HYPERCALL.address() | 1);
            rdmsr(HV_X64_MSR_HYPERCALL).map(|value| value & 1)
        })
    );
    wrmsr(HV_X64_MSR_GUEST_OS_ID, OS);
    probe!("hyperv OS id keeps", "{}", Value(rdmsr(HV_X64_MSR_GUEST_OS_ID)));
    probe!("hyperv page where no memory is", "{}", wrmsr(HV_X64_MSR_HYPERCALL, 0xF000_0001));
    probe!(
        "hyperv page",
        "{}, code {}",
        wrmsr(HV_X64_MSR_HYPERCALL, HYPERCALL.address() | 1),
        yes(HYPERCALL.get(0) != 0)
    );
    probe!("hyperv unknown hypercall", "{:#x}", hypercall(0x7777, 0, 0));
    probe!("hyperv fast hypercall", "{:#x}", hypercall(0x0008 | 1 << 16, 0, 0));
    probe!("hyperv hypercall without the privilege", "{:#x}", hypercall(0x0040, 0, 0));
    probe!("hyperv hypercall input not aligned", "{:#x}", hypercall(0x005C, 1, 0));
    probe!("hyperv hypercall of user mode", "{}", super::user::user(body!("vmmcall", "vmcall"), 2));
    probe!("hyperv VP index", "{}", Value(rdmsr(HV_X64_MSR_VP_INDEX)));
    probe!("hyperv VP index is not to be written", "{}", wrmsr(HV_X64_MSR_VP_INDEX, 0));
    probe!("hyperv run time moves on, no faster than time", "{}", run_time());
    probe!("hyperv run time is not to be written", "{}", wrmsr(HV_X64_MSR_VP_RUNTIME, 0));
    probe!("hyperv SVERSION", "{}", Value(rdmsr(HV_X64_MSR_SVERSION)));
    probe!("hyperv SINT after reset", "{}", Value(rdmsr(HV_X64_MSR_SINT0)));
    probe!("hyperv SINT bad vector", "{}", wrmsr(HV_X64_MSR_SINT0, 5));
    probe!("hyperv EOM reads", "{}", Value(rdmsr(0x4000_0084)));
    probe!("hyperv an MSR that is not there", "{}", Value(rdmsr(0x4000_00FF)));
    probe!("hyperv reference time moves on", "{}", moves_on());
    probe!("hyperv reference page agrees", "{}", reference_page());
    probe!("hyperv synthetic timer, direct", "{}", direct_timer());
    probe!("hyperv synthetic timer, message", "{}", {
        let (message, interrupts) = message_timer();
        yes(message && interrupts == 1)
    });
    probe!(
        "hyperv frequencies",
        "{}",
        yes(rdmsr(0x4000_0022).is_ok_and(|hz| hz > 1_000_000)
            && rdmsr(0x4000_0023).is_ok_and(|hz| hz > 1_000_000))
    );
}

/// Makes a call.
pub fn hypercall(control: u64, input: u64, output: u64) -> u64 {
    let mut words = [HYPERCALL.address(), control, input, output, 0];
    let outcome = attempt(
        body!(
            "push rdi",
            "mov rcx, [rdi + 8]",
            "mov rdx, [rdi + 16]",
            "mov r8, [rdi + 24]",
            "call [rdi]",
            "pop rdi",
            "mov [rdi + 32], rax"
        ),
        &mut words,
    );
    if outcome.is_none() { words[4] } else { u64::MAX }
}

fn time() -> u64 {
    rdmsr(HV_X64_MSR_TIME_REF_COUNT).unwrap_or(0)
}

fn moves_on() -> &'static str {
    let first = time();
    let mut last = first;
    for _ in 0..200 {
        let now = time();
        if now < last {
            return "back";
        }
        last = now;
    }
    yes(last > first)
}

fn run_time() -> &'static str {
    let run = || rdmsr(HV_X64_MSR_VP_RUNTIME).unwrap_or(0);
    let (time_before, before) = (time(), run());
    let (mut after, mut last) = (before, before);
    for _ in 0..200 {
        after = run();
        if after < last {
            return "back";
        }
        last = after;
    }
    yes(after > before && after - before <= time() - time_before + 1)
}

/// What the page says of the time stamp counter lies between two readings of the MSR.
fn reference_page() -> &'static str {
    wrmsr(REFERENCE_TSC, REFERENCE.address() | 1);
    let by_page = || {
        let tsc = (u128::from(rdtsc()) * u128::from(REFERENCE.get(1))) >> 64;
        (tsc as u64).wrapping_add(REFERENCE.get(2))
    };
    let agrees = (0..50).all(|_| {
        let (before, page, after) = (time(), by_page(), time());
        before <= page + 1 && page <= after + 1
    });
    let sequence = REFERENCE.get(0) & 0xFFFF_FFFF != 0;
    wrmsr(REFERENCE_TSC, 0);
    yes(agrees && sequence)
}

/// One shot, as an interrupt with a vector, ends HLT, and not before its time.
fn direct_timer() -> Outcome {
    let due = time() + 1000;
    // Enabled, direct mode, vector 0x46.
    wrmsr(HV_X64_MSR_STIMER0_CONFIG, 1 << 12 | 0x46 << 4 | 1);
    wrmsr(HV_X64_MSR_STIMER0_COUNT, due);
    let mut outcome = attempt(body!("sti", "hlt", "cli"), &mut []);
    if time() < due {
        outcome.note(super::event::Event::default());
    }
    wrmsr(HV_X64_MSR_STIMER0_CONFIG, 0);
    outcome
}

/// Whether a message is in the slot of its SINT, and how many interrupts ended HLT; the slot is free again afterwards.
fn message_timer() -> (bool, u64) {
    const TIMER_EXPIRED: u64 = 0x8000_0010;
    // SINT 2: its slot is the third of 256 bytes.
    const SLOT: usize = 2 * 32;
    wrmsr(SCONTROL, 1);
    wrmsr(SIMP, MESSAGES.address() | 1);
    wrmsr(HV_X64_MSR_SINT0 + 2, 0x47);
    // Enabled when its count is written, SINT 2.
    let due = time() + 1000;
    wrmsr(HV_X64_MSR_STIMER0_CONFIG, 2 << 16 | 1 << 3);
    wrmsr(HV_X64_MSR_STIMER0_COUNT, due);
    let outcome = attempt(body!("sti", "hlt", "cli"), &mut []);
    // Type and size; behind the header the timer, when it was due and when it was delivered.
    let came = MESSAGES.get(SLOT) & 0xFFFF_FFFF == TIMER_EXPIRED && MESSAGES.get(SLOT + 2) & 0xFFFF_FFFF == 0;
    let when = MESSAGES.get(SLOT + 3) == due && MESSAGES.get(SLOT + 4) >= due;
    MESSAGES.set(SLOT, 0);
    wrmsr(HV_X64_MSR_STIMER0_CONFIG, 0);
    wrmsr(HV_X64_MSR_SINT0 + 2, 1 << 16);
    wrmsr(SIMP, 0);
    wrmsr(SCONTROL, 0);
    (came && when, outcome.count_of(0x47) as u64)
}
