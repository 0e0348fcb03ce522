//! How a channel begins, what is told when disks change, and what a reset does.

use super::*;

fn call(driver: &mut Driver, operation: u32) -> VstorPacket {
    driver.call(VstorPacket { operation, ..Default::default() })
}

#[test]
fn properties_let_linux_send_something() {
    let mut driver = Driver::new(4);
    call(&mut driver, operation::BEGIN_INITIALIZATION);
    let mut version = VstorPacket { operation: operation::QUERY_PROTOCOL_VERSION, ..Default::default() };
    version.request.length = 0x0600;
    assert_eq!(driver.call(version).status, 0);
    let answer = call(&mut driver, operation::QUERY_PROPERTIES);
    let properties: ChannelProperties = zerocopy::transmute!(answer.request);
    assert_eq!((answer.status, properties.max_channel_count, properties.flags), (0, 3, 1));
    assert!(properties.max_transfer_bytes > 0 && properties.max_transfer_bytes.is_multiple_of(4096));
}

#[test]
fn unknown_versions_are_refused_and_the_next_is_taken() {
    let mut driver = Driver::new(4);
    call(&mut driver, operation::BEGIN_INITIALIZATION);
    for (version, status) in
        [(0x0700, STATUS_REVISION_MISMATCH), (0x0402, STATUS_REVISION_MISMATCH), (0x0602, 0)]
    {
        let mut packet = VstorPacket { operation: operation::QUERY_PROTOCOL_VERSION, ..Default::default() };
        packet.request.length = version;
        assert_eq!(driver.call(packet).status, status, "{version:#x}");
    }
}

#[test]
fn out_of_order_is_refused_but_answered() {
    let mut driver = Driver::new(4);
    driver.attach(0, harness::geometry());
    for operation in [
        operation::QUERY_PROTOCOL_VERSION,
        operation::QUERY_PROPERTIES,
        operation::END_INITIALIZATION,
        operation::RESET_BUS,
        operation::EXECUTE_SRB,
        operation::CREATE_SUB_CHANNELS,
    ] {
        assert_eq!(call(&mut driver, operation).status, STATUS_INVALID_DEVICE_STATE, "{operation}");
    }
    for operation in [0, 1, 2, 12, 14, u32::MAX] {
        assert_eq!(call(&mut driver, operation).status, STATUS_INVALID_PARAMETER, "{operation}");
    }
}

#[test]
fn resets_are_answered() {
    let (mut driver, _) = Driver::ready();
    for operation in [operation::RESET_LUN, operation::RESET_ADAPTER, operation::RESET_BUS] {
        assert_eq!(call(&mut driver, operation).status, 0);
    }
}

#[test]
fn a_disk_that_comes_later_is_announced() {
    let (mut driver, _) = Driver::ready();
    driver.attach(63, harness::geometry());
    assert!(driver.run());
    let packets = driver.receive();
    assert_eq!(packets.len(), 1);
    let (descriptor, packet) = packets[0];
    assert_eq!((descriptor.packet_type, descriptor.transaction_id), (6, 0));
    assert_eq!(packet.operation, operation::ENUMERATE_BUS);
    assert!(!driver.run());
    assert!(driver.receive().is_empty());
}

#[test]
fn a_unit_is_given_once_and_only_to_what_can_be_a_disk() {
    let (driver, disk) = Driver::ready();
    assert!(!driver.controller.attach(0, disk.clone()), "taken");
    assert!(!driver.controller.attach(64, disk), "there is none");
    for (block_size, length) in [(0, 1 << 20), (256, 1 << 20), (520, 1 << 20), (8192, 1 << 20), (512, 511)] {
        let geometry = Geometry { block_size, length, ..harness::geometry() };
        let disk = TestDisk::new(&driver.memory, geometry);
        assert!(!driver.controller.attach(1, disk), "{block_size} {length}");
    }
}
