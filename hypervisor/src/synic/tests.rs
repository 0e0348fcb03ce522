//! The controller against a model of its queues, with a page of guest memory.

extern crate std;
use super::*;
use hv_abi::message::HvMessageType;
use proptest::prelude::*;
use std::boxed::Box;
use std::collections::VecDeque;
use std::vec::Vec;

/// Two pages: 1 for messages, 2 for flags.
struct Memory {
    messages: Box<Page>,
    flags: Box<Page>,
}

impl Memory {
    fn new() -> Self {
        Self { messages: Box::new(Page::zeroed()), flags: Box::new(Page::zeroed()) }
    }
    /// What the guest does with a full slot: copies the message, frees the slot; says whether EOM is due.
    fn take(&self, sint: usize) -> Option<(u32, u8, bool)> {
        let word = self.messages.read(sint * 32);
        if word as u32 == 0 {
            return None;
        }
        let payload = self.messages.read(sint * 32 + 2) as u8;
        // The guest exchanges the type only; the flag stays.
        let word = self.messages.word(sint * 32).unwrap();
        let old = word.fetch_and(!TYPE, core::sync::atomic::Ordering::AcqRel);
        Some((old as u32, payload, old & 1 << 40 != 0))
    }
}
const TYPE: u64 = 0xFFFF_FFFF;

impl GuestPages for Memory {
    fn with_guest_page<R>(&self, page: GpaPage, f: impl FnOnce(&Page) -> R) -> Option<R> {
        match page.get() {
            1 => Some(f(&self.messages)),
            2 => Some(f(&self.flags)),
            _ => None,
        }
    }
}

fn message(tag: u8) -> HvMessage {
    HvMessage::new(HvMessageType::VMBUS, 77, &[tag; 9])
}

fn on() -> (Synic, Memory) {
    let synic = Synic::new();
    synic.write(msr::HV_X64_MSR_SCONTROL, 1).unwrap();
    synic.write(msr::HV_X64_MSR_SIMP, 0x1001).unwrap();
    synic.write(msr::HV_X64_MSR_SIEFP, 0x2001).unwrap();
    synic.write(msr::HV_X64_MSR_SINT0 + 2, 0xF3).unwrap();
    (synic, Memory::new())
}

#[test]
fn off_masked_or_without_a_page_nothing_arrives() {
    let memory = Memory::new();
    let synic = Synic::new();
    let post = |synic: &Synic| synic.post_message(2, &message(1), &memory);
    assert_eq!(post(&synic), Err(HvStatus::INVALID_SYNIC_STATE));
    synic.write(msr::HV_X64_MSR_SCONTROL, 1).unwrap();
    assert_eq!(post(&synic), Err(HvStatus::INVALID_SYNIC_STATE));
    synic.write(msr::HV_X64_MSR_SIMP, 0x9001).unwrap();
    assert_eq!(post(&synic), Err(HvStatus::INVALID_SYNIC_STATE), "the page is not there");
    synic.write(msr::HV_X64_MSR_SIMP, u64::MAX).unwrap();
    assert_eq!(post(&synic), Err(HvStatus::INVALID_SYNIC_STATE), "nor can it be");
    synic.write(msr::HV_X64_MSR_SIMP, 0x1001).unwrap();
    assert_eq!(post(&synic), Ok(None), "masked: arrives without an interrupt");
    assert_eq!(synic.post_message(16, &message(1), &memory), Err(HvStatus::INVALID_PARAMETER));
    assert_eq!(synic.post_message(2, &HvMessage::EMPTY, &memory), Err(HvStatus::INVALID_PARAMETER));
    assert_eq!(synic.signal_event(2, 2048, &memory), Err(HvStatus::INVALID_PARAMETER));
    assert_eq!(synic.signal_event(2, 0, &memory), Err(HvStatus::INVALID_SYNIC_STATE));
}

