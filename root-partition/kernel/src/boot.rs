//! From the hand-off to the executor.
#![expect(unsafe_code, reason = "reads the hand-off and takes over memory")]

use crate::arch::{apic, ioapic};
use crate::firmware::Firmware;
use crate::memory::buddy::Frame;
use crate::{
    arch, console, drivers, executor, firmware, host_log, hypervisor, interrupts, memory, process,
    processors, time,
};
use core::cell::UnsafeCell;
use handoff::{HandOff, MAX_REGIONS, Region, RegionKind};
use spin::Once;

/// RAM below is left alone: firmware and the start of other processors use it.
const LOW_MEMORY: u64 = 1 << 20;

struct Copied(UnsafeCell<HandOff>);
// SAFETY: written before anything else runs, then only read.
unsafe impl Sync for Copied {}
/// The hand-off, with the memory map as it was handed over.
static HAND_OFF: Copied = Copied(UnsafeCell::new(HandOff::new()));
static FIRMWARE: Once<Firmware> = Once::new();

/// The hand-off.
#[must_use]
pub fn hand_off() -> &'static HandOff {
    // SAFETY: nobody writes to it any more.
    unsafe { &*HAND_OFF.0.get() }
}

/// A file that was loaded with the kernel.
#[must_use]
pub fn module(name: &str) -> Option<&'static [u8]> {
    let module = hand_off().module(name)?;
    let start = memory::direct_map(module.base);
    // SAFETY: the loader put it there; the frames are never given away.
    Some(unsafe { core::slice::from_raw_parts(start, module.length as usize) })
}

/// The boot command line.
#[must_use]
pub fn command_line() -> &'static str {
    hand_off().command_line()
}

/// Whether the boot command line has this word.
#[must_use]
pub fn has_option(word: &str) -> bool {
    command_line().split_ascii_whitespace().any(|option| option == word)
}

/// Processors of the machine.
#[must_use]
pub fn processors() -> u32 {
    FIRMWARE.get().map_or(1, |firmware| firmware.processors.max(1))
}

/// Bytes of RAM in the machine, and bytes of it that the hypervisor keeps.
#[must_use]
pub fn ram() -> (u64, u64) {
    let sum = |wanted: fn(RegionKind) -> bool| {
        hand_off().regions().iter().filter(|region| wanted(region.kind)).map(|region| region.length).sum()
    };
    (sum(|kind| kind != RegionKind::RESERVED), sum(|kind| kind == RegionKind::HYPERVISOR))
}

fn is_ours(kind: RegionKind) -> bool {
    matches!(kind, RegionKind::USABLE | RegionKind::LOADER | RegionKind::ACPI | RegionKind::ROOT_IMAGE)
}

/// Whether all of it is RAM that the direct map covers.
pub(crate) fn is_mapped_ram(start: u64, end: u64) -> bool {
    hand_off()
        .regions()
        .iter()
        .any(|region| is_ours(region.kind) && region.base <= start && end <= region.base + region.length)
}

