//! Delivery: passes, paths, ranges, and manifests rendered for one session.

use crate::house::{House, ORIGIN, Reply, get, path_of};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use edge::{EdgePass, signed_url};
use media::codec::ChannelLayout;
use media::images::Tiles;
use media::manifest::{
    ByteSpan, DASH_PATH, Description, ImageTrack, KeyFrame, Presentation, SegmentEntry, TextFormat,
    TrackLayout, TrackMedia, TrackProtection, TrackRendition, hls_i_frames, hls_images, hls_master,
    hls_media, hls_path, mpd,
};
use model::{
    ContentId, Dialect, KeyId, ObjectPath, PackageId, PackagedEvent, PackagedImages, PackagedText,
    PackagedVariant, PlaybackSessionId, Scheme, Timestamp, TrackClass, TrackClasses,
};
use std::io::Write as _;

/// Bytes of every media object.
const MEDIA_BYTES: usize = 200_000;

fn media_bytes() -> Vec<u8> {
    (0..MEDIA_BYTES).map(|at| (at % 251).to_le_bytes()[0]).collect()
}

fn track(scheme: Scheme, class: TrackClass) -> TrackRendition {
    let height = if class == TrackClass::Hd { 720 } else { 360 };
    let (name, media) = match class {
        TrackClass::Audio => (
            "audio-en".to_owned(),
            TrackMedia::Audio {
                sample_rate: 48_000,
                channels: 2,
                layout: ChannelLayout::Mpeg(2),
                language: Some("en".into()),
            },
        ),
        _ => (
            format!("video-{height}p"),
            TrackMedia::Video { width: height * 16 / 9, height, frame_rate: None },
        ),
    };
    let segment = SegmentEntry { duration_ts: 4000, size_bytes: 1000, starts_with_sap: true };
    TrackRendition {
        codecs: if class == TrackClass::Audio { "mp4a.40.2" } else { "avc1.64001f" }.into(),
        protection: Some(TrackProtection {
            kid: KeyId::from_bytes([0x10 * (scheme as u8 + 1) + class as u8; 16]),
            playready_checksum: (scheme == Scheme::Cenc).then_some([0; 8]),
            scheme,
            class,
        }),
        name,
        trick_of: None,
        media,
        timescale: 1000,
        start_ts: 0,
        layout: TrackLayout::Segments,
        segments: vec![segment; 3],
        clear_segments: 0,
        description: Description::default(),
        key_frames: if class == TrackClass::Audio { vec![] } else { key_frames() },
        live: None,
    }
}

fn presentation() -> Presentation {
    let classes = [TrackClass::Sd, TrackClass::Hd, TrackClass::Audio];
    let tracks = Scheme::ALL.into_iter().flat_map(|s| classes.map(|class| track(s, class)));
    let language = Some("en".to_owned());
    let text = TrackRendition {
        name: "text-en".to_owned(),
        protection: None,
        codecs: "wvtt".to_owned(),
        media: TrackMedia::Text { format: TextFormat::WebVtt, language },
        ..track(Scheme::Cbcs, TrackClass::Audio)
    };
    let tracks = tracks.chain([text]).collect();
    let tiles = Tiles { width: 160, height: 90, columns: 2, rows: 1, interval_s: 6, count: 2 };
    let images = Some(ImageTrack { tiles, sheet_bytes: vec![1000] });
    Presentation {
        content_id: ContentId::parse("film").unwrap(),
        tracks,
        images,
        cues_ns: Vec::new(),
        live: None,
        rotation: None,
    }
}

/// One key frame in each segment.
fn key_frames() -> Vec<KeyFrame> {
    let span = ByteSpan { start: 24, len: 1000 };
    (1..=3).map(|at| KeyFrame { segment: at, span, presentation_ts: at as u64 * 4000 }).collect()
}

fn picture(track: &TrackRendition) -> Option<(u32, u32)> {
    match track.media {
        TrackMedia::Video { width, height, .. } => Some((width, height)),
        _ => None,
    }
}

