//! A backend that is registers only, and a partition of some of its VPs with a few pages of memory, for tests.

extern crate std;

use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::vec::Vec;

use hv_abi::cpuid::HvPrivileges;
use hv_abi::registers::{HvPendingInterruption, HvRegisterName, HvRegisterValue, interruption_type};
use hv_abi::status::{HvResult, HvStatus};
use hv_abi::{GpaPage, HvPartitionId, SpaPage};

use crate::backend::{Event, Exit, FixedMsr, Gprs, Kind, Reset, VirtualProcessorBackend};
use crate::exit::{Next, before_entry, handle_exit};
use crate::machine::{MappedPage, Page};
use crate::platform::{PartitionPlatform, PlatformConfig, Running, Surroundings, VpInbox, VpPlatform};
use crate::synic::GuestPages;

/// Registers, and what was injected. It "runs" nothing.
#[derive(Default)]
pub struct FakeBackend {
    pub gprs: Gprs,
    pub rip: u64,
    pub rflags: u64,
    pub cpl: u8,
    pub registers: BTreeMap<u32, HvRegisterValue>,
    pub injected: Option<Event>,
    pub window: Option<u8>,
    pub nmi_masked: bool,
    pub resets: Vec<Reset>,
}

/// RFLAGS.IF.
pub const IF: u64 = 1 << 9;

impl FakeBackend {
    /// What the entry would deliver is taken by the guest.
    pub fn enter(&mut self) -> Option<Event> {
        self.injected.take()
    }
}

impl VirtualProcessorBackend for FakeBackend {
    type Format = paging::Npt;
    fn hypercall_instruction() -> [u8; 3] {
        [0x0F, 0x01, 0xD9]
    }
    fn fixed_msrs() -> &'static [FixedMsr] {
        &[
            FixedMsr { number: 0x3A, value: 1, ignores_writes: false },
            FixedMsr { number: 0xC001_0015, value: 1 << 24, ignores_writes: true },
        ]
    }

    fn new(_control: MappedPage, _kind: Kind) -> Self {
        Self::default()
    }
    fn load(&mut self) {}
    fn unload(&mut self) {}
    fn run(&mut self) -> Exit {
        Exit::Handled
    }
    fn gprs(&self) -> &Gprs {
        &self.gprs
    }
    fn gprs_mut(&mut self) -> &mut Gprs {
        &mut self.gprs
    }
    fn rip(&self) -> u64 {
        self.rip
    }
    fn set_rip(&mut self, rip: u64) {
        self.rip = rip;
    }
    fn rflags(&self) -> u64 {
        self.rflags
    }
    fn instruction_length(&self) -> u8 {
        2
    }
    fn advance(&mut self) {
        self.rip = self.rip.wrapping_add(2);
    }
    fn cpl(&self) -> u8 {
        self.cpl
    }
    fn read_register(&self, name: HvRegisterName) -> Option<HvRegisterValue> {
        // As of a real one, the APIC's and the synthetic ones are not here.
        (name.0 < 0x0008_0000 || matches!(name.0, 0x8_0000..=0x8_0002 | 0x8_0004..=0x8_000B | 0x8_007B))
            .then(|| self.registers.get(&name.0).copied().unwrap_or_default())
    }
    fn write_register(&mut self, name: HvRegisterName, value: HvRegisterValue) -> HvResult<()> {
        self.read_register(name).ok_or(HvStatus::INVALID_PARAMETER)?;
        self.registers.insert(name.0, value);
        Ok(())
    }
    fn inject(&mut self, event: Event) {
        self.injected = Some(event);
    }
    fn pending(&self) -> HvPendingInterruption {
        let kind = interruption_type::INTERRUPT;
        HvPendingInterruption::new()
            .with_interruption_pending(self.injected.is_some())
            .with_interruption_type(kind)
    }
    fn interruptible(&self) -> bool {
        self.rflags & IF != 0 && self.injected.is_none()
    }
    fn nmi_deliverable(&self) -> bool {
        !self.nmi_masked && self.injected.is_none()
    }
    fn request_interrupt_window(&mut self, vector: Option<u8>) {
        self.window = vector;
    }
    fn set_second_level_root(&mut self, _root: SpaPage) {}
    fn flush_second_level(&mut self) {}
    fn reset(&mut self, reset: Reset) {
        self.resets.push(reset);
    }
    fn set_xcr0(&mut self, value: u64) -> bool {
        value == 7
    }
}

