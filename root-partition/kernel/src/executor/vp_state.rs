//! What a virtual processor is doing, and the protocol between who runs it and who has something for it.
//!
//! The state says whose it is: `Ready` (and on its way to `Blocked`) its task's, `Inline` its worker's. Who has it runs it and
//! is the only one who changes the state, but for two things that anybody may do at any time: [`VpState::kill`] and
//! [`VpState::nudge`].
//!
//! Whoever brings something that ends a halt nudges, then looks whether the state is `Blocked`; who has the VP sets `Blocked`,
//! then looks whether it was nudged. Between the two each has a full fence, so one of them sees the other (loom tests it).

#[cfg(not(loom))]
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};
#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};

/// What a VP is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// Not started yet.
    Stopped,
    /// It can be dispatched.
    Ready,
    /// Halted, until its timer or an interrupt.
    Blocked,
    /// Its intercept waits for the worker's answer.
    Intercepted,
    /// It runs in the worker's poll.
    Inline,
    /// It never runs again.
    Dead,
}

/// The state of a VP.
#[derive(Debug)]
pub struct VpState {
    state: AtomicU8,
    /// Something came that ends a halt.
    nudged: AtomicBool,
}

impl Default for VpState {
    fn default() -> Self {
        Self::new()
    }
}

impl VpState {
    /// Not started.
    #[must_use]
    pub fn new() -> Self {
        Self { state: AtomicU8::new(State::Stopped as u8), nudged: AtomicBool::new(false) }
    }

    /// What it is doing.
    #[must_use]
    #[inline]
    pub fn get(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Stopped,
            1 => State::Ready,
            2 => State::Blocked,
            3 => State::Intercepted,
            4 => State::Inline,
            _ => State::Dead,
        }
    }

    /// From `from` to `to`; `false`: it was not `from`.
    #[inline]
    pub fn change(&self, from: State, to: State) -> bool {
        self.state.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// It never runs again, once a turn that it has is over.
    pub fn kill(&self) {
        self.state.swap(State::Dead as u8, Ordering::AcqRel);
    }

    /// Who has it is about to dispatch it, which finds whatever was brought so far.
    #[inline]
    pub fn forget_nudges(&self) {
        // A store alone could come after what the dispatch looks at, and undo a nudge that the dispatch knows nothing of.
        self.nudged.swap(false, Ordering::AcqRel);
    }

    /// It halted, and who has it (`from`) lets go of it. `false`: something came meanwhile that ends the halt, and it is ready.
    pub fn block(&self, from: State) -> bool {
        if !self.change(from, State::Blocked) {
            return true;
        }
        fence(Ordering::SeqCst);
        !(self.nudged.load(Ordering::Relaxed) && self.end_halt())
    }

    /// Something was brought that may end a halt. Whether it did, so that its task is to be woken.
    #[must_use]
    pub fn nudge(&self) -> bool {
        self.nudged.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        self.end_halt()
    }

    /// It is not halted any more; `false`: it was not.
    pub fn end_halt(&self) -> bool {
        self.change(State::Blocked, State::Ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Arc, model, thread};

    fn ready() -> VpState {
        let state = VpState::new();
        assert!(state.change(State::Stopped, State::Ready));
        state
    }

    #[cfg(not(loom))]
    #[test]
    fn whatever_was_brought_before_a_dispatch_ends_no_halt_after_it() {
        let state = ready();
        assert!(!state.nudge());
        state.forget_nudges();
        assert!(state.block(State::Ready));
        assert!(state.nudge() && state.get() == State::Ready);
    }

    /// It halts as it has no interrupt, while another brings one: it is not left blocked.
    #[test]
    fn loom_no_nudge_is_lost() {
        model(|| {
            let vp = Arc::new((ready(), AtomicBool::new(false)));
            let other = {
                let vp = Arc::clone(&vp);
                thread::spawn(move || {
                    let (state, interrupt) = &*vp;
                    interrupt.store(true, Ordering::Relaxed);
                    state.nudge()
                })
            };
            let (state, interrupt) = &*vp;
            state.forget_nudges();
            // The dispatch.
            let halts = !interrupt.load(Ordering::Relaxed);
            let blocked = halts && state.block(State::Ready);
            let woken = other.join().unwrap();
            assert_eq!(state.get(), State::Ready);
            assert_eq!(blocked, woken, "its task is woken if it waits");
        });
    }

    /// One that is killed while it halts and is nudged stays dead.
    #[test]
    fn loom_a_killed_one_never_runs_again() {
        model(|| {
            let state = Arc::new(ready());
            let others: Vec<_> = (0..2)
                .map(|number| {
                    let state = Arc::clone(&state);
                    thread::spawn(move || {
                        if number == 0 {
                            state.kill();
                        } else {
                            let _ = state.nudge();
                        }
                    })
                })
                .collect();
            state.block(State::Ready);
            others.into_iter().for_each(|other| other.join().unwrap());
            assert_eq!(state.get(), State::Dead);
        });
    }
}
