//! The loop against a machine that plays a script of events.

use super::{StartError, Worker};
use crate::fake::{FakeFile, FakeMemory};
use crate::loader::LoadError;
use crate::machine::{Machine, VpPages};
use crate::memory::{GuestMemory, gpa};
use crate::ports::Host;
use hv_abi::control::{cr0, efer, rflags};
use hv_abi::message::{
    HvMessage, HvMessageType, HvVpExecutionState, InterceptAccess, InterceptMessageHeader, IoPortAccessInfo,
    IoPortInterceptMessage, MemoryInterceptMessage,
};
use hv_abi::register_page::{HvX64RegisterPage, gp, segment};
use hv_abi::registers::{HvPendingInterruption, HvRegisterName, interruption_type};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use syscall::worker::{FromWorker, StopReason, ToWorker};
use syscall::{Error, InterruptRequest, VmEvent, VmRegister};
use zerocopy::{FromZeros, IntoBytes};

/// The pages of a VP, shared with the script.
#[derive(Clone)]
struct Pages(Box<(HvMessage, HvX64RegisterPage)>);

impl VpPages for Pages {
    fn message(&self) -> &HvMessage {
        &self.0.0
    }
    fn registers(&mut self) -> &mut HvX64RegisterPage {
        &mut self.0.1
    }
}

#[derive(Default)]
struct Record {
    events: VecDeque<VmEvent>,
    inbox: VecDeque<ToWorker>,
    sent: Vec<FromWorker>,
    /// How many messages `vmms` takes before its queue is full; each sleep makes room for one.
    room: usize,
    interrupts: Vec<u32>,
    set: Vec<(u32, u32, u64)>,
    resumed: Vec<Option<u32>>,
    stopped: bool,
    deadlines: Vec<u64>,
    log: Vec<String>,
    time: u64,
}

#[derive(Clone, Default)]
struct FakeMachine(Rc<RefCell<Record>>);

impl Host for FakeMachine {
    fn interrupt(&self, request: &InterruptRequest) {
        self.0.borrow_mut().interrupts.push(request.vector);
    }
    fn utc(&self) -> u64 {
        0
    }
}

impl Machine for FakeMachine {
    type Memory = FakeMemory;
    type Pages = Pages;

    fn set_registers(&self, vp: u32, registers: &[VmRegister]) -> Result<(), Error> {
        let set = registers.iter().map(|register| (vp, register.name, register.value[0]));
        self.0.borrow_mut().set.extend(set);
        Ok(())
    }
    fn start(&self) -> Result<(), Error> {
        Ok(())
    }
    fn stop(&self) {
        self.0.borrow_mut().stopped = true;
    }
    fn run(&self, resume: Option<u32>, deadline: u64) -> Result<VmEvent, Error> {
        let mut record = self.0.borrow_mut();
        record.resumed.push(resume);
        record.deadlines.push(deadline);
        record.time += 10;
        Ok(record.events.pop_front().unwrap_or(VmEvent::Stopped))
    }
    fn send(&self, message: &[u8]) -> Result<(), Error> {
        let mut record = self.0.borrow_mut();
        record.room = record.room.checked_sub(1).ok_or(Error::WouldBlock)?;
        record.sent.push(postcard::from_bytes(message).unwrap());
        Ok(())
    }
    fn receive(&self, into: &mut [u8]) -> Result<usize, Error> {
        let message = self.0.borrow_mut().inbox.pop_front().ok_or(Error::WouldBlock)?;
        Ok(postcard::to_slice(&message, into).unwrap().len())
    }
    fn monotonic(&self) -> u64 {
        self.0.borrow().time
    }
    fn sleep(&self, until: u64) {
        let mut record = self.0.borrow_mut();
        record.time = until;
        record.room += 1;
    }
    fn warn(&self, line: &str) {
        self.0.borrow_mut().log.push(line.into());
    }
    fn crash(&self) -> ! {
        panic!("crash on purpose");
    }

    fn spin(&self) -> ! {
        panic!("spins on purpose");
    }
}

/// A worker whose VP 0 is in 64-bit code at 0x5000 with `message` in its page.
fn worker(message: HvMessage) -> (Worker<FakeMachine>, FakeMachine) {
    let mut page = HvX64RegisterPage::new_zeroed();
    page.rip = 0x5000;
    page.rflags = rflags::ONE;
    page.efer = efer::LMA | efer::LME;
    page.segments[segment::CS].attributes.set_long(true);
    let machine = FakeMachine::default();
    machine.0.borrow_mut().room = 100;
    let worker =
        Worker::new(machine.clone(), FakeMemory::new(16 << 20), vec![Pages(Box::new((message, page)))]);
    (worker, machine)
}

