//! `DISPATCH_VP`: how a guest's time ends, and what goes between it and the root.

use core::sync::atomic::Ordering;

use extension::traces::Traces;
use hv_abi::hypercall::HypercallInput;
use hv_abi::memory::MapGpaFlags;
use hv_abi::msr::{HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL, HV_X64_MSR_VP_RUNTIME};
use hv_abi::partition::{PropertyCode, SetPartitionProperty};
use hv_abi::register_page::HvRegisterPageDirty;
use hv_abi::registers::{HvInterruptState, HvRegisterName, HvRegisterValue};
use hv_abi::stats::{ExitReason, MapStatsPageOutput, StatsObjectType, StatsPage};
use hv_abi::vp::{
    DispatchEvent, DispatchFlags, DispatchState, DispatchVp, DispatchVpOutput, MapVpStatePage,
    MapVpStatePageOutput, VpStatePageType,
};
use hv_abi::{CallCode, HvPartitionId, HvResult, HvStatus, HvVpIndex, SpaPage};

use super::{DEPOSIT, create_vp, map};
use crate::apic::hazard;
use crate::backend::{Exit, PortAccess, VirtualProcessorBackend};
use crate::fake_machine::{Root, end_script, script};
use crate::machine::Page;

const NEVER: u64 = u64::MAX;

fn guest(root: &mut Root) -> HvPartitionId {
    let id = root.guest(DEPOSIT);
    create_vp(root, id, 0);
    id
}

fn dispatch(root: &mut Root, id: HvPartitionId, deadline: u64) -> HvResult<DispatchVpOutput> {
    let call = DispatchVp { partition_id: id, vp_index: HvVpIndex(0), flags: 0, deadline };
    root.hv.dispatch(0, &mut root.backend, call)
}

fn state_page(root: &mut Root, id: HvPartitionId, page_type: VpStatePageType) -> &'static Page {
    let call = MapVpStatePage { partition_id: id, page_type, ..MapVpStatePage::default() };
    let shown: MapVpStatePageOutput = root.call(CallCode::MAP_VP_STATE_PAGE, &call).unwrap();
    root.hv.machine.memory.physical(SpaPage::new(shown.gpa_page).unwrap())
}

#[test]
fn another_guest_finds_no_traces() {
    let mut root = Root::new();
    let guests = [guest(&mut root), guest(&mut root)];
    let mut cleared = |guest: usize| {
        dispatch(&mut root, guests[guest], NEVER).unwrap();
        core::mem::take(&mut *root.hv.machine.cleared.lock().unwrap())
    };
    let both = [Traces::OF_ANOTHER_GUEST, Traces::OF_THE_ROOT];
    assert_eq!(cleared(0), both);
    assert_eq!(cleared(0), [Traces::OF_THE_ROOT], "the root may have had the other's data in its hands");
    assert_eq!(cleared(1), both);
    assert_eq!(cleared(0), both);
}

#[test]
fn a_physical_interrupt_ends_it() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let out = dispatch(&mut root, id, NEVER).unwrap();
    assert_eq!((out.state, out.event), (DispatchState::READY, DispatchEvent::NONE));
    assert_eq!(out.next_timer, u64::MAX);
}

#[test]
fn the_deadline_ends_it() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let machine = root.hv.machine;
    script(move |_| {
        machine.time.fetch_add(1_000_000, Ordering::Relaxed);
        Exit::Handled
    });
    script(|_| panic!("runs past its deadline"));
    let deadline = root.hv.now() + 5_000;
    let out = dispatch(&mut root, id, deadline).unwrap();
    assert_eq!((out.state, out.event), (DispatchState::READY, DispatchEvent::NONE));
}

