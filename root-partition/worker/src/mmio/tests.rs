//! Instructions from an assembler, against what each is expected to do to registers, flags and a device.

use super::operation::{Kind, Source};
use super::{Bus, Code, Emulator, Outcome, decode};
use crate::fake::FakeMemory;
use crate::memory::{GuestMemory, gpa};
use crate::paging::{Access, Mode, PageFault};
use crate::registers::CodeSize;
use hv_abi::Gpa;
use hv_abi::control::{cr0, efer, rflags};
use hv_abi::register_page::{HvX64RegisterPage, gp, segment};
use iced_x86::code_asm::*;
use proptest::prelude::*;
use zerocopy::FromZeros;

const DEVICE: u64 = 0xFED0_0000;
const RIP: u64 = 0x5_0000;

/// RAM, and a device of 64 bytes that are kept; paging is off.
struct Board {
    memory: FakeMemory,
    device: [u8; 64],
    accesses: Vec<(bool, u64, u8)>,
}

impl Board {
    fn new() -> Self {
        Self {
            memory: FakeMemory::new(1 << 20),
            device: core::array::from_fn(|i| 0x80 + i as u8),
            accesses: Vec::new(),
        }
    }
}

impl Bus for Board {
    fn read(&mut self, at: Gpa, size: u8) -> u64 {
        let mut bytes = [0; 8];
        if self.memory.read(at, &mut bytes[..usize::from(size)]).is_err() {
            self.accesses.push((false, at.get(), size));
            let start = (at.get() - DEVICE) as usize;
            bytes[..usize::from(size)].copy_from_slice(&self.device[start..start + usize::from(size)]);
        }
        u64::from_le_bytes(bytes)
    }

    fn write(&mut self, at: Gpa, size: u8, value: u64) {
        let bytes = &value.to_le_bytes()[..usize::from(size)];
        if self.memory.write(at, bytes).is_err() {
            self.accesses.push((true, at.get(), size));
            let start = (at.get() - DEVICE) as usize;
            self.device[start..start + usize::from(size)].copy_from_slice(bytes);
        }
    }

    fn translate(&self, mode: &Mode, linear: u64, access: Access) -> Result<Gpa, PageFault> {
        mode.translate(&self.memory, linear, access)
    }
}

fn state() -> HvX64RegisterPage {
    let mut page = HvX64RegisterPage::new_zeroed();
    page.rip = RIP;
    page.rflags = rflags::ONE;
    page.efer = efer::LMA | efer::LME;
    page.segments[segment::CS].attributes.set_long(true);
    page.gp_registers = core::array::from_fn(|i| 0x1111_1111_1111_1111 * i as u64);
    page.gp_registers[gp::RBX] = DEVICE;
    page
}

/// Runs what `write` assembles, with its access at `at`; twice must be the same as far as decoding goes.
fn run(
    page: &mut HvX64RegisterPage,
    board: &mut Board,
    at: u64,
    write: impl Fn(&mut CodeAssembler),
) -> Outcome {
    let mut assembler = CodeAssembler::new(64).unwrap();
    write(&mut assembler);
    let bytes = assembler.assemble(RIP).unwrap();
    board.memory.write(gpa(RIP), &bytes).unwrap();
    let code = Code::fetch(&board.memory, page).unwrap();
    let outcome = Emulator::default().emulate(&code, page, board, Some(gpa(at)));
    if outcome == Outcome::Done {
        assert!(page.rip == RIP + bytes.len() as u64 || page.rip == RIP);
    }
    outcome
}

fn done(at: u64, write: impl Fn(&mut CodeAssembler)) -> (HvX64RegisterPage, Board) {
    let (mut page, mut board) = (state(), Board::new());
    assert_eq!(run(&mut page, &mut board, at, write), Outcome::Done);
    (page, board)
}

