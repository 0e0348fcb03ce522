//! Starting a device.

use super::{VirtioBlock, feature};
use crate::block;
use crate::drivers::StartError;
use crate::drivers::probe::{map, serve};
use crate::drivers::virtio::transport::Transport;
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
pub async fn start(function: &Function, name: String) -> Result<(), StartError> {
    function.enable()?;
    let transport = Transport::find(function, map)?;
    let features = transport.negotiate(WANTED, REQUIRED)?;
    let mut route = function.route(map)?;
    if !matches!(route, Route::Table(_)) {
        return Err(StartError::Missing("MSI-X"));
    }
    let interrupt = crate::interrupts::allocate().ok_or(StartError::OutOfMemory)?;
    function.connect(&mut route, 0, interrupt.address(), interrupt.data())?;
    let queue = transport.set_up_queue(0, QUEUE_MAX, 0)?;
    let disk = Arc::new(VirtioBlock::new(name, queue, &transport.device, features)?);
    transport.start();
    let served = Arc::clone(&disk);
    serve(interrupt, move || served.drain());
    block::register(disk).await;
    Ok(())
}
