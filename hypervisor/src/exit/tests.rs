//! Exits and entries of a VP on a backend that is registers only.

mod delegation;

extern crate std;
use super::*;
use crate::backend::{Access, Reset, SecondLevelFault};
use crate::fake::{FakeVp, IF, Partition, TICKS};
use crate::vp::counter;
use hv_abi::message::{
    ApicEoiMessage, HvMessage, HvMessageType, InterceptAccess, InterceptMessageHeader,
    IoPortInterceptMessage, MemoryInterceptMessage, TimerMessage,
};
use hv_abi::registers::{HvRegisterValue, HvSegmentRegister};
use proptest::prelude::*;
use std::vec;
use zerocopy::FromBytes;

const SVR: u32 = 0x80F;
const EOI: u32 = 0x80B;
const ICR: u32 = 0x830;
const SELF_IPI: u32 = 0x83F;
const TPR: u32 = 0x808;

/// A VP whose APIC is enabled.
fn running(partition: &Partition, index: u32) -> FakeVp {
    let mut vp = FakeVp::new(index);
    partition.wrmsr(&mut vp, SVR, 0x1FF).unwrap();
    assert_eq!(partition.before(&mut vp), Next::Enter);
    vp
}

fn message(vp: &FakeVp) -> HvMessage {
    let mut bytes = [0; 256];
    vp.message_page.copy_out(0, &mut bytes);
    HvMessage::read_from_bytes(&bytes).unwrap()
}

#[test]
fn cpuid_completes_the_instruction() {
    let partition = Partition::new(2);
    let mut vp = FakeVp::new(1);
    (vp.backend.gprs.rax, vp.backend.gprs.rcx) = (u64::MAX << 32 | 0x4000_0000, u64::MAX);
    assert_eq!(partition.exit(&mut vp, Exit::Cpuid), Next::Enter);
    let gprs = vp.backend.gprs;
    assert_eq!((gprs.rax, gprs.rbx, gprs.rcx), (0x4000_0006, 0x7263_694D, 0x666F_736F));
    assert_eq!(vp.backend.rip, 2);
    vp.backend.gprs.rax = 1;
    partition.exit(&mut vp, Exit::Cpuid);
    assert_eq!(vp.backend.gprs.rbx >> 24, 1, "its own APIC id");
}

#[test]
fn self_ipi_is_delivered_at_the_next_entry() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    partition.wrmsr(&mut vp, SELF_IPI, 0x41).unwrap();
    assert_eq!(partition.before(&mut vp), Next::Enter);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x41)));
    assert_eq!(partition.rdmsr(&mut vp, 0x812), Some(1 << 1), "in service");
    partition.wrmsr(&mut vp, EOI, 0).unwrap();
    assert_eq!(partition.rdmsr(&mut vp, 0x812), Some(0));
    assert!(partition.woken.borrow().is_empty());
}

#[test]
fn interrupts_wait_for_the_window_and_the_highest_goes_first() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    vp.backend.rflags = 0;
    assert!(partition.inboxes[0].assert_interrupt(0x41));
    assert_eq!(partition.before(&mut vp), Next::Enter);
    assert_eq!((vp.backend.enter(), vp.backend.window), (None, Some(0x41)));
    assert!(partition.inboxes[0].assert_interrupt(0x61));
    partition.before(&mut vp);
    assert_eq!(vp.backend.window, Some(0x61));
    vp.backend.rflags = IF;
    partition.exit(&mut vp, Exit::InterruptWindow);
    partition.before(&mut vp);
    assert_eq!((vp.backend.enter(), vp.backend.window), (Some(Event::Interrupt(0x61)), None));
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), None, "0x41 waits for the EOI of 0x61");
    partition.wrmsr(&mut vp, EOI, 0).unwrap();
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x41)));
}

#[test]
fn nothing_is_injected_over_what_is_pending() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    let interrupted = Event::Exception { vector: 14, error_code: Some(2) };
    vp.backend.inject(interrupted);
    partition.inboxes[0].assert_interrupt(0x41);
    partition.inboxes[0].posted.raise(hazard::NMI);
    partition.before(&mut vp);
    assert_eq!((vp.backend.enter(), vp.backend.window), (Some(interrupted), Some(0x41)));
    assert!(vp.backend.nmi_window, "a guest that spins makes no exit");
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Nmi), "its request was kept");
    partition.exit(&mut vp, Exit::InterruptWindow);
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x41)));
}

