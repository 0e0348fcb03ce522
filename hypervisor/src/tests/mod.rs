//! Tests over the machine in memory: every call, and what must always hold.

mod dispatch;
mod lifecycle;
mod memory;
mod processors;
mod random;
mod registers;
mod send;

extern crate std;

use hv_abi::{CallCode, HvPartitionId, HvVpIndex};
use zerocopy::IntoBytes;

use crate::fake_machine::Root;
use hv_abi::hypercall::HypercallOutput;
use hv_abi::memory::{MapGpaFlags, MapGpaPages};
use hv_abi::vp::CreateVp;

/// Pages that a guest with a few VPs and some memory needs.
const DEPOSIT: usize = 120;

fn create_vp(root: &mut Root, partition_id: HvPartitionId, index: u32) {
    let call = CreateVp { partition_id, vp_index: HvVpIndex(index), ..CreateVp::default() };
    root.call::<()>(CallCode::CREATE_VP, &call).unwrap();
}

fn map(root: &mut Root, to: HvPartitionId, gpa: u64, pages: &[u64], flags: MapGpaFlags) -> HypercallOutput {
    let header =
        MapGpaPages { target_partition_id: to, target_gpa_base: gpa, map_flags: flags.bits(), padding: 0 };
    let count = u16::try_from(pages.len()).unwrap();
    root.reps(CallCode::MAP_GPA_PAGES, header.as_bytes(), pages.as_bytes(), count).0
}