fn port(number: u16, access: InterceptAccess, info: IoPortAccessInfo, rax: u64) -> HvMessage {
    port_in(true, number, access, info, rax)
}

/// From code of 64 bits or of 16.
fn port_in(long: bool, number: u16, access: InterceptAccess, info: IoPortAccessInfo, rax: u64) -> HvMessage {
    let mut header = InterceptMessageHeader {
        instruction_length_cr8: 2,
        intercept_access_type: access,
        execution_state: HvVpExecutionState::new().with_efer_lma(long),
        ..InterceptMessageHeader::default()
    };
    header.cs_segment.attributes.set_long(long);
    let payload = IoPortInterceptMessage {
        header,
        port_number: number,
        access_info: info,
        rax,
        ..IoPortInterceptMessage::default()
    };
    HvMessage::new(HvMessageType::X64_IO_PORT_INTERCEPT, 0, payload.as_bytes())
}

fn byte() -> IoPortAccessInfo {
    IoPortAccessInfo::new().with_access_size(1)
}

fn memory_message(at: u64) -> HvMessage {
    let payload = MemoryInterceptMessage { guest_physical_address: at, ..MemoryInterceptMessage::default() };
    HvMessage::new(HvMessageType::UNMAPPED_GPA, 0, payload.as_bytes())
}

#[test]
fn a_port_read_changes_only_what_it_should() {
    let (mut worker, _) = worker(port(0x3FD, InterceptAccess::READ, byte(), 0));
    worker.vps[0].0.1.gp_registers[gp::RAX] = 0x1122_3344_5566_7788;
    worker.answer(0);
    let page = &worker.vps[0].0.1;
    assert_eq!((page.gp_registers[gp::RAX], page.rip), (0x1122_3344_5566_7760, 0x5002));
    assert!(page.dirty.general_purpose() && page.dirty.instruction_pointer() && !page.dirty.flags());
    worker.vps[0].0.0 = port(0xCFC, InterceptAccess::READ, IoPortAccessInfo::new().with_access_size(4), 0);
    worker.answer(0);
    assert_eq!(worker.vps[0].0.1.gp_registers[gp::RAX], 0xFFFF_FFFF);
}

#[test]
fn a_port_access_goes_by_its_message_and_the_general_registers() {
    let (mut worker, _) = worker(HvMessage::EMPTY);
    for (long, code_in_page, rip) in [(true, false, 0x1_0001), (false, true, 1)] {
        worker.vps[0].0.0 = port_in(long, 0x80, InterceptAccess::WRITE, byte(), 0);
        let page = &mut worker.vps[0].0.1;
        page.rip = 0xFFFF;
        // What is left there from another intercept.
        page.segments[segment::CS].attributes.set_long(code_in_page);
        worker.answer(0);
        assert_eq!(worker.vps[0].0.1.rip, rip);
    }
}

#[test]
fn an_instruction_that_is_traced_ends_in_a_debug_exception() {
    let (mut worker, machine) = worker(port(0x3FD, InterceptAccess::READ, byte(), 0));
    worker.vps[0].0.1.rflags |= rflags::TF;
    worker.answer(0);
    assert_eq!(worker.vps[0].0.1.rip, 0x5002);
    let pending = HvPendingInterruption::new()
        .with_interruption_pending(true)
        .with_interruption_type(interruption_type::EXCEPTION)
        .with_interruption_vector(1);
    let expected = [
        (0, HvRegisterName::Dr6.0, 0xFFFF_4FF0),
        (0, HvRegisterName::PendingInterruption.0, pending.into_bits()),
    ];
    assert_eq!(machine.0.borrow().set, expected);
}

