//! BOOTX64.EFI: starts Bulkhead from UEFI firmware.
//!
//! It reads its files from `\bulkhead` on the volume that it was itself loaded from. Until boot services end, anything
//! that is wrong is said on the firmware's console in one line, and control goes back to the firmware.
#![no_std]
#![no_main]

extern crate alloc;

mod files;
mod firmware;

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use handoff::Image;
use loader::enter::{enter, has_no_execute};
use loader::{image, machine};
use uefi::prelude::*;
use uefi::{runtime, system};

use files::Files;
use firmware::Memory;

/// Prints a line on the firmware's console. A console that fails (a slow serial line) is no reason to stop.
macro_rules! say {
    ($($part:tt)*) => {
        let _ = system::with_stdout(|console| writeln!(console, $($part)*));
    };
}

/// The programs of the root partition, by name.
const PROGRAMS: [&str; 2] = ["vmms", "worker"];

#[entry]
fn main() -> Status {
    if uefi::helpers::init().is_err() {
        return Status::ABORTED;
    }
    say!("Bulkhead {}: starting from UEFI", env!("CARGO_PKG_VERSION"));
    match start() {
        Ok(never) => match never {},
        Err(message) => {
            say!("Bulkhead: {message}");
            say!("Bulkhead: not started; returning to the firmware");
            boot::stall(core::time::Duration::from_secs(3));
            let _ = runtime::get_time();
            Status::LOAD_ERROR
        }
    }
}

/// Loads everything and leaves for the hypervisor; what is wrong, in one line.
fn start() -> Result<core::convert::Infallible, String> {
    let mut files = Files::open()?;
    let mut memory = Memory;
    let hand_off = firmware::allocate_hand_off()?;
    let identity = firmware::identity_limit()?;
    hand_off.hypervisor = load(&mut files, "hypervisor", identity, &mut memory)?;
    hand_off.root = load(&mut files, "kernel", identity, &mut memory)?;
    for name in PROGRAMS {
        let (base, length) = files.module(name)?;
        hand_off.add_module(name, base, length)?;
    }
    hand_off.set_command_line(files.command_line()?.trim())?;
    hand_off.rsdp = firmware::rsdp();
    hand_off.framebuffer = firmware::framebuffer();
    say!("Bulkhead: leaving the firmware");
    firmware::exit(hand_off);
    machine::complete(hand_off, identity);
    enter(hand_off)
}

/// Reads and places one image.
fn load(files: &mut Files, name: &str, identity: u64, memory: &mut Memory) -> Result<Image, String> {
    let file = files.read(name)?;
    image::load(&file, identity, has_no_execute(), memory)
        .map_err(|error| format!("{}: {error}", files::path(name)))
}
