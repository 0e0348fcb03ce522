//! Files: bytes at consecutive offsets on a block device.

use crate::Handle;
use crate::call::{address, address_mut, call, count};
use crate::guest_ram::GuestRam;
use crate::handle::{Object, object};
use hv_abi::Gpa;
use syscall::{Call, Error, Extent, FileCreate};

object! {
    /// A file, a partition or a whole disk.
    File
}

impl File {
    /// The file of `length` bytes in the given extents of this one, which is a device or a partition.
    ///
    /// # Errors
    /// `InvalidArgument`: an extent reaches beyond the device, or `length` beyond the extents.
    pub fn create(&self, extents: &[Extent], length: u64, read_only: bool) -> Result<Self, Error> {
        let create = FileCreate {
            extents: address(extents),
            extent_count: count(extents),
            length,
            read_only: u64::from(read_only),
        };
        let handle = call(Call::FileCreate, [self.0.argument(), address(&create)])?;
        Ok(Handle::returned(handle).into())
    }

    /// Reads exactly `into.len()` bytes from `offset` on. Waits.
    ///
    /// # Errors
    /// `InvalidArgument` beyond the end, `Io`.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        call(Call::FileRead, [self.0.argument(), offset, address_mut(into), count(into)]).map(drop)
    }

    /// Reads `length` bytes from `offset` on to guest memory. Waits.
    ///
    /// # Errors
    /// `BadAddress` when it is not all RAM; as [`File::read`].
    pub fn read_to_guest(&self, offset: u64, to: &mut GuestRam, at: Gpa, length: u64) -> Result<(), Error> {
        let place = to.place(at, length).map_err(|_| Error::BadAddress)?;
        call(Call::FileRead, [self.0.argument(), offset, place as u64, length]).map(drop)
    }

    /// Writes `from` to `offset`. Waits.
    ///
    /// # Errors
    /// `InvalidArgument` beyond the end, `InvalidState` when it is read only, `Io`.
    pub fn write(&self, offset: u64, from: &[u8]) -> Result<(), Error> {
        call(Call::FileWrite, [self.0.argument(), offset, address(from), count(from)]).map(drop)
    }

    /// Everything written is on the medium when it returns. Waits.
    ///
    /// # Errors
    /// `Io`.
    pub fn flush(&self) -> Result<(), Error> {
        call(Call::FileFlush, [self.0.argument()]).map(drop)
    }

    /// Its length in bytes.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn length(&self) -> Result<u64, Error> {
        call(Call::FileLength, [self.handle().argument()])
    }
}
