//! A processor that does what a test's script says.

#![expect(unsafe_code, reason = "it looks at its control page and is sent along with the pointer to it")]

extern crate std;

use core::cell::RefCell;
use core::ptr::NonNull;
use std::boxed::Box;
use std::collections::{BTreeMap, VecDeque};
use std::thread_local;
use std::vec::Vec;

use hv_abi::control::rflags;
use hv_abi::registers::{
    HvInterruptState, HvPendingInterruption, HvRegisterName, HvRegisterValue, interruption_type,
};
use hv_abi::{HvResult, HvStatus, SpaPage};

use extension::acceptable::is_acceptable;
use extension::vectors::Vectors;

use crate::backend::{Event, Exit, FixedMsr, Gprs, Kind, Priorities, Reset, VirtualProcessorBackend};
use crate::machine::{MappedPage, Page};

/// What a guest does until its next exit.
pub type Step = Box<dyn FnOnce(&mut FakeBackend) -> Exit>;

thread_local! {
    static SCRIPT: RefCell<VecDeque<Step>> = const { RefCell::new(VecDeque::new()) };
}

/// Adds to what guests do on this thread. Without more to do they exit for a physical interrupt.
pub fn script(step: impl FnOnce(&mut FakeBackend) -> Exit + 'static) {
    SCRIPT.with_borrow_mut(|script| script.push_back(Box::new(step)));
}

/// Forgets what guests would still have done on this thread.
pub fn end_script() {
    SCRIPT.with_borrow_mut(VecDeque::clear);
}

/// A VP's registers.
#[derive(Debug)]
pub struct FakeBackend {
    /// General registers.
    pub gprs: Gprs,
    /// RIP.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// CPL.
    pub cpl: u8,
    /// All others.
    pub registers: BTreeMap<u32, HvRegisterValue>,
    /// What the next entry delivers.
    pub pending: HvPendingInterruption,
    /// The vector for which an interrupt window was asked.
    pub window: Option<u8>,
    /// Whether an NMI window was.
    pub nmi_window: bool,
    /// The states that it was put into.
    pub resets: Vec<Reset>,
    /// Its second-level table.
    pub second_level: Option<SpaPage>,
    /// Times it forgot translations.
    pub flushes: u32,
    /// Whether it could complete TPR and EOI.
    pub delegates: bool,
    /// What it keeps of the APIC while it does, and the vectors whose EOI exits.
    pub delegated: Option<(Priorities, Vectors)>,
    loaded: bool,
    control: MappedPage,
    kind: Kind,
}

impl FakeBackend {
    /// Root's or guest's.
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// What the entry would deliver is taken by the guest.
    pub fn enter(&mut self) -> Option<Event> {
        let p = core::mem::take(&mut self.pending);
        let vector = u8::try_from(p.interruption_vector()).unwrap_or(0);
        p.interruption_pending().then(|| match p.interruption_type() {
            interruption_type::NMI => Event::Nmi,
            interruption_type::EXCEPTION => {
                Event::Exception { vector, error_code: p.deliver_error_code().then(|| p.error_code()) }
            }
            _ => Event::Interrupt(vector),
        })
    }
    /// The guest ends an interrupt, which is delegated: why that exits, if it does.
    pub fn end_of_interrupt(&mut self) -> Option<Exit> {
        let (kept, watched) = self.delegated.as_mut()?;
        let vector = kept.in_service.highest()?;
        kept.in_service.remove(vector);
        let mut others = *watched;
        others.remove(vector);
        (others != *watched).then_some(Exit::EndOfInterrupt(vector))
    }
    /// Its control page.
    pub fn control_page(&self) -> SpaPage {
        self.control.page
    }
    fn control(&self) -> &Page {
        // SAFETY: the page is mapped while the backend is there, and a page is accessed atomically only.
        unsafe { self.control.address.as_ref() }
    }
}

