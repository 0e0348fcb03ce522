//! Hypercalls as a test makes them: input and output in memory, registers set up, the result read back.

extern crate std;

use std::vec::Vec;

use hv_abi::hypercall::{HypercallInput, HypercallOutput};
use hv_abi::memory::{DepositMemory, WithdrawMemory};
use hv_abi::partition::{CreatePartition, CreatePartitionOutput, PartitionOnly, creation_flags};
use hv_abi::status::{HvResult, HvStatus};
use hv_abi::{CallCode, HvPartitionId, SpaPage};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{FakeBackend, FakeMachine, hypervisor};
use crate::backend::VirtualProcessorBackend;
use crate::hypercall::{Caller, hypercall};
use crate::hypervisor::Hypervisor;
use crate::machine::Page;
use crate::partition::Partition;

/// Where the root's input and output are.
pub const INPUT: u64 = 16;
const OUTPUT: u64 = 17;

/// The root partition as a test plays it, and a simple allocator of its RAM.
pub struct Root {
    /// The hypervisor.
    pub hv: &'static Hypervisor<FakeMachine>,
    /// Its VP's registers.
    pub backend: FakeBackend,
    /// RAM that is free.
    pub free: Vec<u64>,
}

impl Root {
    /// A machine just started; the root has deposited some pages for itself.
    pub fn new() -> Self {
        let mut backend = FakeBackend::default();
        backend.set_second_level_root(SpaPage::default());
        backend.load();
        let mut root = Self { hv: hypervisor(), backend, free: (1024..4096).rev().collect() };
        root.deposit(HvPartitionId::SELF, 64).expect("free RAM");
        root
    }

    /// A free page.
    pub fn page(&mut self) -> u64 {
        self.free.pop().expect("a free page")
    }

    fn physical(&self, page: u64) -> &Page {
        self.hv.machine.memory.physical(SpaPage::new(page).unwrap_or_default())
    }

    /// Makes a call with these bytes as input.
    pub fn raw(&mut self, control: HypercallInput, input: &[u8]) -> HypercallOutput {
        self.physical(INPUT).zero();
        self.physical(OUTPUT).zero();
        self.physical(INPUT).copy_in(0, input);
        let gprs = self.backend.gprs_mut();
        (gprs.rcx, gprs.rdx, gprs.r8) = (control.into(), INPUT << 12, OUTPUT << 12);
        let (hv, partition) = (self.hv, &self.hv.root);
        hypercall(&mut Caller { hv, partition, vp_index: 0, backend: &mut self.backend });
        HypercallOutput::from(self.backend.gprs().rax)
    }

    /// Makes a call with just these registers.
    pub fn registers(&mut self, rcx: u64, rdx: u64, r8: u64) -> HypercallOutput {
        let gprs = self.backend.gprs_mut();
        (gprs.rcx, gprs.rdx, gprs.r8) = (rcx, rdx, r8);
        let (hv, partition) = (self.hv, &self.hv.root);
        hypercall(&mut Caller { hv, partition, vp_index: 0, backend: &mut self.backend });
        HypercallOutput::from(self.backend.gprs().rax)
    }

    /// Makes a call with registers as input; answers the result and RDX.
    pub fn fast(&mut self, code: CallCode, rdx: u64, r8: u64) -> (HvStatus, u64) {
        let gprs = self.backend.gprs_mut();
        (gprs.rcx, gprs.rdx, gprs.r8) = (HypercallInput::fast_call(code).into(), rdx, r8);
        let (hv, partition) = (self.hv, &self.hv.root);
        hypercall(&mut Caller { hv, partition, vp_index: 0, backend: &mut self.backend });
        let gprs = self.backend.gprs();
        (HypercallOutput::from(gprs.rax).status(), gprs.rdx)
    }

