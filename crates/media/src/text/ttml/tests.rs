//! Documents, their times and their parts.

use super::*;
use crate::input::{Malformed, What};
use proptest::prelude::*;

fn document(attributes: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c -->\n<tt xmlns=\"{NAMESPACE}\" \
         xmlns:tts=\"{NAMESPACE}#styling\" xmlns:ttp=\"{NAMESPACE}#parameter\" xml:lang=\"de\" {attributes}>\n\
         <head><layout><region xml:id=\"r\" tts:origin=\"10% 80%\"/></layout></head>\n{body}\n</tt>\n"
    )
}

fn read(body: &str) -> Ttml {
    Ttml::parse(document("", body).as_bytes()).unwrap()
}

fn shown(ttml: &Ttml, from: u64, to: u64) -> Vec<(u64, u64, String)> {
    ttml.shown(from, to).into_iter().map(|one| (one.begin_ms, one.end_ms, one.text)).collect()
}

fn fault(text: &str) -> Fault {
    Ttml::parse(text.as_bytes()).expect_err("it is refused")
}

const NESTED: &str = "<body begin=\"1s\"><div begin=\"1s\" end=\"60s\">\
    <p region=\"r\" begin=\"1s\" dur=\"2s\">One<br/>two <span>three</span></p>\
    <p begin=\"10s\" end=\"20s\"><span begin=\"1s\" end=\"2s\">a</span> <span begin=\"3s\">b</span></p>\
    </div><div timeContainer=\"seq\"><p dur=\"1s\">s1</p><p begin=\"1s\" dur=\"1s\">s2</p></div></body>";

fn texts(list: &[(u64, u64, &str)]) -> Vec<(u64, u64, String)> {
    list.iter().map(|(begin, end, text)| (*begin, *end, (*text).to_owned())).collect()
}

#[test]
fn times_count_from_what_is_around_them() {
    let ttml = read(NESTED);
    assert_eq!(ttml.language(), Some("de"));
    let expected = [
        (3000, 5000, "One"),
        (3000, 5000, "two "),
        (3000, 5000, "three"),
        (13_000, 14_000, "a"),
        (15_000, 22_000, "b"),
        (1000, 2000, "s1"),
        (3000, 4000, "s2"),
    ];
    assert_eq!(shown(&ttml, 0, 100_000), texts(&expected));
}

#[test]
fn a_part_holds_what_is_shown_in_it_and_says_the_same_times() {
    let ttml = read(NESTED);
    let part = ttml.write_part(4000, 13_500, 500);
    let expected = "<body><div><p region=\"r\" begin=\"00:00:04.500\" end=\"00:00:05.500\">One<br/>two \
         <span>three</span></p><p begin=\"00:00:12.500\" end=\"00:00:14.000\"><span \
         begin=\"00:00:01.000\" end=\"00:00:01.500\">a</span> </p></div></body>";
    assert!(part.contains(expected), "{part}");
    assert!(part.contains("<region xml:id=\"r\" tts:origin=\"10% 80%\"/>"), "{part}");
    let again = Ttml::parse(part.as_bytes()).unwrap();
    let expected =
        [(4500, 5500, "One"), (4500, 5500, "two "), (4500, 5500, "three"), (13_500, 14_000, "a")];
    assert_eq!(shown(&again, 0, NO_END), texts(&expected));
    let nothing = ttml.write_part(30_000, 40_000, 0);
    assert!(!nothing.contains("<body") && nothing.contains("<head>"), "{nothing}");
    assert!(Ttml::parse(nothing.as_bytes()).is_ok());
}

