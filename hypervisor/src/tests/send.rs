//! Messages and events between a guest and the root.

extern crate std;
use std::vec::Vec;

use hv_abi::hypercall::HypercallInput;
use hv_abi::message::{HvMessage, HvMessageType};
use hv_abi::msr::{HV_X64_MSR_EOM, HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP, HV_X64_MSR_SINT0};
use hv_abi::port::{
    ConnectPort, CreatePort, DeletePort, DisconnectPort, HvConnectionId, HvPortId, HvPortInfo, HvPortType,
    PostMessage,
};
use hv_abi::{CallCode, HvPartitionId, HvStatus, SpaPage};
use zerocopy::{FromBytes, IntoBytes};

use super::{DEPOSIT, create_vp, map};
use crate::fake_machine::{Event, Root, guest_call};
use crate::port::QUEUE_DEPTH;
use crate::root::msr::RootMsrs;
use hv_abi::memory::MapGpaFlags;

/// Pages of the root that the tests use.
const SIMP: u64 = 20;
const SIEFP: u64 = 21;
const VECTOR: u8 = 0x50;

struct Bus {
    root: Root,
    guest: HvPartitionId,
    msrs: RootMsrs,
    /// A page of the guest's, at GPA 0.
    page: u64,
}

impl Bus {
    fn new() -> Self {
        let mut root = Root::new();
        let guest = root.guest(DEPOSIT);
        create_vp(&mut root, guest, 0);
        let page = root.page();
        assert_eq!(map(&mut root, guest, 0, &[page], MapGpaFlags::RAM).status(), HvStatus::SUCCESS);
        let mut msrs = RootMsrs::default();
        msrs.write(root.hv, 0, HV_X64_MSR_SINT0 + 2, VECTOR.into()).unwrap();
        msrs.write(root.hv, 0, HV_X64_MSR_SIMP, SIMP << 12 | 1).unwrap();
        msrs.write(root.hv, 0, HV_X64_MSR_SIEFP, SIEFP << 12 | 1).unwrap();
        Self { root, guest, msrs, page }
    }

    fn port(&mut self, id: u32, port_type: HvPortType, flags: (u16, u16)) -> Result<(), HvStatus> {
        let (base_flag_number, flag_count) = flags;
        let port_info =
            HvPortInfo { port_type, target_sint: 2, base_flag_number, flag_count, ..HvPortInfo::default() };
        let create = CreatePort {
            port_partition_id: HvPartitionId::SELF,
            port_id: HvPortId(id),
            connection_partition_id: self.guest,
            port_info,
            ..CreatePort::default()
        };
        self.root.call(CallCode::CREATE_PORT, &create)
    }

    fn connect(&mut self, id: u32, port: u32, port_type: HvPortType) -> Result<(), HvStatus> {
        let connect = ConnectPort {
            connection_partition_id: self.guest,
            connection_id: HvConnectionId(id),
            port_partition_id: HvPartitionId::SELF,
            port_id: HvPortId(port),
            port_type,
            ..ConnectPort::default()
        };
        self.root.call(CallCode::CONNECT_PORT, &connect)
    }

    fn post(&self, connection: u32, text: &[u8]) -> HvStatus {
        let mut payload = [0; 240];
        payload[..text.len()].copy_from_slice(text);
        let call = PostMessage {
            connection_id: HvConnectionId(connection),
            reserved: 0,
            message_type: HvMessageType::VMBUS,
            payload_size: u32::try_from(text.len()).unwrap(),
            payload,
        };
        let memory = &self.root.hv.machine.memory;
        memory.physical(SpaPage::new(self.page).unwrap()).copy_in(0, call.as_bytes());
        let guest = self.root.hv.partitions.get(self.root.hv.machine, self.guest).unwrap();
        let control = HypercallInput::simple(CallCode::POST_MESSAGE).into();
        guest_call(self.root.hv, &guest, control, 0, 0).status()
    }

