//! Small copies between the controller and the guest's buffer, and cutting that buffer.

use alloc::vec::Vec;
use hv_abi::Gpa;
use vmbus::memory::PAGE_SIZE;
use vmbus::{GuestRange, Memory, Page};

/// Cuts `ranges`, which hold at least `length` bytes, to exactly that many.
pub fn cut(ranges: &mut Vec<GuestRange>, length: u64) {
    let mut left = length;
    let mut keep = 0;
    for range in ranges.iter_mut() {
        if left == 0 {
            break;
        }
        range.length = u64::from(range.length).min(left) as u32;
        left -= u64::from(range.length);
        keep += 1;
    }
    ranges.truncate(keep);
}

/// Copies `bytes` to the start of the buffer; `false` when a page is not RAM or the buffer is too short.
pub fn write<M: Memory>(memory: &M, ranges: &[GuestRange], bytes: &[u8]) -> bool {
    each(memory, ranges, bytes.len(), |page, offset, from, length| {
        page.write(offset, bytes.get(from..from + length).unwrap_or(&[]));
    })
}

/// Fills `bytes` from the start of the buffer; `false` when a page is not RAM or the buffer is too short.
pub fn read<M: Memory>(memory: &M, ranges: &[GuestRange], bytes: &mut [u8]) -> bool {
    each(memory, ranges, bytes.len(), |page, offset, from, length| {
        page.read(offset, bytes.get_mut(from..from + length).unwrap_or_default());
    })
}

/// Calls `copy` for each piece of a page in the first `length` bytes: offset in the page, offset in all, length.
fn each<M: Memory>(
    memory: &M,
    ranges: &[GuestRange],
    length: usize,
    mut copy: impl FnMut(&M::Page, usize, usize, usize),
) -> bool {
    let mut done = 0;
    for range in ranges {
        let mut address = range.address;
        let mut left = (range.length as usize).min(length - done);
        while left != 0 {
            let Some((gpa, page)) = Gpa::new(address).and_then(|gpa| Some((gpa, memory.page(gpa.page())?)))
            else {
                return false;
            };
            let now = left.min(PAGE_SIZE - gpa.offset());
            copy(&page, gpa.offset(), done, now);
            done += now;
            left -= now;
            address += now as u64;
        }
    }
    done == length
}
