//! Subtitles: cut where the picture is, in the clear, in time with it, back from MP4 again.

use crate::clip::{Counter, Memory, Shape, Track, audio, file, keys, plan, video};
use media::NamedInput;
use media::bmff::{Fields, boxes};
use media::input::{Malformed, Place, Unsupported, What};
use media::package::{Layout, PackageError, PlanError, package, probe};
use media::text::TextError;
use media::text::ttml::{NAMESPACE, Ttml};
use media::text::webvtt::{Cue, WebVtt};
use model::{PackagedEvent, Scheme};

const VTT: &str = "WEBVTT\n\nSTYLE\n::cue { color: lime }\n\n\
    1\n00:00.500 --> 00:01.500 line:0\nOne\n\n\
    00:01.000 --> 00:05.000\nAcross <00:04.000>two cuts\n\n\
    00:06.500 --> 00:09.000\nBeyond the end\n";

fn ttml() -> String {
    format!(
        "<tt xmlns=\"{NAMESPACE}\" xml:lang=\"de\"><head/><body><div>\
         <p begin=\"0.5s\" end=\"1.5s\">Eins</p><p begin=\"1s\" end=\"5s\">Zwei</p>\
         </div></body></tt>"
    )
}

fn run(
    files: &[(&str, &[u8])],
    layout: Layout,
    out: &mut Memory,
) -> Result<PackagedEvent, PackageError> {
    let mut sources: Vec<_> = files.iter().map(|(_, bytes)| *bytes).collect();
    let names = files.iter().map(|(name, _)| (*name).to_owned());
    let mut inputs: Vec<_> =
        sources.iter_mut().zip(names).map(|(input, name)| NamedInput { name, input }).collect();
    let plan = plan(layout, &Scheme::ALL);
    package(&mut inputs, &plan, &keys(), out, &mut Counter(1), &mut |_| ())
}

/// A picture of eight seconds, cut every two.
fn film() -> Vec<u8> {
    file(&[video((640, 360), 8, 50), audio(b"eng", 8)], Shape::MoovFirst)
}

fn packaged(files: &[(&str, &[u8])], layout: Layout) -> (PackagedEvent, Memory) {
    let mut memory = Memory::default();
    let film = film();
    let files: Vec<_> =
        [("film.mp4", film.as_slice())].into_iter().chain(files.iter().copied()).collect();
    let event = run(&files, layout, &mut memory).unwrap();
    (event, memory)
}

fn text<'m>(memory: &'m Memory, path: &str) -> &'m str {
    std::str::from_utf8(&memory.files[path]).unwrap()
}

fn times(cues: &[Cue]) -> Vec<(u64, u64, &str)> {
    cues.iter().map(|cue| (cue.start_ms, cue.end_ms, cue.payload.as_str())).collect()
}

/// Duration and bytes of each sample of a segment.
fn samples(segment: &[u8]) -> Vec<(u32, &[u8])> {
    let find = |at, kind: &[u8; 4]| {
        boxes(at).flatten().find(|child| child.kind.0 == *kind).expect("the box is there").body
    };
    let traf = find(find(segment, b"moof"), b"traf");
    let mut tfhd = Fields::new(find(traf, b"tfhd"));
    tfhd.take(8).unwrap();
    let common = tfhd.u32().unwrap();
    let mut trun = Fields::new(find(traf, b"trun"));
    let (_, flags) = trun.version_and_flags().unwrap();
    let count = trun.u32().unwrap();
    trun.u32().unwrap();
    let mut data = find(segment, b"mdat");
    let mut sample = || {
        let duration = if flags & 0x100 != 0 { trun.u32().unwrap() } else { common };
        let (bytes, rest) = data.split_at(trun.u32().unwrap() as usize);
        data = rest;
        (duration, bytes)
    };
    (0..count).map(|_| sample()).collect()
}