#[test]
fn output_is_sent_in_one_piece_after_its_deadline() {
    let (mut worker, machine) = worker(port(0x3F8, InterceptAccess::WRITE, byte(), u64::from(b'x')));
    worker.chipset.console.attach(true);
    machine.0.borrow_mut().events =
        [VmEvent::Intercept(0), VmEvent::Intercept(0), VmEvent::Timeout, VmEvent::Stopped].into();
    assert_eq!(worker.run(), StopReason::Killed);
    let record = machine.0.borrow();
    assert_eq!(
        record.sent,
        [FromWorker::ConsoleOutput(b"xx".to_vec()), FromWorker::Stopped(StopReason::Killed)]
    );
    assert_eq!(record.resumed, [None, Some(0), Some(0), None]);
    assert_eq!(record.deadlines, [u64::MAX, 50_010, 50_010, u64::MAX]);
}

#[test]
fn what_was_said_before_the_attachment_comes_first() {
    let (worker, machine) = worker(port(0x3F8, InterceptAccess::WRITE, byte(), u64::from(b'a')));
    {
        let mut record = machine.0.borrow_mut();
        record.inbox.push_back(ToWorker::ConsoleAttach(true));
        record.events = [VmEvent::Intercept(0), VmEvent::Channel, VmEvent::Intercept(0)].into();
    }
    worker.run();
    let sent = machine.0.borrow().sent.clone();
    let said = |text: &[u8]| FromWorker::ConsoleOutput(text.to_vec());
    assert_eq!(sent, [said(b"a"), said(b"a"), FromWorker::Stopped(StopReason::Killed)]);
}

#[test]
fn a_full_queue_loses_nothing_while_somebody_reads() {
    let (mut worker, machine) = worker(port(0x3F8, InterceptAccess::WRITE, byte(), u64::from(b'q')));
    worker.chipset.console.attach(true);
    machine.0.borrow_mut().room = 0;
    let count = 200_000;
    machine.0.borrow_mut().events = (0..count).map(|_| VmEvent::Intercept(0)).collect();
    worker.run();
    let record = machine.0.borrow();
    let bytes: usize = record
        .sent
        .iter()
        .map(|m| if let FromWorker::ConsoleOutput(bytes) = m { bytes.len() } else { 0 })
        .sum();
    assert_eq!(bytes, count);
    assert_eq!(record.sent.last(), Some(&FromWorker::Stopped(StopReason::Killed)));
}

#[test]
fn power_off_reset_and_what_no_processor_goes_on_from_end_the_guest() {
    let bare = |kind| HvMessage::new(kind, 0, InterceptMessageHeader::default().as_bytes());
    for (message, reason) in [
        (port(0x604, InterceptAccess::WRITE, byte(), 0x34), StopReason::PowerOff),
        (port(0xCF9, InterceptAccess::WRITE, byte(), 6), StopReason::Reset),
        (bare(HvMessageType::UNRECOVERABLE_EXCEPTION), StopReason::TripleFault),
        (bare(HvMessageType::INVALID_VP_REGISTER_VALUE), StopReason::InvalidState),
    ] {
        let (worker, machine) = worker(message);
        machine.0.borrow_mut().events = [VmEvent::Intercept(0)].into();
        assert_eq!(worker.run(), reason);
        assert!(machine.0.borrow().stopped);
        assert_eq!(machine.0.borrow().sent, [FromWorker::Stopped(reason)]);
    }
}

#[test]
fn typed_bytes_reach_the_guest() {
    let (worker, machine) = worker(port(0x3F8, InterceptAccess::READ, byte(), 0));
    machine.0.borrow_mut().inbox.push_back(ToWorker::ConsoleInput(b"k".to_vec()));
    let mut worker = worker;
    worker.listen();
    worker.answer(0);
    assert_eq!(worker.vps[0].0.1.gp_registers[gp::RAX], u64::from(b'k'));
}

#[test]
#[should_panic(expected = "spins on purpose")]
fn it_spins_when_told_to() {
    let (worker, machine) = worker(HvMessage::EMPTY);
    machine.0.borrow_mut().inbox.push_back(ToWorker::Spin);
    machine.0.borrow_mut().events = [VmEvent::Channel].into();
    worker.run();
}

#[test]
#[should_panic(expected = "crash on purpose")]
fn it_crashes_when_told_to() {
    let (worker, machine) = worker(HvMessage::EMPTY);
    machine.0.borrow_mut().inbox.push_back(ToWorker::Crash);
    machine.0.borrow_mut().events = [VmEvent::Channel].into();
    worker.run();
}

