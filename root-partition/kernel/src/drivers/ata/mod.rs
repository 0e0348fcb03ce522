//! ATA disks on PCI IDE controllers (ATA8-ACS; "Programming Interface for Bus Master IDE Controller" 1.0; names are theirs).
//!
//! Written here because the published crates are PIO loops that wait inside, without DMA, 48-bit addresses or flushes.
//!
//! 1. A controller has two channels, a channel up to two drives, and one command at a time: [`channel`] is a channel.
//! 2. Data moves by bus-master DMA where controller and drive can, else by PIO, a sector an interrupt. A drive whose DMA
//!    timed out twice in a row is served by PIO from then on; the boot option `ata-pio` has every drive served so.
//! 3. A command that takes too long ends with an error, and its channel is reset ([`watch`]). An interrupt that was lost,
//!    or that arrives nowhere, costs time only: the same task looks whether a command is done.
//! 4. A write with force unit access is a write, then a flush. A flush is FLUSH CACHE (EXT); a drive that has neither
//!    has its write cache turned off.
//!
//! Not covered: ATAPI (left out), blocks of other than 512 bytes, controllers that are no PCI functions, AHCI. What the
//! firmware set the controller's timing and the drives' transfer mode to is left as it is.

mod channel;
mod command;
mod identify;
mod ports;
mod prd;
mod recover;
mod transfer;

#[cfg(not(test))]
mod probe;
#[cfg(not(test))]
mod reset;
#[cfg(not(test))]
mod start;
#[cfg(not(test))]
mod watch;
#[cfg(not(test))]
pub(crate) use start::start;

use crate::block::{Completion, Device, Info, Limits, Request};
use alloc::string::String;
use alloc::sync::Arc;
use channel::Channel;
use command::SECTOR;
use identify::Identity;
use ports::Ports;

/// A drive.
struct Ata<P> {
    info: Info,
    channel: Arc<Channel<P>>,
    /// 0: master; 1: slave.
    drive: usize,
}

impl<P: Ports> Ata<P> {
    fn new(name: String, channel: Arc<Channel<P>>, drive: usize, identity: &Identity) -> Self {
        let limits = Limits {
            transfer: channel::TRANSFER_MAX,
            segments: channel::SEGMENTS_MAX,
            page_boundaries: true,
            discard: 0,
        };
        let length = identity.sectors.min(u64::MAX / SECTOR) * SECTOR;
        let info = Info { name, block_size: SECTOR as u32, length, read_only: false, limits };
        Self { info, channel, drive }
    }
}

impl<P: Ports> Device for Ata<P> {
    fn info(&self) -> &Info {
        &self.info
    }

    fn submit(&self, request: &Request<'_>, completion: Arc<dyn Completion>, tag: u64) {
        self.channel.submit(self.drive, request, completion, tag);
    }
}
