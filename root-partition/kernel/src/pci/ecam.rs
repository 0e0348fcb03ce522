//! Configuration space in memory: the enhanced configuration access mechanism (PCI Express base specification, 7.2.2).
#![expect(unsafe_code, reason = "implements an unsafe interface of pci_types")]

use crate::memory::mmio::Registers;
use pci_types::{ConfigRegionAccess, PciAddress};

/// A range of configuration space, as an entry of the MCFG table names it.
#[derive(Clone, Copy, Debug)]
pub struct EcamRange {
    /// Physical address of bus 0's configuration space.
    pub base: u64,
    /// PCI segment group.
    pub segment: u16,
    /// First bus.
    pub first_bus: u8,
    /// Last bus.
    pub last_bus: u8,
}

/// One segment's buses, as the MCFG table names them.
pub struct Ecam {
    registers: Registers,
    segment: u16,
    first_bus: u8,
}

impl Ecam {
    /// `registers` maps the configuration space of `segment` from bus `first_bus` on.
    #[must_use]
    pub fn new(registers: Registers, segment: u16, first_bus: u8) -> Self {
        Self { registers, segment, first_bus }
    }

    /// The function's page; `None`: the mapping does not hold it.
    fn page(&self, address: PciAddress) -> Option<Registers> {
        if address.segment() != self.segment {
            return None;
        }
        let bus = usize::from(address.bus().checked_sub(self.first_bus)?);
        let page = bus << 8 | usize::from(address.device()) << 3 | usize::from(address.function());
        self.registers.part(page << 12, 4096)
    }
}

impl ConfigRegionAccess for Ecam {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        self.page(address).map_or(u32::MAX, |page| page.read(usize::from(offset & 0xFFC)))
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        if let Some(page) = self.page(address) {
            page.write(usize::from(offset & 0xFFC), value);
        }
    }
}
