//! The PCI transport (4.1): where a device's structures are, and the steps that start it (3.1.1).

use super::queue::Queue;
use crate::memory::mmio::Registers;
use crate::pci::Function;
use crate::pci::StartError;
use pci_types::capability::PciCapability;

/// Types of virtio structures (4.1.4).
const PCI_CAP_COMMON_CFG: u8 = 1;
const PCI_CAP_NOTIFY_CFG: u8 = 2;
const PCI_CAP_ISR_CFG: u8 = 3;
const PCI_CAP_DEVICE_CFG: u8 = 4;

/// Offsets in the common configuration structure (4.1.4.3).
mod common {
    pub const DEVICE_FEATURE_SELECT: usize = 0x00;
    pub const DEVICE_FEATURE: usize = 0x04;
    pub const DRIVER_FEATURE_SELECT: usize = 0x08;
    pub const DRIVER_FEATURE: usize = 0x0C;
    pub const CONFIG_MSIX_VECTOR: usize = 0x10;
    pub const DEVICE_STATUS: usize = 0x14;
    pub const QUEUE_SELECT: usize = 0x16;
    pub const QUEUE_SIZE: usize = 0x18;
    pub const QUEUE_MSIX_VECTOR: usize = 0x1A;
    pub const QUEUE_ENABLE: usize = 0x1C;
    pub const QUEUE_NOTIFY_OFF: usize = 0x1E;
    pub const QUEUE_DESC: usize = 0x20;
    pub const QUEUE_DRIVER: usize = 0x28;
    pub const QUEUE_DEVICE: usize = 0x30;
    pub const BYTES: usize = 0x38;
}

/// Device status bits (2.1).
mod status {
    pub const ACKNOWLEDGE: u8 = 1;
    pub const DRIVER: u8 = 2;
    pub const DRIVER_OK: u8 = 4;
    pub const FEATURES_OK: u8 = 8;
}

/// No MSI-X vector.
const NO_VECTOR: u16 = 0xFFFF;
/// How often the reset is looked for before the device is given up.
const RESET_POLLS: u32 = 1_000_000;

/// A device's structures.
pub struct Transport {
    common: Registers,
    notify: Registers,
    notify_multiplier: usize,
    /// The interrupt status, for a device whose interrupts come by its pin.
    pub interrupt_status: Option<Registers>,
    /// The device-specific configuration.
    pub device: Registers,
}

impl Transport {
    /// Finds the structures of `function`; `map` maps a range of device memory.
    ///
    /// # Errors
    /// `Missing`: one of them is not there, or reaches beyond its BAR.
    pub fn find(
        function: &Function,
        map: impl Fn(u64, u64) -> Option<Registers>,
    ) -> Result<Self, StartError> {
        let (mut common, mut notify, mut device, mut notify_multiplier) = (None, None, None, 0);
        let mut interrupt_status = None;
        for capability in function.capabilities() {
            let PciCapability::Vendor(at) = capability else { continue };
            let kind = (function.read(at.offset) >> 24) as u8;
            let place = match kind {
                PCI_CAP_COMMON_CFG => &mut common,
                PCI_CAP_NOTIFY_CFG => &mut notify,
                PCI_CAP_ISR_CFG => &mut interrupt_status,
                PCI_CAP_DEVICE_CFG => &mut device,
                _ => continue,
            };
            if place.is_some() {
                continue;
            }
            let bar = function.read(at.offset + 4) as u8;
            let offset = u64::from(function.read(at.offset + 8));
            let length = u64::from(function.read(at.offset + 12));
            let fits = function.memory_bar(bar).filter(|&(_, size)| offset + length <= size);
            let Some((base, _)) = fits else { continue };
            *place = map(base + offset, length);
            if kind == PCI_CAP_NOTIFY_CFG {
                notify_multiplier = function.read(at.offset + 16) as usize;
            }
        }
        let common = common.filter(|common| common.length() >= common::BYTES);
        Ok(Self {
            common: common.ok_or(StartError::Missing("common configuration"))?,
            notify: notify.ok_or(StartError::Missing("notification structure"))?,
            notify_multiplier,
            interrupt_status,
            device: device.ok_or(StartError::Missing("device configuration"))?,
        })
    }

