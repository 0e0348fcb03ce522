//! Who may map what: deposits, guest memory, share counts.

extern crate std;
use std::vec::Vec;

use hv_abi::memory::{DepositMemory, MapGpaFlags, UnmapGpaPages};
use hv_abi::vp::{MapVpStatePage, MapVpStatePageOutput, VpStatePageType};
use hv_abi::{CallCode, GpaPage, HvPartitionId, HvStatus, HvVpIndex, SpaPage};
use paging::InputPage;
use zerocopy::IntoBytes;

use super::{DEPOSIT, create_vp, map};
use crate::fake_machine::{HOLE, OWN, RAM_PAGES, Root, not_started};
use crate::hypervisor::BootInfo;
use crate::pool::Tables;

fn deposit(root: &mut Root, to: HvPartitionId, page: u64) -> HvStatus {
    let header = DepositMemory { partition_id: to };
    root.reps(CallCode::DEPOSIT_MEMORY, header.as_bytes(), page.as_bytes(), 1).0.status()
}

fn unmap(root: &mut Root, from: HvPartitionId, gpa: u64, count: u16, flags: u32) -> (HvStatus, u16) {
    let header =
        UnmapGpaPages { target_partition_id: from, target_gpa_base: gpa, unmap_flags: flags, padding: 0 };
    let out = root.reps(CallCode::UNMAP_GPA_PAGES, header.as_bytes(), &[], count).0;
    (out.status(), out.reps_completed())
}

/// Does the root see a page?
fn root_sees(root: &Root, page: u64) -> bool {
    let table = root.hv.root.memory.lock().table.unwrap();
    table.walk(&mut Tables(root.hv.machine), InputPage::new(page).unwrap()).is_some()
}

#[test]
fn the_hypervisor_touches_no_device_for_the_root() {
    let root = Root::new();
    for page in [HOLE.start, RAM_PAGES + 1, OWN.start] {
        let page = GpaPage::new(page).unwrap();
        assert!(!root.hv.root.memory.is_writable(root.hv.machine, page));
        assert!(root.hv.root.memory.with_page(root.hv.machine, page, false, |_| ()).is_none());
    }
}

#[test]
fn the_root_sees_everything_but_the_hypervisor() {
    let root = Root::new();
    // `Root::new` has deposited the first of its free pages.
    let others = (0..1024).chain(root.free.iter().copied());
    for page in others.step_by(3).chain(OWN) {
        assert_eq!(root_sees(&root, page), !OWN.contains(&page), "page {page:#x}");
    }
}

#[test]
fn a_deposited_page_leaves_the_root_until_it_is_withdrawn() {
    let mut root = Root::new();
    let page = root.page();
    root.hv.machine.memory.physical(SpaPage::new(page).unwrap()).write(9, 0xDEAD);
    let generation = root.hv.root.memory.generation.get();
    let id = root.guest(10);
    assert_eq!(deposit(&mut root, id, page), HvStatus::SUCCESS);
    assert_ne!(root.hv.root.memory.generation.get(), generation, "translations are taken back");
    assert!(!root_sees(&root, page));
    assert_eq!(deposit(&mut root, id, page), HvStatus::OPERATION_DENIED);
    assert_eq!(root.end(id), 11);
    assert!(root_sees(&root, page));
    assert_eq!(root.hv.machine.memory.physical(SpaPage::new(page).unwrap()).read(9), 0, "zeroed");
}

#[test]
fn only_the_roots_own_free_ram_can_be_deposited() {
    let mut root = Root::new();
    let id = root.guest(20);
    for page in [OWN.start, HOLE.start, RAM_PAGES + 5, 1 << 27] {
        assert_eq!(deposit(&mut root, id, page), HvStatus::OPERATION_DENIED, "page {page:#x}");
    }
    assert_eq!(deposit(&mut root, id, 1 << 40), HvStatus::INVALID_PARAMETER);
    let page = root.page();
    assert_eq!(map(&mut root, id, 0, &[page], MapGpaFlags::RAM).status(), HvStatus::SUCCESS);
    assert_eq!(deposit(&mut root, id, page), HvStatus::OPERATION_DENIED, "mapped into a guest");
    assert_eq!(unmap(&mut root, id, 0, 1, 0), (HvStatus::SUCCESS, 1));
    assert_eq!(deposit(&mut root, id, page), HvStatus::SUCCESS);
    assert_eq!(root.end(id), 21);
}

