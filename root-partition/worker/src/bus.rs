//! Guest-physical memory as an instruction meets it: RAM where there is some, else the chipset.

use crate::memory::{GuestMemory, is_ram};
use crate::mmio::Bus;
use crate::paging::{Access, Mode, PageFault};
use crate::ports::{Chipset, Host};
use hv_abi::Gpa;

/// RAM and devices of one guest.
pub struct GuestBus<'a, M, H> {
    /// RAM.
    pub memory: &'a mut M,
    /// Devices.
    pub chipset: &'a mut Chipset,
    /// What devices want from outside.
    pub host: &'a H,
}

impl<M: GuestMemory, H: Host> Bus for GuestBus<'_, M, H> {
    fn read(&mut self, at: Gpa, size: u8) -> u64 {
        let size = usize::from(size.clamp(1, 8));
        if !is_ram(self.memory.ram(), at, size as u64) {
            return self.chipset.read_memory(at, size);
        }
        let mut bytes = [0; 8];
        match bytes.get_mut(..size).map(|bytes| self.memory.read(at, bytes)) {
            Some(Ok(())) => u64::from_le_bytes(bytes),
            _ => u64::MAX,
        }
    }

    fn write(&mut self, at: Gpa, size: u8, value: u64) {
        let size = usize::from(size.clamp(1, 8));
        if !is_ram(self.memory.ram(), at, size as u64) {
            return self.chipset.write_memory(self.host, at, value);
        }
        if let Some(bytes) = value.to_le_bytes().get(..size) {
            // It is RAM, as was just checked; if it is not any more, the write is lost like any to nowhere.
            let _ = self.memory.write(at, bytes);
        }
    }

    fn translate(&self, mode: &Mode, linear: u64, access: Access) -> Result<Gpa, PageFault> {
        mode.translate(self.memory, linear, access)
    }
}
