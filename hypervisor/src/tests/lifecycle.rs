//! Partitions and VPs come and go, and no page is lost.

extern crate std;
use std::vec::Vec;

use hv_abi::memory::MapGpaFlags;
use hv_abi::partition::{
    CreatePartition, CreatePartitionOutput, GetPartitionProperty, PartitionOnly, PropertyCode,
    SetPartitionProperty, ValueOutput, creation_flags,
};
use hv_abi::port::{ConnectPort, CreatePort, DeletePort, HvConnectionId, HvPortId, HvPortInfo, HvPortType};
use hv_abi::vp::{CreateVp, DeleteVp, MapVpStatePage, MapVpStatePageOutput, VpStatePageType};
use hv_abi::{CallCode, HvPartitionId, HvStatus, HvVpIndex};

use super::{DEPOSIT, create_vp, map};
use crate::fake_machine::Root;

fn property(
    root: &mut Root,
    partition_id: HvPartitionId,
    property_code: PropertyCode,
) -> Result<u64, HvStatus> {
    let get = GetPartitionProperty { partition_id, property_code, padding: 0 };
    root.call::<ValueOutput>(CallCode::GET_PARTITION_PROPERTY, &get).map(|out| out.value)
}

fn set(
    root: &mut Root,
    partition_id: HvPartitionId,
    property_code: PropertyCode,
    value: u64,
) -> Result<(), HvStatus> {
    let set = SetPartitionProperty { partition_id, property_code, padding: 0, property_value: value };
    root.call::<()>(CallCode::SET_PARTITION_PROPERTY, &set)
}

/// Pages of the root's that are not in its own free list.
fn accounts(root: &Root) -> (u64, u64, usize) {
    let tables = root.hv.root_tables.lock().free();
    (root.hv.root.pool.lock().free(), tables, root.hv.machine.memory.mapped_objects())
}

/// The root makes a port, to which `from` may connect.
fn port(root: &mut Root, from: HvPartitionId, id: u32, port_type: HvPortType) -> Result<(), HvStatus> {
    let flag_count = u16::from(port_type == HvPortType::EVENT);
    let create = CreatePort {
        port_partition_id: HvPartitionId::SELF,
        port_id: HvPortId(id),
        connection_partition_id: from,
        port_info: HvPortInfo { port_type, target_sint: 2, flag_count, ..HvPortInfo::default() },
        ..CreatePort::default()
    };
    root.call(CallCode::CREATE_PORT, &create)
}

fn connect(root: &mut Root, from: HvPartitionId, port: u32, port_type: HvPortType) -> Result<(), HvStatus> {
    let connect = ConnectPort {
        connection_partition_id: from,
        connection_id: HvConnectionId(1),
        port_partition_id: HvPartitionId::SELF,
        port_id: HvPortId(port),
        port_type,
        ..ConnectPort::default()
    };
    root.call(CallCode::CONNECT_PORT, &connect)
}

/// Everything that a guest can have, then its end.
fn live_and_die(root: &mut Root) {
    let pages = root.free.len();
    let id = root.guest(DEPOSIT);
    for index in 0..1 {
        create_vp(root, id, index);
        for page_type in [VpStatePageType::REGISTERS, VpStatePageType::INTERCEPT_MESSAGE] {
            let vp_index = HvVpIndex(index);
            let call = MapVpStatePage { partition_id: id, vp_index, page_type, ..MapVpStatePage::default() };
            let shown: MapVpStatePageOutput = root.call(CallCode::MAP_VP_STATE_PAGE, &call).unwrap();
            assert_ne!(shown.gpa_page, 0);
        }
    }
    let ram: [u64; 4] = [root.page(), root.page(), root.page(), root.page()];
    assert_eq!(map(root, id, 0x100, &ram, MapGpaFlags::RAM).status(), HvStatus::SUCCESS);
    assert_eq!(map(root, id, 0x8_0000, &ram, MapGpaFlags::RAM).status(), HvStatus::SUCCESS);
    port(root, id, 7, HvPortType::MESSAGE).unwrap();
    connect(root, id, 7, HvPortType::MESSAGE).unwrap();
    assert_eq!(root.end(id), DEPOSIT);
    let delete = DeletePort { port_partition_id: HvPartitionId::SELF, port_id: HvPortId(7), reserved: 0 };
    root.call::<()>(CallCode::DELETE_PORT, &delete).unwrap();
    root.free.extend(ram);
    assert_eq!(root.free.len(), pages);
}

