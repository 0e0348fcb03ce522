//! GRUB, which starts the Multiboot2 loader with the archive on BIOS machines: its menu, and the files that it loads.

use std::path::Path;

use anyhow::{Result, bail};

use crate::build::Parts;
use crate::paths;

/// GRUB's modules for BIOS.
pub const PLATFORM: &str = "/usr/lib/grub/i386-pc";
/// Those of them that the menu needs, wherever GRUB came from.
pub const MODULES: &str = "normal multiboot2 serial terminal all_video vbe echo reboot halt";
/// GRUB itself, on the screen and on the first serial port.
const CONSOLES: &str = "serial --unit=0 --speed=115200\n\
    terminal_input console serial\n\
    terminal_output console serial\n\
    insmod all_video\n";

/// What GRUB's menu has.
pub enum Menu<'a> {
    /// For people: a moment to choose, with the screen or with text only.
    People,
    /// For tools: Bulkhead at once, in text mode, with this command line.
    AtOnce(&'a str),
}

impl Menu<'_> {
    fn text(&self) -> Result<String> {
        Ok(match self {
            Self::People => format!(
                "{CONSOLES}set timeout=3\n{}{}",
                entry("Bulkhead", "", ""),
                entry("Bulkhead, without graphics", "", TEXT_MODE)
            ),
            Self::AtOnce(command_line) => {
                format!("{CONSOLES}set timeout=0\n{}", entry("Bulkhead", &words(command_line)?, TEXT_MODE))
            }
        })
    }
}

/// Overrides, as the last command, what the loader's header asks for.
const TEXT_MODE: &str = "\n  set gfxpayload=text";

fn entry(title: &str, command_line: &str, last: &str) -> String {
    format!(
        "menuentry \"{title}\" {{\n  multiboot2 /bulkhead/loader{command_line}\n  \
         module2 /bulkhead/archive{last}\n}}\n"
    )
}

/// A command line as GRUB's words, each in quotes.
fn words(command_line: &str) -> Result<String> {
    if command_line.contains(['\'', '\n']) {
        bail!("the command line has a quote or a line break in it, which GRUB can not be given");
    }
    Ok(command_line.split_whitespace().map(|word| format!(" '{word}'")).collect())
}

/// Puts the files into the folder that GRUB will have as its root.
pub fn fill(folder: &Path, parts: &Parts, archive: &Path, menu: &Menu<'_>) -> Result<()> {
    let menu = menu.text()?;
    paths::make_folder(&folder.join("boot/grub"))?;
    paths::make_folder(&folder.join("bulkhead"))?;
    paths::copy(&parts.bios_loader(), &folder.join("bulkhead/loader"))?;
    paths::copy(archive, &folder.join("bulkhead/archive"))?;
    paths::write(&folder.join("boot/grub/grub.cfg"), menu)
}

/// The same of an image that starts Linux on the bare machine.
pub fn fill_with_linux(folder: &Path, kernel: &Path, initrd: &Path, command_line: &str) -> Result<()> {
    paths::make_folder(&folder.join("boot/grub"))?;
    paths::copy(kernel, &folder.join("vmlinuz"))?;
    paths::copy(initrd, &folder.join("initrd"))?;
    let words = words(command_line)?;
    let entry = format!("menuentry Linux {{\n  linux /vmlinuz{words}\n  initrd /initrd\n}}\n");
    paths::write(&folder.join("boot/grub/grub.cfg"), format!("{CONSOLES}set timeout=0\n{entry}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_command_line_are_quoted() {
        let text = Menu::AtOnce("a=1  b;c").text().unwrap();
        assert!(text.contains("multiboot2 /bulkhead/loader 'a=1' 'b;c'\n"), "{text}");
        assert!(Menu::AtOnce("it's").text().is_err() && Menu::AtOnce("a\nreboot").text().is_err());
    }

    #[test]
    fn linux_is_started_with_its_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let (file, to) = (folder.path().join("file"), folder.path().join("root"));
        paths::write(&file, "whatever").unwrap();
        fill_with_linux(&to, &file, &file, "console=ttyS0 quiet").unwrap();
        let menu = String::from_utf8(paths::read(&to.join("boot/grub/grub.cfg")).unwrap()).unwrap();
        assert!(menu.contains("  linux /vmlinuz 'console=ttyS0' 'quiet'\n  initrd /initrd\n"), "{menu}");
        assert!(to.join("vmlinuz").exists() && to.join("initrd").exists());
        assert!(fill_with_linux(&to, &file, &file, "a\nb").is_err());
    }

    #[test]
    fn people_can_choose_text_mode() {
        let text = Menu::People.text().unwrap();
        assert_eq!(text.matches("menuentry").count(), 2);
        assert_eq!(text.matches("gfxpayload=text").count(), 1);
    }
}
