//! Finding devices and starting their drivers.

use super::{ata, nvme, virtio};
use crate::executor;
use crate::firmware::Firmware;
use crate::firmware::routing::{Input, Routing};
use crate::interrupts::{Interrupt, wire};
use crate::memory::map_registers;
use crate::pci::{self, Access, Ecam, EcamRange, Function, Ports, StartError};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

/// NVMe controllers: mass storage, non-volatile memory, NVM Express.
const CLASS_NVME: (u8, u8, u8) = (1, 8, 2);
/// IDE controllers: mass storage, IDE; the programming interface says how they work.
const CLASS_IDE: (u8, u8) = (1, 1);
/// The power management function of Intel's PIIX4, which every such emulated machine has.
const PIIX4_POWER: (u16, u16) = (0x8086, 0x7113);
/// Virtio block devices: transitional, modern.
const VIRTIO_BLOCK: [(u16, u16); 2] = [(0x1AF4, 0x1001), (0x1AF4, 0x1042)];

/// Calls `drain` after each of the interrupts of `disk`, from a task on the processor to which they come, for as long as
/// the kernel runs.
pub fn serve(interrupt: Interrupt, disk: &str, drain: impl Fn() + Send + 'static) {
    let (processor, disk) = (interrupt.processor(), String::from(disk));
    executor::spawn_on(processor, async move {
        interrupt.wait().await;
        log::debug!("{disk}: interrupts come to processor {processor}");
        loop {
            drain();
            interrupt.wait().await;
        }
    });
}

/// As [`serve`], for a device that has nothing but its pin.
///
/// # Errors
/// `Missing`: it has none, or nobody says where it arrives.
pub fn serve_pin(
    function: &Function,
    routing: &Routing,
    drain: impl Fn() + Send + Sync + 'static,
) -> Result<(), StartError> {
    let input = pin(function, routing).ok_or(StartError::Missing("interrupt"))?;
    function.enable_pin()?;
    if wire::serve(input, drain) { Ok(()) } else { Err(StartError::Missing("interrupt")) }
}

/// Where the pin of `function` arrives; `None`: it has none, or nobody says.
pub fn pin(function: &Function, routing: &Routing) -> Option<Input> {
    let (pin, line) = function.pin()?;
    routing.pin(function.address.bus(), function.address.device(), pin, line)
}

/// How many disks of each kind were found.
#[derive(Default)]
struct Numbers {
    nvme: usize,
    virtio: usize,
    ata: usize,
}

/// Starts every disk that can be found; returns when all of them are registered.
pub(crate) async fn start(firmware: &Firmware) {
    let mut numbers = Numbers::default();
    for range in &firmware.ecam {
        let Some(access) = open(range) else {
            log::error!("PCI segment {}: its configuration space cannot be mapped", range.segment);
            continue;
        };
        for function in pci::functions(&access, range.segment, [range.first_bus]) {
            start_one(&function, firmware, &mut numbers).await;
        }
    }
    if firmware.ecam.is_empty()
        && let Some(ports) = Ports::find()
    {
        // Nothing but AML names the buses that lead down from the processors, so all are looked at.
        let access: Access = Arc::new(ports);
        for function in pci::functions(&access, 0, 0..=u8::MAX) {
            start_one(&function, firmware, &mut numbers).await;
        }
    }
}

fn open(range: &EcamRange) -> Option<Access> {
    let buses = u64::from(range.last_bus.checked_sub(range.first_bus)?) + 1;
    let registers = map_registers(range.base + (u64::from(range.first_bus) << 20), buses << 20)?;
    Some(Arc::new(Ecam::new(registers, range.segment, range.first_bus)))
}

async fn start_one(function: &Function, firmware: &Firmware, numbers: &mut Numbers) {
    let result = if function.class == CLASS_NVME {
        numbers.nvme += 1;
        nvme::start(function, numbers.nvme - 1).await
    } else if (function.class.0, function.class.1) == CLASS_IDE {
        ata::start(function, &firmware.routing, &mut numbers.ata).await
    } else if VIRTIO_BLOCK.contains(&function.id) {
        numbers.virtio += 1;
        virtio::start(function, &firmware.routing, format!("virtio{}", numbers.virtio - 1)).await
    } else if function.id == PIIX4_POWER {
        return piix4(function);
    } else {
        return log::debug!("{}: {:?}, no driver", function.address, function.device_type());
    };
    if let Err(error) = result {
        log::error!("{} ({:?}): {error}", function.address, function.device_type());
    }
}

/// Without ACPI tables (Bochs under UEFI firmware has none) this is the way to power off.
fn piix4(function: &Function) {
    const PMBA: u16 = 0x40;
    const PORTS: u32 = 0xFFC0;
    const PM1_CONTROL: u16 = 4;
    let base = (function.read(PMBA) & PORTS) as u16;
    if base != 0 {
        crate::firmware::power::found_pm1_control(base + PM1_CONTROL);
    }
}
