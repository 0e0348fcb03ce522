//! The registers of a synthetic interrupt controller, a guest's or a root VP's, by their MSR (TLFS 11.8).

use core::sync::atomic::{AtomicU64, Ordering};

use hv_abi::msr;
use hv_abi::synic::{HvSint, SINT_COUNT, SVERSION};

/// SCONTROL, SIEFP, SIMP and the SINTs.
#[derive(Debug)]
pub struct Registers {
    control: AtomicU64,
    event_flags_page: AtomicU64,
    message_page: AtomicU64,
    sints: [AtomicU64; SINT_COUNT],
}

/// As after reset.
impl Default for Registers {
    fn default() -> Self {
        let sints = [const { AtomicU64::new(HvSint::RESET.into_bits()) }; SINT_COUNT];
        let [control, event_flags_page, message_page] = Default::default();
        Self { control, event_flags_page, message_page, sints }
    }
}

impl Registers {
    fn register(&self, number: u32) -> Option<&AtomicU64> {
        match number {
            msr::HV_X64_MSR_SCONTROL => Some(&self.control),
            msr::HV_X64_MSR_SIEFP => Some(&self.event_flags_page),
            msr::HV_X64_MSR_SIMP => Some(&self.message_page),
            _ => self.sints.get(number.wrapping_sub(msr::HV_X64_MSR_SINT0) as usize),
        }
    }

    /// Reads one; `None`: it is not there.
    pub fn read(&self, number: u32) -> Option<u64> {
        match number {
            msr::HV_X64_MSR_SVERSION => Some(SVERSION),
            msr::HV_X64_MSR_EOM => Some(0),
            _ => self.register(number).map(|register| register.load(Ordering::Acquire)),
        }
    }
    /// Writes one; `None`: it is not there, or keeps nothing.
    pub fn write(&self, number: u32, value: u64) -> Option<()> {
        self.register(number)?.store(value, Ordering::Release);
        Some(())
    }

    /// The SINTs in order.
    pub fn sints(&self) -> impl Iterator<Item = HvSint> {
        self.sints.iter().map(|sint| HvSint::from(sint.load(Ordering::Acquire)))
    }
    /// The vector that a SINT asserts, if any.
    pub fn vector(&self, sint: usize) -> Option<u8> {
        let sint = HvSint::from(self.sints.get(sint)?.load(Ordering::Acquire));
        (!sint.masked() && !sint.polling() && sint.vector() >= 16).then_some(sint.vector())
    }
}
