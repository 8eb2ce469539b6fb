//! What is listed of the manifests that we write, and what of others is refused.

use super::super::fixture::{
    in_segments, in_single_files, kid, with_cue, with_descriptions, with_images, with_texts,
    with_trick_tracks,
};
use super::super::{Presentation, mpd};
use super::*;
use crate::cmaf::{Reference, write_index};
use model::TrackClass;

fn paths(media: &MediaParts) -> Vec<&str> {
    match media {
        MediaParts::Segments(parts) => parts.iter().map(|one| one.part.path.as_str()).collect(),
        MediaParts::Indexed(index) => vec![&index.path],
    }
}

#[test]
fn every_picture_and_sound_is_listed_with_its_key() {
    let title = with_trick_tracks(with_images(with_texts(in_segments())));
    let listed = parse_mpd(&mpd(&title)).unwrap();
    assert_eq!(listed.len(), 10, "neither text nor thumbnails nor trick-play");
    let hd = listed.iter().find(|one| one.id == "cenc-video-1080p").unwrap();
    let key = (Scheme::Cenc, kid(TrackClass::Hd, Scheme::Cenc));
    assert_eq!((hd.width, hd.height, hd.protection), (1920, 1080, Some(key)));
    assert_eq!((hd.medium, hd.codecs.as_str()), (Medium::Video, "avc1.64001f"));
    assert_eq!(hd.init, Part { path: "cenc/video-1080p/init.mp4".to_owned(), span: None });
    let numbered = |number| format!("cenc/video-1080p/{number}.m4s");
    assert_eq!(paths(&hd.media), [numbered(1), numbered(2), numbered(3)]);
    let sounds: Vec<_> =
        listed.iter().filter(|one| one.medium == Medium::Audio && one.is_main).collect();
    assert!(sounds.iter().all(|one| one.language.as_deref() == Some("en")), "{sounds:?}");
    assert!(!sounds.is_empty());
}

#[test]
fn periods_of_one_title_are_one_rendition() {
    let listed = |presentation: &Presentation| {
        let mut listed = parse_mpd(&mpd(presentation)).unwrap();
        listed.sort_by(|a, b| a.id.cmp(&b.id));
        listed
    };
    let whole = with_descriptions(in_segments());
    assert_eq!(listed(&whole), listed(&with_cue(whole.clone())));
}

#[test]
fn single_files_are_read_by_their_index() {
    let listed = parse_mpd(&mpd(&in_single_files())).unwrap();
    let MediaParts::Indexed(index) = &listed[0].media else { panic!("an index") };
    assert_eq!(index.span, Some(ByteSpan { start: 1200, len: 68 }));
    assert_eq!(listed[0].init.span, Some(ByteSpan { start: 0, len: 1200 }));
    assert_eq!(listed[0].init.path, index.path);
    let reference = |size| Reference { size, duration: 1, starts_with_sap: true };
    let mut bytes = vec![];
    write_index(1000, 0, &[reference(500), reference(300)], &mut bytes);
    let spans: Vec<_> =
        subsegments(index, &bytes).unwrap().iter().filter_map(|one| one.part.span).collect();
    let start = 1200 + u64::try_from(bytes.len()).unwrap();
    assert_eq!(spans, [ByteSpan { start, len: 500 }, ByteSpan { start: start + 500, len: 300 }]);
    for cut in 0..bytes.len() {
        assert!(subsegments(index, &bytes[..cut]).is_err(), "{cut}");
    }
    let at = bytes.len() - 12;
    bytes[at] |= 0x80;
    assert!(subsegments(index, &bytes).is_err(), "an index of indexes");
}

fn one(template: &str) -> Result<Vec<Listed>, ListingError> {
    parse_mpd(&format!(
        r#"<MPD><Period><AdaptationSet contentType="video"><Representation id="a" bandwidth="7">
        {template}</Representation></AdaptationSet></Period></MPD>"#
    ))
}