#[test]
fn loads_of_each_size_extend_as_they_should() {
    let loaded = |write: fn(&mut CodeAssembler)| done(DEVICE + 4, write).0.gp_registers[gp::RCX];
    assert_eq!(loaded(|a| a.mov(cl, byte_ptr(rbx + 4)).unwrap()), 0x1111_1111_1111_1184);
    assert_eq!(loaded(|a| a.mov(ch, byte_ptr(rbx + 4)).unwrap()), 0x1111_1111_1111_8411);
    assert_eq!(loaded(|a| a.mov(cx, word_ptr(rbx + 4)).unwrap()), 0x1111_1111_1111_8584);
    assert_eq!(loaded(|a| a.mov(ecx, dword_ptr(rbx + 4)).unwrap()), 0x8786_8584);
    assert_eq!(loaded(|a| a.mov(rcx, qword_ptr(rbx + 4)).unwrap()), 0x8B8A_8988_8786_8584);
    assert_eq!(loaded(|a| a.movzx(ecx, byte_ptr(rbx + 4)).unwrap()), 0x84);
    assert_eq!(loaded(|a| a.movzx(rcx, word_ptr(rbx + 4)).unwrap()), 0x8584);
    assert_eq!(loaded(|a| a.movsx(ecx, byte_ptr(rbx + 4)).unwrap()), 0xFFFF_FF84);
    assert_eq!(loaded(|a| a.movsx(rcx, word_ptr(rbx + 4)).unwrap()), 0xFFFF_FFFF_FFFF_8584);
    assert_eq!(loaded(|a| a.movsxd(rcx, dword_ptr(rbx + 4)).unwrap()), 0xFFFF_FFFF_8786_8584);
}

#[test]
fn stores_of_each_size_write_no_more() {
    let device = |write: fn(&mut CodeAssembler)| done(DEVICE, write).1.device[..9].to_vec();
    let expect = |bytes: &[u8]| [bytes, &Board::new().device[bytes.len()..9]].concat();
    assert_eq!(device(|a| a.mov(byte_ptr(rbx), dl).unwrap()), expect(&[0x22]));
    assert_eq!(device(|a| a.mov(byte_ptr(rbx), dh).unwrap()), expect(&[0x22]));
    assert_eq!(device(|a| a.mov(byte_ptr(rbx), r9b).unwrap()), expect(&[0x99]));
    assert_eq!(device(|a| a.mov(word_ptr(rbx), dx).unwrap()), expect(&[0x22; 2]));
    assert_eq!(device(|a| a.mov(dword_ptr(rbx), r15d).unwrap()), expect(&[0xFF; 4]));
    assert_eq!(device(|a| a.mov(qword_ptr(rbx), r8).unwrap()), expect(&[0x88; 8]));
    assert_eq!(device(|a| a.mov(word_ptr(rbx), 0x1234).unwrap()), expect(&[0x34, 0x12]));
    assert_eq!(
        device(|a| a.mov(qword_ptr(rbx), -2).unwrap()),
        expect(&[0xFE, 255, 255, 255, 255, 255, 255, 255])
    );
    assert_eq!(device(|a| a.movnti(dword_ptr(rbx), edx).unwrap()), expect(&[0x22; 4]));
}

#[test]
fn every_form_of_address_is_worked_out() {
    let (mut page, mut board) = (state(), Board::new());
    page.segments[segment::GS].base = DEVICE;
    page.segments[segment::DS].base = 0x1_0000_0000;
    page.gp_registers[gp::RCX] = 4;
    // The access is said to be elsewhere, so that the address comes from the instruction.
    let elsewhere = 0x123;
    for write in [
        (|a| a.mov(edx, dword_ptr(rbx + rcx * 2 + 8)).unwrap()) as fn(&mut CodeAssembler),
        |a| a.mov(edx, dword_ptr(rcx + 12).gs()).unwrap(),
        |a| a.mov(edx, dword_ptr(ebx + ecx * 4)).unwrap(),
    ] {
        page.rip = RIP;
        page.gp_registers[gp::RDX] = 0;
        assert_eq!(run(&mut page, &mut board, elsewhere, write), Outcome::Done);
        assert_eq!(page.gp_registers[gp::RDX], 0x9392_9190);
    }
    // RIP-relative.
    let bytes = [0x8B, 0x15, 0, 0, 0, 0];
    let operation = decode(&bytes, CodeSize::Bits64, 0x1000).unwrap();
    assert_eq!((operation.address.base, operation.address.displacement), (None, 0x1006));
    // An absolute address of 64 bits.
    let bytes = [0xA1, 0x10, 0, 0xD0, 0xFE, 0, 0, 0, 0];
    let operation = decode(&bytes, CodeSize::Bits64, 0x1000).unwrap();
    assert_eq!((operation.address.displacement, operation.address.mask), (DEVICE + 16, u64::MAX));
}

