//! The pictures of one title, as they were made and checked.

use super::{Jpeg, JpegFault, Tiles, bif};

/// Pictures as the shell's tool made them, one JPEG behind the other.
#[derive(Clone, Debug, Default)]
pub struct Pictures {
    /// Every thumbnail.
    pub thumbnails: Vec<u8>,
    /// Every sheet, of the same thumbnails.
    pub sheets: Vec<u8>,
}

/// Thumbnails of a title: each a JPEG of the announced size, as many as announced. Only
/// [`ImageSet::new`] makes one.
#[derive(Clone, Debug)]
pub struct ImageSet {
    tiles: Tiles,
    sheets: Vec<Vec<u8>>,
    bif: Vec<u8>,
}

/// Why pictures are not those that were wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageFault {
    /// Not a JPEG.
    #[error("picture {number}: {fault}")]
    Jpeg {
        /// Which, counted from 1.
        number: usize,
        /// What is wrong.
        fault: JpegFault,
    },
    /// Another size.
    #[error("picture {number} has {width}x{height} pixels")]
    Size {
        /// Which, counted from 1.
        number: usize,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// Too few or too many.
    #[error("{found} pictures where {wanted} were to be")]
    Count {
        /// That came.
        found: usize,
        /// That were wanted.
        wanted: usize,
    },
    /// A BIF counts its bytes in 32 bits.
    #[error("the thumbnails are too large for a BIF")]
    TooLarge,
}

impl ImageSet {
    /// Checks the pictures against the plan.
    ///
    /// Errors: [`ImageFault`].
    pub fn new(tiles: Tiles, pictures: &Pictures) -> Result<Self, ImageFault> {
        let size = (tiles.width, tiles.height);
        let thumbnails = split(&pictures.thumbnails, size, tiles.count)?;
        let sheets = split(&pictures.sheets, tiles.sheet_size(), tiles.sheets())?;
        let bif = bif::write(&thumbnails, tiles.interval_s * 1000).ok_or(ImageFault::TooLarge)?;
        Ok(Self { tiles, sheets, bif })
    }

    /// How they lie.
    #[must_use]
    pub const fn tiles(&self) -> &Tiles {
        &self.tiles
    }

    /// The sheets, in order.
    #[must_use]
    pub fn sheets(&self) -> &[Vec<u8>] {
        &self.sheets
    }

    /// The BIF of the same pictures.
    #[must_use]
    pub fn bif(&self) -> &[u8] {
        &self.bif
    }
}

/// Takes pictures apart that stand one behind the other.
fn split(mut bytes: &[u8], size: (u32, u32), count: u32) -> Result<Vec<Vec<u8>>, ImageFault> {
    let wanted = usize::try_from(count).unwrap_or(usize::MAX);
    let mut pictures = Vec::new();
    while !bytes.is_empty() {
        let number = pictures.len() + 1;
        let Jpeg { width, height, len } =
            Jpeg::parse(bytes).map_err(|fault| ImageFault::Jpeg { number, fault })?;
        if (width, height) != size {
            return Err(ImageFault::Size { number, width, height });
        }
        let (picture, behind) = bytes.split_at_checked(len).unwrap_or_default();
        pictures.push(picture.to_vec());
        bytes = behind;
    }
    match pictures.len() {
        found if found == wanted => Ok(pictures),
        found => Err(ImageFault::Count { found, wanted }),
    }
}
