//! Wakes one task, from wherever something happened.

use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Poll, Waker};
use spin::Mutex;

/// A flag that a task waits for. Raised twice before it looks, it is seen once.
#[derive(Debug, Default)]
pub struct Notify {
    raised: AtomicBool,
    /// Guards who waits. A leaf lock.
    waker: Mutex<Option<Waker>>,
}

impl Notify {
    /// Raises it.
    #[inline]
    pub fn raise(&self) {
        if self.raised.swap(true, Ordering::AcqRel) {
            return;
        }
        // The waker stays for the next time: its task waits here only.
        if let Some(waker) = &*self.waker.lock() {
            waker.wake_by_ref();
        }
    }

    /// Whether it was raised since [`Self::wait`] last returned.
    #[inline]
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    /// Waits until it was raised since this last returned.
    pub async fn wait(&self) {
        poll_fn(|context| {
            if self.raised.swap(false, Ordering::AcqRel) {
                return Poll::Ready(());
            }
            {
                let mut waker = self.waker.lock();
                match &mut *waker {
                    Some(waker) if waker.will_wake(context.waker()) => {}
                    waker => *waker = Some(context.waker().clone()),
                }
            }
            // Raised meanwhile, before there was a waker?
            if self.raised.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::Notify;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[test]
    fn it_is_seen_once_however_often_it_was_raised() {
        let notify = Notify::default();
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(notify.wait()).poll(&mut context).is_pending());
        notify.raise();
        notify.raise();
        assert!(pin!(notify.wait()).poll(&mut context).is_ready());
        assert!(pin!(notify.wait()).poll(&mut context).is_pending());
    }
}
