//! The disk, with one queue, against a device that is played by the test.
#![expect(unsafe_code, reason = "stands in for device registers")]

use super::configuration::{config, feature};
use super::requests::{Header, PAGE, STATUS, State, kind};
use super::*;
use crate::block::memory_disk::Leaver;
use crate::block::{Error, Operation, PhysicalSegment, Signal};
use crate::drivers::virtio::queue::{Descriptor, Queue};
use crate::executor::pending::Pending;
use crate::memory::mmio::Registers;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;
use spin::MutexGuard;
use std::vec;

fn registers() -> Registers {
    let memory = NonNull::from(vec![0u64; 16].leak()).cast::<u8>();
    // SAFETY: leaked memory of that length, reached through this pointer only.
    unsafe { Registers::new(memory, 128) }
}

fn disk(features: u64, size: u16) -> VirtioBlock {
    let config = registers();
    config.write(config::CAPACITY, 1000u64);
    config.write(config::SEG_MAX, 100u32);
    config.write(config::BLK_SIZE, 512u32);
    config.write(config::MAX_DISCARD_SECTORS, 64u32);
    config.write(config::NUM_QUEUES, 3u16);
    let configuration = Configuration::read(&config, features).unwrap();
    let queue = (Queue::new(size).unwrap(), size, registers());
    let queue = RequestQueue::new(0, queue, 1, configuration.has_flush, Pending::played()).unwrap();
    VirtioBlock::new("test".into(), vec![Arc::new(queue)], &configuration)
}

fn state(disk: &VirtioBlock) -> MutexGuard<'_, State> {
    disk.queues[0].state.lock()
}

const FEATURES: u64 = feature::SEG_MAX | feature::FLUSH | feature::BLK_SIZE | feature::DISCARD;
const SEGMENTS: &[PhysicalSegment] =
    &[PhysicalSegment { address: 0x1200, length: 512 }, PhysicalSegment { address: 0x9000, length: 512 }];

fn request(operation: Operation) -> Request<'static> {
    Request { operation, offset: 512 * 9, length: 1024, segments: SEGMENTS }
}

fn submit(disk: &VirtioBlock, request: &Request<'_>) -> Arc<Signal<()>> {
    let signal = Signal::new(());
    disk.submit(request, signal.clone(), 0);
    signal
}

/// The kind, sector and descriptors of what is in `slot`.
fn sent(disk: &VirtioBlock, slot: u16) -> (u32, u64, Vec<Descriptor>) {
    let state = state(disk);
    let table = state.queue.descriptor(slot);
    assert_eq!(table.flags, 4);
    let start = (table.address - state.pages.address()) as usize;
    let descriptors: Vec<Descriptor> =
        (0..table.length as usize / 16).map(|index| state.pages.get(start + index * 16)).collect();
    let header: Header = state.pages.get((descriptors[0].address - state.pages.address()) as usize);
    (header.kind, header.sector, descriptors)
}

fn finish(disk: &VirtioBlock, slot: u16, status: u8) {
    let state = state(disk);
    state.pages.set(usize::from(slot) * PAGE + STATUS, status);
    state.queue.give_back(u32::from(slot));
}

#[test]
fn a_read_is_a_chain_of_header_data_and_status() {
    let disk = disk(FEATURES, 8);
    let signal = submit(&disk, &request(Operation::Read));
    let slots = state(&disk).queue.available_from(0);
    let (kind, sector, chain) = sent(&disk, slots[0]);
    assert_eq!((kind, sector, chain.len()), (0, 9, 4));
    assert_eq!(
        chain.iter().map(|part| (part.flags, part.length)).collect::<Vec<_>>(),
        [(1, 16), (3, 512), (3, 512), (2, 1)]
    );
    assert_eq!((chain[1].address, chain[2].address), (0x1200, 0x9000));
    finish(&disk, slots[0], 0);
    disk.queues[0].drain();
    assert_eq!(signal.take(), Some(Ok(())));
}

