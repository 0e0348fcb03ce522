//! Leaf 0xD: the components of extended state and how much room they take (SDM vol. 1 13.2, APM vol. 3 E.3.8).

/// Components that a guest may have: x87, SSE, AVX, AVX-512 (three), PKRU.
const COMPONENTS: u32 = 0x2E7;
/// Number of the first component that is not there.
const COUNT: usize = 10;
/// x87, SSE and the header, which come first whatever is enabled.
const LEGACY: u32 = 576;
/// XSAVEOPT, XSAVEC, XGETBV with ECX 1; not XSAVES, whose MSR nobody switches.
const INSTRUCTIONS: u32 = 0b0111;

/// What the guest has of it.
#[derive(Clone, Copy, Default)]
pub struct Xsave {
    components: u32,
    instructions: u32,
    /// Size, offset, flags (bit 1: aligned to 64 bytes in the compacted form).
    areas: [[u32; 3]; COUNT],
}

impl Xsave {
    /// From the host's leaf 0xD, or nothing when the guest has no XSAVE.
    pub fn new(host: impl Fn(u32, u32) -> [u32; 4], offered: bool) -> Self {
        if !offered {
            return Self::default();
        }
        let [components, ..] = host(0xD, 0);
        let components = components & COMPONENTS;
        let [instructions, ..] = host(0xD, 1);
        let mut areas = [[0; 3]; COUNT];
        for (number, area) in (0u32..).zip(areas.iter_mut()).skip(2) {
            if components & (1 << number) != 0 {
                let [size, offset, flags, _] = host(0xD, number);
                *area = [size, offset, flags & 2];
            }
        }
        Self { components, instructions: instructions & INSTRUCTIONS, areas }
    }

    fn enabled(&self, mask: u32) -> impl Iterator<Item = &[u32; 3]> {
        let areas = self.areas.iter().enumerate().skip(2);
        areas.filter(move |(number, _)| mask & (1 << *number) != 0).map(|(_, area)| area)
    }

    /// Bytes of the standard form with the components of `mask`.
    fn size(&self, mask: u32) -> u32 {
        let ends = self.enabled(mask & self.components).map(|[size, offset, _]| size.saturating_add(*offset));
        ends.max().unwrap_or(0).max(LEGACY)
    }

    /// Bytes of the compacted form.
    fn compacted(&self, mask: u32) -> u32 {
        self.enabled(mask & self.components).fold(LEGACY, |end, [size, _, flags]| {
            let start = if flags & 2 != 0 { end.next_multiple_of(64) } else { end };
            start.saturating_add(*size)
        })
    }

    /// EAX, EBX, ECX, EDX of a subleaf; `xcr0` is what is enabled now.
    pub fn answer(&self, subleaf: u32, xcr0: u64) -> [u32; 4] {
        let xcr0 = xcr0 as u32;
        match subleaf {
            _ if self.components == 0 => [0; 4],
            0 => [self.components, self.size(xcr0), self.size(u32::MAX), 0],
            1 if self.instructions & 0b10 != 0 => [self.instructions, self.compacted(xcr0), 0, 0],
            1 => [self.instructions, 0, 0, 0],
            _ => match self.areas.get(subleaf as usize) {
                Some([size, offset, flags]) => [*size, *offset, *flags, 0],
                None => [0; 4],
            },
        }
    }
}