    fn signal(&self, connection: u32, flag: u16) -> HvStatus {
        let guest = self.root.hv.partitions.get(self.root.hv.machine, self.guest).unwrap();
        let control = HypercallInput::fast_call(CallCode::SIGNAL_EVENT).into();
        guest_call(self.root.hv, &guest, control, u64::from(connection) | u64::from(flag) << 32, 0).status()
    }

    /// The message in the slot, which is freed as a guest frees it; and whether it said that more waits.
    fn take(&mut self) -> Option<(HvMessage, bool)> {
        let page = self.root.hv.machine.memory.physical(SpaPage::new(SIMP).unwrap());
        let mut bytes = [0; 256];
        page.copy_out(512, &mut bytes);
        let mut message = HvMessage::read_from_bytes(&bytes).unwrap();
        if message.header.message_type == HvMessageType::NONE {
            return None;
        }
        page.write(64, page.read(64) & !0xFFFF_FFFF);
        let pending = message.header.message_flags & 1 != 0;
        message.header.message_flags = 0;
        Some((message, pending))
    }

    fn end_of_message(&mut self) {
        self.msrs.write(self.root.hv, 0, HV_X64_MSR_EOM, 0).unwrap();
    }
}

#[test]
fn a_message_arrives_whole_with_an_interrupt() {
    let mut bus = Bus::new();
    bus.port(9, HvPortType::MESSAGE, (0, 0)).unwrap();
    bus.connect(1, 9, HvPortType::MESSAGE).unwrap();
    bus.root.hv.machine.take_events();
    assert_eq!(bus.post(1, b"hello"), HvStatus::SUCCESS);
    assert_eq!(bus.root.hv.machine.take_events(), [Event::Interrupt(0, VECTOR)]);
    let (message, pending) = bus.take().unwrap();
    assert!(!pending);
    assert_eq!(message, HvMessage::new(HvMessageType::VMBUS, 9, b"hello"));
}

#[test]
fn messages_wait_in_order_and_the_queue_has_an_end() {
    let mut bus = Bus::new();
    bus.port(9, HvPortType::MESSAGE, (0, 0)).unwrap();
    bus.connect(1, 9, HvPortType::MESSAGE).unwrap();
    let all = QUEUE_DEPTH + 1;
    for n in 0..all {
        assert_eq!(bus.post(1, &[n as u8]), HvStatus::SUCCESS);
    }
    assert_eq!(bus.post(1, b"no more"), HvStatus::INSUFFICIENT_BUFFERS);
    for n in 0..all {
        let (message, pending) = bus.take().expect("a message");
        assert_eq!(message.payload[0], n as u8);
        assert_eq!(pending, n + 1 < all, "message {n}");
        bus.root.hv.machine.take_events();
        bus.end_of_message();
        let raised = bus.root.hv.machine.take_events();
        assert_eq!(raised.is_empty(), n + 1 == all, "an interrupt for each that follows");
    }
    assert!(bus.take().is_none());
    assert_eq!(bus.post(1, b"again"), HvStatus::SUCCESS);
}

#[test]
fn one_port_does_not_starve_another() {
    let mut bus = Bus::new();
    for (port, connection) in [(9, 1), (10, 4)] {
        bus.port(port, HvPortType::MESSAGE, (0, 0)).unwrap();
        bus.connect(connection, port, HvPortType::MESSAGE).unwrap();
    }
    while bus.post(1, b"flood") == HvStatus::SUCCESS {}
    assert_eq!(bus.post(4, b"polite"), HvStatus::SUCCESS);
    let mut senders = Vec::new();
    while let Some((message, _)) = bus.take() {
        senders.push(message.header.sender);
        bus.end_of_message();
    }
    assert_eq!(senders.len(), QUEUE_DEPTH + 2);
    assert!(senders.iter().position(|s| *s == 10).unwrap() <= 3, "{senders:?}");
}

