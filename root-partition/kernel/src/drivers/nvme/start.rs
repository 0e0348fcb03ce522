//! Starting a controller: one I/O queue pair for each namespace.

use super::Nvme;
use super::controller::Controller;
use super::identify::{self, Controller as Identity, Namespace};
use super::queue::IoQueue;
use super::watch::{Pair, Pairs, watch};
use crate::block;
use crate::drivers::StartError;
use crate::drivers::probe::{map, serve};
use crate::pci::{Function, Route};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The most namespaces that are served.
const NAMESPACES_MAX: usize = 16;

/// Starts the controller that `function` is, and registers its namespaces as disks: controller number `number`.
///
/// # Errors
/// Why it, or one of its namespaces, cannot be used.
pub async fn start(function: &Function, number: usize) -> Result<(), StartError> {
    let missing = StartError::Missing("register BAR");
    let (base, size) = function.memory_bar(0).ok_or(missing)?;
    function.enable()?;
    let registers = map(base, size).filter(|registers| registers.length() >= 0x1008).ok_or(missing)?;
    let mut controller = Controller::new(registers)?;
    controller.enable().await?;
    let (mut pairs, mut disks) = (Pairs::default(), Vec::new());
    let result = find_disks(&mut controller, function, number, &mut pairs, &mut disks).await;
    crate::executor::spawn(watch(controller, pairs, function.master_switch(), number));
    for disk in disks {
        block::register(disk).await;
    }
    result
}

async fn find_disks(
    controller: &mut Controller,
    function: &Function,
    number: usize,
    pairs: &mut Pairs,
    disks: &mut Vec<Arc<Nvme>>,
) -> Result<(), StartError> {
    let identity = controller.identify(identify::CONTROLLER, 0).await?;
    let identity = Identity::parse(&identity, 4096);
    let list = controller.identify(identify::ACTIVE_NAMESPACES, 0).await?;
    let nsids: Vec<u32> = identify::active(&list).take(NAMESPACES_MAX).collect();
    let mut route = function.route(map)?;
    let wanted = if matches!(route, Route::Table(_)) { nsids.len() } else { 1 };
    pairs.granted = controller.number_of_queues(wanted as u16).await?;
    let mut id = 0;
    for nsid in nsids {
        let bytes = controller.identify(identify::NAMESPACE, nsid).await?;
        let Some(namespace) = Namespace::parse(&bytes) else {
            log::warn!("nvme{number}: namespace {nsid} is formatted in a way that is not served");
            continue;
        };
        if id == pairs.granted {
            log::warn!("nvme{number}: namespace {nsid} is left out: no queue for it");
            break;
        }
        id += 1;
        let vector = if matches!(route, Route::Table(_)) { id } else { 0 };
        let interrupt = crate::interrupts::allocate().ok_or(StartError::OutOfMemory)?;
        function.connect(&mut route, vector, interrupt.address(), interrupt.data())?;
        let queue = IoQueue::new(controller.doorbells(id)?, nsid, &namespace, controller.entries_max())?;
        let queue = Arc::new(queue);
        controller.create_queue(id, vector, &queue).await?;
        pairs.pairs.push(Pair { queue: Arc::clone(&queue), id, vector });
        let served = Arc::clone(&queue);
        serve(interrupt, move || served.drain());
        let name = if id == 1 { format!("nvme{number}") } else { format!("nvme{number}n{nsid}") };
        disks.push(Arc::new(Nvme::new(name, queue, &identity, &namespace)));
    }
    Ok(())
}