#[test]
fn a_port_access_is_handed_over_with_the_registers() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let install = hv_abi::interrupt::InstallIntercept {
        partition_id: id,
        access_type: 3,
        intercept_type: hv_abi::interrupt::InterceptType::X64_IO_PORT,
        intercept_parameter: 0x3F8,
    };
    root.call::<()>(CallCode::INSTALL_INTERCEPT, &install).unwrap();
    let registers = state_page(&mut root, id, VpStatePageType::REGISTERS);
    let message = state_page(&mut root, id, VpStatePageType::INTERCEPT_MESSAGE);
    let read = PortAccess { port: 0x3F8, size: 1, write: false, string: false, repeat: false };
    script(move |vp| {
        vp.gprs.rbx = 0x1234;
        vp.rip = 0x7000;
        Exit::IoPort(read)
    });
    let out = dispatch(&mut root, id, NEVER).unwrap();
    assert_eq!((out.state, out.event), (DispatchState::READY, DispatchEvent::INTERCEPT));
    assert_eq!(message.read(0) as u32, 0x8001_0000);
    assert_eq!((registers.read(1 + 3), registers.read(17)), (0x1234, 0x7000));
    assert_eq!(registers.read(0), 1, "the rest is not written for it");
    // The root answers: RAX and RIP.
    registers.write(1, 0x42);
    registers.write(17, 0x7001);
    let dirty = HvRegisterPageDirty::new().with_general_purpose(true).with_instruction_pointer(true);
    registers.write(0, 1 | u64::from(u32::from(dirty)) << 32);
    script(|vp| {
        assert_eq!((vp.gprs.rax, vp.gprs.rbx, vp.rip), (0x42, 0x1234, 0x7001));
        Exit::PhysicalInterrupt
    });
    assert_eq!(dispatch(&mut root, id, NEVER).unwrap().event, DispatchEvent::NONE);
    assert_eq!(registers.read(0) >> 32, 0, "the dirty bits are cleared");
}

#[test]
fn nothing_the_root_writes_into_the_register_page_does_harm() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let registers = state_page(&mut root, id, VpStatePageType::REGISTERS);
    let mut x = 1_u64;
    for _ in 0..200 {
        for word in 0..512 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            registers.write(word, x);
        }
        dispatch(&mut root, id, NEVER).unwrap();
    }
}

#[test]
fn a_vp_that_another_processor_has_is_in_use() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let hv = root.hv;
    let partition = hv.partitions.get(hv.machine, id).unwrap();
    let vp = partition.vp(hv.machine, 0).unwrap();
    let held = vp.state.try_lock().unwrap();
    assert_eq!(dispatch(&mut root, id, NEVER), Err(HvStatus::OBJECT_IN_USE));
    drop(held);
    script(|_| Exit::PhysicalInterrupt);
    assert!(dispatch(&mut root, id, NEVER).is_ok());
}

#[test]
fn suspension_stops_it() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let set = |root: &mut Root, value| {
        let call = SetPartitionProperty {
            partition_id: id,
            property_code: PropertyCode::SUSPEND,
            padding: 0,
            property_value: value,
        };
        root.call::<()>(CallCode::SET_PARTITION_PROPERTY, &call).unwrap();
    };
    set(&mut root, 1);
    assert_eq!(dispatch(&mut root, id, NEVER), Err(HvStatus::INVALID_VP_STATE));
    set(&mut root, 0);
    let hv = root.hv;
    script(move |_| {
        hv.suspend(&hv.partitions.get(hv.machine, id).unwrap(), true);
        Exit::Nmi
    });
    assert_eq!(dispatch(&mut root, id, NEVER).unwrap().event, DispatchEvent::SUSPEND);
}

#[test]
fn a_running_vp_is_neither_read_nor_deleted() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let hv = root.hv;
    script(move |_| {
        let partition = hv.partitions.get(hv.machine, id).unwrap();
        assert_eq!(hv.delete_vp(&partition, 0), Err(HvStatus::OBJECT_IN_USE));
        assert_eq!(hv.finalize(&partition), Err(HvStatus::TIME_OUT));
        Exit::Nmi
    });
    // It is being taken apart now.
    assert_eq!(dispatch(&mut root, id, NEVER).unwrap().event, DispatchEvent::SUSPEND);
    assert_eq!(root.end(id), DEPOSIT);
}