/// Nobody's VP.
impl Default for FakeBackend {
    fn default() -> Self {
        static CONTROL: Page = Page::zeroed();
        Self::new(MappedPage { page: SpaPage::default(), address: NonNull::from(&CONTROL) }, None, Kind::Root)
    }
}

/// What its control page holds, as long as that is nobody else's.
const CONTROL: u64 = 0x4B43_4142;

/// Registers that live in the backend.
const OWN: [HvRegisterName; 36] = [
    HvRegisterName::Cr0,
    HvRegisterName::Cr2,
    HvRegisterName::Cr3,
    HvRegisterName::Cr4,
    HvRegisterName::Cr8,
    HvRegisterName::Xfem,
    HvRegisterName::Dr0,
    HvRegisterName::Dr1,
    HvRegisterName::Dr2,
    HvRegisterName::Dr3,
    HvRegisterName::Dr6,
    HvRegisterName::Dr7,
    HvRegisterName::Es,
    HvRegisterName::Cs,
    HvRegisterName::Ss,
    HvRegisterName::Ds,
    HvRegisterName::Fs,
    HvRegisterName::Gs,
    HvRegisterName::Ldtr,
    HvRegisterName::Tr,
    HvRegisterName::Idtr,
    HvRegisterName::Gdtr,
    HvRegisterName::Tsc,
    HvRegisterName::Efer,
    HvRegisterName::KernelGsBase,
    HvRegisterName::Pat,
    HvRegisterName::SysenterCs,
    HvRegisterName::SysenterEip,
    HvRegisterName::SysenterEsp,
    HvRegisterName::Star,
    HvRegisterName::Lstar,
    HvRegisterName::Cstar,
    HvRegisterName::Sfmask,
    HvRegisterName::TscAux,
    HvRegisterName::SpecCtrl,
    HvRegisterName::InterruptState,
];

