//! Reading the tables.
#![expect(unsafe_code, reason = "tables are found by physical address")]

use super::power::{PowerRegisters, Register};
use super::routing::{Input, Override, Routing};
use super::{mp, s5};
use crate::pci::EcamRange;
use acpi::address::{AddressSpace, GenericAddress};
use acpi::sdt::SdtHeader;
use acpi::sdt::fadt::Fadt;
use acpi::sdt::madt::{Madt, MadtEntry, Polarity, TriggerMode, parse_mps_inti_flags};
use acpi::sdt::mcfg::Mcfg;
use acpi::{AcpiTables, Handler, PciAddress, PhysicalMapping, RawPhysicalMapping};
use alloc::vec::Vec;
use core::ptr::NonNull;

/// The longest table that is looked at.
const TABLE_MAX: usize = 1 << 20;

/// What the tables say.
#[derive(Debug, Default)]
pub(crate) struct Firmware {
    /// The IOAPICs.
    pub(crate) ioapics: Vec<IoApicAt>,
    /// Where interrupts arrive that are no messages.
    pub(crate) routing: Routing,
    /// Processors that can be used.
    pub(crate) processors: u32,
    /// Ranges of configuration space.
    pub(crate) ecam: Vec<EcamRange>,
    /// Power registers.
    pub(crate) power: PowerRegisters,
}

/// An IOAPIC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IoApicAt {
    /// Its identifier.
    pub(crate) id: u8,
    /// Physical address of its registers.
    pub(crate) address: u64,
    /// The number of its first input.
    pub(crate) first: u32,
}

/// Reads them; `rsdp` is the root pointer's physical address. What is missing or wrong is left out.
pub(crate) fn read(rsdp: u64) -> Firmware {
    let mut firmware = Firmware::default();
    if rsdp == 0 {
        log::warn!("no ACPI tables");
        firmware.assume();
        return firmware;
    }
    // SAFETY: the boot loader found the root pointer there.
    let tables = match unsafe { AcpiTables::from_rsdp(Physical, rsdp as usize) } {
        Ok(tables) => tables,
        Err(error) => {
            log::error!("the ACPI tables cannot be read: {error:?}");
            return firmware;
        }
    };
    if let Some(madt) = tables.find_table::<Madt>() {
        read_madt(&madt, &mut firmware);
    }
    if let Some(mcfg) = tables.find_table::<Mcfg>() {
        firmware.ecam.extend(mcfg.entries().iter().map(|entry| EcamRange {
            base: entry.base_address,
            segment: entry.pci_segment_group,
            first_bus: entry.bus_number_start,
            last_bus: entry.bus_number_end,
        }));
    }
    if let Some(fadt) = tables.find_table::<Fadt>() {
        firmware.power = power(&fadt, &tables);
    }
    let ioapics: Vec<_> = firmware.ioapics.iter().map(|ioapic| (ioapic.id, ioapic.first)).collect();
    firmware.routing.pins = multiprocessor_table().map_or(Vec::new(), |table| mp::pins(table, &ioapics));
    firmware
}

fn read_madt(madt: &PhysicalMapping<Physical, Madt>, firmware: &mut Firmware) {
    const ENABLED: u32 = 1;
    for entry in madt.get().entries() {
        match entry {
            MadtEntry::IoApic(entry) => firmware.ioapics.push(IoApicAt {
                id: entry.io_apic_id,
                address: u64::from(entry.io_apic_address),
                first: entry.global_system_interrupt_base,
            }),
            MadtEntry::InterruptSourceOverride(entry) => {
                let Ok((polarity, trigger)) = parse_mps_inti_flags(entry.flags) else { continue };
                let input = Input {
                    number: entry.global_system_interrupt,
                    level: trigger == TriggerMode::Level,
                    active_low: polarity == Polarity::ActiveLow,
                };
                firmware.routing.overrides.push(Override { irq: entry.irq, input });
            }
            MadtEntry::LocalApic(entry) if entry.flags & ENABLED != 0 => firmware.processors += 1,
            MadtEntry::LocalX2Apic(entry) if entry.flags & ENABLED != 0 => firmware.processors += 1,
            _ => {}
        }
    }
}

impl Firmware {
    /// What every PC with an IOAPIC had before there were tables: it, and the timer's wire on input 2.
    fn assume(&mut self) {
        const IOAPIC: u64 = 0xFEC0_0000;
        self.ioapics.push(IoApicAt { id: 0, address: IOAPIC, first: 0 });
        let input = Input { number: 2, level: false, active_low: false };
        self.routing.overrides.push(Override { irq: 0, input });
        self.processors = 1;
    }
}

/// The multiprocessor table, where firmware still writes one: its pointer is in the extended BIOS data area or in the
/// BIOS's own memory.
fn multiprocessor_table() -> Option<&'static [u8]> {
    /// Where the BIOS keeps the segment of the extended data area.
    const EXTENDED_SEGMENT: u64 = 0x40E;
    let segment = *slice(EXTENDED_SEGMENT, 2)?.first_chunk::<2>()?;
    let extended = u64::from(u16::from_le_bytes(segment)) << 4;
    let areas = [(extended, 0x400), (0xF_0000, 0x1_0000)];
    let in_memory = |&(start, _): &(u64, usize)| (0x8_0000..0x10_0000).contains(&start);
    let mut found = areas.iter().filter(|area| in_memory(area));
    let table = found.find_map(|&(start, length)| mp::find(slice(start, length)?))?;
    slice(table, mp::length(slice(table, 6)?)?)
}

