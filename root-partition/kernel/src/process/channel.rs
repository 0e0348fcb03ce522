//! Channels: pairs of message queues that carry bytes and objects.
//!
//! 1. What waits in one direction is bounded in messages and in bytes, so that a program that does not listen costs its
//!    peer a `WouldBlock` and the kernel no memory.
//! 2. Objects in a queue go with it: an end that is dropped takes what it had not received along.

use crate::executor::wakers::Wakers;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::Context;
use spin::Mutex;
use syscall::Error;

/// How many messages can wait in one direction.
const MESSAGES_MAX: usize = 128;
/// How many bytes can.
const BYTES_MAX: usize = 64 << 10;

/// One message.
#[derive(Debug)]
pub struct Message<O> {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What came with them.
    pub objects: Vec<O>,
}

#[derive(Debug)]
struct Queue<O> {
    messages: VecDeque<Message<O>>,
    bytes: usize,
    /// The end that fills it is gone.
    closed: bool,
    /// The end that empties it is gone.
    unread: bool,
    readers: Wakers,
}

impl<O> Queue<O> {
    const fn new() -> Self {
        Self { messages: VecDeque::new(), bytes: 0, closed: false, unread: false, readers: Wakers::new() }
    }
}

/// One end of a channel.
#[derive(Debug)]
pub struct End<O> {
    /// Guards what this end receives; taken alone.
    input: Arc<Mutex<Queue<O>>>,
    /// Guards what the other end receives; taken alone.
    output: Arc<Mutex<Queue<O>>>,
}

/// A channel's two ends.
#[must_use]
pub fn pair<O>() -> (End<O>, End<O>) {
    let (a, b) = (Arc::new(Mutex::new(Queue::new())), Arc::new(Mutex::new(Queue::new())));
    (End { input: Arc::clone(&a), output: Arc::clone(&b) }, End { input: b, output: a })
}

impl<O> End<O> {
    /// Sends a message to the other end.
    ///
    /// # Errors
    /// `WouldBlock`: its queue is full; `PeerClosed`. The message comes back.
    pub fn send(&self, message: Message<O>) -> Result<(), (Error, Message<O>)> {
        let readers = {
            let mut queue = self.output.lock();
            if queue.unread {
                return Err((Error::PeerClosed, message));
            }
            let bytes = queue.bytes.saturating_add(message.bytes.len());
            if queue.messages.len() >= MESSAGES_MAX || bytes > BYTES_MAX {
                return Err((Error::WouldBlock, message));
            }
            queue.bytes = bytes;
            queue.messages.push_back(message);
            queue.readers.take()
        };
        readers.wake();
        Ok(())
    }

    /// Takes the next message if `fits` says so.
    ///
    /// # Errors
    /// `WouldBlock`: there is none; `PeerClosed`: there will be none; what `fits` says: the message stays.
    pub fn receive(&self, fits: impl FnOnce(&Message<O>) -> Result<(), Error>) -> Result<Message<O>, Error> {
        let mut queue = self.input.lock();
        let Some(first) = queue.messages.front() else {
            return Err(if queue.closed { Error::PeerClosed } else { Error::WouldBlock });
        };
        fits(first)?;
        let message = queue.messages.pop_front().ok_or(Error::WouldBlock)?;
        queue.bytes -= message.bytes.len();
        Ok(message)
    }

    /// Whether `receive` would say anything but `WouldBlock`; if not, the task of `context` is woken when it would.
    pub fn poll_readable(&self, context: &Context<'_>) -> bool {
        let mut queue = self.input.lock();
        let ready = queue.closed || !queue.messages.is_empty();
        if !ready {
            queue.readers.add(context);
        }
        ready
    }

    /// Whether `receive` would say anything but `WouldBlock`.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        let queue = self.input.lock();
        queue.closed || !queue.messages.is_empty()
    }
}

