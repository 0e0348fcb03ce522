//! What the channels of a controller share: its disks, and whether the driver has done its handshake.
//!
//! A channel that takes a request takes no lock for it: disks come, and stay until the controller goes.

use super::disk::Disk;
use super::scsi::Unit;
use core::sync::atomic::{AtomicBool, Ordering, fence};
use spin::Once;

/// Logical units of a controller.
pub const LUNS: usize = 64;

/// A SCSI controller of a VM.
#[derive(Debug)]
pub struct Controller<D> {
    pub(super) luns: [Once<Lun<D>>; LUNS],
    /// The most channels that there may be beside the primary one.
    sub_channels_max: u16,
    /// The driver has done the handshake: commands are taken, on all channels.
    is_ready: AtomicBool,
    /// The guest is to look for disks again.
    must_announce: AtomicBool,
}

#[derive(Debug)]
pub(super) struct Lun<D> {
    pub disk: D,
    pub unit: Unit,
}

impl<D: Disk> Controller<D> {
    /// A controller without disks, for a guest that may have this many channels beside the primary one.
    #[must_use]
    pub fn new(sub_channels_max: u16) -> Self {
        Self {
            luns: [const { Once::new() }; LUNS],
            sub_channels_max,
            is_ready: AtomicBool::new(false),
            must_announce: AtomicBool::new(false),
        }
    }

    /// Puts a disk on a logical unit; a guest that runs is told at the next run of the primary channel. `false`: the
    /// unit is taken, or there is none, or there can be no such disk.
    pub fn attach(&self, lun: u8, disk: D) -> bool {
        let Some(unit) = Unit::new(disk.geometry()) else { return false };
        let Some(slot) = self.luns.get(usize::from(lun)) else { return false };
        let mut new = Some(Lun { disk, unit });
        // Not called where the unit is taken: the disk is still there then.
        let _ = slot.try_call_once(|| new.take().ok_or(()));
        let attached = new.is_none();
        // Either this sees that the driver is ready, or the driver, when it looks for disks, sees this one: `set_ready`.
        fence(Ordering::SeqCst);
        if attached && self.is_ready() {
            self.must_announce.store(true, Ordering::Relaxed);
        }
        attached
    }
}

impl<D> Controller<D> {
    pub(super) fn lun(&self, number: u8) -> Option<&Lun<D>> {
        self.luns.get(usize::from(number)).and_then(Once::get)
    }

    pub(super) fn sub_channels_max(&self) -> u16 {
        self.sub_channels_max
    }

    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    pub(super) fn set_ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Relaxed);
        // What a driver that is ready reads of the disks is read behind that: `attach`.
        fence(Ordering::SeqCst);
        if !is_ready {
            self.announced();
        }
    }

    #[inline]
    pub(super) fn must_announce(&self) -> bool {
        self.must_announce.load(Ordering::Relaxed) && self.is_ready()
    }

    pub(super) fn announced(&self) {
        self.must_announce.store(false, Ordering::Relaxed);
    }
}