#[test]
fn a_port_that_goes_takes_its_messages_with_it() {
    let mut bus = Bus::new();
    let before = bus.root.hv.root.pool.lock().free();
    bus.port(9, HvPortType::MESSAGE, (0, 0)).unwrap();
    bus.connect(1, 9, HvPortType::MESSAGE).unwrap();
    for _ in 0..5 {
        assert_eq!(bus.post(1, b"lost"), HvStatus::SUCCESS);
    }
    let delete = DeletePort { port_partition_id: HvPartitionId::SELF, port_id: HvPortId(9), reserved: 0 };
    assert_eq!(bus.root.call::<()>(CallCode::DELETE_PORT, &delete), Ok(()));
    assert_eq!(bus.root.call::<()>(CallCode::DELETE_PORT, &delete), Err(HvStatus::INVALID_PORT_ID));
    assert_eq!(bus.post(1, b"nowhere"), HvStatus::INVALID_PORT_ID);
    assert!(bus.take().is_some(), "what was in the slot stays");
    bus.end_of_message();
    assert!(bus.take().is_none());
    assert_eq!(before, bus.root.hv.root.pool.lock().free());
    bus.port(9 + 32, HvPortType::MESSAGE, (0, 0)).unwrap();
    assert_eq!(bus.post(1, b"for another"), HvStatus::INVALID_PORT_ID, "which is in its place");
}

#[test]
fn events_set_flags_and_interrupt_once() {
    let mut bus = Bus::new();
    bus.port(11, HvPortType::EVENT, (70, 3)).unwrap();
    bus.connect(0x10001, 11, HvPortType::EVENT).unwrap();
    bus.root.hv.machine.take_events();
    assert_eq!(bus.signal(0x10001, 2), HvStatus::SUCCESS);
    assert_eq!(bus.signal(0x10001, 2), HvStatus::SUCCESS);
    assert_eq!(bus.root.hv.machine.take_events(), [Event::Interrupt(0, VECTOR)]);
    let flags = bus.root.hv.machine.memory.physical(SpaPage::new(SIEFP).unwrap());
    assert_eq!(flags.read(64 + 1), 1 << (72 - 64));
    assert_eq!(bus.signal(0x10001, 3), HvStatus::INVALID_PARAMETER);
    assert_eq!(bus.signal(0x10002, 0), HvStatus::INVALID_CONNECTION_ID);
    let gone = DisconnectPort {
        connection_partition_id: bus.guest,
        connection_id: HvConnectionId(0x10001),
        is_doorbell: 0,
    };
    assert_eq!(bus.root.call::<()>(CallCode::DISCONNECT_PORT, &gone), Ok(()));
    assert_eq!(bus.signal(0x10001, 2), HvStatus::INVALID_CONNECTION_ID);
}

#[test]
fn ports_and_connections_are_checked() {
    let mut bus = Bus::new();
    let parameter = Err(HvStatus::INVALID_PARAMETER);
    assert_eq!(bus.port(1, HvPortType::MONITOR, (0, 0)), parameter);
    assert_eq!(bus.port(1, HvPortType::EVENT, (0, 0)), parameter);
    assert_eq!(bus.port(1, HvPortType::EVENT, (2047, 2)), parameter);
    assert_eq!(bus.port(1, HvPortType::MESSAGE, (0, 1)), parameter);
    assert_eq!(bus.port(1 << 24, HvPortType::MESSAGE, (0, 0)), Err(HvStatus::INVALID_PORT_ID));
    bus.port(1, HvPortType::EVENT, (0, 1)).unwrap();
    assert_eq!(bus.port(1, HvPortType::EVENT, (0, 1)), parameter, "the id is taken");
    assert_eq!(bus.connect(1, 1, HvPortType::MESSAGE), Err(HvStatus::INVALID_PORT_ID));
    assert_eq!(bus.connect(1, 2, HvPortType::EVENT), Err(HvStatus::INVALID_PORT_ID));
    assert_eq!(bus.connect(1 << 24, 1, HvPortType::EVENT), Err(HvStatus::INVALID_CONNECTION_ID));
    bus.connect(1, 1, HvPortType::EVENT).unwrap();
    assert_eq!(bus.connect(1, 1, HvPortType::EVENT), parameter, "the id is taken");
    assert_eq!(bus.post(1, b"not an event"), HvStatus::INVALID_CONNECTION_ID);
    // Another guest may not connect to what was made for this one.
    let own = core::mem::replace(&mut bus.guest, HvPartitionId(0));
    bus.guest = bus.root.guest(20);
    assert_eq!(bus.connect(1, 1, HvPortType::EVENT), Err(HvStatus::INVALID_PORT_ID));
    bus.guest = own;
}

