//! Fills a VP's intercept-message page: what the root has to answer (TLFS 9, `HV_X64_*_INTERCEPT_MESSAGE`).

use hv_abi::HvVpIndex;
use hv_abi::control::{cr0, efer};
use hv_abi::message::{
    ApicEoiMessage, HvMessageHeader, HvMessageType, HvVpExecutionState, InterceptAccess,
    InterceptMessageHeader, IoPortAccessInfo, IoPortInterceptMessage, MemoryAccessInfo,
    MemoryInterceptMessage,
};
use hv_abi::registers::HvRegisterName;
use zerocopy::{Immutable, IntoBytes};

use crate::backend::{Access, Exit, PortAccess, SecondLevelFault, VirtualProcessorBackend};
use crate::exit::Next;
use crate::platform::{Guest, Surroundings};
use crate::register_page;
use crate::translate::CACHE_TYPE;

/// Words of a message's header.
const HEADER_WORDS: usize = 2;
/// Bytes of an [`IoPortInterceptMessage`] that only string operations need.
const PORT_STRING_FIRST: usize = core::mem::offset_of!(IoPortInterceptMessage, ds_segment);

impl<B: VirtualProcessorBackend, E: Surroundings> Guest<'_, B, E> {
    /// Writes a message of `kind` into the page; of the payload only whole words, and of these at most `bytes`.
    #[inline]
    fn put(&self, kind: HvMessageType, payload: &(impl IntoBytes + Immutable), bytes: usize) -> Next {
        let header = HvMessageHeader {
            message_type: kind,
            payload_size: u8::try_from(size_of_val(payload)).unwrap_or(u8::MAX),
            message_flags: 0,
            reserved: 0,
            sender: self.env.partition_id().0,
        };
        for (index, word) in header.as_bytes().as_chunks::<8>().0.iter().enumerate() {
            self.vp.message_page.write(index, u64::from_le_bytes(*word));
        }
        let words = payload.as_bytes().as_chunks::<8>().0.iter().take(bytes.div_ceil(8));
        for (index, word) in words.enumerate() {
            self.vp.message_page.write(index.saturating_add(HEADER_WORDS), u64::from_le_bytes(*word));
        }
        Next::Intercept
    }

    /// The common start.
    #[inline]
    fn header(&self, access: InterceptAccess, instruction_length: u8) -> InterceptMessageHeader {
        let backend = &*self.vp.backend;
        let cr0 = backend.read_known(HvRegisterName::Cr0).as_u64();
        let efer = backend.read_known(HvRegisterName::Efer).as_u64();
        let cr8 = backend.read_known(HvRegisterName::Cr8).as_u64();
        let shadow = backend.read_known(HvRegisterName::InterruptState).as_u64() & 1 != 0;
        let execution_state = HvVpExecutionState::new()
            .with_cpl(self.vp.backend.cpl() & 3)
            .with_cr0_pe(cr0 & cr0::PE != 0)
            .with_cr0_am(cr0 & cr0::AM != 0)
            .with_efer_lma(efer & efer::LMA != 0)
            .with_interruption_pending(self.vp.backend.pending().interruption_pending())
            .with_interrupt_shadow(shadow);
        let cs = backend.read_known(HvRegisterName::Cs);
        InterceptMessageHeader {
            vp_index: HvVpIndex(self.vp.index),
            instruction_length_cr8: (instruction_length & 0xF) | ((cr8 as u8) << 4),
            intercept_access_type: access,
            execution_state,
            cs_segment: cs.as_segment(),
            rip: self.vp.backend.rip(),
            rflags: self.vp.backend.rflags(),
        }
    }

    /// A port access that the root answers.
    pub fn port_intercept(&self, access: &PortAccess) -> Next {
        let kind = if access.write { InterceptAccess::WRITE } else { InterceptAccess::READ };
        let gprs = self.vp.backend.gprs();
        let mut message = IoPortInterceptMessage {
            header: self.header(kind, self.vp.backend.instruction_length()),
            port_number: access.port,
            access_info: IoPortAccessInfo::new()
                .with_access_size(access.size & 7)
                .with_string_op(access.string)
                .with_rep_prefix(access.repeat),
            rax: gprs.rax,
            ..IoPortInterceptMessage::default()
        };
        let mut bytes = PORT_STRING_FIRST;
        if access.string {
            message.ds_segment = self.vp.backend.read_known(HvRegisterName::Ds).as_segment();
            message.es_segment = self.vp.backend.read_known(HvRegisterName::Es).as_segment();
            (message.rcx, message.rsi, message.rdi) = (gprs.rcx, gprs.rsi, gprs.rdi);
            bytes = size_of::<IoPortInterceptMessage>();
            register_page::store(self.vp.register_page, self.vp.backend);
        } else {
            register_page::store_general(self.vp.register_page, self.vp.backend);
        }
        self.put(HvMessageType::X64_IO_PORT_INTERCEPT, &message, bytes)
    }

    /// An access where nothing is mapped, or what is mapped does not allow it.
    pub fn memory_intercept(&self, fault: &SecondLevelFault) -> Next {
        let access = match fault.access {
            Access::Read => InterceptAccess::READ,
            Access::Write => InterceptAccess::WRITE,
            Access::Execute => InterceptAccess::EXECUTE,
        };
        let mut instruction_bytes = [0; 16];
        for (to, byte) in instruction_bytes.iter_mut().zip(fault.instruction) {
            *to = byte;
        }
        let header = self.header(access, 0);
        let message = MemoryInterceptMessage {
            cache_type: CACHE_TYPE,
            instruction_byte_count: fault.instruction_length.min(15),
            memory_access_info: MemoryAccessInfo::new()
                .with_gva_valid(fault.gva.is_some())
                .with_gva_gpa_valid(!fault.table),
            tpr_priority: header.instruction_length_cr8 >> 4,
            reserved1: 0,
            guest_virtual_address: fault.gva.unwrap_or(0),
            guest_physical_address: fault.gpa,
            instruction_bytes,
            header,
        };
        let kind = if fault.mapped { HvMessageType::GPA_INTERCEPT } else { HvMessageType::UNMAPPED_GPA };
        register_page::store(self.vp.register_page, self.vp.backend);
        self.put(kind, &message, size_of::<MemoryInterceptMessage>())
    }

    /// A triple fault, or a state that the processor or the hypervisor cannot go on from.
    pub fn unrecoverable(&self, exit: &Exit) -> Next {
        let kind = match exit {
            Exit::InvalidState => HvMessageType::INVALID_VP_REGISTER_VALUE,
            _ => HvMessageType::UNRECOVERABLE_EXCEPTION,
        };
        register_page::store(self.vp.register_page, self.vp.backend);
        self.put(kind, &self.header(InterceptAccess::EXECUTE, 0), size_of::<InterceptMessageHeader>())
    }

    /// The guest ended a level-triggered interrupt.
    pub fn apic_eoi(&self, vector: u8) -> Next {
        let message =
            ApicEoiMessage { vp_index: HvVpIndex(self.vp.index), interrupt_vector: u32::from(vector) };
        register_page::store_general(self.vp.register_page, self.vp.backend);
        self.put(HvMessageType::X64_APIC_EOI, &message, size_of::<ApicEoiMessage>())
    }
}