#[test]
fn a_guest_never_gets_a_page_that_is_not_root_ram() {
    let mut root = Root::new();
    let id = root.guest(DEPOSIT);
    create_vp(&mut root, id, 0);
    let page_type = VpStatePageType::REGISTERS;
    let call = MapVpStatePage { partition_id: id, vp_index: HvVpIndex(0), page_type, ..Default::default() };
    let shown: MapVpStatePageOutput = root.call(CallCode::MAP_VP_STATE_PAGE, &call).unwrap();
    assert!(root_sees(&root, shown.gpa_page));
    for page in [OWN.start, HOLE.start, shown.gpa_page] {
        let out = map(&mut root, id, 0, &[page], MapGpaFlags::RAM);
        assert_eq!(out.status(), HvStatus::OPERATION_DENIED, "page {page:#x}");
        assert_eq!(deposit(&mut root, id, page), HvStatus::OPERATION_DENIED, "page {page:#x}");
    }
    // A large page with one of them inside.
    let flags = MapGpaFlags::RAM | MapGpaFlags::LARGE_PAGE;
    assert_eq!(map(&mut root, id, 0, &[0], flags).status(), HvStatus::OPERATION_DENIED);
    let large = shown.gpa_page & !511;
    assert_eq!(map(&mut root, id, 0, &[large], flags).status(), HvStatus::OPERATION_DENIED);
    assert_eq!(root.end(id), DEPOSIT);
    assert!(root_sees(&root, shown.gpa_page), "it is the root's again");
}

#[test]
fn large_pages_are_shared_and_split() {
    let mut root = Root::new();
    let id = root.guest(DEPOSIT);
    let flags = MapGpaFlags::RAM | MapGpaFlags::LARGE_PAGE;
    assert_eq!(map(&mut root, id, 512, &[4096, 4608], flags).status(), HvStatus::SUCCESS);
    assert_eq!(root.hv.partitions.get(root.hv.machine, id).unwrap().memory.lock().mapped, 1024);
    assert_eq!(deposit(&mut root, id, 4096 + 77), HvStatus::OPERATION_DENIED);
    assert_eq!(unmap(&mut root, id, 512 + 77, 1, 0), (HvStatus::SUCCESS, 1));
    assert_eq!(deposit(&mut root, id, 4096 + 77), HvStatus::SUCCESS);
    assert_eq!(deposit(&mut root, id, 4096 + 78), HvStatus::OPERATION_DENIED);
    // What is already split cannot be unmapped as one.
    let large = MapGpaFlags::LARGE_PAGE.bits();
    assert_eq!(unmap(&mut root, id, 512, 1, large), (HvStatus::OPERATION_DENIED, 0));
    assert_eq!(unmap(&mut root, id, 1024, 1, large), (HvStatus::SUCCESS, 1));
    assert_eq!(map(&mut root, id, 513, &[5120], flags).status(), HvStatus::INVALID_ALIGNMENT);
    assert_eq!(root.end(id), DEPOSIT + 1);
    root.free.retain(|page| *page != 4096 + 77);
    for page in [4096, 4096 + 78, 4608] {
        let other = root.guest(10);
        assert_eq!(deposit(&mut root, other, page), HvStatus::SUCCESS, "no share is left on {page:#x}");
        root.end(other);
    }
}

#[test]
fn ram_in_small_pages_can_be_mapped_as_a_large_one() {
    let mut root = Root::new();
    let id = root.guest(DEPOSIT);
    let other = root.guest(10);
    // What was deposited comes back as small pages, and so does RAM whose ranges begin anywhere.
    assert_eq!(deposit(&mut root, other, 4096 + 511), HvStatus::SUCCESS);
    let flags = MapGpaFlags::RAM | MapGpaFlags::LARGE_PAGE;
    assert_eq!(
        map(&mut root, id, 512, &[4096], flags).status(),
        HvStatus::OPERATION_DENIED,
        "not all the root's"
    );
    root.end(other);
    assert_eq!(map(&mut root, id, 512, &[4096], flags).status(), HvStatus::SUCCESS);
    assert_eq!(root.end(id), DEPOSIT);
}

