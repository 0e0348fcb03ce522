//! For tests of what is lock-free: loom's threads and every order, or once with the host's.

#[cfg(loom)]
pub use loom::{sync::Arc, thread};
#[cfg(not(loom))]
pub use std::{sync::Arc, thread};

/// Runs `f` in every order.
#[cfg(loom)]
pub fn model(f: impl Fn() + Sync + Send + 'static) {
    loom::model(f);
}

/// Runs `f` once.
#[cfg(not(loom))]
pub fn model(f: impl Fn()) {
    f();
}
