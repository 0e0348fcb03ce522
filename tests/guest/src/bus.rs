//! A guest's end of VMBus, as far as opening a channel: messages are posted and waited for, nothing is interrupted.
//!
//! Messages are written and read by the offsets of their fields: what they are is in crate `vmbus`, which has a heap.
#![expect(unsafe_code, reason = "pages that are shared with the host")]

use core::hint::spin_loop;

use hv_abi::hypercall::CallCode;
use hv_abi::message::{HvMessageType, MESSAGE_FLAG_PENDING};
use hv_abi::msr::{HV_X64_MSR_EOM, HV_X64_MSR_SCONTROL, HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP, HV_X64_MSR_SINT0};
use hv_abi::synic::{HvPageMsr, HvSint, VMBUS_SINT};

use crate::bench::wrmsr;
use crate::hypercall;

/// Where its pages are: messages, event flags, and what each virtual processor posts.
const MESSAGES: usize = 0x90_0000;
const FLAGS: usize = 0x90_1000;
const POSTED: usize = 0x90_2000;
/// The connection for messages, and version 4.1, under which a channel can be moved and nobody says that it was.
const CONNECTION: u32 = 1;
const VERSION: u32 = 4 << 16 | 1;
const FAST: u64 = 1 << 16;

/// Types of messages.
mod kind {
    pub const OFFER_CHANNEL: u32 = 1;
    pub const REQUEST_OFFERS: u32 = 3;
    pub const ALL_OFFERS_DELIVERED: u32 = 4;
    pub const OPEN_CHANNEL: u32 = 5;
    pub const OPEN_CHANNEL_RESULT: u32 = 6;
    pub const GPADL_HEADER: u32 = 8;
    pub const GPADL_CREATED: u32 = 10;
    pub const INITIATE_CONTACT: u32 = 14;
    pub const VERSION_RESPONSE: u32 = 15;
    pub const MODIFY_CHANNEL: u32 = 22;
}

/// The class of the SCSI controller, as words.
const SCSI: [u32; 4] = [0xba61_63d9, 0x4d29_04a1, 0xe272_05b6, 0x7fdc_b1ff];
/// Words of an offer: where the class is, the channel's number, and the connection for its signals.
const OFFER_CLASS: usize = 2;
const OFFER_RELID: usize = 46;
const OFFER_CONNECTION: usize = 48;

/// The word at `address`, which the host shares.
pub fn word(address: usize) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut(address)
}

/// Reads a word of a page that is shared.
pub fn load(address: usize) -> u32 {
    // SAFETY: RAM that nothing of this program is in.
    unsafe { word(address).read_volatile() }
}

/// Writes one.
pub fn store(address: usize, value: u32) {
    // SAFETY: as above.
    unsafe { word(address).write_volatile(value) };
}

/// An offered channel.
#[derive(Clone, Copy)]
pub struct Channel {
    relid: u32,
    connection: u32,
}

/// Makes contact; the channel of the SCSI controller.
pub fn connect() -> Option<Channel> {
    let place =
        |address: usize| u64::from(HvPageMsr::new().with_enable(true).with_gpa_page(address as u64 >> 12));
    wrmsr(HV_X64_MSR_SIMP, place(MESSAGES));
    wrmsr(HV_X64_MSR_SIEFP, place(FLAGS));
    wrmsr(HV_X64_MSR_SINT0 + VMBUS_SINT, HvSint::RESET.with_vector(0x40).into());
    wrmsr(HV_X64_MSR_SCONTROL, 1);
    post(0, &[kind::INITIATE_CONTACT, 0, VERSION, 0, 0, 0, 0, 0, 0, 0]);
    let response = wait();
    if response[0] != kind::VERSION_RESPONSE || response[2] & 0xFF != 1 {
        return None;
    }
    post(0, &[kind::REQUEST_OFFERS, 0]);
    let mut channel = None;
    loop {
        let message = wait();
        match message[0] {
            kind::OFFER_CHANNEL if message[OFFER_CLASS..OFFER_CLASS + 4] == SCSI => {
                channel =
                    Some(Channel { relid: message[OFFER_RELID], connection: message[OFFER_CONNECTION] });
            }
            kind::ALL_OFFERS_DELIVERED => return channel,
            _ => {}
        }
    }
}

impl Channel {
    /// As one number, for another virtual processor.
    pub fn into_bits(self) -> u64 {
        u64::from(self.connection) << 32 | u64::from(self.relid)
    }

    /// The channel that this number is.
    pub fn from_bits(bits: u64) -> Self {
        Self { relid: bits as u32, connection: (bits >> 32) as u32 }
    }

    /// Opens it with rings in `pages` pages from `address` on, those to the guest from page `downstream` on. At most 26 pages.
    pub fn open(&self, address: usize, pages: u32, downstream: u32) -> bool {
        let mut header = [0; 60];
        let ranges = (8 + 8 * pages) | 1 << 16;
        header[..7].copy_from_slice(&[kind::GPADL_HEADER, 0, self.relid, 1, ranges, pages << 12, 0]);
        for page in 0..pages as usize {
            header[7 + 2 * page] = (address >> 12) as u32 + page as u32;
        }
        post(0, header.get(..7 + 2 * pages as usize).unwrap_or_default());
        let created = wait();
        if (created[0], created[4]) != (kind::GPADL_CREATED, 0) {
            return false;
        }
        let mut open = [0; 37];
        open[..7].copy_from_slice(&[kind::OPEN_CHANNEL, 0, self.relid, 1, 1, 0, downstream]);
        post(0, &open);
        let opened = wait();
        (opened[0], opened[4]) == (kind::OPEN_CHANNEL_RESULT, 0)
    }

    /// Has its signals sent to another virtual processor; virtual processor `by` asks. Whether the host takes that now.
    pub fn modify(self, by: usize, target_vp: u32) -> bool {
        try_post(by, &[kind::MODIFY_CHANNEL, 0, self.relid, target_vp])
    }

    /// Tells the host to look into the ring.
    pub fn signal(self) {
        let call = FAST | u64::from(CallCode::SIGNAL_EVENT.0);
        hypercall::call(call.into(), u64::from(self.connection), 0);
    }
}

/// Posts a message, from virtual processor `by`, until it is taken.
fn post(by: usize, words: &[u32]) {
    while !try_post(by, words) {
        spin_loop();
    }
}

fn try_post(by: usize, words: &[u32]) -> bool {
    let at = POSTED + by * 0x1000;
    let header = [CONNECTION, 0, HvMessageType::VMBUS.0, words.len() as u32 * 4];
    for (index, word) in header.iter().chain(words).enumerate() {
        store(at + 4 * index, *word);
    }
    hypercall::call(u64::from(CallCode::POST_MESSAGE.0).into(), at as u64, 0) & 0xFFFF == 0
}

/// Waits for the next message; its words.
fn wait() -> [u32; 60] {
    let slot = MESSAGES + VMBUS_SINT as usize * 256;
    while load(slot) == HvMessageType::NONE.0 {
        spin_loop();
    }
    let words = core::array::from_fn(|index| load(slot + 16 + 4 * index));
    let flags = (load(slot + 4) >> 8) as u8;
    store(slot, HvMessageType::NONE.0);
    // More may have come since the flags were read: an EOM too many does no harm.
    if flags & MESSAGE_FLAG_PENDING != 0 || load(slot + 4) >> 8 & u32::from(MESSAGE_FLAG_PENDING) != 0 {
        wrmsr(HV_X64_MSR_EOM, 0);
    }
    words
}
