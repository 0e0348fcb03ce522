//! Looking after a device while it has requests: for interrupts that were lost, and for requests that it does not answer.

use crate::{executor, time};
use core::future::poll_fn;
use core::task::{Context, Poll};

/// How long a device that seems dead is watched without the processor being halted, in 100 ns.
///
/// Under QEMU's `-icount sleep=off` a halted machine's clock runs ahead of the host's disk, but never a busy one's.
const GRACE: u64 = 200 * time::MILLISECOND;

/// A device that is looked after.
pub trait Watched {
    /// How often to look, in 100 ns.
    fn period(&self) -> u64;

    /// Ready when the device has a request.
    fn poll_busy(&self, context: &mut Context<'_>) -> Poll<()>;

    /// Looks at its requests, and serves it where no interrupt did. `true`: one takes too long.
    fn look(&self, now: u64) -> bool;
}

/// Returns when a request takes too long.
pub async fn until_late(device: &impl Watched) {
    loop {
        poll_fn(|context| device.poll_busy(context)).await;
        time::sleep(device.period()).await;
        if device.look(time::now()) && is_late_for_long(device).await {
            return;
        }
    }
}

async fn is_late_for_long(device: &impl Watched) -> bool {
    let end = time::now() + GRACE;
    while time::now() < end {
        executor::yield_now().await;
        if !device.look(time::now()) {
            return false;
        }
    }
    true
}