fn event(presentation: &Presentation) -> PackagedEvent {
    let variant = |(track, key): (&TrackRendition, TrackProtection)| PackagedVariant {
        name: track.name.clone(),
        trick_of: None,
        scheme: key.scheme,
        track_class: key.class,
        kid: key.kid,
        period_kids: Vec::new(),
        codecs: track.codecs.clone(),
        bandwidth: 1,
        width: picture(track).map(|(width, _)| width),
        height: picture(track).map(|(_, height)| height),
        language: track.language().map(str::to_owned),
        role: None,
        clear_lead_ms: 0,
        playlist: track.playlist_path(),
        iframe_playlist: track.iframe_playlist_path(),
        size_bytes: 1,
    };
    let images = |track: &ImageTrack| PackagedImages {
        name: track.tiles.name(),
        width: track.tiles.width,
        height: track.tiles.height,
        columns: track.tiles.columns,
        rows: track.tiles.rows,
        interval_s: track.tiles.interval_s,
        count: track.tiles.count,
        sheets: track.tiles.sheets(),
        playlist: track.tiles.playlist_path(),
        bif: track.tiles.bif_path(),
        size_bytes: 1,
    };
    PackagedEvent {
        event: PackagedEvent::EVENT.to_owned(),
        version: PackagedEvent::VERSION,
        content_id: presentation.content_id.clone(),
        package_id: PackageId::from_bytes([7; 16]),
        schemes: Scheme::ALL.to_vec(),
        variants: presentation
            .tracks
            .iter()
            .filter_map(|track| Some((track, track.protection?)))
            .map(variant)
            .collect(),
        texts: presentation
            .texts()
            .map(|track| PackagedText {
                name: track.name.clone(),
                codecs: track.codecs.clone(),
                language: track.language().map(str::to_owned),
                role: None,
                playlist: track.playlist_path(),
                size_bytes: 1,
            })
            .collect(),
        images: presentation.images.iter().map(images).collect(),
        dash: DASH_PATH.to_owned(),
        hls: Scheme::ALL.map(|scheme| hls_path(scheme).to_owned()).to_vec(),
        live: false,
        rotation: None,
        duration_ms: 12_000,
        size_bytes: 1,
        packager: "test".to_owned(),
        packaged_at: Timestamp(0),
    }
}

/// A house whose title `film` is packaged in both schemes.
pub async fn packaged() -> House {
    let house = House::furnished().await;
    package_film(&house);
    house
}

/// Packages `film` in both schemes.
pub fn package_film(house: &House) -> PackagedEvent {
    let presentation = presentation();
    let event = event(&presentation);
    let staging = house.objects.stage(&presentation.content_id, event.package_id).unwrap();
    let put = |path: &str, bytes: &[u8]| {
        let mut file = staging.create(&ObjectPath::parse(path).unwrap()).unwrap();
        file.write_all(bytes).unwrap();
    };
    put("package.json", serde_json::to_string(&event).unwrap().as_bytes());
    put(DASH_PATH, mpd(&presentation).as_bytes());
    for scheme in Scheme::ALL {
        put(hls_path(scheme), hls_master(&presentation, scheme).as_bytes());
    }
    for track in &presentation.tracks {
        put(&track.playlist_path(), hls_media(&presentation, track).as_bytes());
        put(&track.hls_segment_path(1), &media_bytes());
        if let Some(path) = track.iframe_playlist_path() {
            put(&path, hls_i_frames(&presentation, track).unwrap().as_bytes());
        }
    }
    if let Some(images) = &presentation.images {
        put(&images.tiles.playlist_path(), hls_images(images).as_bytes());
        put(&images.tiles.sheet_path(1), b"\xff\xd8");
        put(&images.tiles.bif_path(), b"\x89BIF");
    }
    put("cbcs/empty.mp4", b"");
    put("cbcs/notes.txt", b"not for viewers");
    staging.publish().unwrap();
    event
}

pub fn pass_for(house: &House, edit: impl FnOnce(&mut EdgePass)) -> String {
    let mut pass = EdgePass {
        content_id: ContentId::parse("film").unwrap(),
        session: PlaybackSessionId::from_bytes([1; 16]),
        classes: TrackClasses::up_to(TrackClass::Sd),
        dialect: Dialect::ClearKey,
        expires: house.clock.now().plus_s(60),
    };
    edit(&mut pass);
    signed_url::sign(&house.service.delivery.key, &pass)
}

