//! Segments and the task-state segment.
#![expect(unsafe_code, reason = "descriptor tables")]

use super::processor::{PerProcessor, per_processor};
use super::stack::Stacks;
use core::cell::UnsafeCell;
use spin::Once;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::registers::model_specific::{Efer, EferFlags, Star};
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::tss::TaskStateSegment;

/// The kernel's code.
pub const KERNEL_CODE: u16 = 0x08;
/// The kernel's data.
pub const KERNEL_DATA: u16 = 0x10;
/// A program's data, with its privilege level.
pub const USER_DATA: u16 = 0x1B;
/// A program's code, with its privilege level.
pub const USER_CODE: u16 = 0x23;

struct Tss(UnsafeCell<TaskStateSegment>);
// SAFETY: its processor reads it by itself; Rust writes single fields with raw pointers, on that processor.
unsafe impl Sync for Tss {}
static TSS: PerProcessor<Tss> = per_processor!(Tss(UnsafeCell::new(TaskStateSegment::new())));
static GDT: PerProcessor<Once<GlobalDescriptorTable>> = per_processor!(Once::new());

/// Loads all of it for this processor, and the selectors that SYSCALL and SYSRET use.
pub(super) fn start(stacks: Stacks) {
    fill_tss(stacks);
    // SAFETY: the segment is static; the processor only reads what the descriptor covers.
    let tss = Descriptor::tss_segment(unsafe { &*TSS.this().0.get() });
    let gdt = GDT.this().call_once(|| {
        let mut gdt = GlobalDescriptorTable::new();
        let order = [
            Descriptor::kernel_code_segment(),
            Descriptor::kernel_data_segment(),
            Descriptor::user_data_segment(),
            Descriptor::user_code_segment(),
        ];
        for descriptor in order {
            gdt.append(descriptor);
        }
        gdt.append(tss);
        gdt
    });
    gdt.load();
    // SAFETY: a 64-bit code segment of privilege 0.
    unsafe { CS::set_reg(SegmentSelector(KERNEL_CODE)) };
    // SAFETY: a flat data segment of privilege 0.
    unsafe { SS::set_reg(SegmentSelector(KERNEL_DATA)) };
    // SAFETY: as above.
    unsafe { DS::set_reg(SegmentSelector(KERNEL_DATA)) };
    // SAFETY: as above.
    unsafe { ES::set_reg(SegmentSelector(KERNEL_DATA)) };
    // SAFETY: the last descriptor, an available task-state segment.
    unsafe { load_tss(SegmentSelector(0x28)) };
    // SAFETY: SYSRET adds 8 and 16 to the first: a program's data and code; SYSCALL 0 and 8 to the second.
    unsafe { Star::write_raw(0x10 | 3, KERNEL_CODE) };
    // SAFETY: nothing executes SYSCALL before its entry is set.
    unsafe { Efer::update(|efer| efer.insert(EferFlags::SYSTEM_CALL_EXTENSIONS)) };
}

fn fill_tss(stacks: Stacks) {
    let tss = TSS.this().0.get();
    for (index, top) in stacks.exceptions.into_iter().enumerate() {
        // SAFETY: the processor does not use the segment yet.
        unsafe { (*tss).interrupt_stack_table[index] = VirtAddr::new_truncate(top) };
    }
    // SAFETY: as above. The frame of a trap from ring 3 goes there.
    unsafe { (*tss).privilege_stack_table[0] = VirtAddr::new_truncate(stacks.trap) };
}
