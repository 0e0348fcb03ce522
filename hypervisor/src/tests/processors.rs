//! A guest's calls that name several of its VPs.

extern crate std;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Barrier;
use std::vec::Vec;

use hv_abi::hypercall::{HypercallInput, HypercallOutput};
use hv_abi::memory::MapGpaFlags;
use hv_abi::processor_set::{
    FlushVirtualAddressSpace, FlushVirtualAddressSpaceEx, HvGenericSetFormat, HvVpSet,
    SendSyntheticClusterIpi, SendSyntheticClusterIpiEx,
};
use hv_abi::registers::{HvRegisterName, HvSegmentAttributes, HvSegmentRegister};
use hv_abi::vp::{InitialVpContext, StartVirtualProcessor};
use hv_abi::{CallCode, HvPartitionId, HvStatus, HvVpIndex, SpaPage};
use zerocopy::{Immutable, IntoBytes};

use super::{DEPOSIT, create_vp, map};
use crate::apic::hazard;
use crate::backend::VirtualProcessorBackend;
use crate::fake_machine::{FakeMachine, Root, guest_call};
use crate::machine::Machine;
use crate::partition::Partition;
use crate::platform::Activity;
use crate::slot::Guard as SlotGuard;

/// VPs of the guest.
const VPS: u32 = 4;
const SPARSE: HvGenericSetFormat = HvGenericSetFormat::SPARSE_4K;

struct Guest {
    root: Root,
    id: HvPartitionId,
    /// A page of the guest's, at GPA 0.
    page: u64,
}

impl Guest {
    /// Its VPs' APICs take interrupts.
    fn new() -> Self {
        let mut root = Root::new();
        let id = root.guest(DEPOSIT);
        root.hv.partitions.get(root.hv.machine, id).unwrap().max_vps.store(VPS, Ordering::Relaxed);
        for vp in 0..VPS {
            create_vp(&mut root, id, vp);
        }
        let page = root.page();
        assert_eq!(map(&mut root, id, 0, &[page], MapGpaFlags::RAM).status(), HvStatus::SUCCESS);
        let guest = Self { root, id, page };
        for vp in 0..VPS {
            guest.partition().vp(guest.root.hv.machine, vp).unwrap().inbox.posted.set_accepts(true);
        }
        guest
    }

    fn partition(&self) -> SlotGuard<'static, Partition<FakeMachine>> {
        self.root.hv.partitions.get(self.root.hv.machine, self.id).unwrap()
    }

    /// VP 0 makes a call with this input, `at` in the page.
    fn call_at(
        &self,
        control: HypercallInput,
        at: u64,
        input: &(impl IntoBytes + Immutable),
        rest: &[u64],
    ) -> HypercallOutput {
        let mut bytes = input.as_bytes().to_vec();
        bytes.extend_from_slice(rest.as_bytes());
        let memory = &self.root.hv.machine.memory;
        memory.physical(SpaPage::new(self.page).unwrap()).copy_in(at as usize, &bytes);
        guest_call(self.root.hv, &self.partition(), control.into(), at, 0)
    }

    fn call(
        &self,
        control: HypercallInput,
        input: &(impl IntoBytes + Immutable),
        rest: &[u64],
    ) -> HypercallOutput {
        self.call_at(control, 0, input, rest)
    }

    /// VP 0 starts another.
    fn start(&self, vp: u32) -> HvStatus {
        self.call(HypercallInput::simple(CallCode::START_VIRTUAL_PROCESSOR), &start(vp), &[]).status()
    }

    /// The VPs that `f` says something of, which it takes.
    fn vps(&self, f: impl Fn(&crate::platform::VpInbox) -> bool) -> Vec<u32> {
        let partition = self.partition();
        let machine = self.root.hv.machine;
        (0..VPS).filter(|vp| f(&partition.vp(machine, *vp).unwrap().inbox)).collect()
    }

    /// Those whose translations are to be forgotten.
    fn flushed(&self) -> Vec<u32> {
        self.vps(|inbox| inbox.posted.take_hazard() & hazard::FLUSH != 0)
    }

    /// Those that were sent `vector`.
    fn got(&self, vector: u8) -> Vec<u32> {
        self.vps(|inbox| inbox.posted.irr.remove(vector))
    }
}

