//! The virtual processor: its control block, its general registers, and running it.
#![expect(unsafe_code, reason = "the control block is shared with the processor")]

use hv_abi::SpaPage;
use hv_abi::control::rflags;
use hv_abi::registers::{HvPendingInterruption, HvRegisterName, HvRegisterValue};

use crate::arch::local_apic::{self, Message};
use crate::arch::memory::regions;
use crate::arch::outside::Outside;
use crate::arch::per_cpu::{self, PerCpu};
use crate::arch::svm::enable::capabilities;
use crate::arch::svm::event::NmiState;
use crate::arch::svm::world_switch;
use crate::backend::{Exit, Kind};
use crate::machine::MappedPage;
use extension::asid::Lease;
use extension::event::PendingEvent;
use extension::svm::features::{Capabilities, Features};
use extension::svm::length::LengthCache;
use extension::svm::vmcb::{CleanBits, Vmcb, tlb_control};

/// VMMCALL.
pub const HYPERCALL_INSTRUCTION: [u8; 3] = [0x0F, 0x01, 0xD9];

/// A virtual processor on AMD-V.
#[repr(C)]
pub struct SvmProcessor {
    pub outside: Outside,
    pub(super) vmcb: &'static mut Vmcb,
    vmcb_page: SpaPage,
    lease: Lease,
    /// What the clean bits are set to after a run: nothing, where the processor does not know them.
    clean: CleanBits,
    pub(super) features: Features,
    pub(super) tcg: bool,
    pub(super) nmi: NmiState,
    pub(super) lengths: LengthCache,
}

impl SvmProcessor {
    /// An identifier for this processor.
    #[cold]
    fn take_asid(&mut self, this: &PerCpu) {
        let (lease, flush) = this.asids.lease(this.index);
        self.lease = lease;
        let control = &mut self.vmcb.control;
        control.guest_asid = lease.asid;
        control.clean = CleanBits::empty();
        if flush {
            control.tlb_control = tlb_control::FLUSH_ALL;
        }
    }
}

/// What [`X86Processor`](crate::arch::x86_processor::X86Processor) hands on: see the backend for what it means.
impl SvmProcessor {
    pub fn new(control: MappedPage, kind: Kind) -> Self {
        // SAFETY: the caller gives the page to this VP alone, zeroed and mapped as long as it lives; every bit pattern
        // is a control block.
        let vmcb = unsafe { control.address.cast::<Vmcb>().as_mut() };
        let Capabilities { features, tcg, .. } = capabilities();
        let mut this = Self {
            outside: Outside::new(kind),
            vmcb,
            vmcb_page: control.page,
            lease: Lease::default(),
            clean: if features.contains(Features::CLEAN_BITS) { CleanBits::ALL } else { CleanBits::empty() },
            features,
            tcg,
            nmi: NmiState::Open,
            lengths: LengthCache::new(),
        };
        this.set_intercepts();
        this
    }

    pub fn load(&mut self) {
        self.vmcb.control.clean = CleanBits::empty();
        self.outside.load();
    }

    pub fn unload(&mut self) {
        self.outside.extended.unload();
    }

    /// Enters the guest; why it left.
    ///
    /// QEMU's TCG (7.2) has three faults that are worked around here. All of them end guests, or let them stand still; the
    /// first two where its threads are held up:
    /// * VMRUN that injects an interrupt leaves a note to deliver it, which a kick from another thread, before the guest's
    ///   next exit or exception, follows: the guest takes the interrupt twice, whether it can or not. An NMI that waits for
    ///   the VMRUN exits first, and strikes that out.
    /// * VMRUN with a virtual interrupt notes that, without a lock, in a word in which other threads note interrupts, which
    ///   may be lost. The local APIC still knows them, and looks again at the exit; and so that there is one, PAUSE exits
    ///   too.
    /// * VMRUN does not look at the shadow of STI: see [`enter_shadow`](Self::enter_shadow).
    #[inline]
    pub fn run(&mut self) -> Exit {
        let this = per_cpu::this();
        if !this.asids.is_good(&self.lease, this.index) {
            self.take_asid(this);
        }
        self.vmcb.save.rax = self.outside.gprs.rax;
        self.vmcb.save.rsp = self.outside.gprs.rsp;
        let shadow = (self.tcg && self.vmcb.control.interrupt_shadow != 0).then(|| self.enter_shadow());
        if self.tcg && self.vmcb.control.eventinj.is_interrupt() {
            local_apic::send(this.apic_id, Message::Nmi);
        }
        // SAFETY: the control block is this VP's; its nested tables are the caller's business and hold nothing of the
        // hypervisor's; SVM is on and the host's state saved since the processor started.
        unsafe { world_switch::enter(self.vmcb_page, &mut self.outside.gprs, this.host_state) };
        self.outside.gprs.rax = self.vmcb.save.rax;
        self.outside.gprs.rsp = self.vmcb.save.rsp;
        regions::catch_up();
        let control = &mut self.vmcb.control;
        if self.tcg && control.interrupt_control.v_irq() {
            local_apic::look_again();
        }
        control.tlb_control = tlb_control::NOTHING;
        control.clean = self.clean;
        if control.exitintinfo.is_valid() {
            control.eventinj = control.exitintinfo.put_back();
        } else {
            control.eventinj = PendingEvent::NONE;
        }
        if let Some(shadow) = shadow {
            self.leave_shadow(shadow);
        }
        self.exit()
    }

    #[inline]
    pub fn rip(&self) -> u64 {
        self.vmcb.save.rip
    }
    pub fn set_rip(&mut self, rip: u64) {
        self.vmcb.save.rip = rip;
        self.vmcb.control.interrupt_shadow = 0;
    }
    #[inline]
    pub fn rflags(&self) -> u64 {
        self.vmcb.save.rflags
    }
    #[inline]
    pub fn cpl(&self) -> u8 {
        self.vmcb.save.cpl
    }

    pub fn register(&self, name: HvRegisterName) -> Option<HvRegisterValue> {
        self.known_register(name)
    }
    pub fn limit(&mut self, _ticks: u64) {}

    pub fn pending(&self) -> HvPendingInterruption {
        self.vmcb.control.eventinj.to_hv()
    }
    pub fn forget_pending(&mut self) {
        self.vmcb.control.eventinj = PendingEvent::NONE;
    }
    #[inline]
    pub fn interruptible(&self) -> bool {
        self.vmcb.save.rflags & rflags::IF != 0 && self.takes_events()
    }
    pub fn nmi_deliverable(&self) -> bool {
        self.nmi.is_open(self.vmcb.save.rip) && self.takes_events()
    }

    pub fn set_second_level_root(&mut self, root: SpaPage) {
        let control = &mut self.vmcb.control;
        control.n_cr3 = root.base().get();
        control.clean.remove(CleanBits::NESTED_PAGING);
        self.flush_second_level();
    }
    pub fn flush_second_level(&mut self) {
        if self.features.contains(Features::FLUSH_BY_ASID) {
            self.vmcb.control.tlb_control = tlb_control::FLUSH_ASID;
        } else {
            // A fresh identifier knows no translations.
            self.lease = Lease::default();
        }
    }
}
