//! A root VP's run loop.

use core::sync::atomic::Ordering;

use hv_abi::CallCode;
use hv_abi::hypercall::{HypercallInput, HypercallOutput};
use hv_abi::vp::DispatchVp;

use super::cpuid::cpuid;
use super::msr::RootMsrs;
use super::times::Times;
use crate::backend::{Entry, Event, Exit, Kind, Reset, VirtualProcessorBackend};
use crate::hypercall::{Caller, hypercall};
use crate::hypervisor::Hypervisor;
use crate::layout::{ROOT_SLOT, VpPage, vp_page};
use crate::machine::Machine;
use crate::object::map_page;
use crate::processor::Processor;

/// A root VP on its processor.
struct RootVp<'a, M: Machine> {
    hv: &'a Hypervisor<M>,
    number: u32,
    processor: &'a Processor,
    backend: M::Backend,
    msrs: RootMsrs,
    seen_generation: u64,
    times: Times,
}

impl<M: Machine> Hypervisor<M> {
    /// Runs the root VP of this processor for good.
    pub fn run_root(&'static self, number: u32, entry: Entry) -> ! {
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
    fn new(hv: &'a Hypervisor<M>, number: u32, entry: Entry) -> Option<Self> {
        let processor = hv.processors.get(number)?;
        let at = vp_page(ROOT_SLOT, number, VpPage::Control);
        let control = map_page(hv.machine, &mut hv.root_tables.lock(), at).ok()?;
        let times = Times::new(hv, number).ok()?;
        let msrs = RootMsrs::new(times.page.page.base().get());
        let mut backend = M::Backend::new(control, None, Kind::Root);
        backend.set_second_level_root(hv.root.memory.lock().table?.root());
        backend.reset(Reset::LongMode(entry));
        let seen_generation = hv.root.memory.generation.get();
        Some(Self { hv, number, processor, backend, msrs, seen_generation, times })
    }

    /// Runs until the next exit and deals with it. `Err`: the root cannot go on, and why.
    fn step(&mut self) -> Result<(), &'static str> {
        while !self.processor.enter(&self.hv.root.memory, &mut self.seen_generation) {
            self.backend.flush_second_level();
        }
        let entered = self.times.enter(self.hv.machine);
        let exit = self.backend.run();
        self.times.leave(self.hv.machine, entered);
        self.processor.mode.leave();
        match exit {
            Exit::Hypercall => self.hypercall(),
            Exit::Cpuid => self.cpuid(),
            Exit::MsrRead => self.read_msr(),
            Exit::MsrWrite => self.write_msr(),
            Exit::Xsetbv => self.backend.xsetbv(),
            Exit::Handled | Exit::Nmi | Exit::PhysicalInterrupt => {}
            Exit::InterruptWindow | Exit::EndOfInterrupt(_) => {}
            Exit::Halt | Exit::WriteBackInvalidate => self.backend.advance(),
            Exit::UndefinedInstruction => self.backend.inject(Event::UNDEFINED_INSTRUCTION),
            Exit::SecondLevelFault(fault) if !fault.mapped && self.hv.map_far(fault.gpa) => {}
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
        self.backend.finish_rdmsr(self.msrs.read(self.hv, self.number, msr));
    }

    fn write_msr(&mut self) {
        let gprs = self.backend.gprs();
        let (msr, value) = (gprs.rcx as u32, gprs.edx_eax());
        let written = self.msrs.write(self.hv, self.number, msr, value);
        self.backend.finish(written.is_ok());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::backend::{Access, SecondLevelFault};
    use crate::fake_machine::{FakeBackend, FakeMachine, hypervisor, script};
    use hv_abi::control::cr4;
    use hv_abi::cpuid::HvPrivileges;
    use hv_abi::msr::{
        HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL, HV_X64_MSR_REFERENCE_TSC, HV_X64_MSR_TIME_REF_COUNT,
    };
    use hv_abi::registers::{HvRegisterName, HvRegisterValue};
    use hv_abi::{HvStatus, SpaPage};

    fn root() -> RootVp<'static, FakeMachine> {
        let entry = Entry { rip: 0x1000, rsp: 0x2000, cr3: 0x3000, rdi: 0x4000 };
        let mut vp = RootVp::new(hypervisor(), 0, entry).unwrap();
        vp.backend.load();
        assert_eq!((vp.backend.rip, vp.backend.gprs.rdi), (0x1000, 0x4000));
        vp
    }

    /// One exit with these registers; true: the instruction was completed.
    fn exit(vp: &mut RootVp<'_, FakeMachine>, exit: Exit, rax: u64, rcx: u64) -> bool {
        let rip = vp.backend.rip;
        script(move |backend: &mut FakeBackend| {
            (backend.gprs.rax, backend.gprs.rcx, backend.gprs.rdx) = (rax, rcx, 0);
            exit
        });
        vp.step().unwrap();
        vp.backend.rip != rip
    }

    #[test]
    fn cpuid_shows_the_hypervisor() {
        let mut vp = root();
        assert!(exit(&mut vp, Exit::Cpuid, 0x4000_0000, 0));
        assert_eq!([vp.backend.gprs.rbx, vp.backend.gprs.rcx], [0x7263_694D, 0x666F_736F]);
        assert!(exit(&mut vp, Exit::Cpuid, 0x4000_0003, 0));
        let bits = vp.backend.gprs.rax | vp.backend.gprs.rbx << 32;
        assert!(HvPrivileges::from_bits_retain(bits).contains(HvPrivileges::CREATE_PARTITIONS));
        assert!(exit(&mut vp, Exit::Cpuid, 0x4000_0006, 0));
        assert_eq!(vp.backend.gprs.rax, 0xB, "what a guest is told of the hardware");
        assert!(exit(&mut vp, Exit::Cpuid, 1, 0));
        assert_eq!(vp.backend.gprs.rcx & 1 << 31, 1 << 31);
        assert!(exit(&mut vp, Exit::Cpuid, 0xD, 1));
        assert_eq!(vp.backend.gprs.rax, 7, "all but XSAVES");
    }

    #[test]
    fn hypercalls_work_once_the_root_said_who_it_is() {
        let mut vp = root();
        let call = HypercallInput::fast_call(CallCode::NOTIFY_LONG_SPIN_WAIT).into();
        assert!(!exit(&mut vp, Exit::Hypercall, 7, call));
        assert_eq!(vp.backend.pending.interruption_vector(), 6);
        assert!(exit(&mut vp, Exit::MsrWrite, 1, HV_X64_MSR_GUEST_OS_ID.into()));
        assert!(exit(&mut vp, Exit::MsrWrite, 0x10_001, HV_X64_MSR_HYPERCALL.into()));
        let page = vp.hv.machine.memory.physical(SpaPage::new(0x10).unwrap());
        assert_eq!(page.read(0) as u32, 0xC3D9_010F);
        assert!(exit(&mut vp, Exit::Hypercall, 7, call));
        assert_eq!(vp.backend.gprs.rax, 0);
        let dispatch = HypercallInput::fast_call(CallCode::DISPATCH_VP).into();
        assert!(exit(&mut vp, Exit::Hypercall, 7, dispatch));
        assert_eq!(vp.backend.gprs.rax, u64::from(HvStatus::INVALID_PARTITION_ID.0));
        vp.backend.cpl = 3;
        assert!(!exit(&mut vp, Exit::Hypercall, 7, call), "not for programs");
    }

    #[test]
    fn a_hypercall_page_goes_to_ram_only() {
        let mut vp = root();
        let own = crate::fake_machine::OWN.start << 12 | 1;
        assert!(!exit(&mut vp, Exit::MsrWrite, own, HV_X64_MSR_HYPERCALL.into()));
        assert_eq!(vp.backend.pending.interruption_vector(), 13);
    }

    #[test]
    fn time_is_told_alike_by_register_and_page() {
        let mut vp = root();
        vp.hv.machine.time.store(123_456_789_000, Ordering::Relaxed);
        assert!(exit(&mut vp, Exit::MsrRead, 0, HV_X64_MSR_TIME_REF_COUNT.into()));
        let time = vp.backend.gprs.rax | vp.backend.gprs.rdx << 32;
        assert!(time.abs_diff(1_234_567_890) <= 1);
        assert!(exit(&mut vp, Exit::MsrWrite, 0x11_001, HV_X64_MSR_REFERENCE_TSC.into()));
        let page = vp.hv.machine.memory.physical(SpaPage::new(0x11).unwrap());
        let scaled = (123_456_789_000_u128 * u128::from(page.read(1))) >> 64;
        assert_eq!((scaled as u64).wrapping_add(page.read(2)), time);
    }

    #[test]
    fn programs_do_not_set_xcr0() {
        let mut vp = root();
        assert!(!exit(&mut vp, Exit::Xsetbv, 7, 0));
        assert_eq!(vp.backend.pending.interruption_vector(), 6, "CR4.OSXSAVE is off");
        vp.backend.write_register(HvRegisterName::Cr4, HvRegisterValue::from_u64(cr4::OSXSAVE)).unwrap();
        assert!(exit(&mut vp, Exit::Xsetbv, 7, 0));
        vp.backend.cpl = 3;
        assert!(!exit(&mut vp, Exit::Xsetbv, 7, 0));
        assert_eq!(vp.backend.pending.interruption_vector(), 13);
    }

    fn fault(gpa: u64) -> Exit {
        Exit::SecondLevelFault(SecondLevelFault::new(gpa, Access::Read))
    }

    #[test]
    fn far_devices_are_mapped_when_they_are_touched() {
        let mut vp = root();
        for n in 0..6 {
            exit(&mut vp, fault((8 + n) << 39), 0, 0);
            assert!(!vp.backend.pending.interruption_pending());
        }
        let table = vp.hv.root.memory.lock().table.unwrap();
        let mut tables = crate::pool::Tables(vp.hv.machine);
        let leaf = table.walk(&mut tables, paging::InputPage::new(8 << 27).unwrap()).unwrap();
        assert!(!leaf.attributes.contains(paging::Attributes::EXECUTE), "it is no RAM");
        // What is mapped is not mapped again for an access that it does not allow.
        if let Exit::SecondLevelFault(fault) = fault(8 << 39) {
            let execute = SecondLevelFault { access: Access::Execute, mapped: true, ..fault };
            exit(&mut vp, Exit::SecondLevelFault(execute), 0, 0);
            assert_eq!(vp.backend.pending.interruption_vector(), 13);
        }
        // There is an end to it, and nothing beyond what the processor has.
        for address in [20 << 39, 1 << 46] {
            exit(&mut vp, fault(address), 0, 0);
            assert_eq!(vp.backend.pending.interruption_vector(), 13);
        }
    }

    #[test]
    fn what_the_root_may_not_touch_faults() {
        let mut vp = root();
        assert!(!exit(&mut vp, fault(0x10_0000), 0, 0));
        assert_eq!(vp.backend.pending.interruption_vector(), 13);
        assert!(!exit(&mut vp, Exit::UndefinedInstruction, 0, 0));
        assert_eq!(vp.backend.pending.interruption_vector(), 6);
        assert!(!exit(&mut vp, Exit::MsrRead, 0, 0x4000_0FFF));
        assert_eq!(vp.backend.pending.interruption_vector(), 13);
        script(|_| Exit::TripleFault);
        assert!(vp.step().is_err());
    }
}