const fn set(format: HvGenericSetFormat, valid_bank_mask: u64) -> HvVpSet {
    HvVpSet { format, valid_bank_mask }
}

fn control(code: CallCode, banks: u16, reps: u16) -> HypercallInput {
    HypercallInput::rep(code, reps, 0).with_variable_header_size(banks)
}

#[test]
fn interrupts_reach_those_that_are_named() {
    let guest = Guest::new();
    let fast: u64 = HypercallInput::fast_call(CallCode::SEND_SYNTHETIC_CLUSTER_IPI).into();
    assert_eq!(guest_call(guest.root.hv, &guest.partition(), fast, 0xF7, 0b1011).status(), HvStatus::SUCCESS);
    assert_eq!(guest.got(0xF7), [0, 1, 3]);
    let plain = SendSyntheticClusterIpi { vector: 0x10, processor_mask: 1 << 40 | 4, ..Default::default() };
    let done = guest.call(control(CallCode::SEND_SYNTHETIC_CLUSTER_IPI, 0, 0), &plain, &[]);
    assert_eq!((done.status(), done.reps_completed()), (HvStatus::SUCCESS, 0));
    assert_eq!(guest.got(0x10), [2], "VP 40 is not there");
    let send = |processor_set, banks: &[u64]| {
        let input = SendSyntheticClusterIpiEx { vector: 0x20, processor_set, ..Default::default() };
        let count = u16::try_from(banks.len()).unwrap();
        guest.call(control(CallCode::SEND_SYNTHETIC_CLUSTER_IPI_EX, count, 0), &input, banks).status()
    };
    assert_eq!(send(set(SPARSE, 0b101), &[0b0110, u64::MAX]), HvStatus::SUCCESS);
    assert_eq!(guest.got(0x20), [1, 2]);
    assert_eq!(send(set(SPARSE, 0b110), &[u64::MAX, u64::MAX]), HvStatus::SUCCESS);
    assert_eq!(guest.got(0x20), []);
    assert_eq!(send(set(HvGenericSetFormat::ALL, 0), &[]), HvStatus::SUCCESS);
    assert_eq!(guest.got(0x20), [0, 1, 2, 3]);
    assert_eq!(send(set(SPARSE, 0b1), &[]), HvStatus::INVALID_HYPERCALL_INPUT);
    assert_eq!(send(set(HvGenericSetFormat(2), 0), &[]), HvStatus::INVALID_PARAMETER);
    assert_eq!(guest.got(0x20), []);
}

#[test]
fn a_vector_that_cannot_be_sent_is_refused() {
    let guest = Guest::new();
    let fast: u64 = HypercallInput::fast_call(CallCode::SEND_SYNTHETIC_CLUSTER_IPI).into();
    // Reserved vectors, none at all, another VTL.
    for first in [0x0F, 0x100, 0x1_0000_0020] {
        let status = guest_call(guest.root.hv, &guest.partition(), fast, first, 0xF).status();
        assert_eq!(status, HvStatus::INVALID_PARAMETER, "{first:#x}");
    }
    assert_eq!(guest.vps(|inbox| inbox.posted.irr.highest().is_some()), []);
}

#[test]
fn flushes_mark_those_that_do_not_run() {
    let guest = Guest::new();
    let flush = |flags, processor_mask| {
        let input = FlushVirtualAddressSpace { address_space: 0x1000, flags, processor_mask };
        guest.call(control(CallCode::FLUSH_VIRTUAL_ADDRESS_SPACE, 0, 0), &input, &[]).status()
    };
    assert_eq!(flush(0, 0b1010), HvStatus::SUCCESS);
    assert_eq!(guest.flushed(), [1, 3]);
    // ALL_PROCESSORS: the mask does not count.
    assert_eq!(flush(1, 0), HvStatus::SUCCESS);
    assert_eq!(guest.flushed(), [0, 1, 2, 3]);
    assert_eq!(flush(1 << 4, 1), HvStatus::INVALID_PARAMETER);
    assert_eq!(guest.flushed(), []);
    assert_eq!(guest.root.hv.machine.take_events(), [], "nobody runs, nobody is kicked");
}

