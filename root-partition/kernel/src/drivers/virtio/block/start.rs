//! Starting a device.

use super::{VirtioBlock, feature};
use crate::arch::processor;
use crate::block::{self, Device};
use crate::drivers::StartError;
use crate::drivers::pending::Pending;
use crate::drivers::probe::{map, serve, serve_pin};
use crate::drivers::virtio::transport::Transport;
use crate::firmware::routing::Routing;
use crate::pci::{Function, Route};
use alloc::string::String;
use alloc::sync::Arc;

/// The most descriptors of the queue.
const QUEUE_MAX: u16 = 256;
const WANTED: u64 =
    feature::SEG_MAX | feature::RO | feature::BLK_SIZE | feature::FLUSH | feature::DISCARD | REQUIRED;
const REQUIRED: u64 = feature::VERSION_1 | feature::RING_INDIRECT_DESC;

/// Starts the disk that `function` is, and registers it as `name`.
///
/// # Errors
/// Why it cannot be used.
pub async fn start(function: &Function, routing: &Routing, name: String) -> Result<(), StartError> {
    function.enable()?;
    let transport = Transport::find(function, map)?;
    let features = transport.negotiate(WANTED, REQUIRED)?;
    let interrupt = match function.route(map) {
        Ok(mut route @ Route::Table(_)) => {
            let interrupt = crate::interrupts::allocate().ok_or(StartError::OutOfMemory)?;
            function.connect(&mut route, 0, interrupt.address(), interrupt.data())?;
            Some(interrupt)
        }
        _ => None,
    };
    let queue = transport.set_up_queue(0, QUEUE_MAX, interrupt.is_some().then_some(0))?;
    let pending = Pending::on(processor::number());
    let disk = Arc::new(VirtioBlock::new(name, queue, &transport.device, features, pending)?);
    let served = Arc::clone(&disk);
    match interrupt {
        Some(interrupt) => serve(interrupt, &disk.info().name, move || served.drain()),
        None => {
            let status = transport.interrupt_status.ok_or(StartError::Missing("interrupt status"))?;
            serve_pin(function, routing, move || {
                // Reading it lets go of the wire.
                let _: u8 = status.read(0);
                served.drain();
            })?;
        }
    }
    transport.start();
    block::register(disk).await;
    Ok(())
}
