//! COM1, 115,200 bits a second, until the root partition owns it; a panic uses it again.
#![expect(unsafe_code, reason = "the port of COM1")]

use spin::Mutex;
use uart_16550::{BaudRate, Config, Uart16550, backend::PioBackend};

/// Guards the port between processors; taken last, held for a line.
static COM1: Mutex<Option<Uart16550<PioBackend>>> = Mutex::new(None);

/// The port of COM1.
const PORT: u16 = 0x3F8;
/// Looks at the line status before a byte is given up.
const PATIENCE: u32 = 100_000;

/// Sets up the port; without one, messages go nowhere.
pub fn init() {
    // SAFETY: COM1 is the hypervisor's until the root runs, and nothing else is at its ports.
    let Ok(mut uart) = (unsafe { Uart16550::new_port(PORT) }) else { return };
    let config = Config { baud_rate: BaudRate::Baud115200, ..Config::default() };
    if uart.init(config).is_ok() {
        *COM1.lock() = Some(uart);
    }
}

/// For a panic: takes the port from whoever holds it.
///
/// # Safety
/// No other processor may be printing, or a garbled line must be better than none.
pub unsafe fn seize() {
    // SAFETY: the caller's contract.
    unsafe { COM1.force_unlock() };
}

/// Sends text; a line ends in CR LF.
pub fn write(text: &str) {
    if let Some(uart) = COM1.lock().as_mut() {
        for byte in text.bytes() {
            if byte == b'\n' {
                send(uart, b'\r');
            }
            send(uart, byte);
        }
    }
}

fn send(uart: &mut Uart16550<PioBackend>, byte: u8) {
    for _ in 0..PATIENCE {
        if uart.try_send_byte(byte).is_ok() {
            return;
        }
    }
}
