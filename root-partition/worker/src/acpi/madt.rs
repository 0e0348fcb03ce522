//! Multiple APIC Description Table (ACPI 6.5, 5.2.12).

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use crate::device::ioapic;
use acpi_tables::madt::{EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic};
use acpi_tables::{Aml, AmlSink};
use hv_abi::control::LOCAL_APIC;
use zerocopy::{Immutable, IntoBytes};

const PROCESSOR_LOCAL_X2APIC: u8 = 9;

/// Processor Local x2APIC Structure (5.2.12.12): for APIC ids that do not fit a byte.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
struct LocalX2Apic {
    structure_type: u8,
    length: u8,
    reserved: [u8; 2],
    x2apic_id: u32,
    flags: u32,
    processor_uid: u32,
}

const _: () = assert!(size_of::<LocalX2Apic>() == 16);

impl Aml for LocalX2Apic {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(self.as_bytes());
    }
}

/// The table for APIC ids 0 to `vps - 1`; a processor's UID is its APIC id.
pub fn madt(vps: u32) -> MADT {
    let mut madt =
        MADT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION, LocalInterruptController::Address(LOCAL_APIC as u32));
    for id in 0..vps {
        match u8::try_from(id) {
            Ok(id) if id < u8::MAX => {
                madt.add_structure(ProcessorLocalApic::new(id, id, EnabledStatus::Enabled))
            }
            _ => madt.add_structure(LocalX2Apic {
                structure_type: PROCESSOR_LOCAL_X2APIC,
                length: size_of::<LocalX2Apic>() as u8,
                reserved: [0; 2],
                x2apic_id: id,
                flags: EnabledStatus::Enabled as u32,
                processor_uid: id,
            }),
        }
    }
    madt.add_structure(IoApic::new(0, ioapic::BASE as u32, 0));
    madt
}
