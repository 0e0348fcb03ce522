//! Lengths of the few instructions that the hypervisor completes itself, for processors that do not report the next
//! RIP (QEMU's TCG; the first with SVM).
//!
//! This is no decoder: the exit says which instruction it was, so only the prefixes before its opcode are to be
//! counted.

/// Instructions that exit, by opcode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opcode {
    /// 0F A2.
    Cpuid,
    /// 0F 32.
    Rdmsr,
    /// 0F 30.
    Wrmsr,
    /// 0F 01 D9.
    Vmmcall,
    /// 0F 01 D1.
    Xsetbv,
    /// F4.
    Hlt,
    /// 0F 08.
    Invd,
    /// 0F 09, also WBNOINVD.
    Wbinvd,
}

impl Opcode {
    const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Cpuid => &[0x0F, 0xA2],
            Self::Rdmsr => &[0x0F, 0x32],
            Self::Wrmsr => &[0x0F, 0x30],
            Self::Vmmcall => &[0x0F, 0x01, 0xD9],
            Self::Xsetbv => &[0x0F, 0x01, 0xD1],
            Self::Hlt => &[0xF4],
            Self::Invd => &[0x0F, 0x08],
            Self::Wbinvd => &[0x0F, 0x09],
        }
    }
    /// Without prefixes.
    pub const fn length(self) -> u8 {
        self.bytes().len() as u8
    }
}

/// An instruction has at most this many bytes.
pub const LONGEST: usize = 15;

/// Length of the instruction `opcode` whose bytes start `bytes`. `None`: it is not there.
pub fn instruction_length(bytes: &[u8], opcode: Opcode, in_64_bit_mode: bool) -> Option<u8> {
    let bytes = bytes.get(..LONGEST).unwrap_or(bytes);
    let is_prefix = |byte: u8| {
        matches!(byte, 0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65 | 0x66 | 0x67 | 0xF0 | 0xF2 | 0xF3)
            || in_64_bit_mode && byte & 0xF0 == 0x40
    };
    let prefixes = bytes.iter().take_while(|&&byte| is_prefix(byte)).count();
    let rest = bytes.get(prefixes..)?;
    let length = prefixes.checked_add(opcode.bytes().len())?;
    if rest.starts_with(opcode.bytes()) { u8::try_from(length).ok() } else { None }
}

/// The lengths of instructions that exited lately, so that the bytes of one in a loop are fetched once.
///
/// They are the supervisor's, whose code is taken to be the same in all address spaces: a guest that has the same opcode
/// at the same place with other prefixes there confuses itself only. Of programs nothing is remembered, or they could do
/// it to each other.
#[derive(Clone, Debug)]
pub struct LengthCache {
    entries: [Entry; LENGTHS],
}

/// How many are remembered.
const LENGTHS: usize = 64;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    rip: u64,
    /// 0: empty.
    length: u8,
    opcode: u8,
}

impl Default for LengthCache {
    fn default() -> Self {
        Self::new()
    }
}

impl LengthCache {
    /// Empty.
    pub const fn new() -> Self {
        Self { entries: [Entry { rip: 0, length: 0, opcode: 0 }; LENGTHS] }
    }

    fn slot(rip: u64) -> usize {
        (rip ^ rip >> 6 ^ rip >> 12) as usize % LENGTHS
    }

    /// The length of `opcode` at `rip`, when it is known.
    #[inline]
    pub fn get(&self, rip: u64, opcode: Opcode) -> Option<u8> {
        let entry = self.entries.get(Self::slot(rip))?;
        let found = entry.rip == rip && entry.opcode == opcode as u8 && entry.length != 0;
        found.then_some(entry.length)
    }

    /// Remembers it.
    pub fn put(&mut self, rip: u64, opcode: Opcode, length: u8) {
        if let Some(entry) = self.entries.get_mut(Self::slot(rip)) {
            *entry = Entry { rip, length, opcode: opcode as u8 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_count() {
        assert_eq!(instruction_length(&[0x0F, 0xA2, 0xCC], Opcode::Cpuid, true), Some(2));
        assert_eq!(instruction_length(&[0x66, 0x48, 0x0F, 0xA2], Opcode::Cpuid, true), Some(4));
        assert_eq!(instruction_length(&[0xF3, 0x0F, 0x09], Opcode::Wbinvd, false), Some(3));
        assert_eq!(instruction_length(&[0x0F, 0x01, 0xD9], Opcode::Vmmcall, true), Some(3));
        let long = [[0x66; 13].as_slice(), &[0x0F, 0xA2]].concat();
        assert_eq!(instruction_length(&long, Opcode::Cpuid, true), Some(15));
    }

    #[test]
    fn what_is_not_the_instruction_has_no_length() {
        assert_eq!(instruction_length(&[0x0F, 0x0B], Opcode::Cpuid, true), None);
        assert_eq!(instruction_length(&[0x48, 0xF4], Opcode::Hlt, false), None);
        assert_eq!(instruction_length(&[0x66; 15], Opcode::Hlt, true), None);
        assert_eq!(instruction_length(&[0x66; 20], Opcode::Hlt, true), None);
        assert_eq!(instruction_length(&[], Opcode::Hlt, true), None);
    }

    #[test]
    fn the_cache_tells_places_and_opcodes_apart() {
        let mut cache = LengthCache::new();
        assert_eq!(cache.get(0, Opcode::Cpuid), None);
        cache.put(0x1000, Opcode::Cpuid, 2);
        assert_eq!(cache.get(0x1000, Opcode::Cpuid), Some(2));
        assert_eq!(cache.get(0x1000, Opcode::Hlt), None);
        assert_eq!(cache.get(0x1001, Opcode::Cpuid), None);
        cache.put(0x1000, Opcode::Hlt, 1);
        assert_eq!(cache.get(0x1000, Opcode::Cpuid), None);
        assert_eq!(cache.get(0x1000, Opcode::Hlt), Some(1));
    }
}