async fn fetch(house: &House, pass: &str, object: &str) -> Reply {
    house.get(&format!("/v/film/~{pass}/{object}")).await
}

fn kid_of(scheme: Scheme, class: TrackClass) -> String {
    track(scheme, class).protection.unwrap().kid.to_uuid()
}

#[tokio::test]
async fn the_urls_of_the_token_call_deliver() {
    let house = packaged().await;
    let token = house.sign_in("ada").await;
    let answer = house.playback(&token, "film").await;
    let manifest = answer.json()["manifest"].clone();
    let dash = house.get(path_of(manifest["dash"].as_str().unwrap())).await;
    dash.assert_granted();
    assert_eq!(dash.header("content-type"), "application/dash+xml");
    assert_eq!(dash.header("cache-control"), "private, no-store");
    let hls = house.get(path_of(manifest["hls"].as_str().unwrap())).await;
    hls.assert_granted();
    assert_eq!(hls.header("content-type"), "application/vnd.apple.mpegurl");
    // The cookie form, by the cookie that came with the answer.
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    let request = get("/v/film/cbcs/video-360p/1.m4s").header(header::COOKIE, &cookie);
    let media = house.send(request.body(Body::empty()).unwrap()).await;
    media.assert_granted();
    assert_eq!(media.body, media_bytes());
    let other = get("/v/other/cbcs/video-360p/1.m4s").header(header::COOKIE, &cookie);
    house.send(other.body(Body::empty()).unwrap()).await.assert_refused(403, "pass_invalid");
    house.get("/v/film/cbcs/video-360p/1.m4s").await.assert_refused(403, "pass_invalid");
}

#[tokio::test]
async fn a_manifest_shows_one_scheme_and_the_classes_of_the_session() {
    let house = packaged().await;
    let sd = pass_for(&house, |_| {});
    let hd = pass_for(&house, |pass| pass.classes = TrackClasses::up_to(TrackClass::Hd));
    for (query, shown, hidden) in [
        ("", Scheme::Cbcs, Scheme::Cenc),
        ("?scheme=cbcs", Scheme::Cbcs, Scheme::Cenc),
        ("?scheme=cenc", Scheme::Cenc, Scheme::Cbcs),
    ] {
        let reply = fetch(&house, &sd, &format!("manifest.mpd{query}")).await;
        reply.assert_granted();
        let text = reply.text();
        assert!(text.contains(&kid_of(shown, TrackClass::Sd)), "{text}");
        assert!(text.contains(&kid_of(shown, TrackClass::Audio)));
        assert!(!text.contains(&kid_of(shown, TrackClass::Hd)), "{text}");
        assert!(!text.contains(&kid_of(hidden, TrackClass::Sd)));
        assert!(!text.contains("laurl") && !text.contains("/license/"), "{text}");
        let text = fetch(&house, &hd, &format!("manifest.mpd{query}")).await.text();
        assert!(text.contains(&kid_of(shown, TrackClass::Hd)), "{text}");
    }
    fetch(&house, &sd, "manifest.mpd?scheme=x").await.assert_refused(400, "malformed_request");
    let master = fetch(&house, &sd, "master.m3u8").await.text();
    assert!(master.contains("video-360p") && !master.contains("video-720p"), "{master}");
    let master = fetch(&house, &hd, "master_cenc.m3u8").await.text();
    assert!(master.contains("cenc/video-720p") && !master.contains("cbcs/"), "{master}");
    fetch(&house, &sd, "cbcs/video-360p/playlist.m3u8").await.assert_granted();
    let above = fetch(&house, &sd, "cbcs/video-720p/playlist.m3u8").await;
    above.assert_refused(404, "not_found");
}

/// R012: one encrypted set serves every system of a scheme.
#[tokio::test]
async fn every_system_gets_the_same_segments() {
    let house = packaged().await;
    for object in ["cbcs/video-360p/1.m4s", "cenc/video-360p/1.m4s"] {
        for dialect in Dialect::ALL {
            let pass = pass_for(&house, |pass| pass.dialect = dialect);
            let segment = fetch(&house, &pass, object).await;
            segment.assert_granted();
            assert_eq!(segment.body, media_bytes(), "{object} as {dialect:?}");
        }
    }
}

