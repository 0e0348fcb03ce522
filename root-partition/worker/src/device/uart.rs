//! A 16550A UART.
//!
//! 1. What is sent is gone at once: the transmitter is always empty.
//! 2. [`Uart::receive`] never overruns the receive FIFO when it is given at most [`Uart::room`] bytes.
//! 3. The interrupt line is high exactly when an enabled cause is pending and OUT2 is set, as a PC wires it.

use bitflags::bitflags;

bitflags! {
    /// Interrupt Enable Register.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Ier: u8 {
        /// Received data available.
        const RECEIVED = 1;
        /// Transmitter holding register empty.
        const EMPTY = 1 << 1;
        /// Receiver line status.
        const LINE = 1 << 2;
        /// Modem status.
        const MODEM = 1 << 3;
    }

    /// Modem Control Register.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Mcr: u8 {
        /// Data terminal ready.
        const DTR = 1;
        /// Request to send.
        const RTS = 1 << 1;
        /// Output 1.
        const OUT1 = 1 << 2;
        /// Output 2: gates the interrupt line.
        const OUT2 = 1 << 3;
        /// Loop-back.
        const LOOP = 1 << 4;
    }

    /// Modem Status Register.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Msr: u8 {
        /// Clear to send changed.
        const DELTA_CTS = 1;
        /// Data set ready changed.
        const DELTA_DSR = 1 << 1;
        /// Ring indicator went away.
        const TRAILING_RI = 1 << 2;
        /// Carrier detect changed.
        const DELTA_DCD = 1 << 3;
        /// Clear to send.
        const CTS = 1 << 4;
        /// Data set ready.
        const DSR = 1 << 5;
        /// Ring indicator.
        const RI = 1 << 6;
        /// Carrier detect.
        const DCD = 1 << 7;
    }

    /// Line Status Register.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Lsr: u8 {
        /// Data ready.
        const READY = 1;
        /// Overrun.
        const OVERRUN = 1 << 1;
        /// Transmitter holding register empty.
        const EMPTY = 1 << 5;
        /// Transmitter empty.
        const IDLE = 1 << 6;
    }
}

/// Bytes in the receive FIFO.
const FIFO: usize = 16;
/// Line Control Register: the first two registers are the divisor latch.
const LCR_DLAB: u8 = 1 << 7;
/// Interrupt Identification Register: causes, and what it reads when there is none.
const IIR_NONE: u8 = 1;
const IIR_MODEM: u8 = 0;
const IIR_EMPTY: u8 = 2;
const IIR_RECEIVED: u8 = 4;
const IIR_LINE: u8 = 6;
const IIR_TIMEOUT: u8 = 0xC;
/// Interrupt Identification Register: FIFOs are on.
const IIR_FIFO: u8 = 0xC0;
/// FIFO Control Register.
const FCR_ENABLE: u8 = 1;
const FCR_CLEAR_RECEIVE: u8 = 2;

/// The device.
#[derive(Debug)]
pub struct Uart {
    divisor: [u8; 2],
    ier: Ier,
    lcr: u8,
    mcr: Mcr,
    scratch: u8,
    fifo_enabled: bool,
    trigger: usize,
    fifo: [u8; FIFO],
    first: usize,
    held: usize,
    overrun: bool,
    empty_pending: bool,
    modem_delta: Msr,
}

impl Default for Uart {
    fn default() -> Self {
        Self {
            divisor: [0x0C, 0],
            ier: Ier::empty(),
            lcr: 0,
            mcr: Mcr::empty(),
            scratch: 0,
            fifo_enabled: false,
            trigger: 1,
            fifo: [0; FIFO],
            first: 0,
            held: 0,
            overrun: false,
            empty_pending: false,
            modem_delta: Msr::empty(),
        }
    }
}

impl Uart {
    /// Reads register `offset` (0 to 7).
    pub fn read(&mut self, offset: u16) -> u8 {
        match offset {
            0 if self.latch() => self.divisor[0],
            0 => self.take(),
            1 if self.latch() => self.divisor[1],
            1 => self.ier.bits(),
            2 => self.identify(),
            3 => self.lcr,
            4 => self.mcr.bits(),
            5 => self.line_status(),
            6 => {
                let status = self.modem() | self.modem_delta;
                self.modem_delta = Msr::empty();
                status.bits()
            }
            _ => self.scratch,
        }
    }

    /// Writes register `offset` (0 to 7); the byte that goes out, if one does.
    pub fn write(&mut self, offset: u16, value: u8) -> Option<u8> {
        match offset {
            0 if self.latch() => self.divisor[0] = value,
            0 => return self.transmit(value),
            1 if self.latch() => self.divisor[1] = value,
            1 => self.enable(Ier::from_bits_truncate(value)),
            2 => self.control_fifo(value),
            3 => self.lcr = value,
            4 => self.control_modem(Mcr::from_bits_truncate(value)),
            7 => self.scratch = value,
            _ => {}
        }
        None
    }

