//! Several requests that complete as one.

use super::{Completion, Error, Source};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};
use spin::Mutex;

/// Completes its caller's request when the last of its parts has; with the first error, if any.
pub struct Joint {
    remaining: AtomicUsize,
    /// Guards the first error; taken alone.
    error: Mutex<Option<Error>>,
    completion: Arc<dyn Completion>,
    tag: u64,
}

impl Joint {
    /// A joint for a request that its parts are now submitted for. One part more than submitted counts until
    /// [`Joint::complete`] is called by the submitter itself, so that it cannot complete too early.
    pub fn new(completion: Arc<dyn Completion>, tag: u64) -> Arc<Self> {
        Arc::new(Self { remaining: AtomicUsize::new(1), error: Mutex::new(None), completion, tag })
    }

    /// One more part, about to be submitted.
    pub fn add(&self) {
        self.remaining.fetch_add(1, Ordering::Relaxed);
    }
}

impl Completion for Joint {
    fn complete(&self, _tag: u64, result: Result<(), Error>) {
        if let Err(error) = result {
            self.error.lock().get_or_insert(error);
        }
        if self.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
            let result = self.error.lock().map_or(Ok(()), Err);
            self.completion.complete(self.tag, result);
        }
    }

    fn source(&self) -> Source {
        self.completion.source()
    }

    fn is_wanted(&self) -> bool {
        self.completion.is_wanted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Signal;

    #[test]
    fn it_completes_once_with_the_first_error() {
        let signal = Signal::new(());
        let joint = Joint::new(signal.clone(), 0);
        joint.add();
        joint.add();
        joint.complete(0, Ok(()));
        joint.complete(1, Err(Error::Io));
        assert_eq!(signal.take(), None);
        joint.complete(2, Err(Error::Invalid));
        assert_eq!(signal.take(), Some(Err(Error::Io)));
    }
}
