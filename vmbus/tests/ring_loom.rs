//! No wake-up is lost: every interleaving, and every reordering that the memory model allows, of a writer and a reader
//! that sleep when the ring says that they may.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p vmbus --test ring_loom`
#![cfg(loom)]

use hv_abi::GpaPage;
use loom::sync::atomic::{AtomicU32, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use vmbus::gpadl::{Assembly, Gpadl};
use vmbus::packet::Descriptor;
use vmbus::ring::{Full, Reader, Writer};
use vmbus::{Memory, Page};

/// Words of the header that the protocol uses: indices, mask, pending size.
const HEADER_WORDS: usize = 4;

/// A ring's pages: the header's words are shared state to loom. The data is not modelled (it is ordered by the indices,
/// which are): every packet there is the same, so that reading is possible.
#[derive(Clone)]
struct LoomMemory {
    words: Arc<[AtomicU32; HEADER_WORDS]>,
}

#[derive(Clone)]
struct LoomPage {
    words: Arc<[AtomicU32; HEADER_WORDS]>,
    is_header: bool,
}

impl Memory for LoomMemory {
    type Page = LoomPage;

    fn page(&self, page: GpaPage) -> Option<LoomPage> {
        Some(LoomPage { words: Arc::clone(&self.words), is_header: page.get() == 0 })
    }
}

impl Page for LoomPage {
    fn load(&self, offset: usize) -> u32 {
        assert!(self.is_header);
        self.words[offset / 4].load(Ordering::Acquire)
    }

    fn store(&self, offset: usize, value: u32) {
        assert!(self.is_header);
        self.words[offset / 4].store(value, Ordering::Release);
    }

    fn read(&self, _offset: usize, bytes: &mut [u8]) {
        let packet = packet();
        bytes.iter_mut().zip(packet).for_each(|(to, from)| *to = from);
    }

    fn write(&self, _offset: usize, _bytes: &[u8]) {}

    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// Bytes of payload: 24 + 2024 are half a page, so that the ring holds one packet and never two.
const PAYLOAD: usize = 2024;

/// The descriptor of every packet.
fn packet() -> [u8; 16] {
    let length8 = ((16 + PAYLOAD) / 8) as u64;
    let low = 6u64 | 2 << 16 | length8 << 32;
    (u128::from(low)).to_le_bytes()
}

/// A signal: set by one side, awaited by the other (an event flag and its interrupt).
#[derive(Clone)]
struct Signal(Arc<(Mutex<bool>, Condvar)>);

impl Signal {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(false), Condvar::new())))
    }

    fn set(&self) {
        *self.0.0.lock().expect("no panic") = true;
        self.0.1.notify_one();
    }

    /// Sleeps until it is set, and takes it.
    fn wait(&self) {
        let mut is_set = self.0.0.lock().expect("no panic");
        while !core::mem::take(&mut *is_set) {
            is_set = self.0.1.wait(is_set).expect("no panic");
        }
    }
}

fn ring() -> Gpadl<LoomPage> {
    let memory = LoomMemory { words: Arc::new(core::array::from_fn(|_| AtomicU32::new(0))) };
    let mut assembly = Assembly::new(2 * 4096, 0, 2).expect("two pages");
    assembly.add(&memory, &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]).expect("pages are there");
    assembly.finish()
}

/// The reader sleeps whenever the ring tells it to, and must get every packet. A lost wake-up is a deadlock, which loom
/// reports.
fn read_all(mut reader: Reader<LoomPage>, count: usize, wake: &Signal, peer: &Signal) {
    let mut read = 0;
    loop {
        reader.start().expect("not broken");
        while reader.next_packet().expect("not broken").is_some() {
            read += 1;
        }
        let drained = reader.finish().expect("not broken");
        if drained.signal {
            peer.set();
        }
        if read == count {
            return;
        }
        if !drained.more {
            wake.wait();
        }
    }
}

fn write_all(mut writer: Writer<LoomPage>, count: usize, wake: &Signal, peer: &Signal) {
    for id in 0..count as u64 {
        while let Err(full) = writer.push(&Descriptor::inband(id), &[], &[0; PAYLOAD]) {
            assert_eq!(full, Full::Wait);
            wake.wait();
        }
        if writer.publish() {
            peer.set();
        }
    }
}

fn check(count: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let gpadl = ring();
        let reader = Reader::new(&gpadl, 0, 2).expect("a ring");
        let writer = Writer::new(&gpadl, 0, 2).expect("a ring");
        let (data, room) = (Signal::new(), Signal::new());
        let (data2, room2) = (data.clone(), room.clone());
        let thread = thread::spawn(move || write_all(writer, count, &room2, &data2));
        read_all(reader, count, &data, &room);
        thread.join().expect("the writer ends");
    });
}

#[test]
fn loom_a_sleeping_reader_is_woken() {
    check(1);
}

#[test]
fn loom_a_waiting_writer_is_woken() {
    check(2);
}

#[test]
fn loom_both_are_woken_again_and_again() {
    check(3);
}
