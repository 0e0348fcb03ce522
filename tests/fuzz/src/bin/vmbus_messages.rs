//! Messages of a guest in any order and of any content, with services that confirm when the input says.
#![no_main]

use fuzz::channel::{Input, PAGES};
use libfuzzer_sys::fuzz_target;
use vmbus::fake::FakeMemory;
use vmbus::guid::{Guid, class};
use vmbus::host::{Effect, Host, Limits, Relid};
use vmbus::protocol::{MESSAGE_MAX, Offer};

fuzz_target!(|input: &[u8]| {
    let limits = Limits { gpadl_pages: 64, gpadls: 8, sub_channels: 3, effects: 32 };
    let mut host = Host::new(FakeMemory::new(PAGES), 2, limits);
    let mut relids: Vec<Relid> =
        (0..3).filter_map(|instance| host.offer(Offer::new(class::SCSI, Guid([instance; 16]), 1))).collect();
    let mut running: Vec<Relid> = vec![];
    let mut stopping: Vec<Relid> = vec![];
    let mut input = Input(input);
    while !input.is_empty() {
        match input.byte() {
            0 => host.reset(),
            1 => relids
                .extend(host.offer(Offer::new(class::SCSI, Guid([9; 16]), 1)).filter(|_| relids.len() < 8)),
            2 => relids.pop().into_iter().for_each(|relid| host.rescind(relid)),
            3 => stopping.pop().into_iter().for_each(|relid| host.closed(relid)),
            4 => {
                // As its service would: for a channel that is open, or is not, or is a sub-channel itself.
                let which = usize::from(input.byte()).checked_rem(relids.len());
                let of = which.and_then(|index| relids.get(index)).copied();
                let new = of.filter(|_| relids.len() < 12).and_then(|of| host.offer_sub_channel(of));
                assert!(new.is_none_or(|new| !running.contains(&new) && !stopping.contains(&new)));
                relids.extend(new);
            }
            5..=40 => {
                while let Some(effect) = host.next_effect() {
                    match effect {
                        Effect::Post(message) => {
                            assert!(message.vp().0 < 2 && (8..=MESSAGE_MAX).contains(&message.bytes().len()));
                        }
                        Effect::Open(opening) => {
                            assert!(!running.contains(&opening.relid) && !stopping.contains(&opening.relid));
                            host.opened(opening.relid, true);
                            running.push(opening.relid);
                        }
                        Effect::Close(relid) => {
                            assert!(running.contains(&relid));
                            running.retain(|&other| other != relid);
                            stopping.push(relid);
                        }
                        Effect::Retarget(_, vp) => assert!(vp.0 < 2),
                        Effect::Released(relid) => {
                            assert!(!running.contains(&relid) && !stopping.contains(&relid));
                            relids.retain(|&other| other != relid);
                        }
                    }
                }
            }
            kind => {
                // The type in one byte, so that the fuzzer need not guess seven zeros.
                let mut message = vec![kind % 26, 0, 0, 0, 0, 0, 0, 0];
                let length = usize::from(input.byte());
                message.extend(input.bytes(length));
                let _ = host.message(&message);
            }
        }
    }
});
