//! The extents of a file.

use super::Error;
use alloc::vec::Vec;

/// A run of a file's bytes on a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    /// Offset in the file.
    pub offset: u64,
    /// First byte on the device.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
}

/// The extents of a file, in the order of its bytes.
#[derive(Clone, Debug)]
pub struct ExtentMap {
    extents: Vec<Placed>,
    length: u64,
}

impl ExtentMap {
    /// Checks and places `(start, length)` extents of a device of `device_length` bytes.
    ///
    /// # Errors
    /// `Invalid`: empty, or not made of whole blocks; `OutOfRange`: beyond the device.
    pub fn new(
        extents: impl Iterator<Item = (u64, u64)>,
        device_length: u64,
        block_size: u32,
    ) -> Result<Self, Error> {
        let mut map = Self { extents: Vec::new(), length: 0 };
        for (start, length) in extents {
            if length == 0 || !(start | length).is_multiple_of(u64::from(block_size)) {
                return Err(Error::Invalid);
            }
            let end = start.checked_add(length).ok_or(Error::OutOfRange)?;
            if end > device_length {
                return Err(Error::OutOfRange);
            }
            map.push(start, length)?;
        }
        Ok(map)
    }

    fn push(&mut self, start: u64, length: u64) -> Result<(), Error> {
        let total = self.length.checked_add(length).ok_or(Error::OutOfRange)?;
        match self.extents.last_mut() {
            Some(last) if last.start + last.length == start => last.length += length,
            _ => self.extents.push(Placed { offset: self.length, start, length }),
        }
        self.length = total;
        Ok(())
    }

    /// The bytes that the extents hold.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where the byte at `offset` is, and how many bytes follow it there.
    pub fn locate(&self, offset: u64) -> Option<(u64, u64)> {
        let index = match self.extents.as_slice() {
            [_] => 0,
            extents => extents.partition_point(|extent| extent.offset <= offset).checked_sub(1)?,
        };
        let extent = self.extents.get(index)?;
        let within = offset.checked_sub(extent.offset)?;
        (within < extent.length).then(|| (extent.start + within, extent.length - within))
    }

    /// The `(start, length)` runs on the device of `length` bytes of this file from `offset` on.
    pub fn runs(&self, offset: u64, length: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut at = offset;
        let end = offset.saturating_add(length).min(self.length);
        core::iter::from_fn(move || {
            let (start, room) = self.locate(at).filter(|_| at < end)?;
            let length = room.min(end - at);
            at += length;
            Some((start, length))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(extents: &[(u64, u64)]) -> ExtentMap {
        ExtentMap::new(extents.iter().copied(), 1 << 40, 512).unwrap()
    }

    #[test]
    fn neighbours_are_merged_and_bad_extents_refused() {
        assert_eq!(map(&[(0, 512), (512, 512), (4096, 512)]).extents.len(), 2);
        let refused =
            |extents: &[(u64, u64)]| ExtentMap::new(extents.iter().copied(), 8192, 512).unwrap_err();
        assert_eq!(refused(&[(0, 0)]), Error::Invalid);
        assert_eq!(refused(&[(1, 512)]), Error::Invalid);
        assert_eq!(refused(&[(8192, 512)]), Error::OutOfRange);
        assert_eq!(refused(&[(!511, 512)]), Error::OutOfRange);
    }

    #[test]
    fn a_byte_is_located_in_its_extent() {
        let map = map(&[(8192, 512), (1024, 1024)]);
        assert_eq!(map.locate(0), Some((8192, 512)));
        assert_eq!(map.locate(511), Some((8703, 1)));
        assert_eq!(map.locate(512), Some((1024, 1024)));
        assert_eq!(map.locate(1536), None);
        assert_eq!(map.runs(256, 512).collect::<Vec<_>>(), [(8448, 256), (1024, 256)]);
    }
}
