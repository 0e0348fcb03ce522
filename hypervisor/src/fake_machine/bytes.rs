//! Hypercalls out of any bytes: what fuzzers and the property test feed.
//!
//! 34 bytes of head (who calls and how, RCX, RDX, R8, length of input), then the input; and so on to the end.

extern crate std;

use core::cell::RefCell;
use std::thread_local;

use hv_abi::vp::DispatchVp;
use hv_abi::{HvPartitionId, HvVpIndex, SpaPage};
use paging::{InputPage, Progress};

use super::caller::INPUT;
use super::{OWN, Root, guest_call};
use crate::pool::Tables;
use crate::start::ROOT_RAM;

/// Pages of the guest that calls, too.
const DEPOSIT: usize = 120;

thread_local! {
    static MACHINE: RefCell<Option<(Root, HvPartitionId)>> = const { RefCell::new(None) };
}

/// Makes the calls that `bytes` say, on a machine that is kept from one time to the next, then checks that nobody sees
/// a page of the hypervisor.
pub fn feed(bytes: &[u8]) {
    MACHINE.with_borrow_mut(|machine| {
        let (root, guest) = machine.get_or_insert_with(|| {
            let mut root = Root::new();
            let guest = root.guest(DEPOSIT);
            super::create_vp(&mut root, guest);
            (root, guest)
        });
        let mut rest = bytes;
        while let Some((head, tail)) = rest.split_first_chunk::<34>() {
            let length = usize::from(u16::from_le_bytes([head[32], head[33]]) % 2048).min(tail.len());
            let (input, next) = tail.split_at(length);
            one(root, *guest, head, input);
            rest = next;
        }
        check(root, *guest);
        // The calls may have ended the guest, and used up or given away the root's RAM.
        if root.hv.partitions.get(root.hv.machine, *guest).is_none() || root.free.len() < 400 {
            *machine = None;
        }
    });
}

fn one(root: &mut Root, guest: HvPartitionId, head: &[u8; 34], input: &[u8]) {
    let word = |at: usize| head.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b));
    // Ids are hard to guess: "1" and "2" and what a bit says stand for those that there are.
    let id = |value: u64| if value == 2 { guest.0 } else { value };
    let (who, rcx, rdx, r8) = (head[0], word(8), word(16), word(24));
    let page = root.hv.machine.memory.physical(SpaPage::new(INPUT).unwrap_or_default());
    page.zero();
    page.copy_in(0, input);
    if who & 4 != 0 {
        page.write(0, id(page.read(0)));
    }
    let at = if who & 8 != 0 { INPUT << 12 } else { id(rdx) };
    let out = if who & 16 != 0 { (INPUT + 1) << 12 } else { r8 };
    match who & 3 {
        0 => {
            if let Some(guest) = root.hv.partitions.get(root.hv.machine, guest) {
                guest_call(root.hv, &guest, rcx, at, out);
            }
        }
        1 => {
            let call = DispatchVp::from_registers(id(rdx), r8);
            let call = DispatchVp { vp_index: HvVpIndex(call.vp_index.0 % 2), flags: call.flags & 1, ..call };
            // Whatever it answers.
            let _ = root.hv.dispatch(0, &mut root.backend, call);
        }
        _ => {
            root.registers(rcx, at, out);
        }
    }
}

/// Nobody sees a page of the hypervisor's, and a guest only what is the root's own RAM and counted.
///
/// # Panics
/// When somebody does.
pub fn check(root: &Root, guest: HvPartitionId) {
    let hv = root.hv;
    let root_table = hv.root.memory.lock().table.expect("the root has a table");
    for page in OWN {
        let input = InputPage::new(page).expect("small");
        let seen = root_table.walk(&mut Tables(hv.machine), input);
        // Pages out of the pools that the root may see are not executable.
        assert!(seen.is_none_or(|leaf| leaf.attributes != ROOT_RAM), "the root has {page:#x}");
    }
    let Some(guest) = hv.partitions.get(hv.machine, guest) else { return };
    let Some(table) = guest.memory.lock().table else { return };
    let progress = table.visit_some(&mut Tables(hv.machine), InputPage::default(), 200_000, |_, leaf| {
        let input = InputPage::new(leaf.page.get()).expect("RAM");
        let own = root_table.walk(&mut Tables(hv.machine), input).expect("the root's own");
        assert_eq!(own.attributes, ROOT_RAM, "page {:#x}", leaf.page);
        assert!(own.share_count > 0, "page {:#x}", leaf.page);
    });
    assert_eq!(progress, Progress::Done);
}
