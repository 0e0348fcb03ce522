//! Any hypercall with any input from any partition: a status, and no page of the hypervisor for anybody.

extern crate std;
use std::vec::Vec;

use hv_abi::hypercall::HypercallInput;
use hv_abi::{CallCode, HvPartitionId, SpaPage};
use proptest::prelude::*;

use super::{DEPOSIT, create_vp};
use crate::fake_machine::{OWN, Root, check, feed, guest_call};

/// Every code that there is, then some.
fn codes() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 0x40_u16..0x70, 2 => 0x90_u16..0x98, 3 => 0xC0_u16..0xC2, 2 => 0xE1_u16..0xE3, 1 => any::<u16>()]
}

/// Words that calls are made of: ids, pages, small numbers, anything.
fn words(id: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => Just(id),
        2 => Just(u64::MAX),
        2 => Just(1),
        4 => 0_u64..8,
        3 => 256_u64..4096,
        2 => (0_u64..4, 0_u64..4).prop_map(|(a, b)| a | b << 32),
        1 => any::<u64>(),
    ]
}

#[derive(Clone, Debug)]
struct Call {
    control: u64,
    input: Vec<u64>,
    by_guest: bool,
    memory: (u64, u64),
}

fn calls(id: u64) -> impl Strategy<Value = Call> {
    let control =
        (codes(), any::<bool>(), prop_oneof![3 => Just(0_u16), 2 => 0_u16..40, 1 => 0_u16..4096], 0_u16..3)
            .prop_map(|(code, fast, count, start)| {
                let word = HypercallInput::rep(CallCode(code), count, start).with_fast(fast && count == 0);
                u64::from(word)
            });
    let control = prop_oneof![9 => control, 1 => any::<u64>()];
    let address = prop_oneof![4 => Just(16_u64 << 12), 1 => Just(OWN.start << 12), 1 => any::<u64>(), 1 => Just(17 << 12 | 0xFF8)];
    let memory = (address.clone(), address);
    (control, prop::collection::vec(words(id), 1..64), any::<bool>(), memory)
        .prop_map(|(control, input, by_guest, memory)| Call { control, input, by_guest, memory })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_call_answers_and_no_page_is_exposed(calls in prop::collection::vec(calls(2 | 1 << 8), 1..200)) {
        let mut root = Root::new();
        let id = root.guest(DEPOSIT);
        assert_eq!(id.0, 2 | 1 << 8);
        create_vp(&mut root, id, 0);
        for call in calls {
            run(&mut root, id, &call);
        }
        check(&root, id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_calls(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        feed(&bytes);
    }
}

fn run(root: &mut Root, id: HvPartitionId, call: &Call) {
    use zerocopy::IntoBytes;
    let (rdx, r8) = call.memory;
    if call.by_guest {
        if let Some(guest) = root.hv.partitions.get(root.hv.machine, id) {
            let first = call.input.first().copied().unwrap_or(0);
            let rdx = if call.control & 1 << 16 != 0 { first } else { rdx };
            guest_call(root.hv, &guest, call.control, rdx, r8);
        }
    } else {
        root.hv.machine.memory.physical(SpaPage::new(16).unwrap()).copy_in(0, call.input.as_bytes());
        let (first, second) =
            (call.input.first().copied().unwrap_or(0), call.input.get(1).copied().unwrap_or(0));
        let fast = call.control & 1 << 16 != 0;
        let (rdx, r8) = if fast { (first, second) } else { (rdx, r8) };
        root.registers(call.control, rdx, r8);
    }
}

/// A call of the root as [`feed`] reads it; `2` names the guest.
fn fed(control: HypercallInput, input: &[u64]) -> Vec<u8> {
    let mut bytes = std::vec![0_u8; 34];
    bytes[0] = 0b1_1110;
    bytes[8..16].copy_from_slice(&u64::from(control).to_le_bytes());
    bytes[32..].copy_from_slice(&((input.len() * 8) as u16).to_le_bytes());
    bytes.extend(input.iter().flat_map(|word| word.to_le_bytes()));
    bytes
}

/// What the root gives away by itself while the guest is ended is not there for the next guest.
#[test]
fn a_guest_that_calls_have_ended_is_followed_by_one_on_another_machine() {
    let pages = 1208_u64..1408;
    let given: Vec<u64> = [HvPartitionId::SELF.0].into_iter().chain(pages).collect();
    let mut bytes = fed(HypercallInput::rep(CallCode::DEPOSIT_MEMORY, 200, 0), &given);
    for _ in 0..8 {
        bytes.extend(fed(HypercallInput::simple(CallCode::FINALIZE_PARTITION), &[2]));
    }
    for _ in 0..4 {
        bytes.extend(fed(HypercallInput::rep(CallCode::WITHDRAW_MEMORY, 256, 0), &[2, 0]));
    }
    bytes.extend(fed(HypercallInput::simple(CallCode::DELETE_PARTITION), &[2]));
    feed(&bytes);
    feed(&bytes);
}
