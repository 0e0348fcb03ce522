//! What a drive says about itself (ATA8-ACS, 7.16).

use super::command::{SECTORS_28, SECTORS_48, code};
use alloc::string::String;
use alloc::vec::Vec;

/// Words of the answer.
pub const WORDS: usize = 256;

/// How data is moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// By the processor.
    Pio,
    /// By the controller.
    Dma,
}

/// What matters of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Sectors of 512 bytes.
    pub sectors: u64,
    /// The code of its flush command.
    pub flush: Option<u8>,
    /// Whether a DMA transfer mode is set.
    pub dma: bool,
    /// The transfer mode (for SET FEATURES) that has to be set before DMA can be used, because firmware set none.
    pub sets_dma: Option<u8>,
    /// Whether it has a write cache that it cannot flush.
    pub caches_without_flush: bool,
}

impl Identity {
    /// Reads the answer. `None`: no disk, or one without LBA or with other blocks than of 512 bytes.
    pub fn parse(words: &[u16; WORDS]) -> Option<Self> {
        let bit = |word: usize, bit: u32| words[word] >> bit & 1 != 0;
        // Words 83, 84, 87 and 106 are there where their two top bits say so.
        let valid = |word: usize| words[word] >> 14 == 0b01;
        const COMPACT_FLASH: u16 = 0x848A;
        if (bit(0, 15) && words[0] != COMPACT_FLASH) || !bit(49, 9) {
            return None;
        }
        if valid(106) && bit(106, 12) && (words[117], words[118]) != (256, 0) {
            return None;
        }
        let number = |range: core::ops::Range<usize>| {
            words[range].iter().rev().fold(0_u64, |number, &word| number << 16 | u64::from(word))
        };
        let sectors = if valid(83) && bit(83, 10) { number(100..104) } else { 0 };
        let sectors = if sectors == 0 { number(60..62).min(SECTORS_28) } else { sectors.min(SECTORS_48) };
        let flush = match (valid(83) && bit(83, 13), valid(83) && bit(83, 12)) {
            (true, _) => Some(code::FLUSH_CACHE_EXT),
            (false, true) => Some(code::FLUSH_CACHE),
            (false, false) => None,
        };
        let has_mode = bit(49, 8);
        let ultra = if bit(53, 2) { words[88] } else { 0 };
        let multiword = words[63];
        let dma = has_mode && (ultra >> 8 & 0x7F != 0 || multiword >> 8 & 0x7 != 0);
        const MULTIWORD_0: u8 = 0x20;
        let sets_dma = (has_mode && !dma && multiword & 1 != 0).then_some(MULTIWORD_0);
        let caches_without_flush = flush.is_none() && bit(82, 5) && words[82] != u16::MAX;
        Some(Self { sectors, flush, dma, sets_dma, caches_without_flush })
    }
}

/// Whether the answer is one of an ATAPI device.
pub fn is_atapi(words: &[u16; WORDS]) -> bool {
    words[0] >> 14 == 0b10
}

/// The model's name: two characters a word, the first in the high byte.
pub fn model(words: &[u16; WORDS]) -> String {
    let bytes: Vec<u8> = words[27..47].iter().flat_map(|word| word.to_be_bytes()).collect();
    let text = String::from_utf8_lossy(&bytes);
    let printable = text.chars().filter(|character| character.is_ascii_graphic() || *character == ' ');
    String::from(printable.collect::<String>().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(changes: &[(usize, u16)]) -> [u16; WORDS] {
        let mut words = [0; WORDS];
        // LBA and DMA, words 64 to 70 and 88, 128 GiB in 28 bits.
        for &(word, value) in [(49, 0x300), (53, 6), (61, 0x0FFF), (60, 0xFFFF)].iter().chain(changes) {
            words[word] = value;
        }
        words
    }

    fn parse(changes: &[(usize, u16)]) -> Option<Identity> {
        Identity::parse(&words(changes))
    }

    #[test]
    fn a_modern_drive() {
        let found = parse(&[(83, 0x7400), (82, 0x20), (101, 0x1000), (88, 0x203F), (63, 7)]).unwrap();
        let wanted = Identity {
            sectors: 0x1000_0000,
            flush: Some(code::FLUSH_CACHE_EXT),
            dma: true,
            sets_dma: None,
            caches_without_flush: false,
        };
        assert_eq!(found, wanted);
    }

    #[test]
    fn an_old_drive() {
        let found = parse(&[(82, 0x20), (63, 0x7)]).unwrap();
        assert_eq!((found.sectors, found.flush, found.dma), (0x0FFF_FFFF, None, false));
        assert_eq!((found.sets_dma, found.caches_without_flush), (Some(0x20), true));
        assert_eq!(parse(&[(83, 0x4400), (103, 0xFFFF)]).unwrap().sectors, SECTORS_48);
        assert_eq!(parse(&[(83, 0x5000)]).unwrap().flush, Some(code::FLUSH_CACHE));
        assert_eq!(parse(&[(83, 0x3000)]).unwrap().flush, None);
        assert!(parse(&[(63, 0x0407)]).unwrap().dma);
        let without = parse(&[(49, 0x200), (63, 0x407)]).unwrap();
        assert_eq!((without.dma, without.sets_dma), (false, None));
    }

    #[test]
    fn what_is_no_disk_of_512_byte_blocks_is_left_out() {
        assert_eq!(parse(&[(0, 0x85C0)]), None);
        assert!(is_atapi(&words(&[(0, 0x85C0)])) && !is_atapi(&words(&[(0, 0x40)])));
        assert_eq!(parse(&[(49, 0x100)]), None);
        assert_eq!(parse(&[(106, 0x5000), (117, 2048)]), None);
        assert!(parse(&[(106, 0x5000), (117, 256)]).is_some());
        assert!(parse(&[(0, 0x848A)]).is_some());
    }

    #[test]
    fn the_model_is_read_in_its_order() {
        let mut words = words(&[]);
        let name = b"QEMU HARDDISK                           ";
        for (word, pair) in words[27..47].iter_mut().zip(name.chunks(2)) {
            *word = u16::from_be_bytes([pair[0], pair[1]]);
        }
        assert_eq!(model(&words), "QEMU HARDDISK");
    }
}