#[test]
fn what_is_not_text_of_this_kind_is_refused_with_its_line() {
    let with = |attributes: &str| document(attributes, "<body/>");
    for text in [
        with("ttp:timeBase=\"smpte\""),
        with("ttp:profile=\"http://www.w3.org/ns/ttml/profile/imsc1/image\""),
        document("", "<body><div><image src=\"a.png\"/></div></body>"),
        document("", "<body xmlns:s=\"x\"><div s:backgroundImage=\"#a\"/></body>"),
        document("", "<body/>").replace("<region ", "<region begin=\"1s\" "),
    ] {
        assert!(matches!(fault(&text).what, What::Unsupported(Unsupported::Feature(_))), "{text}");
    }
    let broken = fault(&document("", "<body><div>\n<p begin=\"soon\">x</p></div></body>"));
    assert_eq!(broken.place, Place::Line(6));
    assert!(matches!(broken.what, What::Malformed(Malformed::Text(TextError::Time("begin")))));
    let open = fault(&document("", "<body><div></body>"));
    assert!(matches!(open.place, Place::Line(5)), "{open}");
    let other = fault("<tt xmlns=\"http://www.w3.org/2006/10/ttaf1\"/>");
    assert!(matches!(other.what, What::Malformed(Malformed::Text(TextError::NotTtml))));
    assert!(matches!(fault(&with("ttp:frameRate=\"0\"")).place, Place::Line(3)));
}

#[test]
fn the_limits_hold() {
    let p = "<p begin=\"1s\" end=\"2s\">x</p>";
    let body = |inside: String| document("", &format!("<body><div>{inside}</div></body>"));
    assert!(Ttml::parse(body(p.repeat(MAX_AT_ONCE)).as_bytes()).is_ok());
    let head = "x".repeat(MAX_TTML_HEAD_BYTES);
    let limits = [
        body(p.repeat(MAX_AT_ONCE + 1)),
        body(format!("<p begin=\"1s\">{}</p>", "x".repeat(MAX_CUE_BYTES))),
        body("<p/>".repeat(MAX_CUES + 1)),
        document("", "").replace("<layout>", &format!("<layout>{head}")),
    ];
    for text in limits {
        assert!(matches!(fault(&text).what, What::Unsupported(Unsupported::Limit { .. })));
    }
}

#[test]
fn a_document_is_known_by_its_root() {
    for text in ["<tt/>", "\u{feff} <?xml version='1.0'?><!-- > --><x:tt a='b'>", "<tt\n>"] {
        assert!(is_signed(text.as_bytes()), "{text}");
    }
    for text in ["", "<ttx/>", "<MPD/>", "tt", "<!-- <tt>", "\0\0\0\x20ftyp"] {
        assert!(!is_signed(text.as_bytes()), "{text}");
    }
}

proptest! {
    /// Any cut gives parts that together show what the whole shows.
    #[test]
    fn parts_add_up(
        paragraphs in proptest::collection::vec((0..9000_u64, 1..9000_u64, 0..3_u8, 0..900_u64), 1..9),
        cuts in proptest::collection::vec(1..20_000_u64, 0..5),
        shift in 0..500_i64,
    ) {
        let body: String = paragraphs.iter().map(|(begin, dur, kind, inner)| match kind {
            0 => format!("<p begin=\"{begin}ms\" dur=\"{dur}ms\">x</p>"),
            1 => format!("<p begin=\"{begin}ms\" dur=\"{dur}ms\">x<span begin=\"{inner}ms\">y</span></p>"),
            _ => format!("<p timeContainer=\"seq\"><span dur=\"{begin}ms\">u</span><span dur=\"{dur}ms\">v</span></p>"),
        }).collect();
        let whole = read(&format!("<body><div>{body}</div></body>"));
        let mut bounds = cuts;
        bounds.extend([0, 40_000]);
        bounds.sort_unstable();
        bounds.dedup();
        for pair in bounds.windows(2) {
            let part = whole.write_part(pair[0], pair[1], shift);
            let moved: Vec<_> = shown(&Ttml::parse(part.as_bytes()).unwrap(), 0, NO_END)
                .into_iter()
                .map(|(begin, end, text)| (begin - shift as u64, end - shift as u64, text))
                .collect();
            prop_assert_eq!(moved, shown(&whole, pair[0], pair[1]));
        }
    }
}