#[test]
fn task_priority_holds_interrupts_back() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    partition.wrmsr(&mut vp, TPR, 0x50).unwrap();
    assert_eq!(register(&vp.backend, HvRegisterName::Cr8), 5);
    partition.inboxes[0].assert_interrupt(0x5F);
    partition.before(&mut vp);
    assert_eq!((vp.backend.enter(), vp.backend.window), (None, Some(0x5F)));
    // MOV to CR8 does not exit; the window does.
    vp.backend.registers.insert(HvRegisterName::Cr8.0, HvRegisterValue::from_u64(4));
    partition.exit(&mut vp, Exit::InterruptWindow);
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x5F)));
    assert_eq!(partition.rdmsr(&mut vp, TPR), Some(0x40));
}

#[test]
fn halt_blocks_until_an_interrupt() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    assert_eq!(partition.exit(&mut vp, Exit::Halt), Next::Enter);
    assert_eq!((partition.before(&mut vp), vp.backend.rip), (Next::Blocked, 4));
    partition.inboxes[0].assert_interrupt(0x41);
    assert_eq!(partition.before(&mut vp), Next::Enter);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x41)));
    // An interrupt that came while they were off ends HLT at once.
    partition.wrmsr(&mut vp, EOI, 0).unwrap();
    vp.backend.rflags = 0;
    partition.inboxes[0].assert_interrupt(0x42);
    partition.before(&mut vp);
    vp.backend.rflags = IF;
    partition.exit(&mut vp, Exit::Halt);
    assert_eq!(partition.before(&mut vp), Next::Enter);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x42)));
    // With interrupts off only an NMI does.
    vp.backend.rflags = 0;
    partition.exit(&mut vp, Exit::Halt);
    partition.inboxes[0].assert_interrupt(0x99);
    assert_eq!(partition.before(&mut vp), Next::Blocked);
    partition.inboxes[0].posted.raise(hazard::NMI);
    assert_eq!(partition.before(&mut vp), Next::Enter);
    assert_eq!(vp.backend.enter(), Some(Event::Nmi));
}

#[test]
fn halt_does_not_hold_back_what_is_pending() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    vp.backend.rflags = 0;
    // The fake does not trace: its exception is pending before.
    let step = Event::Exception { vector: 1, error_code: None };
    vp.backend.inject(step);
    assert_eq!(partition.exit(&mut vp, Exit::Halt), Next::Enter);
    assert_eq!((partition.before(&mut vp), vp.backend.enter()), (Next::Enter, Some(step)));
}

#[test]
fn an_nmi_waits_without_keeping_the_vp_busy() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    vp.platform.activity = Activity::WaitForStartup;
    partition.inboxes[0].posted.raise(hazard::NMI);
    assert_eq!(partition.before(&mut vp), Next::Blocked);
    assert_eq!(partition.inboxes[0].posted.hazard(), 0, "or it would be dispatched again and again");
    partition.inboxes[0].posted.startup(8);
    assert_eq!((partition.before(&mut vp), vp.backend.enter()), (Next::Enter, None));
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Nmi));
}

