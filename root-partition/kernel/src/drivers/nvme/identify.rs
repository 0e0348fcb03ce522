//! Identify data structures (5.15).

/// Bytes of an identify data structure.
pub const BYTES: usize = 4096;
/// The largest transfer that is used where the controller sets no limit.
const TRANSFER_UNLIMITED: u64 = 1 << 30;

/// CNS: the namespace that the command names.
pub const NAMESPACE: u32 = 0;
/// CNS: the controller.
pub const CONTROLLER: u32 = 1;
/// CNS: the identifiers of the active namespaces.
pub const ACTIVE_NAMESPACES: u32 = 2;

fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes.get(offset..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

/// What a controller says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Controller {
    /// MDTS: the largest transfer, as a power of two of the smallest page; 0: no limit.
    mdts: u8,
    /// CAP.MPSMIN, as a number of bytes.
    page_min: u64,
    /// ONCS: optional NVM commands.
    oncs: u16,
}

impl Controller {
    /// Reads the data structure of a controller whose smallest page has `page_min` bytes.
    pub fn parse(bytes: &[u8], page_min: u64) -> Self {
        let [mdts] = array(bytes, 77);
        Self { mdts, page_min, oncs: u16::from_le_bytes(array(bytes, 520)) }
    }

    /// The largest transfer in bytes.
    pub fn transfer_max(&self) -> u64 {
        match self.mdts {
            0 => TRANSFER_UNLIMITED,
            power => self.page_min.checked_shl(u32::from(power).min(18)).unwrap_or(TRANSFER_UNLIMITED),
        }
    }

    /// Whether it has the dataset management command.
    pub fn has_dataset_management(&self) -> bool {
        self.oncs & 1 << 2 != 0
    }
}

/// What a namespace is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Namespace {
    blocks: u64,
    block_shift: u8,
}

impl Namespace {
    /// Reads the data structure; `None`: inactive, or formatted in a way that is not served (metadata, blocks other than
    /// 512 to 4096 bytes).
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let blocks = u64::from_le_bytes(array(bytes, 0));
        let [flbas] = array(bytes, 26);
        let format: [u8; 4] = array(bytes, 128 + 4 * usize::from(flbas & 0xF));
        let [metadata_low, metadata_high, block_shift, _] = format;
        let plain = metadata_low | metadata_high == 0 && (9..=12).contains(&block_shift);
        (blocks != 0 && plain).then_some(Self { blocks: blocks.min(u64::MAX >> 13), block_shift })
    }

    /// Bytes in a logical block.
    pub fn block_size(&self) -> u32 {
        1 << self.block_shift
    }

    /// log2 of that.
    pub fn block_shift(&self) -> u8 {
        self.block_shift
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.blocks << self.block_shift
    }
}

/// The namespace identifiers in a list of active ones.
pub fn active(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|bytes| u32::from_le_bytes(array(bytes, 0))).take_while(|&nsid| nsid != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_with_metadata_or_odd_blocks_is_left_out() {
        let mut bytes = [0u8; BYTES];
        assert_eq!(Namespace::parse(&bytes), None);
        bytes[0..8].copy_from_slice(&1000u64.to_le_bytes());
        bytes[26] = 1;
        bytes[134] = 9;
        let namespace = Namespace::parse(&bytes).unwrap();
        assert_eq!((namespace.block_size(), namespace.length()), (512, 512_000));
        bytes[132] = 8;
        assert_eq!(Namespace::parse(&bytes), None);
        (bytes[132], bytes[134]) = (0, 13);
        assert_eq!(Namespace::parse(&bytes), None);
    }

    #[test]
    fn a_namespace_of_any_length_has_one_in_bytes() {
        let mut bytes = [0xFFu8; BYTES];
        bytes[26] = 0;
        bytes[128..132].copy_from_slice(&[0, 0, 12, 0]);
        assert!(Namespace::parse(&bytes).is_none_or(|namespace| namespace.length() > 0));
        assert_eq!(Controller::parse(&bytes, 4096).transfer_max(), 4096 << 18);
        assert_eq!(active(&[1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0]).last(), Some(7));
    }
}
