//! The files of thumbnails: written as they came, read back, described.

use super::check::{check_file, read_all};
use super::error::PackageError;
use super::output::Output;
use super::write_file;
use crate::images::{ImageSet, Jpeg, Tiles, bif::Bif};
use crate::manifest::ImageTrack;
use model::PackagedImages;

/// Writes sheets and BIF.
pub(super) fn write(set: &ImageSet, out: &mut dyn Output) -> Result<ImageTrack, PackageError> {
    for (number, sheet) in (1..).zip(set.sheets()) {
        write_file(&set.tiles().sheet_path(number), sheet, out)?;
    }
    write_file(&set.tiles().bif_path(), set.bif(), out)?;
    let sheet_bytes = set.sheets().iter().map(|sheet| sheet.len() as u64).collect();
    Ok(ImageTrack { tiles: *set.tiles(), sheet_bytes })
}

/// Reads every file back: the sheets are pictures of the announced size, the BIF has its
/// pictures in order. Returns their bytes.
pub(super) fn check(set: &ImageSet, out: &mut dyn Output) -> Result<u64, PackageError> {
    let tiles = set.tiles();
    for (number, sheet) in (1..).zip(set.sheets()) {
        check_file(&tiles.sheet_path(number), out, |file| {
            let bytes = read_all(file).filter(|bytes| bytes == sheet);
            let size = bytes.and_then(|bytes| Jpeg::parse(&bytes).ok());
            match size {
                Some(jpeg) if (jpeg.width, jpeg.height) == tiles.sheet_size() => Ok(()),
                _ => Err("a sheet of thumbnails does not read back"),
            }
        })?;
    }
    check_file(&tiles.bif_path(), out, |file| {
        let bytes = read_all(file).filter(|bytes| bytes == set.bif()).unwrap_or_default();
        let is_whole = Bif::parse(&bytes).is_ok_and(|bif| {
            let count = u32::try_from(bif.pictures.len());
            let is_picture = |at| bytes.get(at).is_some_and(|jpeg| is_of(jpeg, tiles));
            count == Ok(tiles.count) && bif.pictures.into_iter().all(|(_, at)| is_picture(at))
        });
        if is_whole { Ok(()) } else { Err("the BIF does not read back") }
    })?;
    Ok(size_bytes(set))
}

fn is_of(jpeg: &[u8], tiles: &Tiles) -> bool {
    Jpeg::parse(jpeg).is_ok_and(|one| (one.width, one.height) == (tiles.width, tiles.height))
}

fn size_bytes(set: &ImageSet) -> u64 {
    let sheets = set.sheets().iter().map(Vec::len).sum::<usize>();
    (sheets + set.bif().len()) as u64
}

/// The thumbnails as the document says them.
pub(super) fn describe(set: &ImageSet) -> PackagedImages {
    let tiles = set.tiles();
    PackagedImages {
        name: tiles.name(),
        width: tiles.width,
        height: tiles.height,
        columns: tiles.columns,
        rows: tiles.rows,
        interval_s: tiles.interval_s,
        count: tiles.count,
        sheets: tiles.sheets(),
        playlist: tiles.playlist_path(),
        bif: tiles.bif_path(),
        size_bytes: size_bytes(set),
    }
}
