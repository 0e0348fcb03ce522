//! Processes: programs in ring 3, each in an address space of its own.
//!
//! A process is a future: a poll enters ring 3 until it traps. Its system call is awaited, an interrupt lets the other
//! tasks run, a fault ends the process.
//!
//! 1. A process reaches what its handles name and nothing else; it has no pointer that the kernel follows.
//!    [`UserSlice`] is an allegation: it is checked against the address space and copied once.
//! 2. The memory of a process stays mapped until its [`Space`] is dropped, which a device that writes to it keeps alive.
//! 3. Ring 3 has no vector state: x87, SSE and AVX are off, and using them is a fault (programs are soft-float). So
//!    nothing but the general registers is switched, and nothing leaks through the others.
//! 4. A process that spins stops nobody: each interrupt in ring 3 gives the processor back to the executor, and one that is
//!    killed is interrupted.
//! 5. When a process ends, its handles are closed, and with them what only it held.

pub mod channel;
#[cfg(not(test))]
mod context;
pub mod elf;
#[cfg(not(test))]
mod enter;
#[cfg(not(test))]
pub(crate) use enter::start as start_processor;
pub mod fate;
pub mod handles;
#[cfg(not(test))]
mod life;
#[cfg(not(test))]
pub mod object;
#[cfg(not(test))]
mod space;
#[cfg(not(test))]
mod spawn;
pub mod user;

#[cfg(not(test))]
pub(crate) use context::Context as Registers;
#[cfg(not(test))]
pub use life::Process;
#[cfg(not(test))]
pub use object::Object;
#[cfg(not(test))]
pub use space::Space;
#[cfg(not(test))]
pub use spawn::{spawn, start_init};
pub use user::UserSlice;