#[tokio::test]
async fn key_frames_are_listed_for_the_classes_of_the_session() {
    let house = packaged().await;
    let sd = pass_for(&house, |_| {});
    let master = fetch(&house, &sd, "master.m3u8").await.text();
    assert!(master.contains("#EXT-X-I-FRAME-STREAM-INF") && !master.contains("720p"), "{master}");
    let own = fetch(&house, &sd, "cbcs/video-360p/iframes.m3u8").await;
    own.assert_granted();
    let text = own.text();
    assert!(text.contains("#EXT-X-I-FRAMES-ONLY\n") && text.contains("BYTERANGE:1000@24\n1.m4s"));
    assert!(text.contains("org.w3.clearkey") && !text.contains("widevine"), "{text}");
    let above = fetch(&house, &sd, "cbcs/video-720p/iframes.m3u8").await;
    above.assert_refused(404, "not_found");
}

#[tokio::test]
async fn thumbnails_are_served_with_a_pass_and_to_no_shared_cache() {
    let house = packaged().await;
    let sd = pass_for(&house, |_| {});
    let mpd = fetch(&house, &sd, "manifest.mpd").await.text();
    assert!(mpd.contains("thumbnail_tile") && mpd.contains("images/thumbs-160/"), "{mpd}");
    let master = fetch(&house, &sd, "master.m3u8").await.text();
    assert!(master.contains("#EXT-X-IMAGE-STREAM-INF"), "{master}");
    let playlist = fetch(&house, &sd, "images/thumbs-160/playlist.m3u8").await;
    playlist.assert_granted();
    assert!(playlist.text().contains("LAYOUT=2x1,DURATION=6\n1.jpg\n"), "{}", playlist.text());
    for (object, media_type) in [
        ("images/thumbs-160/1.jpg", "image/jpeg"),
        ("images/thumbs.bif", "application/octet-stream"),
    ] {
        let reply = fetch(&house, &sd, object).await;
        reply.assert_granted();
        assert_eq!(reply.header("content-type"), media_type);
        assert_eq!(reply.header("cache-control"), "private, max-age=3600");
        house.get(&format!("/v/film/{object}")).await.assert_refused(403, "pass_invalid");
    }
    let media = fetch(&house, &sd, "cbcs/video-360p/1.m4s").await;
    assert_eq!(media.header("cache-control"), "public, max-age=3600");
}

#[tokio::test]
async fn every_session_sees_the_subtitles() {
    let house = packaged().await;
    let sd = pass_for(&house, |_| {});
    for query in ["", "?scheme=cenc"] {
        let text = fetch(&house, &sd, &format!("manifest.mpd{query}")).await.text();
        assert!(text.contains("contentType=\"text\"") && text.contains("text-en"), "{text}");
    }
    for master in ["master.m3u8", "master_cenc.m3u8"] {
        let text = fetch(&house, &sd, master).await.text();
        assert!(text.contains("TYPE=SUBTITLES") && text.contains("text/text-en"), "{text}");
    }
    let playlist = fetch(&house, &sd, "text/text-en/playlist.m3u8").await;
    playlist.assert_granted();
    assert!(playlist.text().contains("\n1.vtt\n"), "{}", playlist.text());
    let segment = fetch(&house, &sd, "text/text-en/1.vtt").await;
    segment.assert_granted();
    assert_eq!(segment.header("content-type"), "text/vtt");
    fetch(&house, &sd, "text/other/playlist.m3u8").await.assert_refused(404, "not_found");
}