#[test]
fn an_idle_guest_goes_on_with_an_interrupt_that_it_does_not_take() {
    const GUEST_IDLE: u32 = 0x4000_00F0;
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    vp.backend.rflags = 0;
    let idle = |vp: &mut FakeVp| {
        assert_eq!(partition.rdmsr(vp, GUEST_IDLE), Some(0));
        partition.before(vp)
    };
    assert_eq!((idle(&mut vp), partition.before(&mut vp)), (Next::Blocked, Next::Blocked));
    partition.inboxes[0].assert_interrupt(0x40);
    assert_eq!((partition.before(&mut vp), vp.backend.enter()), (Next::Enter, None), "interrupts are off");
    // It is still there: the guest is not idle a second time.
    assert_eq!((idle(&mut vp), vp.backend.enter()), (Next::Enter, None));
    vp.backend.rflags = 1 << 9;
    partition.exit(&mut vp, Exit::InterruptWindow);
    assert_eq!((partition.before(&mut vp), vp.backend.enter()), (Next::Enter, Some(Event::Interrupt(0x40))));
    // It is in service: another one of its class counts, too.
    assert_eq!(idle(&mut vp), Next::Blocked);
    partition.inboxes[0].assert_interrupt(0x41);
    assert_eq!((partition.before(&mut vp), vp.backend.enter()), (Next::Enter, None));
    partition.inboxes[0].posted.irr.clear();
    assert_eq!(idle(&mut vp), Next::Blocked);
    partition.inboxes[0].posted.raise(hazard::NMI);
    assert_eq!((partition.before(&mut vp), vp.backend.enter()), (Next::Enter, Some(Event::Nmi)));
}

#[test]
fn another_processor_is_started() {
    let partition = Partition::new(2);
    let mut first = running(&partition, 0);
    let mut second = FakeVp::new(1);
    second.platform.activity = Activity::WaitForStartup;
    assert_eq!(partition.before(&mut second), Next::Blocked);
    partition.wrmsr(&mut first, ICR, 0x1_0000_4500).unwrap();
    assert_eq!(partition.before(&mut second), Next::Blocked);
    partition.wrmsr(&mut first, ICR, 0x1_0000_469A).unwrap();
    assert_eq!(partition.before(&mut second), Next::Enter);
    partition.wrmsr(&mut first, ICR, 0x1_0000_469B).unwrap();
    partition.before(&mut second);
    assert_eq!(second.backend.resets, [Reset::Init, Reset::Startup(0x9A)], "the second SIPI is nothing");
    assert_eq!(*partition.woken.borrow(), [1, 1, 1]);
    assert_eq!(second.platform.apic.base(), 0xFEE0_0C00, "still in x2APIC mode");
}

#[test]
fn ipis_reach_their_destinations() {
    let partition = Partition::new(4);
    for index in 0..4 {
        running(&partition, index);
    }
    let mut vp = running(&partition, 0);
    let got = |vector| {
        let irrs = partition.inboxes.iter().map(|inbox| inbox.posted.irr.remove(vector));
        irrs.collect::<vec::Vec<_>>()
    };
    partition.wrmsr(&mut vp, ICR, 0xC_0041).unwrap();
    assert_eq!(got(0x41), [false, true, true, true]);
    partition.wrmsr(&mut vp, ICR, 0x0000_000A_0000_0841).unwrap();
    assert_eq!(got(0x41), [false, true, false, true], "logical");
    partition.wrmsr(&mut vp, ICR, 0x0000_000A_0000_0941).unwrap();
    assert_eq!(got(0x41), [false, true, false, false], "lowest priority: one of them");
    partition.wrmsr(&mut vp, ICR, 0xFFFF_FFFF_0000_0041).unwrap();
    assert_eq!(got(0x41), [true; 4]);
    partition.wrmsr(&mut vp, ICR, 9 << 32 | 0x41).unwrap();
    assert_eq!(got(0x41), [false; 4], "no such APIC");
}

#[test]
fn the_root_hears_of_level_triggered_ends() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    let assert = |vp: &mut FakeVp| {
        partition.inboxes[0].posted.request(0x31, true);
        partition.before(vp);
        assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x31)));
    };
    assert(&mut vp);
    assert_eq!(partition.wrmsr(&mut vp, EOI, 0), Some(Next::Enter), "not installed");
    partition.platform.intercepts.install(hv_abi::interrupt::InterceptType::X64_APIC_EOI, 0, 1).unwrap();
    assert(&mut vp);
    let rip = vp.backend.rip;
    assert_eq!(partition.wrmsr(&mut vp, EOI, 0), Some(Next::Intercept));
    assert_eq!(vp.backend.rip, rip + 2, "the instruction is complete");
    let message = message(&vp);
    assert_eq!((message.header.message_type, message.header.sender), (HvMessageType::X64_APIC_EOI, 5));
    assert_eq!(message.payload_as::<ApicEoiMessage>().unwrap().interrupt_vector, 0x31);
}

