//! Channels: pairs of message queues that carry bytes and handles.

use crate::Handle;
use crate::call::{address, address_mut, call, count};
use crate::handle::object;
use alloc::vec::Vec;
use syscall::{Call, Error, MESSAGE_HANDLES_MAX, PARENT_HANDLE};

object! {
    /// One end of a channel.
    Channel
}

/// A message that was taken from a channel.
#[derive(Debug)]
pub struct Received {
    /// How many bytes of the buffer it filled.
    pub length: usize,
    /// The handles that came with it.
    pub handles: Vec<Handle>,
}

impl Channel {
    /// The channel to `vmms` that a worker starts with; taken once.
    #[must_use]
    pub fn parent() -> Self {
        Handle::from_raw(PARENT_HANDLE).into()
    }

    /// A channel: its two ends.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn pair() -> Result<(Self, Self), Error> {
        let mut ends = [0_u32; 2];
        call(Call::ChannelCreate, [address_mut(&mut ends)])?;
        let [first, second] = ends.map(Handle::from_raw);
        Ok((first.into(), second.into()))
    }

    /// Sends a message of at most [`MESSAGE_MAX`](syscall::MESSAGE_MAX) bytes.
    ///
    /// # Errors
    /// `WouldBlock` when the queue is full, `PeerClosed`.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        call(Call::ChannelSend, [self.0.argument(), address(bytes), count(bytes), 0, 0]).map(drop)
    }

    /// Sends a message with at most [`MESSAGE_HANDLES_MAX`] handles, which are the receiver's then.
    ///
    /// # Errors
    /// As [`Channel::send`]; the handles come back.
    pub fn send_with(&self, bytes: &[u8], handles: Vec<Handle>) -> Result<(), (Error, Vec<Handle>)> {
        let numbers: Vec<u32> = handles.iter().map(Handle::raw).collect();
        let arguments =
            [self.0.argument(), address(bytes), count(bytes), address(numbers.as_slice()), count(&numbers)];
        match call(Call::ChannelSend, arguments) {
            Ok(_) => {
                for handle in handles {
                    handle.into_raw();
                }
                Ok(())
            }
            Err(error) => Err((error, handles)),
        }
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// `WouldBlock` when there is none, `PeerClosed` when there will be none, `TooSmall` (the message stays).
    pub fn receive(&self, into: &mut [u8]) -> Result<Received, Error> {
        let mut numbers = [0_u32; MESSAGE_HANDLES_MAX];
        let arguments = [
            self.0.argument(),
            address_mut(into),
            count(into),
            address_mut(&mut numbers),
            MESSAGE_HANDLES_MAX as u64,
        ];
        let value = call(Call::ChannelReceive, arguments)?;
        let (length, handles) = ((value & 0xFFFF_FFFF) as usize, (value >> 32) as usize);
        let handles = numbers.iter().take(handles).map(|&number| Handle::from_raw(number)).collect();
        Ok(Received { length, handles })
    }
}
