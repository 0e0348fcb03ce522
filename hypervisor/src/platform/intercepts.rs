//! What the root wants to hear of (`HvCallInstallIntercept`).

use hv_abi::interrupt::{InterceptType, access};
use hv_abi::status::{HvResult, HvStatus};

use crate::atomic::{AtomicBool, AtomicU64, Ordering};

/// Port ranges a partition can have.
const RANGES: usize = 16;

/// The intercepts of a partition. Changed under the caller's lock, read without one.
#[derive(Debug, Default)]
pub struct Intercepts {
    /// First port 15:0, last port 31:16, access 33:32; access 0: not used.
    ports: [AtomicU64; RANGES],
    eoi: AtomicBool,
}

impl Intercepts {
    /// Installs or, with an access mask of 0, removes one.
    ///
    /// # Errors
    /// `INVALID_PARAMETER`: a type that is not honoured, or an access that makes no sense. `INSUFFICIENT_BUFFERS`:
    /// too many ranges of ports.
    pub fn install(&self, kind: InterceptType, parameter: u64, access: u32) -> HvResult<()> {
        if access & !(access::READ | access::WRITE | access::EXECUTE) != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        match kind {
            InterceptType::X64_APIC_EOI => self.eoi.store(access != 0, Ordering::Release),
            InterceptType::X64_IO_PORT if parameter <= 0xFFFF => {
                return self.install_ports(parameter | (parameter << 16), access);
            }
            InterceptType::X64_IO_PORT_RANGE if parameter <= 0xFFFF_FFFF => {
                return self.install_ports(parameter, access);
            }
            _ => return Err(HvStatus::INVALID_PARAMETER),
        }
        Ok(())
    }

    fn install_ports(&self, range: u64, access: u32) -> HvResult<()> {
        if access & access::EXECUTE != 0 || range & 0xFFFF > range >> 16 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let same = |slot: &&AtomicU64| {
            let value = slot.load(Ordering::Acquire);
            value >> 32 != 0 && value & 0xFFFF_FFFF == range
        };
        let free = |slot: &&AtomicU64| slot.load(Ordering::Acquire) >> 32 == 0;
        let slot = match (self.ports.iter().find(same), access) {
            (Some(slot), _) => slot,
            (None, 0) => return Ok(()),
            (None, _) => self.ports.iter().find(free).ok_or(HvStatus::INSUFFICIENT_BUFFERS)?,
        };
        slot.store(range | (u64::from(access) << 32), Ordering::Release);
        Ok(())
    }

    /// Whether the root answers this access to this port.
    #[inline]
    pub fn port(&self, port: u16, write: bool) -> bool {
        let wanted = if write { access::WRITE } else { access::READ };
        self.ports.iter().map(|slot| slot.load(Ordering::Acquire)).any(|slot| {
            (slot >> 32) as u32 & wanted != 0 && slot as u16 <= port && port <= (slot >> 16) as u16
        })
    }
    /// Whether the root hears of the EOI of level-triggered interrupts.
    #[inline]
    pub fn eoi(&self) -> bool {
        self.eoi.load(Ordering::Acquire)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn ranges_come_and_go() {
        let intercepts = Intercepts::default();
        assert!(!intercepts.port(0x3F8, true));
        intercepts.install(InterceptType::X64_IO_PORT_RANGE, 0x03FF_03F8, 3).unwrap();
        intercepts.install(InterceptType::X64_IO_PORT, 0x70, access::WRITE).unwrap();
        let hit = |port, write| intercepts.port(port, write);
        assert!(hit(0x3F8, true) && hit(0x3FF, false) && !hit(0x3F7, true) && !hit(0x400, true));
        assert!(hit(0x70, true) && !hit(0x70, false) && !hit(0, true));
        intercepts.install(InterceptType::X64_IO_PORT_RANGE, 0x03FF_03F8, 0).unwrap();
        assert!(!hit(0x3F8, true) && hit(0x70, true));
    }

    #[test]
    fn nonsense_is_refused() {
        let intercepts = Intercepts::default();
        let bad = Err(HvStatus::INVALID_PARAMETER);
        assert_eq!(intercepts.install(InterceptType::X64_IO_PORT, 0x1_0000, 1), bad);
        assert_eq!(intercepts.install(InterceptType::X64_IO_PORT_RANGE, 0x0001_0002, 1), bad);
        assert_eq!(intercepts.install(InterceptType::X64_IO_PORT, 1, 8), bad);
        for unheeded in [InterceptType::X64_CPUID, InterceptType::UNKNOWN_SYNIC_CONNECTION] {
            assert_eq!(intercepts.install(unheeded, 1, 1), bad);
        }
        for port in 0..RANGES as u64 {
            intercepts.install(InterceptType::X64_IO_PORT, port, 1).unwrap();
        }
        let full = intercepts.install(InterceptType::X64_IO_PORT, 999, 1);
        assert_eq!(full, Err(HvStatus::INSUFFICIENT_BUFFERS));
    }
}