#[test]
fn webvtt_is_cut_where_the_picture_is() {
    let (event, memory) = packaged(&[("subs/film.en.vtt", VTT.as_bytes())], Layout::Segments);
    assert_eq!(event.texts.len(), 1);
    let track = &event.texts[0];
    assert_eq!((track.name.as_str(), track.codecs.as_str()), ("text-en", "wvtt"));
    assert_eq!(track.language.as_deref(), Some("en"));
    let plain =
        |number: u32| WebVtt::parse(&memory.files[&format!("text/text-en/{number}.vtt")]).unwrap();
    let across = (1000, 5000, "Across <00:04.000>two cuts");
    let beyond = (6500, 9000, "Beyond the end");
    assert_eq!(times(&plain(1).cues), [(500, 1500, "One"), across]);
    assert_eq!(times(&plain(2).cues), [across]);
    assert_eq!(times(&plain(3).cues), [across]);
    assert_eq!(times(&plain(4).cues), [beyond]);
    assert!(text(&memory, "text/text-en/2.vtt").starts_with(
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\nSTYLE\n::cue { color: lime }\n"
    ));
    let first = samples(&memory.files["text/text-en/1.m4s"]);
    let ms = |ticks: u32| ticks * 10 / 128;
    assert_eq!(first.iter().map(|(ticks, _)| ms(*ticks)).collect::<Vec<_>>(), [500, 500, 500, 500]);
    assert_eq!(first[0].1, b"\0\0\0\x08vtte");
    let kinds =
        |sample: &[u8]| boxes(sample).flatten().map(|b| b.kind.to_string()).collect::<Vec<_>>();
    assert_eq!(kinds(first[2].1), ["vttc", "vttc"]);
    let third = samples(&memory.files["text/text-en/3.m4s"]);
    assert_eq!(third.len(), 2);
    let cue = boxes(third[0].1).next().unwrap().unwrap();
    let inside: Vec<_> = boxes(cue.body).flatten().map(|b| (b.kind.to_string(), b.body)).collect();
    assert_eq!(inside[0], ("vsid".to_owned(), &b"\0\0\0\x01"[..]), "the same in each part");
    assert_eq!(inside[1], ("ctim".to_owned(), &b"00:00:04.000"[..]));
    let mpd = text(&memory, "manifest.mpd");
    assert!(mpd.contains("contentType=\"text\"") && mpd.contains("codecs=\"wvtt\""), "{mpd}");
    for master in ["master.m3u8", "master_cenc.m3u8"] {
        assert!(text(&memory, master).contains("TYPE=SUBTITLES"), "{master}");
    }
    let total: usize =
        memory.files.iter().filter(|(path, _)| *path != "package.json").map(|(_, b)| b.len()).sum();
    assert_eq!(event.size_bytes, total as u64);
}

#[test]
fn ttml_is_cut_into_documents_of_its_own() {
    let source = ttml();
    let (event, memory) = packaged(&[("film.ttml", source.as_bytes())], Layout::Segments);
    let track = &event.texts[0];
    assert_eq!((track.name.as_str(), track.codecs.as_str()), ("text-de", "stpp.ttml.im1t"));
    let document = |number: u32| {
        let segment = samples(&memory.files[&format!("text/text-de/{number}.m4s")])[0].1.to_vec();
        assert!(Ttml::parse(&segment).is_ok());
        String::from_utf8(segment).unwrap()
    };
    assert!(document(1).contains("Eins") && document(1).contains("Zwei"));
    assert!(
        document(3).contains("begin=\"00:00:04.000\" end=\"00:00:05.000\">Zwei"),
        "{}",
        document(3)
    );
    assert!(!document(4).contains("<body"));
    assert!(memory.files.keys().all(|path| !path.ends_with(".vtt")));
    assert!(text(&memory, "text/text-de/playlist.m3u8").contains("\n1.m4s\n"));
}

#[test]
fn subtitles_move_with_the_picture() {
    // Nothing for a second, then the media: the title begins there.
    let delayed = |track: Track| Track { edits: vec![(12_800, -1), track.edits[0]], ..track };
    let film = file(&[delayed(video((640, 360), 8, 50))], Shape::MoovFirst);
    let vtt = "WEBVTT\n\n00:00.200 --> 00:00.900\nToo early\n\n00:00.500 --> 00:02.000\nEarly\n\n00:03.500 --> 00:04.500\n<00:04.000>x\n";
    let source = ttml();
    let files: [(&str, &[u8]); 3] =
        [("film.mp4", &film), ("film.vtt", vtt.as_bytes()), ("film.ttml", source.as_bytes())];
    let mut memory = Memory::default();
    run(&files, Layout::Segments, &mut memory).unwrap();
    let plain =
        |number: u32| WebVtt::parse(&memory.files[&format!("text/text-und/{number}.vtt")]).unwrap();
    assert_eq!(times(&plain(1).cues), [(0, 1000, "Early")]);
    assert_eq!(times(&plain(2).cues), [(2500, 3500, "<00:00:03.000>x")]);
    let document = samples(&memory.files["text/text-de/1.m4s"])[0].1;
    let document = std::str::from_utf8(document).unwrap();
    assert!(document.contains("begin=\"00:00:00.000\" end=\"00:00:00.500\">Eins"), "{document}");
    assert!(document.contains("begin=\"00:00:00.000\" end=\"00:00:02.000\">Zwei"), "{document}");
}

#[test]
fn tracks_of_mp4_come_back_as_they_were() {
    let source = ttml();
    let files = [("film.pt-BR.vtt", VTT.as_bytes()), ("film.ttml", source.as_bytes())];
    let (first, made) = packaged(&files, Layout::SingleFile);
    let name = |event: &PackagedEvent, at: usize| event.texts[at].name.clone();
    assert_eq!(name(&first, 0), "text-pt-br");
    let one = &made.files["text/text-pt-br.mp4"];
    let two = &made.files["text/text-de.mp4"];
    let (second, again) = packaged(&[("a.mp4", one), ("b.mp4", two)], Layout::SingleFile);
    assert_eq!(second.texts, first.texts);
    assert_eq!(&again.files["text/text-de.mp4"], two);
    let plain = |memory: &Memory, number: u32| {
        let path = format!("text/text-pt-br/{number}.vtt");
        WebVtt::parse(&memory.files[&path]).unwrap()
    };
    for number in 1..=3 {
        assert_eq!(plain(&again, number), plain(&made, number));
    }
    // In MP4 a cue ends with its track.
    assert_eq!(times(&plain(&again, 4).cues), [(6500, 8040, "Beyond the end")]);
    let playlist = text(&made, "text/text-pt-br.m3u8");
    assert!(playlist.contains("\ntext-pt-br/1.vtt\n"), "{playlist}");
}