/// Where the kernel begins, on its own stack and the loader's tables.
pub(crate) extern "C" fn start(loader: *const HandOff) -> ! {
    let entered = arch::tsc();
    console::start();
    // SAFETY: the loader passes its address, identity-mapped; a wrong one is told by its first field.
    let loader = unsafe { &*loader };
    if !loader.is_valid() {
        panic!("started by a loader of another version");
    }
    // SAFETY: the only processor, and the first use.
    unsafe { *HAND_OFF.0.get() = *loader };
    arch::start();
    start_memory();
    arch::enable_protections();
    let mapped = arch::tsc();
    apic::start(interrupts::TIMER, interrupts::SPURIOUS).expect("the local APIC can be mapped");
    host_log::start();
    let firmware = FIRMWARE.call_once(|| firmware::read(hand_off().rsdp));
    time::start(hypervisor::clock().unwrap_or_else(|| time::calibrate(hand_off().machine.tsc_hz)));
    let micros = [entered, mapped, arch::tsc()].map(|tsc| time::at(tsc) / 10);
    log::debug!("entered at {} us, memory at {} us, clock at {} us", micros[0], micros[1], micros[2]);
    firmware::power::start(firmware.power);
    mask_legacy_controllers();
    ioapic::start(firmware.ioapics.iter().map(|ioapic| (ioapic.address, ioapic.first)));
    match time::wall::read_cmos().and_then(time::wall::filetime) {
        Some(filetime) => time::set_utc(filetime),
        None => log::warn!("the CMOS clock cannot be read"),
    }
    if console::is_there() && !console::listen(firmware.routing.isa(console::COM1_IRQ)) {
        log::warn!("COM1 has no interrupt: no console input");
    }
    hypervisor::start();
    processors::start();
    log::info!("{} MiB of {} MiB free", memory::free_bytes() >> 20, ram().0 >> 20);
    match hand_off().regions_left_out {
        0 => {}
        more => {
            log::warn!("{more} ranges of memory are not used: the firmware lists more than {MAX_REGIONS}")
        }
    }
    executor::spawn(finish(firmware));
    executor::run()
}

/// Leaves the loader's tables, and makes everything free that nobody uses.
fn start_memory() {
    let mut map = *hand_off();
    let top = map.regions().iter().filter(|region| is_ours(region.kind));
    let frames =
        top.map(|region| region.base + region.length).max().unwrap_or(0) as usize / memory::PAGE_SIZE;
    let bytes = frames * size_of::<Frame>();
    let Ok((table, frame_memory)) = memory::build_kernel_tables(&mut map, &arch::guard_pages(), bytes as u64)
    else {
        panic!("not enough memory to start");
    };
    memory::start_address_spaces(table);
    let array: *mut Frame = memory::direct_map(frame_memory).cast();
    for index in 0..frames {
        // SAFETY: `bytes` bytes of RAM were taken for it, which the direct map covers.
        let frame = unsafe { array.add(index) };
        // SAFETY: as above.
        unsafe { frame.write(Frame::TAKEN) };
    }
    // SAFETY: just written, and nobody else has the memory.
    memory::start_frames(unsafe { core::slice::from_raw_parts_mut(array, frames) });
    for region in map.regions() {
        free_region(&map, region);
    }
}

/// Frees what of a region nobody needs: all that is usable, and what the loader used but for modules and the image.
fn free_region(map: &HandOff, region: &Region) {
    if !matches!(region.kind, RegionKind::USABLE | RegionKind::LOADER) {
        return;
    }
    let (mut at, end) = (region.base.max(LOW_MEMORY), region.base + region.length);
    let image = core::iter::once((map.root.base, map.root.base + map.root.length));
    let modules = map.modules().iter().map(|module| (module.base, module.base + module.length));
    let keep = || image.clone().chain(modules.clone());
    let page = memory::PAGE_SIZE as u64;
    while at < end {
        if let Some((_, kept_end)) = keep().find(|(start, kept_end)| (*start..*kept_end).contains(&at)) {
            at = kept_end.next_multiple_of(page);
            continue;
        }
        let next =
            keep().map(|(start, _)| start & !(page - 1)).filter(|start| *start > at).fold(end, u64::min);
        memory::add_region(at, next - at);
        at = next;
    }
}

/// The two 8259s raise nothing any more.
fn mask_legacy_controllers() {
    for data in [0x21_u16, 0xA1] {
        arch::port::write(data, 0xFF_u8);
    }
}

/// What needs the executor.
async fn finish(firmware: &'static Firmware) {
    drivers::start(firmware).await;
    let disks = crate::block::volumes().iter().filter(|volume| volume.parent.is_none()).count();
    let console = if console::is_there() { "console on COM1" } else { "no console" };
    let plural = if disks == 1 { "" } else { "s" };
    let line = alloc::format!("root partition: {disks} disk{plural}, {console}");
    log::info!("{line}");
    console::write(line.as_bytes()).await;
    console::write(b"\r\n").await;
    host_log::leave_console();
    process::start_init();
}
