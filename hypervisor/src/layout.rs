//! Where things are in the regions of the hypervisor's address space ([`crate::machine::Machine::map_object`]).
//!
//! Region 0 holds the partitions; region 1 + slot what belongs to the partition in that slot.

use crate::object::Place;

/// Partitions at one time, the root among them.
pub const MAX_PARTITIONS: u32 = 256;
/// VPs of a partition.
pub const MAX_VPS: u32 = 240;
/// Pages between two partitions' objects.
const PARTITION_STRIDE: u32 = 4;
/// Pages of a VP: its object first, then the single pages below.
const VP_STRIDE: u32 = 32;
/// Pages that a VP's object may take.
pub const VP_OBJECT_PAGES: u32 = 16;
/// Pages that a VP's inbox may take.
pub const INBOX_PAGES: u32 = 8;
/// Pages of the table of ports.
pub const PORT_TABLE_PAGES: u32 = 256;
/// Ports in each of them.
pub const PORTS_PER_PAGE: u32 = 32;
/// Pages of a table of connections.
pub const CONNECTION_TABLE_PAGES: u32 = 16;

/// First index behind the VPs.
const TABLES: u32 = MAX_VPS * VP_STRIDE;
/// The statistics page.
const STATS: u32 = TABLES + PORT_TABLE_PAGES + CONNECTION_TABLE_PAGES;
/// First index of the ports' queues.
const QUEUES: u32 = STATS + 1;

/// The region of what belongs to the partition in `slot`.
pub const fn region_of(slot: u32) -> u32 {
    1_u32.wrapping_add(slot)
}

/// The object of the partition in `slot`.
pub const fn partition(slot: u32) -> Place {
    Place { region: 0, index: slot.wrapping_mul(PARTITION_STRIDE) }
}

/// The statistics page of the partition in `slot`.
pub const fn partition_stats(slot: u32) -> Place {
    Place { region: region_of(slot), index: STATS }
}

/// The object of a VP.
pub const fn vp(slot: u32, vp: u32) -> Place {
    Place { region: region_of(slot), index: vp.wrapping_mul(VP_STRIDE) }
}

/// Single pages of a VP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VpPage {
    /// The backend's control page.
    Control = 16,
    /// The register page.
    Registers = 17,
    /// The intercept-message page.
    Message = 18,
    /// Statistics.
    Stats = 19,
    /// The inbox: [`INBOX_PAGES`] of them.
    Inbox = 20,
    /// What the processor keeps of the local APIC, where it does.
    Apic = 28,
}

/// A single page of a VP.
pub const fn vp_page(slot: u32, vp: u32, page: VpPage) -> Place {
    Place { region: region_of(slot), index: vp.wrapping_mul(VP_STRIDE).wrapping_add(page as u32) }
}

/// A page of the table of ports.
pub const fn port_table(slot: u32, page: u32) -> Place {
    Place { region: region_of(slot), index: TABLES.wrapping_add(page) }
}

/// A page of the table of connections.
pub const fn connection_table(slot: u32, page: u32) -> Place {
    Place { region: region_of(slot), index: (TABLES + PORT_TABLE_PAGES).wrapping_add(page) }
}

/// The queue of a message port, by the port's place in its table.
pub const fn queue(slot: u32, port: u32) -> Place {
    Place { region: region_of(slot), index: QUEUES.wrapping_add(port) }
}

/// The pages through which the hypervisor writes to a root VP: its message page and its event-flags page.
pub const fn root_page(vp: u32, event_flags: bool) -> Place {
    Place { region: region_of(ROOT_SLOT), index: vp.wrapping_mul(VP_STRIDE).wrapping_add(event_flags as u32) }
}

/// A place under each table of the address space that is made at the start and stays, so that what the root deposits
/// for partitions, ports and their queues comes back when these are gone.
pub fn permanent_tables() -> impl Iterator<Item = Place> {
    let ends = [
        (0, MAX_PARTITIONS * PARTITION_STRIDE),
        (region_of(ROOT_SLOT), QUEUES + PORT_TABLE_PAGES * PORTS_PER_PAGE),
    ];
    ends.into_iter().flat_map(|(region, end)| (0..end).step_by(512).map(move |index| Place { region, index }))
}

/// The slot of the root partition.
pub const ROOT_SLOT: u32 = 1;

const _: () = assert!(
    VpPage::Inbox as u32 + INBOX_PAGES <= VpPage::Apic as u32 && VP_OBJECT_PAGES <= VpPage::Control as u32
);
const _: () = assert!(MAX_PARTITIONS < crate::machine::REGIONS);

#[cfg(all(test, not(loom)))]
mod tests {
    use handoff::MAX_PROCESSORS;
    use handoff::space::{Stack, window};

    use super::*;

    #[test]
    fn a_window_shares_no_set_of_a_small_tlb_with_objects_and_stacks() {
        let set = |page: u64| page % 64;
        let window = set(window(MAX_PROCESSORS - 1) >> 12);
        for index in [0, 1] {
            let used = vp_page(1, index, VpPage::Inbox).index + INBOX_PAGES;
            assert!((vp(1, index).index..used).all(|page| set(page.into()) != window), "VP {index}");
        }
        assert!(Stack::ALL.iter().all(|stack| set((stack.top(0) - 4096) >> 12) != window));
    }
}
