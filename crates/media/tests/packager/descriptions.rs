//! What is said of tracks: in the document, in the files and in the manifests.

use crate::clip::{Counter, Memory, Shape, audio, file, keys, plan, video};
use media::NamedInput;
use media::bmff::{Fields, boxes};
use media::manifest::Description;
use media::package::{Layout, PackageError, Plan, PlanError, TrackDescription, package};
use model::{PackagedEvent, Scheme, TrackRole};

const VTT: &[u8] = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n";

/// A film, its German described sound and its captions.
fn run(descriptions: &[TrackDescription]) -> (Result<PackagedEvent, PackageError>, Memory) {
    let film = file(&[video((640, 360), 4, 25), audio(b"deu", 4)], Shape::MoovFirst);
    let described = file(&[audio(b"und", 4)], Shape::MoovFirst);
    let mut sources = [("film.mp4", &film[..]), ("ad.mp4", &described), ("film.vtt", VTT)];
    let mut inputs: Vec<_> = sources
        .iter_mut()
        .map(|(name, input)| NamedInput { name: (*name).to_owned(), input })
        .collect();
    let plan = Plan {
        descriptions: descriptions.to_vec(),
        ..plan(Layout::Segments, &[Scheme::Cbcs, Scheme::Cenc])
    };
    let mut memory = Memory::default();
    let made = package(&mut inputs, &plan, &keys(), &mut memory, &mut Counter(1), &mut |_| ());
    (made, memory)
}

fn said(input: usize, language: &str, role: TrackRole) -> TrackDescription {
    let description = Description { role: Some(role), ..Description::default() };
    TrackDescription { input, language: Some(language.to_owned()), description }
}

/// The language of an init, as `mdhd` packs it.
fn packed_language(init: &[u8]) -> u16 {
    let mut body = init;
    for kind in [b"moov", b"trak", b"mdia", b"mdhd"] {
        body = boxes(body).flatten().find(|child| child.kind.0 == *kind).unwrap().body;
    }
    let (version, _) = Fields::new(body).version_and_flags().unwrap();
    let at = if version == 1 { 32 } else { 20 };
    u16::from_be_bytes([body[at], body[at + 1]])
}

#[test]
fn what_is_said_is_in_the_document_and_in_the_init() {
    let all = [said(1, "de", TrackRole::Description), said(2, "en", TrackRole::Caption)];
    let (event, memory) = run(&all);
    let event = event.unwrap();
    let sound: Vec<_> = event
        .variants_of(Scheme::Cbcs)
        .map(|one| (one.name.as_str(), one.language.as_deref(), one.role))
        .collect();
    let expected = [
        ("video-360p", None, None),
        ("audio-de", Some("de"), None),
        ("audio-de-2", Some("de"), Some(TrackRole::Description)),
    ];
    assert_eq!(sound, expected);
    let text = &event.texts[0];
    assert_eq!((text.name.as_str(), text.role), ("text-en", Some(TrackRole::Caption)));
    let german = [b'd', b'e', b'u'].iter().fold(0, |sum, c| sum << 5 | u16::from(c - 0x60));
    assert_eq!(packed_language(&memory.files["cenc/audio-de-2/init.mp4"]), german);
    let document = std::str::from_utf8(&memory.files["package.json"]).unwrap();
    assert!(document.contains("\"role\": \"description\""), "{document}");
    let read: PackagedEvent = serde_json::from_str(document).unwrap();
    assert_eq!(read, event);
}

#[test]
fn a_role_is_the_same_word_in_the_document_and_in_the_manifests() {
    for role in TrackRole::ALL {
        assert_eq!(serde_json::to_value(role).unwrap(), role.name());
    }
}

#[test]
fn a_description_that_fits_nothing_is_refused() {
    let forced = Description { is_forced: true, ..Description::default() };
    for (all, expected) in [
        (vec![said(3, "de", TrackRole::Main)], PlanError::NothingDescribed { input: 4 }),
        (vec![said(0, "de", TrackRole::Caption)], PlanError::NothingDescribed { input: 1 }),
        (vec![said(2, "de", TrackRole::Dub)], PlanError::NothingDescribed { input: 3 }),
        (
            vec![TrackDescription { input: 1, language: None, description: forced }],
            PlanError::NothingDescribed { input: 2 },
        ),
        (
            vec![said(1, "de", TrackRole::Main), said(1, "de", TrackRole::Dub)],
            PlanError::DescribedTwice { input: 2 },
        ),
        (vec![said(1, "German", TrackRole::Main)], PlanError::Language),
    ] {
        let (refused, memory) = run(&all);
        let Err(PackageError::Plan(found)) = refused else { panic!("it is refused") };
        assert_eq!(found, expected);
        assert!(memory.files.is_empty());
    }
    for label in ["", "a\"b", "a\nb", &"x".repeat(101)] {
        let description = Description { label: Some(label.to_owned()), ..Description::default() };
        let (refused, _) = run(&[TrackDescription { input: 0, language: None, description }]);
        assert!(matches!(refused, Err(PackageError::Plan(PlanError::Label))), "{label}");
    }
}
