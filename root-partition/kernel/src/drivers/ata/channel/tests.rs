//! The channel against drives that are played by the test.

use super::super::command::code;
use super::*;
use crate::block::memory_disk::Leaver;
use crate::block::{PhysicalSegment, Signal};
use crate::wake_count::WakeCount;
use std::sync::atomic::Ordering;
use std::sync::{Mutex as StdMutex, MutexGuard};
use std::task::{Context, Waker};
use std::vec;

/// The registers of two drives, and what was written to them.
#[derive(Default)]
struct Played {
    state: StdMutex<Registers>,
    master: bool,
}

#[derive(Default)]
struct Registers {
    /// Drive and command, in the order of their coming.
    commands: Vec<(u8, u8)>,
    device: u8,
    status: u8,
    master_command: u8,
    master_status: u8,
    /// Words that the drive gives or took by PIO.
    words: Vec<u16>,
}

impl Played {
    fn registers(&self) -> MutexGuard<'_, Registers> {
        self.state.lock().unwrap()
    }
}

impl Ports for Played {
    fn read(&self, register: Register) -> u8 {
        let registers = self.registers();
        match register {
            Register::Command | Register::Control => registers.status,
            Register::MasterCommand => registers.master_command,
            Register::MasterStatus => registers.master_status,
            _ => 0,
        }
    }

    fn write(&self, register: Register, value: u8) {
        let mut registers = self.registers();
        match register {
            Register::Device => registers.device = value,
            Register::Command => {
                let drive = registers.device >> 4 & 1;
                registers.commands.push((drive, value));
                registers.status = status::BSY;
            }
            Register::MasterCommand => registers.master_command = value,
            Register::MasterStatus => registers.master_status &= !(value & 6),
            _ => {}
        }
    }

    fn read_data(&self) -> u16 {
        self.registers().words.pop().unwrap()
    }

    fn write_data(&self, value: u16) {
        self.registers().words.push(value);
    }

    fn has_master(&self) -> bool {
        self.master
    }

    fn set_table(&self, _: u32) {}
}

const IDENTITY: Identity = Identity {
    sectors: 1000,
    flush: Some(code::FLUSH_CACHE),
    dma: true,
    sets_dma: None,
    caches_without_flush: false,
};

fn channel(master: bool, identity: Identity) -> Channel<Played> {
    let ports = Played { master, ..Played::default() };
    Channel::new(ports, [Some(identity), Some(identity)], Memory::new().unwrap(), Pending::played())
}

impl Channel<Played> {
    /// The commands so far.
    fn sent(&self) -> Vec<(u8, u8)> {
        self.ports.registers().commands.clone()
    }

    /// The drive has done its command by DMA, or one without data.
    fn done(&self, status: u8) {
        let mut registers = self.ports.registers();
        (registers.status, registers.master_status) = (status, registers.master_status | 4);
        drop(registers);
        self.drain();
    }

    fn ask(&self, drive: usize, request: &Request<'_>) -> Arc<Signal<()>> {
        let signal = Signal::new(());
        self.submit(drive, request, signal.clone(), 0);
        signal
    }
}

const SEGMENTS: &[PhysicalSegment] = &[
    PhysicalSegment { address: 0xF000, length: 0x1000 },
    PhysicalSegment { address: 0x3_0000, length: 512 },
];

fn request(operation: Operation) -> Request<'static> {
    Request { operation, offset: 512 * 7, length: 0x1200, segments: SEGMENTS }
}

const WRITE: Operation = Operation::Write { fua: false };

#[test]
fn a_read_by_dma_is_a_table_a_direction_and_a_command() {
    let channel = channel(true, IDENTITY);
    let signal = channel.ask(0, &request(Operation::Read));
    assert_eq!((channel.sent(), channel.ports.registers().master_command), (vec![(0, code::READ_DMA)], 9));
    let table = |index: usize| channel.state.lock().memory.table.get::<u64>(index * 8);
    assert_eq!((table(0), table(1)), (0x1000_0000_F000, 0x8000_0200_0003_0000));
    channel.drain();
    assert_eq!(signal.take(), None);
    channel.done(0);
    assert_eq!((signal.take(), channel.ports.registers().master_command), (Some(Ok(())), 0));
}

#[test]
fn a_write_that_waits_and_that_nobody_wants_any_more_is_not_sent() {
    let channel = channel(true, IDENTITY);
    let first = channel.ask(0, &request(Operation::Read));
    let leaver = Arc::new(Leaver::default());
    (0..2).for_each(|drive| channel.submit(drive, &request(WRITE), leaver.clone(), 0));
    leaver.is_gone.store(true, Ordering::Relaxed);
    channel.done(0);
    assert_eq!((first.take(), channel.sent()), (Some(Ok(())), vec![(0, code::READ_DMA)]));
    assert_eq!(*leaver.told.lock(), [Err(Error::Io); 2]);
    let _next = channel.ask(1, &request(WRITE));
    assert_eq!(channel.sent()[1..], [(1, code::WRITE_DMA)]);
}

