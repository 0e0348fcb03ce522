//! Segments and the task state of a processor: flat 64-bit code and data, and the stacks of three exceptions.
#![expect(unsafe_code, reason = "loads segment registers")]

use core::arch::asm;

use x86_64::VirtAddr;
use x86_64::instructions::tables::{lgdt, load_tss};
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
pub use x86_64::structures::tss::TaskStateSegment as Tss;

use crate::arch::exception::OWN_STACK;

/// The table of segments.
pub type Gdt = GlobalDescriptorTable<6>;

/// Where a processor's segments are.
#[derive(Clone, Copy, Debug)]
pub struct Selectors {
    code: SegmentSelector,
    data: SegmentSelector,
    task: SegmentSelector,
}

/// Fills the tables of processor `processor`, which stay where they are.
pub fn fill(gdt: &mut Gdt, tss: &'static mut Tss, processor: usize) -> Selectors {
    // The structure is packed: no reference into it.
    let mut stacks = tss.interrupt_stack_table;
    for (slot, (_, stack)) in stacks.iter_mut().zip(OWN_STACK) {
        *slot = VirtAddr::new(stack.top(processor));
    }
    tss.interrupt_stack_table = stacks;
    let code = gdt.append(Descriptor::kernel_code_segment());
    let data = gdt.append(Descriptor::kernel_data_segment());
    let task = gdt.append(Descriptor::tss_segment(tss));
    Selectors { code, data, task }
}

/// Loads the tables on this processor.
pub fn load(gdt: &'static Gdt, selectors: Selectors) {
    let pointer = DescriptorTablePointer {
        limit: gdt.limit(),
        base: VirtAddr::from_ptr(core::ptr::from_ref(gdt.entries()).cast::<u64>()),
    };
    // SAFETY: the table stays for good and holds the segments that are loaded next.
    unsafe { lgdt(&pointer) };
    // SAFETY: the selectors name flat 64-bit code and data in that table; FS and GS get their bases afterwards.
    unsafe {
        asm!(
            "push {code}",
            "lea {next}, [rip + 2f]",
            "push {next}",
            "retfq",
            "2:",
            "mov ds, {data:x}",
            "mov es, {data:x}",
            "mov ss, {data:x}",
            "mov fs, {zero:x}",
            "mov gs, {zero:x}",
            code = in(reg) u64::from(selectors.code.0),
            data = in(reg) u32::from(selectors.data.0),
            zero = in(reg) 0_u32,
            next = out(reg) _,
        );
    }
    // SAFETY: the descriptor names the processor's own task state.
    unsafe { load_tss(selectors.task) };
}
