//! Control registers: what of them is the hypervisor's, and what a MOV does that would change it (SDM vol. 3C, 27.3).

use hv_abi::control::{cr0, cr4, efer};
use hv_abi::{Gpa, SpaPage};
use paging::{InputPage, PageTable};

use crate::arch::memory::window::{Windowed, with_page};
use crate::arch::vmx::processor::VmxProcessor;
use crate::arch::vmx::vmcs::{read, write};
use crate::arch::x86_processor::SecondLevel;
use crate::backend::{Exit, Kind};
use extension::vmx::controls::EntryControls;
use extension::vmx::field::{control, guest};

/// CR0: VT-x wants NE set; CD and NW would be those of the hypervisor too.
pub(super) const CR0_OWNED: u64 = cr0::NE | cr0::NW | cr0::CD;
/// CR4: VT-x wants VMXE set.
const CR4_OWNED: u64 = cr4::VMXE | cr4::SMXE;
/// What guests have of CR4: VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT UMIP, FSGSBASE PCIDE OSXSAVE, SMEP SMAP
/// PKE. The others belong to features that their CPUID does not show, with registers that nobody switches.
const CR4_OF_GUESTS: u64 = 0x0077_0FFF;

/// What of CR4 is not its owner's.
pub(super) const fn cr4_owned(kind: Kind) -> u64 {
    match kind {
        Kind::Root => CR4_OWNED,
        Kind::Guest => !CR4_OF_GUESTS,
    }
}

impl VmxProcessor {
    /// CR0 as the guest sees it.
    #[inline]
    pub(super) fn cr0() -> u64 {
        let shadow = read(control::CR0_READ_SHADOW) & CR0_OWNED;
        read(guest::CR0) & !CR0_OWNED | shadow
    }

    /// Sets CR0 as the guest sees it.
    pub(super) fn set_cr0(&mut self, value: u64) {
        write(guest::CR0, value & !CR0_OWNED | cr0::NE | cr0::ET);
        write(control::CR0_READ_SHADOW, value | cr0::ET);
        self.translations_changed();
    }

    /// CR4 as the guest sees it.
    #[inline]
    pub(super) fn cr4() -> u64 {
        read(guest::CR4) & !CR4_OWNED
    }

    /// Sets CR4 as the guest sees it.
    pub(super) fn set_cr4(&mut self, value: u64) {
        write(guest::CR4, value & !cr4_owned(self.outside.kind) | cr4::VMXE);
        self.translations_changed();
    }

    /// Sets EFER, and tells the entry the mode.
    pub(super) fn set_efer(&mut self, value: u64) {
        write(guest::IA32_EFER, value);
        let long = EntryControls::IA32E_MODE_GUEST.bits();
        let controls = read(control::ENTRY);
        write(control::ENTRY, if value & efer::LMA != 0 { controls | long } else { controls & !long });
        self.translations_changed();
    }

    /// MOV to CR0 or CR4 that exited; the other register is this general one.
    pub(super) fn write_control_register(&mut self, number: u8, register: u8) -> Exit {
        let general = self.outside.gprs.as_array().get(usize::from(register)).copied().unwrap_or(0);
        let value = if Self::in_64_bit_mode() { general } else { general & 0xFFFF_FFFF };
        match number {
            0 if self.move_to_cr0(value) => {}
            // CR4: it would set what the guest does not have.
            _ => return self.refuse(),
        }
        self.advance();
        Exit::Handled
    }

    /// What MOV to CR0 does; `false`: #GP.
    fn move_to_cr0(&mut self, value: u64) -> bool {
        let (now, efer) = (Self::cr0(), read(guest::IA32_EFER));
        let makes_no_sense = value >> 32 != 0
            || value & cr0::PG != 0 && value & cr0::PE == 0
            || value & (cr0::NW | cr0::CD) == cr0::NW;
        if makes_no_sense {
            return false;
        }
        if (now ^ value) & cr0::PG != 0 {
            let on = value & cr0::PG != 0;
            let refused = if on {
                efer & efer::LME != 0 && (Self::cr4() & cr4::PAE == 0 || Self::code_is_64_bit())
            } else {
                Self::in_64_bit_mode() || Self::cr4() & cr4::PCIDE != 0
            };
            if refused {
                return false;
            }
            self.set_efer(if on && efer & efer::LME != 0 { efer | efer::LMA } else { efer & !efer::LMA });
        }
        self.set_cr0(value);
        true
    }

    fn code_is_64_bit() -> bool {
        const LONG: u32 = 1 << 13;
        read(guest::CS.access_rights) & LONG != 0
    }

    /// With PAE's three levels the four entries of the root are part of the processor's state.
    pub(super) fn read_pdptes(&mut self) {
        const ALIGNED: u64 = 0xFFFF_FFE0;
        let three_levels = Self::cr0() & cr0::PG != 0
            && Self::cr4() & cr4::PAE != 0
            && read(guest::IA32_EFER) & efer::LMA == 0;
        if !three_levels {
            return;
        }
        let root = SpaPage::new(self.tables >> 12).unwrap_or_default();
        let root_entries = read(guest::CR3) & ALIGNED;
        let page = Gpa::new(root_entries).and_then(|gpa| InputPage::from_gpa(gpa.page()));
        let table = PageTable::<SecondLevel>::from_root(root);
        let shown = page.and_then(|page| table.translate(&mut Windowed, page));
        let first = (root_entries & 0xFFF) as usize / 8;
        let fields = [guest::PDPTE0, guest::PDPTE1, guest::PDPTE2, guest::PDPTE3];
        for (index, field) in (first..).zip(fields) {
            let entry = shown.map_or(0, |(page, _)| with_page(page, |page| page.read(index)));
            write(field, entry);
        }
    }
}
