//! Looks after a controller while it has commands, and resets it when one is not answered.

use super::controller::Controller;
use super::queue::IoQueue;
use crate::drivers::watch::{Watched, until_late};
use crate::pci::MasterSwitch;
use crate::pci::StartError;
use crate::time;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll};

/// How often to look, in 100 ns.
const PERIOD: u64 = time::SECOND;

/// A queue pair as the controller knows it.
pub struct Pair {
    /// The pair.
    pub queue: Arc<IoQueue>,
    /// Its identifier.
    pub id: u16,
    /// Its interrupt vector.
    pub vector: u16,
}

/// All queue pairs of a controller.
#[derive(Default)]
pub struct Pairs {
    /// They.
    pub pairs: Vec<Pair>,
    /// How many the controller gave.
    pub granted: u16,
}

impl Watched for Pairs {
    fn period(&self) -> u64 {
        PERIOD
    }

    fn poll_busy(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut busy = Poll::Pending;
        for pair in &self.pairs {
            if pair.queue.poll_busy(context).is_ready() {
                busy = Poll::Ready(());
            }
        }
        busy
    }

    fn look(&self, now: u64) -> bool {
        self.pairs.iter().filter(|pair| pair.queue.look(now)).count() != 0
    }
}

/// Looks after `controller`, which is number `number`, for as long as it can be used.
pub async fn watch(mut controller: Controller, pairs: Pairs, switch: MasterSwitch, number: usize) {
    loop {
        until_late(&pairs).await;
        log::error!("nvme{number}: a command takes too long: the controller is reset");
        if let Err(error) = recover(&mut controller, &pairs).await {
            log::error!("nvme{number}: {error}: it is left alone from now on");
            switch.off();
            pairs.pairs.iter().for_each(|pair| pair.queue.die());
            return;
        }
    }
}

async fn recover(controller: &mut Controller, pairs: &Pairs) -> Result<(), StartError> {
    pairs.pairs.iter().for_each(|pair| pair.queue.stop());
    controller.disable().await?;
    pairs.pairs.iter().for_each(|pair| pair.queue.fail_commands());
    controller.enable().await?;
    if controller.number_of_queues(pairs.granted).await? < pairs.granted {
        return Err(StartError::Missing("I/O queue"));
    }
    for pair in &pairs.pairs {
        controller.create_queue(pair.id, pair.vector, &pair.queue).await?;
    }
    pairs.pairs.iter().for_each(|pair| pair.queue.resume());
    Ok(())
}