#[test]
fn hundreds_of_connections_are_found_again() {
    let mut bus = Bus::new();
    bus.root.deposit(HvPartitionId::SELF, 30).unwrap();
    for n in 0..700 {
        bus.port(n, HvPortType::EVENT, (1, 1)).unwrap();
        bus.connect(0x10000 + n, n, HvPortType::EVENT).unwrap();
    }
    for n in (0..700).rev() {
        assert_eq!(bus.signal(0x10000 + n, 0), HvStatus::SUCCESS);
    }
    assert_eq!(bus.signal(0x10000 + 700, 0), HvStatus::INVALID_CONNECTION_ID);
}

#[test]
fn a_page_of_the_roots_synic_cannot_be_deposited() {
    let mut bus = Bus::new();
    let header = hv_abi::memory::DepositMemory { partition_id: bus.guest };
    let deposit = |bus: &mut Bus| {
        let out = bus.root.reps(CallCode::DEPOSIT_MEMORY, header.as_bytes(), SIMP.as_bytes(), 1).0;
        out.status()
    };
    assert_eq!(deposit(&mut bus), HvStatus::OPERATION_DENIED);
    bus.msrs.write(bus.root.hv, 0, HV_X64_MSR_SIMP, 0).unwrap();
    assert_eq!(deposit(&mut bus), HvStatus::SUCCESS);
    let refused = bus.msrs.write(bus.root.hv, 0, HV_X64_MSR_SIMP, SIMP << 12 | 1);
    assert!(refused.is_err(), "it is not the root's now");
    assert_eq!(bus.msrs.read(bus.root.hv, 0, HV_X64_MSR_SIMP).unwrap() & 1, 0);
}

/// A reader as the TLFS describes it (11.10.3): frees the slot, then looks at the flag that more waits.
#[test]
fn no_message_is_stuck_however_reader_and_senders_meet() {
    const EACH: u64 = 20_000;
    let mut bus = Bus::new();
    for (port, connection) in [(9, 1), (10, 4)] {
        bus.port(port, HvPortType::MESSAGE, (0, 0)).unwrap();
        bus.connect(connection, port, HvPortType::MESSAGE).unwrap();
    }
    let (hv, guest) = (bus.root.hv, bus.guest);
    let send = |connection| {
        let guest = hv.partitions.get(hv.machine, guest).unwrap();
        for n in 0..EACH {
            let message = HvMessage::new(HvMessageType::VMBUS, 0, n.as_bytes());
            while hv.post_through(&guest, HvConnectionId(connection), message)
                == Err(HvStatus::INSUFFICIENT_BUFFERS)
            {
                std::thread::yield_now();
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| send(1));
        scope.spawn(|| send(4));
        let page = hv.machine.memory.physical(SpaPage::new(SIMP).unwrap());
        let mut next = [0; 2];
        let mut last = std::time::Instant::now();
        while next != [EACH; 2] {
            let word = page.read(64);
            if word as u32 == 0 {
                assert!(last.elapsed() < std::time::Duration::from_secs(20), "stuck at {next:?}");
                std::thread::yield_now();
                continue;
            }
            last = std::time::Instant::now();
            let (sender, number) = (page.read(65) as usize - 9, page.read(66));
            assert_eq!(number, next[sender], "in order");
            next[sender] += 1;
            // The type alone, as a 32-bit store would.
            page.word(64).unwrap().fetch_and(!0xFFFF_FFFF, core::sync::atomic::Ordering::SeqCst);
            if page.read(64) & 1 << 40 != 0 {
                hv.root_end_of_message(0);
            }
        }
    });
}
