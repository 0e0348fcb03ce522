//! Starting a controller: its channels and their drives.

use super::channel::Channel;
use super::identify::Mode;
use super::ports::{IoPorts, Ports, Register};
use super::transfer::Memory;
use super::watch::watch;
use super::{Ata, probe};
use crate::arch::processor;
use crate::block;
use crate::drivers::probe::pin;
use crate::executor::pending::Pending;
use crate::firmware::routing::{Input, Routing};
use crate::interrupts::wire;
use crate::pci::Function;
use crate::pci::StartError;
use alloc::format;
use alloc::sync::Arc;

/// Bits of the programming interface: which channels are in native mode (0 and 2), and whether there is a bus master.
const NATIVE: [u8; 2] = [1 << 0, 1 << 2];
const BUS_MASTER: u8 = 1 << 7;
/// Bus master status: DMA on one channel at a time only.
const SIMPLEX: u8 = 1 << 7;
/// Ports and IRQ of a channel in compatibility mode.
const COMPATIBLE: [(u16, u16, u8); 2] = [(0x1F0, 0x3F6, 14), (0x170, 0x376, 15)];
/// The BAR of the bus master's registers, 8 bytes a channel.
const MASTER_BAR: u8 = 4;

/// The boot option that keeps the driver from DMA.
const NO_DMA: &str = "ata-pio";

/// Starts the controller that `function` is, and registers its disks as number `number` and following.
///
/// # Errors
/// Why it cannot be used.
pub(crate) async fn start(
    function: &Function,
    routing: &Routing,
    number: &mut usize,
) -> Result<(), StartError> {
    function.enable_ports()?;
    let mut simplex = false;
    for index in 0..2 {
        if let Some((mut ports, input)) = channel(function, routing, index) {
            // Such a controller does DMA on one channel at a time: let it be the first.
            ports.master = ports.master.filter(|_| !simplex);
            simplex = ports.read(Register::MasterStatus) & SIMPLEX != 0;
            start_channel(ports, input, number).await?;
        }
    }
    Ok(())
}

/// Where channel `index` has its registers, and where its interrupt arrives, if anywhere.
fn channel(function: &Function, routing: &Routing, index: u8) -> Option<(IoPorts, Option<Input>)> {
    let interface = function.class.2;
    let by_dma = interface & BUS_MASTER != 0 && !crate::boot::has_option(NO_DMA);
    let master = function.port_bar(MASTER_BAR).filter(|_| by_dma);
    let master = master.map(|master| master + u16::from(index) * 8);
    let (command, control, irq) = *COMPATIBLE.get(usize::from(index))?;
    if interface & NATIVE.get(usize::from(index))? == 0 {
        return Some((IoPorts { command, control, master }, Some(routing.isa(irq))));
    }
    let command = function.port_bar(index * 2)?;
    // The control register is the third of the four ports of its BAR.
    let control = function.port_bar(index * 2 + 1)?.checked_add(2)?;
    Some((IoPorts { command, control, master }, pin(function, routing)))
}

async fn start_channel(ports: IoPorts, input: Option<Input>, number: &mut usize) -> Result<(), StartError> {
    let found = probe::drives(&ports).await;
    if found.iter().all(Option::is_none) {
        return Ok(());
    }
    let memory = Memory::new().ok_or(StartError::OutOfMemory)?;
    let identities = found.each_ref().map(|found| found.as_ref().map(|found| found.identity));
    // Its wire's interrupts come to this processor, or to that of the first device on the wire: as a rule the same.
    let pending = Pending::on(processor::number());
    let channel = Arc::new(Channel::new(ports, identities, memory, pending));
    let served = Arc::clone(&channel);
    if !input.is_some_and(|input| wire::serve(input, move || served.drain())) {
        log::warn!("ata: the channel at {:#x} has no interrupt: it is looked after", ports.command);
        channel.has_no_interrupt();
    }
    channel.enable_interrupts();
    crate::executor::spawn(watch(Arc::clone(&channel)));
    for (drive, found) in found.iter().enumerate() {
        let Some(found) = found else { continue };
        let name = format!("ata{number}");
        *number += 1;
        let mode = if channel.mode(drive) == Some(Mode::Dma) { "DMA" } else { "PIO" };
        log::info!("{name}: {}, {mode}", found.model);
        block::register(Arc::new(Ata::new(name, Arc::clone(&channel), drive, &found.identity))).await;
    }
    Ok(())
}
