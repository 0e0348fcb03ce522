//! The hypervisor's log: COM1 and the firmware's framebuffer, until the root partition owns them; a panic uses them
//! again.
#![expect(unsafe_code, reason = "the framebuffer is named by its address")]

use core::fmt;
use core::sync::atomic::AtomicU32;

use handoff::{Framebuffer, space};
use spin::Mutex;

use crate::arch::serial;
use crate::screen::Screen;

/// Guards the screen between processors; held for one piece of text, nothing else is taken inside.
static SCREEN: Mutex<Option<Screen>> = Mutex::new(None);

/// Uses the framebuffer as well.
///
/// # Safety
/// All of it is mapped at [`space::FRAMEBUFFER`].
pub unsafe fn use_framebuffer(framebuffer: &Framebuffer) {
    if framebuffer.base == 0 || framebuffer.width > framebuffer.stride / 4 {
        return;
    }
    let address = space::FRAMEBUFFER.wrapping_add(framebuffer.base % 4096);
    let first = core::ptr::with_exposed_provenance::<AtomicU32>(address as usize);
    // SAFETY: the caller's contract; every access is atomic.
    let pixels = unsafe { core::slice::from_raw_parts(first, (framebuffer.bytes() / 4) as usize) };
    let [width, height, stride] = [framebuffer.width, framebuffer.height, framebuffer.stride / 4];
    *SCREEN.lock() = Some(Screen::new(pixels, width as usize, height as usize, stride as usize));
}

/// For a panic: takes both from whoever holds them.
///
/// # Safety
/// No other processor may be printing, or a garbled line must be better than none.
pub unsafe fn seize() {
    // SAFETY: the caller's contract.
    unsafe { serial::seize() };
    // SAFETY: the caller's contract.
    unsafe { SCREEN.force_unlock() };
}

/// The log as a text sink.
pub struct Log;

impl fmt::Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        serial::write(text);
        if let Some(screen) = SCREEN.lock().as_mut() {
            text.bytes().for_each(|byte| screen.put(byte));
        }
        Ok(())
    }
}

/// Prints a line.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {{
        use core::fmt::Write;
        let _ = writeln!($crate::arch::log::Log, $($part)*);
    }};
}