#[test]
fn the_register_page_holds_what_answers_the_intercept() {
    // Words of the page: header, RCX, RIP, CS (base), CR3.
    const PLACES: [usize; 5] = [0, 2, 17, 34, 45];
    let partition = Partition::new(1);
    let access = PortAccess { port: 0x80, size: 1, write: true, string: false, repeat: false };
    partition.platform.intercepts.install(hv_abi::interrupt::InterceptType::X64_IO_PORT, 0x80, 3).unwrap();
    let string = PortAccess { string: true, ..access };
    let general = [1, 7, 0x5000, 99, 99];
    let all = [0x1_0001, 7, 0x5000, 0xF_0000, 0x3000];
    let memory = SecondLevelFault {
        gpa: 0xFEC0_0010,
        access: Access::Read,
        gva: None,
        mapped: false,
        table: false,
        instruction: [0; 15],
        instruction_length: 0,
    };
    for (exit, expected) in [
        (Exit::IoPort(access), general),
        (Exit::IoPort(string), all),
        (Exit::SecondLevelFault(memory), all),
        (Exit::TripleFault, all),
    ] {
        let mut vp = running(&partition, 0);
        (vp.backend.gprs.rcx, vp.backend.rip) = (7, 0x5000);
        let code = HvRegisterValue { low: 0xF_0000, high: 0 };
        vp.backend.registers.insert(HvRegisterName::Cs.0, code);
        vp.backend.registers.insert(HvRegisterName::Cr3.0, HvRegisterValue::from_u64(0x3000));
        PLACES.into_iter().for_each(|word| vp.register_page.write(word, 99));
        assert_eq!(partition.exit(&mut vp, exit), Next::Intercept);
        assert_eq!(PLACES.map(|word| vp.register_page.read(word)), expected, "{exit:?}");
    }
}

#[test]
fn absent_ports_read_all_ones_and_installed_ones_go_to_the_root() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    let access =
        |port, size, write| Exit::IoPort(PortAccess { port, size, write, string: false, repeat: false });
    for (size, rax) in [(1, 0x1122_3344_5566_77FF), (2, 0x1122_3344_5566_FFFF), (4, 0xFFFF_FFFF)] {
        vp.backend.gprs.rax = 0x1122_3344_5566_7788;
        assert_eq!(partition.exit(&mut vp, access(0x80, size, false)), Next::Enter);
        assert_eq!(vp.backend.gprs.rax, rax);
    }
    let rip = vp.backend.rip;
    assert_eq!(partition.exit(&mut vp, access(0x80, 1, true)), Next::Enter);
    assert_eq!(vp.backend.rip, rip + 2);
    partition.platform.intercepts.install(hv_abi::interrupt::InterceptType::X64_IO_PORT, 0x3F8, 3).unwrap();
    vp.backend.gprs.rax = 0x41;
    let cs = HvSegmentRegister { base: 0, limit: u32::MAX, selector: 0x10, ..Default::default() };
    vp.backend.registers.insert(HvRegisterName::Cs.0, HvRegisterValue::from_segment(cs));
    vp.backend.registers.insert(HvRegisterName::Efer.0, HvRegisterValue::from_u64(1 << 10));
    assert_eq!(partition.exit(&mut vp, access(0x3F8, 1, true)), Next::Intercept);
    assert_eq!(vp.backend.rip, rip + 2, "the root completes it");
    let message = message(&vp);
    assert_eq!(message.header.message_type, HvMessageType::X64_IO_PORT_INTERCEPT);
    let port = message.payload_as::<IoPortInterceptMessage>().unwrap();
    assert_eq!((port.port_number, port.access_info.access_size(), port.rax), (0x3F8, 1, 0x41));
    assert_eq!((port.header.rip, port.header.instruction_length(), port.header.cs_segment), (rip + 2, 2, cs));
    assert_eq!(port.header.intercept_access_type, InterceptAccess::WRITE);
    assert!(port.header.execution_state.efer_lma());
}

