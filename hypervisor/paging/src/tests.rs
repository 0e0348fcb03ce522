//! The table against a model, write by write.

extern crate std;
use std::collections::BTreeMap;
use std::vec::Vec;

use hv_abi::SpaPage;
use proptest::prelude::*;

use crate::fake::{Frames, Memory};
use crate::*;

fn page(n: u64) -> SpaPage {
    SpaPage::new(n).unwrap()
}
fn input(n: u64) -> InputPage {
    InputPage::new(n).unwrap()
}
const RW: Attributes = Attributes::WRITE;
const RX: Attributes = Attributes::EXECUTE;

/// What each of [`PROBES`] maps to.
type Model = BTreeMap<u64, (u64, u8)>;

#[derive(Clone, Copy, Debug)]
enum Op {
    Map(u64, u64, PageSize, Attributes),
    Unmap(u64, PageSize),
    Share(u64, PageSize),
    Unshare(u64, PageSize),
}

/// A small arena that spans two 1 GiB entries, so that operations meet.
fn arena() -> impl Strategy<Value = u64> {
    prop_oneof![0..6_u64, 510..516_u64, 1020..1030_u64, (1_u64 << 18) - 3..(1 << 18) + 3]
}
fn size() -> impl Strategy<Value = PageSize> {
    prop_oneof![4 => Just(PageSize::Size4K), 3 => Just(PageSize::Size2M), 1 => Just(PageSize::Size1G)]
}
fn op() -> impl Strategy<Value = Op> {
    let align = |n: u64, s: PageSize| n & !(s.pages() - 1);
    let attributes = prop_oneof![Just(RW), Just(RX), Just(Attributes::empty())];
    prop_oneof![
        4 => (arena(), arena(), size(), attributes)
            .prop_map(move |(i, p, s, a)| Op::Map(align(i, s), align(p, s), s, a)),
        3 => (arena(), size()).prop_map(move |(i, s)| Op::Unmap(align(i, s), s)),
        1 => (arena(), size()).prop_map(move |(i, s)| Op::Share(align(i, s), s)),
        1 => (arena(), size()).prop_map(move |(i, s)| Op::Unshare(align(i, s), s)),
    ]
}

/// The input pages that a test looks at: the ends of what the arena can touch.
const PROBES: [u64; 26] = [
    0, 1, 3, 5, 6, 509, 510, 511, 512, 513, 515, 516, 1019, 1022, 1023, 1024, 1029, 1030, 0x3_FDFF, 0x3_FFFD,
    0x3_FFFF, 0x4_0000, 0x4_0002, 0x4_01FF, 0x7_FFFF, 0x8_0000,
];

fn translation<F: EntryFormat>(t: &PageTable<F>, mem: &mut Memory, n: u64) -> Option<(u64, u8)> {
    t.translate(mem, input(n)).map(|(p, a)| (p.get(), a.bits()))
}

/// Replays the writes of one operation one by one on `before`: each probe must translate as before or as after.
fn check_each_write<F: EntryFormat>(t: &PageTable<F>, before: &Memory, after: &mut Memory) {
    let mut step = before.clone();
    let old: Vec<_> = PROBES.iter().map(|n| translation(t, &mut step, *n)).collect();
    let new: Vec<_> = PROBES.iter().map(|n| translation(t, after, *n)).collect();
    for (table, index, entry) in after.writes.clone() {
        step.write(table, index, entry);
        for (i, probe) in PROBES.iter().enumerate() {
            let now = translation(t, &mut step, *probe);
            assert!(now == old[i] || now == new[i], "page {probe:#x} shows {now:?}");
        }
    }
}

fn apply_model(model: &mut Model, op: Op) {
    let within = |i: u64, s: PageSize| PROBES.into_iter().filter(move |n| (i..i + s.pages()).contains(n));
    match op {
        Op::Map(i, p, s, a) => model.extend(within(i, s).map(|n| (n, (p + n - i, a.bits())))),
        Op::Unmap(i, s) => model.retain(|n, _| !within(i, s).any(|m| m == *n)),
        Op::Share(..) | Op::Unshare(..) => {}
    }
}

