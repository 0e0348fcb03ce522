//! From a guest's virtual address to its physical one, by the guest's own tables.

use hv_abi::registers::HvRegisterName;
use hv_abi::vp::{TranslateResult, TranslateVirtualAddressOutput, translate_flags};
use hv_abi::{Gpa, GpaPage, HvResult, HvStatus};
use paging::guest_walk::{Access, Controls, Walk, walk};

use crate::backend::VirtualProcessorBackend;
use crate::gpa_space::GpaSpace;
use crate::machine::Machine;

/// Write-back.
pub const CACHE_TYPE: u32 = 6;

const KNOWN_FLAGS: u64 = translate_flags::VALIDATE_READ
    | translate_flags::VALIDATE_WRITE
    | translate_flags::VALIDATE_EXECUTE
    | translate_flags::PRIVILEGE_EXEMPT;

/// Translates for a VP that does not run.
pub fn translate<M: Machine>(
    machine: &M,
    memory: &GpaSpace<M>,
    backend: &M::Backend,
    address: u64,
    flags: u64,
) -> HvResult<TranslateVirtualAddressOutput> {
    if flags & !KNOWN_FLAGS != 0 {
        return Err(HvStatus::INVALID_PARAMETER);
    }
    let register = |name| backend.read_register(name).unwrap_or_default().as_u64();
    let controls = Controls {
        cr0: register(HvRegisterName::Cr0),
        cr3: register(HvRegisterName::Cr3),
        cr4: register(HvRegisterName::Cr4),
        efer: register(HvRegisterName::Efer),
    };
    let mut word =
        |gpa: Gpa| memory.with_page(machine, gpa.page(), false, |page| page.read(gpa.offset() / 8));
    let (page, rights) = match walk::<dyn FnMut(Gpa) -> _>(&mut word, &controls, address) {
        Walk::Found { gpa, rights } => (gpa.page(), rights),
        Walk::NotPresent => return Ok(failed(TranslateResult::PAGE_NOT_PRESENT)),
        Walk::NoTable => return Ok(failed(TranslateResult::GPA_UNMAPPED)),
    };
    let access = Access {
        user: backend.cpl() == 3 && flags & translate_flags::PRIVILEGE_EXEMPT == 0,
        write: flags & translate_flags::VALIDATE_WRITE != 0,
        execute: flags & translate_flags::VALIDATE_EXECUTE != 0,
    };
    if !rights.allow(access, controls.cr0) {
        return Ok(failed(TranslateResult::PRIVILEGE_VIOLATION));
    }
    Ok(check_page(machine, memory, page, access.write))
}

fn failed(result_code: TranslateResult) -> TranslateVirtualAddressOutput {
    TranslateVirtualAddressOutput { result_code, flags: 0, gpa_page: 0 }
}

fn check_page<M: Machine>(
    machine: &M,
    memory: &GpaSpace<M>,
    page: GpaPage,
    write: bool,
) -> TranslateVirtualAddressOutput {
    let result_code = if memory.with_page(machine, page, false, |_| ()).is_none() {
        TranslateResult::GPA_UNMAPPED
    } else if write && !memory.is_writable(machine, page) {
        TranslateResult::GPA_NO_WRITE_ACCESS
    } else {
        TranslateResult::SUCCESS
    };
    TranslateVirtualAddressOutput { result_code, flags: CACHE_TYPE, gpa_page: page.get() }
}
