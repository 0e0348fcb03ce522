//! The disk that runs keep, and what is put on it before.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Options;
use crate::build::Parts;
use crate::image::Image;
use crate::paths::Paths;
use crate::sample::Sample;
use crate::step;

/// A file for the data volume.
#[derive(Clone)]
pub struct Addition {
    file: PathBuf,
    path: String,
}

/// Reads `HOSTFILE=data:/PATH`.
pub fn parse_addition(text: &str) -> Result<Addition, String> {
    let (file, path) = text.rsplit_once("=data:").ok_or("it is not HOSTFILE=data:/PATH")?;
    let named = path.strip_prefix('/').is_some_and(|path| !path.is_empty() && !path.ends_with('/'));
    if !named || path.contains(['"', '\n']) || path.split('/').any(|part| part == "..") {
        return Err(format!("'data:{path}' is not the path of a file"));
    }
    if !Path::new(file).is_file() {
        return Err(format!("{file}: no such file"));
    }
    Ok(Addition { file: PathBuf::from(file), path: path.to_owned() })
}

/// The disk that runs keep: its system partition is written anew, its data volume stays.
pub fn prepare(paths: &Paths, parts: &Parts, options: &Options) -> Result<PathBuf> {
    let file = options.disk.clone().unwrap_or_else(|| paths.work.join("run.img"));
    let image = if file.exists() && !options.fresh {
        let image = Image::at(&file);
        image.system().fill(parts)?;
        image
    } else {
        let sample = Sample::prepare(paths)?;
        step::say("Writing", file.display());
        Image::create(&file, parts, &sample, options.data_size)?
    };
    if !options.add.is_empty() {
        image.recover_data()?;
    }
    for Addition { file, path } in &options.add {
        step::say("Adding", format_args!("{} as data:{path}", file.display()));
        image.data().put(file, path)?;
    }
    Ok(file)
}