#[test]
fn a_message_has_the_layout_of_the_specification() {
    let (synic, memory) = on();
    assert_eq!(synic.post_message(2, &message(0xAB), &memory), Ok(Some(0xF3)));
    let mut slot = [0u8; 256];
    memory.messages.copy_out(0x200, &mut slot);
    assert_eq!(&slot[..8], &[1, 0, 0, 0, 9, 0, 0, 0]);
    assert_eq!(slot[8..16], 77u64.to_le_bytes());
    assert_eq!(slot[16..25], [0xAB; 9]);
    assert_eq!(slot[25..], [0; 231]);
}

#[test]
fn events_assert_once() {
    let (synic, memory) = on();
    assert_eq!(synic.signal_event(2, 67, &memory), Ok((true, Some(0xF3))));
    assert_eq!(synic.signal_event(2, 67, &memory), Ok((false, None)));
    let mut flags = [0u8; 256];
    memory.flags.copy_out(0x200, &mut flags);
    assert_eq!(flags[8], 1 << 3);
    synic.write(msr::HV_X64_MSR_SINT0 + 2, 0x4_00F3).unwrap();
    assert_eq!(synic.signal_event(2, 1, &memory), Ok((true, None)), "polled");
}

#[test]
fn auto_eoi_follows_the_sints() {
    let (synic, _) = on();
    assert!(!synic.is_auto_eoi(0xF3) && synic.is_sint_vector(0xF3));
    synic.write(msr::HV_X64_MSR_SINT0 + 2, 0x2_00F3).unwrap();
    assert!(synic.is_auto_eoi(0xF3));
    synic.write(msr::HV_X64_MSR_SINT0 + 2, 0x1_0000).unwrap();
    assert!(!synic.is_auto_eoi(0xF3) && !synic.is_sint_vector(0xF3));
    assert_eq!(synic.write(msr::HV_X64_MSR_SINT0 + 3, 0xF), None, "no vector below 16");
    assert_eq!(synic.write(msr::HV_X64_MSR_SINT0 + 16, 0xF3), None);
}

#[test]
fn one_sint_does_not_take_all_buffers() {
    let (synic, memory) = on();
    let mut taken = 0;
    while synic.post_message(2, &message(0), &memory).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 1 + queue::SHARE, "the slot and its share");
    assert_eq!(synic.post_message(2, &message(0), &memory), Err(HvStatus::INSUFFICIENT_BUFFERS));
    assert_eq!(synic.post_message(3, &message(0), &memory), Ok(None));
    assert_eq!(synic.post_message(3, &message(0), &memory), Ok(None));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Post(u8),
    Take(u8),
}

proptest! {
    #[test]
    fn order_is_kept_and_no_message_is_lost(
        steps in proptest::collection::vec((any::<bool>(), 0u8..3).prop_map(|(post, sint)| {
            if post { Step::Post(sint) } else { Step::Take(sint) }
        }), 0..300)
    ) {
        let (synic, memory) = on();
        let mut model: Vec<VecDeque<u8>> = (0..3).map(|_| VecDeque::new()).collect();
        let mut tag = 0u8;
        for step in steps {
            match step {
                Step::Post(sint) => {
                    tag = tag.wrapping_add(1);
                    if synic.post_message(u32::from(sint), &message(tag), &memory).is_ok() {
                        model[usize::from(sint)].push_back(tag);
                    }
                }
                Step::Take(sint) => {
                    let got = memory.take(usize::from(sint));
                    let want = model[usize::from(sint)].pop_front();
                    prop_assert_eq!(got.map(|(_, tag, _)| tag), want);
                    if let Some((_, _, pending)) = got {
                        // Set without need when a message behind it was refused; never missing.
                        prop_assert!(pending || model[usize::from(sint)].is_empty());
                        if pending {
                            synic.end_of_message(&memory, |_| {});
                        }
                    }
                }
            }
        }
        let waiting = model.iter().any(|queue| queue.len() > 1);
        prop_assert_eq!(synic.is_waiting(), waiting);
    }

    #[test]
    fn any_bytes_in_the_guests_page_are_survived(words in proptest::collection::vec(any::<u64>(), 512)) {
        let (synic, memory) = on();
        for (index, word) in words.iter().enumerate() {
            memory.messages.write(index, *word);
        }
        for sint in 0..16 {
            let _ = synic.post_message(sint, &message(1), &memory);
            synic.end_of_message(&memory, |_| {});
        }
    }
}