#[tokio::test]
async fn what_is_not_for_viewers_is_not_there() {
    let house = packaged().await;
    let pass = pass_for(&house, |_| {});
    for object in [
        "package.json",
        "cbcs/notes.txt",
        "nothing.mpd",
        "cbcs/video-360p/99.m4s",
        "cbcs",
        "current",
        "cbcs/video-360p",
        "cbcs/nothing/playlist.m3u8",
    ] {
        fetch(&house, &pass, object).await.assert_refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_pass_opens_one_title_until_it_ends() {
    let house = packaged().await;
    let object = "cbcs/video-360p/1.m4s";
    let good = pass_for(&house, |_| {});
    fetch(&house, &good, object).await.assert_granted();
    for at in 0..good.len() {
        let flipped = if &good[at..=at] == "A" { "B" } else { "A" };
        let mut other = good.clone();
        other.replace_range(at..=at, flipped);
        fetch(&house, &other, object).await.assert_refused(403, "pass_invalid");
    }
    for other in ["", "x", &good[1..], &good[..78], &format!("{good}A"), &good.repeat(2)] {
        fetch(&house, other, object).await.assert_refused(403, "pass_invalid");
    }
    let elsewhere = pass_for(&house, |pass| pass.content_id = ContentId::parse("other").unwrap());
    fetch(&house, &elsewhere, object).await.assert_refused(403, "pass_invalid");
    let reply = house.get(&format!("/v/other/~{good}/{object}")).await;
    reply.assert_refused(403, "pass_invalid");
    house.clock.advance_ms(59_999);
    fetch(&house, &good, object).await.assert_granted();
    house.clock.advance_ms(1);
    fetch(&house, &good, object).await.assert_refused(403, "pass_expired");
}

#[tokio::test]
async fn no_path_leaves_the_package() {
    let house = packaged().await;
    let pass = pass_for(&house, |_| {});
    std::fs::write(house.folder().join("secret.mp4"), b"outside").unwrap();
    for object in [
        "../secret.mp4",
        "../../secret.mp4",
        "../../../secret.mp4",
        "cbcs/../../../../secret.mp4",
        "%2e%2e/%2e%2e/%2e%2e/secret.mp4",
        "..%2f..%2f..%2fsecret.mp4",
        "%252e%252e/secret.mp4",
        "..%5c..%5csecret.mp4",
        "cbcs/%2e%2e/cbcs/empty.mp4",
        "./cbcs/empty.mp4",
        "cbcs//video-360p/1.m4s",
        "/etc/passwd",
        "//etc/passwd",
        "%2fetc%2fpasswd",
        "cbcs/video-360p/1.m4s%00",
        "cbcs/video-360p/1.m4s%00.mp4",
        "cbcs/video-360p/1%2em4s",
        "cbcs/video-360p/1.m4s/",
        "cbcs/video-360p/1.m4s/range/",
        "~x/cbcs/video-360p/1.m4s",
        ".staging/x.mp4",
        "%c0%ae%c0%ae/secret.mp4",
        "cbcs;/video-360p/1.m4s",
    ] {
        let reply = fetch(&house, &pass, object).await;
        assert!(
            [400, 403, 404].contains(&reply.status.as_u16()),
            "{object} {} {}",
            reply.status,
            reply.text()
        );
        assert!(!reply.text().contains("outside"), "{object}");
    }
    for content in ["..", "%2e%2e", ".staging", "film%2f..", "film/.."] {
        let reply = house.get(&format!("/v/{content}/~{pass}/cbcs/video-360p/1.m4s")).await;
        assert!([403, 404].contains(&reply.status.as_u16()), "{content} {}", reply.status);
    }
}

#[tokio::test]
async fn a_link_in_a_package_is_not_followed() {
    let house = packaged().await;
    let pass = pass_for(&house, |_| {});
    std::fs::write(house.folder().join("secret.mp4"), b"outside").unwrap();
    let package = house.folder().join("media/film").join("07".repeat(16));
    std::os::unix::fs::symlink(house.folder().join("secret.mp4"), package.join("link.mp4"))
        .unwrap();
    fetch(&house, &pass, "link.mp4").await.assert_refused(404, "not_found");
}

async fn ranged(house: &House, pass: &str, range: &str) -> Reply {
    let request =
        get(&format!("/v/film/~{pass}/cbcs/video-360p/1.m4s")).header(header::RANGE, range);
    house.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_range_by_header_and_by_url_is_the_same_bytes() {
    let house = packaged().await;
    let pass = pass_for(&house, |_| {});
    let bytes = media_bytes();
    for (spec, expected) in [
        ("0-23", &bytes[..24]),
        ("0-0", &bytes[..1]),
        ("199999-", &bytes[199_999..]),
        ("-5", &bytes[199_995..]),
        ("100000-170000", &bytes[100_000..=170_000]),
        ("0-99999999999999999999", &bytes[..]),
    ] {
        let by_header = ranged(&house, &pass, &format!("bytes={spec}")).await;
        assert_eq!(by_header.status, StatusCode::PARTIAL_CONTENT, "{spec}");
        assert_eq!(by_header.body, expected, "{spec}");
        let content_range = by_header.header("content-range");
        assert!(content_range.ends_with("/200000"), "{content_range}");
        assert_eq!(by_header.header("content-length"), expected.len().to_string());
        let path = format!("cbcs/video-360p/1.m4s/range/{spec}");
        let by_url = fetch(&house, &pass, &path).await;
        assert_eq!(by_url.status, StatusCode::OK, "{spec}");
        assert_eq!(by_url.body, expected, "{spec}");
    }
}

#[tokio::test]
async fn bad_ranges_are_refused_and_many_are_not_served() {
    let house = packaged().await;
    let pass = pass_for(&house, |_| {});
    for range in ["bytes=200000-", "bytes=200000-200001", "bytes=-0", "bytes=0-1,5-6"] {
        let reply = ranged(&house, &pass, range).await;
        reply.assert_refused(416, "range_not_satisfiable");
        assert_eq!(reply.header("content-range"), "bytes */200000");
    }
    let many = format!("bytes={}0-", "0-,".repeat(5000));
    ranged(&house, &pass, &many).await.assert_refused(416, "range_not_satisfiable");
    for range in ["bytes=5-4", "bytes=a-b", "bytes=", "bytes", "bytes=--5", "bytes=0-1-2"] {
        ranged(&house, &pass, range).await.assert_refused(400, "malformed_request");
    }
    for spec in ["5-4", "a-b", "", "0-1,2-3", "200000-"] {
        let reply = fetch(&house, &pass, &format!("cbcs/video-360p/1.m4s/range/{spec}")).await;
        assert!([400, 416].contains(&reply.status.as_u16()), "{spec} {}", reply.status);
    }
    assert_eq!(ranged(&house, &pass, "items=0-5").await.status, StatusCode::OK);
    let empty = fetch(&house, &pass, "cbcs/empty.mp4").await;
    assert_eq!((empty.status, empty.body.len()), (StatusCode::OK, 0));
    let path = "cbcs/empty.mp4/range/0-0";
    fetch(&house, &pass, path).await.assert_refused(416, "range_not_satisfiable");
}

#[tokio::test]
async fn head_and_etag_do_what_caches_expect() {
    let house = packaged().await;
    let pass = pass_for(&house, |_| {});
    let path = format!("/v/film/~{pass}/cbcs/video-360p/1.m4s");
    let whole = house.get(&path).await;
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("cache-control"), "public, max-age=3600");
    let etag = whole.header("etag").to_owned();
    let head = house.send(Request::head(&path).body(Body::empty()).unwrap()).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-length"), MEDIA_BYTES.to_string());
    assert_eq!(head.header("etag"), etag);
    let known = get(&path).header(header::IF_NONE_MATCH, format!("\"x\", {etag}"));
    let known = house.send(known.body(Body::empty()).unwrap()).await;
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    for (tag, status) in [(etag.as_str(), StatusCode::PARTIAL_CONTENT), ("\"x\"", StatusCode::OK)] {
        let request = get(&path).header(header::RANGE, "bytes=0-1").header(header::IF_RANGE, tag);
        assert_eq!(house.send(request.body(Body::empty()).unwrap()).await.status, status);
    }
}

/// What a player says of itself (CTA-5004) changes no answer, however it says it.
#[tokio::test]
async fn delivery_needs_no_database() {
    let house = packaged().await;
    let pass = pass_for(&house, |_| {});
    for name in ["strongroom.db", "strongroom.db-wal", "strongroom-audit.db"] {
        // What is open stays open; what would be opened anew is gone.
        drop(std::fs::remove_file(house.folder().join(name)));
    }
    fetch(&house, &pass, "manifest.mpd").await.assert_granted();
    fetch(&house, &pass, "cbcs/video-360p/1.m4s").await.assert_granted();
    let request = get(&format!("/v/film/~{pass}/manifest.mpd")).header(header::ORIGIN, ORIGIN);
    house.send(request.body(Body::empty()).unwrap()).await.assert_granted();
}
