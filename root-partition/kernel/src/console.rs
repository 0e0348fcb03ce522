//! The console: COM1, 115,200 bits a second, 8N1. Input wakes whoever reads; output is written a FIFO at a time.
#![expect(unsafe_code, reason = "names the port")]

use crate::executor;
use crate::firmware::routing;
use crate::interrupts::wire;
use crate::time;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt::Write;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use spin::Mutex;
use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::IER;
use uart_16550::{BaudRate, Config, Uart16550};

const COM1: u16 = 0x3F8;
/// Its interrupt on the ISA bus.
pub(crate) const COM1_IRQ: u8 = 4;
/// Bytes of input that are kept; what comes when nobody reads is dropped.
const INPUT_MAX: usize = 4096;
/// How long to wait when the port takes no more, in 100 ns: most of a FIFO at 115,200 bits a second, and then a tenth.
const FIFO: u64 = 12_500;
const RETRY: u64 = 1_400;
/// How often to look before a port that takes nothing is given up.
const PATIENCE: u32 = 1_000;

/// The port; `None`: there is none. A leaf lock.
static PORT: Mutex<Option<Uart16550<PioBackend>>> = Mutex::new(None);
static INPUT: Mutex<Input> = Mutex::new(Input { bytes: VecDeque::new(), reader: None });
/// Only the port's lock is taken inside, and what spawning takes.
static OUTPUT: Mutex<Output> =
    Mutex::new(Output { bytes: VecDeque::new(), sent: 0, is_sending: false, writers: Vec::new() });

struct Input {
    bytes: VecDeque<u8>,
    reader: Option<Waker>,
}

struct Output {
    /// What the port has not taken yet.
    bytes: VecDeque<u8>,
    /// How many bytes it has taken, of those that were put here.
    sent: u64,
    /// There is a task that sends them.
    is_sending: bool,
    /// Who waits until there are none left.
    writers: Vec<Waker>,
}

/// Sets the port up, for output only so far.
pub(crate) fn start() {
    // SAFETY: COM1 is the kernel's alone.
    let Ok(mut port) = (unsafe { Uart16550::new_port(COM1) }) else { return };
    let config = Config { baud_rate: BaudRate::Baud115200, ..Config::default() };
    if port.init(config).is_ok() {
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
    let end = {
        let mut output = OUTPUT.lock();
        // Most is little, and fits.
        let sent = if output.is_sending { 0 } else { send(bytes) };
        let rest = bytes.get(sent..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        output.bytes.extend(rest);
        if !core::mem::replace(&mut output.is_sending, true) {
            executor::spawn(send_all());
        }
        output.sent + output.bytes.len() as u64
    };
    poll_fn(|context| {
        let mut output = OUTPUT.lock();
        if output.sent >= end {
            return Poll::Ready(());
        }
        output.writers.push(context.waker().clone());
        Poll::Pending
    })
    .await;
}

/// Gives the port what it takes; how many bytes that was.
fn send(bytes: &[u8]) -> usize {
    let mut port = PORT.lock();
    let Some(port) = port.as_mut() else { return bytes.len() };
    let mut sent = 0;
    loop {
        match port.send_bytes(bytes.get(sent..).unwrap_or_default()) {
            0 => return sent,
            more => sent += more,
        }
    }
}

/// Sends what waits, as a task that runs as soon as it is woken: a program would wait for its turn after each FIFO.
async fn send_all() {
    let mut idle = 0;
    loop {
        let sent = {
            let mut output = OUTPUT.lock();
            let (first, _) = output.bytes.as_slices();
            let sent = if idle < PATIENCE { send(first) } else { first.len() };
            output.bytes.drain(..sent);
            output.sent += sent as u64;
            if output.bytes.is_empty() {
                output.is_sending = false;
                let writers = core::mem::take(&mut output.writers);
                drop(output);
                return writers.into_iter().for_each(Waker::wake);
            }
            sent
        };
        idle = if sent == 0 { idle + 1 } else { 0 };
        time::sleep(if sent == 0 { RETRY } else { FIFO }).await;
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
