//! Finding the drives of a channel. Interrupts are off meanwhile.

use super::command::{Command, code, device, status};
use super::identify::{self, Identity, WORDS};
use super::ports::{Ports, Register};
use super::reset::{reset, wait};
use crate::time;

/// What the status register of a channel without drives reads as.
const FLOATING: [u8; 2] = [0xFF, 0x7F];
/// How long a drive may be busy with a command, in 100 ns.
const PATIENCE: u64 = 10 * time::SECOND;

/// A drive that was found.
pub struct Found {
    /// What it says about itself.
    pub identity: Identity,
    /// Its model.
    pub model: alloc::string::String,
}

/// Resets the channel behind `ports` and asks both drives what they are; only disks that can be used are found.
pub async fn drives(ports: &impl Ports) -> [Option<Found>; 2] {
    if FLOATING.contains(&ports.read(Register::Control)) || !reset(ports).await {
        return [const { None }; 2];
    }
    [drive(ports, 0).await, drive(ports, 1).await]
}

async fn drive(ports: &impl Ports, number: usize) -> Option<Found> {
    let words = identify(ports, number).await?;
    let model = identify::model(&words);
    if identify::is_atapi(&words) {
        log::info!("ata: {model}: no disk");
        return None;
    }
    let Some(mut identity) = Identity::parse(&words) else {
        log::warn!("ata: {model}: left out: no LBA, or blocks of other than 512 bytes");
        return None;
    };
    if let Some(mode) = identity.sets_dma {
        const TRANSFER_MODE: u8 = 0x03;
        identity.dma = set_feature(ports, number, TRANSFER_MODE, mode).await;
    }
    if identity.caches_without_flush {
        const NO_WRITE_CACHE: u8 = 0x82;
        if !set_feature(ports, number, NO_WRITE_CACHE, 0).await {
            log::warn!("ata: {model}: its write cache can be neither flushed nor turned off");
        }
    }
    Some(Found { identity, model })
}

/// Carries out a command without data; whether it succeeded.
async fn set_feature(ports: &impl Ports, drive: usize, features: u8, count: u8) -> bool {
    let command = Command { features, count: u16::from(count), ..Command::plain(code::SET_FEATURES) };
    run(ports, drive, command).await.is_some_and(|status| status & (status::ERR | status::DF) == 0)
}

/// Gives `drive` a command and waits until it is not busy any more; its status then. `None`: there is no such drive.
async fn run(ports: &impl Ports, drive: usize, command: Command) -> Option<u8> {
    ports.write(Register::Device, device(drive));
    ports.settle();
    let before = ports.read(Register::Control);
    // The master answers for a slave that is not there, with zero.
    if before == 0 || FLOATING.contains(&before) || !wait(ports, PATIENCE).await {
        return None;
    }
    command.issue(ports, drive);
    ports.settle();
    if !wait(ports, PATIENCE).await {
        return None;
    }
    Some(ports.read(Register::Command)).filter(|&status| status != 0)
}

/// What a drive says about itself, as a disk or as an ATAPI device.
async fn identify(ports: &impl Ports, drive: usize) -> Option<[u16; WORDS]> {
    let mut status = run(ports, drive, Command::plain(code::IDENTIFY_DEVICE)).await?;
    if status & status::DRQ == 0 {
        const IDENTIFY_PACKET_DEVICE: u8 = 0xA1;
        const SIGNATURES: [(u8, u8); 2] = [(0x14, 0xEB), (0x69, 0x96)];
        let signature = (ports.read(Register::LbaMid), ports.read(Register::LbaHigh));
        if !SIGNATURES.contains(&signature) {
            return None;
        }
        status = run(ports, drive, Command::plain(IDENTIFY_PACKET_DEVICE)).await?;
    }
    if status & status::DRQ == 0 {
        return None;
    }
    Some(core::array::from_fn(|_| ports.read_data()))
}