#[test]
fn string_operations_carry_what_they_need() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    let es = HvSegmentRegister { base: 0x1000, limit: 0xFFFF, selector: 0x100, ..Default::default() };
    vp.backend.registers.insert(HvRegisterName::Es.0, HvRegisterValue::from_segment(es));
    (vp.backend.gprs.rcx, vp.backend.gprs.rdi) = (17, 0x2000);
    let access = PortAccess { port: 0x1F0, size: 2, write: false, string: true, repeat: true };
    assert_eq!(partition.exit(&mut vp, Exit::IoPort(access)), Next::Intercept);
    let port = message(&vp).payload_as::<IoPortInterceptMessage>().unwrap();
    assert_eq!((port.es_segment, port.rcx, port.rdi), (es, 17, 0x2000));
    assert!(port.access_info.string_op() && port.access_info.rep_prefix());
}

#[test]
fn memory_faults_go_to_the_root() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    let mut fault = SecondLevelFault {
        gpa: 0xFEC0_0010,
        access: Access::Write,
        gva: Some(0xFFFF_8000_0000_1010),
        mapped: false,
        table: false,
        instruction: [0x89; 15],
        instruction_length: 15,
    };
    assert_eq!(partition.exit(&mut vp, Exit::SecondLevelFault(fault)), Next::Intercept);
    let message = message(&vp);
    assert_eq!(message.header.message_type, HvMessageType::UNMAPPED_GPA);
    let memory = message.payload_as::<MemoryInterceptMessage>().unwrap();
    assert_eq!(
        (memory.guest_physical_address, memory.guest_virtual_address),
        (fault.gpa, 0xFFFF_8000_0000_1010)
    );
    assert_eq!((memory.instruction_byte_count, memory.instruction_bytes[14]), (15, 0x89));
    assert!(memory.memory_access_info.gva_valid() && memory.memory_access_info.gva_gpa_valid());
    (fault.mapped, fault.table) = (true, true);
    partition.exit(&mut vp, Exit::SecondLevelFault(fault));
    let message = super::tests::message(&vp);
    assert_eq!(message.header.message_type, HvMessageType::GPA_INTERCEPT);
    let memory = message.payload_as::<MemoryInterceptMessage>().unwrap();
    assert!(!memory.memory_access_info.gva_gpa_valid(), "it is no operand's address");
}

#[test]
fn a_triple_fault_or_a_refused_state_is_the_guests_end_only() {
    for (exit, why) in [
        (Exit::TripleFault, HvMessageType::UNRECOVERABLE_EXCEPTION),
        (Exit::InvalidState, HvMessageType::INVALID_VP_REGISTER_VALUE),
    ] {
        let partition = Partition::new(1);
        let mut vp = running(&partition, 0);
        vp.backend.rip = 0x1234;
        assert_eq!(partition.exit(&mut vp, exit), Next::Intercept);
        let message = message(&vp);
        assert_eq!(message.header.message_type, why);
        assert_eq!(message.payload_as::<InterceptMessageHeader>().unwrap().rip, 0x1234);
    }
}

#[test]
fn xsetbv_is_checked() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    (vp.backend.gprs.rcx, vp.backend.gprs.rax, vp.backend.gprs.rdx) = (0, 7, 0);
    partition.exit(&mut vp, Exit::Xsetbv);
    assert_eq!(vp.backend.enter(), Some(Event::UNDEFINED_INSTRUCTION), "CR4.OSXSAVE is off");
    vp.backend.registers.insert(HvRegisterName::Cr4.0, HvRegisterValue::from_u64(CR4_OSXSAVE));
    partition.exit(&mut vp, Exit::Xsetbv);
    assert_eq!(vp.backend.enter(), None);
    for (rcx, rax, cpl) in [(1, 7, 0), (0, 6, 0), (0, 7, 3)] {
        (vp.backend.gprs.rcx, vp.backend.gprs.rax, vp.backend.cpl) = (rcx, rax, cpl);
        partition.exit(&mut vp, Exit::Xsetbv);
        assert_eq!(vp.backend.enter(), Some(Event::GENERAL_PROTECTION));
    }
}

