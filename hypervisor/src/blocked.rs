//! Whether the root waits for a VP to be woken, because a dispatch of it ended with BLOCKED.
//!
//! Who puts something into the VP's inbox does so first and looks here then; a dispatch that ends says here that it is
//! blocked, then looks into the inbox for the last time. So one of the two sees the other, and one alone acts on it (loom
//! tests both).

use crate::apic::Posted;
use crate::atomic::{AtomicBool, Ordering};

/// The root waits.
#[derive(Debug)]
pub struct Blocked(AtomicBool);

impl Blocked {
    /// It does not.
    pub fn new() -> Self {
        Self(AtomicBool::new(false))
    }
    /// The VP is dispatched.
    pub fn clear(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
    /// A dispatch ends so. False: what came meanwhile is for the one who ends it, and the VP can go on.
    pub fn set(&self, posted: &Posted) -> bool {
        self.0.store(true, Ordering::SeqCst);
        !(posted.must_run() && self.take())
    }
    /// Something was put in: whether the root is to be told, by the one who asks.
    #[inline]
    pub fn take(&self) -> bool {
        // Most are not blocked: looking costs less than an exchange.
        self.0.load(Ordering::SeqCst) && self.0.swap(false, Ordering::SeqCst)
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::apic::hazard;
    use loom::sync::Arc;

    #[test]
    fn what_comes_while_it_becomes_blocked_is_seen_by_one() {
        let posts: [fn(&Posted); 4] = [
            |posted| posted.raise(hazard::NMI),
            |posted| assert!(posted.request(0x41, false)),
            Posted::init,
            |posted| posted.startup(0x9A),
        ];
        for post in posts {
            loom::model(move || {
                let (blocked, posted) = (Arc::new(Blocked::new()), Arc::new(Posted::new()));
                posted.set_accepts(true);
                let (its, inbox) = (blocked.clone(), posted.clone());
                let poster = loom::thread::spawn(move || {
                    post(&inbox);
                    its.take()
                });
                let waits = blocked.set(&posted);
                let told = poster.join().unwrap();
                assert_eq!(told, waits, "a root that waits is told, and no other");
            });
        }
    }
}
