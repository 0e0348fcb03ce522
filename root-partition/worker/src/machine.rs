//! What the worker's loop needs from the kernel: the seam between its logic and the system calls.

use crate::memory::GuestMemory;
use crate::ports::Host;
use hv_abi::message::HvMessage;
use hv_abi::register_page::HvX64RegisterPage;
use syscall::{Error, VmEvent, VmRegister};

/// The register page and the intercept-message page of a VP. While the VP stands still they change only by our hand.
pub trait VpPages {
    /// The intercept.
    fn message(&self) -> &HvMessage;
    /// The registers.
    fn registers(&mut self) -> &mut HvX64RegisterPage;
}

/// The VM, the channel to `vmms`, the clock and the log.
pub trait Machine: Host {
    /// Its RAM.
    type Memory: GuestMemory;
    /// The pages of a VP.
    type Pages: VpPages;

    /// Sets registers of a VP that stands still.
    ///
    /// # Errors
    /// What the kernel says.
    fn set_registers(&self, vp: u32, registers: &[VmRegister]) -> Result<(), Error>;

    /// Lets VP 0 run.
    ///
    /// # Errors
    /// What the kernel says.
    fn start(&self) -> Result<(), Error>;

    /// Stops every VP for good.
    fn stop(&self);

    /// Resumes a VP, if any, and waits for the next event or the monotonic time `deadline`.
    ///
    /// # Errors
    /// What the kernel says.
    fn run(&self, resume: Option<u32>, deadline: u64) -> Result<VmEvent, Error>;

    /// Sends `vmms` a message.
    ///
    /// # Errors
    /// `WouldBlock` when its queue is full, `PeerClosed` when it is gone.
    fn send(&self, message: &[u8]) -> Result<(), Error>;

    /// Takes the next message from `vmms`; its length.
    ///
    /// # Errors
    /// `WouldBlock` when there is none, `PeerClosed` when it is gone.
    fn receive(&self, into: &mut [u8]) -> Result<usize, Error>;

    /// The monotonic clock, in 100 ns.
    fn monotonic(&self) -> u64;

    /// Does nothing until the monotonic time `until`.
    fn sleep(&self, until: u64);

    /// A line for the host log.
    fn warn(&self, line: &str);

    /// Faults on purpose.
    fn crash(&self) -> !;

    /// Makes no call any more, on purpose.
    fn spin(&self) -> !;
}
