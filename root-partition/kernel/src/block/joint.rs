//! A request in parts that completes as one.
//!
//! Some parts are with the device at a time, and the next is cut and submitted when one has completed: what a file that lies
//! in thousands of places costs is time, and its own.

use super::extents::ExtentMap;
use super::split::{Cut, Part, Parts, Rest};
use super::{Completion, Device, Error, Operation, Request, Source, bounce};
use alloc::sync::{Arc, Weak};
use spin::Mutex;

/// The most parts of a request that the device has at a time.
pub const AT_ONCE: usize = 16;

/// Completes its caller's request when the last of its parts has; with the first error, if any, behind which no more parts
/// are begun.
pub struct Joint {
    me: Weak<Self>,
    device: Arc<dyn Device>,
    map: Arc<ExtentMap>,
    operation: Operation,
    through_bounce: bool,
    /// Guards what is left; taken alone.
    state: Mutex<State>,
    completion: Arc<dyn Completion>,
    tag: u64,
}

struct State {
    in_flight: usize,
    /// What was not submitted yet, once the first have been.
    rest: Option<Rest>,
    error: Option<Error>,
    /// Somebody submits, and looks again when he has: a device may complete a part at once.
    is_busy: bool,
    is_done: bool,
}

/// What is to be done next.
enum Next {
    Nothing,
    Submit(Part<'static>),
    Complete(Result<(), Error>),
}

impl Joint {
    /// Submits `request`, cut like that, for who is told with a tag: to the device, of which the file's extents are.
    pub fn submit(
        (device, map): (Arc<dyn Device>, Arc<ExtentMap>),
        request: &Request<'_>,
        cut: Cut,
        through_bounce: bool,
        (completion, tag): (Arc<dyn Completion>, u64),
    ) {
        let operation = request.operation;
        let state = State { in_flight: 0, rest: None, error: None, is_busy: true, is_done: false };
        let state = Mutex::new(state);
        let parts_of = Arc::clone(&map);
        let joint = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            device,
            map,
            operation,
            through_bounce,
            state,
            completion,
            tag,
        });
        // The first are cut from the caller's own list, and most often these are all.
        let mut parts = Parts::new(&parts_of, *request, cut);
        for part in parts.by_ref().take(AT_ONCE) {
            match part {
                Ok(part) => {
                    joint.state.lock().in_flight += 1;
                    joint.begin(part);
                }
                Err(error) => _ = joint.state.lock().error.get_or_insert(error),
            }
        }
        {
            let mut state = joint.state.lock();
            state.rest = Some(parts.rest());
            state.is_busy = false;
        }
        joint.go_on();
    }

    /// Gives a part to the device.
    fn begin(&self, part: Part<'_>) {
        // Whoever calls this has one.
        let Some(me) = self.me.upgrade() else { return };
        if self.through_bounce {
            return bounce::submit(&*self.device, self.operation, part, me, 0);
        }
        let Part { start: offset, length, segments } = &part;
        let request = Request { operation: self.operation, offset: *offset, length: *length, segments };
        self.device.submit(&request, me, 0);
    }

    /// Submits as much as there is room for, or completes.
    fn go_on(&self) {
        loop {
            let next = self.next();
            match next {
                Next::Nothing => return,
                Next::Submit(part) => {
                    self.begin(part);
                    self.state.lock().is_busy = false;
                }
                Next::Complete(result) => return self.completion.complete(self.tag, result),
            }
        }
    }

    fn next(&self) -> Next {
        let mut state = self.state.lock();
        if state.is_busy || state.is_done || state.in_flight >= AT_ONCE {
            return Next::Nothing;
        }
        let is_wanted = state.error.is_none() && self.completion.is_wanted();
        let part = state.rest.as_mut().and_then(|rest| rest.next(&self.map));
        match part {
            Some(Ok(part)) if is_wanted => {
                state.in_flight += 1;
                state.is_busy = true;
                return Next::Submit(part);
            }
            Some(part) => {
                let error = part.err().unwrap_or(Error::Io);
                state.error.get_or_insert(error);
                state.rest = None;
            }
            None => {}
        }
        if state.in_flight != 0 {
            return Next::Nothing;
        }
        state.is_done = true;
        Next::Complete(state.error.map_or(Ok(()), Err))
    }
}

impl Completion for Joint {
    fn complete(&self, _tag: u64, result: Result<(), Error>) {
        {
            let mut state = self.state.lock();
            state.in_flight -= 1;
            if let Err(error) = result {
                state.error.get_or_insert(error);
            }
        }
        self.go_on();
    }

    fn source(&self) -> Source {
        self.completion.source()
    }

    fn is_wanted(&self) -> bool {
        self.completion.is_wanted()
    }
}