#[test]
fn what_was_mapped_is_replaced_and_flushed() {
    let mut root = Root::new();
    let id = root.guest(DEPOSIT);
    let (a, b) = (root.page(), root.page());
    assert_eq!(map(&mut root, id, 5, &[a], MapGpaFlags::RAM).status(), HvStatus::SUCCESS);
    let generation = root.hv.partitions.get(root.hv.machine, id).unwrap().memory.generation.get();
    assert_eq!(map(&mut root, id, 5, &[b], MapGpaFlags::RAM).status(), HvStatus::SUCCESS);
    assert_ne!(root.hv.partitions.get(root.hv.machine, id).unwrap().memory.generation.get(), generation);
    assert_eq!(deposit(&mut root, id, b), HvStatus::OPERATION_DENIED);
    assert_eq!(deposit(&mut root, id, a), HvStatus::SUCCESS);
    root.end(id);
}

#[test]
fn a_call_stops_where_memory_ends_and_goes_on_after_a_deposit() {
    let mut root = Root::new();
    let id = root.guest(10);
    // Each page far from the others needs tables of its own.
    let mut missing = 0;
    for n in 0..8_u64 {
        let page = root.page();
        while map(&mut root, id, n << 27, &[page], MapGpaFlags::RAM).status() == HvStatus::INSUFFICIENT_MEMORY
        {
            root.deposit(id, 1).unwrap();
            missing += 1;
        }
    }
    assert!(missing > 0);
    assert_eq!(root.end(id), 10 + missing);
}

#[test]
fn long_calls_stop_and_say_how_far_they_came() {
    let mut root = Root::new();
    let id = root.guest(DEPOSIT);
    for chunk in 0..4 {
        let pages: Vec<u64> = (0..256).map(|_| root.page()).collect();
        assert_eq!(map(&mut root, id, chunk * 256, &pages, MapGpaFlags::RAM).status(), HvStatus::SUCCESS);
    }
    assert_eq!(unmap(&mut root, id, 0, 1024, 0), (HvStatus::TIME_OUT, 512));
    assert_eq!(unmap(&mut root, id, 512, 512, 0), (HvStatus::SUCCESS, 512));
    assert_eq!(unmap(&mut root, id, 0, 1, 0), (HvStatus::INVALID_PARAMETER, 0));
    assert_eq!(root.end(id), DEPOSIT);
}

#[test]
fn a_page_can_be_mapped_as_often_as_it_can_be_counted() {
    let mut root = Root::new();
    let id = root.guest(DEPOSIT);
    let page = root.page();
    let mut count = 0;
    let status = loop {
        let out = map(&mut root, id, count, &[page], MapGpaFlags::RAM);
        if out.status() != HvStatus::SUCCESS {
            break out.status();
        }
        count += 1;
    };
    assert_eq!((status, count), (HvStatus::OPERATION_DENIED, 127));
    assert_eq!(root.end(id), DEPOSIT);
    let other = root.guest(10);
    assert_eq!(deposit(&mut root, other, page), HvStatus::SUCCESS);
}

#[test]
fn nothing_of_the_hypervisors_is_far() {
    let page = |number| SpaPage::new(number).unwrap();
    // The loader takes the hypervisor's memory from the end of RAM: above what is the root's, here, and above 64 GiB.
    const OWN: u64 = 1 << 24;
    let hv = not_started();
    let boot = BootInfo {
        ram: &[(page(0), RAM_PAGES)],
        hypervisor: &[(page(OWN), 4096)],
        physical_bits: 40,
        gigabyte_pages: false,
        processors: 1,
        pages: &mut (256..512).map(page),
    };
    hv.start(boot).unwrap();
    for number in [OWN, OWN + 512, OWN + 4095] {
        assert!(!hv.map_far(number << 12), "{number:#x}");
    }
    assert!(hv.map_far((OWN + 4096) << 12), "a device");
}