#[test]
fn a_vp_that_somebody_deletes_comes_back_even_if_it_halts() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let hv = root.hv;
    let delete = move || hv.delete_vp(&hv.partitions.get(hv.machine, id).unwrap(), 0);
    script(move |_| {
        assert_eq!(delete(), Err(HvStatus::OBJECT_IN_USE));
        Exit::Halt
    });
    script(|_| panic!("runs on"));
    let out = dispatch(&mut root, id, NEVER).unwrap();
    assert_eq!((out.state, out.event), (DispatchState::READY, DispatchEvent::NONE));
    assert_eq!(delete(), Ok(()));
}

#[test]
fn what_cannot_be_dispatched_says_so() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let call =
        |partition_id, vp, flags| DispatchVp { partition_id, vp_index: HvVpIndex(vp), flags, deadline: 0 };
    let hv = root.hv;
    let mut try_it = |c| hv.dispatch(0, &mut root.backend, c).unwrap_err();
    assert_eq!(try_it(call(HvPartitionId(77), 0, 0)), HvStatus::INVALID_PARTITION_ID);
    assert_eq!(try_it(call(HvPartitionId::ROOT, 0, 0)), HvStatus::INVALID_PARTITION_ID);
    assert_eq!(try_it(call(id, 1, 0)), HvStatus::INVALID_VP_INDEX);
    assert_eq!(try_it(call(id, 70_000, 0)), HvStatus::INVALID_VP_INDEX);
    assert_eq!(try_it(call(id, 0, 2)), HvStatus::INVALID_PARAMETER);
}

#[test]
fn a_guest_forgets_translations_that_were_taken_away() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let page = root.page();
    assert_eq!(map(&mut root, id, 9, &[page], MapGpaFlags::RAM).status(), HvStatus::SUCCESS);
    script(|vp| {
        vp.flushes = 0;
        Exit::PhysicalInterrupt
    });
    dispatch(&mut root, id, NEVER).unwrap();
    assert_eq!(map(&mut root, id, 9, &[page], MapGpaFlags::READABLE).status(), HvStatus::SUCCESS);
    script(|vp| {
        assert_eq!(vp.flushes, 1);
        Exit::Handled
    });
    script(|vp| {
        assert_eq!(vp.flushes, 1, "once is enough");
        Exit::PhysicalInterrupt
    });
    dispatch(&mut root, id, NEVER).unwrap();
}

#[test]
fn guests_call_with_what_they_have_and_no_more() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let page = root.page();
    assert_eq!(map(&mut root, id, 0, &[page], MapGpaFlags::RAM).status(), HvStatus::SUCCESS);
    // Before the page is placed the instruction is not there.
    script(|_| Exit::Hypercall);
    script(|vp| {
        assert_eq!(vp.pending.interruption_vector(), 0, "delivered");
        assert_eq!(vp.rip, 0xFFF0, "not completed");
        vp.gprs.rcx = 0x4000_0000;
        (vp.gprs.rax, vp.gprs.rdx) = (0x8100, 0);
        Exit::MsrWrite
    });
    script(|vp| {
        vp.gprs.rcx = 0x4000_0001;
        (vp.gprs.rax, vp.gprs.rdx) = (1, 0);
        Exit::MsrWrite
    });
    script(|vp| {
        vp.gprs.rcx = HypercallInput::fast_call(CallCode::NOTIFY_LONG_SPIN_WAIT).into();
        Exit::Hypercall
    });
    // Nor is it for programs.
    script(|vp| {
        assert_eq!(vp.gprs.rax, 0);
        (vp.cpl, vp.rip) = (3, 0x5000);
        Exit::Hypercall
    });
    script(|vp| {
        assert_eq!(vp.rip, 0x5000, "not completed");
        vp.cpl = 0;
        vp.gprs.rcx = HypercallInput::simple(CallCode::CREATE_PARTITION).into();
        Exit::Hypercall
    });
    script(|vp| {
        assert_eq!(vp.gprs.rax, u64::from(HvStatus::ACCESS_DENIED.0));
        vp.gprs.rcx = HypercallInput::rep(CallCode::DEPOSIT_MEMORY, 1, 0).into();
        Exit::Hypercall
    });
    script(|vp| {
        assert_eq!(vp.gprs.rax as u16, HvStatus::ACCESS_DENIED.0);
        Exit::PhysicalInterrupt
    });
    dispatch(&mut root, id, NEVER).unwrap();
    let stub = root.hv.machine.memory.physical(SpaPage::new(page).unwrap()).read(0);
    assert_eq!(stub & 0xFFFF_FFFF, 0xC3D9_010F);
}

