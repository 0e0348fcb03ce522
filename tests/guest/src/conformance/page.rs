//! Page tables of the probes: the first 4 GiB for the supervisor only, and a window of pages that a probe maps itself.
#![expect(unsafe_code, reason = "page tables are the processor's")]

use core::arch::asm;
use core::cell::UnsafeCell;

/// Where the window is: the second entry of the PML4.
pub const WINDOW: u64 = 1 << 39;
/// Flags of an entry.
pub const PRESENT: u64 = 1;
/// Writable.
pub const WRITE: u64 = 2;
/// User mode may use it.
pub const USER: u64 = 4;
/// No instructions.
pub const NO_EXECUTE: u64 = 1 << 63;
const LARGE: u64 = 1 << 7;

/// A page of RAM for anything.
#[repr(C, align(4096))]
pub struct Page(UnsafeCell<[u64; 512]>);

// SAFETY: one processor uses it, through raw pointers.
unsafe impl Sync for Page {}

impl Page {
    /// Zeros.
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; 512]))
    }
    /// Where it is, in both kinds of address.
    pub fn address(&self) -> u64 {
        self.0.get().addr() as u64
    }
    /// Writes a word.
    pub fn set(&self, index: usize, value: u64) {
        // SAFETY: see above.
        unsafe { self.0.get().cast::<u64>().add(index % 512).write_volatile(value) };
    }
    /// Reads a word.
    pub fn get(&self, index: usize) -> u64 {
        // SAFETY: see above.
        unsafe { self.0.get().cast::<u64>().add(index % 512).read_volatile() }
    }
    /// Copies the first bytes of a function to its start.
    pub fn put_code(&self, body: extern "C" fn(*mut u64)) {
        let from = core::ptr::with_exposed_provenance::<u8>((body as *const ()).addr());
        // SAFETY: the text is longer than that behind every function, for the data follows it.
        unsafe { self.0.get().cast::<u8>().copy_from_nonoverlapping(from, 256) };
    }
}

static PML4: Page = Page::new();
static PDPT: Page = Page::new();
static DIRECTORIES: [Page; 4] = [const { Page::new() }; 4];
static WINDOW_PDPT: Page = Page::new();
static WINDOW_DIRECTORY: Page = Page::new();
static WINDOW_TABLE: Page = Page::new();
/// Pages for the window.
pub static RAM: [Page; 4] = [const { Page::new() }; 4];

/// The table that CR3 names.
pub fn root() -> u64 {
    PML4.address()
}

/// The directory of gibibyte `index`.
pub fn directory(index: usize) -> u64 {
    DIRECTORIES[index % 4].address()
}

/// Loads the tables.
pub fn install() {
    PML4.set(0, PDPT.address() | PRESENT | WRITE);
    for (index, directory) in DIRECTORIES.iter().enumerate() {
        PDPT.set(index, directory.address() | PRESENT | WRITE);
        for entry in 0..512 {
            let at = (index as u64) << 30 | (entry as u64) << 21;
            directory.set(entry, at | PRESENT | WRITE | LARGE);
        }
    }
    let all = PRESENT | WRITE | USER;
    PML4.set(1, WINDOW_PDPT.address() | all);
    WINDOW_PDPT.set(0, WINDOW_DIRECTORY.address() | all);
    WINDOW_DIRECTORY.set(0, WINDOW_TABLE.address() | all);
    // SAFETY: what runs and what it uses is mapped as before.
    unsafe { asm!("mov cr3, {}", in(reg) root()) };
}

/// Maps page `index` of the window; its address.
pub fn map(index: usize, entry: u64) -> u64 {
    WINDOW_TABLE.set(index, entry);
    let address = WINDOW + ((index as u64) << 12);
    // SAFETY: forgets a translation.
    unsafe { asm!("invlpg [{}]", in(reg) address) };
    address
}

/// The entry of page `index` of the window.
pub fn entry(index: usize) -> u64 {
    WINDOW_TABLE.get(index)
}

/// Puts another table below the window's directory: for tables that are not there.
pub fn set_window_table(index: usize, entry: u64) -> u64 {
    WINDOW_DIRECTORY.set(index, entry);
    // SAFETY: forgets all translations.
    unsafe { asm!("mov cr3, {}", in(reg) root()) };
    WINDOW + ((index as u64) << 21)
}
