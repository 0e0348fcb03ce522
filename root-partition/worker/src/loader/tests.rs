//! Files that are kernels and files that are none.

use super::{Guest, LoadError, VpState, layout, load};
use crate::fake::{FakeFile, FakeMemory};
use hv_abi::registers::HvRegisterName as Name;
use proptest::prelude::*;

const GUEST: Guest<'_> = Guest { vps: 2, cmdline: "console=ttyS0 quiet" };

/// The smallest bzImage: one setup sector, then a kernel of `length` bytes that are 0xC0 and on.
fn bzimage(length: usize) -> Vec<u8> {
    let mut file = vec![0; 1024];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1F1, &[1]);
    put(0x1F4, &((length / 16) as u32).to_le_bytes());
    put(0x1FE, &0xAA55u16.to_le_bytes());
    put(0x200, &[0xEB, 0x6A]);
    put(0x202, b"HdrS");
    put(0x206, &0x020Fu16.to_le_bytes());
    put(0x211, &[1]);
    put(0x22C, &0x7FFF_FFFFu32.to_le_bytes());
    put(0x236, &1u16.to_le_bytes());
    put(0x238, &255u32.to_le_bytes());
    put(0x258, &0x100_0000u64.to_le_bytes());
    put(0x260, &0x80_0000u32.to_le_bytes());
    file.extend((0..length).map(|i| (i % 255) as u8));
    file
}

/// An ELF file with one note and one loadable segment at 2 MiB.
fn elf(code: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 0x200];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7FELF\x02\x01\x01");
    put(16, &[2, 0, 62, 0, 1]);
    put(32, &64u64.to_le_bytes());
    put(52, &[64, 0, 56, 0, 2]);
    let mut segment = |index: usize, kind: u32, words: [u64; 6]| {
        let at = 64 + index * 56;
        put(at, &kind.to_le_bytes());
        for (i, word) in words.iter().enumerate() {
            put(at + 8 + i * 8, &word.to_le_bytes());
        }
    };
    segment(0, 1, [0x200, 0xFFFF_FFFF_8020_0000, 0x20_0000, code.len() as u64, 0x1_0000, 4096]);
    segment(1, 4, [0x180, 0, 0, 20, 20, 4]);
    put(0x180, &[4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0]);
    put(0x18C, b"Xen\0");
    put(0x190, &0x20_0010u32.to_le_bytes());
    file.extend(code);
    file
}

fn try_load(memory: &mut FakeMemory, kernel: &[u8], initrd: Option<&[u8]>) -> Result<VpState, LoadError> {
    let initrd = initrd.map(|bytes| FakeFile(bytes.to_vec()));
    load(memory, &GUEST, &FakeFile(kernel.to_vec()), initrd.as_ref())
}

#[test]
fn the_reset_vector_resets() {
    for kernel in [bzimage(4096), elf(&[0xF4; 64])] {
        let mut memory = FakeMemory::new(64 << 20);
        try_load(&mut memory, &kernel, None).unwrap();
        // mov al, 6; mov dx, 0xCF9; out dx, al
        assert_eq!(memory.bytes(0xF_FFF0, 6), [0xB0, 0x06, 0xBA, 0xF9, 0x0C, 0xEE]);
    }
}

fn u32_at(memory: &FakeMemory, at: u64) -> u32 {
    u32::from_le_bytes(memory.bytes(at, 4).try_into().unwrap())
}

fn u64_at(memory: &FakeMemory, at: u64) -> u64 {
    u64::from_le_bytes(memory.bytes(at, 8).try_into().unwrap())
}

