//! Thumbnails in a package: the pictures that were given, named by every manifest.

use crate::clip::{Memory, Shape, file, keys, plan, run, video};
use media::images::bif::Bif;
use media::images::{ImageSet, Pictures, Tiles, TilesWanted};
use media::package::{Layout, PackageError, Plan};
use model::Scheme;

/// The smallest bytes that are a JPEG of this size to a reader of markers.
fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut out = vec![0xff, 0xd8, 0xff, 0xc0, 0, 8, 8];
    out.extend((height as u16).to_be_bytes());
    out.extend((width as u16).to_be_bytes());
    out.extend([1, 0xff, 0xda, 0, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xff, 0xd9]);
    out
}

fn illustrated(layout: Layout, schemes: &[Scheme]) -> Plan {
    let wanted = TilesWanted { size: Some((160, 90)), interval_s: Some(1) };
    let tiles = Tiles::plan(wanted, (640, 360), 8_000).unwrap();
    let (width, height) = tiles.sheet_size();
    let pictures =
        Pictures { thumbnails: jpeg(160, 90).repeat(8), sheets: jpeg(width, height).repeat(1) };
    Plan { images: Some(ImageSet::new(tiles, &pictures).unwrap()), ..plan(layout, schemes) }
}

#[test]
fn one_set_of_pictures_serves_both_schemes() {
    let source = file(&[video((640, 360), 8, 25)], Shape::MoovFirst);
    for layout in [Layout::Segments, Layout::SingleFile] {
        let mut memory = Memory::default();
        let plan = illustrated(layout, &Scheme::ALL);
        let event = run(&[&source], &plan, &keys(), &mut memory).unwrap();
        let images = &event.images[0];
        assert_eq!((images.columns, images.rows, images.count, images.sheets), (5, 2, 8, 1));
        assert_eq!(memory.files["images/thumbs-160/1.jpg"], jpeg(800, 180));
        let bif = Bif::parse(&memory.files[&images.bif]).unwrap();
        assert_eq!((bif.step_ms, bif.pictures.len()), (1000, 8));
        let text = |path: &str| String::from_utf8(memory.files[path].clone()).unwrap();
        assert_eq!(text("manifest.mpd").matches("thumbnail_tile").count(), 1);
        for master in ["master.m3u8", "master_cenc.m3u8"] {
            assert!(text(master).contains(&format!("URI=\"{}\"", images.playlist)));
        }
        assert!(text(&images.playlist).contains("LAYOUT=5x2,DURATION=1\n1.jpg\n"));
        let total: usize = memory.files.values().map(Vec::len).sum();
        let document = memory.files["package.json"].len();
        assert_eq!(event.size_bytes, (total - document) as u64);
    }
}

#[test]
fn a_picture_that_does_not_read_back_ends_the_job() {
    let source = file(&[video((640, 360), 8, 25)], Shape::MoovFirst);
    let plan = illustrated(Layout::Segments, &[Scheme::Cbcs]);
    let mut whole = Memory::default();
    run(&[&source], &plan, &keys(), &mut whole).unwrap();
    // Pictures are written right behind the media: one byte in the sheet, one in the BIF.
    let media =
        whole.files.iter().filter(|(path, _)| path.ends_with(".mp4") || path.ends_with("s"));
    let before: usize = media.map(|(_, bytes)| bytes.len()).sum();
    let sheet = whole.files["images/thumbs-160/1.jpg"].len();
    for (at, path) in
        [(before + 3, "images/thumbs-160/1.jpg"), (before + sheet, "images/thumbs.bif")]
    {
        let mut memory = Memory { spoil_at: Some(at), ..Memory::default() };
        let error = run(&[&source], &plan, &keys(), &mut memory).unwrap_err();
        let is_found =
            matches!(&error, PackageError::Verification { path: told, .. } if told == path);
        assert!(is_found, "{error}");
        assert!(!memory.files.contains_key("package.json"));
    }
}