    /// Makes a call without reps.
    pub fn call<O: FromBytes>(
        &mut self,
        code: CallCode,
        input: &(impl IntoBytes + Immutable),
    ) -> HvResult<O> {
        self.raw(HypercallInput::simple(code), input.as_bytes()).status().into_result()?;
        let mut bytes = [0; 256];
        self.physical(OUTPUT).copy_out(0, &mut bytes);
        O::read_from_prefix(&bytes).map(|(output, _)| output).map_err(|_| HvStatus::INVALID_PARAMETER)
    }

    /// Makes a call with reps: header and items; answers the result and, of `count` results, the bytes.
    pub fn reps(
        &mut self,
        code: CallCode,
        header: &[u8],
        items: &[u8],
        count: u16,
    ) -> (HypercallOutput, Vec<u8>) {
        let mut input = header.to_vec();
        input.extend_from_slice(items);
        let output = self.raw(HypercallInput::rep(code, count, 0), &input);
        let mut bytes = std::vec![0; 4096];
        self.physical(OUTPUT).copy_out(0, &mut bytes);
        (output, bytes)
    }

    /// Deposits `count` pages.
    pub fn deposit(&mut self, to: HvPartitionId, count: usize) -> HvResult<()> {
        let pages: Vec<u64> = (0..count).map(|_| self.page()).collect();
        for chunk in pages.chunks(256) {
            let header = DepositMemory { partition_id: to };
            let count = u16::try_from(chunk.len()).unwrap_or(0);
            let (output, _) = self.reps(CallCode::DEPOSIT_MEMORY, header.as_bytes(), chunk.as_bytes(), count);
            output.status().into_result()?;
        }
        Ok(())
    }

    /// Withdraws all there is; how many pages it was.
    pub fn withdraw_all(&mut self, from: HvPartitionId) -> usize {
        let mut all = 0;
        loop {
            let header = WithdrawMemory { partition_id: from, proximity_domain_info: 0 };
            let (output, bytes) = self.reps(CallCode::WITHDRAW_MEMORY, header.as_bytes(), &[], 256);
            let done = usize::from(output.reps_completed());
            for n in 0..done {
                let page = bytes.get(n * 8..).and_then(|b| b.first_chunk()).map(|b| u64::from_le_bytes(*b));
                self.free.extend(page);
            }
            all += done;
            if output.status() != HvStatus::SUCCESS {
                return all;
            }
        }
    }

    /// An initialized partition with `pages` deposited.
    pub fn guest(&mut self, pages: usize) -> HvPartitionId {
        let create = CreatePartition {
            flags: creation_flags::GUEST,
            compatibility_version: 0x609,
            ..CreatePartition::default()
        };
        let made: CreatePartitionOutput = self.call(CallCode::CREATE_PARTITION, &create).expect("created");
        self.deposit(made.partition_id, pages).expect("deposited");
        let only = PartitionOnly { partition_id: made.partition_id };
        self.call::<()>(CallCode::INITIALIZE_PARTITION, &only).expect("initialized");
        made.partition_id
    }

    /// Takes a partition apart; how many pages came back.
    pub fn end(&mut self, partition_id: HvPartitionId) -> usize {
        let only = PartitionOnly { partition_id };
        while let Err(status) = self.call::<()>(CallCode::FINALIZE_PARTITION, &only) {
            assert_eq!(status, HvStatus::TIME_OUT);
        }
        let pages = self.withdraw_all(partition_id);
        self.call::<()>(CallCode::DELETE_PARTITION, &only).expect("deleted");
        pages
    }
}

impl Default for Root {
    fn default() -> Self {
        Self::new()
    }
}

/// A call that VP 0 of a guest makes with these registers; answers RAX.
pub fn guest_call(
    hv: &Hypervisor<FakeMachine>,
    guest: &Partition<FakeMachine>,
    rcx: u64,
    rdx: u64,
    r8: u64,
) -> HypercallOutput {
    let mut backend = FakeBackend::default();
    (backend.gprs.rcx, backend.gprs.rdx, backend.gprs.r8) = (rcx, rdx, r8);
    hypercall(&mut Caller { hv, partition: guest, vp_index: 0, backend: &mut backend });
    HypercallOutput::from(backend.gprs.rax)
}
