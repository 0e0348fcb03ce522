//! Commands, and the registers that carry one (ATA8-ACS, 7).

use super::identify::{Identity, Mode};
use super::ports::{Ports, Register};
use crate::block::{Operation, Request};

/// Bytes of a sector.
pub const SECTOR: u64 = 512;
/// Sectors that 28 bits address.
pub const SECTORS_28: u64 = 1 << 28;
/// Sectors that 48 bits address.
pub const SECTORS_48: u64 = 1 << 48;

/// Command codes.
pub mod code {
    pub const READ_SECTORS: u8 = 0x20;
    pub const READ_SECTORS_EXT: u8 = 0x24;
    pub const READ_DMA_EXT: u8 = 0x25;
    pub const WRITE_SECTORS: u8 = 0x30;
    pub const WRITE_SECTORS_EXT: u8 = 0x34;
    pub const WRITE_DMA_EXT: u8 = 0x35;
    pub const READ_DMA: u8 = 0xC8;
    pub const WRITE_DMA: u8 = 0xCA;
    pub const FLUSH_CACHE: u8 = 0xE7;
    pub const FLUSH_CACHE_EXT: u8 = 0xEA;
    pub const IDENTIFY_DEVICE: u8 = 0xEC;
    pub const SET_FEATURES: u8 = 0xEF;
}

/// Bits of the status register.
pub mod status {
    pub const ERR: u8 = 1 << 0;
    pub const DRQ: u8 = 1 << 3;
    pub const DF: u8 = 1 << 5;
    pub const BSY: u8 = 1 << 7;
}

/// Of the device register: LBA instead of cylinders; bits 7 and 5 are set in all versions before ATA-6.
const DEVICE_LBA: u8 = 0xE0;

/// A command with its parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Command {
    /// Its code.
    pub code: u8,
    /// Whether its registers are written twice, for 48-bit addresses.
    pub ext: bool,
    /// Features.
    pub features: u8,
    /// Sectors.
    pub count: u16,
    /// First sector.
    pub lba: u64,
}

impl Command {
    /// A command without parameters.
    pub const fn plain(code: u8) -> Self {
        Self { code, ext: false, features: 0, count: 0, lba: 0 }
    }

    /// The command that carries out a read or write by `mode`, or a flush. `None`: the drive has none for it, or the
    /// range is not one that a command can name.
    pub fn new(request: &Request<'_>, identity: &Identity, mode: Mode) -> Option<Self> {
        let write = match request.operation {
            Operation::Flush => return Some(Self::plain(identity.flush?)),
            Operation::Discard => return None,
            Operation::Read => false,
            Operation::Write { .. } => true,
        };
        let (lba, sectors) = (request.offset / SECTOR, request.length / SECTOR);
        let end = lba.checked_add(sectors).filter(|&end| end <= identity.sectors)?;
        if !(1..=256).contains(&sectors) {
            return None;
        }
        let ext = end > SECTORS_28;
        let code = match (mode, write, ext) {
            (Mode::Dma, false, false) => code::READ_DMA,
            (Mode::Dma, false, true) => code::READ_DMA_EXT,
            (Mode::Dma, true, false) => code::WRITE_DMA,
            (Mode::Dma, true, true) => code::WRITE_DMA_EXT,
            (Mode::Pio, false, false) => code::READ_SECTORS,
            (Mode::Pio, false, true) => code::READ_SECTORS_EXT,
            (Mode::Pio, true, false) => code::WRITE_SECTORS,
            (Mode::Pio, true, true) => code::WRITE_SECTORS_EXT,
        };
        Some(Self { code, ext, features: 0, count: sectors as u16, lba })
    }

    /// Writes it to the registers of `drive`, which is selected; the drive begins.
    pub fn issue(&self, ports: &impl Ports, drive: usize) {
        let [low, mid, high, byte_3, byte_4, byte_5, ..] = self.lba.to_le_bytes();
        let [count, count_high] = self.count.to_le_bytes();
        let top = if self.ext { 0 } else { byte_3 & 0xF };
        if self.ext {
            ports.write(Register::Features, 0);
            ports.write(Register::Count, count_high);
            ports.write(Register::LbaLow, byte_3);
            ports.write(Register::LbaMid, byte_4);
            ports.write(Register::LbaHigh, byte_5);
        }
        ports.write(Register::Features, self.features);
        // 256 sectors are written as 0 where there is one byte.
        ports.write(Register::Count, count);
        ports.write(Register::LbaLow, low);
        ports.write(Register::LbaMid, mid);
        ports.write(Register::LbaHigh, high);
        ports.write(Register::Device, device(drive) | top);
        ports.write(Register::Command, self.code);
    }
}