#[test]
fn what_sources_hold_is_told_before() {
    let (film, source) = (film(), ttml());
    let (mut film, mut vtt, mut ttml) = (film.as_slice(), VTT.as_bytes(), source.as_bytes());
    let mut inputs = [
        NamedInput { name: "film.hd.mp4".into(), input: &mut film },
        NamedInput { name: "film.hd.vtt".into(), input: &mut vtt },
        NamedInput { name: "film.xml".into(), input: &mut ttml },
    ];
    let probed = probe(&mut inputs).unwrap();
    let texts: Vec<_> = probed.texts.iter().map(|text| (text.input, text.name.as_str())).collect();
    assert_eq!((probed.tracks.len(), texts), (2, vec![(1, "text-und"), (2, "text-de")]));
}

fn refusal(name: &str, bytes: &[u8]) -> PackageError {
    let mut memory = Memory::default();
    let film = film();
    let refused = run(&[("film.mp4", &film), (name, bytes)], Layout::Segments, &mut memory);
    assert!(!memory.files.contains_key("package.json"));
    refused.expect_err("it is refused")
}

#[test]
fn damaged_subtitles_are_refused_with_file_line_and_cause() {
    let broken = VTT.replace("00:05.000", "00:05,000");
    let refused = refusal("film.vtt", broken.as_bytes());
    assert_eq!(
        refused.to_string(),
        "film.vtt: line 10: the times of a cue are wrong: they are written 00:00:00.000 --> \
         00:00:01.000"
    );
    let cut_off = &ttml().into_bytes()[..150];
    assert!(refusal("film.ttml", cut_off).to_string().starts_with("film.ttml: line 1: "));
    for text in ["WEBVTT\n", "WEBVTT\n\nNOTE a\n"] {
        let PackageError::Input { fault, .. } = refusal("film.vtt", text.as_bytes()) else {
            panic!("the source is to blame")
        };
        assert!(matches!(fault.what, What::Malformed(Malformed::Text(TextError::NoCues))));
    }
    let late = refusal("film.vtt", b"WEBVTT\n\n00:08.500 --> 00:09.000\nx\n");
    assert!(late.to_string().contains("behind the end of the media, 8040 ms"), "{late}");
    let images = ttml().replace("<head/>", "<head><layout><image/></layout></head>");
    let PackageError::Input { fault, .. } = refusal("film.ttml", images.as_bytes()) else {
        panic!("the source is to blame")
    };
    assert!(matches!(
        (fault.place, fault.what),
        (Place::Line(1), What::Unsupported(Unsupported::Feature(_)))
    ));
}

#[test]
fn subtitles_alone_are_no_title() {
    let mut memory = Memory::default();
    let refused = run(&[("film.vtt", VTT.as_bytes())], Layout::Segments, &mut memory).unwrap_err();
    assert!(matches!(refused, PackageError::Plan(PlanError::OnlyText)), "{refused}");
}

#[test]
fn a_bit_flipped_on_the_way_to_disk_is_found() {
    let film = film();
    let source = ttml();
    let files: [(&str, &[u8]); 3] =
        [("film.mp4", &film), ("film.vtt", VTT.as_bytes()), ("film.ttml", source.as_bytes())];
    let mut whole = Memory::default();
    run(&files, Layout::Segments, &mut whole).unwrap();
    // Where the first text track begins: behind all of picture and sound.
    let before: usize = whole
        .files
        .iter()
        .filter(|(path, _)| path.starts_with("c") && !path.ends_with(".m3u8"))
        .map(|(_, bytes)| bytes.len())
        .sum();
    let texts = whole.files.iter().filter(|(path, _)| path.starts_with("text/"));
    let len: usize = texts.filter(|(path, _)| !path.ends_with(".m3u8")).map(|(_, b)| b.len()).sum();
    for at in (before..before + len).step_by(23) {
        let mut memory = Memory { spoil_at: Some(at), ..Memory::default() };
        let spoiled = run(&files, Layout::Segments, &mut memory);
        let found = matches!(spoiled, Err(PackageError::Verification { .. }));
        // Only in the head of a fragment may a flip say nothing: its number, its flags.
        let hides = whole.files.iter().any(|(path, meant)| {
            let Some(bytes) = memory.files.get(path).filter(|bytes| *bytes != meant) else {
                return false;
            };
            let data = meant.windows(4).position(|window| window == b"mdat");
            path.ends_with(".m4s") && data.is_some_and(|data| meant[data..] == bytes[data..])
        });
        let differs = |(path, bytes): &(&String, &Vec<u8>)| memory.files.get(*path) != Some(*bytes);
        let path = whole.files.iter().find(differs).map(|(path, _)| path);
        assert!(found || hides, "byte {at} in {path:?}");
    }
}