#[test]
fn of_a_list_all_is_done_at_once() {
    let guest = Guest::new();
    let input = FlushVirtualAddressSpace { processor_mask: 1, ..Default::default() };
    let list = [0x1000_u64, 0x2FFF, 0x8000];
    let code = CallCode::FLUSH_VIRTUAL_ADDRESS_LIST;
    let done = guest.call(control(code, 0, 3), &input, &list);
    assert_eq!((done.status(), done.reps_completed(), guest.flushed()), (HvStatus::SUCCESS, 3, [0].to_vec()));
    let extended = FlushVirtualAddressSpaceEx { processor_set: set(SPARSE, 1), ..Default::default() };
    let code = CallCode::FLUSH_VIRTUAL_ADDRESS_LIST_EX;
    let done = guest.call(control(code, 1, 2), &extended, &[0b100, 0x1000, 0x2000]);
    assert_eq!((done.status(), done.reps_completed(), guest.flushed()), (HvStatus::SUCCESS, 2, [2].to_vec()));
}

#[test]
fn control_words_and_places_that_make_no_sense_are_refused() {
    let guest = Guest::new();
    let input = FlushVirtualAddressSpace { processor_mask: 1, ..Default::default() };
    let space = CallCode::FLUSH_VIRTUAL_ADDRESS_SPACE;
    let list = CallCode::FLUSH_VIRTUAL_ADDRESS_LIST;
    let refused = [
        control(space, 0, 1),
        control(space, 1, 0),
        control(list, 0, 0),
        control(list, 0, 2).with_rep_start(2),
        control(list, 1, 2),
        HypercallInput::fast_call(space),
        control(space, 0, 0).with_nested(true),
        HypercallInput::fast_call(CallCode::SEND_SYNTHETIC_CLUSTER_IPI_EX),
    ];
    for control in refused {
        let status = guest.call(control, &input, &[]).status();
        assert_eq!(status, HvStatus::INVALID_HYPERCALL_INPUT, "{control:?}");
    }
    // The list would go past the page.
    let crossing = guest.call(control(list, 0, 510), &input, &[]);
    assert_eq!(crossing.status(), HvStatus::INVALID_ALIGNMENT);
    assert_eq!(guest.call(control(list, 0, 509), &input, &[]).status(), HvStatus::SUCCESS);
    assert_eq!(guest.flushed(), [0]);
    let crossing = guest.call_at(control(space, 0, 0), 4080, &[0_u64; 2], &[]);
    assert_eq!(crossing.status(), HvStatus::INVALID_ALIGNMENT);
}

#[test]
fn a_flush_waits_for_those_that_run() {
    let guest = Guest::new();
    let hv = guest.root.hv;
    let partition = guest.partition();
    let mode = &hv.processors.get(1).unwrap().mode;
    partition.vp(hv.machine, 2).unwrap().set_running(Some(1));
    mode.enter();
    std::thread::scope(|scope| {
        let running = scope.spawn(move || {
            while !hv.machine.kicked[1].load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            mode.leave();
        });
        let input = FlushVirtualAddressSpace { processor_mask: 0b101, ..Default::default() };
        let done = guest.call(control(CallCode::FLUSH_VIRTUAL_ADDRESS_SPACE, 0, 0), &input, &[]);
        assert_eq!((done.status(), mode.stay()), (HvStatus::SUCCESS, None), "it has left");
        running.join().unwrap();
    });
    assert_eq!(guest.flushed(), [0, 2]);
}

#[test]
fn the_root_has_no_vps_to_name() {
    let mut root = Root::new();
    let (status, _) = root.fast(CallCode::SEND_SYNTHETIC_CLUSTER_IPI, 0x20, 1);
    assert_eq!(status, HvStatus::INVALID_PARTITION_STATE);
}

