//! Starting a device.

use super::VirtioBlock;
use super::configuration::{Configuration, feature};
use super::requests::RequestQueue;
use crate::arch::processor;
use crate::block;
use crate::drivers::probe::{serve, serve_pin};
use crate::drivers::virtio::transport::Transport;
use crate::executor::pending::Pending;
use crate::firmware::routing::Routing;
use crate::interrupts;
use crate::memory::map_registers;
use crate::pci::StartError;
use crate::pci::{Function, Route};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The most descriptors of a queue.
const QUEUE_MAX: u16 = 256;
const WANTED: u64 = feature::SEG_MAX
    | feature::RO
    | feature::BLK_SIZE
    | feature::FLUSH
    | feature::MQ
    | feature::DISCARD
    | REQUIRED;
const REQUIRED: u64 = feature::VERSION_1 | feature::RING_INDIRECT_DESC;

/// Starts the disk that `function` is, and registers it as `name`.
///
/// # Errors
/// Why it cannot be used.
pub async fn start(function: &Function, routing: &Routing, name: String) -> Result<(), StartError> {
    function.enable()?;
    let transport = Transport::find(function, map_registers)?;
    let features = transport.negotiate(WANTED, REQUIRED)?;
    let configuration = Configuration::read(&transport.device, features)?;
    let queues = match function.route(map_registers) {
        Ok(route @ Route::Table(_)) => by_messages(function, route, &transport, &configuration, &name)?,
        _ => Vec::from([by_pin(function, routing, &transport, &configuration)?]),
    };
    log::info!("{name}: queues: {}", queues.len());
    transport.start();
    block::register(Arc::new(VirtioBlock::new(name, queues, &configuration))).await;
    Ok(())
}

/// A queue for each processor, as far as there are queues and vectors.
fn by_messages(
    function: &Function,
    mut route: Route,
    transport: &Transport,
    configuration: &Configuration,
    disk: &str,
) -> Result<Vec<Arc<RequestQueue>>, StartError> {
    let wanted = (processor::count() as u16).min(configuration.queues).min(route.vectors());
    let mut queues = Vec::new();
    for index in 0..wanted {
        let Some(interrupt) = interrupts::allocate_on(u32::from(index)) else { break };
        function.connect(&mut route, index, interrupt.address(), interrupt.data())?;
        let queue = match transport.set_up_queue(index, QUEUE_MAX, Some(index)) {
            Err(_) if index > 0 => break,
            queue => queue?,
        };
        let (pending, many) = (Pending::on(interrupt.processor()), usize::from(wanted));
        let queue = Arc::new(RequestQueue::new(index, queue, many, configuration.has_flush, pending)?);
        let served = Arc::clone(&queue);
        serve(interrupt, disk, move || served.drain());
        queues.push(queue);
    }
    if queues.is_empty() { Err(StartError::OutOfMemory) } else { Ok(queues) }
}

/// One queue, whose interrupts come to this processor, or to that of the first device on the wire: as a rule the same.
fn by_pin(
    function: &Function,
    routing: &Routing,
    transport: &Transport,
    configuration: &Configuration,
) -> Result<Arc<RequestQueue>, StartError> {
    let status = transport.interrupt_status.ok_or(StartError::Missing("interrupt status"))?;
    let queue = transport.set_up_queue(0, QUEUE_MAX, None)?;
    let pending = Pending::on(processor::number());
    let queue = Arc::new(RequestQueue::new(0, queue, 1, configuration.has_flush, pending)?);
    let served = Arc::clone(&queue);
    serve_pin(function, routing, move || {
        // Reading it lets go of the wire.
        let _: u8 = status.read(0);
        served.drain();
    })?;
    Ok(queue)
}