fn run<F: EntryFormat>(ops: &[Op], limit: usize) {
    let mut mem = Memory::default();
    let mut frames = Frames::new(limit);
    let t = PageTable::<F>::new(&mut frames).unwrap();
    let mut model = Model::new();
    for op in ops {
        let mut after = mem.clone();
        after.writes.clear();
        let done = match *op {
            Op::Map(i, p, s, a) => t.map(&mut after, &mut frames, input(i), page(p), s, a).map(|_| ()),
            Op::Unmap(i, s) => t.unmap(&mut after, &mut frames, input(i), s).map(|_| ()),
            Op::Share(i, s) => t.share(&mut after, &mut frames, input(i), s),
            Op::Unshare(i, s) => t.unshare(&mut after, &mut frames, input(i), s),
        };
        check_each_write(&t, &mem, &mut after);
        if done.is_ok() {
            apply_model(&mut model, *op);
        }
        mem = after;
        for n in PROBES {
            assert_eq!(translation(&t, &mut mem, n), model.get(&n).copied(), "page {n:#x} after {op:?}");
        }
    }
    let mut from = InputPage::default();
    while let Progress::More(next) = t.clear_some(&mut mem, &mut frames, from, 700, |_, _, _| ()) {
        from = next;
    }
    assert_eq!(frames.out.len(), 1, "only the root is left");
    assert!(PROBES.iter().all(|n| translation(&t, &mut mem, *n).is_none()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn npt_is_the_model(ops in prop::collection::vec(op(), 1..24)) { run::<Npt>(&ops, usize::MAX); }
    #[test]
    fn ept_is_the_model(ops in prop::collection::vec(op(), 1..24)) { run::<Ept>(&ops, usize::MAX); }
    #[test]
    fn running_out_of_frames_changes_nothing(ops in prop::collection::vec(op(), 1..24), limit in 1..6_usize) {
        run::<Host>(&ops, limit);
    }
}

#[test]
fn an_entry_has_the_bits_of_its_format() {
    let p = page(0x1234);
    let all = RW | RX;
    assert_eq!(Npt::leaf(p, PageSize::Size4K, all), 0x0123_4067);
    assert_eq!(Npt::leaf(page(0x200), PageSize::Size2M, RW), 0x8000_0000_0020_00E7);
    assert_eq!(Host::leaf(p, PageSize::Size4K, RX | Attributes::GLOBAL), 0x0123_4161);
    assert_eq!(Ept::leaf(p, PageSize::Size4K, all), 0x0123_4037);
    assert_eq!(Ept::leaf(page(0x200), PageSize::Size2M, Attributes::UNCACHED), 0x0020_0081);
    let device = Attributes::WRITE | Attributes::DEVICE;
    assert_eq!(Ept::leaf(page(0x200), PageSize::Size2M, device), 0x0020_0083, "MTRRs do not count");
    assert_eq!(Npt::leaf(p, PageSize::Size4K, device), Npt::leaf(p, PageSize::Size4K, Attributes::WRITE));
    assert_eq!(Ept::table(p), 0x0123_4007);
}

#[test]
fn a_split_keeps_the_share_count_and_a_large_unshare_takes_from_each() {
    let (mut mem, mut frames) = (Memory::default(), Frames::new(usize::MAX));
    let t = PageTable::<Npt>::new(&mut frames).unwrap();
    t.map(&mut mem, &mut frames, input(512), page(512), PageSize::Size2M, RW).unwrap();
    t.share(&mut mem, &mut frames, input(512), PageSize::Size2M).unwrap();
    t.share(&mut mem, &mut frames, input(515), PageSize::Size4K).unwrap();
    assert_eq!(t.walk(&mut mem, input(515)).unwrap().share_count, 2);
    assert_eq!(t.walk(&mut mem, input(514)).unwrap().share_count, 1);
    t.unshare(&mut mem, &mut frames, input(512), PageSize::Size2M).unwrap();
    assert_eq!(t.walk(&mut mem, input(515)).unwrap().share_count, 1);
    assert_eq!(t.walk(&mut mem, input(514)).unwrap().share_count, 0);
    // One page of the 2 MiB is not shared any more: refused as a whole, and nothing is counted.
    assert_eq!(t.unshare(&mut mem, &mut frames, input(512), PageSize::Size2M), Err(Error::NotMapped));
    assert_eq!(t.walk(&mut mem, input(515)).unwrap().share_count, 1);
}

#[test]
fn the_share_count_saturates() {
    let (mut mem, mut frames) = (Memory::default(), Frames::new(usize::MAX));
    let t = PageTable::<Npt>::new(&mut frames).unwrap();
    t.map(&mut mem, &mut frames, input(1), page(1), PageSize::Size4K, RW).unwrap();
    for _ in 0..127 {
        t.share(&mut mem, &mut frames, input(1), PageSize::Size4K).unwrap();
    }
    assert_eq!(t.share(&mut mem, &mut frames, input(1), PageSize::Size4K), Err(Error::Saturated));
    assert_eq!(t.walk(&mut mem, input(1)).unwrap().share_count, 127);
    assert_eq!(t.translate(&mut mem, input(1)), Some((page(1), RW)));
}

#[test]
fn a_clearing_step_is_bounded() {
    let (mut mem, mut frames) = (Memory::default(), Frames::new(usize::MAX));
    let t = PageTable::<Npt>::new(&mut frames).unwrap();
    for n in 0..1000 {
        t.map(&mut mem, &mut frames, input(n * 7), page(n), PageSize::Size4K, RW).unwrap();
    }
    let (mut from, mut steps, mut seen) = (InputPage::default(), 0, 0);
    loop {
        let mut now = 0;
        let progress = t.clear_some(&mut mem, &mut frames, from, 64, |_, _, _| now += 1);
        assert!(now <= 64);
        (seen, steps) = (seen + now, steps + 1);
        match progress {
            Progress::More(next) => from = next,
            Progress::Done => break,
        }
    }
    assert_eq!(seen, 1000);
    assert!(steps > 10);
    assert_eq!(frames.out.len(), 1);
}
