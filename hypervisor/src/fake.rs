//! A partition of some VPs with a few pages of memory, on a backend that runs nothing, for tests.

extern crate std;

use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::vec::Vec;

use hv_abi::cpuid::HvPrivileges;
use hv_abi::{GpaPage, HvPartitionId};

use crate::backend::{Event, Exit};
use crate::exit::Next;
use crate::fake_machine::FakeBackend;
use crate::machine::Page;
use crate::platform::{Guest, PartitionPlatform, PlatformConfig, Running, Surroundings, VpInbox, VpPlatform};
use crate::synic::GuestPages;

pub use hv_abi::control::rflags::IF;

/// A VP of [`Partition`].
pub struct FakeVp {
    pub index: u32,
    pub backend: FakeBackend,
    pub platform: VpPlatform,
    pub register_page: Box<Page>,
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
            register_page: Box::new(Page::zeroed()),
            message_page: Box::new(Page::zeroed()),
            stats_page: Box::new(Page::zeroed()),
            since: 0,
        };
        vp.platform.activity = crate::platform::Activity::Running;
        (vp.backend.rip, vp.backend.rflags) = (0, IF);
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
        let tsc_hz = TICKS * 10_000_000;
        let config = PlatformConfig { privileges, max_vps: vps, tsc_hz, tsc: 0, has_apic_assist: false };
        Self {
            platform: PartitionPlatform::new(&config, |leaf, _| [leaf; 4]),
            pages: (0..16).map(|_| Page::zeroed()).collect(),
            inboxes: (0..vps).map(|_| VpInbox::new()).collect(),
            woken: RefCell::default(),
            now: Cell::new(0),
        }
    }
    /// The VP with its inbox in this partition, for `f`.
    pub fn on<R>(&self, vp: &mut FakeVp, f: impl FnOnce(&mut Guest<'_, FakeBackend, Self>) -> R) -> R {
        let index = vp.index;
        let running = Running {
            index,
            backend: &mut vp.backend,
            platform: &mut vp.platform,
            inbox: &self.inboxes[index as usize],
            register_page: &vp.register_page,
            message_page: &vp.message_page,
            stats_page: &vp.stats_page,
            since: vp.since,
        };
        f(&mut Guest { vp: running, env: self })
    }
    pub fn exit(&self, vp: &mut FakeVp, exit: Exit) -> Next {
        self.on(vp, |guest| guest.handle_exit(&exit))
    }
    pub fn before(&self, vp: &mut FakeVp) -> Next {
        self.on(vp, |guest| guest.before_entry(self.now.get()))
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
