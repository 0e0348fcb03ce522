//! Pages of a virtual processor's state that its parent sees.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::HvVpIndex;
use crate::partition::HvPartitionId;

open_enum! {
    /// `HV_VP_STATE_PAGE_TYPE`.
    pub struct VpStatePageType(u16) {
        /// [`crate::register_page::HvX64RegisterPage`].
        REGISTERS = 0,
        /// An [`crate::message::HvMessage`] at offset 0.
        INTERCEPT_MESSAGE = 1,
    }
}

/// `HvCallMapVpStatePage`, 0xE1, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
/// | In | VP index | @8 u32 |
/// | In | type ([`VpStatePageType`]) | @12 u16 |
/// | In | VTL (0), flags (0) | @14 2 × u8 |
/// | In | requested map location (0) | @16 u64 |
/// | Out | GPA page where the caller now sees the page | @0 u64 |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MapVpStatePage {
    /// Whose.
    pub partition_id: HvPartitionId,
    /// Which VP.
    pub vp_index: HvVpIndex,
    /// Which page.
    pub page_type: VpStatePageType,
    /// 0.
    pub input_vtl: u8,
    /// 0: the hypervisor chooses the location.
    pub flags: u8,
    /// 0.
    pub requested_map_location: u64,
}
const _: () = assert!(size_of::<MapVpStatePage>() == 24);

/// Output of [`MapVpStatePage`].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MapVpStatePageOutput {
    /// GPA page of the caller.
    pub gpa_page: u64,
}
const _: () = assert!(size_of::<MapVpStatePageOutput>() == 8);

/// `HvCallUnmapVpStatePage`, 0xE2, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
/// | In | VP index | @8 u32 |
/// | In | type ([`VpStatePageType`]) | @12 u16 |
/// | In | VTL (0), reserved (0) | @14 2 × u8 |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UnmapVpStatePage {
    /// Whose.
    pub partition_id: HvPartitionId,
    /// Which VP.
    pub vp_index: HvVpIndex,
    /// Which page.
    pub page_type: VpStatePageType,
    /// 0.
    pub input_vtl: u8,
    /// 0.
    pub reserved: u8,
}
const _: () = assert!(size_of::<UnmapVpStatePage>() == 16);