/// Checks what every 64-bit start has, against the kernel's own header.
fn check_long_mode(memory: &FakeMemory, state: &VpState, kernel: &[u8], initrd: &[u8]) {
    let get = |name| state.get(name).unwrap().as_u64();
    let pref = u64::from_le_bytes(kernel[0x258..0x260].try_into().unwrap());
    let offset = (usize::from(kernel[0x1F1]) + 1) * 512;
    let length = u32::from_le_bytes(kernel[0x1F4..0x1F8].try_into().unwrap()) as usize * 16;
    assert_eq!(get(Name::Rip), pref + 0x200);
    assert_eq!(memory.bytes(pref, length), kernel[offset..offset + length]);
    assert_eq!(
        (get(Name::Cr0) & 0x8000_0001, get(Name::Efer), get(Name::Cr4) & 0x20),
        (0x8000_0001, 0x500, 0x20)
    );
    assert_eq!((get(Name::ApicBase), get(Name::Rflags)), (0xFEE0_0D00, 2));
    let code = state.get(Name::Cs).unwrap().as_segment();
    assert!(code.selector == 0x10 && code.attributes.long() && !code.attributes.default());
    assert_eq!(state.get(Name::Ds).unwrap().as_segment().selector, 0x18);

    let params = get(Name::Rsi);
    assert_eq!(memory.bytes(params + 0x1F1, 0x1F), kernel[0x1F1..0x210]);
    assert_eq!(memory.bytes(params + 0x210, 1), [0xFF]);
    let cmdline = u64::from(u32_at(memory, params + 0x228));
    assert_eq!(memory.bytes(cmdline, GUEST.cmdline.len() + 1), b"console=ttyS0 quiet\0");
    let (start, size) = (u32_at(memory, params + 0x218), u32_at(memory, params + 0x21C));
    assert_eq!(memory.bytes(u64::from(start), size as usize), initrd);
    let init_size = u64::from(u32::from_le_bytes(kernel[0x260..0x264].try_into().unwrap()));
    assert!(initrd.is_empty() || u64::from(start) >= pref + init_size);
    assert_eq!(memory.bytes(u64_at(memory, params + 0x70), 8), b"RSD PTR ");
    assert_eq!(memory.bytes(params + 0x1E8, 1), [3]);

    // The identity map covers what is needed: follow it.
    for address in [pref, params, cmdline, u64::from(start)] {
        let pdpt = u64_at(memory, get(Name::Cr3)) & !0xFFF;
        let directory = u64_at(memory, pdpt + (address >> 30) * 8) & !0xFFF;
        let entry = u64_at(memory, directory + (address >> 21 & 511) * 8);
        assert_eq!(entry & 0x83, 0x83);
        assert_eq!((entry & !0x1F_FFFF) | (address & 0x1F_FFFF), address);
    }
}

#[test]
fn a_bzimage_starts_in_long_mode() {
    let (kernel, initrd) = (bzimage(0x3000), vec![0x5A; 5000]);
    let mut memory = FakeMemory::new(64 << 20);
    let state = try_load(&mut memory, &kernel, Some(&initrd)).unwrap();
    check_long_mode(&memory, &state, &kernel, &initrd);
    assert_eq!(u32_at(&memory, layout::BOOT_INFO.get() + 0x218), (64 << 20) - 0x2000);
}

/// Debian's kernel, where `BULKHEAD_TEST_KERNEL` names one.
#[test]
fn a_real_kernel_loads() {
    let Ok(path) = std::env::var("BULKHEAD_TEST_KERNEL") else { return };
    let kernel = std::fs::read(path).unwrap();
    let initrd: Vec<u8> = (0..3_000_001u32).map(|i| i as u8).collect();
    let mut memory = FakeMemory::new(256 << 20);
    let state = try_load(&mut memory, &kernel, Some(&initrd)).unwrap();
    check_long_mode(&memory, &state, &kernel, &initrd);
}

#[test]
fn an_elf_kernel_starts_in_protected_mode() {
    let mut memory = FakeMemory::new(16 << 20);
    let state = try_load(&mut memory, &elf(&[0xF4; 100]), Some(&[7; 10])).unwrap();
    let get = |name| state.get(name).unwrap().as_u64();
    assert_eq!((get(Name::Rip), get(Name::Cr0), get(Name::Efer)), (0x20_0010, 0x11, 0));
    assert_eq!(memory.bytes(0x20_0000, 101), [&[0xF4; 100][..], &[0]].concat());
    let info = get(Name::Rbx);
    assert_eq!((u32_at(&memory, info), u32_at(&memory, info + 12)), (0x336E_C578, 1));
    let module = u64_at(&memory, info + 16);
    assert_eq!(memory.bytes(u64_at(&memory, module), 10), [7; 10]);
    assert_eq!(memory.bytes(u64_at(&memory, info + 24), 20), b"console=ttyS0 quiet\0");
    assert_eq!(memory.bytes(u64_at(&memory, info + 32), 8), b"RSD PTR ");
    assert_eq!(u32_at(&memory, info + 48), 3);
    let code = state.get(Name::Cs).unwrap().as_segment();
    assert!(!code.attributes.long() && code.attributes.default());
}

