//! A guest of a few kilobytes that measures, probes and attacks the hypervisor below it.
//!
//! It starts through its PVH note, under Bulkhead or on the bare machine. Its command line names what it does:
//!
//! | word | what it does |
//! |---|---|
//! | `bench` | prints the cost of exits, a line each, and powers off |
//! | `bench-turns` | the same of two virtual processors that take turns on one |
//! | `bench-vps` | the same of up to four that run beside each other |
//! | `idle` | halts for good |
//! | `conformance [no-…]` | prints what the processor does, a line a probe, and powers off |
//! | `around-sti STEP` | halts often, with a timer that runs out STEP ticks later each time, says how often that did not end it, and powers off |
//! | `hostile [SEED]` | executes what no guest should, prints `HOSTILE SURVIVED`, and powers off |
//! | `work [N]` | counts steps on N virtual processors; an empty line is answered with their number |
//! | `clocks N SECONDS` | reads all clocks on N virtual processors for so long, says how often and what went back, and powers off |
//! | `device-interrupts N` | has a device interrupt two of N virtual processors, of which all but the first halt |
//! | `flood-interrupts [N]` | wakes up N - 1 halted virtual processors without end |
//! | `flood-hypercalls [N]` | makes hypercalls without end on N virtual processors |
//! | `flood-disk` | has the host take commands from its ring, and move its channel, without end |
//! | `stale N ADDRESS` | accesses a page on N virtual processors; an empty line is answered with what was stale |
//! | `reset` | resets itself at once, each time that it starts |
//! | `spin` | loops with interrupts off |
//! | `triple-fault` | ends in a triple fault |
//! | `echo` | sends back every line it reads from the serial port; `off` powers off |
#![no_std]
#![no_main]
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "an attack is one block: the instruction and the words that it takes its operands from"
)]

mod bench;
mod bus;
mod clocks;
mod conformance;
mod device;
mod entry;
mod flood_disk;
mod gate;
mod hostile;
mod hypercall;
mod many;
mod neighbour;
mod serial;
mod stale;
mod start_info;
mod startup;
mod trap;

use serial::{outb, read};

/// I/O port of the ACPI sleep control register that Bulkhead's worker gives a guest, and the value for S5
/// (ACPI 4.8.3.7: SLP_EN, SLP_TYP 5).
const SLEEP_CONTROL: (u16, u8) = (0x604, 0x34);

/// Powers the machine off.
pub fn power_off() -> ! {
    outb(SLEEP_CONTROL.0, SLEEP_CONTROL.1);
    loop {
        trap::halt();
    }
}

/// What the entry calls: `start_info` is the physical address of `hvm_start_info`.
extern "C" fn main(start_info: u32) -> ! {
    trap::install();
    let mut words = start_info::command_line(start_info).split_ascii_whitespace();
    match words.next() {
        Some("bench") => bench::run(),
        Some("bench-turns") => bench::vps::turns(),
        Some("bench-vps") => bench::vps::beside(),
        Some("idle") => {
            say!("IDLE");
            loop {
                trap::halt();
            }
        }
        Some("hostile") => hostile::run(words.next().and_then(|word| word.parse().ok()).unwrap_or(1)),
        Some("work") => neighbour::work(number(words.next())),
        Some("clocks") => clocks::run(number(words.next()), number(words.next())),
        Some("device-interrupts") => device::interrupts(number(words.next())),
        Some("flood-interrupts") => neighbour::flood_interrupts(number(words.next())),
        Some("flood-hypercalls") => neighbour::flood_hypercalls(number(words.next())),
        Some("flood-disk") => flood_disk::run(),
        Some("many") => many::run(number(words.next())),
        Some("stale") => stale::run(number(words.next()), number(words.next())),
        Some("reset") => neighbour::reset(),
        Some("conformance") => conformance::run(conformance::Spared::new(words)),
        Some("around-sti") => conformance::around_sti(number(words.next())),
        Some("spin") => {
            say!("SPINNING");
            loop {
                core::hint::spin_loop();
            }
        }
        Some("triple-fault") => trap::triple_fault(),
        Some("echo") => echo(),
        other => say!("test-guest: no program called {other:?}"),
    }
    power_off()
}

/// What `word` says, or 1.
fn number(word: Option<&str>) -> usize {
    word.and_then(|word| word.parse().ok()).unwrap_or(1)
}

/// Sends lines back.
fn echo() {
    say!("ECHO");
    let mut line = [0_u8; 128];
    let mut length = 0;
    loop {
        match read() {
            b'\r' | b'\n' => {
                let text = core::str::from_utf8(line.get(..length).unwrap_or_default()).unwrap_or("?");
                if text == "off" {
                    return;
                }
                say!("echo: {text}");
                length = 0;
            }
            byte => {
                if let Some(slot) = line.get_mut(length) {
                    *slot = byte;
                    length += 1;
                }
            }
        }
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say!("PANIC {info}");
    power_off()
}
