//! Out of long mode and back: compatibility mode, protected mode without paging and with both kinds of it, protected mode
//! of 16 bits, real mode.
//!
//! One trip through all of them, with the interrupt tables of each; what it found is printed when it is back.
#![expect(unsafe_code, reason = "results of assembly are in memory")]

use core::cell::UnsafeCell;

use super::catch::{self, attempt};
use super::descriptor::CODE_32;
use super::event::Event;
use super::page::{self, PRESENT, Page};
use super::{body, probe};

/// Where code of 16 bits is copied to, and where its data is.
const REAL_CODE: usize = 0x8000;
const REAL_DATA: usize = 0x9000;
/// Vectors of both tables.
const VECTORS: usize = 0x80;

/// A table of gates of 8 bytes.
struct Table(UnsafeCell<[u64; VECTORS]>);

// SAFETY: written before it is used, by one processor.
unsafe impl Sync for Table {}

#[unsafe(no_mangle)]
static LEGACY_IDT: Table = Table(UnsafeCell::new([0; VECTORS]));
#[unsafe(no_mangle)]
static LEGACY_DIRECTORY: Page = Page::new();
#[unsafe(no_mangle)]
static LEGACY_PDPT: Page = Page::new();

mod trip;

/// Makes the tables of the modes that are visited.
fn prepare() {
    for vector in 0..32 {
        let handler = (&raw const trip::legacy_gates).addr() as u64 + 16 * vector as u64;
        let gate = (handler & 0xFFFF) | u64::from(CODE_32) << 16 | 0x8E00 << 32 | (handler >> 16) << 48;
        // SAFETY: see above.
        unsafe { (*LEGACY_IDT.0.get())[vector] = gate };
    }
    // Pages of 4 MiB; what begins at 3 GiB is not there, or is for reading only.
    for entry in 0..1024_u64 {
        let word = entry << 22 | 0x83;
        let word = match entry {
            0x300 => 0,
            0x301 => word & !2,
            _ => word,
        };
        let both = LEGACY_DIRECTORY.get(entry as usize / 2);
        let shift = 32 * (entry & 1);
        LEGACY_DIRECTORY.set(entry as usize / 2, both & !(0xFFFF_FFFF << shift) | word << shift);
    }
    for entry in 0..3 {
        LEGACY_PDPT.set(entry, page::directory(entry) | PRESENT);
    }
    trip::copy(REAL_CODE);
    let mut table = [trip::offset(&raw const trip::real_stray); VECTORS];
    for (vector, handler) in [
        (0, &raw const trip::real_de),
        (1, &raw const trip::real_db),
        (6, &raw const trip::real_ud),
        (13, &raw const trip::real_gp),
        (0x21, &raw const trip::real_call),
        (0x60, &raw const trip::real_interrupt),
    ] {
        table[vector] = trip::offset(handler);
    }
    for (vector, offset) in table.into_iter().enumerate() {
        let entry = core::ptr::with_exposed_provenance_mut::<u32>(4 * vector);
        // SAFETY: the first kibibyte is RAM that nobody uses; Rust does not know of an object at 0, so it is written by
        // assembly.
        unsafe {
            core::arch::asm!("mov [{}], {:e}", in(reg) entry, in(reg) u32::from(offset) | (REAL_CODE as u32 >> 4) << 16)
        };
    }
}

/// What a mode left behind.
fn result(at: usize, index: usize) -> u32 {
    let word = core::ptr::with_exposed_provenance::<u32>(at + 4 * index);
    // SAFETY: it is RAM that the trip wrote.
    unsafe { word.read_volatile() }
}

/// A vector and its error code.
fn event(word: u32) -> Event {
    Event { vector: word as u8, error: u64::from(word >> 8), ..Event::default() }
}

