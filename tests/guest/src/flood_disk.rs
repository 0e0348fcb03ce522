//! A guest that would keep the host busy through its disk, as cheaply as it can: a ring that one store fills again, with
//! commands that want no answer, and a channel that is moved without end.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::bus::{self, Channel, load, store};
use crate::neighbour::{begin, start};
use crate::trap::attempt;
use crate::{hypercall, power_off, say};

/// Where the rings are: a page of indices and the pages of commands, then the same of answers, which nobody reads.
const RING: usize = 0x98_0000;
const DATA: usize = RING + 0x1000;
const DATA_PAGES: usize = 22;
const SIZE: usize = DATA_PAGES * 0x1000;
const UPSTREAM: usize = 1 + DATA_PAGES;
const PAGES: usize = UPSTREAM + 3;
/// Offset of the host's index in the page of indices; the guest's is at 0.
const READ_INDEX: usize = 4;
/// The page that is read to.
const BUFFER: u32 = 0xA0_0000 >> 12;

/// Bytes of a packet with a command alone, and of one with a buffer.
const COMMAND: usize = 88;
const READ: usize = 112;
/// So many times so many commands and one that reads, and the rest commands: that is the whole ring.
const GROUPS: usize = 11;
const IN_GROUP: usize = 91;
const REST: usize = 9;
const _: () = assert!(GROUPS * (IN_GROUP * COMMAND + READ) + REST * COMMAND == SIZE);
/// Every how many of those that read are refused at once, for a buffer that no device reaches.
const REFUSED: usize = 4;

/// Operations of the driver's handshake: begin, version, properties, end; and the version.
const HANDSHAKE: [(u32, u32); 4] = [(7, 0), (9, 0x0602), (10, 0), (8, 0)];
const EXECUTE_SRB: u32 = 3;

/// For the other virtual processor.
static CHANNEL: AtomicU64 = AtomicU64::new(0);

/// Does so, with a disk and two virtual processors.
pub fn run() -> ! {
    let is_open = |channel: &Channel| channel.open(RING, PAGES as u32, UPSTREAM as u32);
    let faulted = attempt(hypercall::enable, &mut []).is_some();
    let Some(channel) = (!faulted).then(bus::connect).flatten().filter(is_open) else {
        say!("NO DISK");
        power_off();
    };
    shake_hands(channel);
    let last = fill();
    CHANNEL.store(channel.into_bits(), Ordering::SeqCst);
    start(2, mover);
    say!("FLOODING");
    loop {
        // What the host has taken is there again, and it is told so once in a while.
        for _ in 0..10_000 {
            let is_at_begin = load(RING + READ_INDEX) == 0;
            store(RING, if is_at_begin { last } else { 0 });
        }
        channel.signal();
    }
}

extern "C" fn mover() -> ! {
    let id = begin();
    let channel = Channel::from_bits(CHANNEL.load(Ordering::SeqCst));
    loop {
        (0..2).for_each(|vp| _ = channel.modify(id, vp));
    }
}

/// Does the driver's handshake, and has the ring begin anew. What is answered is not looked at.
fn shake_hands(channel: Channel) {
    let packets = HANDSHAKE.into_iter().zip((0..).step_by(COMMAND));
    packets.for_each(|((operation, version), at)| put_command(at, operation, version));
    let end = HANDSHAKE.len() * COMMAND;
    // A packet that says nothing, to the end of the ring.
    let length = ((SIZE - end) / 8 - 1) as u32;
    put(end, &[2 << 16, length, 0, 0]);
    // Read to the end, the ring begins anew.
    for until in [end as u32, 0] {
        store(RING, until);
        channel.signal();
        while load(RING + READ_INDEX) != until {
            spin_loop();
        }
    }
}

/// Fills the ring; where the last packet begins.
fn fill() -> u32 {
    let mut at = 0;
    for group in 0..GROUPS {
        for _ in 0..IN_GROUP {
            put_command(at, EXECUTE_SRB, 52);
            at += COMMAND;
        }
        put_read(at, u32::from(group % REFUSED == 0));
        at += READ;
    }
    (0..REST).for_each(|index| put_command(at + index * COMMAND, EXECUTE_SRB, 52));
    (SIZE - COMMAND) as u32
}

/// Puts words into the ring at a byte.
fn put(at: usize, words: &[u32]) {
    words.iter().enumerate().for_each(|(index, &word)| store(DATA + at + 4 * index, word));
}

/// Puts a packet without a buffer, which wants no answer: lengths in units of 8 bytes, the operation, what its fourth word
/// says, and a CDB of zeros, which tests whether the unit is ready.
fn put_command(at: usize, operation: u32, fourth: u32) {
    const INBAND: u32 = 6;
    let mut words = [0; COMMAND / 4];
    words[..9].copy_from_slice(&[INBAND | 2 << 16, 10, 0, 0, operation, 0, 0, fourth, 0]);
    words[9] = 6;
    put(at, &words);
}

/// Puts one that reads the first block of the disk to an offset of the buffer.
fn put_read(at: usize, offset: u32) {
    const GPA_DIRECT: u32 = 9;
    const BLOCK: u32 = 512;
    let mut words = [0; READ / 4];
    words[..10].copy_from_slice(&[GPA_DIRECT | 5 << 16, 13, 0, 0, 0, 1, BLOCK, offset, BUFFER, 0]);
    let (cdb_length, to_guest, read_10, blocks) = (10, 1 << 16, 0x28, 1);
    let packet = [EXECUTE_SRB, 0, 0, 52, 0, cdb_length | to_guest, BLOCK, read_10, 0, blocks];
    words[10..20].copy_from_slice(&packet);
    put(at, &words);
}
