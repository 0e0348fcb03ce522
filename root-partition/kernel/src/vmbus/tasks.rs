//! What a bus does by itself: takes completions, tries again what found no room, asks and tells on time. Each task goes
//! when the bus is gone.

use super::bus::Bus;
use crate::{executor, time};
use alloc::sync::{Arc, Weak};

/// How long a message that found no room waits, in 100 ns.
const RETRY: u64 = time::MILLISECOND;
/// Between two questions whether the guest is alive, in 100 ns.
const HEARTBEAT: u64 = 2 * time::SECOND;
/// Every how many heartbeats the guest is told the time.
const TIME_SYNC: u32 = 3;

/// Starts them.
pub(super) fn start(bus: &Arc<Bus>) {
    executor::spawn_where_woken(completions(Arc::downgrade(bus), Arc::clone(&bus.completed)));
    executor::spawn(retry(Arc::downgrade(bus), Arc::clone(&bus.blocked)));
    executor::spawn(tick(Arc::downgrade(bus)));
}

async fn completions(bus: Weak<Bus>, completed: Arc<super::notify::Notify>) {
    loop {
        completed.wait().await;
        let Some(bus) = bus.upgrade() else { return };
        bus.take_completions();
    }
}

async fn retry(bus: Weak<Bus>, blocked: Arc<super::notify::Notify>) {
    loop {
        blocked.wait().await;
        time::sleep(RETRY).await;
        let Some(bus) = bus.upgrade() else { return };
        bus.pump();
    }
}

async fn tick(bus: Weak<Bus>) {
    let mut beats = 0_u32;
    loop {
        time::sleep(HEARTBEAT).await;
        let Some(bus) = bus.upgrade().filter(|bus| !bus.is_stopped()) else { return };
        bus.beat();
        beats = beats.wrapping_add(1);
        if beats.is_multiple_of(TIME_SYNC) {
            bus.tell_time();
        }
    }
}
