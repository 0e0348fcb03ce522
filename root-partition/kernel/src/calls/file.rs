//! Calls about disks and files. Data moves between the device and the program's own pages.

use super::Arguments;
use crate::block::{self, File, Volume};
use crate::process::object::{self, System};
use crate::process::{Object, Process, UserSlice};
use alloc::sync::Arc;
use alloc::vec::Vec;
use syscall::{BlockInfo, Error, Extent, FileCreate};

/// The most extents that a file can have.
const EXTENTS_MAX: usize = 1 << 17;
/// Bytes that are asked of a device at a time.
const PIECE: u64 = 1 << 20;

pub(super) fn list(process: &Process, [system, infos, count, ..]: Arguments) -> Result<u64, Error> {
    process.object::<System>(system)?;
    let volumes = block::volumes();
    let slice = UserSlice::new(infos, count, size_of::<BlockInfo>())?;
    for (index, volume) in volumes.iter().enumerate().take(usize::try_from(count).unwrap_or(usize::MAX)) {
        let place = slice.part((index * size_of::<BlockInfo>()) as u64, size_of::<BlockInfo>() as u64);
        process.space().copy_out(place, zerocopy::IntoBytes::as_bytes(&describe(volume)))?;
    }
    Ok(volumes.len() as u64)
}

fn describe(volume: &Volume) -> BlockInfo {
    let mut name = [0; 72];
    let mut end = volume.name.len().min(name.len());
    while !volume.name.is_char_boundary(end) {
        end -= 1;
    }
    for (to, from) in name.iter_mut().zip(volume.name.bytes().take(end)) {
        *to = from;
    }
    BlockInfo {
        bytes: volume.file.length(),
        block_size: volume.file.block_size(),
        parent: volume.parent.map_or(u32::MAX, |parent| parent as u32),
        partition_type: volume.partition_type,
        partition_guid: volume.guid,
        name,
    }
}

pub(super) fn open(process: &Process, [system, index, ..]: Arguments) -> Result<u64, Error> {
    process.object::<System>(system)?;
    let volumes = block::volumes();
    let volume = usize::try_from(index).ok().and_then(|index| volumes.get(index)).ok_or(Error::NotFound)?;
    process.open(Object::Volume(Arc::clone(&volume.file)))
}

pub(super) fn create(process: &Process, [file, create, ..]: Arguments) -> Result<u64, Error> {
    let object::Volume(file) = process.object(file)?;
    let create: FileCreate = process.space().read(create)?;
    let extents: Vec<Extent> =
        process.space().read_array(create.extents, create.extent_count, EXTENTS_MAX)?;
    let extents: Vec<(u64, u64)> = extents.iter().map(|extent| (extent.start, extent.length)).collect();
    let child = file.child(&extents, create.length, create.read_only != 0)?;
    process.open(Object::File(Arc::new(child)))
}

pub(super) fn length(process: &Process, [file, ..]: Arguments) -> Result<u64, Error> {
    process.object::<Arc<File>>(file).map(|file| file.length())
}

pub(super) async fn read(process: &Process, arguments: Arguments) -> Result<u64, Error> {
    transfer(process, arguments, true).await
}

pub(super) async fn write(process: &Process, arguments: Arguments) -> Result<u64, Error> {
    transfer(process, arguments, false).await
}

/// Moves bytes from a file to the program's memory when it `reads`, else from there to the file.
async fn transfer(
    process: &Process,
    [file, offset, bytes, length, ..]: Arguments,
    reads: bool,
) -> Result<u64, Error> {
    let file = process.object::<Arc<File>>(file)?;
    let slice = UserSlice::new(bytes, length, 1)?;
    let mut done = 0;
    while done < length {
        let part = slice.part(done, PIECE);
        let segments = process.space().segments(part, reads)?;
        let at = offset.checked_add(done).ok_or(Error::InvalidArgument)?;
        let keep = Arc::clone(process.space());
        if reads {
            file.read(at, &segments, keep).await?;
        } else {
            file.write(at, &segments, keep).await?;
        }
        done += part.length();
    }
    Ok(length)
}

pub(super) async fn flush(process: &Process, [file, ..]: Arguments) -> Result<u64, Error> {
    process.object::<Arc<File>>(file)?.flush().await?;
    Ok(0)
}
