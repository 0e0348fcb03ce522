//! Versions of the protocol.

use core::fmt;

/// A version: major number in the upper half, minor in the lower.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version(pub u32);

impl Version {
    /// 4.0
    pub const V4_0: Self = Self(0x4_0000);
    /// 4.1: `MODIFYCHANNEL`.
    pub const V4_1: Self = Self(0x4_0001);
    /// 5.0: own connection for messages, no interrupt page.
    pub const V5_0: Self = Self(0x5_0000);
    /// 5.1
    pub const V5_1: Self = Self(0x5_0001);
    /// 5.2
    pub const V5_2: Self = Self(0x5_0002);
    /// 5.3: `MODIFYCHANNEL_RESPONSE`.
    pub const V5_3: Self = Self(0x5_0003);

    /// What is spoken here, the newest first, which is the order in which a guest tries.
    pub const SUPPORTED: [Self; 6] = [Self::V5_3, Self::V5_2, Self::V5_1, Self::V5_0, Self::V4_1, Self::V4_0];

    /// Whether this end speaks it.
    #[must_use]
    pub fn is_supported(self) -> bool {
        Self::SUPPORTED.contains(&self)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> 16, self.0 & 0xFFFF)
    }
}
