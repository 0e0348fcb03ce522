//! Pseudo-terminals, for programs that have serial ports on terminals only.

use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// Opens a pseudo-terminal that changes no byte: our end, and the other's path.
///
/// Reading from our end waits until somebody opens the other, and fails once all have closed it.
pub fn open() -> Result<(File, PathBuf)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
    let ours = ours.context("no pseudo-terminal")?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let mut settings = tcgetattr(&ours)?;
    settings.make_raw();
    tcsetattr(&ours, OptionalActions::Now, &settings)?;
    let path = ptsname(&ours, Vec::new())?.into_bytes();
    Ok((File::from(ours), PathBuf::from(std::ffi::OsString::from_vec(path))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn bytes_go_through_unchanged() {
        let (mut ours, path) = open().unwrap();
        let mut other = File::options().read(true).write(true).open(path).unwrap();
        let all: Vec<u8> = (0..=255).collect();
        let mut got = [0; 256];
        ours.write_all(&all).unwrap();
        other.read_exact(&mut got).unwrap();
        assert_eq!(got[..], all);
        other.write_all(&all).unwrap();
        ours.read_exact(&mut got).unwrap();
        assert_eq!(got[..], all);
        drop(other);
        assert!(ours.read(&mut [0]).is_err());
    }
}
