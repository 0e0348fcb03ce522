//! Enumeration over configuration space in a map.

use super::*;
use spin::Mutex;
use std::collections::BTreeMap;

/// Registers by (bus, device, function, offset); what is not there reads all ones. BAR 0 is 64 bits, 16 KiB.
struct Fake(Mutex<BTreeMap<(u8, u8, u8, u16), u32>>);

impl ConfigRegionAccess for Fake {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        let key = (address.bus(), address.device(), address.function(), offset);
        self.0.lock().get(&key).copied().unwrap_or(u32::MAX)
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        let value = match offset {
            0x10 => value & !0x3FFF | 0b100,
            _ => value,
        };
        self.0.lock().insert((address.bus(), address.device(), address.function(), offset), value);
    }
}

/// Bus, device and function, and what is in its registers.
type Played<'a> = ((u8, u8, u8), &'a [(u16, u32)]);

fn access(functions: &[Played<'_>]) -> Access {
    let mut map = BTreeMap::new();
    for &((bus, device, function), registers) in functions {
        for &(offset, value) in registers {
            map.insert((bus, device, function, offset), value);
        }
    }
    Arc::new(Fake(Mutex::new(map)))
}

const NVME: &[(u16, u32)] = &[
    (0, 0x0010_1B36),
    (4, 0x10_0000),
    (8, 0x0108_0200),
    (0xC, 0),
    (0x10, 0xFE00_0004),
    (0x14, 1),
    (0x34, 0),
];

#[test]
fn functions_behind_bridges_are_found_once() {
    let bridge: &[(u16, u32)] = &[(0, 0x1), (8, 0x0604_0000), (0xC, 0x0081_0000), (0x18, 0x0000_0500)];
    let loops: &[(u16, u32)] = &[(0, 0x1), (8, 0x0604_0000), (0xC, 0x0001_0000), (0x18, 0x0000_0000)];
    let access = access(&[
        ((0, 3, 0), bridge),
        ((0, 3, 1), NVME),
        ((0, 4, 0), loops),
        ((5, 0, 0), NVME),
        ((5, 1, 1), NVME),
    ]);
    let found: Vec<_> = functions(&access, 0, [0])
        .iter()
        .map(|function| (function.address.bus(), function.address.device(), function.address.function()))
        .collect();
    assert_eq!(found, [(0, 3, 1), (5, 0, 0)]);
}

#[test]
fn a_bar_is_sized_and_left_as_it_was() {
    let access = access(&[((0, 0, 0), NVME)]);
    let function = &functions(&access, 0, [0])[0];
    assert_eq!((function.id, function.class), ((0x1B36, 0x10), (1, 8, 2)));
    assert_eq!(function.memory_bar(0), Some((0x1_FE00_0000, 0x4000)));
    assert_eq!((function.read(0x10), function.read(0x14)), (0xFE00_0004, 1));
    assert_eq!(function.memory_bar(6), None);
    function.enable().unwrap();
    assert_eq!(function.read(4) & 0x406, 0x406);
}

#[test]
fn a_block_of_ports_ends_before_the_last_port_does() {
    let ports = |raw| {
        let ide: &[(u16, u32)] = &[(0, 0x7010_8086), (8, 0x0101_8000), (0xC, 0), (0x14, raw), (0x34, 0)];
        functions(&access(&[((0, 0, 0), ide)]), 0, [0])[0].port_bar(1)
    };
    assert_eq!((ports(0xC041), ports(0xFFF1)), (Some(0xC040), Some(0xFFF0)));
    assert_eq!((ports(0xFFFD), ports(0x1_C041), ports(1), ports(0xC040)), (None, None, None, None));
}
