//! Starts Bulkhead without UEFI: from GRUB through a Multiboot2 header, or from QEMU's `-kernel` through a PVH note.
//!
//! The first module (GRUB's `module2`, QEMU's `-initrd`) is a cpio archive with the files `hypervisor`, `kernel` and the programs of the root
//! partition. Without a `hypervisor` in it the root kernel is entered on the bare machine: a development aid.
#![no_std]
#![no_main]

mod console;
mod entry;
mod memory;
mod multiboot2;
mod pvh;

use handoff::{HandOff, Image, RegionKind};
use loader::enter::{self, has_no_execute};
use loader::{PAGE, PhysicalMemory, cpio, image, machine, memory_map};

use memory::Memory;

/// The identity map reaches at least this far: devices below 4 GiB.
const IDENTITY_MIN: u64 = 4 << 30;

/// What the entry calls: `magic` tells the protocol, `information` is the physical address of what it gives.
extern "C" fn main(magic: u32, information: u32) -> ! {
    match start(magic, information) {
        Ok(()) => unreachable!("the image that was entered does not return"),
        Err(message) => {
            say!("Bulkhead: {}{}", message.file, message.problem);
            enter::stop()
        }
    }
}

/// Why the boot ends here.
struct Failure {
    file: &'static str,
    problem: &'static str,
}

fn failure(file: &'static str, problem: &'static str) -> Failure {
    Failure { file, problem }
}

fn start(magic: u32, information: u32) -> Result<(), Failure> {
    let hand_off = memory::hand_off();
    *hand_off = HandOff::new();
    let archive = match magic {
        loader::multiboot2::MAGIC => multiboot2::read(information, hand_off)?,
        _ => pvh::read(information, hand_off)?,
    };
    let top = hand_off.regions().iter().filter(|region| region.kind == RegionKind::USABLE);
    let identity = top.map(|region| region.base + region.length).fold(IDENTITY_MIN, u64::max);
    let mut memory = Memory::new(hand_off, RegionKind::LOADER);
    let hypervisor = load(archive, "hypervisor", identity, &mut memory)?;
    let root =
        load(archive, "kernel", identity, &mut memory)?.ok_or(failure("kernel", ": not in the archive"))?;
    copy_modules(archive, &mut memory)?;
    let hand_off = memory.into_hand_off();
    hand_off.root = root;
    hand_off.hypervisor = hypervisor.unwrap_or_default();
    machine::complete(hand_off, memory::LIMIT);
    enter::enter(hand_off)
}

/// Writes the machine's memory map into the hand-off, with this loader where it is.
fn set_memory_map(hand_off: &mut HandOff, map: impl Iterator<Item = (u64, u64, RegionKind)>) {
    for (base, length, kind) in map {
        memory_map::add(hand_off, base, length, kind);
    }
    let (own, length) = memory::own_image();
    memory_map::reserve(hand_off, own, length, RegionKind::LOADER);
}

/// Loads the image `name`; `None` when the archive does not have it.
fn load(
    archive: &'static [u8],
    name: &'static str,
    identity: u64,
    memory: &mut Memory<'_>,
) -> Result<Option<Image>, Failure> {
    let Some((_, range)) = cpio::files(archive).find(|(file, _)| *file == name) else { return Ok(None) };
    let image = image::load(&archive[range], identity, has_no_execute(), memory);
    image.map(Some).map_err(|error| {
        say!("Bulkhead: {name}: {error}");
        failure(name, " can not be loaded")
    })
}

/// Copies every other file to pages of its own.
fn copy_modules(archive: &'static [u8], memory: &mut Memory<'_>) -> Result<(), Failure> {
    let others = cpio::files(archive).filter(|(name, _)| !matches!(*name, "hypervisor" | "kernel"));
    for (name, range) in others {
        let content = &archive[range];
        let length = content.len() as u64;
        let base = memory.allocate(length.max(1).next_multiple_of(PAGE), PAGE);
        let base = base.ok_or(failure("", "not enough memory for the modules"))?;
        memory.bytes(base, length).copy_from_slice(content);
        memory.hand_off().add_module(name, base, length).map_err(|problem| {
            say!("Bulkhead: {name}: {problem}");
            failure("the archive", " can not be handed over")
        })?;
    }
    Ok(())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say!("Bulkhead: the loader failed: {info}");
    enter::stop()
}
