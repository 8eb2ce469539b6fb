//! How thumbnails lie on sheets.

use super::FOLDER;

/// Longest side of a thumbnail, pixels: a preview, and no substitute for the film.
pub const MAX_SIDE: u32 = 320;
/// Shortest side of a thumbnail, pixels.
pub const MIN_SIDE: u32 = 16;
/// Longest time between two thumbnails, seconds.
pub const MAX_INTERVAL_S: u32 = 60;
/// Thumbnails of one title: eleven hours at ten seconds.
pub const MAX_PICTURES: u32 = 4096;
/// Longest row and longest column of a sheet.
const MAX_TILES: u32 = 5;
/// Where no interval is asked for, it gives at least so many pictures …
const USUAL_PICTURES: u64 = 100;
/// … and is no longer than this, seconds.
const USUAL_INTERVAL_S: u32 = 10;

/// What was asked for; what was not is chosen by the title.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TilesWanted {
    /// Width and height of a thumbnail.
    pub size: Option<(u32, u32)>,
    /// Seconds between two.
    pub interval_s: Option<u32>,
}

/// Thumbnails on sheets: row by row, a picture every `interval_s` seconds from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiles {
    /// Pixels across of one thumbnail.
    pub width: u32,
    /// Pixels down of one thumbnail.
    pub height: u32,
    /// Thumbnails in a row.
    pub columns: u32,
    /// Rows of a sheet.
    pub rows: u32,
    /// Seconds between two.
    pub interval_s: u32,
    /// Thumbnails in all; never 0.
    pub count: u32,
}

/// Why there are no thumbnails of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TilesRefused {
    /// A side that is too short, too long or odd.
    #[error("a thumbnail's sides are even, between {MIN_SIDE} and {MAX_SIDE} pixels")]
    Size,
    /// An interval of 0 or beyond [`MAX_INTERVAL_S`].
    #[error("thumbnails are between 1 and {MAX_INTERVAL_S} seconds apart")]
    Interval,
    /// More pictures than [`MAX_PICTURES`].
    #[error("more than {MAX_PICTURES} thumbnails: they must be further apart")]
    TooMany,
    /// Nothing to see.
    #[error("thumbnails need a picture, and there is none")]
    NoPicture,
}

impl Tiles {
    /// Plans the sheets of a title of this picture size and length.
    ///
    /// Errors: [`TilesRefused`].
    pub fn plan(
        wanted: TilesWanted,
        picture: (u32, u32),
        duration_ms: u64,
    ) -> Result<Self, TilesRefused> {
        let (width, height) = match wanted.size {
            Some(size) => size,
            None => fitted(picture).ok_or(TilesRefused::NoPicture)?,
        };
        let is_side = |side: u32| (MIN_SIDE..=MAX_SIDE).contains(&side) && side.is_multiple_of(2);
        if !is_side(width) || !is_side(height) {
            return Err(TilesRefused::Size);
        }
        let usual = u32::try_from(duration_ms / 1000 / USUAL_PICTURES).unwrap_or(u32::MAX);
        let interval_s = wanted.interval_s.unwrap_or(usual.clamp(1, USUAL_INTERVAL_S));
        if interval_s == 0 || interval_s > MAX_INTERVAL_S {
            return Err(TilesRefused::Interval);
        }
        let count = duration_ms.div_ceil(u64::from(interval_s) * 1000).max(1);
        let count = u32::try_from(count).ok().filter(|count| *count <= MAX_PICTURES);
        let count = count.ok_or(TilesRefused::TooMany)?;
        let columns = count.min(MAX_TILES);
        let rows = count.div_ceil(columns).min(MAX_TILES);
        Ok(Self { width, height, columns, rows, interval_s, count })
    }

    /// Thumbnails of a full sheet.
    #[must_use]
    pub const fn per_sheet(&self) -> u32 {
        self.columns * self.rows
    }

    /// Sheets in all.
    #[must_use]
    pub const fn sheets(&self) -> u32 {
        self.count.div_ceil(self.per_sheet())
    }

    /// Width and height of a sheet.
    #[must_use]
    pub const fn sheet_size(&self) -> (u32, u32) {
        (self.columns * self.width, self.rows * self.height)
    }

    /// Seconds that the sheet `number`, counted from 1, covers.
    #[must_use]
    pub const fn sheet_s(&self, number: u32) -> u32 {
        let before = number.saturating_sub(1).saturating_mul(self.per_sheet());
        let left = self.count.saturating_sub(before);
        let own = if left < self.per_sheet() { left } else { self.per_sheet() };
        own * self.interval_s
    }

    /// Its name, which is also its folder: `thumbs-320`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("thumbs-{}", self.width)
    }

    /// Path of the sheet `number`, counted from 1, in the package.
    #[must_use]
    pub fn sheet_path(&self, number: u32) -> String {
        format!("{FOLDER}/{}/{number}.jpg", self.name())
    }

    /// Path of the HLS image playlist in the package.
    #[must_use]
    pub fn playlist_path(&self) -> String {
        format!("{FOLDER}/{}/playlist.m3u8", self.name())
    }

    /// Path of the BIF in the package.
    #[must_use]
    pub fn bif_path(&self) -> String {
        format!("{FOLDER}/thumbs.bif")
    }
}

/// The largest thumbnail of the picture's shape that is no larger than the picture.
fn fitted((width, height): (u32, u32)) -> Option<(u32, u32)> {
    let longest = width.max(height);
    let side = longest.min(MAX_SIDE);
    let scaled = |own: u32| {
        let half = u64::from(own) * u64::from(side) / (u64::from(longest.max(1)) * 2);
        u32::try_from(half * 2).ok().map(|own| own.max(MIN_SIDE))
    };
    (width > 0 && height > 0).then_some((scaled(width)?, scaled(height)?))
}
