//! AMD-V and VT-x as their manuals define them: layouts of control structures, fields, controls, exit codes, maps of
//! registers; and the rules that go with them: what a processor must have, how long an instruction is, which values a
//! register takes.
//!
//! It is pure: no I/O, no `unsafe`, nothing that is executed on a processor; so all of it is tested on the host. What
//! executes is the hypervisor's `arch`.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::arithmetic_side_effects))]

pub mod acceptable;
pub mod asid;
pub mod event;
pub mod hidden;
pub mod msr_map;
pub mod refusal;
pub mod seam;
pub mod svm;
pub mod traces;
pub mod vectors;
pub mod vmx;