/// The device register for `drive`.
pub fn device(drive: usize) -> u8 {
    DEVICE_LBA | ((drive & 1) as u8) << 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::PhysicalSegment;
    use std::sync::Mutex;

    struct Written(Mutex<Vec<(Register, u8)>>);

    impl Ports for Written {
        fn read(&self, _: Register) -> u8 {
            0
        }
        fn write(&self, register: Register, value: u8) {
            self.0.lock().unwrap().push((register, value));
        }
        fn read_data(&self) -> u16 {
            0
        }
        fn write_data(&self, _: u16) {}
        fn has_master(&self) -> bool {
            false
        }
        fn set_table(&self, _: u32) {}
    }

    fn issued(command: Command, drive: usize) -> Vec<(Register, u8)> {
        let ports = Written(Mutex::new(Vec::new()));
        command.issue(&ports, drive);
        ports.0.into_inner().unwrap()
    }

    const IDENTITY: Identity = Identity {
        sectors: 1 << 40,
        flush: Some(code::FLUSH_CACHE_EXT),
        dma: true,
        sets_dma: None,
        caches_without_flush: false,
    };

    fn request(operation: Operation, lba: u64, sectors: u64) -> Request<'static> {
        const SEGMENTS: &[PhysicalSegment] = &[PhysicalSegment { address: 0, length: 512 }];
        Request { operation, offset: lba * 512, length: sectors * 512, segments: SEGMENTS }
    }

    fn command(operation: Operation, lba: u64, sectors: u64, mode: Mode) -> Option<Command> {
        Command::new(&request(operation, lba, sectors), &IDENTITY, mode)
    }

    #[test]
    fn what_28_bits_address_needs_one_write_a_register() {
        use Register::{Command, Count, Device, Features, LbaHigh, LbaLow, LbaMid};
        let read = command(Operation::Read, 0xABC_DEF0, 256, Mode::Dma).unwrap();
        let registers = [
            (Features, 0),
            (Count, 0),
            (LbaLow, 0xF0),
            (LbaMid, 0xDE),
            (LbaHigh, 0xBC),
            (Device, 0xFA),
            (Command, 0xC8),
        ];
        assert_eq!(issued(read, 1), registers);
    }

    #[test]
    fn what_lies_beyond_is_addressed_by_48_bits() {
        use Register::{Command, Count, Device, Features, LbaHigh, LbaLow, LbaMid};
        let write = command(Operation::Write { fua: false }, 0x12_3456_789A, 256, Mode::Dma).unwrap();
        let registers = [
            (Features, 0),
            (Count, 1),
            (LbaLow, 0x34),
            (LbaMid, 0x12),
            (LbaHigh, 0),
            (Features, 0),
            (Count, 0),
            (LbaLow, 0x9A),
            (LbaMid, 0x78),
            (LbaHigh, 0x56),
            (Device, 0xE0),
            (Command, 0x35),
        ];
        assert_eq!(issued(write, 0), registers);
        let code = |lba, sectors| command(Operation::Read, lba, sectors, Mode::Pio).unwrap().code;
        assert_eq!((code(SECTORS_28 - 1, 1), code(SECTORS_28 - 1, 2)), (0x20, 0x24));
    }

    #[test]
    fn a_range_that_no_command_names_is_refused() {
        assert_eq!(command(Operation::Read, 0, 0, Mode::Dma), None);
        assert_eq!(command(Operation::Read, 0, 257, Mode::Dma), None);
        assert_eq!(command(Operation::Read, (1 << 40) - 1, 2, Mode::Dma), None);
        assert_eq!(command(Operation::Discard, 0, 1, Mode::Dma), None);
        assert_eq!(command(Operation::Flush, 0, 0, Mode::Dma), Some(Command::plain(0xEA)));
    }
}
