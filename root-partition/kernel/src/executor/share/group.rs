//! Who has a share of the processors.

use super::meter::Meter;
use super::{GRANULARITY, LAG, SLICE, WEIGHT, virtual_time};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use syscall::ProcessorSet;

/// The shortest time for which it is worth while to run somebody who has a limit, in 100 ns.
const LEAST: u64 = 10_000;
/// About how often who has a limit runs, in 100 ns.
const PERIOD: u64 = 200_000;

/// What a group is to get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shares {
    /// In proportion to which processors are shared where they are short.
    pub weight: u32,
    /// What it gets in any case, in percent of one processor.
    pub reserve: u32,
    /// What it gets at most, in percent of one processor; `None`: no limit.
    pub limit: Option<u32>,
    /// The processors that its members may run on.
    pub affinity: ProcessorSet,
}

impl Shares {
    /// Weight alone.
    #[must_use]
    pub const fn of_weight(weight: u32) -> Self {
        Self { weight, reserve: 0, limit: None, affinity: ProcessorSet::ALL }
    }
}

/// A group. Any processor may charge it at any time; one program changes what it is to get.
///
/// That is changed field by field: who charges meanwhile goes by old and new for this one slice, and by all new from the next.
#[derive(Debug)]
pub struct Group {
    weight: AtomicU32,
    /// Percent of a processor; 0: none.
    reserve: AtomicU32,
    /// Percent of a processor; 0: none.
    limit: AtomicU32,
    /// Words of a [`ProcessorSet`], each right by itself.
    affinity: [AtomicU64; ProcessorSet::WORDS],
    /// Whether these are not all.
    tied: AtomicBool,
    /// The virtual time of a slice.
    slice: AtomicU64,
    /// How many members can use a processor at the same time.
    width: u32,
    /// Whether there is a reserve or a limit.
    metered: AtomicBool,
    /// Virtual time that it has had, but for the slices that its members are in.
    had: AtomicU64,
    reserve_meter: Meter,
    limit_meter: Meter,
    /// What programs have run of it, in 100 ns.
    worked: AtomicU64,
}

impl Group {
    /// One that has had nothing so far; `width`: how many of its members can run at the same time.
    #[must_use]
    pub fn new(shares: Shares, width: u32) -> Self {
        let group = Self {
            weight: AtomicU32::new(WEIGHT),
            reserve: AtomicU32::new(0),
            limit: AtomicU32::new(0),
            affinity: [const { AtomicU64::new(0) }; ProcessorSet::WORDS],
            tied: AtomicBool::new(false),
            slice: AtomicU64::new(0),
            width: width.max(1),
            metered: AtomicBool::new(false),
            had: AtomicU64::new(0),
            reserve_meter: Meter::default(),
            limit_meter: Meter::default(),
            worked: AtomicU64::new(0),
        };
        group.set(shares);
        group
    }

    /// Changes what it is to get: at the next charge, the next wait and the end of each slice.
    pub fn set(&self, shares: Shares) {
        let limit = shares.limit.unwrap_or(0);
        if self.limit.swap(limit, Ordering::Relaxed) != limit {
            self.limit_meter.reset();
        }
        if self.reserve.swap(shares.reserve, Ordering::Relaxed) != shares.reserve {
            self.reserve_meter.reset();
        }
        self.weight.store(shares.weight.max(1), Ordering::Relaxed);
        self.slice.store(virtual_time(SLICE, shares.weight), Ordering::Relaxed);
        for (word, new) in self.affinity.iter().zip(shares.affinity.words()) {
            word.store(new, Ordering::Relaxed);
        }
        self.tied.store(shares.affinity != ProcessorSet::ALL, Ordering::Relaxed);
        self.metered.store(limit != 0 || shares.reserve != 0, Ordering::Relaxed);
    }

    /// Virtual time that it has had, but for the slices that its members are in.
    #[must_use]
    #[inline]
    pub fn had(&self) -> u64 {
        self.had.load(Ordering::Relaxed)
    }

    /// The virtual time of `time`.
    #[inline]
    pub(super) fn virtual_time(&self, time: u64) -> u64 {
        virtual_time(time, self.weight.load(Ordering::Relaxed))
    }

