//! ACPI tables as firmware writes them, and as it should not.

use std::vec::Vec;

use handoff::MAX_PROCESSORS;

use super::*;

fn facts(memory: &Bytes) -> (Machine, Option<u16>) {
    let mut machine = Machine::NONE;
    let timer = read(memory, 0, &mut machine);
    (machine, timer)
}

struct Bytes(Vec<u8>);

impl Memory for Bytes {
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        let start = usize::try_from(address).ok()?;
        self.0.get(start..start.checked_add(length)?)
    }
}

fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut table = Vec::from(signature);
    table.extend((36 + body.len() as u32).to_le_bytes());
    table.resize(36, 0);
    table.extend(body);
    table
}

/// Root pointer at 0, then the root table, then `tables`.
fn machine(extended: bool, tables: &[Vec<u8>]) -> Bytes {
    let width = if extended { 8 } else { 4 };
    let mut memory = Vec::from(b"RSD PTR ");
    memory.resize(36, 0);
    memory[15] = if extended { 2 } else { 0 };
    memory[if extended { 24 } else { 16 }] = 36;
    let mut at = 36 + 36 + width * tables.len();
    let mut pointers = Vec::new();
    for table in tables {
        pointers.extend(&(at as u64).to_le_bytes()[..width]);
        at += table.len();
    }
    memory.extend(self::table(if extended { b"XSDT" } else { b"RSDT" }, &pointers));
    tables.iter().for_each(|table| memory.extend(table));
    Bytes(memory)
}

fn madt(entries: &[&[u8]]) -> Vec<u8> {
    table(b"APIC", &[&[0; 8], &entries.concat()[..]].concat())
}

#[test]
fn enabled_processors_are_listed_once() {
    let madt = madt(&[
        &[0, 8, 0, 0, 1, 0, 0, 0],
        &[0, 8, 1, 1, 1, 0, 0, 0],
        &[0, 8, 2, 2, 0, 0, 0, 0],
        &[1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[9, 16, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        &[9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    ]);
    for extended in [false, true] {
        let (machine, timer) = facts(&machine(extended, std::slice::from_ref(&madt)));
        assert_eq!(machine.processors(), [0, 1, 256]);
        assert_eq!((timer, machine.iommu), (None, Iommu::NONE));
    }
}

#[test]
fn timer_and_iommu_are_found() {
    let mut body = [0; 240];
    body[40..44].copy_from_slice(&0x608_u32.to_le_bytes());
    let tables = [table(b"FACP", &body), table(b"IVRS", &[0; 12])];
    let (found, timer) = facts(&machine(true, &tables));
    assert_eq!((timer, found.iommu), (Some(0x608), Iommu::AMD_VI));
    body[172] = 1;
    body[176..184].copy_from_slice(&0x408_u64.to_le_bytes());
    assert_eq!(facts(&machine(true, &[table(b"FACP", &body)])).1, Some(0x408));
}

#[test]
fn processors_beyond_the_limit_are_counted() {
    let entries: Vec<[u8; 16]> = (0..MAX_PROCESSORS as u32 + 3)
        .map(|id| {
            let mut entry = [9, 16, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
            entry[4..8].copy_from_slice(&id.to_le_bytes());
            entry
        })
        .collect();
    let entries: Vec<&[u8]> = entries.iter().map(|entry| &entry[..]).collect();
    let (machine, _) = facts(&machine(true, &[madt(&entries)]));
    assert_eq!((machine.processors().len(), machine.processors_left_out), (MAX_PROCESSORS, 3));
}

#[test]
fn damage_is_as_if_absent() {
    let whole = machine(true, &[madt(&[&[0, 8, 0, 0, 1, 0, 0, 0], &[0, 8, 1, 1, 1, 0, 0, 0]])]);
    for at in 0..whole.0.len() {
        for value in [0, 1, 0x7F, 0xFF] {
            let mut damaged = Bytes(whole.0.clone());
            damaged.0[at] = value;
            assert!(facts(&damaged).0.processors().len() <= 4);
        }
        assert!(facts(&Bytes(whole.0[..at].to_vec())).0.processors().len() <= 2);
    }
}
