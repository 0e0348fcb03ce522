//! Register by register, then against a model that keeps what went in and came out in plain queues.

use super::Uart;
use alloc::collections::VecDeque;
use proptest::prelude::*;

const DATA: u16 = 0;
const IER: u16 = 1;
const IIR: u16 = 2;
const LCR: u16 = 3;
const MCR: u16 = 4;
const LSR: u16 = 5;
const MSR: u16 = 6;
const SCRATCH: u16 = 7;

fn ready() -> Uart {
    let mut uart = Uart::default();
    uart.write(IIR, 0xC7);
    uart.write(MCR, 0x0B);
    uart
}

#[test]
fn a_driver_finds_a_16550a() {
    let mut uart = Uart::default();
    uart.write(SCRATCH, 0xA5);
    assert_eq!(uart.read(SCRATCH), 0xA5);
    uart.write(IER, 0xFF);
    assert_eq!(uart.read(IER), 0x0F);
    uart.write(IER, 0);
    uart.write(IIR, 1);
    assert_eq!(uart.read(IIR) >> 6, 3);
    uart.write(LCR, 0x80);
    uart.write(DATA, 0x34);
    uart.write(IER, 0x12);
    assert_eq!((uart.read(DATA), uart.read(IER)), (0x34, 0x12));
    uart.write(LCR, 3);
    assert_eq!((uart.read(IER), uart.read(LCR)), (0, 3));
    assert_eq!(uart.read(LSR), 0x60);
    assert_eq!(uart.read(MSR), 0xB0);
}

#[test]
fn the_transmitter_interrupt_comes_when_it_is_enabled_and_after_each_byte() {
    let mut uart = ready();
    assert!(!uart.interrupt());
    uart.write(IER, 2);
    assert!(uart.interrupt());
    assert_eq!(uart.read(IIR), 0xC2);
    assert!(!uart.interrupt());
    assert_eq!(uart.read(IIR), 0xC1);
    assert_eq!(uart.write(DATA, b'x'), Some(b'x'));
    assert!(uart.interrupt());
    uart.write(IER, 0);
    assert!(!uart.interrupt());
}

#[test]
fn received_bytes_interrupt_until_they_are_read() {
    let mut uart = ready();
    uart.write(IER, 1);
    assert_eq!(uart.room(), 16);
    uart.receive(b'a');
    assert!(uart.interrupt());
    assert_eq!(uart.read(IIR), 0xCC);
    for _ in 1..14 {
        uart.receive(b'b');
    }
    assert_eq!(uart.read(IIR), 0xC4);
    assert_eq!(uart.read(LSR), 0x61);
    assert_eq!(uart.read(DATA), b'a');
    for _ in 1..14 {
        assert_eq!(uart.read(DATA), b'b');
    }
    assert!(!uart.interrupt());
    assert_eq!(uart.read(LSR), 0x60);
}

#[test]
fn an_overrun_is_told_once() {
    let mut uart = ready();
    uart.write(IER, 4);
    for _ in 0..17 {
        uart.receive(b'z');
    }
    assert_eq!(uart.read(IIR), 0xC6);
    assert_eq!(uart.read(LSR), 0x63);
    assert_eq!(uart.read(LSR), 0x61);
    assert!(!uart.interrupt());
}

#[test]
fn loop_back_turns_bytes_and_lines_round() {
    let mut uart = Uart::default();
    uart.write(IIR, 1);
    uart.write(MCR, 0x1A);
    assert_eq!(uart.read(MSR) & 0xF0, 0x90);
    assert_eq!(uart.room(), 0);
    assert_eq!(uart.write(DATA, 0x5A), None);
    assert_eq!(uart.read(DATA), 0x5A);
    uart.write(MCR, 0x1F);
    uart.read(MSR);
    uart.write(MCR, 0x10);
    assert_eq!(uart.read(MSR), 0x0F);
    assert_eq!(uart.read(MSR), 0);
}

proptest! {
    /// Bytes come out of the FIFO in the order they went in, none is made up, and the line is high exactly when the
    /// identification register names a cause.
    #[test]
    fn the_fifo_is_a_queue(steps in prop::collection::vec((0u8..5, any::<u8>()), 0..200)) {
        let mut uart = ready();
        let mut model = VecDeque::new();
        for (step, byte) in steps {
            match step {
                0 if uart.room() != 0 => { uart.receive(byte); model.push_back(byte); }
                1 => prop_assert_eq!(uart.read(DATA), model.pop_front().unwrap_or(0)),
                2 => { uart.write(IER, byte); }
                3 => prop_assert_eq!(uart.write(DATA, byte), Some(byte)),
                _ => {
                    let line = uart.interrupt();
                    prop_assert_eq!(uart.read(IIR) & 1 == 0, line);
                }
            }
            prop_assert_eq!(uart.read(LSR) & 1 == 1, !model.is_empty());
            prop_assert_eq!(uart.room(), 16 - model.len());
        }
    }

    /// No sequence of accesses makes it panic or send a byte that was not written.
    #[test]
    fn any_access_is_harmless(steps in prop::collection::vec((any::<bool>(), 0u16..8, any::<u8>()), 0..300)) {
        let mut uart = Uart::default();
        for (write, offset, value) in steps {
            if write {
                if let Some(sent) = uart.write(offset, value) { prop_assert_eq!((offset, sent), (0, value)); }
            } else {
                uart.read(offset);
            }
            if uart.room() != 0 { uart.receive(value); }
        }
    }
}