    /// Whether the interrupt line is high.
    #[must_use]
    pub fn interrupt(&self) -> bool {
        self.mcr.contains(Mcr::OUT2) && !self.mcr.contains(Mcr::LOOP) && self.cause() != IIR_NONE
    }

    /// How many bytes it can take from the line now.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.mcr.contains(Mcr::LOOP) {
            return 0;
        }
        self.capacity().saturating_sub(self.held)
    }

    /// A byte comes in over the line.
    pub fn receive(&mut self, byte: u8) {
        if self.held >= self.capacity() {
            self.overrun = true;
            return;
        }
        if let Some(slot) = self.fifo.get_mut((self.first + self.held) % FIFO) {
            *slot = byte;
            self.held += 1;
        }
    }

    fn capacity(&self) -> usize {
        if self.fifo_enabled { FIFO } else { 1 }
    }

    fn latch(&self) -> bool {
        self.lcr & LCR_DLAB != 0
    }

    fn take(&mut self) -> u8 {
        if self.held == 0 {
            return 0;
        }
        let byte = self.fifo.get(self.first).copied().unwrap_or(0);
        self.first = (self.first + 1) % FIFO;
        self.held -= 1;
        byte
    }

    fn clear(&mut self) {
        self.first = 0;
        self.held = 0;
    }

    fn transmit(&mut self, byte: u8) -> Option<u8> {
        self.empty_pending = true;
        if self.mcr.contains(Mcr::LOOP) {
            self.receive(byte);
            return None;
        }
        Some(byte)
    }

    /// Turning on the transmitter interrupt while the transmitter is empty raises it: drivers start sending that way.
    fn enable(&mut self, ier: Ier) {
        if ier.contains(Ier::EMPTY) && !self.ier.contains(Ier::EMPTY) {
            self.empty_pending = true;
        }
        self.ier = ier;
    }

    fn control_fifo(&mut self, value: u8) {
        let enabled = value & FCR_ENABLE != 0;
        if enabled != self.fifo_enabled {
            self.clear();
        }
        self.fifo_enabled = enabled;
        if value & FCR_CLEAR_RECEIVE != 0 {
            self.clear();
        }
        self.trigger = match value >> 6 {
            0 => 1,
            1 => 4,
            2 => 8,
            _ => 14,
        };
    }

    fn control_modem(&mut self, mcr: Mcr) {
        let before = self.modem();
        self.mcr = mcr;
        let after = self.modem();
        let changed = before ^ after;
        self.modem_delta
            .set(Msr::DELTA_CTS, self.modem_delta.contains(Msr::DELTA_CTS) || changed.contains(Msr::CTS));
        self.modem_delta
            .set(Msr::DELTA_DSR, self.modem_delta.contains(Msr::DELTA_DSR) || changed.contains(Msr::DSR));
        self.modem_delta
            .set(Msr::DELTA_DCD, self.modem_delta.contains(Msr::DELTA_DCD) || changed.contains(Msr::DCD));
        if before.contains(Msr::RI) && !after.contains(Msr::RI) {
            self.modem_delta.insert(Msr::TRAILING_RI);
        }
    }

    /// The modem lines: those of an attached terminal, or the outputs turned round.
    fn modem(&self) -> Msr {
        if !self.mcr.contains(Mcr::LOOP) {
            return Msr::CTS | Msr::DSR | Msr::DCD;
        }
        let mut lines = Msr::empty();
        lines.set(Msr::CTS, self.mcr.contains(Mcr::RTS));
        lines.set(Msr::DSR, self.mcr.contains(Mcr::DTR));
        lines.set(Msr::RI, self.mcr.contains(Mcr::OUT1));
        lines.set(Msr::DCD, self.mcr.contains(Mcr::OUT2));
        lines
    }

    fn line_status(&mut self) -> u8 {
        let mut status = Lsr::EMPTY | Lsr::IDLE;
        status.set(Lsr::READY, self.held != 0);
        status.set(Lsr::OVERRUN, self.overrun);
        self.overrun = false;
        status.bits()
    }

    /// The pending enabled cause of the highest priority.
    fn cause(&self) -> u8 {
        if self.overrun && self.ier.contains(Ier::LINE) {
            IIR_LINE
        } else if self.held != 0 && self.ier.contains(Ier::RECEIVED) {
            let due = !self.fifo_enabled || self.held >= self.trigger;
            if due { IIR_RECEIVED } else { IIR_TIMEOUT }
        } else if self.empty_pending && self.ier.contains(Ier::EMPTY) {
            IIR_EMPTY
        } else if !self.modem_delta.is_empty() && self.ier.contains(Ier::MODEM) {
            IIR_MODEM
        } else {
            IIR_NONE
        }
    }

    fn identify(&mut self) -> u8 {
        let cause = self.cause();
        if cause == IIR_EMPTY {
            self.empty_pending = false;
        }
        if self.fifo_enabled { cause | IIR_FIFO } else { cause }
    }
}

#[cfg(test)]
mod tests;
