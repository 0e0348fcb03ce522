//! Exits and entries of a VP on a backend that is registers only.

mod any;
mod delegation;
mod delivery;
mod instructions;
mod intercepts;
mod ipi;
mod timers;

extern crate std;
use super::*;
use crate::backend::{Access, Reset, SecondLevelFault};
use crate::fake::{FakeVp, IF, Partition, TICKS};
use crate::msr::register;
use crate::vp::counter;
use hv_abi::control::{cr4, efer};
use hv_abi::message::{
    ApicEoiMessage, HvMessage, HvMessageType, InterceptAccess, InterceptMessageHeader,
    IoPortInterceptMessage, MemoryInterceptMessage, TimerMessage,
};
use hv_abi::registers::{HvRegisterName, HvRegisterValue, HvSegmentRegister};
use proptest::prelude::*;
use std::vec;
use zerocopy::FromBytes;

const SVR: u32 = 0x80F;
const EOI: u32 = 0x80B;
const ICR: u32 = 0x830;
const SELF_IPI: u32 = 0x83F;
const TPR: u32 = 0x808;

/// A VP whose APIC is enabled.
fn running(partition: &Partition, index: u32) -> FakeVp {
    let mut vp = FakeVp::new(index);
    partition.wrmsr(&mut vp, SVR, 0x1FF).unwrap();
    assert_eq!(partition.before(&mut vp), Next::Enter);
    vp
}

fn message(vp: &FakeVp) -> HvMessage {
    let mut bytes = [0; 256];
    vp.message_page.copy_out(0, &mut bytes);
    HvMessage::read_from_bytes(&bytes).unwrap()
}