#[test]
fn errors_of_drive_and_controller_are_errors() {
    let channel = channel(true, IDENTITY);
    let signal = channel.ask(0, &request(WRITE));
    assert_eq!(channel.ports.registers().master_command, 1);
    channel.done(status::ERR);
    assert_eq!(signal.take(), Some(Err(Error::Io)));
    let signal = channel.ask(0, &request(WRITE));
    channel.ports.registers().master_status = 2;
    channel.done(0);
    assert_eq!(signal.take(), Some(Err(Error::Io)));
}

#[test]
fn force_unit_access_completes_only_after_a_flush() {
    let channel = channel(true, IDENTITY);
    let signal = channel.ask(1, &request(Operation::Write { fua: true }));
    let other = channel.ask(1, &request(Operation::Read));
    channel.done(0);
    assert_eq!(signal.take(), None);
    assert_eq!(channel.sent(), [(1, code::WRITE_DMA), (1, code::FLUSH_CACHE)]);
    channel.done(status::ERR);
    assert_eq!((signal.take(), other.take()), (Some(Err(Error::Io)), None));
    channel.done(0);
    assert_eq!((channel.sent().len(), other.take()), (3, Some(Ok(()))));
}

#[test]
fn a_drive_without_flush_writes_through() {
    let channel = channel(true, Identity { flush: None, ..IDENTITY });
    assert_eq!(channel.ask(0, &Request::FLUSH).take(), Some(Ok(())));
    let signal = channel.ask(0, &request(Operation::Write { fua: true }));
    channel.done(0);
    assert_eq!((signal.take(), channel.sent().len()), (Some(Ok(())), 1));
}

#[test]
fn both_drives_have_their_turns_and_a_bad_request_costs_none() {
    let channel = channel(true, IDENTITY);
    let signals: Vec<_> = (0..3).map(|_| channel.ask(0, &request(Operation::Read))).collect();
    let bad = channel.ask(1, &Request { length: 512, ..request(Operation::Read) });
    let other = channel.ask(1, &request(Operation::Read));
    channel.done(0);
    assert_eq!(bad.take(), Some(Err(Error::Invalid)));
    (0..3).for_each(|_| channel.done(0));
    assert_eq!(channel.sent().iter().map(|(drive, _)| *drive).collect::<Vec<_>>(), [0, 1, 0, 0]);
    assert!(signals.iter().chain([&other]).all(|signal| signal.take() == Some(Ok(()))));
    assert_eq!(
        channel.ask(0, &Request { offset: 999 * 512, ..request(WRITE) }).take(),
        Some(Err(Error::Invalid))
    );
    assert_eq!(
        channel.ask(0, &Request { segments: &[], ..request(WRITE) }).take(),
        Some(Err(Error::Invalid))
    );
}

/// Memory of the host lies above 4 GiB.
fn far(bytes: &mut [u8]) -> PhysicalSegment {
    let address = bytes.as_mut_ptr().expose_provenance() as u64;
    assert!(address > 1 << 32, "the test's memory is where no bus master reaches");
    PhysicalSegment { address, length: bytes.len() as u32 }
}

#[test]
fn memory_out_of_reach_goes_through_a_buffer() {
    let channel = channel(true, IDENTITY);
    let mut bytes = vec![7_u8; 1024];
    let segments = [far(&mut bytes)];
    let request = |operation| Request { operation, offset: 0, length: 1024, segments: &segments };
    let bounce = |at: usize| channel.state.lock().memory.bounce.get::<u8>(at);
    let signal = channel.ask(0, &request(WRITE));
    assert_eq!((bounce(0), bounce(1023), bounce(1024)), (7, 7, 0));
    assert_ne!(
        channel.state.lock().memory.table.get::<u64>(0) & 0xFFFF_FFFF,
        segments[0].address & 0xFFFF_FFFF
    );
    channel.done(0);
    assert_eq!(signal.take(), Some(Ok(())));
    let signal = channel.ask(0, &request(Operation::Read));
    channel.state.lock().memory.bounce.write(0, &[9; 1024]);
    channel.done(0);
    assert_eq!((signal.take(), bytes), (Some(Ok(())), vec![9; 1024]));
}

