//! Segments and the task-state segment.
#![expect(unsafe_code, reason = "descriptor tables")]

use super::stack::{EXCEPTION_STACKS, TRAP_STACK};
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
// SAFETY: one processor, which reads it by itself; Rust writes single fields with raw pointers.
unsafe impl Sync for Tss {}
static TSS: Tss = Tss(UnsafeCell::new(TaskStateSegment::new()));
static GDT: Once<GlobalDescriptorTable> = Once::new();

/// Loads all of it, and the selectors that SYSCALL and SYSRET use.
pub(super) fn start() {
    fill_tss();
    // SAFETY: the segment is static; the processor only reads what the descriptor covers.
    let tss = Descriptor::tss_segment(unsafe { &*TSS.0.get() });
    let gdt = GDT.call_once(|| {
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

fn fill_tss() {
    let tss = TSS.0.get();
    let stacks = [&EXCEPTION_STACKS[0], &EXCEPTION_STACKS[1], &EXCEPTION_STACKS[2]];
    for (index, stack) in stacks.into_iter().enumerate() {
        // SAFETY: the processor does not use the segment yet.
        unsafe { (*tss).interrupt_stack_table[index] = VirtAddr::new_truncate(stack.top()) };
    }
    set_trap_stack(TRAP_STACK.top());
}

/// Where the processor pushes the frame of a trap from ring 3.
#[inline]
pub fn set_trap_stack(top: u64) {
    let tss = TSS.0.get();
    // SAFETY: the processor reads the field at a trap from ring 3 only, and the kernel is not there.
    unsafe { (*tss).privilege_stack_table[0] = VirtAddr::new_truncate(top) };
}