fn register(address: GenericAddress) -> Option<Register> {
    match address.address_space {
        AddressSpace::SystemIo => u16::try_from(address.address).ok().map(Register::Port),
        AddressSpace::SystemMemory => Some(Register::Memory(address.address)),
        _ => None,
    }
}

fn power(fadt: &Fadt, tables: &AcpiTables<Physical>) -> PowerRegisters {
    let mut registers = PowerRegisters::default();
    let flags = fadt.flags;
    if flags.supports_system_reset_via_fadt() {
        let reset = fadt.reset_register().ok().and_then(register);
        registers.reset = reset.map(|register| (register, fadt.reset_value));
    }
    let Some((a, b)) = tables.dsdt().ok().and_then(|dsdt| s5::find(bytes(dsdt.phys_address, dsdt.length)))
    else {
        log::warn!("the ACPI tables do not say how to power off");
        return registers;
    };
    if flags.system_is_hw_reduced_acpi() {
        let control = fadt.sleep_control_register().ok().flatten().and_then(register);
        registers.sleep_control = control.map(|register| (register, a));
        return registers;
    }
    let port = |address: Option<GenericAddress>| match address.and_then(register) {
        Some(Register::Port(port)) if port != 0 => Some(port),
        _ => None,
    };
    registers.pm1 = [
        port(fadt.pm1a_control_block().ok()).map(|port| (port, a)),
        port(fadt.pm1b_control_block().ok().flatten()).map(|port| (port, b)),
    ];
    registers
}

/// The AML behind the header of the table at `address`.
fn bytes(address: usize, length: u32) -> &'static [u8] {
    let length = (length as usize).clamp(size_of::<SdtHeader>(), TABLE_MAX);
    let table = slice(address as u64, length).unwrap_or_default();
    table.get(size_of::<SdtHeader>()..).unwrap_or_default()
}

/// What firmware wrote at physical `address`.
fn slice(address: u64, length: usize) -> Option<&'static [u8]> {
    let memory = view(usize::try_from(address).ok()?, length)?;
    // SAFETY: mapped for good, and firmware does not change its tables.
    Some(unsafe { core::slice::from_raw_parts(memory.as_ptr(), length) })
}

/// Where physical memory that the firmware wrote is mapped.
fn view(address: usize, length: usize) -> Option<NonNull<u8>> {
    let (start, end) = (address as u64, (address + length) as u64);
    let pointer = if crate::boot::is_mapped_ram(start, end) {
        crate::memory::direct_map(start)
    } else {
        crate::memory::map_device(start, length as u64)?
    };
    NonNull::new(pointer)
}

#[derive(Clone, Copy)]
struct Physical;

static NOTHING: [u64; 512] = [0; 512];

#[expect(clippy::unimplemented, reason = "only the interpreter, which is not built, calls these")]
impl Handler for Physical {
    unsafe fn map_physical_region<T>(&self, address: usize, size: usize) -> RawPhysicalMapping<T> {
        let length = size.min(TABLE_MAX);
        let start = view(address, length).unwrap_or(NonNull::from(&NOTHING).cast()).cast();
        // SAFETY: mapped for good, read only from here on.
        unsafe { RawPhysicalMapping::new(address, start, length, length) }
    }
    unsafe fn unmap_physical_region<T>(&self, _region: RawPhysicalMapping<T>) {}
    fn read_u8(&self, _: usize) -> u8 {
        unimplemented!()
    }
    fn read_u16(&self, _: usize) -> u16 {
        unimplemented!()
    }
    fn read_u32(&self, _: usize) -> u32 {
        unimplemented!()
    }
    fn read_u64(&self, _: usize) -> u64 {
        unimplemented!()
    }
    fn write_u8(&self, _: usize, _: u8) {}
    fn write_u16(&self, _: usize, _: u16) {}
    fn write_u32(&self, _: usize, _: u32) {}
    fn write_u64(&self, _: usize, _: u64) {}
    fn read_io_u8(&self, _: u16) -> u8 {
        unimplemented!()
    }
    fn read_io_u16(&self, _: u16) -> u16 {
        unimplemented!()
    }
    fn read_io_u32(&self, _: u16) -> u32 {
        unimplemented!()
    }
    fn write_io_u8(&self, _: u16, _: u8) {}
    fn write_io_u16(&self, _: u16, _: u16) {}
    fn write_io_u32(&self, _: u16, _: u32) {}
    fn read_pci_u8(&self, _: PciAddress, _: u16) -> u8 {
        unimplemented!()
    }
    fn read_pci_u16(&self, _: PciAddress, _: u16) -> u16 {
        unimplemented!()
    }
    fn read_pci_u32(&self, _: PciAddress, _: u16) -> u32 {
        unimplemented!()
    }
    fn write_pci_u8(&self, _: PciAddress, _: u16, _: u8) {}
    fn write_pci_u16(&self, _: PciAddress, _: u16, _: u16) {}
    fn write_pci_u32(&self, _: PciAddress, _: u16, _: u32) {}
    fn nanos_since_boot(&self) -> u64 {
        crate::time::now() * 100
    }
    fn stall(&self, _: u64) {}
    fn sleep(&self, _: u64) {}
}
