//! The bytes of the instruction that exited, where the processor reports neither them nor the next RIP.
//!
//! This runs before the exit is reported, while whoever takes translations away still waits for this processor, so the
//! guest's second-level table does not change under it.

use hv_abi::{Gpa, SpaPage};
use paging::guest_walk::{Controls, walk};
use paging::{InputPage, PageTable};

use crate::arch::memory::window::{Windowed, with_page};
use crate::arch::svm::processor::SvmProcessor;
use crate::arch::x86_processor::SecondLevel;
use extension::svm::length::{LONGEST, Opcode, instruction_length};

impl SvmProcessor {
    /// Finds out the length of the instruction `opcode`, which exited.
    #[inline]
    pub(super) fn note_length(&mut self, opcode: Opcode) {
        let save = &self.vmcb.save;
        let known = if save.cpl == 3 { None } else { self.lengths.get(save.rip, opcode) };
        self.outside.length = known.unwrap_or_else(|| self.fetch_length(opcode));
    }

    #[cold]
    fn fetch_length(&mut self, opcode: Opcode) -> u8 {
        // Bytes that are no longer there, or other ones: the guest changes its code under itself.
        let Some(length) = self.length_at_rip(opcode) else {
            return opcode.length();
        };
        if self.vmcb.save.cpl != 3 {
            self.lengths.put(self.vmcb.save.rip, opcode, length);
        }
        length
    }

    /// The length of the instruction `opcode` at RIP. `None`: it is not there.
    pub(super) fn length_at_rip(&self, opcode: Opcode) -> Option<u8> {
        let (bytes, count) = self.fetch();
        instruction_length(bytes.get(..count)?, opcode, self.in_64_bit_mode())
    }

    /// Up to [`LONGEST`] bytes at RIP, and how many.
    fn fetch(&self) -> ([u8; LONGEST], usize) {
        let save = &self.vmcb.save;
        let base = if self.in_64_bit_mode() { 0 } else { save.cs().base };
        let root = SpaPage::new(self.vmcb.control.n_cr3 >> 12).unwrap_or_default();
        let table = PageTable::<SecondLevel>::from_root(root);
        let mut word = |gpa: Gpa| {
            let (page, _) = table.translate(&mut Windowed, InputPage::from_gpa(gpa.page())?)?;
            Some(with_page(page, |page| page.read(gpa.offset() / 8)))
        };
        let controls = Controls { cr0: save.cr0, cr3: save.cr3, cr4: save.cr4, efer: save.efer };
        let mut bytes = [0; LONGEST];
        let mut count = 0_usize;
        let mut shown: Option<(u64, u64)> = None;
        for (offset, byte) in (0_u64..).zip(&mut bytes) {
            let address = base.wrapping_add(save.rip).wrapping_add(offset);
            let aligned = address & !7;
            let value = match shown {
                Some((at, value)) if at == aligned => value,
                _ => {
                    let gpa = walk::<dyn FnMut(Gpa) -> _>(&mut word, &controls, aligned).gpa();
                    let Some(value) = gpa.and_then(&mut word) else { break };
                    shown = Some((aligned, value));
                    value
                }
            };
            *byte = (value >> ((address & 7) << 3)) as u8;
            count = count.saturating_add(1);
        }
        (bytes, count)
    }
}
