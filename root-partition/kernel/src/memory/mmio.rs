//! A window onto a device's registers.
#![expect(unsafe_code, reason = "device registers are reached through their mapping")]

use core::ptr::NonNull;
use zerocopy::{FromBytes, IntoBytes};

/// Registers in a memory BAR, mapped uncached for good.
#[derive(Clone, Copy)]
pub struct Registers {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: registers are reached by volatile accesses only; what order means to the device is the driver's affair.
unsafe impl Send for Registers {}
// SAFETY: as above.
unsafe impl Sync for Registers {}

impl Registers {
    /// The registers at `base`.
    ///
    /// # Safety
    /// `base` is a mapping of `length` bytes of device registers that stays, and to which accesses of a register's own
    /// size have no effect on memory safety.
    pub unsafe fn new(base: NonNull<u8>, length: usize) -> Self {
        Self { base, length }
    }

    /// The part of `length` bytes at `offset`; `None`: not within the window.
    #[must_use]
    pub fn part(&self, offset: usize, length: usize) -> Option<Self> {
        let end = offset.checked_add(length)?;
        // SAFETY: `offset` is within the mapping.
        (end <= self.length).then(|| Self { base: unsafe { self.base.add(offset) }, length })
    }

    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    fn at<T>(&self, offset: usize) -> NonNull<T> {
        assert!(
            offset <= self.length && self.length - offset >= size_of::<T>(),
            "a register lies in its window"
        );
        // SAFETY: within the mapping, as just checked.
        let pointer = unsafe { self.base.add(offset) }.cast::<T>();
        assert!(pointer.is_aligned(), "a register is aligned");
        pointer
    }

    /// Reads the register at `offset`.
    #[must_use]
    pub fn read<T: FromBytes>(&self, offset: usize) -> T {
        // SAFETY: within the mapping and aligned; any bytes are a `T`.
        unsafe { self.at::<T>(offset).read_volatile() }
    }

    /// Writes the register at `offset`.
    pub fn write<T: IntoBytes>(&self, offset: usize, value: T) {
        // SAFETY: within the mapping and aligned.
        unsafe { self.at::<T>(offset).write_volatile(value) }
    }
}

/// Maps device registers for good; `None`: no memory for the mapping.
#[cfg(not(test))]
pub(crate) fn map(address: u64, length: u64) -> Option<Registers> {
    let base = NonNull::new(super::map_device(address, length)?)?;
    let length = usize::try_from(length).ok()?;
    // SAFETY: just mapped, uncached, for good; drivers pass ranges of BARs and of configuration space only.
    Some(unsafe { Registers::new(base, length) })
}