#[test]
fn ten_thousand_partitions_later_no_page_is_lost() {
    let mut root = Root::new();
    // The first time tables are made that stay: they can be used again.
    live_and_die(&mut root);
    let before = accounts(&root);
    // Every cycle is alike; a full run is left to `--release`.
    for _ in 0..if cfg!(debug_assertions) { 300 } else { 10_000 } {
        live_and_die(&mut root);
        assert_eq!(accounts(&root), before);
    }
}

#[test]
fn the_roots_ports_and_its_own_connections_have_pages_of_their_own() {
    const PORTS: u32 = 80;
    let mut root = Root::new();
    root.deposit(HvPartitionId::SELF, PORTS as usize).unwrap();
    // Ids that all need the same place of a page: each port has a page of the table to itself.
    let id = |n| 5 + n * 32;
    for n in 0..PORTS {
        port(&mut root, HvPartitionId::ROOT, id(n), HvPortType::EVENT).unwrap();
        if n == 0 {
            connect(&mut root, HvPartitionId::ROOT, id(0), HvPortType::EVENT).unwrap();
        }
    }
    let connections = root.hv.root.connections.lock(root.hv.machine).count(|_| true);
    assert_eq!((connections, root.hv.ports.lock(root.hv.machine).count(|_| true)), (1, PORTS as usize));
}

#[test]
fn a_port_that_cannot_be_made_leaves_nothing_behind() {
    let mut root = Root::new();
    root.withdraw_all(HvPartitionId::SELF);
    // Enough for a page of the table, not for the queue.
    root.deposit(HvPartitionId::SELF, 1).unwrap();
    let made = port(&mut root, HvPartitionId::ROOT, 7, HvPortType::MESSAGE);
    assert_eq!(made, Err(HvStatus::INSUFFICIENT_MEMORY));
    assert_eq!(root.withdraw_all(HvPartitionId::SELF), 1);
}

/// Beyond what there can be nothing helps, a deposit least of all: what is refused says so, and there is no harm done.
#[test]
fn there_is_an_end_to_partitions_and_ports() {
    let mut root = Root::new();
    root.deposit(HvPartitionId::SELF, 1800).unwrap();
    let create =
        CreatePartition { flags: creation_flags::GUEST, compatibility_version: 0x609, ..Default::default() };
    let make = |root: &mut Root| root.call::<CreatePartitionOutput>(CallCode::CREATE_PARTITION, &create);
    let made: Vec<_> = (0..254).map(|_| make(&mut root).unwrap().partition_id).collect();
    assert_eq!(make(&mut root).err(), Some(HvStatus::NO_RESOURCES));
    for n in 0..512 {
        port(&mut root, made[0], n, HvPortType::MESSAGE).unwrap();
    }
    assert_eq!(port(&mut root, made[0], 512, HvPortType::MESSAGE), Err(HvStatus::NO_RESOURCES));
    for n in 512..8192 {
        port(&mut root, made[0], n, HvPortType::EVENT).unwrap();
    }
    assert_eq!(port(&mut root, made[0], 8192, HvPortType::EVENT), Err(HvStatus::NO_RESOURCES));
    assert_eq!(root.end(made[7]), 0);
    make(&mut root).unwrap();
    let delete = DeletePort { port_partition_id: HvPartitionId::SELF, port_id: HvPortId(77), reserved: 0 };
    root.call::<()>(CallCode::DELETE_PORT, &delete).unwrap();
    port(&mut root, made[0], 77 + 8192, HvPortType::MESSAGE).unwrap();
}

#[test]
fn an_id_is_not_used_again() {
    let mut root = Root::new();
    let first = root.guest(20);
    root.end(first);
    let second = root.guest(20);
    assert_ne!(first, second);
    let only = PartitionOnly { partition_id: first };
    let gone = root.call::<()>(CallCode::FINALIZE_PARTITION, &only);
    assert_eq!(gone, Err(HvStatus::INVALID_PARTITION_ID));
}