#[test]
fn a_device_in_memory_is_reached_by_an_instruction() {
    let (mut worker, _) = worker(memory_message(0xFEC0_0010));
    // mov eax, [rbx] with the IOAPIC's register 0 selected: its id.
    worker.memory.write(gpa(0x5000), &[0x8B, 0x03]).unwrap();
    worker.vps[0].0.1.gp_registers[gp::RBX] = 0xFEC0_0010;
    worker.vps[0].0.1.gp_registers[gp::RAX] = u64::MAX;
    worker.answer(0);
    assert_eq!((worker.vps[0].0.1.gp_registers[gp::RAX], worker.vps[0].0.1.rip), (0, 0x5002));
    worker.vps[0].0.0 = memory_message(0xD000_0000);
    worker.vps[0].0.1.rip = 0x5000;
    worker.vps[0].0.1.gp_registers[gp::RBX] = 0xD000_0000;
    worker.answer(0);
    assert_eq!(worker.vps[0].0.1.gp_registers[gp::RAX], 0xFFFF_FFFF);
}

#[test]
fn an_instruction_that_is_not_emulated_is_undefined_to_the_guest() {
    let (mut worker, machine) = worker(memory_message(0xD000_0000));
    worker.memory.write(gpa(0x5000), &[0x0F, 0x10, 0x03]).unwrap();
    for _ in 0..50 {
        worker.answer(0);
    }
    let record = machine.0.borrow();
    let (_, name, value) = record.set[0];
    assert_eq!(name, HvRegisterName::PendingInterruption.0);
    let pending = HvPendingInterruption::from_bits(value);
    assert_eq!((pending.interruption_vector(), pending.deliver_error_code()), (6, false));
    assert_eq!(record.log.len(), 10);
}

#[test]
fn strings_go_out_and_come_in() {
    let info = byte().with_string_op(true).with_rep_prefix(true);
    let (mut worker, machine) = worker(port(0x3F8, InterceptAccess::WRITE, info, 0));
    worker.chipset.console.attach(true);
    worker.memory.write(gpa(0x6000), b"hello").unwrap();
    worker.vps[0].0.1.gp_registers[gp::RSI] = 0x6000;
    worker.vps[0].0.1.gp_registers[gp::RCX] = 5;
    worker.answer(0);
    let page = &worker.vps[0].0.1;
    assert_eq!((page.gp_registers[gp::RSI], page.gp_registers[gp::RCX], page.rip), (0x6005, 0, 0x5002));
    assert_eq!(worker.chipset.console.chunk(), b"hello");

    worker.chipset.console.type_in(b"back");
    worker.chipset.write_port(&machine, 0x3FA, 1, 1);
    worker.vps[0].0.0 = port(0x3F8, InterceptAccess::READ, info, 0);
    worker.vps[0].0.1.gp_registers[gp::RDI] = 0x7000;
    worker.vps[0].0.1.gp_registers[gp::RCX] = 4;
    worker.answer(0);
    assert_eq!(worker.memory.bytes(0x7000, 5), b"back\0");
}

#[test]
fn a_string_to_a_page_that_is_not_there_faults_and_loses_nothing() {
    let info = byte().with_string_op(true);
    let (mut worker, machine) = worker(port(0x3F8, InterceptAccess::READ, info, 0));
    worker.chipset.console.type_in(b"!");
    worker.chipset.feed(&machine);
    worker.vps[0].0.1.cr0 = cr0::PG;
    worker.vps[0].0.1.cr3 = 0x1000;
    worker.vps[0].0.1.gp_registers[gp::RDI] = 0x7000;
    worker.answer(0);
    let set = machine.0.borrow().set.clone();
    assert_eq!(set[0], (0, HvRegisterName::Cr2.0, 0x7000));
    let pending = HvPendingInterruption::from_bits(set[1].2);
    assert_eq!((pending.interruption_vector(), pending.error_code()), (14, 2));
    assert_eq!(worker.vps[0].0.1.rip, 0x5000);
    assert_eq!(worker.chipset.read_port(&machine, 0x3F8, 1), u32::from(b'!'));
}

#[test]
fn a_file_that_is_no_kernel_is_told_in_one_line() {
    let (mut worker, machine) = worker(HvMessage::EMPTY);
    let error = worker.start("", &FakeFile(vec![0x55; 4096]), None);
    assert!(matches!(error, Err(StartError::Load(LoadError::NotAKernel(_)))));
    let line = "not a kernel: neither a bzImage nor an ELF file".into();
    assert_eq!(machine.0.borrow().sent, [FromWorker::Failed(line)]);
}
