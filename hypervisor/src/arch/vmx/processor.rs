//! The virtual processor: its control structure, its general registers, and running it.
#![expect(unsafe_code, reason = "enters the guest")]

use hv_abi::SpaPage;
use hv_abi::control::rflags;
use hv_abi::registers::{HvPendingInterruption, HvRegisterName, HvRegisterValue};

use crate::arch::live::Live;
use crate::arch::memory::regions;
use crate::arch::outside::Outside;
use crate::arch::per_cpu::{self, PerCpu};
use crate::arch::vmx::apic::Apic;
use crate::arch::vmx::enable::capabilities;
use crate::arch::vmx::event::SHADOW;
use crate::arch::vmx::host;
use crate::arch::vmx::live::Values;
use crate::arch::vmx::vmcs::{Vmcs, forget_translations, read, write};
use crate::arch::vmx::world_switch::{self, Outcome};
use crate::backend::{Event, Exit, Kind};
use crate::machine::MappedPage;
use extension::asid::Lease;
use extension::event::PendingEvent;
use extension::vmx::field::{control, exit, guest};

/// VMCALL.
pub const HYPERCALL_INSTRUCTION: [u8; 3] = [0x0F, 0x01, 0xC1];

/// A virtual processor on VT-x.
#[repr(C)]
pub struct VmxProcessor {
    pub outside: Outside,
    pub(super) vmcs: Vmcs,
    /// The EPT pointer.
    pub(super) tables: u64,
    /// RSP as the control structure has it.
    rsp: u64,
    lease: Lease,
    /// The processor whose state is the host's.
    host: u32,
    pub(super) todo: Todo,
    /// What the next entry delivers.
    pub(super) pending: PendingEvent,
    /// Primary controls.
    pub(super) primary: u32,
    pub(super) apic: Apic,
    pub(super) live: Live<Values>,
}

bitflags::bitflags! {
    /// What is to be done before the next entry.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Todo: u8 {
        /// Forget translations.
        const FLUSH = 1 << 0;
        /// Read the four entries of PAE's root that CR3 names.
        const READ_PDPTES = 1 << 1;
        /// Write the address of the second-level tables.
        const SET_TABLES = 1 << 2;
        /// Say whether TPR and EOI are delegated.
        const SET_DELEGATION = 1 << 3;
    }
}

impl VmxProcessor {
    /// A change of what the guest's translations go by.
    pub(super) fn translations_changed(&mut self) {
        self.todo |= Todo::FLUSH | Todo::READ_PDPTES;
    }

    #[cold]
    fn prepare(&mut self, this: &PerCpu) {
        if !this.asids.is_good(&self.lease, this.index) {
            let (lease, flush) = this.asids.lease(this.index);
            self.lease = lease;
            write(control::VPID, lease.asid as u16);
            if flush {
                forget_translations(0);
            }
            // What this processor knows of these tables may be of another time.
            self.todo |= Todo::FLUSH;
        }
        if self.todo.contains(Todo::SET_TABLES) {
            write(control::EPT_POINTER, self.tables);
        }
        if self.todo.contains(Todo::FLUSH) {
            forget_translations(self.tables);
        }
        if self.todo.contains(Todo::READ_PDPTES) {
            self.read_pdptes();
        }
        if self.todo.contains(Todo::SET_DELEGATION) {
            self.tell_delegation();
        }
        self.todo = Todo::empty();
    }
}

/// What [`X86Processor`](crate::arch::x86_processor::X86Processor) hands on: see the backend for what it means.
impl VmxProcessor {
    pub fn new(control: MappedPage, apic: Option<MappedPage>, kind: Kind) -> Self {
        let controls = capabilities().controls(kind);
        let mut this = Self {
            outside: Outside::new(kind),
            vmcs: Vmcs::new(control, capabilities().revision),
            tables: 0,
            rsp: 0,
            lease: Lease::default(),
            host: u32::MAX,
            todo: Todo::empty(),
            pending: PendingEvent::NONE,
            primary: controls.primary,
            apic: Apic::new(apic),
            live: Live::new(Values::RESET),
        };
        let before = this.vmcs.bring();
        this.set_controls(controls, apic);
        this.vmcs.take_back(before);
        this
    }

