//! Thumbnails in manifests: an image `AdaptationSet` of tiles (DASH-IF IOP 4.3, 6.2.6) and an
//! image media playlist ("HLS image media playlist" specification, version 0.4, which Roku and
//! other televisions read).
//!
//! Pictures are not encrypted, so that one set serves every scheme, and players that know neither
//! form pass it over.

use super::hls::{line, quoted};
use super::periods::Part;
use super::presentation::{ImageTrack, bits_per_second};
use super::xml::Element;
use crate::images::Tiles;

/// `schemeIdUri` of the property that says how many pictures a sheet has.
const TILE: &str = "http://dashif.org/guidelines/thumbnail_tile";

impl ImageTrack {
    /// Peak bits per second: the heaviest sheet.
    fn bandwidth(&self) -> u64 {
        let sheets = (1..).zip(&self.sheet_bytes);
        let rate = |(number, bytes): (u32, &u64)| {
            bits_per_second(*bytes, u64::from(self.tiles.sheet_s(number)), 1)
        };
        sheets.map(rate).max().unwrap_or(0)
    }
}

/// The image `AdaptationSet`.
///
/// A sheet may begin in one part of the title and end in the next. Each part lists the sheets that
/// show something of it, with their times: by `@duration` the first one would begin with the part.
pub(super) fn adaptation_set(id: usize, images: &ImageTrack, part: &Part) -> Element {
    let Tiles { columns, rows, interval_s, .. } = images.tiles;
    let (width, height) = images.tiles.sheet_size();
    // The last sheet is no shorter here: its last pictures are behind the end.
    let media = format!("{}/{}/$Number$.jpg", crate::images::FOLDER, images.tiles.name());
    let sheet_s = images.tiles.per_sheet() * interval_s;
    let template = Element::new("SegmentTemplate");
    let template = if part.is_whole() {
        template
            .with("timescale", 1)
            .with("duration", sheet_s)
            .with("startNumber", 1)
            .with("endNumber", images.tiles.sheets())
            .with("media", media)
    } else {
        let sheet_us = u64::from(sheet_s.max(1)) * 1_000_000;
        let last = u64::from(images.tiles.sheets().saturating_sub(1));
        let from = (part.start_us() / sheet_us).min(last);
        let until = (part.end_us().saturating_sub(1) / sheet_us).clamp(from, last);
        let times = Element::new("S").with("t", from * sheet_us).with("d", sheet_us);
        let times = if until > from { times.with("r", until - from) } else { times };
        template
            .with("timescale", 1_000_000)
            .with("presentationTimeOffset", part.start_us())
            .with("startNumber", from + 1)
            .with("media", media)
            .child(Element::new("SegmentTimeline").child(times))
    };
    let tile = Element::new("EssentialProperty")
        .with("schemeIdUri", TILE)
        .with("value", format!("{columns}x{rows}"));
    Element::new("AdaptationSet")
        .with("id", id)
        .with("contentType", "image")
        .with("mimeType", "image/jpeg")
        .child(
            Element::new("Representation")
                .with("id", images.tiles.name())
                .with("bandwidth", images.bandwidth())
                .with("width", width)
                .with("height", height)
                .child(tile)
                .child(template),
        )
}

/// Names the image playlist in a multivariant playlist.
pub(super) fn stream_line(out: &mut String, images: &ImageTrack) {
    let Tiles { width, height, .. } = images.tiles;
    line(
        out,
        format_args!(
            "#EXT-X-IMAGE-STREAM-INF:BANDWIDTH={},RESOLUTION={width}x{height},CODECS=\"jpeg\",URI={}",
            images.bandwidth(),
            quoted(&images.tiles.playlist_path()),
        ),
    );
}

/// Writes the HLS image playlist.
#[must_use]
pub fn hls_images(images: &ImageTrack) -> String {
    let tiles = &images.tiles;
    let Tiles { width, height, columns, rows, interval_s, .. } = *tiles;
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{}\n#EXT-X-PLAYLIST-TYPE:VOD\n\
         #EXT-X-IMAGES-ONLY\n",
        tiles.sheet_s(1)
    );
    for number in 1..=tiles.sheets() {
        line(&mut out, format_args!("#EXTINF:{}.000000,", tiles.sheet_s(number)));
        line(
            &mut out,
            format_args!(
                "#EXT-X-TILES:RESOLUTION={width}x{height},LAYOUT={columns}x{rows},DURATION={interval_s}"
            ),
        );
        line(&mut out, format_args!("{number}.jpg"));
    }
    out += "#EXT-X-ENDLIST\n";
    out
}
