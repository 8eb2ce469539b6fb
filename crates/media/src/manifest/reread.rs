//! Another parser reads every MPD without loss: what it writes again says all that ours said.

use super::fixture::{
    in_segments, in_single_files, with_cue, with_descriptions, with_images, with_rotation,
    with_surround, with_texts,
};
use super::xml::{self, Element, Node, local};
use super::{KeySignal, Presentation, mpd};
use std::collections::BTreeMap;

/// Every attribute and text with the path of its element, and how often it stands there.
fn statements(element: &Element, path: &str, found: &mut BTreeMap<String, u32>) {
    let path = format!("{path}/{}", local(&element.name));
    *found.entry(path.clone()).or_default() += 1;
    for (name, value) in element.attributes.iter().filter(|(name, _)| !name.starts_with("xmlns")) {
        let value = if value.starts_with("PT") { seconds(value) } else { value.clone() };
        *found.entry(format!("{path}@{}={value}", local(name))).or_default() += 1;
    }
    for child in &element.children {
        match child {
            Node::Element(child) => statements(child, &path, found),
            Node::Text(text) if text.trim().is_empty() => {}
            Node::Text(text) => *found.entry(format!("{path}={}", text.trim())).or_default() += 1,
        }
    }
}

/// A duration of XML Schema in seconds: `PT4.004S` and `PT0H0M4.004S` are the same.
fn seconds(duration: &str) -> String {
    let mut total = 0.0;
    let mut digits = String::new();
    for c in duration.trim_start_matches("PT").chars() {
        let unit = match c {
            'H' => 3600.0,
            'M' => 60.0,
            'S' => 1.0,
            digit => {
                digits.push(digit);
                continue;
            }
        };
        total += unit * digits.parse::<f64>().unwrap();
        digits.clear();
    }
    format!("{total:.3} s")
}

fn read_again(text: &str) -> String {
    let read = dash_mpd_core::parse(text).unwrap();
    quick_xml::se::to_string_with_root("MPD", &read).unwrap()
}

fn lost(presentation: &Presentation) -> Vec<String> {
    let text = mpd(presentation);
    let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
    statements(&xml::parse(&text).unwrap(), "", &mut ours);
    statements(&xml::parse(&read_again(&text)).unwrap(), "", &mut theirs);
    assert!(ours.len() > 50, "the MPD says something");
    let is_lost = |(statement, count): &(&String, &u32)| theirs.get(*statement) < Some(*count);
    ours.iter().filter(is_lost).map(|(statement, _)| statement.clone()).collect()
}

#[test]
fn another_parser_loses_nothing_of_an_mpd() {
    for presentation in [in_segments(), in_single_files(), with_surround()] {
        assert_eq!(lost(&presentation), Vec::<String>::new());
        assert_eq!(lost(&with_texts(presentation.clone())), Vec::<String>::new());
        assert_eq!(lost(&with_descriptions(presentation)), Vec::<String>::new());
    }
}

#[test]
fn another_parser_loses_nothing_of_two_periods() {
    let presentation = with_cue(with_images(with_descriptions(in_segments())));
    assert_eq!(lost(&presentation), Vec::<String>::new());
}

#[test]
fn another_parser_loses_nothing_of_keys_that_change() {
    for signal in [KeySignal::InBand, KeySignal::Periods] {
        let presentation = with_rotation(with_texts(in_segments()), signal);
        assert_eq!(lost(&presentation), Vec::<String>::new());
        assert_eq!(lost(&with_cue(presentation)), Vec::<String>::new());
    }
}

#[test]
fn a_loss_would_be_seen() {
    let presentation = in_segments();
    let text = mpd(&presentation).replace("default_KID", "default_KIT");
    let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
    statements(&xml::parse(&text).unwrap(), "", &mut ours);
    statements(&xml::parse(&read_again(&text)).unwrap(), "", &mut theirs);
    assert!(ours.keys().any(|statement| !theirs.contains_key(statement)));
}
