//! Differentiated System Description Table: the devices that a guest cannot find by itself.
//!
//! `\_SB.VMOD.VMBS` is how Linux finds VMBus; the memory windows of `VMOD` are what it gives to devices behind VMBus.

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID, Platform};
use crate::device::power::SLEEP_TYPE_S5;
use crate::memory::ranges;
use crate::ports::{CMOS, COM1, COM1_IRQ};
use acpi_tables::Aml;
use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, Device, EISAName, IO, Interrupt, Name, Package, ResourceTemplate,
    Scope,
};
use acpi_tables::sdt::Sdt;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

const REVISION: u8 = 2;
/// `_STA`: present, enabled, shown, working.
const STATUS: u8 = 0xF;
/// The window for devices below 4 GiB: inside the RAM hole, below the IOAPIC.
const LOW_WINDOW: core::ops::RangeInclusive<u32> = 0xE000_0000..=0xFEBF_FFFF;
/// The window above: it starts at a multiple of its length above all RAM.
const HIGH_WINDOW: u64 = 64 << 30;

/// The table.
pub fn dsdt(platform: &Platform) -> Sdt {
    let mut aml = Vec::new();
    vmbus(&mut aml, platform.ram);
    com1(&mut aml);
    rtc(&mut aml);
    for uid in 0..platform.vps {
        processor(&mut aml, uid);
    }
    let scope = Scope::raw("_SB_".into(), aml);
    let zero = 0u8;
    let states: Package<'_> = Package::new(vec![&SLEEP_TYPE_S5, &zero, &zero, &zero]);
    let mut table = Sdt::new(*b"DSDT", 36, REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.append_slice(&scope);
    let mut s5 = Vec::new();
    Name::new("_S5_".into(), &states).to_aml_bytes(&mut s5);
    table.append_slice(&s5);
    table
}

fn vmbus(aml: &mut Vec<u8>, ram: u64) {
    let [_, high] = ranges(ram);
    let start = high.end.max(HIGH_WINDOW).next_multiple_of(HIGH_WINDOW);
    let uncached = AddressSpaceCacheable::NotCacheable;
    let low = AddressSpace::new_memory(uncached, true, *LOW_WINDOW.start(), *LOW_WINDOW.end(), None);
    let high = AddressSpace::new_memory(uncached, true, start, start + (HIGH_WINDOW - 1), None);
    Device::new(
        "VMOD".into(),
        vec![
            &Name::new("_HID".into(), &"ACPI0004"),
            &Name::new("_UID".into(), &0u8),
            &Name::new("_CRS".into(), &ResourceTemplate::new(vec![&low, &high])),
            &Device::new(
                "VMBS".into(),
                vec![
                    &Name::new("_HID".into(), &"VMBus"),
                    &Name::new("_UID".into(), &0u8),
                    &Name::new("_DDN".into(), &"VMBUS"),
                    &Name::new("_STA".into(), &STATUS),
                    &Name::new("_CRS".into(), &ResourceTemplate::new(vec![])),
                ],
            ),
        ],
    )
    .to_aml_bytes(aml);
}

fn com1(aml: &mut Vec<u8>) {
    let first = *COM1.start();
    Device::new(
        "COM1".into(),
        vec![
            &Name::new("_HID".into(), &EISAName::new("PNP0501")),
            &Name::new("_UID".into(), &1u8),
            &Name::new("_DDN".into(), &"COM1"),
            &Name::new("_STA".into(), &STATUS),
            &Name::new(
                "_CRS".into(),
                &ResourceTemplate::new(vec![
                    &IO::new(first, first, 1, COM1.len() as u8),
                    &Interrupt::new(true, true, false, false, COM1_IRQ as u32),
                ]),
            ),
        ],
    )
    .to_aml_bytes(aml);
}

/// The clock, without an interrupt: it has no alarm.
fn rtc(aml: &mut Vec<u8>) {
    let first = *CMOS.start();
    Device::new(
        "RTC0".into(),
        vec![
            &Name::new("_HID".into(), &EISAName::new("PNP0B00")),
            &Name::new(
                "_CRS".into(),
                &ResourceTemplate::new(vec![&IO::new(first, first, 1, CMOS.len() as u8)]),
            ),
        ],
    )
    .to_aml_bytes(aml);
}

fn processor(aml: &mut Vec<u8>, uid: u32) {
    let name = format!("C{:03X}", uid & 0xFFF);
    Device::new(
        name.as_str().into(),
        vec![&Name::new("_HID".into(), &"ACPI0007"), &Name::new("_UID".into(), &uid)],
    )
    .to_aml_bytes(aml);
}
