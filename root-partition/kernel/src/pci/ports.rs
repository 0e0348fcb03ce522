//! Configuration space through two ports (PCI local bus specification 3.0, 3.2.2.3.2): for machines without it in memory.
//!
//! It has one segment, and of each function the first 256 bytes: extended capabilities are out of reach.

use pci_types::PciAddress;

/// CONFIG_ADDRESS that makes CONFIG_DATA the register at `offset` of a function; `None`: out of reach.
fn config_address(address: PciAddress, offset: u16) -> Option<u32> {
    const ENABLE: u32 = 1 << 31;
    if address.segment() != 0 || offset > 0xFF {
        return None;
    }
    let bus = u32::from(address.bus()) << 16;
    let device = u32::from(address.device()) << 11;
    let function = u32::from(address.function()) << 8;
    Some(ENABLE | bus | device | function | u32::from(offset & 0xFC))
}

#[cfg(not(test))]
#[expect(unsafe_code, reason = "implements an unsafe interface of pci_types")]
mod access {
    use super::config_address;
    use crate::arch::port;
    use pci_types::{ConfigRegionAccess, PciAddress};
    use spin::Mutex;

    const CONFIG_ADDRESS: u16 = 0xCF8;
    const CONFIG_DATA: u16 = 0xCFC;

    /// The pair of ports.
    pub struct Ports {
        /// Guards the pair; a leaf lock.
        pair: Mutex<()>,
    }

    impl Ports {
        /// The ports of this machine; `None`: it has none.
        #[must_use]
        pub fn find() -> Option<Self> {
            let probe = config_address(PciAddress::new(0, 0, 0, 0), 0)?;
            port::write(CONFIG_ADDRESS, probe);
            (port::read::<u32>(CONFIG_ADDRESS) == probe).then(|| Self { pair: Mutex::new(()) })
        }
    }

    impl ConfigRegionAccess for Ports {
        unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
            let Some(register) = config_address(address, offset) else { return u32::MAX };
            let _pair = self.pair.lock();
            port::write(CONFIG_ADDRESS, register);
            port::read(CONFIG_DATA)
        }

        unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
            let Some(register) = config_address(address, offset) else { return };
            let _pair = self.pair.lock();
            port::write(CONFIG_ADDRESS, register);
            port::write(CONFIG_DATA, value);
        }
    }
}
#[cfg(not(test))]
pub use access::Ports;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_has_its_address_and_what_is_out_of_reach_has_none() {
        let function = PciAddress::new(0, 2, 31, 5);
        assert_eq!(config_address(function, 0x13), Some(0x8002_FD10));
        assert_eq!(config_address(function, 0x100), None);
        assert_eq!(config_address(PciAddress::new(1, 2, 31, 5), 0), None);
    }
}
