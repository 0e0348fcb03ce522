//! For tests: a guest and the hypervisor below it, played by the test.

use super::bus::Bus;
use super::ram::{GuestRam, Locate, RamPage};
use super::wire::{NoRoom, Wire};
use crate::block::dma::DmaBuffer;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use hv_abi::HvVpIndex;
use spin::Mutex;
use syscall::Error;
use vmbus::Channel;
use vmbus::gpadl::Assembly;
use vmbus::protocol::{GpadlHeader, Header, InitiateContact, MessageType, OpenChannel, Version};
use zerocopy::{Immutable, IntoBytes};

/// RAM of a VM that begins at guest-physical address 0.
pub struct Ram(DmaBuffer);

impl Ram {
    pub fn new(pages: usize) -> Self {
        Self(DmaBuffer::allocate(pages * 4096).unwrap())
    }
}

impl Locate for Ram {
    fn locate(&self, gpa: u64) -> Option<(u64, u64)> {
        let left = (self.0.length() as u64).checked_sub(gpa).filter(|&left| left != 0)?;
        Some((self.0.address() + gpa, left))
    }
}

/// What the guest was told.
#[derive(Default)]
pub struct PlayedWire {
    pub posts: Mutex<Vec<Vec<u8>>>,
    pub signals: Mutex<Vec<(u32, u16)>>,
    pub connected: Mutex<Vec<u32>>,
    /// How many more messages find room.
    pub room: AtomicUsize,
    /// How many more connections there can be.
    pub connections: AtomicUsize,
}

impl Wire for PlayedWire {
    fn post(&self, _vp: HvVpIndex, payload: &[u8]) -> Result<(), NoRoom> {
        let take = |room: usize| room.checked_sub(1);
        self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).map_err(|_| NoRoom)?;
        self.posts.lock().push(payload.to_vec());
        Ok(())
    }
    fn signal(&self, vp: HvVpIndex, flag: u16) {
        self.signals.lock().push((vp.0, flag));
    }
    fn connect(&self, relid: u32) -> Result<(), Error> {
        let take = |left: usize| left.checked_sub(1);
        let left = self.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        left.map_err(|_| Error::OutOfMemory)?;
        self.connected.lock().push(relid);
        Ok(())
    }
    fn disconnect(&self, relid: u32) {
        self.connected.lock().retain(|&other| other != relid);
    }
    fn reference_time(&self) -> u64 {
        77
    }
}

/// A guest.
pub struct Guest {
    pub bus: Arc<Bus>,
    pub wire: Arc<PlayedWire>,
    pub ram: GuestRam,
}

/// Pages of each ring, its header included.
pub const RING_PAGES: u64 = 12;

impl Guest {
    /// With two virtual processors.
    pub fn new() -> Self {
        Self::with_vps(2)
    }

    pub fn with_vps(vps: u32) -> Self {
        let [room, connections] = [AtomicUsize::new(usize::MAX), AtomicUsize::new(usize::MAX)];
        let wire = Arc::new(PlayedWire { room, connections, ..PlayedWire::default() });
        let ram = GuestRam::new(Arc::new(Ram::new(256)));
        let bus = Bus::new(Arc::clone(&wire) as Arc<dyn Wire>, ram.clone(), vps, || 1234).unwrap();
        Self { bus, wire, ram }
    }

    pub fn post(&self, message: &(impl IntoBytes + Immutable)) {
        self.bus.message(message.as_bytes());
    }

    /// The messages that came, by type.
    pub fn posts(&self) -> Vec<(u32, Vec<u8>)> {
        let posts = core::mem::take(&mut *self.wire.posts.lock());
        posts.into_iter().map(|post| (u32::from_le_bytes(*post.first_chunk().unwrap()), post)).collect()
    }

    pub fn contact(&self) {
        self.post(&InitiateContact {
            header: Header::new(MessageType::InitiateContact),
            version: Version::V5_3.0,
            target_vp: 0,
            sint_or_interrupt_page: 2,
            monitor_pages: [0; 2],
        });
        self.post(&Header::new(MessageType::RequestOffers));
    }

    /// Opens channel `relid` with rings in the pages from `first` on.
    pub fn open(&self, relid: u32, first: u64) -> Channel<RamPage> {
        self.open_for(relid, first, 1)
    }

    /// The same; its signals shall come to `target_vp`. The VM has had its turn since.
    pub fn open_for(&self, relid: u32, first: u64, target_vp: u32) -> Channel<RamPage> {
        let channel = self.share(relid, first);
        self.open_shared(relid, first, target_vp);
        self.bus.go_on();
        channel
    }

    /// Shares the rings of channel `relid`, which are in the pages from `first` on.
    pub fn share(&self, relid: u32, first: u64) -> Channel<RamPage> {
        let pages: Vec<u8> = (first..first + 2 * RING_PAGES).flat_map(u64::to_le_bytes).collect();
        let byte_count = 2 * RING_PAGES as u32 * 4096;
        let header = GpadlHeader {
            header: Header::new(MessageType::GpadlHeader),
            child_relid: relid,
            gpadl: first as u32,
            range_buffer_length: 0,
            range_count: 1,
            byte_count,
            byte_offset: 0,
        };
        self.bus.message(&[header.as_bytes(), &pages].concat());
        let mut assembly = Assembly::new(byte_count, 0, 64).unwrap();
        assert_eq!(assembly.add(&self.ram, &pages), Ok(true));
        Channel::guest(&assembly.finish(), RING_PAGES as u32).unwrap()
    }

    /// Opens channel `relid` with the rings that it has shared.
    pub fn open_shared(&self, relid: u32, first: u64, target_vp: u32) {
        self.post(&OpenChannel {
            header: Header::new(MessageType::OpenChannel),
            child_relid: relid,
            open_id: 5,
            ring_buffer_gpadl: first as u32,
            target_vp,
            downstream_offset: RING_PAGES as u32,
            user_data: [0; 120],
        });
    }
}