#[test]
fn templates_are_filled_and_bases_are_joined() {
    let listed = one(r#"<BaseURL>b/c/x</BaseURL><SegmentTemplate initialization="i-$$-$Bandwidth$"
        media="$RepresentationID$-$Time$"><SegmentTimeline><S t="5" d="2" r="1"/><S d="1"/>
        </SegmentTimeline></SegmentTemplate>"#)
    .unwrap();
    assert_eq!(listed[0].init.path, "b/c/i-$-7");
    assert_eq!(paths(&listed[0].media), ["b/c/a-5", "b/c/a-7", "b/c/a-9"]);
    assert_eq!(listed[0].protection, None);
}

#[test]
fn the_cdns_of_an_mpd_are_places_of_the_whole_package() {
    let mpd = |bases: &str| {
        format!(
            r#"<MPD>{bases}<Period><AdaptationSet contentType="video">
            <Representation id="a"><SegmentTemplate initialization="i" media="m-$Number$">
            <SegmentTimeline><S d="1"/></SegmentTimeline></SegmentTemplate></Representation>
            </AdaptationSet></Period></MPD>"#
        )
    };
    let base =
        |name: &str, url: &str| format!(r#"<BaseURL serviceLocation="{name}">{url}</BaseURL>"#);
    let steering = r#"<ContentSteering defaultServiceLocation="b">https://tv/s</ContentSteering>"#;
    let (a, b) = (base("a", "https://a/v/film/~P/"), base("b", "http://b:1/v/film/~P/"));
    let text = mpd(&[&a, &b, steering].concat());
    let places = mpd_places(&text).unwrap();
    assert_eq!(places, ["http://b:1/v/film/~P/", "https://a/v/film/~P/"]);
    let listed = parse_mpd(&text).unwrap();
    assert_eq!((listed[0].init.path.as_str(), paths(&listed[0].media)), ("i", vec!["m-1"]));
    assert_eq!(mpd_places(&mpd("")), Ok(vec![]));
    for url in ["ftp://a/", "/v/", "https://a/v", "https://a/v/?x/", "https://a/ /", "", "file:///"]
    {
        assert!(mpd_places(&mpd(&base("a", url))).is_err(), "{url}");
    }
}

#[test]
fn what_leaves_the_package_is_refused() {
    for name in
        ["/etc/passwd", "../x", "a/../b", "http://a/b", "//a/b", "a?b", "a#b", "a\\b", ".", ""]
    {
        let template = format!(
            r#"<SegmentTemplate initialization="{name}" media="m"><SegmentTimeline><S d="1"/>
            </SegmentTimeline></SegmentTemplate>"#
        );
        assert_eq!(one(&template), Err(ListingError::Outside), "{name}");
        let base = format!("<BaseURL>{name}</BaseURL>");
        assert_eq!(one(&base), Err(ListingError::Outside), "{name}");
    }
}

#[test]
fn other_documents_are_refused() {
    assert_eq!(parse_mpd("<html/>"), Err(ListingError::OtherDocument));
    assert!(matches!(parse_mpd("<MPD>"), Err(ListingError::Xml(_))));
    let live = parse_mpd(r#"<MPD type="dynamic" minimumUpdatePeriod="2"/>"#);
    assert_eq!(live, Err(ListingError::Unsupported("a duration")));
    assert_eq!(parse_mpd("<MPD/>"), Ok(vec![]));
    let many = r#"<SegmentTemplate initialization="i" media="m"><SegmentTimeline>
        <S d="1" r="9999999"/></SegmentTimeline></SegmentTemplate>"#;
    assert_eq!(one(many), Err(ListingError::TooLarge));
    for bad in ["$Unknown$", "$Number%05d$"] {
        let template = format!(
            r#"<SegmentTemplate initialization="{bad}" media="m"><SegmentTimeline/>
            </SegmentTemplate>"#
        );
        assert_eq!(one(&template), Err(ListingError::Unsupported("a template")), "{bad}");
    }
    assert!(one("").is_err() && one("<SegmentBase/>").is_err());
}

#[test]
fn a_title_that_goes_on_says_when_to_look_again_and_where_to_begin() {
    let of = |attributes: &str| {
        let listed = parse_mpd(&format!(
            r#"<MPD type="dynamic" {attributes}><Period start="PT1M"><AdaptationSet
            contentType="video"><SegmentTemplate timescale="10" initialization="i" media="$Time$"
            presentationTimeOffset="100"><SegmentTimeline><S t="120" d="20" r="1"/>
            <S t="200" d="15"/></SegmentTimeline></SegmentTemplate><Representation id="a"/>
            </AdaptationSet></Period></MPD>"#
        ));
        listed.unwrap().remove(0)
    };
    let told = r#"minimumUpdatePeriod="PT2S" suggestedPresentationDelay="PT4.5S""#;
    let one = of(told);
    assert_eq!(one.live, Some(Live { reload_ms: 2000, delay_ms: 4500 }));
    let MediaParts::Segments(segments) = one.media else { panic!("segments") };
    let times: Vec<_> = segments.iter().map(|one| (one.begins_ms, one.duration_ms)).collect();
    assert_eq!(times, [(62_000, 2000), (64_000, 2000), (70_000, 1500)], "with a gap");
    let hasty = of(r#"minimumUpdatePeriod="PT0S""#).live;
    assert_eq!(hasty, Some(Live { reload_ms: 250, delay_ms: 750 }));
    assert_eq!(of("").live, Some(Live { reload_ms: 2000, delay_ms: 6000 }));
}

#[test]
fn a_period_with_another_key_goes_on_with_its_own_initialization() {
    let period = |kid: char, first: u32| {
        let kid = kid.to_string().repeat(32);
        format!(
            r#"<Period duration="PT2S"><AdaptationSet contentType="video"><ContentProtection
            schemeIdUri="urn:mpeg:dash:mp4protection:2011" value="cbcs" default_KID="{kid}"/>
            <SegmentTemplate startNumber="{first}" initialization="i-{kid}" media="$Number$">
            <SegmentTimeline><S d="1" r="1"/></SegmentTimeline></SegmentTemplate>
            <Representation id="a"/></AdaptationSet></Period>"#
        )
    };
    let text = format!("<MPD>{}{}{}</MPD>", period('1', 1), period('1', 3), period('2', 5));
    let listed = parse_mpd(&text).unwrap().remove(0);
    let key = |byte| KeyId::from_bytes([byte; 16]);
    assert_eq!(listed.keys().collect::<Vec<_>>(), [(key(0x11), None), (key(0x22), None)]);
    let [turn] = &listed.turns[..] else { panic!("one turn") };
    assert_eq!((turn.segment, turn.init.path.as_str()), (4, &*format!("i-{}", "2".repeat(32))));
    assert_eq!(paths(&listed.media), ["1", "2", "3", "4", "5", "6"]);
    let MediaParts::Segments(segments) = listed.media else { panic!("segments") };
    assert_eq!(segments[4].begins_ms, 4000);
}
