//! How the first VP starts: registers, descriptor table and page tables of both boot protocols.

use super::{LoadError, layout};
use crate::memory::{GuestMemory, gpa};
use alloc::vec::Vec;
use hv_abi::control::{LOCAL_APIC, apic_base, cr0, cr4, efer, rflags};
use hv_abi::registers::{
    HvRegisterName as Name, HvRegisterValue, HvSegmentAttributes, HvSegmentRegister, HvTableRegister,
};
use syscall::VmRegister;

/// Selectors in the descriptor table.
const CODE: u16 = 0x10;
const DATA: u16 = 0x18;
const TASK: u16 = 0x20;
/// Descriptors in the order of the selectors: two empty ones, code, data, task (two entries).
const GDT_64: [u64; 6] = [0, 0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x0000_8B00_0000_0067, 0];
const GDT_32: [u64; 6] = [0, 0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x0000_8B00_0000_0067, 0];

/// Page-table entry: present and writable; a large page.
const PRESENT_WRITABLE: u64 = 3;
const LARGE: u64 = 1 << 7;
const PAGE: u64 = 4096;

/// The register values that a VP starts with.
#[derive(Clone, Debug, Default)]
pub struct VpState {
    registers: Vec<VmRegister>,
}

impl VpState {
    /// For the system call.
    #[must_use]
    pub fn registers(&self) -> &[VmRegister] {
        &self.registers
    }

    /// The value of `name`, if it is one of them.
    #[must_use]
    pub fn get(&self, name: Name) -> Option<HvRegisterValue> {
        let register = self.registers.iter().find(|register| register.name == name.0)?;
        let [low, high] = register.value;
        Some(HvRegisterValue { low, high })
    }

    /// The state of a VP that is not the first: its local APIC only.
    #[must_use]
    pub fn application_processor() -> Self {
        let mut state = Self::default();
        state.set(Name::ApicBase, LOCAL_APIC | apic_base::EN | apic_base::EXTD);
        state
    }

    fn push(&mut self, name: Name, value: HvRegisterValue) {
        self.registers.push(VmRegister { name: name.0, reserved: [0; 3], value: [value.low, value.high] });
    }

    fn set(&mut self, name: Name, value: u64) {
        self.push(name, HvRegisterValue::from_u64(value));
    }

    fn set_segment(&mut self, name: Name, selector: u16, limit: u32, attributes: HvSegmentAttributes) {
        self.push(
            name,
            HvRegisterValue::from_segment(HvSegmentRegister { base: 0, limit, selector, attributes }),
        );
    }

    /// What both protocols share: flat segments, tables, flags, local APIC.
    fn first_processor(entry: u64, code: HvSegmentAttributes) -> Self {
        let mut state = Self::default();
        state.set_segment(Name::Cs, CODE, u32::MAX, code);
        let data = attributes(3).with_default(true).with_granularity(true);
        for name in [Name::Ds, Name::Es, Name::Ss, Name::Fs, Name::Gs] {
            state.set_segment(name, DATA, u32::MAX, data);
        }
        let system = HvSegmentAttributes::new().with_present(true);
        state.set_segment(Name::Tr, TASK, 0x67, system.with_segment_type(0xB));
        state.set_segment(Name::Ldtr, 0, 0, HvSegmentAttributes::new());
        let limit = (size_of_val(&GDT_64) - 1) as u16;
        let gdt = HvTableRegister { padding: [0; 3], limit, base: layout::GDT.get() };
        state.push(Name::Gdtr, HvRegisterValue::from_table(gdt));
        state.push(Name::Idtr, HvRegisterValue::from_table(HvTableRegister::default()));
        state.set(Name::Rip, entry);
        state.set(Name::Rflags, rflags::ONE);
        state.set(Name::ApicBase, LOCAL_APIC | apic_base::EN | apic_base::EXTD | apic_base::BSP);
        state
    }
}

/// Present code or data of type `segment_type`, privilege level 0.
fn attributes(segment_type: u8) -> HvSegmentAttributes {
    HvSegmentAttributes::new()
        .with_present(true)
        .with_non_system_segment(true)
        .with_segment_type(segment_type)
}

/// Writes tables and makes the state for the 64-bit protocol of Linux: long mode, identity map, RSI on `boot_params`.
pub fn long_mode<M: GuestMemory>(memory: &mut M, entry: u64) -> Result<VpState, LoadError> {
    write_words(memory, layout::GDT.get(), &GDT_64)?;
    let tables = layout::PAGE_TABLES.get();
    let (pdpt, directories) = (tables + PAGE, tables + 2 * PAGE);
    let gibibytes = layout::IDENTITY_MAP >> 30;
    write_words(memory, tables, &[pdpt | PRESENT_WRITABLE])?;
    for gibibyte in 0..gibibytes {
        let directory = directories + gibibyte * PAGE;
        write_words(memory, pdpt + gibibyte * 8, &[directory | PRESENT_WRITABLE])?;
        let entries: Vec<u64> =
            (0..512).map(|i| gibibyte << 30 | i << 21 | LARGE | PRESENT_WRITABLE).collect();
        write_words(memory, directory, &entries)?;
    }
    let mut state = VpState::first_processor(entry, attributes(0xB).with_long(true).with_granularity(true));
    state.set(Name::Cr0, cr0::PG | cr0::NE | cr0::ET | cr0::PE);
    state.set(Name::Cr3, tables);
    state.set(Name::Cr4, cr4::PAE);
    state.set(Name::Efer, efer::LMA | efer::LME);
    state.set(Name::Rsi, layout::BOOT_INFO.get());
    Ok(state)
}

/// Writes tables and makes the state for PVH: 32-bit protected mode, no paging, EBX on `hvm_start_info`.
pub fn protected_mode<M: GuestMemory>(memory: &mut M, entry: u64) -> Result<VpState, LoadError> {
    write_words(memory, layout::GDT.get(), &GDT_32)?;
    let mut state =
        VpState::first_processor(entry, attributes(0xB).with_default(true).with_granularity(true));
    state.set(Name::Cr0, cr0::ET | cr0::PE);
    state.set(Name::Cr3, 0);
    state.set(Name::Cr4, 0);
    state.set(Name::Efer, 0);
    state.set(Name::Rbx, layout::BOOT_INFO.get());
    Ok(state)
}

fn write_words<M: GuestMemory>(memory: &mut M, at: u64, words: &[u64]) -> Result<(), LoadError> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    memory.write(gpa(at), &bytes)?;
    Ok(())
}
