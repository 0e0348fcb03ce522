//! Looks after a channel while a command runs: for lost interrupts, and for commands that take too long.

use super::channel::Channel;
use super::ports::Ports;
use super::reset::reset;
use crate::drivers::watch::{Watched, until_late};
use crate::time;
use alloc::sync::Arc;
use core::task::{Context, Poll};

/// How often to look, in 100 ns; the second where interrupts cannot be relied on.
const PERIOD: u64 = 20 * time::MILLISECOND;
const SHORT_PERIOD: u64 = time::MILLISECOND;

impl<P: Ports> Watched for Channel<P> {
    fn period(&self) -> u64 {
        if self.is_looked_after() { SHORT_PERIOD } else { PERIOD }
    }

    fn poll_busy(&self, context: &mut Context<'_>) -> Poll<()> {
        Channel::poll_busy(self, context)
    }

    fn look(&self, now: u64) -> bool {
        Channel::look(self, now)
    }
}

/// Looks after `channel` for good.
pub async fn watch(channel: Arc<Channel<impl Ports>>) {
    loop {
        until_late(&*channel).await;
        log::error!("ata: a command takes too long: the channel is reset");
        channel.begin_reset();
        let came_back = reset(&channel.ports).await;
        if !came_back {
            log::error!("ata: the channel did not come back");
        }
        channel.end_reset(came_back);
    }
}
