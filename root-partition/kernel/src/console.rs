//! The console: COM1. Input wakes whoever reads; output is written a FIFO at a time.
#![expect(unsafe_code, reason = "names the port")]

use crate::firmware::routing;
use crate::interrupts::wire;
use crate::time;
use alloc::collections::VecDeque;
use core::fmt::Write;
use core::task::{Context, Poll, Waker};
use spin::Mutex;
use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::IER;
use uart_16550::{Config, Uart16550};

const COM1: u16 = 0x3F8;
/// Its interrupt on the ISA bus.
pub(crate) const COM1_IRQ: u8 = 4;
/// Bytes of input that are kept; what comes when nobody reads is dropped.
const INPUT_MAX: usize = 4096;
/// How long to wait when the port takes nothing, in 100 ns: a tenth of a FIFO at 115,200 bits a second.
const RETRY: u64 = 1_400;
/// How often to look before a port that takes nothing is given up.
const PATIENCE: u32 = 1_000;

/// The port; `None`: there is none. A leaf lock.
static PORT: Mutex<Option<Uart16550<PioBackend>>> = Mutex::new(None);
static INPUT: Mutex<Input> = Mutex::new(Input { bytes: VecDeque::new(), reader: None });

struct Input {
    bytes: VecDeque<u8>,
    reader: Option<Waker>,
}

/// Sets the port up, for output only so far.
pub(crate) fn start() {
    // SAFETY: COM1 is the kernel's alone.
    let Ok(mut port) = (unsafe { Uart16550::new_port(COM1) }) else { return };
    if port.init(Config::default()).is_ok() {
        *PORT.lock() = Some(port);
    }
}

/// Whether there is a port.
pub(crate) fn is_there() -> bool {
    PORT.lock().is_some()
}

/// Takes input from now on; the port's interrupt arrives at `input`. `false`: it arrives nowhere.
pub(crate) fn listen(input: routing::Input) -> bool {
    if let Some(port) = PORT.lock().as_mut() {
        port.enable_interrupts(IER::DATA_READY);
    }
    wire::serve(input, drain)
}

fn drain() {
    let mut input = INPUT.lock();
    if let Some(port) = PORT.lock().as_mut() {
        while let Ok(byte) = port.try_receive_byte() {
            if input.bytes.len() < INPUT_MAX {
                input.bytes.push_back(byte);
            }
        }
    }
    if !input.bytes.is_empty()
        && let Some(reader) = input.reader.take()
    {
        reader.wake();
    }
}

/// Takes bytes that were typed; how many there were.
pub fn try_read(to: &mut [u8]) -> usize {
    let mut input = INPUT.lock();
    let count = to.len().min(input.bytes.len());
    for (to, from) in to.iter_mut().zip(input.bytes.drain(..count)) {
        *to = from;
    }
    count
}

/// Ready when there is something to read.
pub fn poll_readable(context: &mut Context<'_>) -> Poll<()> {
    let mut input = INPUT.lock();
    if !input.bytes.is_empty() {
        return Poll::Ready(());
    }
    input.reader = Some(context.waker().clone());
    Poll::Pending
}

/// Writes all of `bytes`.
pub async fn write(bytes: &[u8]) {
    let mut rest = bytes;
    let mut idle = 0;
    while !rest.is_empty() && idle < PATIENCE {
        let sent = PORT.lock().as_mut().map_or(rest.len(), |port| port.send_bytes(rest));
        rest = rest.get(sent..).unwrap_or_default();
        if sent == 0 {
            idle += 1;
            time::sleep(RETRY).await;
        } else {
            idle = 0;
        }
    }
}

/// Writes at once, whoever else writes: for boot errors and the kernel's last words.
pub(crate) fn emergency(arguments: core::fmt::Arguments<'_>) {
    struct Direct;
    impl Write for Direct {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            const LINE_STATUS: u16 = COM1 + 5;
            const HOLDING_EMPTY: u8 = 1 << 5;
            for byte in text.bytes() {
                let mut left = 100_000;
                while crate::arch::port::read::<u8>(LINE_STATUS) & HOLDING_EMPTY == 0 && left > 0 {
                    left -= 1;
                }
                crate::arch::port::write(COM1, byte);
            }
            Ok(())
        }
    }
    // Writing to the port does not fail.
    let _ = Direct.write_fmt(arguments);
}
