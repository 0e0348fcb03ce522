//! The archive that GRUB's `module2` or QEMU's `-initrd` carries: cpio in the "new ASCII" form.

/// Length of an entry's header.
const HEADER: usize = 110;
/// Marks an entry.
const MAGIC: &[u8] = b"070701";
/// The name of the last entry.
const TRAILER: &str = "TRAILER!!!";

/// The files of an archive: name, and where its content starts and ends in the archive. Ends at damage.
pub fn files(archive: &[u8]) -> impl Iterator<Item = (&str, core::ops::Range<usize>)> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let header = archive.get(at..)?.get(..HEADER)?;
        if !header.starts_with(MAGIC) {
            return None;
        }
        let name_start = at + HEADER;
        let name_end = name_start.checked_add(field(header, 11)?)?;
        let content_start = name_end.checked_next_multiple_of(4)?;
        let content_end = content_start.checked_add(field(header, 6)?)?;
        let name = archive.get(name_start..name_end)?;
        let name = core::str::from_utf8(name.strip_suffix(b"\0")?).ok()?;
        archive.get(content_start..content_end)?;
        at = content_end.checked_next_multiple_of(4)?;
        (name != TRAILER).then_some((name, content_start..content_end))
    })
}

/// Field `index` of a header: eight hexadecimal digits.
fn field(header: &[u8], index: usize) -> Option<usize> {
    let digits = header.get(6 + 8 * index..14 + 8 * index)?;
    usize::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::vec::Vec;

    fn entry(archive: &mut Vec<u8>, name: &str, content: &[u8]) {
        let sizes = (content.len(), name.len() + 1);
        let zero = "00000000";
        archive.extend(
            format!("070701{}{:08X}{}{:08X}{zero}", zero.repeat(6), sizes.0, zero.repeat(4), sizes.1).bytes(),
        );
        archive.extend(name.bytes().chain([0]));
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(content);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }

    fn archive() -> Vec<u8> {
        let mut archive = Vec::new();
        entry(&mut archive, "kernel", b"abc");
        entry(&mut archive, "vmms", b"");
        entry(&mut archive, TRAILER, b"");
        archive
    }

    #[test]
    fn files_come_with_name_and_content() {
        let archive = archive();
        let found: Vec<_> = files(&archive).map(|(name, range)| (name, &archive[range])).collect();
        assert_eq!(found, [("kernel", &b"abc"[..]), ("vmms", b"")]);
    }

    #[test]
    fn no_damage_panics() {
        let whole = archive();
        for length in 0..whole.len() {
            assert!(files(&whole[..length]).count() <= 3);
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] = b'F';
            assert!(files(&damaged).count() <= 3);
        }
    }
}
