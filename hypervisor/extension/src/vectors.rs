//! Sets of the 256 vectors, as ISR, IRR and TMR hold them.

/// Where vector `v` is: word and bit.
#[inline]
pub const fn place(vector: u8) -> (usize, u64) {
    ((vector >> 6) as usize, 1 << (vector & 63))
}

/// A set that one processor uses.
#[derive(Clone, Copy, Debug, Default, Eq)]
pub struct Vectors(pub [u64; 4]);

/// Without a call, which comparing arrays is.
impl PartialEq for Vectors {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) == 0
    }
}

impl Vectors {
    /// Every vector.
    pub const ALL: Self = Self([u64::MAX; 4]);
    /// No vector.
    pub const EMPTY: Self = Self([0; 4]);

    /// Adds `vector`.
    #[inline]
    pub fn insert(&mut self, vector: u8) {
        let (word, bit) = place(vector);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }
    /// Takes `vector` out.
    #[inline]
    pub fn remove(&mut self, vector: u8) {
        let (word, bit) = place(vector);
        if let Some(word) = self.0.get_mut(word) {
            *word &= !bit;
        }
    }
    /// The highest one.
    #[inline]
    pub fn highest(&self) -> Option<u8> {
        let (base, word) = match self.0 {
            [a, 0, 0, 0] => (0, a),
            [_, b, 0, 0] => (64, b),
            [_, _, c, 0] => (128, c),
            [.., d] => (192, d),
        };
        word.checked_ilog2().map(|bit| base | (bit as u8))
    }
    /// The 32 vectors from `32 * index` on, as a register shows them; 0 for an index above 7.
    #[inline]
    pub fn register(&self, index: u32) -> u32 {
        let word = self.0.get((index >> 1) as usize).copied().unwrap_or(0);
        if index & 1 == 0 { word as u32 } else { (word >> 32) as u32 }
    }
    /// These and `others`.
    #[inline]
    pub fn with(self, others: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, others.0);
        Self([a | e, b | f, c | g, d | h])
    }
}
