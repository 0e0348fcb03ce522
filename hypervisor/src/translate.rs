//! From a guest's virtual address to its physical one, by the guest's own tables (APM vol. 2, 5.3 to 5.6).

use hv_abi::registers::HvRegisterName;
use hv_abi::vp::{TranslateResult, TranslateVirtualAddressOutput, translate_flags};
use hv_abi::{Gpa, GpaPage, HvResult, HvStatus};

use crate::backend::VirtualProcessorBackend;
use crate::gpa_space::GpaSpace;
use crate::machine::Machine;

const CR0_PG: u64 = 1 << 31;
const CR0_WP: u64 = 1 << 16;
const CR4_PAE: u64 = 1 << 5;
const CR4_PSE: u64 = 1 << 4;
const CR4_LA57: u64 = 1 << 12;
const EFER_LMA: u64 = 1 << 10;
const EFER_NXE: u64 = 1 << 11;

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
/// Write-back.
pub const CACHE_TYPE: u32 = 6;

const KNOWN_FLAGS: u64 = translate_flags::VALIDATE_READ
    | translate_flags::VALIDATE_WRITE
    | translate_flags::VALIDATE_EXECUTE
    | translate_flags::PRIVILEGE_EXEMPT;

/// How the tables of a paging mode are built.
#[derive(Clone, Copy)]
struct Mode {
    /// Levels, the root's included.
    levels: u32,
    /// Bits of the address that each level takes.
    index_bits: u32,
    /// Bytes of an entry.
    entry_bytes: u64,
    /// Whether NX counts.
    no_execute: bool,
}

/// What one walk found out.
enum Walk {
    Found { gpa: u64, rights: u64 },
    Failed(TranslateResult),
}

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
    let cr0 = register(HvRegisterName::Cr0);
    let (cr4, efer) = (register(HvRegisterName::Cr4), register(HvRegisterName::Efer));
    let mut word =
        |gpa: Gpa| memory.with_page(machine, gpa.page(), false, |page| page.read(gpa.offset() / 8));
    let walk = walk(&mut word, [cr0, register(HvRegisterName::Cr3), cr4, efer], address);
    let (gpa, rights) = match walk {
        Walk::Failed(code) => return Ok(failed(code)),
        Walk::Found { gpa, rights } => (gpa, rights),
    };
    let user = backend.cpl() == 3 && flags & translate_flags::PRIVILEGE_EXEMPT == 0;
    let protected = user || cr0 & CR0_WP != 0;
    let refused = (user && rights & USER == 0)
        || (flags & translate_flags::VALIDATE_WRITE != 0 && protected && rights & WRITABLE == 0)
        || (flags & translate_flags::VALIDATE_EXECUTE != 0 && rights & NO_EXECUTE != 0);
    if refused {
        return Ok(failed(TranslateResult::PRIVILEGE_VIOLATION));
    }
    let Some(page) = Gpa::new(gpa).map(Gpa::page) else { return Ok(failed(TranslateResult::GPA_UNMAPPED)) };
    Ok(check_page(machine, memory, page, flags & translate_flags::VALIDATE_WRITE != 0))
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

fn mode(cr4: u64, efer: u64) -> Mode {
    let no_execute = efer & EFER_NXE != 0;
    if efer & EFER_LMA != 0 {
        let levels = if cr4 & CR4_LA57 != 0 { 5 } else { 4 };
        Mode { levels, index_bits: 9, entry_bytes: 8, no_execute }
    } else if cr4 & CR4_PAE != 0 {
        Mode { levels: 3, index_bits: 9, entry_bytes: 8, no_execute }
    } else {
        Mode { levels: 2, index_bits: 10, entry_bytes: 4, no_execute: false }
    }
}

/// The guest physical address of `address` by the guest's tables; `word` reads the 64-bit word with a guest physical
/// address in it. Rights are not looked at.
pub fn physical_address(
    word: &mut dyn FnMut(Gpa) -> Option<u64>,
    controls: [u64; 4],
    address: u64,
) -> Option<Gpa> {
    match walk(word, controls, address) {
        Walk::Found { gpa, .. } => Gpa::new(gpa),
        Walk::Failed(_) => None,
    }
}

/// One copy for all callers: it is long, and the words cost more than the calls.
fn walk(word: &mut dyn FnMut(Gpa) -> Option<u64>, [cr0, cr3, cr4, efer]: [u64; 4], address: u64) -> Walk {
    if cr0 & CR0_PG == 0 {
        return Walk::Found { gpa: address & 0xFFFF_FFFF, rights: WRITABLE | USER };
    }
    let mode = mode(cr4, efer);
    // The root of PAE's three levels is 32-byte aligned and holds four entries, without rights.
    let pae = mode.levels == 3;
    let mut table = cr3 & if pae { 0xFFFF_FFE0 } else { ADDRESS };
    let mut rights = WRITABLE | USER;
    for level in (0..mode.levels).rev() {
        let shift = level.wrapping_mul(mode.index_bits).wrapping_add(12);
        let mask = if pae && level == 2 { 3 } else { (1_u64 << mode.index_bits).wrapping_sub(1) };
        let index = address.wrapping_shr(shift) & mask;
        let at = table.wrapping_add(index.wrapping_mul(mode.entry_bytes));
        let Some(entry) = read_entry(word, at, mode.entry_bytes) else {
            return Walk::Failed(TranslateResult::GPA_UNMAPPED);
        };
        if entry & PRESENT == 0 {
            return Walk::Failed(TranslateResult::PAGE_NOT_PRESENT);
        }
        if !(pae && level == 2) {
            rights &= entry | !(WRITABLE | USER);
            rights |= if mode.no_execute { entry & NO_EXECUTE } else { 0 };
        }
        let may_be_large = match mode.levels {
            2 => level == 1 && cr4 & CR4_PSE != 0,
            3 => level == 1,
            _ => level == 1 || level == 2,
        };
        if level == 0 || (may_be_large && entry & LARGE != 0) {
            let within = (1_u64 << shift).wrapping_sub(1);
            let base = entry & if mode.entry_bytes == 4 { 0xFFFF_F000 } else { ADDRESS };
            return Walk::Found { gpa: (base & !within) | (address & within), rights };
        }
        table = entry & ADDRESS;
    }
    Walk::Failed(TranslateResult::INVALID_PAGE_TABLE_FLAGS)
}

fn read_entry(word: &mut dyn FnMut(Gpa) -> Option<u64>, at: u64, bytes: u64) -> Option<u64> {
    let word = word(Gpa::new(at)?)?;
    let upper_half = bytes == 4 && at & 4 != 0;
    Some(match bytes {
        4 if upper_half => word >> 32,
        4 => word & 0xFFFF_FFFF,
        _ => word,
    })
}
