//! The virtual-APIC page (SDM vol. 3C, 30.1.1): what the processor keeps of a guest's local APIC, in the places of xAPIC's
//! registers.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::seam::Priorities;
use crate::vectors::Vectors;

/// Registers, by the place of their first word.
const TPR: usize = 0x80 / 4;
const ISR: usize = 0x100 / 4;

/// The page. IRR stays empty.
#[repr(C, align(4096))]
pub struct VirtualApic([AtomicU32; 1024]);

impl VirtualApic {
    #[inline]
    fn read(&self, word: usize) -> u32 {
        self.0.get(word).map_or(0, |word| word.load(Ordering::Relaxed))
    }
    #[inline]
    fn write(&self, word: usize, value: u32) {
        if let Some(word) = self.0.get(word) {
            word.store(value, Ordering::Relaxed);
        }
    }
    /// 64 vectors of ISR.
    #[inline]
    fn in_service(&self, first: usize) -> u64 {
        u64::from(self.read(first)) | u64::from(self.read(first.wrapping_add(4))) << 32
    }
    #[inline]
    fn set_in_service(&self, first: usize, vectors: u64) {
        self.write(first, vectors as u32);
        self.write(first.wrapping_add(4), (vectors >> 32) as u32);
    }

    /// The task priority.
    #[inline]
    pub fn task_priority(&self) -> u8 {
        self.read(TPR) as u8
    }
    /// Sets it.
    #[inline]
    pub fn set_task_priority(&self, priority: u8) {
        self.write(TPR, u32::from(priority));
    }

    /// Puts in what the processor is to go on with. The interrupt status that goes with it (SDM vol. 3C, 25.4.2): SVI, the
    /// highest vector in service, in its upper half; RVI is 0.
    #[inline]
    pub fn put(&self, priorities: &Priorities) -> u16 {
        let [a, b, c, d] = priorities.in_service.0;
        self.set_in_service(ISR, a);
        self.set_in_service(ISR + 8, b);
        self.set_in_service(ISR + 16, c);
        self.set_in_service(ISR + 24, d);
        self.set_task_priority(priorities.task_priority);
        u16::from(priorities.in_service.highest().unwrap_or(0)) << 8
    }
    /// What the processor has come to.
    #[inline]
    pub fn take(&self) -> Priorities {
        let word = |register| self.in_service(register);
        let in_service = Vectors([word(ISR), word(ISR + 8), word(ISR + 16), word(ISR + 24)]);
        Priorities { task_priority: self.task_priority(), in_service }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_where_the_manual_has_them() {
        let page = VirtualApic([const { AtomicU32::new(0) }; 1024]);
        let mut priorities = Priorities { task_priority: 0x57, in_service: Vectors::EMPTY };
        for vector in [0x1F, 0x20, 0x61, 0xC0] {
            priorities.in_service.insert(vector);
        }
        assert_eq!(page.put(&priorities), 0xC000);
        let word = |offset: usize| page.read(offset / 4);
        assert_eq!(
            (word(0x80), word(0x100), word(0x110), word(0x130), word(0x160)),
            (0x57, 1 << 31, 1, 2, 1)
        );
        assert_eq!(page.take(), priorities);
        page.write(0x160 / 4, 0);
        priorities.in_service.remove(0xC0);
        assert_eq!((page.take(), page.put(&priorities)), (priorities, 0x6100));
    }
}
