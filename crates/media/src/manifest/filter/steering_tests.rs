//! Manifests that name several CDNs.

use super::*;
use crate::manifest::fixture::{in_segments, package, with_images, with_texts, with_trick_tracks};
use crate::manifest::{self, xml};
use model::TrackClass;

const A: &str = "https://a.example/v/film/~P/";
const B: &str = "https://b.example:8443/x/film/~P/";
const SERVER: &str = "https://tv.example/api/v1/steering/film/P";

fn filters() -> (Filter, Filter) {
    let package = package(&with_images(with_texts(in_segments())));
    let classes = TrackClasses::up_to(TrackClass::Hd);
    let plain = Filter::new(&package, Scheme::Cbcs, classes, Dialect::Widevine);
    let steering = Steering {
        server_url: SERVER.to_owned(),
        first: "b".to_owned(),
        pathways: vec![("a".to_owned(), A.to_owned()), ("b".to_owned(), B.to_owned())],
    };
    (plain.clone(), Filter { steering: Some(steering), ..plain })
}

#[test]
fn an_mpd_names_each_cdn_and_who_to_ask() {
    let (plain, steered) = filters();
    let text = manifest::mpd(&with_images(with_texts(in_segments())));
    let without = mpd(&text, &plain).unwrap();
    assert!(!without.contains("BaseURL") && !without.contains("ContentSteering"));
    let with = mpd(&text, &steered).unwrap();
    let root = xml::parse(&with).unwrap();
    let bases: Vec<_> = root
        .named("BaseURL")
        .map(|base| (base.attribute("serviceLocation").unwrap().to_owned(), base.own_text()))
        .collect();
    assert_eq!(bases, [("a".to_owned(), A.to_owned()), ("b".to_owned(), B.to_owned())]);
    let steering = root.named("ContentSteering").next().unwrap();
    assert_eq!(steering.attribute("defaultServiceLocation"), Some("b"));
    assert_eq!(steering.attribute("queryBeforeStart"), Some("true"));
    assert_eq!(steering.own_text(), SERVER);
    let order: Vec<_> = root.elements().map(|child| child.name.clone()).collect();
    let period = order.iter().position(|name| name == "Period").unwrap();
    let names = ["BaseURL", "BaseURL", "ContentSteering"];
    assert_eq!(order[period - 3..period], names, "before the periods: {order:?}");
    // Nothing else changes.
    let mut rest = root;
    rest.retain(|child| !child.is("BaseURL") && !child.is("ContentSteering"));
    assert_eq!(xml::write(&rest), xml::write(&xml::parse(&without).unwrap()));
}

/// The lines of a tag, as attribute lists.
fn lines<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let prefix = format!("#{tag}:");
    text.lines().filter_map(|line| line.strip_prefix(prefix.as_str())).collect()
}

#[test]
fn a_playlist_has_each_variant_and_group_once_for_each_cdn() {
    let (plain, steered) = filters();
    let presentation = with_trick_tracks(with_texts(in_segments()));
    let text = manifest::hls_master(&presentation, Scheme::Cbcs);
    let without = hls_master(&text, &plain).unwrap();
    let with = hls_master(&text, &steered).unwrap();
    let steering = format!("#EXT-X-CONTENT-STEERING:SERVER-URI=\"{SERVER}\",PATHWAY-ID=\"b\"");
    assert_eq!(with.lines().nth(1), Some(steering.as_str()));
    for tag in ["EXT-X-STREAM-INF", "EXT-X-MEDIA", "EXT-X-I-FRAME-STREAM-INF"] {
        assert_eq!(lines(&with, tag).len(), 2 * lines(&without, tag).len(), "{tag}");
        assert!(tag.contains("FRAME") || !lines(&without, tag).is_empty(), "{tag}");
    }
    let uris = |text: &str, base: &str| -> Vec<String> {
        let uris = text.lines().filter_map(|line| line.strip_prefix(base));
        uris.filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(uris(&with, A), uris(&with, B));
    assert_eq!(uris(&with, A).len(), lines(&without, "EXT-X-STREAM-INF").len());
    for (pathway, base) in [("a", A), ("b", B)] {
        let id = format!("PATHWAY-ID=\"{pathway}\"");
        let variants = lines(&with, "EXT-X-STREAM-INF").into_iter().filter(|v| v.contains(&id));
        for variant in variants {
            let group = variant.split("AUDIO=").nth(1).unwrap().split(',').next().unwrap();
            let media: Vec<_> = lines(&with, "EXT-X-MEDIA")
                .into_iter()
                .filter(|media| media.contains(&format!("GROUP-ID={group}")))
                .collect();
            assert!(!media.is_empty(), "{with}");
            assert!(media.iter().all(|m| m.contains(&format!("URI=\"{base}"))), "{with}");
        }
    }
}

#[test]
fn a_media_playlist_is_the_same_wherever_it_is_fetched() {
    let (plain, steered) = filters();
    let presentation = in_segments();
    let text = manifest::hls_media(&presentation, &presentation.tracks[0]);
    assert_eq!(hls_media(&text, &steered), hls_media(&text, &plain));
}

#[test]
fn a_playlist_fetched_by_a_signed_query_hands_it_on() {
    let (plain, _) = filters();
    let presentation = in_segments();
    let text = manifest::hls_media(&presentation, &presentation.tracks[0]);
    let filtered = hls_media(&text, &plain).unwrap();
    let signed = hls_signed(&filtered, "hdnts=exp=1~hmac=0");
    let segments = filtered.lines().filter(|line| !line.starts_with('#')).count();
    assert!(segments > 1);
    assert_eq!(signed.matches("?hdnts=exp=1~hmac=0\n").count(), segments);
    assert!(signed.contains("init.mp4?hdnts=exp=1~hmac=0\""), "{signed}");
    assert_eq!(signed.replace("?hdnts=exp=1~hmac=0", ""), filtered, "nothing else changes");
}
