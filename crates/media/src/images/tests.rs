//! Plans of sheets, pictures that fit them, and BIFs that read back.

use super::bif::{self, Bif, BifFault};
use super::*;
use proptest::prelude::*;

/// The smallest bytes that are a JPEG of this size to a reader of markers.
fn jpeg(width: u16, height: u16, scan: &[u8]) -> Vec<u8> {
    let mut out = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, b'J', b'F', 0xff, 0xff, 0xc0, 0, 8, 8];
    out.extend(height.to_be_bytes());
    out.extend(width.to_be_bytes());
    out.extend([1, 0xff, 0xda, 0, 3, 0]);
    out.extend_from_slice(scan);
    out.extend([0xff, 0xd9]);
    out
}

fn wanted(size: Option<(u32, u32)>, interval_s: Option<u32>) -> TilesWanted {
    TilesWanted { size, interval_s }
}

#[test]
fn sheets_follow_the_title() {
    let plan = |picture, duration_ms| Tiles::plan(TilesWanted::default(), picture, duration_ms);
    let film = plan((1920, 1080), 5_400_000).unwrap();
    assert_eq!((film.width, film.height, film.interval_s, film.count), (320, 180, 10, 540));
    assert_eq!((film.columns, film.rows, film.sheets()), (5, 5, 22));
    assert_eq!(film.sheet_size(), (1600, 900));
    assert_eq!((film.sheet_s(1), film.sheet_s(22), film.sheet_s(23)), (250, 150, 0));
    let clip = plan((640, 360), 3_001).unwrap();
    assert_eq!((clip.count, clip.columns, clip.rows, clip.sheets()), (4, 4, 1, 1));
    let portrait = plan((1080, 1920), 60_000).unwrap();
    assert_eq!((portrait.width, portrait.height), (180, 320));
    let tiny = plan((64, 20), 0).unwrap();
    assert_eq!((tiny.width, tiny.height, tiny.count), (64, 20, 1));
    assert_eq!(tiny.sheet_path(1), "images/thumbs-64/1.jpg");
    assert_eq!(plan((0, 0), 1000), Err(TilesRefused::NoPicture));
}

#[test]
fn wishes_have_limits() {
    let plan = |wanted| Tiles::plan(wanted, (1920, 1080), 7_200_000);
    let own = plan(wanted(Some((160, 90)), Some(4))).unwrap();
    assert_eq!((own.width, own.height, own.interval_s, own.count), (160, 90, 4, 1800));
    for size in [(322, 180), (160, 91), (14, 90), (0, 0), (u32::MAX, 90)] {
        assert_eq!(plan(wanted(Some(size), None)), Err(TilesRefused::Size), "{size:?}");
    }
    for interval in [0, 61, u32::MAX] {
        assert_eq!(plan(wanted(None, Some(interval))), Err(TilesRefused::Interval));
    }
    assert_eq!(plan(wanted(None, Some(1))), Err(TilesRefused::TooMany));
    let endless = Tiles::plan(TilesWanted::default(), (16, 16), u64::MAX);
    assert_eq!(endless, Err(TilesRefused::TooMany));
}

#[test]
fn a_jpeg_ends_at_its_own_marker() {
    // Stuffing and a restart are part of the scan.
    let one = jpeg(160, 90, &[1, 2, 0xff, 0, 3, 0xff, 0xd0, 4]);
    let two = [one.clone(), jpeg(8, 8, &[])].concat();
    assert_eq!(Jpeg::parse(&two), Ok(Jpeg { width: 160, height: 90, len: one.len() }));
    for len in 0..one.len() {
        assert!(Jpeg::parse(&one[..len]).is_err(), "{len}");
    }
    assert_eq!(Jpeg::parse(b"\x89PNG"), Err(JpegFault::NoStart));
    assert_eq!(Jpeg::parse(&[0xff, 0xd8, 0xff, 0xd9]), Err(JpegFault::Empty));
    assert_eq!(Jpeg::parse(&[0xff, 0xd8, 0xff, 0xd8]), Err(JpegFault::Marker));
    assert_eq!(Jpeg::parse(&jpeg(0, 90, &[1])), Err(JpegFault::Empty));
}