#[test]
fn force_unit_access_completes_only_after_a_flush() {
    let disk = disk(FEATURES, 8);
    let signal = submit(&disk, &request(Operation::Write { fua: true }));
    let slot = state(&disk).queue.available_from(0)[0];
    assert_eq!(sent(&disk, slot).0, kind::OUT);
    finish(&disk, slot, 0);
    disk.queues[0].drain();
    assert_eq!(signal.take(), None);
    assert_eq!(state(&disk).queue.available_from(1), [slot]);
    assert_eq!((sent(&disk, slot).0, sent(&disk, slot).2.len()), (kind::FLUSH, 2));
    finish(&disk, slot, 1);
    disk.queues[0].drain();
    assert_eq!(signal.take(), Some(Err(Error::Io)));
}

#[test]
fn a_discard_carries_its_range_and_errors_are_told_apart() {
    let disk = disk(FEATURES, 8);
    assert_eq!(disk.info().limits.discard, 64 * 512);
    let signal = submit(&disk, &Request { segments: &[], ..request(Operation::Discard) });
    let slot = state(&disk).queue.available_from(0)[0];
    let (kind, _, chain) = sent(&disk, slot);
    assert_eq!((kind, chain.len(), chain[1].length), (kind::DISCARD, 3, 16));
    finish(&disk, slot, 2);
    state(&disk).queue.give_back(77);
    disk.queues[0].drain();
    assert_eq!(signal.take(), Some(Err(Error::Unsupported)));
}

#[test]
fn more_requests_than_slots_all_complete() {
    let disk = disk(FEATURES, 4);
    let signals: Vec<_> = (0..50).map(|_| submit(&disk, &request(Operation::Read))).collect();
    let mut seen = 0;
    while usize::from(seen) < signals.len() {
        let slots = state(&disk).queue.available_from(seen);
        assert!(!slots.is_empty() && slots.len() <= 4);
        seen += slots.len() as u16;
        for slot in slots {
            finish(&disk, slot, 0);
        }
        disk.queues[0].drain();
    }
    assert!(signals.iter().all(|signal| signal.take() == Some(Ok(()))));
}

#[test]
fn what_waits_and_nobody_wants_any_more_is_not_made_available() {
    let disk = disk(FEATURES, 1);
    let first = submit(&disk, &request(Operation::Read));
    let leaver = Arc::new(Leaver::default());
    disk.submit(&request(Operation::Write { fua: false }), leaver.clone(), 0);
    leaver.is_gone.store(true, Ordering::Relaxed);
    let slot = state(&disk).queue.available_from(0)[0];
    finish(&disk, slot, 0);
    disk.queues[0].drain();
    assert_eq!((first.take(), leaver.told.lock().as_slice()), (Some(Ok(())), &[Err(Error::Invalid)][..]));
    assert!(state(&disk).queue.available_from(1).is_empty());
}

#[test]
fn without_a_write_cache_a_flush_is_done_at_once() {
    let disk = disk(feature::SEG_MAX, 8);
    assert_eq!(submit(&disk, &Request::FLUSH).take(), Some(Ok(())));
    assert_eq!(
        submit(&disk, &Request { segments: &[], ..request(Operation::Read) }).take(),
        Some(Err(Error::Invalid))
    );
}

#[test]
fn a_device_has_several_queues_only_if_it_says_so() {
    let config = registers();
    config.write(config::BLK_SIZE, 512u32);
    config.write(config::NUM_QUEUES, 3u16);
    let queues = |features| Configuration::read(&config, features).unwrap().queues;
    assert_eq!((queues(FEATURES), queues(FEATURES | feature::MQ)), (1, 3));
    config.write(config::NUM_QUEUES, 0u16);
    assert_eq!(Configuration::read(&config, feature::MQ).unwrap().queues, 1);
}

#[test]
fn a_queue_is_told_of_by_its_number() {
    let config = registers();
    let notify = registers();
    notify.write(0, u16::MAX);
    let configuration = Configuration::read(&config, 0).unwrap();
    let queue = RequestQueue::new(5, (Queue::new(8).unwrap(), 8, notify), 6, true, Pending::played());
    let disk = VirtioBlock::new("test".into(), vec![Arc::new(queue.unwrap())], &configuration);
    submit(&disk, &request(Operation::Read));
    assert_eq!(notify.read::<u16>(0), 5);
}