    /// A member's slice of `time` is over; what it has had with that.
    #[inline]
    pub(crate) fn add(&self, time: u64) -> u64 {
        let more = self.virtual_time(time);
        self.had.fetch_add(more, Ordering::Relaxed).saturating_add(more)
    }

    /// It is no further behind than that.
    #[inline]
    pub(super) fn raise(&self, floor: u64) {
        if self.had() < floor {
            self.had.fetch_max(floor, Ordering::Relaxed);
        }
    }

    /// It is no further ahead than that.
    #[inline]
    pub(super) fn lower(&self, ceiling: u64) {
        if self.had() > ceiling {
            self.had.fetch_min(ceiling, Ordering::Relaxed);
        }
    }

    /// Whether it has a reserve.
    #[must_use]
    #[inline]
    pub fn is_reserved(&self) -> bool {
        self.reserve.load(Ordering::Relaxed) != 0
    }

    /// A program of it ran for `time`.
    pub fn worked(&self, time: u64) {
        self.worked.fetch_add(time, Ordering::Relaxed);
    }

    /// What its programs have run, in 100 ns.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.worked.load(Ordering::Relaxed)
    }

    /// Whether its members may run on `processor`.
    #[must_use]
    #[inline]
    pub fn allows(&self, processor: u32) -> bool {
        let word = self.affinity.get((processor / u64::BITS) as usize);
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (processor % u64::BITS) & 1 != 0)
    }

    /// Whether its members may not run everywhere.
    #[inline]
    pub(super) fn is_tied(&self) -> bool {
        self.tied.load(Ordering::Relaxed)
    }

    /// The processors that its members may run on.
    #[must_use]
    #[inline]
    pub fn affinity(&self) -> ProcessorSet {
        ProcessorSet::from_words(self.affinity.each_ref().map(|word| word.load(Ordering::Relaxed)))
    }

    /// A virtual processor ran for `ran` until `now`: counts for limit and reserve.
    #[inline]
    pub(super) fn meter(&self, now: u64, ran: u64) {
        if self.metered.load(Ordering::Relaxed) {
            self.meter_slowly(now, ran);
        }
    }

    #[cold]
    fn meter_slowly(&self, now: u64, ran: u64) {
        let limit = u64::from(self.limit.load(Ordering::Relaxed));
        if limit != 0 {
            self.limit_meter.charge(now, ran, limit, u64::MAX);
        }
        let reserve = u64::from(self.reserve.load(Ordering::Relaxed));
        // Beyond its reserve it runs by its weight; that does not take its reserve away for long.
        if let Some(debt) = (2 * SLICE * u64::from(self.width) * 100).checked_div(reserve) {
            self.reserve_meter.charge(now, ran, reserve, debt);
        }
    }

    /// Until when it must not run because of its limit; past: it may.
    #[must_use]
    #[inline]
    pub fn limited_until(&self) -> u64 {
        if self.limit.load(Ordering::Relaxed) == 0 { 0 } else { self.limit_meter.due() }
    }

    /// How long a member may run at a time because of the limit.
    #[must_use]
    #[inline]
    pub fn longest(&self) -> u64 {
        let limit = u64::from(self.limit.load(Ordering::Relaxed));
        if limit == 0 {
            return SLICE;
        }
        (PERIOD * limit / (100 * u64::from(self.width))).clamp(LEAST, SLICE)
    }

    /// From when on it has had less than its reserve; `u64::MAX`: it has none.
    #[must_use]
    #[inline]
    pub fn reserved_from(&self) -> u64 {
        if self.is_reserved() { self.reserve_meter.due() } else { u64::MAX }
    }

    /// The virtual time of a whole slice.
    #[must_use]
    #[inline]
    pub fn slice(&self) -> u64 {
        self.slice.load(Ordering::Relaxed)
    }

    /// The virtual time for which a member runs at least before another is preferred.
    #[inline]
    pub(super) fn granularity(&self) -> u64 {
        self.slice() / (SLICE / GRANULARITY)
    }

    /// How far behind the others it can be, and one of its members behind itself.
    #[inline]
    pub(super) fn lag(&self) -> u64 {
        LAG * self.slice()
    }
}