#[test]
fn only_the_pictures_that_were_planned_are_a_set() {
    let tiles = Tiles::plan(wanted(Some((160, 90)), Some(1)), (640, 360), 7_000).unwrap();
    let (small, sheet) = (jpeg(160, 90, &[7]), jpeg(800, 180, &[8, 9]));
    let pictures = |thumbnails: usize, sheets: usize| Pictures {
        thumbnails: small.repeat(thumbnails),
        sheets: sheet.repeat(sheets),
    };
    let set = ImageSet::new(tiles, &pictures(7, 1)).unwrap();
    assert_eq!(set.sheets(), std::slice::from_ref(&sheet));
    let bif = Bif::parse(set.bif()).unwrap();
    assert_eq!((bif.step_ms, bif.pictures.len()), (1000, 7));
    let found = |one| ImageSet::new(tiles, &one).unwrap_err();
    assert_eq!(found(pictures(6, 1)), ImageFault::Count { found: 6, wanted: 7 });
    assert_eq!(found(pictures(7, 2)), ImageFault::Count { found: 2, wanted: 1 });
    let swapped = Pictures { thumbnails: sheet.repeat(7), sheets: sheet.clone() };
    assert_eq!(found(swapped), ImageFault::Size { number: 1, width: 800, height: 180 });
    let torn = Pictures { sheets: sheet[..9].to_vec(), ..pictures(7, 0) };
    assert!(matches!(found(torn), ImageFault::Jpeg { number: 1, .. }));
}

#[test]
fn a_bif_is_laid_out_as_roku_reads_it() {
    let bytes = bif::write(&[vec![1; 3], vec![2; 5]], 10_000).unwrap();
    assert_eq!(bytes[..8], *b"\x89BIF\r\n\x1a\n");
    assert_eq!(bytes[8..20], [0, 0, 0, 0, 2, 0, 0, 0, 0x10, 0x27, 0, 0]);
    assert_eq!(bytes[20..64], [0; 44]);
    assert_eq!(bytes[64..72], [0, 0, 0, 0, 88, 0, 0, 0]);
    assert_eq!(bytes[72..80], [1, 0, 0, 0, 91, 0, 0, 0]);
    assert_eq!(bytes[80..88], [0xff, 0xff, 0xff, 0xff, 96, 0, 0, 0]);
    assert_eq!(bytes[88..], [1, 1, 1, 2, 2, 2, 2, 2]);
    let mut longer = bytes.clone();
    longer[12] = 3;
    assert_eq!(Bif::parse(&longer), Err(BifFault::Order(2)));
    let mut newer = bytes.clone();
    newer[8] = 1;
    assert_eq!(Bif::parse(&newer), Err(BifFault::Version(1)));
    let mut endless = bytes;
    endless[12..16].fill(0xff);
    assert_eq!(Bif::parse(&endless), Err(BifFault::TooMany));
    assert_eq!(Bif::parse(b"BIF"), Err(BifFault::Magic));
}

proptest! {
    #[test]
    fn every_bif_reads_back(
        pictures in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..20),
        step_ms in 1_u32..100_000,
    ) {
        let bytes = bif::write(&pictures, step_ms).unwrap();
        let bif = Bif::parse(&bytes).unwrap();
        prop_assert_eq!(bif.step_ms, step_ms);
        let read: Vec<_> = bif.pictures.iter().map(|(_, at)| bytes[at.clone()].to_vec()).collect();
        prop_assert_eq!(read, pictures);
        for len in 0..bytes.len() {
            prop_assert!(Bif::parse(&bytes[..len]).is_err() || len == bytes.len());
        }
    }
}
