//! The GUID partition table (UEFI 2.10, 5.3).
//!
//! What stands on the disk is not trusted: sizes and counts are bounded before anything is allocated for them, both
//! checksums must fit, and an entry that reaches outside the usable blocks is left out.

use super::{Error, File};
use alloc::string::String;
use alloc::vec::Vec;

/// The most entries that are looked at; every known tool writes 128.
const ENTRIES_MAX: u32 = 1024;
/// The largest entry.
const ENTRY_SIZE_MAX: u32 = 4096;

/// A partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    /// Partition type GUID, as in the table.
    pub partition_type: [u8; 16],
    /// Unique partition GUID, as in the table.
    pub guid: [u8; 16],
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
    /// Its name.
    pub name: String,
}

/// The checked header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Header {
    first_usable: u64,
    last_usable: u64,
    entries_lba: u64,
    entry_count: u32,
    entry_size: u32,
    entries_crc: u32,
}

fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    array(bytes, offset).map(u64::from_le_bytes)
}

impl Header {
    /// The header in `block`, which was read from block `lba` of a disk of `blocks` blocks.
    fn parse(block: &[u8], lba: u64, blocks: u64) -> Option<Self> {
        if block.get(..8)? != b"EFI PART" || u64_at(block, 24)? != lba {
            return None;
        }
        let size = u32_at(block, 12)? as usize;
        let mut header = block.get(..size).filter(|_| size >= 92)?.to_vec();
        let crc = u32_at(&header, 16)?;
        header.get_mut(16..20)?.fill(0);
        if crc32fast::hash(&header) != crc {
            return None;
        }
        let parsed = Self {
            first_usable: u64_at(block, 40)?,
            last_usable: u64_at(block, 48)?,
            entries_lba: u64_at(block, 72)?,
            entry_count: u32_at(block, 80)?,
            entry_size: u32_at(block, 84)?,
            entries_crc: u32_at(block, 88)?,
        };
        let sane = parsed.entry_count <= ENTRIES_MAX
            && (128..=ENTRY_SIZE_MAX).contains(&parsed.entry_size)
            && parsed.entry_size.is_power_of_two()
            && parsed.last_usable < blocks
            && parsed.entries_lba < blocks;
        sane.then_some(parsed)
    }

    /// The partitions in the table `bytes`.
    fn partitions(&self, bytes: &[u8], block_size: u64) -> Option<Vec<Partition>> {
        if crc32fast::hash(bytes) != self.entries_crc {
            return None;
        }
        let entries = bytes.chunks_exact(self.entry_size as usize);
        Some(entries.filter_map(|entry| self.partition(entry, block_size)).collect())
    }

    fn partition(&self, entry: &[u8], block_size: u64) -> Option<Partition> {
        let partition_type: [u8; 16] = array(entry, 0)?;
        let (first, last) = (u64_at(entry, 32)?, u64_at(entry, 40)?);
        if partition_type == [0; 16] || first < self.first_usable || last > self.last_usable || last < first {
            return None;
        }
        let units =
            entry.get(56..128)?.chunks_exact(2).filter_map(|unit| array(unit, 0).map(u16::from_le_bytes));
        let name = char::decode_utf16(units.take_while(|&unit| unit != 0));
        Some(Partition {
            partition_type,
            guid: array(entry, 16)?,
            start: first.checked_mul(block_size)?,
            length: (last - first + 1).checked_mul(block_size)?,
            name: name.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect(),
        })
    }
}

/// The partitions of `disk`, from the primary table, or the backup where that is damaged; none where there is no table.
///
/// # Errors
/// The disk cannot be read.
pub async fn read(disk: &File) -> Result<Vec<Partition>, Error> {
    let block_size = u64::from(disk.block_size());
    let blocks = disk.length() / block_size;
    if blocks < 3 {
        return Ok(Vec::new());
    }
    for lba in [1, blocks - 1] {
        if let Some(partitions) = read_table(disk, lba, blocks, block_size).await? {
            return Ok(partitions);
        }
    }
    Ok(Vec::new())
}

