//! What tracks are for, as two other parsers read it.

use super::fixture::{in_segments, in_single_files, with_descriptions};
use super::{Presentation, hls_master, mpd};
use m3u8_rs::{AlternativeMedia, AlternativeMediaType};
use model::{Scheme, TrackRole};
use std::collections::BTreeSet;

/// Each set of a kind in `cbcs` or in the clear: its representations, label, purposes and roles.
fn sets(presentation: &Presentation, kind: &str) -> Vec<[String; 4]> {
    let read = dash_mpd_core::parse(&mpd(presentation)).unwrap();
    let is_own = |set: &&dash_mpd_core::AdaptationSet| {
        let scheme = set.ContentProtection.first().and_then(|first| first.value.as_deref());
        set.contentType.as_deref() == Some(kind) && scheme.is_none_or(|scheme| scheme == "cbcs")
    };
    let join = |all: Vec<Option<String>>| all.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let own = read.periods[0].adaptations.iter().filter(is_own);
    own.map(|set| {
        [
            join(set.representations.iter().map(|one| one.id.clone()).collect()),
            join(set.Label.iter().map(|label| Some(label.content.clone())).collect()),
            join(set.Accessibility.iter().map(|one| one.value.clone()).collect()),
            join(set.Role.iter().map(|one| one.value.clone()).collect()),
        ]
    })
    .collect()
}

/// The renditions of a kind.
fn renditions(presentation: &Presentation, kind: AlternativeMediaType) -> Vec<AlternativeMedia> {
    let text = hls_master(presentation, Scheme::Cbcs);
    let master = m3u8_rs::parse_master_playlist_res(text.as_bytes()).unwrap();
    master.alternatives.into_iter().filter(|one| one.media_type == kind).collect()
}

#[test]
fn a_set_has_one_role() {
    for presentation in [in_segments(), in_single_files()] {
        let presentation = with_descriptions(presentation);
        let expected = [
            ["cbcs-audio-en", "", "", "main"],
            ["cbcs-audio-de", "", "", ""],
            ["cbcs-audio-de-2", "Audiodeskription", "1", "description"],
            ["cbcs-audio-de-3", "", "", "commentary"],
        ];
        assert_eq!(sets(&presentation, "audio"), expected);
        let expected = [
            ["text-text-en", "", "", "subtitle"],
            ["text-text-de", "", "", "subtitle"],
            ["text-text-de-2", "für Gehörlose", "2", "caption"],
            ["text-text-de-3", "", "", "forced-subtitle"],
        ];
        assert_eq!(sets(&presentation, "text"), expected);
    }
}

#[test]
fn renditions_of_a_group_are_told_apart() {
    let presentation = with_descriptions(in_segments());
    let sound = renditions(&presentation, AlternativeMediaType::Audio);
    let said: Vec<_> = sound
        .iter()
        .map(|one| (one.name.as_str(), one.default, one.autoselect, one.characteristics.as_deref()))
        .collect();
    let describes = Some("public.accessibility.describes-video");
    let expected = [
        ("en", true, true, None),
        ("de", false, true, None),
        ("Audiodeskription", false, true, describes),
        ("de (commentary)", false, false, None),
    ];
    assert_eq!(said, expected);
    assert!(sound.iter().all(|one| one.group_id == "audio-1"));
    let texts = renditions(&presentation, AlternativeMediaType::Subtitles);
    let said: Vec<_> = texts
        .iter()
        .map(|one| (one.name.as_str(), one.autoselect, one.forced, one.characteristics.as_deref()))
        .collect();
    let captions = Some(
        "public.accessibility.transcribes-spoken-dialog,\
         public.accessibility.describes-music-and-sound",
    );
    let expected = [
        ("text-en", true, false, None),
        ("text-de", true, false, None),
        ("für Gehörlose", true, false, captions),
        ("text-de-3", true, true, None),
    ];
    assert_eq!(said, expected);
    assert!(texts.iter().all(|one| !one.default));
}

#[test]
fn one_track_is_the_default_whatever_is_said_of_it() {
    let names = |presentation: &Presentation| {
        let sound = renditions(presentation, AlternativeMediaType::Audio);
        let default = sound.iter().filter(|one| one.default).map(|one| one.uri.clone().unwrap());
        let mains = sets(presentation, "audio").into_iter().filter(|set| set[3].contains("main"));
        (default.collect::<Vec<_>>().join(" "), mains.map(|set| set[0].clone()).collect::<Vec<_>>())
    };
    let with = |change: &dyn Fn(&str, &mut super::Description)| {
        let mut presentation = in_segments();
        for track in &mut presentation.tracks {
            let name = track.name.clone();
            change(&name, &mut track.description);
        }
        names(&presentation)
    };
    let of = |name: &str| (format!("cbcs/{name}/playlist.m3u8"), vec![format!("cbcs-{name}")]);
    assert_eq!(with(&|_, _| ()), of("audio-en"));
    let is_said = |said: &'static str| {
        move |name: &str, one: &mut super::Description| {
            if name == said {
                one.is_default = Some(true);
            }
        }
    };
    assert_eq!(with(&is_said("audio-de")), of("audio-de"));
    // Nobody who asked for nothing hears the described picture.
    let first_describes = |name: &str, one: &mut super::Description| {
        if name == "audio-en" {
            one.role = Some(TrackRole::Description);
        }
    };
    assert_eq!(with(&first_describes), of("audio-de"));
    let none = |_: &str, one: &mut super::Description| one.is_default = Some(false);
    assert_eq!(with(&none), (String::new(), Vec::new()));
}

#[test]
fn names_of_a_group_are_unique_even_if_labels_are_not() {
    let mut presentation = with_descriptions(in_segments());
    for track in &mut presentation.tracks {
        track.description.label = Some("Film".to_owned());
    }
    for kind in [AlternativeMediaType::Audio, AlternativeMediaType::Subtitles] {
        let all = renditions(&presentation, kind);
        let names: BTreeSet<_> = all.iter().map(|one| one.name.clone()).collect();
        assert_eq!((names.len(), all.len()), (4, 4));
    }
}
