//! What of a virtual processor neither vendor's control structure holds, and its exits have alike.

use crate::arch::cpu::{mark, marker};
use crate::arch::extended::Extended;
use crate::backend::{Gprs, Kind};

/// Both vendors' processors begin with it, so it is at the same place in each.
#[repr(C)]
pub struct Outside {
    /// General registers.
    pub gprs: Gprs,
    /// Whose it is.
    pub kind: Kind,
    /// Length of the instruction that exited; 0: no instruction did.
    pub length: u8,
    /// State that an entry does not switch.
    pub extended: Extended,
}

impl Outside {
    /// As after RESET.
    pub fn new(kind: Kind) -> Self {
        Self { gprs: Gprs::default(), kind, length: 0, extended: Extended::new() }
    }

    /// Puts the state on the processor.
    pub fn load(&mut self) {
        self.extended.load();
        match self.kind {
            Kind::Guest => mark::<{ marker::GUEST }>(),
            Kind::Root => mark::<{ marker::ROOT }>(),
        }
    }

    /// It is the root's and the register that RCX names is none of the TLFS, which are the core's business: the root is
    /// stopped at it because it must not have it for itself.
    #[inline]
    pub fn is_roots_own_msr(&self) -> bool {
        const SYNTHETIC: u32 = 0x4000;
        self.kind == Kind::Root && self.gprs.rcx as u32 >> 16 != SYNTHETIC
    }
}
