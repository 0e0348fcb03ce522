//! The configuration table of the multiprocessor specification (Intel, version 1.4, chapter 4), for the one thing that
//! ACPI tells in AML only: where the pins of PCI functions arrive. Firmware up to about 2010 writes one.

use super::routing::Input;
use alloc::vec::Vec;

/// Where a PCI pin arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PinRoute {
    /// PCI bus.
    pub bus: u8,
    /// Device on it.
    pub device: u8,
    /// Pin: 0 is INTA.
    pub pin: u8,
    /// Where it arrives.
    pub input: Input,
}

/// Bytes of the header and of the floating pointer structure.
const HEADER: usize = 44;
const POINTER: usize = 16;
/// The longest table that is looked at.
pub const TABLE_MAX: usize = 1 << 16;

/// The address in the floating pointer structure (4.1) in `memory`, where it stands at a multiple of 16.
pub fn find(memory: &[u8]) -> Option<u64> {
    let sum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
    let structures = memory.chunks_exact(POINTER);
    let pointer = structures.into_iter().find(|bytes| bytes.starts_with(b"_MP_") && sum(bytes) == 0)?;
    let address = u32::from_le_bytes(pointer.get(4..8)?.try_into().ok()?);
    (address != 0).then_some(u64::from(address))
}

/// The length that the header of a table says; `None`: it is none.
pub fn length(header: &[u8]) -> Option<usize> {
    if !header.starts_with(b"PCMP") {
        return None;
    }
    let length = usize::from(u16::from_le_bytes([*header.get(4)?, *header.get(5)?]));
    (HEADER..=TABLE_MAX).contains(&length).then_some(length)
}

/// The PCI pins in `table`. `ioapics`: identifier and first input of each IOAPIC.
pub fn pins(table: &[u8], ioapics: &[(u8, u32)]) -> Vec<PinRoute> {
    const PROCESSOR: u8 = 0;
    const BUS: u8 = 1;
    const INTERRUPT: u8 = 3;
    let (mut buses, mut found) = (Vec::new(), Vec::new());
    let mut rest = table.get(HEADER..).unwrap_or_default();
    while let Some(&kind) = rest.first() {
        let Some((entry, others)) = rest.split_at_checked(if kind == PROCESSOR { 20 } else { 8 }) else {
            break;
        };
        rest = others;
        match kind {
            BUS if entry.get(2..5) == Some(b"PCI") => buses.extend(entry.get(1)),
            INTERRUPT => found.extend(pin(entry, &buses, ioapics)),
            _ => {}
        }
    }
    found
}

/// An I/O interrupt assignment entry (4.3.4) that is about a PCI pin.
fn pin(entry: &[u8], buses: &[u8], ioapics: &[(u8, u32)]) -> Option<PinRoute> {
    const VECTORED: u8 = 0;
    let &[_, kind, flags, _, bus, source, ioapic, input] = entry else { return None };
    if kind != VECTORED || !buses.contains(&bus) {
        return None;
    }
    let first = ioapics.iter().find(|(id, _)| *id == ioapic)?.1;
    // Polarity and trigger mode: 1 is active high and edge; 3 active low and level; else as PCI has it.
    let (active_low, level) = (flags & 3 != 1, flags >> 2 & 3 != 1);
    let input = Input { number: first.checked_add(u32::from(input))?, level, active_low };
    Some(PinRoute { bus, device: source >> 2 & 0x1F, pin: source & 3, input })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(entries: &[&[u8]]) -> Vec<u8> {
        let mut table = vec![0; HEADER];
        table[..4].copy_from_slice(b"PCMP");
        entries.iter().for_each(|entry| table.extend_from_slice(entry));
        let length = (table.len() as u16).to_le_bytes();
        table[4..6].copy_from_slice(&length);
        table
    }

    const PCI: &[u8] = &[1, 0, b'P', b'C', b'I', b' ', b' ', b' '];
    const ISA: &[u8] = &[1, 1, b'I', b'S', b'A', b' ', b' ', b' '];

    #[test]
    fn pins_are_found_behind_processors_and_isa_interrupts_are_not_pins() {
        let table = table(&[
            &[0; 20],
            PCI,
            ISA,
            &[3, 0, 0, 0, 1, 14, 2, 14],
            &[3, 0, 0, 0, 0, 31 << 2 | 1, 2, 18],
            &[3, 0, 5, 0, 0, 3 << 2, 2, 10],
            &[3, 0, 0, 0, 0, 4 << 2, 9, 10],
            &[3, 3, 0, 0, 0, 5 << 2, 2, 10],
        ]);
        assert_eq!(length(&table), Some(table.len()));
        let input = |number, level, active_low| Input { number, level, active_low };
        assert_eq!(
            pins(&table, &[(2, 24)]),
            [
                PinRoute { bus: 0, device: 31, pin: 1, input: input(42, true, true) },
                PinRoute { bus: 0, device: 3, pin: 0, input: input(34, false, false) },
            ]
        );
    }

    #[test]
    fn the_pointer_is_found_by_signature_and_sum() {
        let mut memory = vec![0; 64];
        memory[32..36].copy_from_slice(b"_MP_");
        memory[36..40].copy_from_slice(&0xF_1234_u32.to_le_bytes());
        assert_eq!(find(&memory), None);
        let sum = memory[32..48].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        memory[42] = 0_u8.wrapping_sub(sum);
        assert_eq!(find(&memory), Some(0xF_1234));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (find(&bytes), length(&bytes), pins(&bytes, &[(0, u32::MAX)]));
        }
    }
}
