//! Fixed ACPI Description Table (ACPI 6.5, 5.2.9).

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use crate::device::{cmos, power};
use acpi_tables::fadt::{FADT, FADTBuilder, Flags, PmProfile};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};

/// `IAPC_BOOT_ARCH`: there are ISA devices; VGA must not be probed for. The bits of the keyboard controller, of a
/// missing RTC and of unsupported MSI stay clear.
const LEGACY_DEVICES: u16 = 1;
const VGA_NOT_PRESENT: u16 = 1 << 2;
/// `Hypervisor Vendor Identity`.
const HYPERVISOR: [u8; 8] = *b"Bulkhead";

fn port(number: u16) -> GAS {
    GAS::new(AddressSpace::SystemIo, 8, 0, AccessSize::ByteAccess, u64::from(number))
}

/// The table; the DSDT is at `dsdt`.
pub fn fadt(dsdt: u64) -> FADT {
    let mut builder = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .dsdt_64(dsdt)
        .preferred_pm_profile(PmProfile::EnterpriseServer);
    for flag in [
        Flags::Wbinvd,
        Flags::PwrButton,
        Flags::SlpButton,
        Flags::FixRtc,
        Flags::ResetRegSup,
        Flags::Headless,
        Flags::ForceApicPhysicalDestinationMode,
        Flags::HwReducedAcpi,
    ] {
        builder = builder.flag(flag);
    }
    builder.iapc_boot_arch = (LEGACY_DEVICES | VGA_NOT_PRESENT).into();
    builder.century = cmos::CENTURY;
    builder.reset_reg = port(power::RESET);
    builder.reset_value = power::RESET_VALUE;
    builder.sleep_control_reg = port(power::SLEEP_CONTROL);
    builder.sleep_status_reg = port(power::SLEEP_STATUS);
    builder.hypervisor_vendor_identity = u64::from_le_bytes(HYPERVISOR).into();
    builder.finalize()
}