#[test]
fn arithmetic_works_on_the_device_and_sets_flags() {
    let (page, board) = done(DEVICE, |a| a.or(dword_ptr(rbx), 0x0F).unwrap());
    assert_eq!(board.device[..4], [0x8F, 0x81, 0x82, 0x83]);
    assert_eq!(page.rflags & 0x8C5, 0x80);
    assert!(page.dirty.flags());
    let (page, board) = done(DEVICE, |a| a.and(byte_ptr(rbx), 0x7F).unwrap());
    assert_eq!((board.device[0], page.rflags & 0xC5), (0, 0x44));
    let (page, board) = done(DEVICE, |a| a.test(byte_ptr(rbx), 0x80).unwrap());
    assert_eq!((board.accesses.len(), page.rflags & 0xC0), (1, 0x80));
    let (page, board) = done(DEVICE, |a| a.cmp(dx, word_ptr(rbx)).unwrap());
    assert_eq!(
        (board.accesses.len(), page.gp_registers[gp::RDX], page.rflags & 1),
        (1, 0x2222_2222_2222_2222, 1)
    );
    let (page, _) = done(DEVICE, |a| a.add(edx, dword_ptr(rbx)).unwrap());
    assert_eq!(page.gp_registers[gp::RDX], 0xA5A4_A3A2);
    let (page, board) = done(DEVICE, |a| a.xchg(dword_ptr(rbx), edx).unwrap());
    assert_eq!((page.gp_registers[gp::RDX], &board.device[..4]), (0x8382_8180, &[0x22; 4][..]));
    let (page, board) = done(DEVICE, |a| a.lock().bts(dword_ptr(rbx), 0).unwrap());
    assert_eq!((board.device[0], page.rflags & 1), (0x81, 0));
    let (_, board) = done(DEVICE, |a| a.inc(byte_ptr(rbx)).unwrap());
    assert_eq!(board.device[0], 0x81);
}

#[test]
fn strings_go_between_memory_and_the_device() {
    let (mut page, mut board) = (state(), Board::new());
    page.gp_registers[gp::RDI] = DEVICE;
    page.gp_registers[gp::RSI] = 0x6_0000;
    page.gp_registers[gp::RCX] = 3;
    board.memory.write(gpa(0x6_0000), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]).unwrap();
    assert_eq!(run(&mut page, &mut board, DEVICE, |a| a.rep().movsd().unwrap()), Outcome::Done);
    assert_eq!(board.device[..13], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x8C]);
    assert_eq!(page.gp_registers[gp::RDI], DEVICE + 12);
    assert_eq!((page.gp_registers[gp::RSI], page.gp_registers[gp::RCX]), (0x6_000C, 0));

    page.rip = RIP;
    page.rflags |= rflags::DF;
    page.gp_registers[gp::RAX] = 0x55;
    page.gp_registers[gp::RCX] = 2;
    assert_eq!(run(&mut page, &mut board, DEVICE + 12, |a| a.rep().stosb().unwrap()), Outcome::Done);
    assert_eq!(board.device[10..14], [11, 0x55, 0x55, 0x8D]);
    assert_eq!(page.gp_registers[gp::RDI], DEVICE + 10);

    page.rip = RIP;
    page.gp_registers[gp::RSI] = DEVICE;
    assert_eq!(run(&mut page, &mut board, DEVICE, |a| a.lodsw().unwrap()), Outcome::Done);
    assert_eq!(page.gp_registers[gp::RAX], 0x0201);
}

#[test]
fn a_long_repetition_gives_interrupts_a_chance() {
    let (mut page, mut board) = (state(), Board::new());
    page.gp_registers[gp::RDI] = 0x6_0000;
    page.gp_registers[gp::RCX] = 1025;
    assert_eq!(run(&mut page, &mut board, 0x6_0000, |a| a.rep().stosb().unwrap()), Outcome::Done);
    assert_eq!((page.rip, page.gp_registers[gp::RCX]), (RIP, 1));
    assert_eq!(run(&mut page, &mut board, 0x6_0000, |a| a.rep().stosb().unwrap()), Outcome::Done);
    assert_eq!((page.rip, page.gp_registers[gp::RCX]), (RIP + 2, 0));
}

#[test]
fn what_is_not_emulated_is_undefined() {
    let (mut page, mut board) = (state(), Board::new());
    for write in [
        (|a| a.movups(xmm0, xmmword_ptr(rbx)).unwrap()) as fn(&mut CodeAssembler),
        |a| a.movsd_2(xmm0, qword_ptr(rbx)).unwrap(),
        |a| a.nop().unwrap(),
        |a| a.ud2().unwrap(),
    ] {
        assert_eq!(run(&mut page, &mut board, DEVICE, write), Outcome::Undefined);
    }
    assert!(board.accesses.is_empty());
}