impl<O> Drop for End<O> {
    fn drop(&mut self) {
        let readers = {
            let mut queue = self.output.lock();
            queue.closed = true;
            queue.readers.take()
        };
        readers.wake();
        let unread = {
            let mut queue = self.input.lock();
            queue.unread = true;
            core::mem::take(&mut queue.messages)
        };
        // What goes with their objects may take any lock.
        drop(unread);
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, End, MESSAGES_MAX, Message, pair};
    use crate::wake_count::WakeCount;
    use std::sync::Arc;
    use std::task::{Context, Waker};
    use syscall::Error;

    fn message(length: usize) -> Message<u32> {
        Message { bytes: vec![7; length], objects: vec![] }
    }

    fn take<O>(end: &End<O>) -> Result<Message<O>, Error> {
        end.receive(|_| Ok(()))
    }

    #[test]
    fn messages_arrive_in_order_with_their_objects() {
        let (a, b) = pair();
        for byte in 0..3 {
            a.send(Message { bytes: vec![byte], objects: vec![u32::from(byte) + 40] }).unwrap();
        }
        for byte in 0..3 {
            let message = take(&b).unwrap();
            assert_eq!((message.bytes, message.objects), (vec![byte], vec![u32::from(byte) + 40]));
        }
        assert_eq!(take(&b).unwrap_err(), Error::WouldBlock);
        assert_eq!(take(&a).unwrap_err(), Error::WouldBlock);
    }

    #[test]
    fn a_queue_is_bounded_in_messages_and_bytes() {
        let (a, b) = pair();
        for _ in 0..MESSAGES_MAX {
            a.send(message(1)).unwrap();
        }
        assert_eq!(a.send(message(0)).unwrap_err().0, Error::WouldBlock);
        take(&b).unwrap();
        a.send(message(0)).unwrap();
        let (a, _b) = pair();
        for _ in 0..BYTES_MAX / 16384 {
            a.send(message(16384)).unwrap();
        }
        assert_eq!(a.send(message(1)).unwrap_err().0, Error::WouldBlock);
        a.send(message(0)).unwrap();
    }

    #[test]
    fn a_message_that_does_not_fit_stays() {
        let (a, b) = pair();
        a.send(message(9)).unwrap();
        assert_eq!(b.receive(|_| Err(Error::TooSmall)).unwrap_err(), Error::TooSmall);
        assert_eq!(take(&b).unwrap().bytes.len(), 9);
    }

    #[test]
    fn the_peer_of_a_closed_end_reads_what_is_left_and_then_the_end() {
        let (a, b) = pair();
        a.send(message(1)).unwrap();
        drop(a);
        assert_eq!(b.send(message(1)).unwrap_err().0, Error::PeerClosed);
        assert!(take(&b).is_ok());
        assert_eq!(take(&b).unwrap_err(), Error::PeerClosed);
    }

    #[test]
    fn objects_go_with_the_queue() {
        let (a, b) = pair();
        let object = Arc::new(());
        let message = || Message { bytes: vec![], objects: vec![Arc::clone(&object)] };
        a.send(message()).unwrap();
        drop(b);
        assert_eq!(Arc::strong_count(&object), 1, "whoever does not listen any more keeps nothing");
        drop(a.send(message()).unwrap_err());
        assert_eq!(Arc::strong_count(&object), 1);
    }

    #[test]
    fn a_reader_is_woken_once_by_a_message_and_by_the_end() {
        let (a, b) = pair();
        let count = Arc::new(WakeCount::default());
        let waker = Waker::from(Arc::clone(&count));
        let context = Context::from_waker(&waker);
        assert!(!b.poll_readable(&context) && !b.poll_readable(&context));
        a.send(message(1)).unwrap();
        a.send(message(1)).unwrap();
        assert_eq!(count.get(), 1);
        assert!(b.poll_readable(&context));
        let (a, b) = (b, a);
        assert!(!b.poll_readable(&context));
        drop(a);
        assert_eq!(count.get(), 2);
        assert!(b.poll_readable(&context));
    }
}