fn general(gprs: &mut [u64; 16], name: HvRegisterName) -> Option<&mut u64> {
    gprs.get_mut(usize::try_from(name.0.checked_sub(HvRegisterName::Rax.0)?).ok()?)
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

    fn new(control: MappedPage, apic: Option<MappedPage>, kind: Kind) -> Self {
        assert_eq!(apic.is_some(), kind == Kind::Guest, "a guest has a page for its APIC");
        let mut registers = BTreeMap::new();
        registers.insert(HvRegisterName::Efer.0, HvRegisterValue::from_u64(0));
        let backend = Self {
            gprs: Gprs::default(),
            rip: 0xFFF0,
            rflags: rflags::ONE,
            cpl: 0,
            registers,
            pending: HvPendingInterruption::new(),
            window: None,
            nmi_window: false,
            resets: Vec::new(),
            second_level: None,
            flushes: 0,
            delegates: false,
            delegated: None,
            loaded: false,
            control,
            kind,
        };
        backend.control().write(0, CONTROL);
        backend
    }
    fn load(&mut self) {
        assert!(!self.loaded, "loaded twice");
        self.loaded = true;
    }
    fn unload(&mut self) {
        assert!(self.loaded, "not loaded");
        self.loaded = false;
    }
    fn run(&mut self) -> Exit {
        assert!(self.loaded && self.second_level.is_some(), "runs unprepared");
        self.pending = HvPendingInterruption::new();
        let step = SCRIPT.with_borrow_mut(VecDeque::pop_front);
        step.map_or(Exit::PhysicalInterrupt, |step| step(self))
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
        let mut gprs = *self.gprs.as_array();
        if let Some(value) = general(&mut gprs, name) {
            return Some(HvRegisterValue::from_u64(*value));
        }
        match name {
            HvRegisterName::Rip => Some(HvRegisterValue::from_u64(self.rip)),
            HvRegisterName::Rflags => Some(HvRegisterValue::from_u64(self.rflags)),
            HvRegisterName::PendingInterruption => Some(HvRegisterValue::from_u64(self.pending.into())),
            _ if OWN.contains(&name) => Some(self.registers.get(&name.0).copied().unwrap_or_default()),
            _ => None,
        }
    }
    fn write_register(&mut self, name: HvRegisterName, value: HvRegisterValue) -> HvResult<()> {
        if !is_acceptable(name, value) {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let mut gprs = *self.gprs.as_array();
        if let Some(register) = general(&mut gprs, name) {
            *register = value.low;
            *self.gprs.as_array_mut() = gprs;
            return Ok(());
        }
        match name {
            HvRegisterName::Rip => self.rip = value.low,
            HvRegisterName::Rflags => self.rflags = value.low,
            HvRegisterName::PendingInterruption => self.pending = value.low.into(),
            // Reserved bits, as a processor has them.
            HvRegisterName::Efer if value.low & !0xFD01 != 0 => return Err(HvStatus::INVALID_PARAMETER),
            _ if OWN.contains(&name) => {
                self.registers.insert(name.0, value);
            }
            _ => return Err(HvStatus::INVALID_PARAMETER),
        }
        Ok(())
    }
    fn inject(&mut self, event: Event) {
        let p = HvPendingInterruption::new().with_interruption_pending(true);
        self.pending = match event {
            Event::Interrupt(vector) => p.with_interruption_vector(vector.into()),
            Event::Nmi => p.with_interruption_type(interruption_type::NMI).with_interruption_vector(2),
            Event::Exception { vector, error_code } => p
                .with_interruption_type(interruption_type::EXCEPTION)
                .with_interruption_vector(vector.into())
                .with_deliver_error_code(error_code.is_some())
                .with_error_code(error_code.unwrap_or(0)),
        };
    }
    fn pending(&self) -> HvPendingInterruption {
        self.pending
    }
    fn interruptible(&self) -> bool {
        self.rflags & rflags::IF != 0 && !self.pending.interruption_pending()
    }
    fn nmi_deliverable(&self) -> bool {
        let state = self.registers.get(&HvRegisterName::InterruptState.0).map_or(0, |v| v.low);
        !HvInterruptState::from(state).nmi_masked() && !self.pending.interruption_pending()
    }
    fn request_interrupt_window(&mut self, vector: Option<u8>) {
        self.window = vector;
    }
    fn request_nmi_window(&mut self) {
        self.nmi_window = true;
    }
    fn delegates(&self) -> bool {
        self.delegates
    }
    fn delegate(&mut self, priorities: &Priorities, watched: Vectors) {
        let cr8 = self.registers.get(&HvRegisterName::Cr8.0).map_or(0, |v| v.low);
        let held_back = self.window.is_some_and(|vector| u64::from(vector >> 4) <= cr8);
        if !held_back {
            self.delegated = Some((*priorities, watched));
            // The priority and CR8 are the same register.
            let cr8 = HvRegisterValue::from_u64(u64::from(priorities.task_priority >> 4));
            self.registers.insert(HvRegisterName::Cr8.0, cr8);
        }
    }
    fn take_back(&mut self) -> Option<Priorities> {
        self.delegated.take().map(|(priorities, _)| priorities)
    }
    fn set_second_level_root(&mut self, root: SpaPage) {
        self.second_level = Some(root);
    }
    fn flush_second_level(&mut self) {
        self.flushes += 1;
    }
    fn reset(&mut self, reset: Reset) {
        self.resets.push(reset);
        self.gprs = Gprs::default();
        self.rip = match reset {
            Reset::Init => 0xFFF0,
            Reset::Startup(_) => 0,
            Reset::LongMode(entry) => {
                self.gprs.rdi = entry.rdi;
                entry.rip
            }
        };
    }
    fn set_xcr0(&mut self, value: u64) -> bool {
        value & 1 != 0
    }
}

impl Drop for FakeBackend {
    fn drop(&mut self) {
        assert!(!self.loaded || self.kind == Kind::Root, "dropped while it is loaded");
        assert_eq!(self.control().read(0), CONTROL, "the control page went before the backend");
    }
}

// SAFETY: it only remembers where the control page is mapped.
unsafe impl Send for FakeBackend {}
