//! A root VP's run loop.

use core::sync::atomic::Ordering;

use hv_abi::CallCode;
use hv_abi::hypercall::{HypercallInput, HypercallOutput};
use hv_abi::vp::DispatchVp;

use super::cpuid::cpuid;
use super::msr::RootMsrs;
use crate::backend::{Event, Exit, Kind, Reset, VirtualProcessorBackend};
use crate::hypercall::{Caller, hypercall};
use crate::hypervisor::Hypervisor;
use crate::layout::{ROOT_SLOT, VpPage, vp_page};
use crate::machine::{Machine, MappedPage};
use crate::object::map_page;
use crate::processor::Processor;

/// Where the root kernel is entered: flat 64-bit mode, interrupts off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootEntry {
    /// First instruction.
    pub rip: u64,
    /// Stack.
    pub rsp: u64,
    /// Page tables.
    pub cr3: u64,
    /// Argument: the hand-off.
    pub rdi: u64,
}

/// A root VP on its processor.
struct RootVp<'a, M: Machine> {
    hv: &'a Hypervisor<M>,
    number: u32,
    processor: &'a Processor,
    backend: M::Backend,
    msrs: RootMsrs,
    seen_generation: u64,
}

impl<M: Machine> Hypervisor<M> {
    /// Runs the root VP of this processor for good.
    pub fn run_root(&'static self, number: u32, entry: RootEntry) -> ! {
        let Some(mut vp) = RootVp::new(self, number, entry) else {
            self.machine.fatal("no memory for a virtual processor of the root partition");
        };
        vp.backend.load();
        loop {
            if let Err(why) = vp.step() {
                self.machine.fatal(why);
            }
        }
    }
}

impl<'a, M: Machine> RootVp<'a, M> {
    fn new(hv: &'a Hypervisor<M>, number: u32, entry: RootEntry) -> Option<Self> {
        let processor = hv.processors.get(number)?;
        let at = vp_page(ROOT_SLOT, number, VpPage::Control);
        let (page, address) = map_page(hv.machine, &mut hv.root.pool.lock(), at).ok()?;
        let mut backend = M::Backend::new(MappedPage { page, address }, Kind::Root);
        backend.set_second_level_root(hv.root.memory.lock().table?.root());
        backend.reset(Reset::LongMode { rip: entry.rip, rsp: entry.rsp, cr3: entry.cr3 });
        backend.gprs_mut().rdi = entry.rdi;
        let seen_generation = hv.root.memory.generation();
        Some(Self { hv, number, processor, backend, msrs: RootMsrs::default(), seen_generation })
    }

    /// Runs until the next exit and deals with it. `Err`: the root cannot go on, and why.
    fn step(&mut self) -> Result<(), &'static str> {
        while !self.processor.enter(&self.hv.root.memory, &mut self.seen_generation) {
            self.backend.flush_second_level();
        }
        let exit = self.backend.run();
        self.processor.leave();
        match exit {
            Exit::Hypercall => self.hypercall(),
            Exit::Cpuid => self.cpuid(),
            Exit::MsrRead => self.read_msr(),
            Exit::MsrWrite => self.write_msr(),
            Exit::Xsetbv => self.set_xcr0(),
            Exit::Handled | Exit::Nmi | Exit::PhysicalInterrupt | Exit::InterruptWindow => {}
            Exit::Halt | Exit::WriteBackInvalidate => self.backend.advance(),
            Exit::Exception { vector, error_code } => {
                self.backend.inject(Event::Exception { vector, error_code });
            }
            Exit::UndefinedInstruction => self.backend.inject(Event::UNDEFINED_INSTRUCTION),
            Exit::SecondLevelFault(_) | Exit::IoPort(_) => self.backend.inject(Event::GENERAL_PROTECTION),
            Exit::TripleFault => return Err("the root partition stopped with a triple fault"),
            Exit::InvalidState => return Err("the processor refuses the root partition's state"),
        }
        Ok(())
    }

    fn hypercall(&mut self) {
        if self.backend.cpl() != 0 || self.hv.root.guest_os_id.load(Ordering::Relaxed) == 0 {
            return self.backend.inject(Event::UNDEFINED_INSTRUCTION);
        }
        if self.backend.gprs().rcx == u64::from(HypercallInput::fast_call(CallCode::DISPATCH_VP)) {
            self.dispatch();
        } else {
            let mut caller = Caller {
                hv: self.hv,
                partition: &self.hv.root,
                vp_index: self.number,
                backend: &mut self.backend,
            };
            hypercall(&mut caller);
        }
        self.backend.advance();
    }

    fn dispatch(&mut self) {
        let (rdx, r8) = (self.backend.gprs().rdx, self.backend.gprs().r8);
        let call = DispatchVp::from_registers(rdx, r8);
        let result = self.hv.dispatch(self.number, &mut self.backend, call);
        let gprs = self.backend.gprs_mut();
        gprs.rax = match result {
            Ok(output) => {
                (gprs.rdx, gprs.r8) = output.into_registers();
                0
            }
            Err(status) => HypercallOutput::new().with_status(status).into(),
        };
    }

    fn cpuid(&mut self) {
        let gprs = self.backend.gprs();
        let [a, b, c, d] = cpuid(self.hv, &self.backend, gprs.rax as u32, gprs.rcx as u32);
        let gprs = self.backend.gprs_mut();
        (gprs.rax, gprs.rbx, gprs.rcx, gprs.rdx) = (a.into(), b.into(), c.into(), d.into());
        self.backend.advance();
    }

    fn read_msr(&mut self) {
        let msr = self.backend.gprs().rcx as u32;
        match self.msrs.read(self.hv, self.number, msr) {
            Ok(value) => {
                let gprs = self.backend.gprs_mut();
                (gprs.rax, gprs.rdx) = (value & 0xFFFF_FFFF, value >> 32);
                self.backend.advance();
            }
            Err(_) => self.backend.inject(Event::GENERAL_PROTECTION),
        }
    }

    fn write_msr(&mut self) {
        let gprs = self.backend.gprs();
        let (msr, value) = (gprs.rcx as u32, gprs.rax & 0xFFFF_FFFF | gprs.rdx << 32);
        match self.msrs.write(self.hv, self.number, msr, value) {
            Ok(()) => self.backend.advance(),
            Err(_) => self.backend.inject(Event::GENERAL_PROTECTION),
        }
    }

    fn set_xcr0(&mut self) {
        let gprs = self.backend.gprs();
        let value = gprs.rax & 0xFFFF_FFFF | gprs.rdx << 32;
        if gprs.rcx as u32 == 0 && self.backend.set_xcr0(value) {
            self.backend.advance();
        } else {
            self.backend.inject(Event::GENERAL_PROTECTION);
        }
    }
}
