//! A split virtqueue (2.7) whose every buffer is one indirect descriptor table.

use crate::block::dma::DmaBuffer;
use crate::pci::StartError;
use core::sync::atomic::{Ordering, fence};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The buffer continues in descriptor `next`.
const DESC_F_NEXT: u16 = 1;
/// The device writes the buffer.
const DESC_F_WRITE: u16 = 2;
/// The buffer is a table of descriptors.
const DESC_F_INDIRECT: u16 = 4;
/// In the used ring: the device wants no notification.
const USED_F_NO_NOTIFY: u16 = 1;

/// A descriptor (2.7.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Descriptor {
    /// Address of the buffer.
    pub address: u64,
    /// Its length in bytes.
    pub length: u32,
    /// `DESC_F_*`.
    pub flags: u16,
    /// The next descriptor.
    pub next: u16,
}

/// An element of the used ring (2.7.8).
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct UsedElement {
    id: u32,
    length: u32,
}

const _: () = {
    assert!(size_of::<Descriptor>() == 16);
    assert!(size_of::<UsedElement>() == 8);
};

/// The descriptors of one request, written to memory that the device reads.
pub struct Table<'a> {
    memory: &'a DmaBuffer,
    offset: usize,
    count: u16,
    max: u16,
}

impl<'a> Table<'a> {
    /// An empty table of at most `max` descriptors at `offset` of `memory`.
    pub fn new(memory: &'a DmaBuffer, offset: usize, max: u16) -> Self {
        Self { memory, offset, count: 0, max }
    }

    /// Adds a buffer; `None`: the table is full.
    pub fn push(&mut self, address: u64, length: u32, device_writes: bool) -> Option<()> {
        if self.count == self.max {
            return None;
        }
        let flags = DESC_F_NEXT | if device_writes { DESC_F_WRITE } else { 0 };
        let descriptor = Descriptor { address, length, flags, next: self.count + 1 };
        self.memory.set(self.offset + usize::from(self.count) * size_of::<Descriptor>(), descriptor);
        self.count += 1;
        Some(())
    }

    /// The descriptor that stands for the whole table; `None`: it is empty.
    pub fn finish(self) -> Option<Descriptor> {
        let last = self.offset + usize::from(self.count.checked_sub(1)?) * size_of::<Descriptor>();
        let descriptor: Descriptor = self.memory.get(last);
        self.memory.set(last, Descriptor { flags: descriptor.flags & !DESC_F_NEXT, next: 0, ..descriptor });
        Some(Descriptor {
            address: self.memory.address() + self.offset as u64,
            length: u32::from(self.count) * size_of::<Descriptor>() as u32,
            flags: DESC_F_INDIRECT,
            next: 0,
        })
    }
}

/// The rings.
pub struct Queue {
    descriptors: DmaBuffer,
    available: DmaBuffer,
    used: DmaBuffer,
    size: u16,
    /// Index that the next available element gets.
    next_available: u16,
    /// Index of the next used element.
    next_used: u16,
}

impl Queue {
    /// A queue of `size` descriptors, a power of two.
    pub fn new(size: u16) -> Result<Self, StartError> {
        if !size.is_power_of_two() {
            return Err(StartError::Missing("virtqueue"));
        }
        let entries = usize::from(size);
        let allocate = |length| DmaBuffer::allocate(length).ok_or(StartError::OutOfMemory);
        Ok(Self {
            descriptors: allocate(entries * size_of::<Descriptor>())?,
            available: allocate(6 + entries * 2)?,
            used: allocate(6 + entries * size_of::<UsedElement>())?,
            size,
            next_available: 0,
            next_used: 0,
        })
    }

    /// System-physical addresses of descriptor area, driver area and device area.
    pub fn addresses(&self) -> [u64; 3] {
        [self.descriptors.address(), self.available.address(), self.used.address()]
    }

    /// Makes `descriptor` available as number `slot`, which is not in use. The notification is the caller's.
    pub fn add(&mut self, slot: u16, descriptor: Descriptor) {
        self.descriptors.set(usize::from(slot) * size_of::<Descriptor>(), descriptor);
        let index = self.next_available % self.size;
        self.available.set(4 + usize::from(index) * 2, slot);
        self.next_available = self.next_available.wrapping_add(1);
        fence(Ordering::Release);
        self.available.set(2, self.next_available);
    }

    /// Whether the device must be told that buffers were made available.
    pub fn must_notify(&self) -> bool {
        // The index must be visible before the flag is read, or both sides could miss each other.
        fence(Ordering::SeqCst);
        let flags: u16 = self.used.get(0);
        flags & USED_F_NO_NOTIFY == 0
    }

    /// The number of the next buffer that the device is done with.
    pub fn take_used(&mut self) -> Option<u32> {
        let index: u16 = self.used.get(2);
        if index == self.next_used {
            return None;
        }
        fence(Ordering::Acquire);
        let at = usize::from(self.next_used % self.size);
        let element: UsedElement = self.used.get(4 + at * size_of::<UsedElement>());
        self.next_used = self.next_used.wrapping_add(1);
        Some(element.id)
    }
}

#[cfg(test)]
pub mod played {
    //! The device's side of a queue, for tests.

    use super::*;
    use std::vec::Vec;

    impl Queue {
        /// The slots that were made available from element `from` on.
        pub fn available_from(&self, from: u16) -> Vec<u16> {
            let end: u16 = self.available.get(2);
            (from..end).map(|at| self.available.get(4 + usize::from(at % self.size) * 2)).collect()
        }

        /// The descriptor of a slot.
        pub fn descriptor(&self, slot: u16) -> Descriptor {
            self.descriptors.get(usize::from(slot) * 16)
        }

        /// Marks a buffer as used.
        pub fn give_back(&self, id: u32) {
            let index: u16 = self.used.get(2);
            self.used.set(4 + usize::from(index % self.size) * 8, UsedElement { id, length: 0 });
            self.used.set(2, index.wrapping_add(1));
        }
    }
}