async fn read_table(
    disk: &File,
    lba: u64,
    blocks: u64,
    block_size: u64,
) -> Result<Option<Vec<Partition>>, Error> {
    let block = disk.read_bytes(lba * block_size, block_size as usize).await?;
    let Some(header) = Header::parse(&block, lba, blocks) else { return Ok(None) };
    let length = header.entry_count as usize * header.entry_size as usize;
    let start = header.entries_lba.saturating_mul(block_size);
    if start.saturating_add(length as u64) > disk.length() {
        return Ok(None);
    }
    let bytes = disk.read_bytes(start, length).await?;
    Ok(header.partitions(&bytes, block_size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::memory_disk::{MemoryDisk, block_on};
    use alloc::sync::Arc;
    use proptest::prelude::*;

    const BLOCKS: u64 = 128;

    fn header(lba: u64, entries_lba: u64, entries: &[u8]) -> Vec<u8> {
        let mut block = alloc::vec![0u8; 512];
        block[..8].copy_from_slice(b"EFI PART");
        block[8..12].copy_from_slice(&0x1_0000u32.to_le_bytes());
        block[12..16].copy_from_slice(&92u32.to_le_bytes());
        block[24..32].copy_from_slice(&lba.to_le_bytes());
        block[40..48].copy_from_slice(&34u64.to_le_bytes());
        block[48..56].copy_from_slice(&(BLOCKS - 34).to_le_bytes());
        block[72..80].copy_from_slice(&entries_lba.to_le_bytes());
        block[80..84].copy_from_slice(&128u32.to_le_bytes());
        block[84..88].copy_from_slice(&128u32.to_le_bytes());
        block[88..92].copy_from_slice(&crc32fast::hash(entries).to_le_bytes());
        let crc = crc32fast::hash(&block[..92]);
        block[16..20].copy_from_slice(&crc.to_le_bytes());
        block
    }

    /// A disk with one partition "data" in blocks 40 to 79, and one that reaches outside.
    fn disk() -> Vec<u8> {
        let mut entries = alloc::vec![0u8; 128 * 128];
        for (index, first, last) in [(0, 40u64, 79u64), (3, 40, BLOCKS), (4, 60, 50)] {
            let entry = &mut entries[index * 128..][..128];
            entry[..16].fill(0x11);
            entry[16..32].fill(0x22);
            entry[32..40].copy_from_slice(&first.to_le_bytes());
            entry[40..48].copy_from_slice(&last.to_le_bytes());
            for (unit, letter) in entry[56..].chunks_exact_mut(2).zip("data".encode_utf16()) {
                unit.copy_from_slice(&letter.to_le_bytes());
            }
        }
        let mut disk = alloc::vec![0u8; BLOCKS as usize * 512];
        disk[512..1024].copy_from_slice(&header(1, 2, &entries));
        disk[1024..][..entries.len()].copy_from_slice(&entries);
        let backup = (BLOCKS as usize - 33) * 512;
        disk[backup..][..entries.len()].copy_from_slice(&entries);
        let last = (BLOCKS as usize - 1) * 512;
        disk[last..].copy_from_slice(&header(BLOCKS - 1, BLOCKS - 33, &entries));
        disk
    }

    fn partitions(bytes: Vec<u8>) -> Vec<Partition> {
        let file = File::whole(Arc::new(MemoryDisk::new(bytes))).unwrap();
        block_on(read(&file)).unwrap()
    }

    #[test]
    fn the_primary_table_is_read() {
        let found = partitions(disk());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].start, found[0].length, found[0].name.as_str()), (40 * 512, 40 * 512, "data"));
        assert_eq!(found[0].guid, [0x22; 16]);
    }

    #[test]
    fn the_backup_serves_where_the_primary_is_damaged() {
        for damage in [512, 512 + 60, 1024 + 33] {
            let mut bytes = disk();
            bytes[damage] ^= 1;
            assert_eq!(partitions(bytes).len(), 1, "byte {damage}");
        }
        let mut bytes = disk();
        bytes[512] = 0;
        *bytes.last_chunk_mut::<512>().unwrap() = [0; 512];
        assert_eq!(partitions(bytes), []);
    }

    proptest! {
        #[test]
        fn any_header_is_parsed_or_refused(mut block in proptest::collection::vec(any::<u8>(), 0..600),
                                           sign in any::<bool>(), lba in 0u64..4) {
            if let (true, Some(signature)) = (sign, block.get_mut(..8)) {
                signature.copy_from_slice(b"EFI PART");
            }
            if let Some(size) = block.get_mut(12..16) {
                size.copy_from_slice(&92u32.to_le_bytes());
            }
            if let Some(own) = block.get_mut(24..32) {
                own.copy_from_slice(&lba.to_le_bytes());
            }
            if block.len() >= 92 {
                block[16..20].fill(0);
                let crc = crc32fast::hash(&block[..92]);
                block[16..20].copy_from_slice(&crc.to_le_bytes());
            }
            let _ = Header::parse(&block, lba, 4);
        }

        #[test]
        fn any_entry_stays_in_the_usable_blocks(entry in proptest::collection::vec(any::<u8>(), 128),
                                                first in 0u64..100, last in 0u64..200) {
            let mut entry = entry;
            entry[32..40].copy_from_slice(&first.to_le_bytes());
            entry[40..48].copy_from_slice(&last.to_le_bytes());
            let header = Header { first_usable: 34, last_usable: 93, entries_lba: 2, entry_count: 1,
                entry_size: 128, entries_crc: crc32fast::hash(&entry) };
            for found in header.partitions(&entry, 512).unwrap() {
                prop_assert!(found.start >= 34 * 512 && found.start + found.length <= 94 * 512);
            }
        }
    }
}
