//! The device below the file system.
//!
//! The superblock says whether the journal has to be replayed. `rsext4` writes it in the middle of what it takes from the
//! journal to its place; were the power cut right then, the rest would be lost. So a written superblock is held back
//! until the next flush, and reaches the medium after everything else.

use super::volume::Device;
use alloc::vec::Vec;
use rsext4::{BlockIo, DeviceCapabilities, DeviceGeometry, Ext4Error, Ext4Result, SectorId};

/// Bytes in what `rsext4` calls a sector.
const SECTOR: u32 = 512;
/// Where the superblock is, in bytes.
const SUPERBLOCK: u64 = 1024;
/// The largest block of a file system, in bytes.
const BLOCK_MAX: usize = 65_536;

/// A device whose superblock is written last.
pub struct Blocks<D> {
    device: D,
    /// A write that contains the superblock: where and what.
    held: Option<(u64, Vec<u8>)>,
}

impl<D: Device> Blocks<D> {
    pub fn new(device: D) -> Self {
        Self { device, held: None }
    }

    fn write_held(&mut self) -> Ext4Result<()> {
        let Some((at, bytes)) = self.held.take() else { return Ok(()) };
        self.device.flush().and_then(|()| self.device.write(at, &bytes)).map_err(|_| Ext4Error::io())
    }
}

impl<D: Device> BlockIo for Blocks<D> {
    fn write(&mut self, buffer: &[u8], sector: SectorId, _count: u32) -> Ext4Result<()> {
        let at = sector.raw().saturating_mul(SECTOR.into());
        let end = at.saturating_add(buffer.len() as u64);
        let held = self.held.as_ref().map(|(held, bytes)| *held..*held + bytes.len() as u64);
        if held
            .is_some_and(|held| at < held.end && held.start < end && !(at <= held.start && held.end <= end))
        {
            self.write_held()?;
        }
        if at <= SUPERBLOCK && SUPERBLOCK < end && buffer.len() <= BLOCK_MAX {
            self.held = Some((at, buffer.to_vec()));
            return Ok(());
        }
        // One that is all within this write is written with it.
        if self.held.as_ref().is_some_and(|(held, _)| at <= *held && *held < end) {
            self.held = None;
        }
        self.device.write(at, buffer).map_err(|_| Ext4Error::io())
    }

    fn read(&mut self, buffer: &mut [u8], sector: SectorId, _count: u32) -> Ext4Result<()> {
        let at = sector.raw().saturating_mul(SECTOR.into());
        self.device.read(at, buffer).map_err(|_| Ext4Error::io())?;
        let Some((held, bytes)) = &self.held else { return Ok(()) };
        for (place, &byte) in (*held..).zip(bytes) {
            let index = place.checked_sub(at).and_then(|index| usize::try_from(index).ok());
            if let Some(target) = index.and_then(|index| buffer.get_mut(index)) {
                *target = byte;
            }
        }
        Ok(())
    }

    fn geometry(&self) -> DeviceGeometry {
        DeviceGeometry::new(SECTOR, self.device.length() / u64::from(SECTOR))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        DeviceCapabilities { flush: true, ..DeviceCapabilities::default() }
    }

    fn flush(&mut self) -> Ext4Result<()> {
        self.write_held()?;
        self.device.flush().map_err(|_| Ext4Error::io())
    }
}

#[cfg(test)]
mod tests {
    use super::Blocks;
    use crate::store::Device;
    use rsext4::{BlockIo, SectorId};
    use syscall::Error;

    #[derive(Default)]
    struct Log(Vec<u8>, Vec<(u64, usize)>);

    impl Device for Log {
        fn length(&self) -> u64 {
            self.0.len() as u64
        }

        fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
            into.copy_from_slice(&self.0[offset as usize..][..into.len()]);
            Ok(())
        }

        fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), Error> {
            self.0[offset as usize..][..from.len()].copy_from_slice(from);
            self.1.push((offset, from.len()));
            Ok(())
        }

        fn flush(&mut self) -> Result<(), Error> {
            self.1.push((0, 0));
            Ok(())
        }
    }

    #[test]
    fn the_superblock_is_written_last_and_read_at_once() {
        let mut blocks = Blocks::new(Log(vec![0; 64 << 10], Vec::new()));
        blocks.write(&[1; 4096], SectorId::new(0), 8).unwrap();
        blocks.write(&[2; 4096], SectorId::new(8), 8).unwrap();
        let mut read = [0; 6144];
        blocks.read(&mut read[..5120], SectorId::new(2), 10).unwrap();
        assert!(read[..3072].iter().all(|&byte| byte == 1) && read[3072..5120].iter().all(|&byte| byte == 2));
        assert_eq!(blocks.device.1, [(4096, 4096)]);
        blocks.write(&[3; 4096], SectorId::new(0), 8).unwrap();
        blocks.flush().unwrap();
        assert_eq!(blocks.device.1, [(4096, 4096), (0, 0), (0, 4096), (0, 0)]);
        assert_eq!(blocks.device.0[1024], 3);
        // A part of it alone goes behind it.
        blocks.write(&[4; 1024], SectorId::new(2), 2).unwrap();
        blocks.write(&[5; 512], SectorId::new(3), 1).unwrap();
        blocks.flush().unwrap();
        assert_eq!((blocks.device.0[1024], blocks.device.0[1536]), (4, 5));
        blocks.write(&[6; 4096], SectorId::new(0), 8).unwrap();
        blocks.write(&[7; 1024], SectorId::new(2), 2).unwrap();
        blocks.flush().unwrap();
        assert_eq!((blocks.device.0[0], blocks.device.0[1024], blocks.device.0[2048]), (6, 7, 6));
    }
}
