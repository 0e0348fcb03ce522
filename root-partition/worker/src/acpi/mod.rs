//! The ACPI tables of a guest: RSDP, XSDT, FADT, MADT, DSDT (ACPI 6.5).
//!
//! The platform is hardware-reduced: no SCI, no PM registers; sleep and reset are two ports. `_S4` is left out, for a
//! guest that could hibernate refuses to have its memory ballooned.

mod dsdt;
mod fadt;
mod madt;

use acpi_tables::Aml;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::xsdt::XSDT;
use alloc::vec;
use alloc::vec::Vec;

const OEM_ID: [u8; 6] = *b"BULKHD";
const OEM_TABLE_ID: [u8; 8] = *b"BULKHEAD";
const OEM_REVISION: u32 = 1;
/// Tables start at multiples of this.
const ALIGN: usize = 16;

/// What the tables describe.
#[derive(Clone, Copy, Debug)]
pub struct Platform {
    /// Virtual processors; their APIC ids are 0 to `vps - 1`.
    pub vps: u32,
    /// RAM in bytes.
    pub ram: u64,
}

/// All tables, as they are put at guest-physical address `base` (below 4 GiB); the RSDP comes first.
#[must_use]
pub fn tables(base: u64, platform: &Platform) -> Vec<u8> {
    let mut area = vec![0; Rsdp::len().next_multiple_of(ALIGN)];
    let dsdt = append(&mut area, base, &dsdt::dsdt(platform));
    let fadt = append(&mut area, base, &fadt::fadt(dsdt));
    let madt = append(&mut area, base, &madt::madt(platform.vps));
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    xsdt.add_entry(fadt);
    xsdt.add_entry(madt);
    let xsdt = append(&mut area, base, &xsdt);
    let mut rsdp = Vec::new();
    Rsdp::new(OEM_ID, xsdt).to_aml_bytes(&mut rsdp);
    for (to, from) in area.iter_mut().zip(rsdp) {
        *to = from;
    }
    area
}

/// Puts `table` at the end of the area; its address.
fn append(area: &mut Vec<u8>, base: u64, table: &dyn Aml) -> u64 {
    let at = area.len();
    table.to_aml_bytes(area);
    area.resize(area.len().next_multiple_of(ALIGN), 0);
    base + at as u64
}

#[cfg(test)]
mod tests;
