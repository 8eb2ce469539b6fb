//! JPEG as far as the packager must know it: where a picture ends, and how large it is
//! (ITU-T T.81, B.1 and B.2).

/// A JPEG picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jpeg {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Bytes from the first marker to the last.
    pub len: usize,
}

/// Why bytes are no JPEG picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JpegFault {
    /// It does not begin with the start-of-image marker.
    #[error("not a JPEG picture")]
    NoStart,
    /// It ends before its end-of-image marker.
    #[error("the JPEG picture ends early")]
    Truncated,
    /// A marker where none of its kind may be.
    #[error("a JPEG marker is out of place")]
    Marker,
    /// It ends without a size or without a picture.
    #[error("the JPEG picture has no size or no scan")]
    Empty,
}

const START: [u8; 2] = [0xff, 0xd8];
const END: u8 = 0xd9;
const SCAN: u8 = 0xda;

impl Jpeg {
    /// Reads the picture with which `bytes` begin; others may follow.
    ///
    /// Errors: [`JpegFault`].
    pub fn parse(bytes: &[u8]) -> Result<Self, JpegFault> {
        let mut rest = bytes.strip_prefix(&START).ok_or(JpegFault::NoStart)?;
        let mut size = None;
        let mut has_scan = false;
        loop {
            let (marker, behind) = next_marker(rest)?;
            if marker == END {
                let (width, height) = size.filter(|_| has_scan).ok_or(JpegFault::Empty)?;
                return Ok(Self { width, height, len: bytes.len() - behind.len() });
            }
            let (body, behind) = segment(marker, behind)?;
            rest = behind;
            if is_frame_header(marker) {
                size = Some(frame_size(body)?);
            } else if marker == SCAN {
                has_scan = true;
                rest = behind_scan(behind)?;
            }
        }
    }
}

/// A marker may have fill bytes before it (B.1.1.2).
fn next_marker(bytes: &[u8]) -> Result<(u8, &[u8]), JpegFault> {
    let (first, mut rest) = bytes.split_first().ok_or(JpegFault::Truncated)?;
    if *first != 0xff {
        return Err(JpegFault::Marker);
    }
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != 0xff {
            return Ok((*byte, rest));
        }
    }
    Err(JpegFault::Truncated)
}

/// The parameters of a marker, and what follows them. Markers without parameters (restart,
/// start) have no place between segments.
fn segment(marker: u8, bytes: &[u8]) -> Result<(&[u8], &[u8]), JpegFault> {
    if marker < 0xc0 || (0xd0..=0xd8).contains(&marker) {
        return Err(JpegFault::Marker);
    }
    let (len, _) = bytes.split_first_chunk().ok_or(JpegFault::Truncated)?;
    let len = usize::from(u16::from_be_bytes(*len));
    let (segment, behind) = bytes.split_at_checked(len).ok_or(JpegFault::Truncated)?;
    Ok((segment.get(2..).ok_or(JpegFault::Marker)?, behind))
}

/// SOF0 to SOF15, without the tables that have numbers among them.
const fn is_frame_header(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

fn frame_size(body: &[u8]) -> Result<(u32, u32), JpegFault> {
    let Some([_precision, h0, h1, w0, w1]) = body.first_chunk() else {
        return Err(JpegFault::Truncated);
    };
    let (width, height) = (u16::from_be_bytes([*w0, *w1]), u16::from_be_bytes([*h0, *h1]));
    if width == 0 || height == 0 {
        return Err(JpegFault::Empty);
    }
    Ok((u32::from(width), u32::from(height)))
}

/// Behind the entropy-coded data: at the first marker that is neither stuffing nor restart.
fn behind_scan(bytes: &[u8]) -> Result<&[u8], JpegFault> {
    let is_marker = |pair: &[u8]| matches!(pair, [0xff, code] if *code != 0 && *code != 0xff && !(0xd0..=0xd7).contains(code));
    let at = bytes.windows(2).position(is_marker).ok_or(JpegFault::Truncated)?;
    bytes.get(at..).ok_or(JpegFault::Truncated)
}
