//! A lock around objects that come and go at the same addresses.

use spin::mutex::{TicketMutex, TicketMutexGuard};

use crate::machine::Machine;

/// A fair lock. Who takes it sees what is mapped now at the addresses of the objects inside.
#[derive(Debug, Default)]
pub struct ObjectLock<T>(TicketMutex<T>);

impl<T> ObjectLock<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Self(TicketMutex::new(value))
    }
    /// Takes it.
    #[inline]
    pub fn lock<M: Machine>(&self, machine: &M) -> TicketMutexGuard<'_, T> {
        let guard = self.0.lock();
        machine.catch_up();
        guard
    }
}
