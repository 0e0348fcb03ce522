//! PCI: finding functions, their registers and their message-signalled interrupts.
//!
//! Configuration space is behind [`ConfigRegionAccess`] of `pci_types`, which each way to reach it implements: mapped
//! memory ([`Ecam`]), and ports 0xCF8 and 0xCFC on machines without it. Addresses are those that the firmware gave out;
//! nothing is moved.
//!
//! Invariant: a function decodes no memory access while its BARs are being sized.
#![expect(unsafe_code, reason = "configuration space is reached through its mapping")]

mod ecam;
mod interrupt;
mod ports;
mod start_error;

pub use ecam::{Ecam, EcamRange};
pub use interrupt::{MessageTable, Route};
#[cfg(not(test))]
pub use ports::Ports;
pub use start_error::StartError;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use pci_types::capability::PciCapability;
use pci_types::device_type::DeviceType;
use pci_types::{
    Bar, CommandRegister, ConfigRegionAccess, EndpointHeader, HeaderType, PciAddress, PciHeader,
    PciPciBridgeHeader,
};

/// The most capabilities that a function is asked for: configuration space has room for no more.
const CAPABILITIES_MAX: usize = 48;

/// Configuration space that several functions share.
pub type Access = Arc<dyn ConfigRegionAccess + Send + Sync>;

/// A PCI function that is not a bridge.
pub struct Function {
    access: Access,
    header: EndpointHeader,
    /// Where it is.
    pub address: PciAddress,
    /// Vendor and device.
    pub id: (u16, u16),
    /// Base class, subclass and programming interface.
    pub class: (u8, u8, u8),
}

impl Function {
    /// What it is, as `pci_types` names it.
    #[must_use]
    pub fn device_type(&self) -> DeviceType {
        DeviceType::from((self.class.0, self.class.1))
    }

    /// Its capabilities.
    pub fn capabilities(&self) -> impl Iterator<Item = PciCapability> + '_ {
        self.header.capabilities(&*self.access).take(CAPABILITIES_MAX)
    }

    /// Address and size of memory BAR `slot`.
    #[must_use]
    pub fn memory_bar(&self, slot: u8) -> Option<(u64, u64)> {
        const TYPE_RESERVED: [u32; 2] = [0b01 << 1, 0b11 << 1];
        let raw = self.read(0x10 + u16::from(slot) * 4);
        if slot >= 6 || (raw & 1 == 0 && TYPE_RESERVED.contains(&(raw & 0b110))) {
            return None;
        }
        let mut header = EndpointHeader::from_header(PciHeader::new(self.address), &*self.access)?;
        let command = header.command(&*self.access);
        header.update_command(&*self.access, |old| old - CommandRegister::MEMORY_ENABLE);
        let bar = self.header.bar(slot, &*self.access);
        header.update_command(&*self.access, |_| command);
        match bar? {
            Bar::Memory32 { address, size, .. } => Some((u64::from(address), u64::from(size))),
            Bar::Memory64 { address, size, .. } => Some((address, size)),
            Bar::Io { .. } => None,
        }
        .filter(|&(address, size)| address != 0 && address.checked_add(size).is_some())
    }

    /// The first port of I/O BAR `slot`; `None`: it is no such BAR, or has no address.
    #[must_use]
    pub fn port_bar(&self, slot: u8) -> Option<u16> {
        let raw = self.read(0x10 + u16::from(slot) * 4);
        /// The last port at which a block of 16 can begin.
        const LAST: u16 = 0xFFF0;
        let port = u16::try_from(raw & !3).ok().filter(|&port| port != 0 && port <= LAST);
        port.filter(|_| slot < 6 && raw & 1 != 0)
    }

    /// Which of INTA to INTD (0 to 3) it raises, and what the firmware wrote into its interrupt line register; `None`: it
    /// raises none.
    #[must_use]
    pub fn pin(&self) -> Option<(u8, u8)> {
        let raw = self.read(0x3C);
        let pin = (raw >> 8) as u8;
        (1..=4).contains(&pin).then(|| (pin - 1, raw as u8))
    }

    /// The 32-bit register at `offset` of configuration space.
    #[must_use]
    pub fn read(&self, offset: u16) -> u32 {
        // SAFETY: reading configuration space of a function that exists, within its first 4096 bytes, is harmless.
        unsafe { self.access.read(self.address, offset & 0xFFC) }
    }

    /// Lets it decode memory and be a bus master; no pin interrupts.
    pub fn enable(&self) -> Result<(), StartError> {
        let wanted = CommandRegister::MEMORY_ENABLE
            | CommandRegister::BUS_MASTER_ENABLE
            | CommandRegister::INTERRUPT_DISABLE;
        self.update_command(|old| old | wanted)
    }

    /// Lets it raise its pin.
    pub fn enable_pin(&self) -> Result<(), StartError> {
        self.update_command(|old| old - CommandRegister::INTERRUPT_DISABLE)
    }

    /// Lets it decode ports, be a bus master, and raise its pin.
    pub fn enable_ports(&self) -> Result<(), StartError> {
        let wanted = CommandRegister::IO_ENABLE | CommandRegister::BUS_MASTER_ENABLE;
        self.update_command(|old| (old | wanted) - CommandRegister::INTERRUPT_DISABLE)
    }

    /// What keeps it from memory for good.
    #[must_use]
    pub fn master_switch(&self) -> MasterSwitch {
        MasterSwitch { access: Arc::clone(&self.access), address: self.address }
    }

    fn update_command(
        &self,
        change: impl FnOnce(CommandRegister) -> CommandRegister,
    ) -> Result<(), StartError> {
        let missing = StartError::Missing("endpoint header");
        let mut header =
            EndpointHeader::from_header(PciHeader::new(self.address), &*self.access).ok_or(missing)?;
        header.update_command(&*self.access, change);
        Ok(())
    }
}