    pub fn load(&mut self) {
        self.vmcs.make_current();
        let this = per_cpu::this();
        if self.host != this.index {
            self.host = this.index;
            host::write_state(this);
        }
        self.outside.load();
        self.live.load();
    }

    pub fn unload(&mut self) {
        self.live.unload();
        self.outside.extended.unload();
        // A guest's VP may be loaded elsewhere next.
        self.vmcs.put_away(self.outside.kind == Kind::Guest);
    }

    pub fn limit(&mut self, ticks: u64) {
        if let Some(shift) = capabilities().timer_shift {
            // It stands still in the hypervisor, so one value is good for all entries.
            write(guest::PREEMPTION_TIMER, u32::try_from(ticks >> shift).unwrap_or(u32::MAX));
        }
    }

    #[inline]
    pub fn run(&mut self) -> Exit {
        let this = per_cpu::this();
        if !self.todo.is_empty() || !this.asids.is_good(&self.lease, this.index) {
            self.prepare(this);
        }
        if self.outside.gprs.rsp != self.rsp {
            self.rsp = self.outside.gprs.rsp;
            write(guest::RSP, self.rsp);
        }
        if self.pending.is_valid() {
            self.write_pending();
        }
        // SAFETY: the control structure is this VP's and current since `load`, which wrote this processor's state to it;
        // its second-level tables are the caller's business and hold nothing of the hypervisor's.
        let outcome = unsafe { world_switch::enter(&mut self.outside.gprs, self.vmcs.launched.get()) };
        regions::catch_up();
        if outcome != Outcome::Exit {
            return self.not_entered(outcome);
        }
        self.vmcs.launched.set(true);
        self.rsp = read(guest::RSP);
        self.outside.gprs.rsp = self.rsp;
        self.pending = PendingEvent::NONE;
        let interrupted = read(exit::IDT_VECTORING_INFORMATION);
        if interrupted >> 31 != 0 {
            let event = PendingEvent::new(interrupted, read(exit::IDT_VECTORING_ERROR_CODE));
            self.pending = event.put_back();
        }
        self.exit()
    }

    #[inline]
    pub fn rip(&self) -> u64 {
        self.vmcs.get(guest::RIP)
    }
    pub fn set_rip(&mut self, rip: u64) {
        write(guest::RIP, rip);
        Self::set_blocking(SHADOW, false);
    }
    #[inline]
    pub fn rflags(&self) -> u64 {
        self.vmcs.get(guest::RFLAGS)
    }
    /// That of the stack segment (SDM vol. 3C, 26.4.1).
    #[inline]
    pub fn cpl(&self) -> u8 {
        (self.vmcs.get(guest::SS.access_rights) >> 5 & 3) as u8
    }

    pub fn register(&self, name: HvRegisterName) -> Option<HvRegisterValue> {
        let before = self.vmcs.bring();
        let value = self.known_register(name);
        self.vmcs.take_back(before);
        value
    }
    pub fn set_register(&mut self, name: HvRegisterName, value: HvRegisterValue) -> bool {
        let before = self.vmcs.bring();
        let done = self.set_current_register(name, value);
        self.vmcs.take_back(before);
        done
    }

    pub fn inject(&mut self, event: Event) {
        self.pending = PendingEvent::of(event);
    }
    pub fn pending(&self) -> HvPendingInterruption {
        self.pending.to_hv()
    }
    pub fn forget_pending(&mut self) {
        self.pending = PendingEvent::NONE;
    }
    #[inline]
    pub fn interruptible(&self) -> bool {
        read(guest::RFLAGS) & rflags::IF != 0 && self.takes_events()
    }
    pub fn nmi_deliverable(&self) -> bool {
        !Self::is_in_nmi_handler() && self.takes_events()
    }

    pub fn set_second_level_root(&mut self, root: SpaPage) {
        /// Write-back; a walk of four levels.
        const ATTRIBUTES: u64 = 6 | 3 << 3;
        self.tables = root.base().get() | ATTRIBUTES;
        self.todo |= Todo::FLUSH | Todo::SET_TABLES;
    }
    pub fn flush_second_level(&mut self) {
        self.todo |= Todo::FLUSH;
    }
}
