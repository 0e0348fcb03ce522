//! What a bus does by itself: takes completions for each channel, tries again what found no room, asks and tells on time.
//! Each task goes when the bus is gone.

use super::bus::Bus;
use super::notify::Notify;
use super::port::Port;
use crate::arch::processor::number;
use crate::executor::share::{Account, Group};
use crate::{executor, time};
use alloc::sync::{Arc, Weak};

/// How long a message that found no room waits, in 100 ns.
const RETRY: u64 = time::MILLISECOND;
/// Between two questions whether the guest is alive, in 100 ns.
const HEARTBEAT: u64 = 2 * time::SECOND;
/// Every how many heartbeats the guest is told the time.
const TIME_SYNC: u32 = 3;

/// Starts them. What the guest makes more of than is done at once counts for `group`.
pub(super) fn start(bus: &Arc<Bus>, group: Arc<Group>) {
    serve(bus, bus.storage());
    let account = Arc::new(Account::of(group, number()));
    executor::spawn_program(account, left(Arc::downgrade(bus), Arc::clone(&bus.left)));
    executor::spawn(sub_channels(Arc::downgrade(bus), Arc::clone(&bus.sub_channels.made)));
    executor::spawn(retry(Arc::downgrade(bus), Arc::clone(&bus.blocked)));
    executor::spawn(tick(Arc::downgrade(bus)));
}

/// Starts the task that goes on with a channel of the controller: where its disks' interrupts come.
fn serve(bus: &Arc<Bus>, port: &Arc<Port>) {
    let served = completions(Arc::downgrade(bus), Arc::downgrade(port), Arc::clone(&port.due));
    executor::spawn_where_woken(served);
}

async fn completions(bus: Weak<Bus>, port: Weak<Port>, due: Arc<Notify>) {
    loop {
        due.wait().await;
        let Some((bus, port)) = bus.upgrade().zip(port.upgrade()) else { return };
        bus.run(&port);
        if due.is_raised() {
            executor::yield_now().await;
        }
    }
}

/// Goes on with the channels that have more in their rings than is taken at once.
async fn left(bus: Weak<Bus>, left: Arc<Notify>) {
    loop {
        left.wait().await;
        let Some(bus) = bus.upgrade() else { return };
        bus.go_on();
        drop(bus);
        executor::yield_now().await;
    }
}

/// Gives each new sub-channel its task.
async fn sub_channels(bus: Weak<Bus>, made: Arc<Notify>) {
    loop {
        made.wait().await;
        let Some(bus) = bus.upgrade() else { return };
        let new = bus.sub_channels.take_new();
        new.iter().filter_map(Weak::upgrade).for_each(|port| serve(&bus, &port));
    }
}

async fn retry(bus: Weak<Bus>, blocked: Arc<Notify>) {
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