/// Asks.
pub fn run() {
    compatibility();
    prepare();
    probe!("modes there and back", "{}", attempt(trip::legacy_trip, &mut []));
    catch::load(4095);
    let protected = |index| result((&raw const trip::legacy_results).addr(), index);
    probe!("protected mode cpuid", "{:#x}", protected(0));
    probe!("protected mode ud2", "{}", event(protected(1)));
    probe!("protected mode absent msr", "{}", event(protected(2)));
    probe!("protected mode segment not present", "{}", event(protected(3)));
    probe!("protected mode port", "{:#x}", protected(4));
    probe!("protected mode jump to a task that is too short", "{}", event(protected(5)));
    probe!("protected mode absent memory", "{:#x}", protected(6));
    probe!("protected mode EFER without long mode", "{:#x}", protected(7));
    probe!("paging of 32 bits, page not present", "{} at {:#x}", event(protected(8)), protected(9));
    probe!("paging of 32 bits, read-only", "{}", event(protected(10)));
    probe!("paging of 32 bits, cpuid", "{:#x}", protected(11));
    probe!("paging of 32 bits, absent memory", "{:#x}", protected(12));
    probe!("paging with PAE, directory not present", "{} at {:#x}", event(protected(13)), protected(14));
    probe!("paging with PAE, absent memory", "{:#x}", protected(15));
    let real = |index| result(REAL_DATA, index);
    let pushed = |word: u32| (event(word & 0xFF), word >> 8);
    probe!("protected mode of 16 bits", "{:#x}", real(0));
    probe!("real mode code segment", "{:#x}", real(1));
    probe!("real mode int and iret", "{}", real(2));
    probe!("real mode ud2, bytes pushed", "{} {}", pushed(real(3)).0, pushed(real(3)).1);
    probe!("real mode divide, bytes pushed", "{} {}", pushed(real(4)).0, pushed(real(4)).1);
    probe!("real mode beyond a segment, bytes pushed", "{:?}", (real(5) & 0xFF, real(5) >> 8));
    probe!("real mode absent msr, bytes pushed", "{:?}", (real(6) & 0xFF, real(6) >> 8));
    probe!("real mode A20 is on", "{}", real(7));
    probe!("real mode cpuid", "{:#x}", real(8));
    probe!("real mode port", "{:#x}", real(9));
    probe!("real mode rep insb", "{:#x}", real(10));
    probe!("real mode interrupt ends hlt", "{}", real(11));
    probe!("real mode steps", "{}", real(12));
    probe!("unreal mode reads above a mebibyte", "{:#x}", real(13));
    probe!("unreal mode absent memory", "{:#x}", real(14));
    probe!("real mode no vector that was not asked for", "{}", real(15));
}

/// Instructions of 32 bits between labels 2 and 3.
macro_rules! compatible {
    ($($text:expr),+) => {
        attempt(
            body!(
                "mov ebx, esp", "push 0x18", "lea rax, [rip + 2f]", "push rax", "retfq",
                ".code32", "2:", $($text,)+ ".byte 0xEA", ".long 3f", ".word 8", ".code64", "3:"
            ),
            &mut [0; 4],
        )
    };
}

fn compatibility() {
    let mut words = [0];
    attempt(
        body!(
            "push 0x18",
            "lea rax, [rip + 2f]",
            "push rax",
            "retfq",
            ".code32",
            "2: mov eax, 5",
            ".byte 0x40",
            "mov [edi], eax",
            ".byte 0xEA",
            ".long 3f",
            ".word 8",
            ".code64",
            "3:"
        ),
        &mut words,
    );
    probe!("compatibility mode decodes as 32 bits", "{}", words[0]);
    probe!("compatibility mode into", "{}", compatible!("mov al, 0x7F", "add al, 1", ".byte 0xCE"));
    probe!(
        "compatibility mode bound",
        "{}",
        compatible!("mov dword ptr [edi], 0", "mov dword ptr [edi + 4], 1", "mov eax, 9", ".byte 0x62, 0x07")
    );
    probe!("compatibility mode aam by zero", "{}", compatible!(".byte 0xD4, 0x00"));
    probe!(
        "compatibility mode beyond a segment",
        "{}",
        compatible!("mov eax, 0x28", "mov ds, eax", "mov al, [0x10000]")
    );
    probe!(
        "compatibility mode beyond another segment",
        "{}",
        compatible!("mov eax, 0x28", "mov es, eax", "mov al, es:[0x10000]")
    );
    probe!(
        "compatibility mode null segment",
        "{}",
        compatible!("xor eax, eax", "mov ds, eax", "mov al, [0x1000]")
    );
    probe!(
        "compatibility mode cpuid, port, absent memory",
        "{}",
        compatible!(
            "mov eax, 1",
            "cpuid",
            "mov edx, 0x3FD",
            "in al, dx",
            "mov al, [0xF0000000]",
            "mov ecx, 0x1B",
            "rdmsr"
        )
    );
    probe!("compatibility mode absent msr", "{}", compatible!("mov ecx, 0x20000000", "rdmsr"));
}
