//! Finding `\_S5` in the DSDT without an interpreter (ACPI 6.5, 7.4.2 and 20.2): the values for the sleep-type fields of
//! PM1a and PM1b.

/// Opcodes (ACPI 6.5, 20.3).
const ZERO: u8 = 0x00;
const ONE: u8 = 0x01;
const BYTE_PREFIX: u8 = 0x0A;
const PACKAGE: u8 = 0x12;
const NAME: u8 = 0x08;

/// The two sleep types that `Name (_S5, Package …)` in `aml` gives.
pub fn find(aml: &[u8]) -> Option<(u8, u8)> {
    let at = aml.windows(4).enumerate().position(|(at, name)| name == b"_S5_" && is_name(aml, at))?;
    let mut rest = aml.get(at + 4..)?;
    if take(&mut rest)? != PACKAGE {
        return None;
    }
    // PkgLength: the two high bits of its first byte say how many more follow; then the number of elements.
    for _ in 0..take(&mut rest)? >> 6 {
        take(&mut rest)?;
    }
    take(&mut rest)?;
    Some((integer(&mut rest)?, integer(&mut rest)?))
}

/// Whether a name object's opcode (and perhaps the root's backslash) stands before the name at `at`.
fn is_name(aml: &[u8], at: usize) -> bool {
    let before = |count| at.checked_sub(count).and_then(|index| aml.get(index)).copied();
    before(1) == Some(NAME) || before(1) == Some(b'\\') && before(2) == Some(NAME)
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (&first, others) = rest.split_first()?;
    *rest = others;
    Some(first)
}

fn integer(rest: &mut &[u8]) -> Option<u8> {
    match take(rest)? {
        ZERO => Some(0),
        ONE => Some(1),
        BYTE_PREFIX => take(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::find;
    use proptest::prelude::*;

    #[test]
    fn both_forms_of_the_name_and_of_numbers_are_read() {
        let plain = [0xFF, 0x08, b'_', b'S', b'5', b'_', 0x12, 0x06, 0x04, 0x00, 0x01, 0x00, 0x00];
        assert_eq!(find(&plain), Some((0, 1)));
        let rooted = [0x08, b'\\', b'_', b'S', b'5', b'_', 0x12, 0x48, 0x01, 0x04, 0x0A, 0x05, 0x0A, 0x07];
        assert_eq!(find(&rooted), Some((5, 7)));
    }

    #[test]
    fn a_mention_of_the_name_is_not_its_definition() {
        let mention = [0x70, b'_', b'S', b'5', b'_', 0x12, 0x06, 0x04, 0x00, 0x00];
        assert_eq!(find(&mention), None);
        let other = [0x08, b'_', b'S', b'5', b'_', 0x0B, 0x06, 0x04, 0x00, 0x00];
        assert_eq!(find(&other), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(tail in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut aml = vec![0x08, b'_', b'S', b'5', b'_'];
            aml.extend(tail);
            let _ = find(&aml);
        }
    }
}
