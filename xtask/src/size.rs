//! Sizes as people type them: `2048`, `64K`, `512M`, `2G`, `512 MiB`.

/// The number of bytes that `text` names; a number alone is in MiB, as in QEMU's `-m`.
pub fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| format!("'{text}' does not start with a number"))?;
    let unit = match text[digits..].trim() {
        "" | "M" | "MiB" => 1 << 20,
        "K" | "KiB" => 1 << 10,
        "G" | "GiB" => 1 << 30,
        other => return Err(format!("'{other}' is not a unit: K, M or G")),
    };
    number.checked_mul(unit).filter(|&size| size > 0).ok_or_else(|| format!("'{text}' is not a usable size"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse("2048"), Ok(2 << 30));
        assert_eq!(parse("64K"), Ok(65536));
        assert_eq!(parse("512 MiB"), Ok(512 << 20));
        assert_eq!(parse("2G"), Ok(2 << 30));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "G", "-1M", "1T", "0", "99999999999999999999G", "17179869184G"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
