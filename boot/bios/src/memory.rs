//! Physical memory through the identity map of the first 4 GiB, handed out from the hand-off's own memory map.
#![expect(unsafe_code, reason = "RAM is named by physical addresses, and the hand-off is a static")]

use core::cell::UnsafeCell;

use handoff::{HandOff, RegionKind};
use loader::{PhysicalMemory, memory_map};

/// What the loader's own identity map covers.
pub const LIMIT: u64 = 4 << 30;

struct Static(UnsafeCell<HandOff>);
// SAFETY: one processor runs the loader, and `hand_off` is called once.
unsafe impl Sync for Static {}
static HAND_OFF: Static = Static(UnsafeCell::new(HandOff::new()));

/// The hand-off structure. Called once.
pub fn hand_off() -> &'static mut HandOff {
    // SAFETY: the only reference, see above.
    unsafe { &mut *HAND_OFF.0.get() }
}

unsafe extern "C" {
    static loader_start: u8;
    static loader_end: u8;
}

/// Where the loader itself is: address and length.
pub fn own_image() -> (u64, u64) {
    let start = (&raw const loader_start).addr() as u64;
    (start, (&raw const loader_end).addr() as u64 - start)
}

/// RAM, by physical address.
pub struct Memory<'a> {
    hand_off: &'a mut HandOff,
    kind: RegionKind,
}

impl<'a> Memory<'a> {
    /// The RAM that `hand_off` calls usable; what is taken of it becomes `kind`.
    pub fn new(hand_off: &'a mut HandOff, kind: RegionKind) -> Self {
        Self { hand_off, kind }
    }

    /// The hand-off, to write into.
    pub fn hand_off(&mut self) -> &mut HandOff {
        self.hand_off
    }

    /// The hand-off, with everything marked that was allocated.
    pub fn into_hand_off(self) -> &'a mut HandOff {
        self.hand_off
    }
}

impl PhysicalMemory for Memory<'_> {
    fn allocate(&mut self, bytes: u64, alignment: u64) -> Option<u64> {
        let address = memory_map::carve(self.hand_off, bytes, alignment, LIMIT, self.kind)?;
        self.bytes(address, bytes).fill(0);
        Some(address)
    }

    fn bytes(&mut self, address: u64, length: u64) -> &mut [u8] {
        let start = core::ptr::with_exposed_provenance_mut::<u8>(address as usize);
        // SAFETY: RAM that was allocated here, below 4 GiB; the slice borrows `self`, so there is one at a time.
        unsafe { core::slice::from_raw_parts_mut(start, length as usize) }
    }
}