#[test]
fn without_a_bus_master_the_processor_moves_a_sector_an_interrupt() {
    let channel = channel(false, IDENTITY);
    let mut bytes = vec![0_u8; 1024];
    let segments = [far(&mut bytes)];
    let request = |operation| Request { operation, offset: 0, length: 1024, segments: &segments };
    let signal = channel.ask(0, &request(Operation::Read));
    assert_eq!(channel.sent(), [(0, code::READ_SECTORS)]);
    channel.drain();
    for sector in [1_u16, 2] {
        assert_eq!(signal.take(), None);
        channel.ports.registers().words = vec![sector; 256];
        channel.done(status::DRQ);
    }
    assert_eq!((signal.take(), &bytes[510..514]), (Some(Ok(())), &[1, 0, 2, 0][..]));

    channel.ports.registers().status = 0;
    let signal = channel.ask(0, &request(WRITE));
    channel.done(status::DRQ);
    channel.done(status::DRQ);
    assert_eq!((signal.take(), channel.ports.registers().words.len()), (None, 512));
    channel.done(0);
    assert_eq!(signal.take(), Some(Ok(())));
    assert!(channel.ports.registers().words.starts_with(&[1; 256]));
}

#[test]
fn a_lost_interrupt_costs_time_only() {
    let channel = channel(true, IDENTITY);
    let signal = channel.ask(0, &request(Operation::Read));
    assert!(!channel.look(0));
    {
        let mut registers = channel.ports.registers();
        (registers.status, registers.master_status) = (0, 4);
    }
    assert!(!channel.look(1));
    assert_eq!(signal.take(), None, "its interrupt may be on its way");
    assert!(!channel.look(2));
    assert_eq!(signal.take(), Some(Ok(())));
    assert!(!channel.is_looked_after());
    channel.has_no_interrupt();
    let signal = channel.ask(0, &Request::FLUSH);
    channel.ports.registers().status = 0;
    assert!(!channel.look(3) && channel.is_looked_after());
    assert_eq!(signal.take(), Some(Ok(())));
}

#[test]
fn a_command_that_takes_too_long_fails_and_the_next_goes_on() {
    const LONG: u64 = 1 << 40;
    let channel = channel(true, IDENTITY);
    for mode in [Some(Mode::Dma), Some(Mode::Pio)] {
        let (late, next) = (channel.ask(0, &request(WRITE)), channel.ask(0, &Request::FLUSH));
        assert!(!channel.look(10) && channel.look(10 + LONG));
        channel.begin_reset();
        assert_eq!((late.take(), next.take()), (Some(Err(Error::Io)), None));
        assert_eq!((channel.ports.registers().master_command, channel.mode(0)), (0, mode));
        channel.ports.registers().status = 0;
        channel.end_reset(true);
        assert_eq!(channel.sent().last(), Some(&(0, code::FLUSH_CACHE)));
        if mode == Some(Mode::Dma) {
            assert!(!channel.look(20) && channel.look(20 + LONG));
            channel.begin_reset();
            assert_eq!(next.take(), Some(Err(Error::Io)));
            channel.ports.registers().status = 0;
            channel.end_reset(true);
        }
    }
}

#[test]
fn a_drive_that_forgot_its_command_is_not_waited_for() {
    let channel = channel(false, IDENTITY);
    for operation in [WRITE, Operation::Read] {
        let signal = channel.ask(0, &request(operation));
        channel.ports.registers().status = 0;
        channel.drain();
        assert!((0..100).all(|now| !channel.look(now)) && channel.look(1 << 40));
        channel.begin_reset();
        channel.end_reset(true);
        assert_eq!(signal.take(), Some(Err(Error::Io)));
    }
}

#[test]
fn a_drive_that_takes_no_command_is_reset_and_a_dead_channel_fails_everything() {
    let channel = channel(true, IDENTITY);
    channel.ports.registers().status = status::BSY;
    let (stuck, next) = (channel.ask(0, &request(WRITE)), channel.ask(1, &request(WRITE)));
    assert_eq!(channel.sent(), []);
    assert!(!channel.look(10) && channel.look(11));
    channel.begin_reset();
    channel.end_reset(false);
    assert_eq!((stuck.take(), next.take()), (Some(Err(Error::Io)), Some(Err(Error::Io))));
    assert_eq!(channel.ask(0, &Request::FLUSH).take(), Some(Err(Error::Io)));
}

#[test]
fn who_watches_is_woken_by_the_first_command() {
    let count = Arc::new(WakeCount::default());
    let channel = channel(true, IDENTITY);
    let waker = Waker::from(count.clone());
    let mut context = Context::from_waker(&waker);
    assert!(channel.poll_busy(&mut context).is_pending());
    let _ = (channel.ask(0, &request(WRITE)), channel.ask(0, &request(WRITE)));
    assert_eq!(count.get(), 1);
    assert!(channel.poll_busy(&mut context).is_ready());
}
