//! The host log: the last lines that the kernel and its programs had to say, in memory.

use alloc::collections::VecDeque;
use spin::Mutex;

/// Bytes that are kept.
const CAPACITY: usize = 256 << 10;

/// The lines. Taken while a line is added or read; nothing else is taken meanwhile but the heap.
static LINES: Mutex<Ring> = Mutex::new(Ring::new(CAPACITY));

struct Ring {
    bytes: VecDeque<u8>,
    capacity: usize,
}

impl Ring {
    const fn new(capacity: usize) -> Self {
        Self { bytes: VecDeque::new(), capacity }
    }

    /// Adds a line (without its end); whole old lines make room.
    fn push(&mut self, line: &[u8]) {
        let line = &line[..line.len().min(self.capacity / 4)];
        while self.bytes.len() + line.len() + 1 > self.capacity {
            let end = self.bytes.iter().position(|&byte| byte == b'\n');
            self.bytes.drain(..=end.unwrap_or(self.bytes.len() - 1));
        }
        self.bytes.extend(line.iter().map(|&byte| if byte == b'\n' { b' ' } else { byte }));
        self.bytes.push_back(b'\n');
    }

    fn read(&self, offset: usize, to: &mut [u8]) -> usize {
        let mut copied = 0;
        for (to, from) in to.iter_mut().zip(self.bytes.iter().skip(offset)) {
            *to = *from;
            copied += 1;
        }
        copied
    }
}

/// Adds a line.
pub fn push(line: &[u8]) {
    LINES.lock().push(line);
}

/// Copies from the log's byte `offset` on, counted from the oldest that is kept; how many there were.
pub fn read(offset: usize, to: &mut [u8]) -> usize {
    LINES.lock().read(offset, to)
}

#[cfg(not(test))]
mod logger {
    use super::push;
    use alloc::format;
    use core::sync::atomic::{AtomicBool, Ordering};
    use log::{Level, Log, Metadata, Record};

    /// Whether warnings and errors go to the console as well: nobody else writes to it yet.
    static BOOTING: AtomicBool = AtomicBool::new(true);

    struct Logger;
    static LOGGER: Logger = Logger;

    impl Log for Logger {
        fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &Record<'_>) {
            let micros = crate::time::now() / 10;
            let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
            let level = match record.level() {
                Level::Error => "error: ",
                Level::Warn => "warning: ",
                Level::Info => "",
                Level::Debug | Level::Trace => "debug: ",
            };
            push(format!("[{seconds:5}.{micros:06}] {level}{}", record.args()).as_bytes());
            if record.level() <= Level::Warn && BOOTING.load(Ordering::Relaxed) {
                crate::console::emergency(format_args!("root partition: {level}{}\r\n", record.args()));
            }
        }
        fn flush(&self) {}
    }

    /// Makes it what `log::info!` and the like write to.
    pub(crate) fn start() {
        if log::set_logger(&LOGGER).is_ok() {
            log::set_max_level(log::LevelFilter::Debug);
        }
    }

    /// From now on the console belongs to a program.
    pub(crate) fn leave_console() {
        BOOTING.store(false, Ordering::Relaxed);
    }
}
#[cfg(not(test))]
pub(crate) use logger::{leave_console, start};

#[cfg(test)]
mod tests {
    use super::Ring;

    fn text(ring: &Ring, offset: usize) -> String {
        let mut bytes = [0; 100];
        let length = ring.read(offset, &mut bytes);
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn whole_old_lines_make_room() {
        let mut ring = Ring::new(20);
        for line in ["one", "two", "three", "four"] {
            ring.push(line.as_bytes());
        }
        assert_eq!(text(&ring, 0), "one\ntwo\nthree\nfour\n");
        ring.push(b"x");
        assert_eq!(text(&ring, 0), "two\nthree\nfour\nx\n");
        assert_eq!(text(&ring, 4), "three\nfour\nx\n");
        assert_eq!(text(&ring, 400), "");
    }

    #[test]
    fn a_long_line_is_cut_and_a_line_is_one_line() {
        let mut ring = Ring::new(20);
        ring.push(b"a\nbcdefghijkl");
        assert_eq!(text(&ring, 0), "a bcd\n");
    }
}