#[test]
fn states_allow_what_belongs_to_them() {
    let mut root = Root::new();
    let id = root.guest(40);
    let only = PartitionOnly { partition_id: id };
    let state = Err(HvStatus::INVALID_PARTITION_STATE);
    assert_eq!(root.call::<()>(CallCode::INITIALIZE_PARTITION, &only), state);
    assert_eq!(root.call::<()>(CallCode::DELETE_PARTITION, &only), state);
    assert_eq!(set(&mut root, id, PropertyCode::MAX_VPS, 2), state);
    assert_eq!(root.call::<()>(CallCode::FINALIZE_PARTITION, &only), Ok(()));
    let vp = CreateVp { partition_id: id, ..CreateVp::default() };
    assert_eq!(root.call::<()>(CallCode::CREATE_VP, &vp), state);
    // Pages are still in the pool.
    assert_eq!(root.call::<()>(CallCode::DELETE_PARTITION, &only), state);
    let page = root.page();
    assert_eq!(map(&mut root, id, 0, &[page], MapGpaFlags::RAM).status(), HvStatus::INVALID_PARTITION_STATE);
    assert_eq!(root.withdraw_all(id), 40);
    assert_eq!(root.call::<()>(CallCode::DELETE_PARTITION, &only), Ok(()));
}

#[test]
fn the_root_cannot_be_taken_apart() {
    let mut root = Root::new();
    let only = PartitionOnly { partition_id: HvPartitionId::SELF };
    assert_eq!(root.call::<()>(CallCode::FINALIZE_PARTITION, &only), Err(HvStatus::OPERATION_DENIED));
    let call = CreateVp { partition_id: HvPartitionId::ROOT, ..CreateVp::default() };
    assert_eq!(root.call::<()>(CallCode::CREATE_VP, &call), Err(HvStatus::OPERATION_DENIED));
    assert_eq!(
        set(&mut root, HvPartitionId::SELF, PropertyCode::SUSPEND, 1),
        Err(HvStatus::OPERATION_DENIED)
    );
}

#[test]
fn too_small_a_deposit_says_so_and_loses_nothing() {
    let mut root = Root::new();
    let create =
        CreatePartition { flags: creation_flags::GUEST, compatibility_version: 0x609, ..Default::default() };
    let made: CreatePartitionOutput = root.call(CallCode::CREATE_PARTITION, &create).unwrap();
    let only = PartitionOnly { partition_id: made.partition_id };
    let mut deposited = 0;
    while root.call::<()>(CallCode::INITIALIZE_PARTITION, &only) == Err(HvStatus::INSUFFICIENT_MEMORY) {
        root.deposit(made.partition_id, 1).unwrap();
        deposited += 1;
    }
    let vp = CreateVp { partition_id: made.partition_id, ..CreateVp::default() };
    while root.call::<()>(CallCode::CREATE_VP, &vp) == Err(HvStatus::INSUFFICIENT_MEMORY) {
        root.deposit(made.partition_id, 1).unwrap();
        deposited += 1;
        assert_eq!(property(&mut root, made.partition_id, PropertyCode::POOL_DEPOSITED_PAGES), Ok(deposited));
    }
    assert_eq!(root.end(made.partition_id) as u64, deposited);
}

#[test]
fn virtual_processors_are_made_and_deleted() {
    let mut root = Root::new();
    let id = root.guest(DEPOSIT);
    create_vp(&mut root, id, 0);
    let again = CreateVp { partition_id: id, ..CreateVp::default() };
    assert_eq!(root.call::<()>(CallCode::CREATE_VP, &again), Err(HvStatus::INVALID_VP_INDEX));
    let beyond = CreateVp { partition_id: id, vp_index: HvVpIndex(1), ..CreateVp::default() };
    assert_eq!(root.call::<()>(CallCode::CREATE_VP, &beyond), Err(HvStatus::INVALID_VP_INDEX));
    let free = property(&mut root, id, PropertyCode::POOL_FREE_PAGES).unwrap();
    let delete = DeleteVp { partition_id: id, ..DeleteVp::default() };
    assert_eq!(root.call::<()>(CallCode::DELETE_VP, &delete), Ok(()));
    assert_eq!(root.call::<()>(CallCode::DELETE_VP, &delete), Err(HvStatus::INVALID_VP_INDEX));
    assert!(property(&mut root, id, PropertyCode::POOL_FREE_PAGES).unwrap() > free);
    create_vp(&mut root, id, 0);
    assert_eq!(property(&mut root, id, PropertyCode::POOL_FREE_PAGES), Ok(free));
    assert_eq!(root.end(id), DEPOSIT);
}

