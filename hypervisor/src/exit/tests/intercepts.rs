//! What goes to the root, and with what.

use super::*;

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
    let memory = SecondLevelFault::new(0xFEC0_0010, Access::Read);
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
    vp.backend.registers.insert(HvRegisterName::Efer.0, HvRegisterValue::from_u64(efer::LMA));
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
        gva: Some(0xFFFF_8000_0000_1010),
        instruction: [0x89; 15],
        instruction_length: 15,
        ..SecondLevelFault::new(0xFEC0_0010, Access::Write)
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
    let message = super::message(&vp);
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
