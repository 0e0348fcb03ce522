//! How a root VP hears of what arrives for it.
//!
//! While its processor dispatches a guest nothing is raised: the dispatch ends instead. Neither may get lost: whoever
//! brings something notes that, then looks whether a guest is dispatched; a dispatch that ends says so, then looks at what
//! was noted (loom tests it).

use crate::atomic::{AtomicBool, AtomicU32, Ordering};

/// What has arrived for one root VP.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Not 0: a message or an event flag arrived while this processor dispatches a guest; the vector of its SINT.
    vector: AtomicU32,
    /// This processor dispatches a guest.
    dispatching: AtomicBool,
}

/// How it hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// The dispatch ends, and says so.
    DispatchEnds,
    /// By an interrupt.
    Interrupt,
    /// Another has seen to it.
    Other,
}

impl Arrivals {
    /// Something has arrived at a SINT with this vector.
    pub fn bring(&self, vector: u8) -> Way {
        // Exchanges of one word have one order: this comes before that of the dispatch that ends, or sees what was
        // written before it.
        self.vector.swap(vector.into(), Ordering::AcqRel);
        if self.dispatching.load(Ordering::Acquire) {
            Way::DispatchEnds
        } else if self.vector.swap(0, Ordering::AcqRel) != 0 {
            Way::Interrupt
        } else {
            Way::Other
        }
    }
    /// A dispatch begins.
    pub fn begin_dispatch(&self) {
        self.dispatching.store(true, Ordering::Release);
    }
    /// Whether there is something that it is to end for.
    #[inline]
    pub fn is_any(&self) -> bool {
        self.vector.load(Ordering::Relaxed) != 0
    }
    /// It ends: the vector of what has arrived, or 0.
    pub fn end_dispatch(&self) -> u8 {
        self.dispatching.store(false, Ordering::Release);
        self.vector.swap(0, Ordering::AcqRel) as u8
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;

    #[test]
    fn what_arrives_is_heard_of_once() {
        loom::model(|| {
            let arrivals = Arc::new(Arrivals::default());
            let its = arrivals.clone();
            let bringer = loom::thread::spawn(move || its.bring(0x41));
            arrivals.begin_dispatch();
            let end = arrivals.end_dispatch();
            let way = bringer.join().unwrap();
            assert_eq!(u32::from(end != 0) + u32::from(way == Way::Interrupt), 1, "{end:#x} {way:?}");
        });
    }

    #[test]
    fn of_two_that_arrive_neither_gets_lost() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let arrivals = Arc::new(Arrivals::default());
            let bringers = [0x41, 0x42].map(|vector| {
                let its = arrivals.clone();
                loom::thread::spawn(move || its.bring(vector))
            });
            arrivals.begin_dispatch();
            let end = arrivals.end_dispatch();
            let ways = bringers.map(|bringer| bringer.join().unwrap());
            // One vector serves all SINTs: see `raise_root`.
            assert!(end != 0 || ways.contains(&Way::Interrupt), "{ways:?}");
            assert!(!arrivals.is_any(), "nothing is left");
        });
    }
}
