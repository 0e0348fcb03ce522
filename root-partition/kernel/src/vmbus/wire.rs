//! What the hypervisor does for the bus of one VM.

use hv_abi::HvVpIndex;
use syscall::Error;

/// There is no room for the message now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom;

/// The way from the host's end of a VM's bus to its guest. None of it waits.
pub trait Wire: Send + Sync {
    /// Posts a VMBus message (at most 240 bytes) to SINT 2 of the VP.
    ///
    /// # Errors
    /// The guest's queue is full. A guest that is gone takes everything.
    fn post(&self, vp: HvVpIndex, payload: &[u8]) -> Result<(), NoRoom>;

    /// Sets event flag `flag` of SINT 2 of the VP, and lets it run if it has halted.
    fn signal(&self, vp: HvVpIndex, flag: u16);

    /// Lets the guest signal channel `relid` by its connection.
    ///
    /// # Errors
    /// No memory for the port; `LimitReached`: no event flag is free.
    fn connect(&self, relid: u32) -> Result<(), Error>;

    /// Ends that.
    fn disconnect(&self, relid: u32);

    /// The partition's reference time, in 100 ns.
    fn reference_time(&self) -> u64;
}
