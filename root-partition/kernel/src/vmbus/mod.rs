//! The VMBus host of each virtual machine, and its services.

use crate::block::File;
use crate::vm::Vm;
use alloc::sync::Arc;
use syscall::{DiskAttach, Error};

/// Offers `file` to the guest as a SCSI disk.
///
/// # Errors
/// `Exists`: the unit number is taken.
pub fn attach_disk(_vm: &Arc<Vm>, _file: Arc<File>, _attach: &DiskAttach) -> Result<(), Error> {
    Err(Error::Unsupported)
}
