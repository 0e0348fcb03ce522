//! What a bus does by itself: takes completions for each channel, tries again what found no room, asks and tells on time.
//! Each task goes when the bus is gone.

use super::bus::Bus;
use super::notify::Notify;
use super::port::Port;
use crate::arch::processor::number;
use crate::executor::share::{Account, Group};
use crate::{executor, time};
use alloc::sync::{Arc, Weak};
use vsp::storage::Cause;

/// How long a message that found no room waits, in 100 ns.
const RETRY: u64 = time::MILLISECOND;
/// Between two questions whether the guest is alive, in 100 ns.
const HEARTBEAT: u64 = 2 * time::SECOND;
/// Every how many heartbeats the guest is told the time.
const TIME_SYNC: u32 = 3;

/// Starts them. What the guest makes more of than is done at once counts for `group`.
pub(super) fn start(bus: &Arc<Bus>, group: Arc<Group>) {
    serve(bus, bus.storage(), &group);
    let account = Arc::new(Account::of(Arc::clone(&group), number()));
    executor::spawn_program(account, left(Arc::downgrade(bus), Arc::clone(&bus.left)));
    executor::spawn(sub_channels(Arc::downgrade(bus), Arc::clone(&bus.sub_channels.made), group));
    executor::spawn(retry(Arc::downgrade(bus), Arc::clone(&bus.blocked)));
    executor::spawn(tick(Arc::downgrade(bus)));
}

/// Starts the task that answers what the disks have done for a channel of the controller: where their interrupts come.
fn serve(bus: &Arc<Bus>, port: &Arc<Port>, group: &Arc<Group>) {
    let (bus, port, due) = (Arc::downgrade(bus), Arc::downgrade(port), Arc::clone(&port.due));
    executor::spawn_where_woken(completions(bus, port, due, Arc::clone(group)));
}

/// Nobody waits for a share meanwhile, but the VM has had the time.
async fn completions(bus: Weak<Bus>, port: Weak<Port>, due: Arc<Notify>, group: Arc<Group>) {
    loop {
        due.wait().await;
        let Some((bus, port)) = bus.upgrade().zip(port.upgrade()) else { return };
        let start = time::now();
        bus.run(&port, Cause::Host);
        group.add(time::now().saturating_sub(start));
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
async fn sub_channels(bus: Weak<Bus>, made: Arc<Notify>, group: Arc<Group>) {
    loop {
        made.wait().await;
        let Some(bus) = bus.upgrade() else { return };
        let new = bus.sub_channels.take_new();
        new.iter().filter_map(Weak::upgrade).for_each(|port| serve(&bus, &port, &group));
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
