//! Wakes one task, from wherever something happened.

use core::future::poll_fn;
#[cfg(not(loom))]
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Poll, Waker};
#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering};
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

    /// Raised while its task begins to wait: the task sees it or is woken.
    #[cfg(loom)]
    #[test]
    fn loom_no_waiting_task_is_forgotten() {
        use crate::wake_count::WakeCount;
        use loom::sync::Arc;
        loom::model(|| {
            let notify = Arc::new(Notify::default());
            let raiser = {
                let notify = Arc::clone(&notify);
                loom::thread::spawn(move || notify.raise())
            };
            let wakes = std::sync::Arc::new(WakeCount::default());
            let waker = Waker::from(std::sync::Arc::clone(&wakes));
            let waits = pin!(notify.wait()).poll(&mut Context::from_waker(&waker)).is_pending();
            raiser.join().unwrap();
            assert_eq!(waits, notify.is_raised(), "what was not seen is still to be");
            assert!(!waits || wakes.get() != 0);
        });
    }

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
