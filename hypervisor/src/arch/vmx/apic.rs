//! What the processor does of a guest's local APIC: the task priority, where CR8 is, always; writes of TPR and EOI, where
//! it can, while they are delegated to it (SDM vol. 3C, chapter 30).
//!
//! Virtual-interrupt delivery is used for EOI only. What it delivers by itself (RVI) Bochs delivers to a guest that has
//! interrupts off, too, when one of the machine's arrives at that moment; so interrupts are injected, as everywhere.
#![expect(unsafe_code, reason = "the virtual-APIC page is shared with the processor")]

use crate::arch::image;
use crate::arch::vmx::enable::capabilities;
use crate::arch::vmx::processor::{Todo, VmxProcessor};
use crate::arch::vmx::vmcs::write;
use crate::backend::Priorities;
use crate::machine::MappedPage;
use extension::vectors::Vectors;
use extension::vmx::controls::Primary;
use extension::vmx::field::{control, guest};
use extension::vmx::permission::{DELEGATED_MSRS, GUEST_MSRS};
use extension::vmx::virtual_apic::VirtualApic;

/// A guest's.
pub struct Apic {
    /// The root has its processor's own.
    page: Option<&'static VirtualApic>,
    /// The vector for which a window is wanted.
    window: Option<u8>,
    /// The class that CR8 has to fall below for an exit.
    threshold: u8,
    delegated: bool,
    /// The same as the last entry was told.
    told: bool,
    /// Vectors whose EOI exits.
    watched: Vectors,
}

impl Apic {
    pub fn new(page: Option<MappedPage>) -> Self {
        // SAFETY: the caller gives the page to this VP alone, zeroed and mapped as long as it lives; it is accessed
        // atomically only.
        let page = page.map(|page| unsafe { page.address.cast::<VirtualApic>().as_ref() });
        Self { page, window: None, threshold: 0, delegated: false, told: false, watched: Vectors::EMPTY }
    }

    /// CR8.
    #[inline]
    pub fn cr8(&self) -> u8 {
        self.page.map_or(0, |page| page.task_priority() >> 4)
    }
}

impl VmxProcessor {
    /// Sets CR8.
    pub(super) fn set_cr8(&mut self, class: u8) {
        if let Some(page) = self.apic.page {
            page.set_task_priority(class << 4);
        }
        self.request_interrupt_window(self.apic.window);
    }

    /// Asks for an exit when the guest can take `vector`.
    #[inline]
    pub fn request_interrupt_window(&mut self, vector: Option<u8>) {
        self.apic.window = vector;
        let class = vector.map_or(0, |vector| vector >> 4);
        // The threshold counts for nothing while TPR is delegated: whoever gets the window looks at the priority.
        let open = class > self.apic.cr8() || self.apic.delegated && vector.is_some();
        self.set_primary(Primary::INTERRUPT_WINDOW_EXITING, open);
        let threshold = if open { 0 } else { class };
        if threshold != self.apic.threshold {
            self.apic.threshold = threshold;
            write(control::TPR_THRESHOLD, u32::from(threshold));
        }
    }

    pub fn delegates(&self) -> bool {
        self.apic.page.is_some() && capabilities().delegation.is_some()
    }

    #[inline]
    pub fn delegate(&mut self, priorities: &Priorities, watched: Vectors) {
        let Some(page) = self.apic.page.filter(|_| self.apic.threshold == 0) else { return };
        write(guest::INTERRUPT_STATUS, page.put(priorities));
        if watched != self.apic.watched {
            self.watch(watched);
        }
        self.set_delegated(true);
    }

    #[cold]
    fn watch(&mut self, watched: Vectors) {
        self.apic.watched = watched;
        for (field, word) in control::EOI_EXIT_BITMAPS.into_iter().zip(watched.0) {
            write(field, word);
        }
    }

    #[inline]
    pub fn take_back(&mut self) -> Option<Priorities> {
        let page = self.apic.page.filter(|_| self.apic.delegated)?;
        self.set_delegated(false);
        Some(page.take())
    }

    /// The next entry is told, because whoever takes it back may not have made the control structure current.
    #[inline]
    fn set_delegated(&mut self, delegated: bool) {
        self.apic.delegated = delegated;
        self.todo.set(Todo::SET_DELEGATION, delegated != self.apic.told);
    }

    /// Tells the entry.
    pub(super) fn tell_delegation(&mut self) {
        let capabilities = capabilities();
        let (more, msrs) = match self.apic.delegated {
            true => (capabilities.delegation.unwrap_or(0), &DELEGATED_MSRS),
            false => (0, &GUEST_MSRS),
        };
        write(control::SECONDARY, capabilities.guest.secondary | more);
        write(control::MSR_BITMAPS, image::physical(msrs));
        self.apic.told = self.apic.delegated;
    }
}
