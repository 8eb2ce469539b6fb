//! What sessions see, and what never reaches them.

use super::*;
use crate::manifest::fixture::{
    in_segments, in_single_files, kid, package, with_cue, with_descriptions, with_images,
    with_texts, with_trick_tracks,
};
use crate::manifest::{self, xml};
use model::TrackClass;
use proptest::prelude::*;

fn filter(scheme: Scheme, highest: TrackClass, dialect: Dialect) -> Filter {
    Filter::new(&package(&in_segments()), scheme, TrackClasses::up_to(highest), dialect)
}

fn class(track: &manifest::TrackRendition) -> TrackClass {
    track.protection.unwrap().class
}

fn sd_clear_key() -> Filter {
    filter(Scheme::Cbcs, TrackClass::Sd, Dialect::ClearKey)
}

fn whole_mpd() -> String {
    manifest::mpd(&in_segments())
}

fn whole_master() -> String {
    manifest::hls_master(&in_segments(), Scheme::Cbcs)
}

fn whole_media() -> String {
    let presentation = in_segments();
    manifest::hls_media(&presentation, &presentation.tracks[0])
}

/// Packaged text with one piece of it exchanged; the piece must be there.
fn exchanged(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

#[test]
fn a_session_sees_its_own_part_of_the_manifests() {
    let filter = sd_clear_key();
    insta::assert_snapshot!("sd_clearkey.mpd", mpd(&whole_mpd(), &filter).unwrap());
    insta::assert_snapshot!(
        "sd_clearkey_master.m3u8",
        hls_master(&whole_master(), &filter).unwrap()
    );
    insta::assert_snapshot!("sd_clearkey_media.m3u8", hls_media(&whole_media(), &filter).unwrap());
}

#[test]
fn no_foreign_key_scheme_or_system_is_left_in_any_manifest() {
    for presentation in [in_segments(), in_single_files()] {
        let package = package(&presentation);
        for (scheme, highest, dialect) in every_session() {
            let classes = TrackClasses::up_to(highest);
            let filter = Filter::new(&package, scheme, classes, dialect);
            let mut texts = vec![mpd(&manifest::mpd(&presentation), &filter).unwrap()];
            let master = hls_master(&manifest::hls_master(&presentation, scheme), &filter);
            match highest {
                TrackClass::Audio => assert_eq!(master, Err(FilterError::NothingLeft)),
                _ => texts.push(master.unwrap()),
            }
            for track in &presentation.tracks {
                let filtered = hls_media(&manifest::hls_media(&presentation, track), &filter);
                if let Some(i_frames) = manifest::hls_i_frames(&presentation, track) {
                    let i_frames = hls_media(&i_frames, &filter);
                    assert_eq!(i_frames.as_ref().err(), filtered.as_ref().err());
                    texts.extend(i_frames);
                }
                let is_fair_play_cenc =
                    dialect == Dialect::FairPlay && track.scheme() == Some(Scheme::Cenc);
                match filtered {
                    Ok(text) => {
                        assert!(track.scheme() == Some(scheme) && classes.contains(class(track)));
                        texts.push(text);
                    }
                    Err(FilterError::NotSignaled) => assert!(is_fair_play_cenc),
                    Err(error) => {
                        assert_eq!(error, FilterError::NothingLeft);
                        assert!(track.scheme() != Some(scheme) || !classes.contains(class(track)));
                    }
                }
            }
            for text in texts {
                check_text(&text.to_ascii_lowercase(), &filter);
            }
        }
    }
}

#[test]
fn every_session_keeps_the_subtitles() {
    let presentation = with_texts(in_segments());
    let package = package(&presentation);
    for (scheme, highest, dialect) in every_session().filter(|one| one.1 != TrackClass::Audio) {
        let filter = Filter::new(&package, scheme, TrackClasses::up_to(highest), dialect);
        let mpd = mpd(&manifest::mpd(&presentation), &filter).unwrap();
        let master = hls_master(&manifest::hls_master(&presentation, scheme), &filter).unwrap();
        for track in presentation.texts() {
            assert!(mpd.contains(&format!("text/{}", track.name)), "{mpd}");
            assert!(master.contains(&track.playlist_path()), "{master}");
        }
    }
    let playlists = presentation.texts().map(|track| manifest::hls_media(&presentation, track));
    for text in playlists {
        assert_eq!(hls_text(&text).unwrap(), text);
        let elsewhere = exchanged(&text, "\n1.", "\nhttps://elsewhere/1.");
        assert!(matches!(hls_text(&elsewhere), Err(FilterError::Line(_))));
    }
}

#[test]
fn every_session_keeps_the_thumbnails() {
    let presentation = with_images(in_segments());
    let package = package(&presentation);
    for (scheme, highest, dialect) in every_session().filter(|one| one.1 != TrackClass::Audio) {
        let filter = Filter::new(&package, scheme, TrackClasses::up_to(highest), dialect);
        let mpd = mpd(&manifest::mpd(&presentation), &filter).unwrap();
        assert!(mpd.contains("thumbnail_tile") && mpd.contains("images/thumbs-320/"), "{mpd}");
        let whole = manifest::hls_master(&presentation, scheme);
        let master = hls_master(&whole, &filter).unwrap();
        assert!(master.contains("images/thumbs-320/playlist.m3u8"), "{master}");
        // Under another name they are not the package's.
        let other = exchanged(&whole, "thumbs-320/playlist", "elsewhere/playlist");
        assert!(!hls_master(&other, &filter).unwrap().contains("IMAGE-STREAM-INF"));
    }
    let playlist = manifest::hls_images(presentation.images.as_ref().unwrap());
    assert_eq!(hls_text(&playlist).unwrap(), playlist);
}

#[test]
fn a_trick_track_stays_with_its_main_set_and_out_of_the_variants() {
    let presentation = with_trick_tracks(in_segments());
    let package = package(&presentation);
    let filter =
        Filter::new(&package, Scheme::Cbcs, TrackClasses::up_to(TrackClass::Sd), Dialect::Widevine);
    let mpd = mpd(&manifest::mpd(&presentation), &filter).unwrap();
    assert!(mpd.contains("guidelines/trickmode") && mpd.contains("cbcs/trick-360p"), "{mpd}");
    assert!(!mpd.contains("cenc/trick-360p"));
    let listed = exchanged(&whole_master(), "cbcs/video-360p/play", "cbcs/trick-360p/play");
    assert!(!hls_master(&listed, &filter).unwrap().contains("trick-360p"));
}

#[test]
fn a_playlist_of_encrypted_media_is_no_subtitles() {
    assert_eq!(hls_text(&whole_media()), Err(FilterError::NothingLeft));
    assert_eq!(hls_text(&whole_master()), Err(FilterError::Kind));
}

fn every_session() -> impl Iterator<Item = (Scheme, TrackClass, Dialect)> {
    Scheme::ALL.into_iter().flat_map(|scheme| {
        TrackClass::ALL.into_iter().flat_map(move |class| {
            Dialect::ALL.into_iter().map(move |dialect| (scheme, class, dialect))
        })
    })
}

fn check_text(text: &str, filter: &Filter) {
    let names = [
        (Dialect::ClearKey, &["e2719d58", "org.w3.clearkey"][..]),
        (Dialect::Widevine, &["edef8ba9"]),
        (Dialect::PlayReady, &["9a04f079", "microsoft.playready\"", "mspr:pro>"]),
        (Dialect::FairPlay, &["skd://", "streamingkeydelivery", "94ce86fb"]),
    ];
    for (dialect, words) in names {
        for word in words {
            assert!(dialect == filter.dialect || !text.contains(word), "{word} in {text}");
        }
    }
    for scheme in Scheme::ALL {
        for class in [TrackClass::Audio, TrackClass::Sd, TrackClass::Hd] {
            let kid = kid(class, scheme);
            let is_named = text.contains(&kid.to_string()) || text.contains(&kid.to_uuid());
            assert!(!is_named || filter.kids.contains(&kid), "{kid} in {text}");
        }
    }
}

#[test]
fn nothing_allowed_is_nothing_delivered() {
    let mut none = sd_clear_key();
    none.kids.clear();
    none.playlists.clear();
    assert_eq!(mpd(&whole_mpd(), &none), Err(FilterError::NothingLeft));
    assert_eq!(hls_master(&whole_master(), &none), Err(FilterError::NothingLeft));
    assert_eq!(hls_media(&whole_media(), &none), Err(FilterError::NothingLeft));
}

#[test]
fn a_variant_goes_with_its_last_audio() {
    let mut silent = sd_clear_key();
    silent.playlists.retain(|path| !path.contains("audio-en"));
    let text = hls_master(&whole_master(), &silent).unwrap();
    assert!(text.contains("audio-de") && !text.contains("audio-en"));
    silent.playlists.retain(|path| !path.contains("audio"));
    assert_eq!(hls_master(&whole_master(), &silent), Err(FilterError::NothingLeft));
}

#[test]
fn license_urls_leave_an_mpd_in_any_spelling() {
    let descriptor = "value=\"ClearKey1.0\"/>";
    for url in [
        "<dashif:Laurl xmlns:dashif=\"https://dashif.org/CPS\">U</dashif:Laurl>",
        "<dashif:laurl>U</dashif:laurl>",
        "<clearkey:Laurl Lic_type=\"EME-1.0\">U</clearkey:Laurl>",
        "<LAURL>U</LAURL><ms:la_url>U</ms:la_url><dashif:authzurl>U</dashif:authzurl>",
        "<x:LicenseUrl>U</x:LicenseUrl><other>U</other>U",
    ] {
        let full = format!("value=\"ClearKey1.0\">{url}</ContentProtection>");
        let text = mpd(&exchanged(&whole_mpd(), descriptor, &full), &sd_clear_key()).unwrap();
        assert_eq!(text, mpd(&whole_mpd(), &sd_clear_key()).unwrap(), "{url}");
    }
    let elsewhere = [
        ("<Period ", "<dashif:Laurl>U</dashif:Laurl><Location>U</Location><Period "),
        ("<AdaptationSet id=\"0\"", "<Laurl>U</Laurl><AdaptationSet laurl=\"U\" id=\"0\""),
        (
            "<Representation id=\"cbcs-video-360p\"",
            "<la_url/><Representation x:Laurl=\"U\" id=\"cbcs-video-360p\"",
        ),
        ("<Period ", "<ContentProtection schemeIdUri=\"U\"/><Period xlink:href=\"U\"/><Period "),
        ("<SegmentTimeline>", "<ContentProtection schemeIdUri=\"U\"/><SegmentTimeline>"),
    ];
    for (from, to) in elsewhere {
        let text = mpd(&exchanged(&whole_mpd(), from, to), &sd_clear_key()).unwrap();
        assert_eq!(text, mpd(&whole_mpd(), &sd_clear_key()).unwrap(), "{to}");
    }
}

/// A PlayReady object whose header carries a license URL.
fn leading_object() -> Vec<u8> {
    let header = "<WRMHEADER version=\"4.3.0.0\"><DATA><LA_URL>U</LA_URL></DATA></WRMHEADER>";
    let header: Vec<u8> = header.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let len = u16::try_from(header.len()).unwrap();
    let mut object = (u32::from(len) + 10).to_le_bytes().to_vec();
    object.extend([1, 0, 1, 0]);
    object.extend(len.to_le_bytes());
    object.extend(header);
    object
}

#[test]
fn a_license_url_inside_a_playready_header_is_refused() {
    use base64::Engine as _;
    let own = base64::engine::general_purpose::STANDARD.encode(crate::pssh::playready_object(
        kid(TrackClass::Sd, Scheme::Cbcs),
        Scheme::Cbcs,
        None,
    ));
    let leading = base64::engine::general_purpose::STANDARD.encode(leading_object());
    let filter = filter(Scheme::Cbcs, TrackClass::Sd, Dialect::PlayReady);
    for (text, by) in [(whole_mpd(), mpd as fn(&str, &Filter) -> _), (whole_media(), hls_media)] {
        assert!(by(&text, &filter).is_ok());
        assert_eq!(by(&exchanged(&text, &own, &leading), &filter), Err(FilterError::LicenseUrl));
        let malformed = by(&exchanged(&text, &own, "AAAA"), &filter);
        assert_eq!(malformed, Err(FilterError::Pssh(PsshError::PlayReady)));
    }
}

#[test]
fn a_key_line_that_leads_somewhere_is_not_delivered() {
    let kid = kid(TrackClass::Sd, Scheme::Cbcs);
    for (dialect, line) in [
        (
            Dialect::ClearKey,
            format!(
                "METHOD=SAMPLE-AES,URI=\"https://x/key\",KEYID=0x{kid},KEYFORMAT=\"org.w3.clearkey\""
            ),
        ),
        (
            Dialect::ClearKey,
            "METHOD=SAMPLE-AES,URI=\"https://x/key\",KEYFORMAT=\"identity\"".to_owned(),
        ),
        (Dialect::ClearKey, "METHOD=AES-128,URI=\"https://x/key\"".to_owned()),
        (
            Dialect::FairPlay,
            format!(
                "METHOD=SAMPLE-AES,URI=\"https://x?kid={kid}\",KEYFORMAT=\"com.apple.streamingkeydelivery\""
            ),
        ),
        (
            Dialect::FairPlay,
            format!(
                "METHOD=SAMPLE-AES,URI=\"skd://x/y?kid={kid}\",KEYFORMAT=\"com.apple.streamingkeydelivery\""
            ),
        ),
    ] {
        let text = format!("#EXTM3U\n#EXT-X-KEY:{line}\n#EXTINF:4,\n1.m4s\n");
        let filter = filter(Scheme::Cbcs, TrackClass::Sd, dialect);
        assert_eq!(hls_media(&text, &filter), Err(FilterError::NotSignaled), "{line}");
    }
}

#[test]
fn unknown_tags_and_attributes_are_left_out() {
    let media = exchanged(
        &whole_media(),
        "#EXT-X-PLAYLIST-TYPE",
        "# note\n#EXT-X-OWN:URI=\"U\"\n#EXT-X-PLAYLIST-TYPE",
    );
    let media = exchanged(&media, ",KEYID=", ",LICENSE-URL=\"U\",KEYID=");
    assert_eq!(hls_media(&media, &sd_clear_key()), hls_media(&whole_media(), &sd_clear_key()));
    let tag = "#EXT-X-SESSION-DATA:DATA-ID=\"x\",URI=\"U\"\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\"\n#EXT-X-MEDIA";
    let master = whole_master().replacen("#EXT-X-MEDIA", tag, 1);
    assert_eq!(hls_master(&master, &sd_clear_key()), hls_master(&whole_master(), &sd_clear_key()));
}

#[test]
fn a_clear_lead_stays_and_a_clear_playlist_does_not() {
    let lead = exchanged(&whole_media(), "#EXT-X-MAP", "#EXT-X-KEY:METHOD=NONE\n#EXT-X-MAP");
    assert!(hls_media(&lead, &sd_clear_key()).unwrap().contains("#EXT-X-KEY:METHOD=NONE\n"));
    let clear = "#EXTM3U\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:4,\n1.m4s\n";
    assert_eq!(hls_media(clear, &sd_clear_key()), Err(FilterError::NotSignaled));
}

#[test]
fn sets_without_protection_are_kept_for_text_and_pictures_only() {
    let with = |kind: &str| {
        let set = format!(
            "<AdaptationSet contentType=\"{kind}\"><Representation id=\"own\"/></AdaptationSet><AdaptationSet id=\"0\""
        );
        mpd(&exchanged(&whole_mpd(), "<AdaptationSet id=\"0\"", &set), &sd_clear_key()).unwrap()
    };
    assert!(with("text").contains("\"own\"") && with("image").contains("\"own\""));
    assert!(!with("video").contains("\"own\"") && !with("audio").contains("\"own\""));
    assert!(!with("").contains("\"own\""));
}

#[test]
fn what_tracks_are_for_stays() {
    let presentation = with_descriptions(in_segments());
    let package = package(&presentation);
    for scheme in Scheme::ALL {
        let classes = TrackClasses::up_to(TrackClass::Sd);
        let filter = Filter::new(&package, scheme, classes, Dialect::ClearKey);
        let text = mpd(&manifest::mpd(&presentation), &filter).unwrap();
        for element in [
            "<Label>Audiodeskription</Label>",
            "<Accessibility schemeIdUri=\"urn:tva:metadata:cs:AudioPurposeCS:2007\" value=\"1\"/>",
            "<Accessibility schemeIdUri=\"urn:tva:metadata:cs:AudioPurposeCS:2007\" value=\"2\"/>",
            "<Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"commentary\"/>",
            "<Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"forced-subtitle\"/>",
        ] {
            assert_eq!(text.matches(element).count(), 1, "{element} in {text}");
        }
        let whole = manifest::hls_master(&presentation, scheme);
        let kept = hls_master(&whole, &filter).unwrap();
        let media = |text: &str| {
            let lines = text.lines().filter(|line| line.starts_with("#EXT-X-MEDIA:"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(media(&kept), media(&whole));
        assert_eq!(media(&kept).len(), 8);
    }
}

#[test]
fn every_part_of_a_title_stays_and_foreign_dates_do_not() {
    let presentation = with_cue(with_texts(in_segments()));
    let package = package(&presentation);
    for (scheme, highest, dialect) in every_session().filter(|one| one.1 != TrackClass::Audio) {
        let filter = Filter::new(&package, scheme, TrackClasses::up_to(highest), dialect);
        let text = mpd(&manifest::mpd(&presentation), &filter).unwrap();
        assert_eq!(text.matches("<Period ").count(), 2);
        let sets = text.matches("<AdaptationSet ").count();
        let goes_on = "urn:mpeg:dash:period-continuity:2015\" value=\"0\"";
        assert_eq!(text.matches(goes_on).count() * 2, sets);
    }
    let whole = manifest::hls_media(&presentation, &presentation.tracks[0]);
    let cue = whole.lines().find(|line| line.starts_with("#EXT-X-DATERANGE:")).unwrap();
    let foreign = "#EXT-X-DATERANGE:ID=\"x\",CLASS=\"com.apple.hls.interstitial\",START-DATE=\"2000-01-01T00:00:00Z\",X-ASSET-URI=\"https://elsewhere/\"";
    let more = whole.replace(cue, &format!("{cue},X-ASSET-URI=\"https://elsewhere/\"\n{foreign}"));
    let kept = hls_media(&more, &sd_clear_key()).unwrap();
    assert_eq!(kept, hls_media(&whole, &sd_clear_key()).unwrap());
    assert!(
        kept.contains(cue) && kept.contains("#EXT-X-PROGRAM-DATE-TIME:2000-01-01T00:00:00.000Z")
    );
    let text = manifest::hls_media(&presentation, &presentation.tracks[10]);
    assert_eq!(hls_text(&text).unwrap(), text);
    assert_eq!(hls_text(&text.replace(cue, &format!("{cue}\n{foreign}"))).unwrap(), text);
}

#[test]
fn a_representations_own_key_goes_before_its_sets() {
    let hd = kid(TrackClass::Hd, Scheme::Cbcs).to_uuid();
    let own = format!(
        "<Representation id=\"r\"><ContentProtection schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" value=\"cbcs\" cenc:default_KID=\"{hd}\"/></Representation><Representation id=\"cbcs-video-360p\""
    );
    let text = exchanged(&whole_mpd(), "<Representation id=\"cbcs-video-360p\"", &own);
    let sd = mpd(&text, &sd_clear_key()).unwrap();
    assert!(!sd.contains("\"r\"") && sd.contains("cbcs-video-360p"));
    let hd = filter(Scheme::Cbcs, TrackClass::Hd, Dialect::ClearKey);
    assert!(mpd(&text, &hd).unwrap().contains("\"r\""));
}

#[test]
fn what_is_not_the_manifest_is_refused() {
    let filter = sd_clear_key();
    assert_eq!(mpd("<SmoothStreamingMedia/>", &filter), Err(FilterError::Kind));
    assert!(matches!(mpd("#EXTM3U", &filter), Err(FilterError::Xml(_))));
    let cut = whole_mpd();
    assert!(matches!(mpd(&cut[..cut.len() / 2], &filter), Err(FilterError::Xml(_))));
    for by in [hls_master, hls_media] {
        assert_eq!(by("", &filter), Err(FilterError::Kind));
        assert_eq!(by("<MPD/>", &filter), Err(FilterError::Kind));
        let long = format!("#EXTM3U\n{}", "#\n".repeat(xml::MAX_BYTES / 2));
        assert_eq!(by(&long, &filter), Err(FilterError::TooLong));
    }
    assert_eq!(hls_master(&whole_media(), &filter), Err(FilterError::Kind));
    assert_eq!(hls_media(&whole_master(), &filter), Err(FilterError::Kind));
    for bad in ["#EXT-X-STREAM-INF:BANDWIDTH=1", "#EXT-X-STREAM-INF:x\na", "#EXT-X-MEDIA:TYPE"] {
        let text = format!("#EXTM3U\n{bad}");
        assert_eq!(hls_master(&text, &filter), Err(FilterError::Line(2)), "{bad}");
    }
    assert_eq!(hls_media("#EXTM3U\n#EXT-X-KEY:URI=\"x\"", &filter), Err(FilterError::Line(2)));
}

proptest! {
    #[test]
    fn damage_never_panics_and_never_brings_another_system(at: usize, byte in 0_u8..128, len in 0..40_usize) {
        let filter = sd_clear_key();
        for (text, by) in [
            (whole_mpd(), mpd as fn(&str, &Filter) -> Result<String, FilterError>),
            (whole_master(), hls_master),
            (whole_media(), hls_media),
        ] {
            let at = at % text.len();
            let behind = text.len().min(at + len);
            // One piece is exchanged for one character.
            let damaged = format!("{}{}{}", &text[..at], char::from(byte), &text[behind..]);
            if let Ok(text) = by(&damaged, &filter) {
                let mut keys = text.lines().filter(|line| line.contains("-KEY:"));
                prop_assert!(!text.contains("mspr:pro>") && keys.all(|line| !line.contains("skd://")));
            }
        }
    }

    #[test]
    fn any_text_is_answered(text in "(#EXTM3U\n)?(#EXT-X-(KEY|MEDIA|STREAM-INF|SESSION-KEY)?:?[A-Z=\",<>/&; \n]{0,40}){0,6}") {
        let filter = sd_clear_key();
        let _ = mpd(&text, &filter);
        let _ = hls_master(&text, &filter);
        let _ = hls_media(&text, &filter);
    }
}
