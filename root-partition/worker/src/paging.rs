//! Addresses of the guest, by its own page tables: a guest physical one, or the page fault that the access causes.

use crate::memory::GuestMemory;
use hv_abi::Gpa;
use hv_abi::register_page::HvX64RegisterPage;
use paging::guest_walk::{self, Controls, Walk, walk};

/// Bits of a page fault's error code.
const FAULT_PRESENT: u32 = 1;
const FAULT_WRITE: u32 = 1 << 1;
const FAULT_USER: u32 = 1 << 2;
const FAULT_RESERVED: u32 = 1 << 3;

/// What an access wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Whatever the processor itself was allowed to do a moment ago.
    Any,
    /// To read; at privilege level 3 or not.
    Read {
        /// At privilege level 3.
        user: bool,
    },
    /// To write; at privilege level 3 or not.
    Write {
        /// At privilege level 3.
        user: bool,
    },
}

impl From<Access> for guest_walk::Access {
    fn from(access: Access) -> Self {
        let (write, user) = match access {
            Access::Any => (false, false),
            Access::Read { user } => (false, user),
            Access::Write { user } => (true, user),
        };
        Self { user, write, execute: false }
    }
}

/// The page fault that the guest gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageFault {
    /// For CR2.
    pub address: u64,
    /// The error code.
    pub error_code: u32,
}

/// The control registers that a walk depends on.
#[derive(Clone, Copy, Debug)]
pub struct Mode(Controls);

impl Mode {
    /// As they are in `page`.
    #[must_use]
    pub fn new(page: &HvX64RegisterPage) -> Self {
        Self(Controls { cr0: page.cr0, cr3: page.cr3, cr4: page.cr4, efer: page.efer })
    }

    /// The guest-physical address of `linear`.
    ///
    /// # Errors
    /// The page fault that the access causes.
    pub fn translate<M: GuestMemory>(
        &self,
        memory: &M,
        linear: u64,
        access: Access,
    ) -> Result<Gpa, PageFault> {
        let access = guest_walk::Access::from(access);
        let why = match walk(&mut |at| memory.read_u64(at), &self.0, linear) {
            Walk::Found { gpa, rights } if rights.allow(access, self.0.cr0) => return Ok(gpa),
            Walk::Found { .. } => FAULT_PRESENT,
            Walk::NotPresent => 0,
            // Its entries read as ones, and their reserved bits with them.
            Walk::NoTable => FAULT_PRESENT | FAULT_RESERVED,
        };
        let write = if access.write { FAULT_WRITE } else { 0 };
        let user = if access.user { FAULT_USER } else { 0 };
        Err(PageFault { address: linear, error_code: why | write | user })
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Controls, Mode, PageFault};
    use crate::fake::FakeMemory;
    use hv_abi::control::{cr0, cr4, efer};

    #[test]
    fn an_error_code_says_what_was_wanted_and_what_was_there() {
        let mut memory = FakeMemory::new(1 << 20);
        for (at, entry) in [(0x1000, 0x2007), (0x2000, 0x3007), (0x3000, 0x4007), (0x3008, 0x7F_F000_0007)] {
            memory.put_u64(at, entry);
        }
        memory.put_u64(0x4008, 0x5_5005);
        memory.put_u64(0x4010, 0x5_6003);
        let mode = Mode(Controls { cr0: cr0::PG | cr0::WP, cr3: 0x1000, cr4: cr4::PAE, efer: efer::LMA });
        let code = |linear, access| {
            mode.translate(&memory, linear, access).map(|gpa| gpa.get()).map_err(|fault| {
                assert_eq!(fault, PageFault { address: linear, ..fault });
                fault.error_code
            })
        };
        assert_eq!(code(0x1234, Access::Read { user: true }), Ok(0x5_5234));
        assert_eq!(code(0x1234, Access::Write { user: false }), Err(3));
        assert_eq!(code(0x1234, Access::Write { user: true }), Err(7));
        assert_eq!(code(0x2000, Access::Read { user: true }), Err(5));
        assert_eq!(code(0x3000, Access::Any), Err(0));
        assert_eq!(code(0x3000, Access::Write { user: true }), Err(6));
        assert_eq!(code(0x20_0000, Access::Read { user: false }), Err(9), "a table in no memory is all ones");
    }
}
