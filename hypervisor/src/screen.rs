//! Text on the firmware's framebuffer: a server without a serial cable shows there why it stopped.

use core::sync::atomic::{AtomicU32, Ordering};

use font8x8::legacy::BASIC_LEGACY;

/// Pixels of a character; the font has half the height, each line is drawn twice.
const WIDTH: usize = 8;
const HEIGHT: usize = 16;
const WHITE: u32 = 0x00FF_FFFF;

/// A framebuffer of 32-bit pixels.
pub struct Screen {
    pixels: &'static [AtomicU32],
    /// Pixels from one line to the next.
    stride: usize,
    columns: usize,
    rows: usize,
    column: usize,
    row: usize,
}

impl Screen {
    /// Text starts at the top; what is there before stays until it is written over.
    pub const fn new(pixels: &'static [AtomicU32], width: usize, height: usize, stride: usize) -> Self {
        Self { pixels, stride, columns: width / WIDTH, rows: height / HEIGHT, column: 0, row: 0 }
    }

    /// Writes a character; behind the last line it goes on at the top.
    pub fn put(&mut self, character: u8) {
        if character == b'\n' || self.column >= self.columns {
            self.column = 0;
            self.row = self.row.wrapping_add(1);
            if self.row >= self.rows {
                self.row = 0;
            }
        }
        if character == b'\n' {
            return;
        }
        if self.column == 0 {
            (0..self.columns).for_each(|column| self.draw(column, b' '));
        }
        self.draw(self.column, character);
        self.column = self.column.wrapping_add(1);
    }

    fn draw(&self, column: usize, character: u8) {
        let glyph = BASIC_LEGACY.get(usize::from(character)).copied().unwrap_or([0; 8]);
        let left = column.wrapping_mul(WIDTH);
        let top = self.row.wrapping_mul(HEIGHT);
        for (number, bits) in glyph.into_iter().flat_map(|bits| [bits; 2]).enumerate() {
            let first = top.wrapping_add(number).wrapping_mul(self.stride).wrapping_add(left);
            let line = self.pixels.get(first..).unwrap_or_default();
            for (x, pixel) in line.iter().take(WIDTH).enumerate() {
                pixel.store(if bits >> x & 1 != 0 { WHITE } else { 0 }, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::boxed::Box;
    use std::vec::Vec;

    use super::*;

    /// 40 × 33 pixels (5 columns, 2 rows), 42 to a line, all gray.
    fn screen() -> (Screen, &'static [AtomicU32]) {
        let pixels: Vec<AtomicU32> = (0..42 * 33).map(|_| AtomicU32::new(7)).collect();
        let pixels: &'static [AtomicU32] = Box::leak(pixels.into_boxed_slice());
        (Screen::new(pixels, 40, 33, 42), pixels)
    }

    fn cell(pixels: &[AtomicU32], column: usize, row: usize) -> Vec<u32> {
        let at = |y: usize, x: usize| pixels[(row * 16 + y) * 42 + column * 8 + x].load(Ordering::Relaxed);
        (0..16).flat_map(|y| (0..8).map(move |x| (y, x))).map(|(y, x)| at(y, x)).collect()
    }

    #[test]
    fn a_character_has_its_place_and_clears_its_line() {
        let (mut screen, pixels) = screen();
        screen.put(b'I');
        assert!(cell(pixels, 0, 0).contains(&WHITE) && cell(pixels, 0, 0).contains(&0));
        assert!(cell(pixels, 1, 0).iter().all(|&pixel| pixel == 0));
        assert!(cell(pixels, 0, 1).iter().all(|&pixel| pixel == 7));
        screen.put(b'\n');
        screen.put(b'I');
        assert_eq!(cell(pixels, 0, 1), cell(pixels, 0, 0));
    }

    #[test]
    fn text_wraps_at_the_right_and_at_the_bottom() {
        let (mut screen, pixels) = screen();
        b"IIIIIx".iter().for_each(|&character| screen.put(character));
        assert_ne!(cell(pixels, 0, 1), cell(pixels, 0, 0));
        b"\n \xFF".iter().for_each(|&character| screen.put(character));
        assert!(cell(pixels, 0, 0).iter().all(|&pixel| pixel == 0));
        assert!(pixels[40].load(Ordering::Relaxed) == 7, "beyond the width");
    }
}