#[test]
fn a_guest_that_spins_gives_way_to_who_waits() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let page = root.page();
    assert_eq!(map(&mut root, id, 0, &[page], MapGpaFlags::RAM).status(), HvStatus::SUCCESS);
    for (msr, value) in [(HV_X64_MSR_GUEST_OS_ID, 0x8100), (HV_X64_MSR_HYPERCALL, 1)] {
        script(move |vp| {
            (vp.gprs.rcx, vp.gprs.rax, vp.gprs.rdx) = (msr.into(), value, 0);
            Exit::MsrWrite
        });
    }
    let spins = |code| {
        script(move |vp| {
            vp.gprs.rcx = HypercallInput::fast_call(code).into();
            Exit::Hypercall
        });
    };
    let mut event = |flags: DispatchFlags| {
        let vp_index = HvVpIndex(0);
        let call = DispatchVp { partition_id: id, vp_index, flags: flags.bits(), deadline: NEVER };
        root.hv.dispatch(0, &mut root.backend, call).map(|out| (out.state, out.event))
    };
    // Nobody waits: it goes on.
    spins(CallCode::NOTIFY_LONG_SPIN_WAIT);
    script(|vp| {
        assert_eq!(vp.gprs.rax, 0);
        Exit::PhysicalInterrupt
    });
    assert_eq!(event(DispatchFlags::empty()), Ok((DispatchState::READY, DispatchEvent::NONE)));
    // Another call ends nothing.
    spins(CallCode::CREATE_PARTITION);
    spins(CallCode::NOTIFY_LONG_SPIN_WAIT);
    script(|_| panic!("it was to give way"));
    assert_eq!(event(DispatchFlags::SPIN_ENDS), Ok((DispatchState::READY, DispatchEvent::SPIN)));
    end_script();
    script(|vp| {
        assert_eq!(vp.gprs.rax, 0, "the call is complete");
        Exit::PhysicalInterrupt
    });
    assert_eq!(event(DispatchFlags::SPIN_ENDS), Ok((DispatchState::READY, DispatchEvent::NONE)));
}

#[test]
fn counters_count() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let of = StatsPage { object_type: StatsObjectType::VP, partition_id: id, ..StatsPage::default() };
    let shown: MapStatsPageOutput = root.call(CallCode::MAP_STATS_PAGE, &of).unwrap();
    let of = StatsPage { object_type: StatsObjectType::PARTITION, ..of };
    let whole: MapStatsPageOutput = root.call(CallCode::MAP_STATS_PAGE, &of).unwrap();
    script(|_| Exit::Cpuid);
    script(|_| Exit::Cpuid);
    dispatch(&mut root, id, NEVER).unwrap();
    let page = root.hv.machine.memory.physical(SpaPage::new(shown.gpa_page).unwrap());
    assert_eq!(page.read(0), 1);
    assert_eq!(page.read(2 + ExitReason::Cpuid as usize), 2);
    assert_eq!(page.read(2 + ExitReason::PhysicalInterrupt as usize), 1);
    let page = root.hv.machine.memory.physical(SpaPage::new(whole.gpa_page).unwrap());
    assert_eq!((page.read(0), page.read(3)), (DEPOSIT as u64, 1));
    root.call::<()>(CallCode::UNMAP_STATS_PAGE, &of).unwrap();
    assert_eq!(root.end(id), DEPOSIT);
}

