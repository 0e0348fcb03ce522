//! The executors, one a processor: tasks that are ready run one after the other; when none is, the processor sleeps until an
//! interrupt.
//!
//! Three kinds of task:
//! * A plain one (driver, controller, timer) has something to answer: it runs as soon as it is woken, on its own processor or,
//!   where what it answers came, on the one that woke it.
//! * A program answers too, and runs as soon as it is woken, unless it has had more than its share.
//! * A virtual processor runs when nobody else has anything to answer.
//!
//! Programs and virtual processors that have more to do share the processors fairly ([`share`]). So what an interrupt sets
//! off (driver, controller, answer to the guest) is over before a virtual processor that was interrupted goes on, and a
//! guest that keeps its worker busy takes nothing from the other guests.

#[cfg(not(test))]
mod give_way;
pub mod gone;
pub mod idle;
#[cfg(not(test))]
mod local;
pub mod pending;
#[cfg(not(test))]
mod run;
pub mod share;
#[cfg(not(test))]
mod spread;
#[cfg(not(test))]
mod task;
#[cfg(not(test))]
mod times;
pub mod vp_state;
pub mod wakers;

#[cfg(not(test))]
pub use give_way::{
    give_up_slice, is_ahead, must_give_way, program_must_give_way, ran_inline, slice_ended, yield_now,
};
#[cfg(not(test))]
pub(crate) use run::run;
#[cfg(not(test))]
pub use spread::expel;
#[cfg(not(test))]
pub use task::{
    adopt, dismiss, join, may_run_here, poke_all, spawn, spawn_on, spawn_program, spawn_vp, spawn_where_woken,
};
#[cfg(not(test))]
pub(crate) use task::{poke, poked};
#[cfg(not(test))]
pub use times::processor_times;
