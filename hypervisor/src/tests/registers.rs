//! Registers of VPs, and translation of their addresses.

extern crate std;
use std::vec::Vec;

use hv_abi::memory::MapGpaFlags;
use hv_abi::registers::{HvRegisterName, HvRegisterValue};
use hv_abi::vp::{
    HvRegisterAssoc, TranslateResult, TranslateVirtualAddress, TranslateVirtualAddressOutput, VpRegisters,
    translate_flags,
};
use hv_abi::{CallCode, HvPartitionId, HvStatus, HvVpIndex, SpaPage};
use zerocopy::IntoBytes;

use super::{DEPOSIT, create_vp, map};
use crate::fake_machine::Root;

fn header(partition_id: HvPartitionId, vp_index: HvVpIndex) -> VpRegisters {
    VpRegisters { partition_id, vp_index, ..VpRegisters::default() }
}

fn set(root: &mut Root, id: HvPartitionId, values: &[(HvRegisterName, u64)]) -> (HvStatus, u16) {
    let assocs: Vec<HvRegisterAssoc> = values
        .iter()
        .map(|(name, value)| HvRegisterAssoc {
            name: *name,
            padding: [0; 3],
            value: HvRegisterValue::from_u64(*value),
        })
        .collect();
    let header = header(id, HvVpIndex(0));
    let count = u16::try_from(values.len()).unwrap();
    let out = root.reps(CallCode::SET_VP_REGISTERS, header.as_bytes(), assocs.as_bytes(), count).0;
    (out.status(), out.reps_completed())
}

fn get(root: &mut Root, id: HvPartitionId, vp: HvVpIndex, names: &[HvRegisterName]) -> (HvStatus, Vec<u64>) {
    let count = u16::try_from(names.len()).unwrap();
    let (out, bytes) =
        root.reps(CallCode::GET_VP_REGISTERS, header(id, vp).as_bytes(), names.as_bytes(), count);
    let words = bytes.chunks_exact(16).take(out.reps_completed().into());
    (out.status(), words.map(|w| u64::from_le_bytes(*w.first_chunk().unwrap())).collect())
}

#[test]
fn registers_are_written_and_read_back() {
    let mut root = Root::new();
    let id = root.guest(DEPOSIT);
    create_vp(&mut root, id, 0);
    // More than are handled at a time, and an odd number of names.
    let names: Vec<HvRegisterName> =
        (0..41).map(|n| HvRegisterName(HvRegisterName::Rax.0 + n % 16)).collect();
    let values: Vec<(HvRegisterName, u64)> =
        names.iter().take(16).map(|n| (*n, 1000 + u64::from(n.0))).collect();
    assert_eq!(set(&mut root, id, &values), (HvStatus::SUCCESS, 16));
    let (status, read) = get(&mut root, id, HvVpIndex(0), &names);
    assert_eq!(status, HvStatus::SUCCESS);
    assert_eq!(read.len(), 41);
    assert!(read.iter().zip(&names).all(|(value, name)| *value == 1000 + u64::from(name.0)));
}

#[test]
fn a_register_that_is_not_there_stops_the_call() {
    let mut root = Root::new();
    let id = root.guest(DEPOSIT);
    create_vp(&mut root, id, 0);
    let names = [HvRegisterName::Rip, HvRegisterName(0xFFFF_FFFF), HvRegisterName::Rax];
    let (status, read) = get(&mut root, id, HvVpIndex(0), &names);
    assert_eq!((status, read.len()), (HvStatus::INVALID_PARAMETER, 1));
    let values = [(HvRegisterName::Rip, 7), (HvRegisterName::Efer, u64::MAX), (HvRegisterName::Rax, 1)];
    assert_eq!(set(&mut root, id, &values), (HvStatus::INVALID_PARAMETER, 1));
    assert_eq!(get(&mut root, id, HvVpIndex(0), &[HvRegisterName::Rip]).1, [7]);
    assert_eq!(get(&mut root, id, HvVpIndex(3), &names).0, HvStatus::INVALID_VP_INDEX);
    assert_eq!(get(&mut root, HvPartitionId(0x500), HvVpIndex(0), &names).0, HvStatus::INVALID_PARTITION_ID);
    assert_eq!(
        get(&mut root, HvPartitionId::SELF, HvVpIndex::SELF, &[HvRegisterName::Rip]).0,
        HvStatus::SUCCESS
    );
}

/// A guest in long mode whose tables are at GPA 0x1000, 0x2000, …: maps GVA 0x40_0000 to GPA 0x5000, read-only.
fn long_mode_guest(root: &mut Root) -> HvPartitionId {
    let id = root.guest(DEPOSIT);
    create_vp(root, id, 0);
    let pages: Vec<u64> = (0..8).map(|_| root.page()).collect();
    assert_eq!(map(root, id, 0, &pages, MapGpaFlags::RAM).status(), HvStatus::SUCCESS);
    let write = |page: usize, index, value| {
        root.hv.machine.memory.physical(SpaPage::new(pages[page]).unwrap()).write(index, value);
    };
    write(1, 0, 0x2007);
    write(2, 0, 0x3007);
    write(3, 2, 0x4007);
    write(3, 3, 0x60_0087);
    write(4, 0, 0x8000_0000_0000_5001);
    write(4, 1, 0x10_0007);
    let state = [
        (HvRegisterName::Cr0, 0x8001_0001),
        (HvRegisterName::Cr3, 0x1000),
        (HvRegisterName::Cr4, 0x20),
        (HvRegisterName::Efer, 0xD00),
    ];
    assert_eq!(set(root, id, &state).0, HvStatus::SUCCESS);
    id
}

fn translate(root: &mut Root, id: HvPartitionId, gva: u64, flags: u64) -> (TranslateResult, u64) {
    let call = TranslateVirtualAddress {
        partition_id: id,
        control_flags: flags,
        gva_page: gva >> 12,
        ..TranslateVirtualAddress::default()
    };
    let out: TranslateVirtualAddressOutput = root.call(CallCode::TRANSLATE_VIRTUAL_ADDRESS, &call).unwrap();
    (out.result_code, out.gpa_page)
}

#[test]
fn addresses_are_translated_as_the_processor_would() {
    let mut root = Root::new();
    let id = long_mode_guest(&mut root);
    let read = translate_flags::VALIDATE_READ;
    assert_eq!(translate(&mut root, id, 0x40_0000, read), (TranslateResult::SUCCESS, 5));
    let write = translate_flags::VALIDATE_WRITE;
    assert_eq!(translate(&mut root, id, 0x40_0000, write).0, TranslateResult::PRIVILEGE_VIOLATION);
    let execute = translate_flags::VALIDATE_EXECUTE;
    assert_eq!(translate(&mut root, id, 0x40_0000, execute).0, TranslateResult::PRIVILEGE_VIOLATION);
    assert_eq!(translate(&mut root, id, 0x40_1000, read).0, TranslateResult::GPA_UNMAPPED);
    assert_eq!(translate(&mut root, id, 0x40_2000, read).0, TranslateResult::PAGE_NOT_PRESENT);
    assert_eq!(translate(&mut root, id, 1 << 39, read).0, TranslateResult::PAGE_NOT_PRESENT);
    // A large page; what it maps is not there.
    assert_eq!(translate(&mut root, id, 0x60_3000, read), (TranslateResult::GPA_UNMAPPED, 0x603));
}