#[test]
fn each_refusal_is_one_clear_line() {
    let refuse = |kernel: &[u8], ram: usize| {
        let mut memory = FakeMemory::new(ram);
        try_load(&mut memory, kernel, None).map(|_| ()).unwrap_err().to_string()
    };
    let change = |at: usize, bytes: &[u8]| {
        let mut file = bzimage(0x3000);
        file[at..at + bytes.len()].copy_from_slice(bytes);
        refuse(&file, 64 << 20)
    };
    assert_eq!(refuse(b"", 64 << 20), "not a kernel: the file is too short");
    assert_eq!(refuse(&[0x55; 100_000], 64 << 20), "not a kernel: neither a bzImage nor an ELF file");
    assert_eq!(change(0x206, &[0x0B]), "not a kernel: its boot protocol is older than 2.12");
    assert_eq!(change(0x236, &[0]), "not a kernel: it has no 64-bit entry point");
    assert_eq!(refuse(&bzimage(0x3000)[..0x2000], 64 << 20), "not a kernel: the file is truncated");
    assert_eq!(change(0x258, &[0; 8]), "not a kernel: it wants an impossible load address");
    assert_eq!(
        refuse(&bzimage(0x3000), 16 << 20),
        "kernel and initrd need 24 MiB of memory, the VM has 16 MiB"
    );
    assert_eq!(refuse(b"\x7FELF, or is it?", 16 << 20), "not a kernel: the file is truncated");
    let mut file = elf(&[0xF4; 10]);
    file[0x188] = 17;
    assert_eq!(refuse(&file, 16 << 20), "not a kernel: an ELF file without a PVH note");
    assert_eq!(refuse(&elf(&[0xF4; 10])[..0x205], 16 << 20), "not a kernel: the file is truncated");
    assert_eq!(
        refuse(&elf(&[0xF4; 10]), 2 << 20),
        "kernel and initrd need 3 MiB of memory, the VM has 2 MiB"
    );
}

#[test]
fn a_command_line_or_initrd_that_does_not_fit_is_refused() {
    let (kernel, mut memory) = (FakeFile(bzimage(0x3000)), FakeMemory::new(64 << 20));
    let long = "x".repeat(256);
    let guest = Guest { vps: 1, cmdline: &long };
    assert_eq!(load(&mut memory, &guest, &kernel, None).unwrap_err(), LoadError::CommandLine { max: 255 });
    let initrd = vec![0; 41 << 20];
    let error = try_load(&mut memory, &kernel.0, Some(&initrd)).unwrap_err();
    assert_eq!(error, LoadError::TooLittleMemory { needed: 65 << 20, ram: 64 << 20 });
}

/// Loads `file` into little memory; what matters is that nothing panics and the answer is a line.
fn survive(memory: &mut FakeMemory, file: Vec<u8>) {
    if let Err(error) = load(memory, &GUEST, &FakeFile(file), Some(&FakeFile(vec![1; 100]))) {
        assert!(!error.to_string().contains('\n'));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn random_files_are_refused(file in prop::collection::vec(any::<u8>(), 0..3000), elf in any::<bool>()) {
        let mut memory = FakeMemory::new(4 << 20);
        let head = if elf { b"\x7FELF\x02\x01\x01".to_vec() } else { Vec::new() };
        survive(&mut memory, [head, file].concat());
    }

    #[test]
    fn damaged_headers_are_survived(
        elf_file in any::<bool>(),
        damage in prop::collection::vec((0usize..0x290, any::<u8>()), 1..12),
        length in 0usize..4000,
    ) {
        let mut memory = FakeMemory::new(4 << 20);
        let mut file = if elf_file { elf(&[0x90; 2000]) } else { bzimage(0x800) };
        for (at, byte) in damage {
            file[at] = byte;
        }
        file.truncate(length);
        survive(&mut memory, file);
    }
}
