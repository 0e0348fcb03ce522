//! Message-signalled interrupts: MSI-X (PCI 3.0, 6.8.2) where a function has it, else MSI.

use super::Function;
use super::StartError;
use crate::memory::mmio::Registers;
use pci_types::capability::{MsiCapability, MsixCapability, PciCapability};

/// Bytes of an entry of the MSI-X table.
const ENTRY: usize = 16;

/// Where a function's interrupts go.
pub enum Route {
    /// Each entry of the table is a vector of its own.
    Table(MessageTable),
    /// One vector for everything.
    Single(MsiCapability),
}

/// An MSI-X table.
pub struct MessageTable {
    capability: MsixCapability,
    entries: Registers,
}

impl Route {
    /// How many vectors there are: 2048 at most.
    #[must_use]
    pub fn vectors(&self) -> u16 {
        match self {
            Self::Table(table) => (table.entries.length() / ENTRY) as u16,
            Self::Single(_) => 1,
        }
    }
}

impl MessageTable {
    /// Points entry `index` at a message and unmasks it.
    fn set(&self, index: u16, address: u64, data: u32) -> Result<(), StartError> {
        let entry = self.entries.part(usize::from(index) * ENTRY, ENTRY);
        let entry = entry.ok_or(StartError::Missing("MSI-X entry"))?;
        entry.write(0, address as u32);
        entry.write(4, (address >> 32) as u32);
        entry.write(8, data);
        entry.write(12, 0u32);
        Ok(())
    }
}

impl Function {
    /// How its interrupts can be routed; `map` maps a range of device memory.
    ///
    /// # Errors
    /// `Missing`: it has neither MSI-X nor MSI.
    pub fn route(&self, map: impl Fn(u64, u64) -> Option<Registers>) -> Result<Route, StartError> {
        let mut single = None;
        for capability in self.capabilities() {
            match capability {
                PciCapability::MsiX(capability) => {
                    let (bar, size) =
                        self.memory_bar(capability.table_bar()).ok_or(StartError::Missing("MSI-X table"))?;
                    let offset = u64::from(capability.table_offset());
                    let length = u64::from(capability.table_size()) * ENTRY as u64;
                    if offset + length > size {
                        return Err(StartError::Missing("MSI-X table"));
                    }
                    let entries = map(bar + offset, length).ok_or(StartError::OutOfMemory)?;
                    return Ok(Route::Table(MessageTable { capability, entries }));
                }
                PciCapability::Msi(capability) => single = Some(capability),
                _ => {}
            }
        }
        single.map(Route::Single).ok_or(StartError::Missing("MSI-X or MSI"))
    }

    /// Sends interrupt `index` of the function as the message `data` to `address`, and lets it send.
    ///
    /// # Errors
    /// `Missing`: there is no such entry.
    pub fn connect(&self, route: &mut Route, index: u16, address: u64, data: u32) -> Result<(), StartError> {
        match route {
            Route::Table(table) => {
                table.set(index, address, data)?;
                table.capability.set_function_mask(false, &*self.access);
                table.capability.set_enabled(true, &*self.access);
            }
            Route::Single(capability) => {
                capability.set_message_info(address, data, &*self.access);
                capability.set_enabled(true, &*self.access);
            }
        }
        Ok(())
    }
}