#[test]
fn recall_comes_through_with_what_else_was_requested() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    partition.inboxes[0].posted.raise(hazard::RECALL);
    partition.inboxes[0].assert_interrupt(0x41);
    assert_eq!(partition.before(&mut vp), Next::Recalled);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x41)));
    assert_eq!(partition.before(&mut vp), Next::Enter);
}

#[test]
fn a_direct_timer_asserts_its_vector() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    partition.wrmsr(&mut vp, 0x4000_00B0, 0x1ED9).unwrap();
    partition.wrmsr(&mut vp, 0x4000_00B1, 50).unwrap();
    assert!(vp.platform.next_timer().abs_diff(50 * TICKS) <= 1, "{}", vp.platform.next_timer());
    partition.now.set(49 * TICKS);
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), None);
    partition.now.set(51 * TICKS);
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0xED)));
    assert_eq!(vp.platform.next_timer(), u64::MAX);
    let counted = [counter::TIMERS, counter::INTERRUPTS].map(|word| vp.stats_page.read(word));
    assert_eq!(counted, [1, 1]);
}

#[test]
fn a_timer_message_waits_until_its_slot_is_free() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    for (msr, value) in
        [(0x4000_0080, 1), (0x4000_0083, 0x1001), (0x4000_0092, 0xF3), (0x4000_00B0, 2 << 16 | 8)]
    {
        partition.wrmsr(&mut vp, msr, value).unwrap();
    }
    let slot = &partition.pages[1];
    slot.write(64, 1);
    partition.wrmsr(&mut vp, 0x4000_00B1, 1).unwrap();
    partition.now.set(5 * TICKS);
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), None);
    assert_eq!(slot.read(64), 1 | 1 << 40, "the slot says that more waits");
    slot.write(64, 0);
    partition.wrmsr(&mut vp, 0x4000_0084, 0).unwrap();
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0xF3)));
    assert_eq!(slot.read(64), 24 << 32 | 0x8000_0010);
    let mut bytes = [0; 24];
    slot.copy_out(0x210, &mut bytes);
    let timer = TimerMessage::read_from_bytes(&bytes).unwrap();
    assert_eq!((timer.timer_index, timer.expiration_time), (0, 1));
}

#[test]
fn auto_eoi_lets_the_next_one_through() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    partition.wrmsr(&mut vp, 0x4000_0092, 0x2_00F3).unwrap();
    for vector in [0xF3, 0x41] {
        partition.inboxes[0].assert_interrupt(vector);
    }
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0xF3)));
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x41)));
}

/// Any exit.
fn exit() -> impl Strategy<Value = Exit> {
    let port = (any::<u16>(), any::<u8>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(port, size, write, string, repeat)| Exit::IoPort(PortAccess { port, size, write, string, repeat }),
    );
    prop_oneof![
        1 => Just(Exit::Cpuid),
        4 => Just(Exit::MsrRead),
        8 => Just(Exit::MsrWrite),
        1 => Just(Exit::Halt),
        1 => Just(Exit::InterruptWindow),
        1 => Just(Exit::Xsetbv),
        1 => Just(Exit::WriteBackInvalidate),
        1 => Just(Exit::UndefinedInstruction),
        1 => Just(Exit::TripleFault),
        1 => port,
    ]
}

/// MSRs that are there, and any.
fn msr_number() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        0x800u32..0x840,
        0x4000_0000u32..0x4000_0120,
        0u32..0x300,
        0xC000_0080u32..0xC000_0104
    ]
}

proptest! {
    #[test]
    fn no_guest_breaks_the_hypervisor(
        steps in proptest::collection::vec((exit(), msr_number(), any::<u64>(), any::<u64>(), 0u64..1 << 40), 0..80)
    ) {
        let partition = Partition::with(3, hv_abi::cpuid::HvPrivileges::all());
        let mut vp = running(&partition, 1);
        for (exit, msr, rax, rdx, later) in steps {
            (vp.backend.gprs.rcx, vp.backend.gprs.rax, vp.backend.gprs.rdx) = (u64::from(msr), rax, rdx >> (rdx & 63));
            partition.exit(&mut vp, exit);
            partition.now.set(partition.now.get() + later);
            partition.before(&mut vp);
            vp.backend.enter();
        }
    }
}