    fn add_status(&self, bits: u8) {
        let old: u8 = self.common.read(common::DEVICE_STATUS);
        self.common.write(common::DEVICE_STATUS, old | bits);
    }

    /// Resets the device and agrees on features; those of `wanted` that it has.
    ///
    /// # Errors
    /// `Timeout`: it does not reset; `Missing`: it lacks one of `required`, or refuses the set.
    pub fn negotiate(&self, wanted: u64, required: u64) -> Result<u64, StartError> {
        self.common.write(common::DEVICE_STATUS, 0u8);
        let mut polls = 0..RESET_POLLS;
        while self.common.read::<u8>(common::DEVICE_STATUS) != 0 {
            polls.next().ok_or(StartError::Timeout("reset"))?;
        }
        self.add_status(status::ACKNOWLEDGE);
        self.add_status(status::DRIVER);
        let mut features = 0;
        for half in 0..2u32 {
            self.common.write(common::DEVICE_FEATURE_SELECT, half);
            features |= u64::from(self.common.read::<u32>(common::DEVICE_FEATURE)) << (32 * half);
        }
        features &= wanted;
        if features & required != required {
            return Err(StartError::Missing("feature that is needed"));
        }
        for half in 0..2u32 {
            self.common.write(common::DRIVER_FEATURE_SELECT, half);
            self.common.write(common::DRIVER_FEATURE, (features >> (32 * half)) as u32);
        }
        self.add_status(status::FEATURES_OK);
        if self.common.read::<u8>(common::DEVICE_STATUS) & status::FEATURES_OK == 0 {
            return Err(StartError::Failed("the features were refused"));
        }
        self.common.write(common::CONFIG_MSIX_VECTOR, NO_VECTOR);
        Ok(features)
    }

    /// Makes queue `index`, of at most `size_max` descriptors, with interrupts to entry `vector` of the MSI-X table, or to
    /// the pin. Its size, and the register that notifies the device of it.
    ///
    /// # Errors
    /// `Missing`: there is no such queue; `Failed`: the device has no resources for the vector.
    pub fn set_up_queue(
        &self,
        index: u16,
        size_max: u16,
        vector: Option<u16>,
    ) -> Result<(Queue, u16, Registers), StartError> {
        self.common.write(common::QUEUE_SELECT, index);
        let offered: u16 = self.common.read(common::QUEUE_SIZE);
        let size = offered.min(size_max);
        if size == 0 {
            return Err(StartError::Missing("virtqueue"));
        }
        let queue = Queue::new(size)?;
        self.common.write(common::QUEUE_SIZE, size);
        let vector = vector.unwrap_or(NO_VECTOR);
        self.common.write(common::QUEUE_MSIX_VECTOR, vector);
        if self.common.read::<u16>(common::QUEUE_MSIX_VECTOR) != vector {
            return Err(StartError::Failed("interrupt vector"));
        }
        let [descriptors, driver, device] = queue.addresses();
        let areas = [
            (common::QUEUE_DESC, descriptors),
            (common::QUEUE_DRIVER, driver),
            (common::QUEUE_DEVICE, device),
        ];
        for (offset, address) in areas {
            self.common.write(offset, address as u32);
            self.common.write(offset + 4, (address >> 32) as u32);
        }
        let notify_offset: u16 = self.common.read(common::QUEUE_NOTIFY_OFF);
        let notify = self.notify.part(usize::from(notify_offset) * self.notify_multiplier, 2);
        let notify = notify.ok_or(StartError::Missing("notification register"))?;
        self.common.write(common::QUEUE_ENABLE, 1u16);
        Ok((queue, size, notify))
    }

    /// Lets the device work.
    pub fn start(&self) {
        self.add_status(status::DRIVER_OK);
    }
}
