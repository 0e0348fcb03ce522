//! The registers of a channel.

/// A register that is a byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Register {
    /// Features; error when read.
    Features,
    /// Sector count.
    Count,
    /// LBA bits 7:0, or 31:24.
    LbaLow,
    /// LBA bits 15:8, or 39:32.
    LbaMid,
    /// LBA bits 23:16, or 47:40.
    LbaHigh,
    /// Device, with LBA bits 27:24.
    Device,
    /// Command; status when read, which ends the interrupt.
    Command,
    /// Device control; alternate status when read.
    Control,
    /// Bus master command.
    MasterCommand,
    /// Bus master status.
    MasterStatus,
}

/// Access to them. The bus master's are there for channels that do DMA only.
pub trait Ports: Send + Sync + 'static {
    /// Reads a register.
    fn read(&self, register: Register) -> u8;
    /// Writes a register.
    fn write(&self, register: Register, value: u8);
    /// Reads the data register.
    fn read_data(&self) -> u16;
    /// Writes the data register.
    fn write_data(&self, value: u16);
    /// Whether there is a bus master.
    fn has_master(&self) -> bool;
    /// Tells the bus master the physical address of its table.
    fn set_table(&self, address: u32);

    /// Waits for at least 400 ns, within which a drive puts its status right: reading a port takes 100 ns or more.
    fn settle(&self) {
        for _ in 0..4 {
            self.read(Register::Control);
        }
    }
}

#[cfg(not(test))]
mod io {
    use super::{Ports, Register};
    use crate::arch::port;

    /// The port numbers of a channel.
    #[derive(Clone, Copy, Debug)]
    pub struct IoPorts {
        /// First port of the command block: data, features and so on.
        pub command: u16,
        /// Device control.
        pub control: u16,
        /// First port of the bus master's block.
        pub master: Option<u16>,
    }

    impl IoPorts {
        /// `None`: there is no such port.
        fn number(&self, register: Register) -> Option<u16> {
            Some(match register {
                Register::Features => self.command + 1,
                Register::Count => self.command + 2,
                Register::LbaLow => self.command + 3,
                Register::LbaMid => self.command + 4,
                Register::LbaHigh => self.command + 5,
                Register::Device => self.command + 6,
                Register::Command => self.command + 7,
                Register::Control => self.control,
                Register::MasterCommand => self.master?,
                Register::MasterStatus => self.master? + 2,
            })
        }
    }

    impl Ports for IoPorts {
        fn read(&self, register: Register) -> u8 {
            self.number(register).map_or(0, port::read)
        }

        fn write(&self, register: Register, value: u8) {
            if let Some(number) = self.number(register) {
                port::write(number, value);
            }
        }

        fn read_data(&self) -> u16 {
            port::read(self.command)
        }

        fn write_data(&self, value: u16) {
            port::write(self.command, value);
        }

        fn has_master(&self) -> bool {
            self.master.is_some()
        }

        fn set_table(&self, address: u32) {
            if let Some(master) = self.master {
                port::write(master + 4, address);
            }
        }
    }
}
#[cfg(not(test))]
pub use io::IoPorts;