/// 64-bit mode with flat segments, as an operating system has it.
fn context() -> InitialVpContext {
    let segment = |attributes, selector, limit| HvSegmentRegister {
        base: 0,
        limit,
        selector,
        attributes: HvSegmentAttributes::from(attributes),
    };
    InitialVpContext {
        rip: 0x1000,
        rsp: 0x2000,
        rflags: 2,
        cs: segment(0xA09B, 8, u32::MAX),
        ss: segment(0xC093, 0x10, u32::MAX),
        tr: segment(0x8B, 0x18, 0x67),
        efer: 0xD00,
        cr0: 0x8000_0033,
        cr3: 0x3000,
        cr4: 0x620,
        msr_cr_pat: 0x0007_0406_0007_0406,
        ..InitialVpContext::default()
    }
}

fn start(vp: u32) -> StartVirtualProcessor {
    let partition_id = HvPartitionId::SELF;
    StartVirtualProcessor {
        partition_id,
        vp_index: HvVpIndex(vp),
        vp_context: context(),
        ..StartVirtualProcessor::default()
    }
}

#[test]
fn a_vp_that_waits_is_started() {
    let guest = Guest::new();
    let machine = guest.root.hv.machine;
    let partition = guest.partition();
    let vp = partition.vp(machine, 2).unwrap();
    vp.inbox.posted.init();
    let call = |input: &StartVirtualProcessor| {
        guest.call(HypercallInput::simple(CallCode::START_VIRTUAL_PROCESSOR), input, &[]).status()
    };
    assert_eq!(call(&start(2)), HvStatus::SUCCESS);
    {
        let state = vp.state.try_lock().unwrap();
        let read = |name| state.backend.read_register(name).unwrap();
        assert_eq!((read(HvRegisterName::Rip).low, read(HvRegisterName::Cr3).low), (0x1000, 0x3000));
        assert_eq!(read(HvRegisterName::Cs).high, 0xA09B_0008_FFFF_FFFF);
        assert_eq!(state.platform.activity, Activity::Running);
        assert_eq!(vp.inbox.posted.take_hazard(), hazard::INTERRUPT, "no INIT comes after");
    }
    assert_eq!(call(&start(2)), HvStatus::INVALID_VP_STATE, "it runs");
    assert_eq!(call(&start(0)), HvStatus::INVALID_VP_STATE, "it never waited");
    assert_eq!(call(&start(VPS)), HvStatus::INVALID_VP_INDEX);
    let other = StartVirtualProcessor { partition_id: HvPartitionId(99), ..start(1) };
    assert_eq!(call(&other), HvStatus::INVALID_PARAMETER);
    assert_eq!(
        call(&StartVirtualProcessor { target_vtl: [1, 0, 0, 0], ..start(1) }),
        HvStatus::INVALID_PARAMETER
    );
}

/// The root dispatches a VP that waits too, and finds that it still does.
#[test]
fn a_vp_that_another_processor_has_for_a_moment_is_started() {
    let guest = Guest::new();
    let (hv, id) = (guest.root.hv, guest.id);
    let held = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let partition = hv.partitions.get(hv.machine, id).unwrap();
            let vp = partition.vp(hv.machine, 2).unwrap();
            let state = vp.state.try_lock().unwrap();
            held.wait();
            // The machine's time stands still, so this is a moment however long it is.
            std::thread::sleep(Duration::from_millis(20));
            drop(state);
        });
        held.wait();
        assert_eq!(guest.start(2), HvStatus::SUCCESS);
    });
}

#[test]
fn a_vp_that_runs_is_not_waited_for() {
    let guest = Guest::new();
    let machine = guest.root.hv.machine;
    let partition = guest.partition();
    let vp = partition.vp(machine, 2).unwrap();
    let _runs = vp.state.try_lock().unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                machine.time.fetch_add(machine.tsc_hz() / 100_000, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        assert_eq!(guest.start(2), HvStatus::INVALID_VP_STATE);
        over.store(true, Ordering::Relaxed);
    });
}