#[test]
fn the_cache_notices_changed_code() {
    let (mut page, mut board, mut emulator) = (state(), Board::new(), Emulator::default());
    for (bytes, value) in [([0x8B, 0x0B], 0x8382_8180), ([0x8A, 0x0B], 0x80), ([0x8B, 0x0B], 0x8382_8180)] {
        page.rip = RIP;
        page.gp_registers[gp::RCX] = 0;
        board.memory.write(gpa(RIP), &bytes).unwrap();
        let code = Code::fetch(&board.memory, &page).unwrap();
        assert_eq!(emulator.emulate(&code, &mut page, &mut board, Some(gpa(DEVICE))), Outcome::Done);
        assert_eq!(page.gp_registers[gp::RCX], value);
    }
}

#[test]
fn an_instruction_may_cross_a_page() {
    let (mut page, mut board) = (state(), Board::new());
    page.rip = 0x5_0FFE;
    board.memory.write(gpa(0x5_0FFE), &[0xC7, 0x03, 0x78, 0x56, 0x34, 0x12]).unwrap();
    let code = Code::fetch(&board.memory, &page).unwrap();
    assert_eq!(Emulator::default().emulate(&code, &mut page, &mut board, Some(gpa(DEVICE))), Outcome::Done);
    assert_eq!((board.device[..4].to_vec(), page.rip), (vec![0x78, 0x56, 0x34, 0x12], 0x5_1004));
}