/// Whoever waits for the lock of a partition's lifecycle may have seen, before, what goes meanwhile.
#[test]
fn what_is_made_is_not_written_through_a_translation_of_what_was_there() {
    let mut root = Root::new();
    let id = root.guest(DEPOSIT);
    create_vp(&mut root, id, 0);
    let hv = root.hv;
    let partition = hv.partition(&hv.root, id).unwrap();
    std::thread::scope(|other| other.spawn(|| hv.delete_vp(&partition, 0).unwrap()).join()).unwrap();
    hv.create_vp(&partition, 0).unwrap();
    drop(partition);
    assert_eq!(root.end(id), DEPOSIT);
}

#[test]
fn page_0_is_ram_like_any_other() {
    let mut root = Root::new();
    let id = root.guest(DEPOSIT);
    // What was deposited last is taken first, and of a VP's pages the control page is the first.
    root.free.push(0);
    root.deposit(id, 1).unwrap();
    create_vp(&mut root, id, 0);
    let control = {
        let guest = root.hv.partitions.get(root.hv.machine, id).unwrap();
        let vp = guest.vp(root.hv.machine, 0).unwrap();
        vp.state.lock().backend.control_page()
    };
    assert_eq!(control.get(), 0);
    let delete = DeleteVp { partition_id: id, ..DeleteVp::default() };
    assert_eq!(root.call::<()>(CallCode::DELETE_VP, &delete), Ok(()));
    assert_eq!(root.end(id), DEPOSIT + 1);
}

#[test]
fn properties_are_checked() {
    let mut root = Root::new();
    let create =
        CreatePartition { flags: creation_flags::GUEST, compatibility_version: 0x609, ..Default::default() };
    let made: CreatePartitionOutput = root.call(CallCode::CREATE_PARTITION, &create).unwrap();
    let id = made.partition_id;
    let range = Err(HvStatus::PROPERTY_VALUE_OUT_OF_RANGE);
    // Nobody makes a second root.
    assert_eq!(set(&mut root, id, PropertyCode::PRIVILEGE_FLAGS, 1 << 32), range);
    assert_eq!(set(&mut root, id, PropertyCode::MAX_VPS, 0), range);
    assert_eq!(set(&mut root, id, PropertyCode::MAX_VPS, 1 << 40), range);
    assert_eq!(set(&mut root, id, PropertyCode::MAX_VPS, 3), Ok(()));
    assert_eq!(property(&mut root, id, PropertyCode::MAX_VPS), Ok(3));
    assert_eq!(set(&mut root, id, PropertyCode::POOL_FREE_PAGES, 3), Err(HvStatus::OPERATION_DENIED));
    assert_eq!(property(&mut root, id, PropertyCode(9)), Err(HvStatus::UNKNOWN_PROPERTY));
    assert_eq!(set(&mut root, id, PropertyCode(9), 0), Err(HvStatus::UNKNOWN_PROPERTY));
    assert_eq!(property(&mut root, id, PropertyCode::REFERENCE_TIME), Err(HvStatus::INVALID_PARTITION_STATE));
    let bad = CreatePartition { flags: 0, ..create };
    assert_eq!(root.call::<()>(CallCode::CREATE_PARTITION, &bad), Err(HvStatus::INVALID_PARAMETER));
    root.end(id);
}

#[test]
fn time_stands_still_and_can_be_set() {
    let mut root = Root::new();
    let id = root.guest(40);
    assert_eq!(set(&mut root, id, PropertyCode::REFERENCE_TIME, 5), Err(HvStatus::INVALID_PARTITION_STATE));
    assert_eq!(set(&mut root, id, PropertyCode::TIME_FREEZE, 1), Ok(()));
    assert_eq!(set(&mut root, id, PropertyCode::REFERENCE_TIME, 12345), Ok(()));
    root.hv.machine.time.fetch_add(1_000_000, core::sync::atomic::Ordering::Relaxed);
    assert_eq!(property(&mut root, id, PropertyCode::REFERENCE_TIME), Ok(12345));
    assert_eq!(set(&mut root, id, PropertyCode::TIME_FREEZE, 0), Ok(()));
    assert_eq!(property(&mut root, id, PropertyCode::TIME_FREEZE), Ok(0));
    root.end(id);
}
