//! The other processors: on each a virtual processor of the root partition runs an executor.
//!
//! The hypervisor has started all processors and keeps them until we start our virtual processors on them. On the bare
//! machine, where no VM can be made, the first processor does everything, and firmware keeps the others.
#![expect(unsafe_code, reason = "entry")]

use crate::arch::processor::{self, count};
use crate::arch::{self, PROCESSOR_PLACES, Stacks, apic};
use crate::{executor, hypervisor, interrupts, memory, process, time};
use alloc::boxed::Box;
use core::sync::atomic::{AtomicU32, Ordering};

/// How long one may take: an emulator's may have to wait for the host's.
const PATIENCE: u64 = 10 * time::SECOND;
/// How long it is waited for before it is asked once more.
const AGAIN: u64 = time::SECOND / 1000;

/// How long each of the others took the first one, in microseconds.
static START_TIME: AtomicU32 = AtomicU32::new(0);

/// How long each of the others took the first one, in microseconds.
pub(crate) fn start_time() -> u32 {
    START_TIME.load(Ordering::Relaxed)
}

/// What a processor is given to begin with.
struct Beginning {
    number: u32,
    stacks: Stacks,
}

/// Starts all of them.
pub(crate) fn start() {
    let Some(there) = hypervisor::processors() else { return };
    let begin = time::now();
    // The hypervisor has no more than there is room for.
    for number in 1..there.min(PROCESSOR_PLACES as u32) {
        if let Err(why) = start_one(number) {
            log::warn!("processor {number} and those behind it are not used: {why}");
            break;
        }
    }
    let micros = (time::now() - begin) / 10;
    let each = micros / u64::from(count() - 1).max(1);
    START_TIME.store(each as u32, Ordering::Relaxed);
    log::info!("{} of {there} processors, started in {micros} us: {each} us each", count());
}

fn start_one(number: u32) -> Result<(), &'static str> {
    let (stacks, top) = Stacks::allocate().ok_or("no memory")?;
    let beginning = Box::into_raw(Box::new(Beginning { number, stacks }));
    let stack = top - 8;
    // SAFETY: the highest word of a stack that nobody uses yet.
    unsafe { core::ptr::with_exposed_provenance_mut::<*mut Beginning>(stack as usize).write(beginning) };
    let mut asked = 0;
    let deadline = time::now() + PATIENCE;
    while count() != number + 1 {
        let now = time::now();
        if now > deadline {
            return Err("it does not answer");
        }
        if now >= asked + AGAIN {
            hypervisor::start_vp(number, entry as *const () as u64, stack, memory::kernel_root())?;
            asked = now;
        }
        core::hint::spin_loop();
    }
    Ok(())
}

/// Where a processor begins: on its stack, where the address of its [`Beginning`] is.
#[unsafe(naked)]
extern "C" fn entry() -> ! {
    core::arch::naked_asm!("cli", "cld", "pop rdi", "xor ebp, ebp", "call {main}", "ud2", main = sym main)
}

extern "C" fn main(beginning: *mut Beginning) -> ! {
    // SAFETY: `start_one` put it there for us.
    let Beginning { number, stacks } = *unsafe { Box::from_raw(beginning) };
    arch::start_processor(number, stacks);
    arch::enable_protections();
    memory::activate_kernel();
    apic::start(interrupts::TIMER, interrupts::SPURIOUS).expect("the first processor mapped it");
    process::start_processor();
    if let Err(what) = hypervisor::start_processor() {
        log::error!("processor {number} hears no guest: {what}");
    }
    processor::is_up(number);
    executor::run()
}