/// Turns off a function's bus mastering.
pub struct MasterSwitch {
    access: Access,
    address: PciAddress,
}

impl MasterSwitch {
    /// It reads and writes no memory, and sends no interrupts, from now on.
    pub fn off(&self) {
        if let Some(mut header) = EndpointHeader::from_header(PciHeader::new(self.address), &*self.access) {
            header.update_command(&*self.access, |old| old - CommandRegister::BUS_MASTER_ENABLE);
        }
    }
}

/// The functions behind `access` in `segment`: those on the buses `roots`, and through every bridge.
#[must_use]
pub fn functions(access: &Access, segment: u16, roots: impl IntoIterator<Item = u8>) -> Vec<Function> {
    let mut found = Vec::new();
    let mut buses: VecDeque<u8> = roots.into_iter().collect();
    let mut seen = [false; 256];
    while let Some(bus) = buses.pop_front() {
        if core::mem::replace(&mut seen[usize::from(bus)], true) {
            continue;
        }
        for device in 0..32 {
            scan_device(access, segment, bus, device, &mut found, &mut buses);
        }
    }
    found
}

fn scan_device(
    access: &Access,
    segment: u16,
    bus: u8,
    device: u8,
    found: &mut Vec<Function>,
    buses: &mut VecDeque<u8>,
) {
    for function in 0..8 {
        let address = PciAddress::new(segment, bus, device, function);
        let header = PciHeader::new(address);
        let id = header.id(&**access);
        if id.0 != 0xFFFF {
            if let Some(function) = endpoint(access, address, id) {
                found.push(function);
            } else if let Some(bridge) = PciPciBridgeHeader::from_header(PciHeader::new(address), &**access) {
                buses.push_back(bridge.secondary_bus_number(&**access));
            }
        }
        if function == 0 && (id.0 == 0xFFFF || !header.has_multiple_functions(&**access)) {
            return;
        }
    }
}

fn endpoint(access: &Access, address: PciAddress, id: (u16, u16)) -> Option<Function> {
    let header = PciHeader::new(address);
    if !matches!(header.header_type(&**access), HeaderType::Endpoint) {
        return None;
    }
    let (_, base, sub, interface) = header.revision_and_class(&**access);
    let header = EndpointHeader::from_header(header, &**access)?;
    Some(Function { access: Arc::clone(access), header, address, id, class: (base, sub, interface) })
}

#[cfg(test)]
mod tests;