#[test]
fn sixteen_and_thirty_two_bit_code() {
    // mov [bx+si+2], ax and mov [ebx+ecx*4], eax.
    let operation = decode(&[0x89, 0x40, 0x02], CodeSize::Bits16, 0).unwrap();
    assert_eq!((operation.size, operation.address.mask), (2, 0xFFFF));
    assert_eq!((operation.address.base, operation.address.index), (Some(3), Some(6)));
    let operation = decode(&[0x89, 0x04, 0x8B], CodeSize::Bits32, 0).unwrap();
    assert_eq!((operation.size, operation.address.mask, operation.address.scale), (4, 0xFFFF_FFFF, 4));
    assert!(matches!(operation.kind, Kind::Store { from: Source::Register(_) }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Any bytes, registers and access: an outcome, never a panic, and RIP moves by at most 15.
    #[test]
    fn any_code_is_survived(bytes in prop::array::uniform16(any::<u8>()), seed: [u64; 4], fault in 0u64..1 << 52, bits in 0u8..3) {
        struct Nothing(FakeMemory);
        impl Bus for Nothing {
            fn read(&mut self, _: Gpa, _: u8) -> u64 { u64::MAX }
            fn write(&mut self, _: Gpa, size: u8, _: u64) { assert!((1..=8).contains(&size)); }
            fn translate(&self, mode: &Mode, linear: u64, access: Access) -> Result<Gpa, PageFault> {
                mode.translate(&self.0, linear, access)
            }
        }
        let mut page = state();
        for (register, value) in page.gp_registers.iter_mut().zip(seed.iter().cycle()) { *register ^= value; }
        page.segments[segment::CS].attributes.set_long(bits == 0);
        page.segments[segment::CS].attributes.set_default(bits == 1);
        let code = Code { bytes, length: 15 };
        let outcome = Emulator::default().emulate(&code, &mut page, &mut Nothing(FakeMemory::new(4096)), Some(gpa(fault)));
        if outcome == Outcome::Done { prop_assert!(page.rip.wrapping_sub(RIP) <= 15 || bits == 2); }
        else { prop_assert_eq!(page.rip, RIP); }
    }
}

#[test]
fn locked_pairs_change_memory_and_register() {
    let (page, board) = done(DEVICE, |a| a.lock().xadd(dword_ptr(rbx), ecx).unwrap());
    assert_eq!(page.gp_registers[gp::RCX], 0x8382_8180);
    assert_eq!(board.device[..4], 0x9493_9291_u32.to_le_bytes());
    let (page, board) = done(DEVICE, |a| a.lock().cmpxchg(word_ptr(rbx), cx).unwrap());
    assert_eq!((page.gp_registers[gp::RAX], page.rflags & 0x40), (0x8180, 0));
    assert_eq!(board.device, Board::new().device);
    let (mut page, mut board) = (state(), Board::new());
    page.gp_registers[gp::RAX] = 0x8B8A_8988_8786_8584;
    let outcome = run(&mut page, &mut board, DEVICE + 4, |a| a.cmpxchg(qword_ptr(rbx + 4), rcx).unwrap());
    assert_eq!((outcome, page.rflags & 0x40), (Outcome::Done, 0x40));
    assert_eq!(board.device[4..12], [0x11; 8]);
}

#[test]
fn strings_are_compared_until_they_differ() {
    let scan = |count: u64, accumulator: u64, write: fn(&mut CodeAssembler)| {
        let (mut page, mut board) = (state(), Board::new());
        (page.gp_registers[gp::RAX], page.gp_registers[gp::RCX]) = (accumulator, count);
        (page.gp_registers[gp::RDI], page.gp_registers[gp::RSI]) = (DEVICE, DEVICE);
        assert_eq!(run(&mut page, &mut board, DEVICE, write), Outcome::Done);
        let registers = page.gp_registers;
        (
            registers[gp::RDI] - DEVICE,
            registers[gp::RSI] - DEVICE,
            registers[gp::RCX],
            page.rflags & 0x40 != 0,
        )
    };
    assert_eq!(scan(9, 0x83, |a| a.repne().scasb().unwrap()), (4, 0, 5, true));
    assert_eq!(scan(9, 0x80, |a| a.repe().scasb().unwrap()), (2, 0, 7, false));
    assert_eq!(scan(9, 0x8180, |a| a.scasw().unwrap()), (2, 0, 9, true));
    assert_eq!(scan(4, 0, |a| a.repe().cmpsd().unwrap()), (16, 16, 0, true));
    assert_eq!(scan(0, 0, |a| a.repe().cmpsb().unwrap()), (0, 0, 0, false));
}

#[test]
fn each_element_is_a_step() {
    let (mut page, mut board) = (state(), Board::new());
    page.rflags |= rflags::TF;
    (page.gp_registers[gp::RDI], page.gp_registers[gp::RCX]) = (DEVICE, 2);
    assert_eq!(run(&mut page, &mut board, DEVICE, |a| a.rep().stosb().unwrap()), Outcome::Done);
    assert_eq!((page.rip, page.gp_registers[gp::RCX]), (RIP, 1));
}

#[test]
fn a_page_table_in_no_memory_is_a_page_fault() {
    let (mut page, mut board) = (state(), Board::new());
    board.memory.put_u64(0x1000, 0x2003);
    board.memory.put_u64(0x2000, 0x3003);
    board.memory.put_u64(0x3000, 0x83);
    board.memory.put_u64(0x3008, 0xF000_0003);
    (page.cr0, page.cr3) = (cr0::PG, 0x1000);
    page.gp_registers[gp::RBX] = 0x20_0000;
    let mut assembler = CodeAssembler::new(64).unwrap();
    assembler.mov(dword_ptr(rbx), ecx).unwrap();
    board.memory.write(gpa(RIP), &assembler.assemble(RIP).unwrap()).unwrap();
    let code = Code::fetch(&board.memory, &page).unwrap();
    let outcome = Emulator::default().emulate(&code, &mut page, &mut board, None);
    assert_eq!(outcome, Outcome::Fault(PageFault { address: 0x20_0000, error_code: 0xB }));
}

/// The address of the access is the device's; what the instruction names by the time it is read is another, which the
/// program may not write.
#[test]
fn a_program_does_not_get_past_the_guests_own_tables() {
    let (mut page, mut board) = (state(), Board::new());
    for (at, entry) in [(0x1000, 0x2007), (0x2000, 0x3007), (0x3000, 0x4007), (0x4000 + 8 * 0x80, 0x8_0003)] {
        board.memory.put_u64(at, entry);
    }
    (page.cr0, page.cr3) = (cr0::PG | cr0::WP, 0x1000);
    page.segments[segment::SS].attributes.set_descriptor_privilege_level(3);
    let mut assembler = CodeAssembler::new(64).unwrap();
    assembler.mov(dword_ptr(0x8_0020), eax).unwrap();
    let bytes = assembler.assemble(RIP).unwrap();
    let code = Code { bytes: core::array::from_fn(|n| *bytes.get(n).unwrap_or(&0x90)), length: 15 };
    let outcome = Emulator::default().emulate(&code, &mut page, &mut board, Some(gpa(DEVICE + 0x10)));
    assert_eq!(outcome, Outcome::Fault(PageFault { address: 0x8_0020, error_code: 7 }));
    assert_eq!(board.memory.bytes(0x8_0000, 0x40), [0; 0x40]);
    // So with an operand whose second half is on such a page.
    board.memory.put_u64(0x4000 + 8 * 0x7F, 0x7_F007);
    page.gp_registers[gp::RBX] = 0x7_FFFE;
    let code =
        Code { bytes: core::array::from_fn(|n| [0x89, 0x03].get(n).copied().unwrap_or(0x90)), length: 15 };
    let outcome = Emulator::default().emulate(&code, &mut page, &mut board, Some(gpa(DEVICE)));
    assert_eq!(outcome, Outcome::Fault(PageFault { address: 0x8_0000, error_code: 7 }));
}