#[test]
fn time_in_guest_mode_is_told_from_time_outside() {
    let mut root = Root::new();
    let hv = root.hv;
    let id = guest(&mut root);
    let of = StatsPage { object_type: StatsObjectType::VP, partition_id: id, ..StatsPage::default() };
    let vp: MapStatsPageOutput = root.call(CallCode::MAP_STATS_PAGE, &of).unwrap();
    let pass = move |time: u64, inside: u64| {
        hv.machine.time.fetch_add(time, Ordering::Relaxed);
        hv.machine.guest_mode.fetch_add(inside, Ordering::Relaxed);
    };
    script(move |_| {
        pass(1_000, 900);
        Exit::Cpuid
    });
    script(move |vp| {
        pass(200, 150);
        vp.gprs.rcx = HV_X64_MSR_VP_RUNTIME.into();
        Exit::MsrRead
    });
    script(move |vp| {
        assert!((11..=12).contains(&vp.gprs.rax), "what this dispatch adds is in it");
        Exit::PhysicalInterrupt
    });
    dispatch(&mut root, id, NEVER).unwrap();
    pass(5_000, 4_000);
    script(move |_| {
        pass(10, 4);
        Exit::PhysicalInterrupt
    });
    dispatch(&mut root, id, NEVER).unwrap();
    let page = root.hv.machine.memory.physical(SpaPage::new(vp.gpa_page).unwrap());
    assert_eq!((page.read(1), page.read(38)), (900 + 150 + 4, 100 + 50 + 6));
}

#[test]
fn a_message_for_the_root_ends_it_without_an_interrupt() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let hv = root.hv;
    root.hv.machine.take_events();
    script(move |_| {
        hv.raise_root(0, 0x50);
        Exit::Handled
    });
    script(|_| panic!("goes on"));
    assert_eq!(dispatch(&mut root, id, NEVER).unwrap().event, DispatchEvent::ROOT_SIGNAL);
    end_script();
    assert_eq!(root.hv.machine.take_events(), []);
    assert!(!root.hv.processors.get(0).unwrap().arrivals.is_any());
    // What comes with an intercept is not lost.
    script(move |_| {
        hv.raise_root(0, 0x50);
        Exit::TripleFault
    });
    assert_eq!(dispatch(&mut root, id, NEVER).unwrap().event, DispatchEvent::INTERCEPT);
    assert_eq!(root.hv.machine.take_events(), [crate::fake_machine::Event::Interrupt(0, 0x50)]);
}

#[test]
fn the_page_of_registers_shows_what_the_backend_has() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let registers = state_page(&mut root, id, VpStatePageType::REGISTERS);
    script(|vp| {
        let value = |low| hv_abi::registers::HvRegisterValue { low, high: low + 1 };
        vp.write_register(HvRegisterName::Cs, value(0x77)).unwrap();
        vp.write_register(HvRegisterName::Cr3, value(0x5000)).unwrap();
        vp.write_register(HvRegisterName::Xfem, value(7)).unwrap();
        Exit::TripleFault
    });
    dispatch(&mut root, id, NEVER).unwrap();
    assert_eq!((registers.read(34), registers.read(35)), (0x77, 0x78));
    assert_eq!((registers.read(45), registers.read(53)), (0x5000, 7));
}

#[test]
fn a_guest_that_cannot_take_an_nmi_yet_runs_on() {
    let mut root = Root::new();
    let id = guest(&mut root);
    let hv = root.hv;
    let masked = HvRegisterValue::from_u64(HvInterruptState::new().with_nmi_masked(true).into());
    script(move |vp| {
        vp.write_register(HvRegisterName::InterruptState, masked).unwrap();
        let partition = hv.partitions.get(hv.machine, id).unwrap();
        partition.vp(hv.machine, 0).unwrap().inbox.posted.raise(hazard::NMI);
        Exit::Handled
    });
    script(|_| Exit::PhysicalInterrupt);
    assert_eq!(dispatch(&mut root, id, NEVER).unwrap().state, DispatchState::READY);
}
