//! Addresses and page numbers, one type for each space, so that none is taken for another.
//!
//! A constructor checks what the architecture promises for that space; there is no `From<u64>`.

/// Bytes in a page, the granule of every interface here.
pub const PAGE_SIZE: u64 = 4096;
/// `log2` of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
/// Bytes in a large page (2 MiB).
pub const LARGE_PAGE_SIZE: u64 = 2 << 20;
/// Pages in a large page.
pub const PAGES_PER_LARGE_PAGE: u64 = LARGE_PAGE_SIZE / PAGE_SIZE;
/// Physical addresses have at most 52 bits (APM vol. 2, 5.3); a page number has 12 fewer.
pub const PHYSICAL_BITS: u32 = 52;

macro_rules! physical {
    ($(#[$ameta:meta])* $address:ident, $(#[$pmeta:meta])* $page:ident) => {
        $(#[$ameta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        #[repr(transparent)]
        pub struct $address(u64);

        $(#[$pmeta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        #[repr(transparent)]
        pub struct $page(u64);

        impl $address {
            /// The address, or `None` when it has more than 52 bits.
            #[inline]
            pub const fn new(value: u64) -> Option<Self> {
                if value >> PHYSICAL_BITS == 0 { Some(Self(value)) } else { None }
            }
            /// The number.
            #[inline]
            pub const fn get(self) -> u64 { self.0 }
            /// The page it is in.
            #[inline]
            pub const fn page(self) -> $page { $page(self.0 >> PAGE_SHIFT) }
            /// The byte within its page, below 4096.
            #[inline]
            pub const fn offset(self) -> usize { (self.0 & (PAGE_SIZE - 1)) as usize }
            /// `self + bytes`, or `None` past the 52 bits.
            #[inline]
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) { Some(v) => Self::new(v), None => None }
            }
        }

        impl $page {
            /// The page with this number, or `None` when its address has more than 52 bits.
            #[inline]
            pub const fn new(number: u64) -> Option<Self> {
                if number >> (PHYSICAL_BITS - PAGE_SHIFT) == 0 { Some(Self(number)) } else { None }
            }
            /// The page's number (address / 4096).
            #[inline]
            pub const fn get(self) -> u64 { self.0 }
            /// Its first byte.
            #[inline]
            pub const fn base(self) -> $address { $address(self.0 << PAGE_SHIFT) }
            /// `self + pages`, or `None` past the 52 bits.
            #[inline]
            pub const fn checked_add(self, pages: u64) -> Option<Self> {
                match self.0.checked_add(pages) { Some(v) => Self::new(v), None => None }
            }
            /// Whether a page of 2^`order` pages may start here.
            #[inline]
            pub const fn is_aligned(self, order: u32) -> bool { self.0.trailing_zeros() >= order }
        }

        impl core::fmt::LowerHex for $address {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result { core::fmt::LowerHex::fmt(&self.0, f) }
        }
        impl core::fmt::LowerHex for $page {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result { core::fmt::LowerHex::fmt(&self.0, f) }
        }
    };
}

physical! {
    /// A system physical address: what is on the machine's bus.
    Spa,
    /// The number of a page of system physical memory.
    SpaPage
}
physical! {
    /// A guest physical address: meaningful in one partition only. (The root's equal the system's.)
    Gpa,
    /// The number of a page of guest physical memory.
    GpaPage
}

macro_rules! linear {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The address, or `None` when it is not canonical (bits 63:47 not all alike).
            #[inline]
            pub const fn new(value: u64) -> Option<Self> {
                if ((value << 16).cast_signed() >> 16).cast_unsigned() == value { Some(Self(value)) } else { None }
            }
            /// The number.
            #[inline]
            pub const fn get(self) -> u64 { self.0 }
        }

        impl core::fmt::LowerHex for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result { core::fmt::LowerHex::fmt(&self.0, f) }
        }
    };
}

linear! {
    /// A guest virtual address.
    Gva
}
linear! {
    /// A virtual address of the hypervisor itself.
    Hva
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constructors_refuse_what_the_architecture_does_not_have() {
        assert_eq!(Spa::new(1 << 52), None);
        assert!(Spa::new((1 << 52) - 1).is_some());
        assert_eq!(GpaPage::new(1 << 40), None);
        assert_eq!(Gva::new(0x0000_8000_0000_0000), None);
        assert!(Gva::new(0xFFFF_8000_0000_0000).is_some());
        assert_eq!(Gpa::new((1 << 52) - 1).and_then(|a| a.checked_add(1)), None);
    }

    #[test]
    fn page_and_offset_split_an_address() {
        let a = Spa::new(0x12_3456).unwrap();
        assert_eq!((a.page().get(), a.offset()), (0x123, 0x456));
        assert_eq!(a.page().base().get(), 0x12_3000);
    }
}
