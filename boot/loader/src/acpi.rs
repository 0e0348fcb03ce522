//! The few facts that are taken from ACPI: the processors, the PM timer, whether there is an IOMMU.
//!
//! Firmware tables may hold anything: a length is checked before it is used, and what is damaged is as if absent.
//! (Crate `acpi` wants a handler of two dozen functions for ports, PCI and sleep, and knows neither DMAR nor IVRS.)

use handoff::{Iommu, Machine};

/// Memory by physical address.
pub trait Memory {
    /// `length` bytes at `address`, where they can be read.
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]>;
}

/// Follows the root pointer at `rsdp` and writes what it leads to into `machine`. The port of the power-management
/// timer, where there is one.
pub fn read(memory: &impl Memory, rsdp: u64, machine: &mut Machine) -> Option<u16> {
    let mut timer = None;
    for_each_table(memory, rsdp, |table| match table.get(..4) {
        Some(b"APIC") => read_madt(table, machine),
        Some(b"FACP") => timer = timer_port(table),
        Some(b"DMAR") => machine.iommu = Iommu::VT_D,
        Some(b"IVRS") => machine.iommu = Iommu::AMD_VI,
        _ => (),
    });
    timer
}

/// ACPI 6.5, 5.2.12: entries of type, length, content.
fn read_madt(table: &[u8], machine: &mut Machine) {
    let mut entries = table.get(44..).unwrap_or_default();
    while let [kind, length, ..] = *entries {
        let Some((entry, rest)) = entries.split_at_checked(usize::from(length)) else { return };
        if entry.len() < 2 {
            return;
        }
        entries = rest;
        // Processor local APIC, and processor local x2APIC.
        let (id, flags) = match kind {
            0 => (entry.get(3).copied().map(u32::from), u32_at(entry, 4)),
            9 => (u32_at(entry, 4), u32_at(entry, 8)),
            _ => continue,
        };
        if let (Some(id), Some(flags)) = (id, flags)
            && flags & 1 != 0
        {
            add(machine, id);
        }
    }
}

fn add(machine: &mut Machine, id: u32) {
    if machine.processors().contains(&id) {
        return;
    }
    match machine.processors.get_mut(machine.processor_count as usize) {
        Some(slot) => {
            *slot = id;
            machine.processor_count += 1;
        }
        None => machine.processors_left_out += 1,
    }
}

/// The PM timer in the FADT: X_PM_TMR_BLK where it names a port, else PM_TMR_BLK (ACPI 6.5, 5.2.9).
fn timer_port(table: &[u8]) -> Option<u16> {
    const SYSTEM_IO: u8 = 1;
    let extended = match table.get(208) {
        Some(&SYSTEM_IO) => u64_at(table, 212).filter(|&address| address != 0),
        _ => None,
    };
    let port = extended.or_else(|| u32_at(table, 76).map(u64::from))?;
    u16::try_from(port).ok().filter(|&port| port != 0)
}

/// Calls `visit` with each table that the root pointer leads to.
fn for_each_table(memory: &impl Memory, rsdp: u64, mut visit: impl FnMut(&[u8])) {
    let Some(pointer) = memory.bytes(rsdp, 36) else { return };
    if !pointer.starts_with(b"RSD PTR ") {
        return;
    }
    let extended = pointer.get(15).is_some_and(|&revision| revision >= 2);
    let xsdt = u64_at(pointer, 24).filter(|&address| extended && address != 0);
    let (root, width) = match xsdt {
        Some(address) => (address, 8),
        None => (u32_at(pointer, 16).map_or(0, u64::from), 4),
    };
    let Some(root) = table_at(memory, root) else { return };
    for entry in root.get(36..).unwrap_or_default().chunks_exact(width) {
        let address = if width == 8 { u64_at(entry, 0) } else { u32_at(entry, 0).map(u64::from) };
        if let Some(table) = address.and_then(|address| table_at(memory, address)) {
            visit(table);
        }
    }
}

/// The table at `address`, as long as its header says.
fn table_at(memory: &impl Memory, address: u64) -> Option<&[u8]> {
    const HEADER: usize = 36;
    const LARGEST: usize = 1 << 20;
    let length = u32_at(memory.bytes(address, HEADER)?, 4)? as usize;
    if !(HEADER..=LARGEST).contains(&length) {
        return None;
    }
    memory.bytes(address, length)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

#[cfg(test)]
#[path = "acpi_tests.rs"]
mod tests;
