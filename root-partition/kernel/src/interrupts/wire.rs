//! Interrupts that come by wire through an IOAPIC, which several devices may share.
//!
//! A level-triggered one comes again and again until every device that holds the wire is served, and serving is a task's
//! affair. So its input is masked when it comes, and unmasked when everybody has looked at his device.

use super::allocate;
use crate::arch::{apic, ioapic};
use crate::executor;
use crate::firmware::routing::Input;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;

/// What serves a device.
type Drain = Box<dyn Fn() + Send + Sync>;

/// A wire that is connected.
struct Wire {
    input: Input,
    /// Who has a device on it. Not held while they are called.
    drains: Mutex<Vec<Arc<Drain>>>,
}

/// The wires that are connected. Taken before a wire's own lock.
static WIRES: Mutex<Vec<Arc<Wire>>> = Mutex::new(Vec::new());

/// Calls `drain` after each interrupt on the wire to `input`, from a task, for as long as the kernel runs; and once soon,
/// for what came before. `false`: the wire ends nowhere, or there is no vector for it.
#[must_use]
pub fn serve(input: Input, drain: impl Fn() + Send + Sync + 'static) -> bool {
    let drain: Arc<Drain> = Arc::new(Box::new(drain));
    let mut wires = WIRES.lock();
    if let Some(wire) = wires.iter().find(|wire| wire.input.number == input.number) {
        wire.drains.lock().push(drain);
        return true;
    }
    let Some(interrupt) = allocate() else { return false };
    let wire = Arc::new(Wire { input, drains: Mutex::new(Vec::from([drain])) });
    if input.level {
        interrupt.set_level(input.number);
    }
    if !ioapic::connect(input, interrupt.vector(), apic::id()) {
        return false;
    }
    wires.push(Arc::clone(&wire));
    executor::spawn(async move {
        loop {
            let drains = wire.drains.lock().clone();
            drains.iter().for_each(|drain| drain());
            if wire.input.level {
                ioapic::unmask(wire.input.number);
            }
            interrupt.wait().await;
        }
    });
    true
}
