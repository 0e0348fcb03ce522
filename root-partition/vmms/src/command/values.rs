//! Arguments to values.

use super::arguments::Arguments;
use super::spec::Spec;
use crate::affinity::Affinity;
use crate::changes::Changes;
use crate::definition::{Definition, Disk, check_vps};
use crate::path::DataPath;
use crate::share::{Share, check_limit, check_reserve, check_weight};
use crate::size::Size;
use alloc::borrow::ToOwned;
use alloc::string::String;

/// The definition of a VM.
///
/// # Errors
/// What is wrong with it.
pub fn definition(arguments: &Arguments<'_>) -> Result<Definition, String> {
    let disks = arguments.all("--disk").map(|path| Ok(Disk { path: file(path)?, read_only: false }));
    let share = Share::default();
    let definition = Definition {
        memory: size(arguments, "--memory")?,
        vps: number(arguments, "--vps", check_vps)?.unwrap_or_default(),
        kernel: file(arguments.value("--kernel"))?,
        initrd: arguments.all("--initrd").next().map(file).transpose()?,
        cmdline: arguments.value("--cmdline").to_owned(),
        autostart: switch(arguments, "--autostart")?.unwrap_or(false),
        weight: number(arguments, "--weight", check_weight)?.unwrap_or(share.weight),
        reserve: percent(arguments, "--reserve", check_reserve)?.unwrap_or(share.reserve),
        limit: percent(arguments, "--limit", check_limit)?.unwrap_or(share.limit),
        affinity: affinity(arguments)?.unwrap_or(share.affinity),
        disks: disks.collect::<Result<_, String>>()?,
    };
    definition.check()?;
    Ok(definition)
}

/// What is to be changed of one.
///
/// # Errors
/// What is wrong with that.
pub fn changes(spec: &Spec, arguments: &Arguments<'_>) -> Result<Changes, String> {
    if arguments.options.is_empty() {
        return Err(alloc::format!("nothing is to be changed; usage: {}", spec.usage()));
    }
    Ok(Changes {
        weight: number(arguments, "--weight", check_weight)?,
        reserve: percent(arguments, "--reserve", check_reserve)?,
        limit: percent(arguments, "--limit", check_limit)?,
        affinity: affinity(arguments)?,
        autostart: switch(arguments, "--autostart")?,
        memory: arguments.has("--memory").then(|| size(arguments, "--memory")).transpose()?,
        vps: number(arguments, "--vps", check_vps)?,
        cmdline: arguments.all("--cmdline").next().map(ToOwned::to_owned),
    })
}

/// A number that `check` is content with.
///
/// # Errors
/// It is none, or what `check` says.
pub fn number(
    arguments: &Arguments<'_>,
    option: &str,
    check: fn(i64) -> Result<(), String>,
) -> Result<Option<u32>, String> {
    let parse = |text: &str| {
        let number = natural(text).ok_or_else(|| alloc::format!("{option}: `{text}` is not a number"))?;
        check(number)?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    };
    arguments.all(option).next().map(parse).transpose()
}

/// A percentage that `check` is content with.
fn percent(
    arguments: &Arguments<'_>,
    option: &str,
    check: fn(i64) -> Result<(), String>,
) -> Result<Option<u32>, String> {
    let parse = |text: &str| {
        let digits = text.strip_suffix('%').unwrap_or(text).trim_end();
        let number =
            natural(digits).ok_or_else(|| alloc::format!("{option}: `{text}` is not a percentage"))?;
        check(number)?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    };
    arguments.all(option).next().map(parse).transpose()
}

/// What is too large for that is too large for anybody.
fn natural(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(i64::MAX))
}

fn affinity(arguments: &Arguments<'_>) -> Result<Option<Affinity>, String> {
    let parse = |text: &str| Affinity::parse(text).map_err(|error| alloc::format!("--affinity: {error}"));
    arguments.all("--affinity").next().map(parse).transpose()
}

fn switch(arguments: &Arguments<'_>, option: &str) -> Result<Option<bool>, String> {
    match arguments.all(option).next() {
        None => Ok(None),
        Some("on") => Ok(Some(true)),
        Some("off") => Ok(Some(false)),
        Some(other) => Err(alloc::format!("{option}: `{other}` is neither `on` nor `off`")),
    }
}

/// The size behind an option that is there.
///
/// # Errors
/// It is none.
pub fn size(arguments: &Arguments<'_>, option: &str) -> Result<Size, String> {
    Size::parse(arguments.value(option)).map_err(|error| alloc::format!("{option}: {error}"))
}

/// The path of a file.
///
/// # Errors
/// It is none.
pub fn file(text: &str) -> Result<DataPath, String> {
    match DataPath::parse(text)? {
        path if path == DataPath::ROOT => Err(alloc::format!("`{text}` is not a file")),
        path => Ok(path),
    }
}
