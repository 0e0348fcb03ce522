//! Starting a controller: for each namespace an I/O queue pair for each processor, or fewer.

use super::Nvme;
use super::controller::Controller;
use super::identify::{self, Controller as Identity, Namespace};
use super::queue::IoQueue;
use super::watch::{Pair, Pairs, watch};
use crate::arch::processor;
use crate::block;
use crate::drivers::probe::serve;
use crate::executor::pending::Pending;
use crate::interrupts;
use crate::memory::map_registers;
use crate::pci::StartError;
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
    let registers =
        map_registers(base, size).filter(|registers| registers.length() >= 0x1008).ok_or(missing)?;
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
    let mut nsids: Vec<u32> = identify::active(&list).collect();
    if nsids.len() > NAMESPACES_MAX {
        let all = nsids.len();
        log::warn!("nvme{number}: {all} namespaces, of which the first {NAMESPACES_MAX} are served");
        nsids.truncate(NAMESPACES_MAX);
    }
    let route = function.route(map_registers)?;
    // Vector 0 is the admin queue's, unless there is no other.
    let vectors = route.vectors().saturating_sub(1).max(1);
    let wanted = (nsids.len() * processor::count() as usize).clamp(1, usize::from(vectors)) as u16;
    pairs.granted = controller.number_of_queues(wanted).await?;
    // Of each namespace.
    let queues = (usize::from(pairs.granted) / nsids.len().max(1)).max(1);
    let mut making = Making { controller, function, route, pairs, queues };
    for nsid in nsids {
        let bytes = making.controller.identify(identify::NAMESPACE, nsid).await?;
        let Some(namespace) = Namespace::parse(&bytes) else {
            log::warn!("nvme{number}: namespace {nsid} is formatted in a way that is not served");
            continue;
        };
        if making.is_at_end() {
            log::warn!("nvme{number}: namespace {nsid} is left out: no queue for it");
            break;
        }
        let name = if disks.is_empty() { format!("nvme{number}") } else { format!("nvme{number}n{nsid}") };
        let queues = making.queues(&name, nsid, &namespace).await?;
        disks.push(Arc::new(Nvme::new(name, queues, &identity, &namespace)));
    }
    Ok(())
}

/// What makes queue pairs.
struct Making<'a> {
    controller: &'a mut Controller,
    function: &'a Function,
    route: Route,
    pairs: &'a mut Pairs,
    /// Of each namespace.
    queues: usize,
}

impl Making<'_> {
    fn is_at_end(&self) -> bool {
        self.pairs.pairs.len() == usize::from(self.pairs.granted)
    }

    /// Those of a namespace: one at least, or why there is none.
    async fn queues(
        &mut self,
        disk: &str,
        nsid: u32,
        namespace: &Namespace,
    ) -> Result<Vec<Arc<IoQueue>>, StartError> {
        let mut queues = Vec::new();
        for processor in 0..self.queues as u32 {
            match self.queue(disk, processor, (nsid, namespace)).await {
                Ok(queue) => queues.push(queue),
                Err(error) if processor == 0 => return Err(error),
                Err(error) => {
                    log::warn!("{disk}: no queue for processor {processor} and those behind it: {error}");
                    break;
                }
            }
        }
        log::info!("{disk}: queues: {}", queues.len());
        Ok(queues)
    }

    /// The next, which this processor serves.
    async fn queue(
        &mut self,
        disk: &str,
        processor: u32,
        namespace: (u32, &Namespace),
    ) -> Result<Arc<IoQueue>, StartError> {
        let interrupt = interrupts::allocate_on(processor).ok_or(StartError::OutOfMemory)?;
        let id = self.pairs.pairs.len() as u16 + 1;
        let vector = id % self.route.vectors();
        self.function.connect(&mut self.route, vector, interrupt.address(), interrupt.data())?;
        let (doorbells, entries) = (self.controller.doorbells(id)?, self.controller.entries_max());
        let queue = IoQueue::new(doorbells, namespace, entries, self.queues, Pending::on(processor))?;
        let queue = Arc::new(queue);
        self.controller.create_queue(id, vector, &queue).await?;
        self.pairs.pairs.push(Pair { queue: Arc::clone(&queue), id, vector });
        let served = Arc::clone(&queue);
        serve(interrupt, disk, move || served.drain());
        Ok(queue)
    }
}
