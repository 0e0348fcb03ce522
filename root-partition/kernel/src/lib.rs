//! The root partition's kernel: an async executor with drivers, processes and virtual machines as its tasks.
//!
//! It owns every device and all RAM that the hypervisor left; guests and programs get at both through it only. The way
//! in is [`boot`]; [`executor`] runs everything afterwards.
//!
//! 1. Kernel code runs with interrupts off. They are taken in ring 3, in guests, when idle, and between two polls of the
//!    executor, so a handler never finds a lock taken by its own processor; all that a handler does is to wake.
//! 2. Nothing blocks: what must wait is a future. A poll is short.
//! 3. What comes from a program, a guest or a device is checked like input from a network.
//!
//! # What processors share
//!
//! Each processor that the hypervisor has runs a root VP with an executor of its own (on the bare machine: only the first).
//! A task is polled by one processor at a time. Locks are spin locks, held for a few hundred instructions with interrupts
//! off; a *leaf* lock is one inside which no other is taken. Whoever waits for something registers first and then looks
//! once more; whoever brings it does so first and then wakes. Wakers are called with no lock held, but for leaf locks above
//! the executor's queue.
//!
//! | State | Where | Whose, and by which protocol |
//! |---|---|---|
//! | number, stacks of ring 3, GDT, TSS, exception stacks | [`arch::processor`], `arch::segments` | each processor's own, by GS; ring 3 has another GS |
//! | interrupt table, page of the hypercall instruction | `arch::idt`, `hypervisor::call` | written once at boot |
//! | local APIC | `arch::apic` | each processor's own registers; ids written once, read by senders |
//! | IOAPICs | `arch::ioapic` | leaf lock |
//! | ready tasks, virtual time | `executor::task` | one queue a processor, leaf lock; put in, then [poke](executor::idle) |
//! | who is to look, who has a surplus, who is idle | [`executor::idle`] | atomics; models under loom |
//! | program that runs, time of VPs within it | `executor::task` | each processor's own |
//! | account of a program or VP | [`executor::share`] | of whoever runs it; it names the home, changes with it |
//! | virtual time of a VM, its limit and reserve | [`executor::share::Group`] | atomics, each right by itself |
//! | sleepers | `time::clock` | one queue a processor, leaf lock; a sleeper removes itself from where it is |
//! | when the timer is due | `time::clock` | each processor's own |
//! | scale and offset of the clocks | `time::clock` | written once at boot; one TSC for all processors is assumed |
//! | vectors of devices, who waits for each | [`interrupts`] | each processor's, taken by whoever starts a device under a leaf lock; flag, then waker under another |
//! | wires | `interrupts::wire` | list, then a wire's own lock; drains are called with neither |
//! | SynIC pages, pages of hypercalls | `hypervisor::synic`, `hypervisor::call` | each processor's own |
//! | who gets messages and signals | `hypervisor::synic` | leaf lock, looked up and left; a guest's messages come to one processor in order, signals anywhere |
//! | in which words a guest's flags are | `hypervisor::words` | atomics that its VPs read; changed under the lock of who gets signals |
//! | state of a VP | `vm::vp` | its state says whose it is; others may kill it, nudge it, recall it, by atomics |
//! | end of a VM | `executor::gone` | leaf lock; told when the last owner of its memory lets go of that |
//! | events for a worker | `vm::inner` | leaf lock, taken alone |
//! | a VM's bus | `vmbus::bus` | `host` and each port under their locks; effects by whoever has the pump, others leave a mark; models under loom |
//! | address spaces | `memory::address_space` | tables under the process's lock, taken alone; freed when no processor has them loaded (`memory::gone`); models under loom |
//! | kernel's half of the tables | `memory::device` | only grows, under one lock; never unmapped, so nothing is to be flushed |
//! | frames, heap | `memory::frames`, `memory::heap` | leaf locks; the heap's before the frames' |
//! | handles, channels, fates of processes | [`process`] | a lock each, taken alone |
//! | disks, volumes | [`drivers`], [`block`] | a lock a queue; a queue's interrupts and completions come to one processor, whose requests it takes where there are enough |
//! | console | `console` | input or output, then port |
//! | host log | [`host_log`] | one lock, only the heap's inside |
#![cfg_attr(not(test), no_std)]
#![cfg_attr(test, expect(dead_code, reason = "what only the machine calls"))]

extern crate alloc;

#[cfg(not(test))]
pub mod arch;
pub mod block;
#[cfg(not(test))]
pub mod boot;
mod bucket;
#[cfg(not(test))]
mod calls;
#[cfg(not(test))]
pub mod console;
pub mod drivers;
pub mod executor;
pub mod firmware;
pub mod host_log;
pub mod hypervisor;
#[cfg(not(test))]
pub mod interrupts;
pub mod memory;
#[cfg(test)]
mod model;
pub mod pci;
pub mod process;
#[cfg(not(test))]
mod processors;
pub mod time;
#[cfg(not(test))]
pub mod vm;
pub mod vmbus;
#[cfg(test)]
mod wake_count;