/// A VP of [`Partition`].
pub struct FakeVp {
    pub index: u32,
    pub backend: FakeBackend,
    pub platform: VpPlatform,
    pub message_page: Box<Page>,
    pub stats_page: Box<Page>,
    pub since: u64,
}

impl FakeVp {
    pub fn new(index: u32) -> Self {
        let mut vp = Self {
            index,
            backend: FakeBackend::default(),
            platform: VpPlatform::new(index),
            message_page: Box::new(Page::zeroed()),
            stats_page: Box::new(Page::zeroed()),
            since: 0,
        };
        vp.platform.activity = crate::platform::Activity::Running;
        vp.backend.rflags = IF;
        vp
    }
}

/// A partition: memory pages 0 to 15, VPs with inboxes, a clock that tests set.
pub struct Partition {
    pub platform: PartitionPlatform,
    pub pages: Vec<Page>,
    pub inboxes: Vec<VpInbox>,
    pub woken: RefCell<Vec<u32>>,
    pub now: Cell<u64>,
}

/// One tick is one unit of reference time times this.
pub const TICKS: u64 = 100;

impl Partition {
    pub fn new(vps: u32) -> Self {
        Self::with(vps, HvPrivileges::GUEST)
    }
    pub fn with(vps: u32, privileges: HvPrivileges) -> Self {
        let config = PlatformConfig { privileges, max_vps: vps, tsc_hz: TICKS * 10_000_000, tsc: 0 };
        Self {
            platform: PartitionPlatform::new(&config, |leaf, _| [leaf; 4]),
            pages: (0..16).map(|_| Page::zeroed()).collect(),
            inboxes: (0..vps).map(|_| VpInbox::new()).collect(),
            woken: RefCell::default(),
            now: Cell::new(0),
        }
    }
    /// The VP with its inbox in this partition, for `f`.
    pub fn on<R>(&self, vp: &mut FakeVp, f: impl FnOnce(&mut Running<'_, FakeBackend>) -> R) -> R {
        let index = vp.index;
        f(&mut Running {
            index,
            backend: &mut vp.backend,
            platform: &mut vp.platform,
            inbox: &self.inboxes[index as usize],
            message_page: &vp.message_page,
            stats_page: &vp.stats_page,
            since: vp.since,
        })
    }
    pub fn exit(&self, vp: &mut FakeVp, exit: Exit) -> Next {
        self.on(vp, |vp| handle_exit(vp, self, &exit))
    }
    pub fn before(&self, vp: &mut FakeVp) -> Next {
        self.on(vp, |vp| before_entry(vp, self, self.now.get()))
    }
    /// RDMSR as the guest does it: `None` is #GP.
    pub fn rdmsr(&self, vp: &mut FakeVp, msr: u32) -> Option<u64> {
        vp.backend.gprs.rcx = u64::from(msr);
        self.exit(vp, Exit::MsrRead);
        match vp.backend.enter() {
            None => Some(vp.backend.gprs.rax | vp.backend.gprs.rdx << 32),
            Some(event) => {
                assert_eq!(event, Event::GENERAL_PROTECTION);
                None
            }
        }
    }
    /// WRMSR as the guest does it: `None` is #GP.
    pub fn wrmsr(&self, vp: &mut FakeVp, msr: u32, value: u64) -> Option<Next> {
        let gprs = &mut vp.backend.gprs;
        (gprs.rcx, gprs.rax, gprs.rdx) = (u64::from(msr), value & 0xFFFF_FFFF, value >> 32);
        let next = self.exit(vp, Exit::MsrWrite);
        match vp.backend.enter() {
            None => Some(next),
            Some(event) => {
                assert_eq!(event, Event::GENERAL_PROTECTION);
                None
            }
        }
    }
}

impl GuestPages for Partition {
    fn with_guest_page<R>(&self, page: GpaPage, f: impl FnOnce(&Page) -> R) -> Option<R> {
        self.pages.get(usize::try_from(page.get()).ok()?).map(f)
    }
}

impl Surroundings for Partition {
    fn partition_id(&self) -> HvPartitionId {
        HvPartitionId(5)
    }
    fn platform(&self) -> &PartitionPlatform {
        &self.platform
    }
    fn vp_count(&self) -> u32 {
        self.inboxes.len() as u32
    }
    fn post(&self, vp: u32, wake: bool, f: impl FnOnce(&VpInbox) -> bool) -> bool {
        let posted = self.inboxes.get(vp as usize).is_some_and(f);
        if posted && wake {
            self.woken.borrow_mut().push(vp);
        }
        posted
    }
    fn tsc(&self) -> u64 {
        self.now.get()
    }
}
