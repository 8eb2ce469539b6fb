//! `--describe`: what a track is for, as it is written on the command line.

use media::input::language_of_tag;
use media::manifest::Description;
use media::package::{MAX_LABEL, TrackDescription};
use model::TrackRole;
use std::ffi::OsString;

/// Reads `INPUT:key=value,…`, where INPUT is one of `inputs` as written.
///
/// Errors: what is wrong, with what could stand there.
pub(super) fn parse(text: &str, inputs: &[OsString]) -> Result<TrackDescription, String> {
    // Addresses hold colons themselves, so the longest input that fits is meant.
    let begins = |(at, input): (usize, &OsString)| {
        let input = input.to_str()?;
        Some((at, input.len(), text.strip_prefix(input)?.strip_prefix(':')?))
    };
    let found = inputs.iter().enumerate().filter_map(begins);
    let (input, _, said) = found.max_by_key(|(_, len, _)| *len).ok_or_else(|| {
        let known: Vec<_> = inputs.iter().map(|input| input.to_string_lossy()).collect();
        format!("expected INPUT:KEY=VALUE,… with one of these as INPUT: {}", known.join(", "))
    })?;
    let mut described = TrackDescription { input, ..TrackDescription::default() };
    let mut seen = Vec::new();
    for pair in said.split(',') {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("{pair:?} is no KEY=VALUE (a label holds no comma)"))?;
        if seen.contains(&key) {
            return Err(format!("{key} is said twice"));
        }
        seen.push(key);
        say(&mut described, key, value)?;
    }
    Ok(described)
}

fn say(described: &mut TrackDescription, key: &str, value: &str) -> Result<(), String> {
    let TrackDescription { language, description, .. } = described;
    let Description { role, label, is_default, is_forced } = description;
    match key {
        "language" => {
            let unknown = || format!("{value:?} is no language: expected de, en-GB, zh-Hant …");
            *language = Some(language_of_tag(value).ok_or_else(unknown)?);
        }
        "role" => *role = Some(TrackRole::parse(value).ok_or_else(|| unknown_role(value))?),
        "label" if value.is_empty() || value.chars().count() > MAX_LABEL => {
            return Err(format!("a label has 1 to {MAX_LABEL} characters"));
        }
        "label" => *label = Some(value.to_owned()),
        "default" => *is_default = Some(yes_or_no(key, value)?),
        "forced" => *is_forced = yes_or_no(key, value)?,
        _ => {
            return Err(format!("{key:?} is none of language, role, label, default, forced"));
        }
    }
    Ok(())
}

fn unknown_role(value: &str) -> String {
    format!("{value:?} is none of {}", TrackRole::ALL.map(TrackRole::name).join(", "))
}

fn yes_or_no(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(format!("{key} is yes or no, not {value:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TrackDescription, String> {
        parse(text, &["film".into(), "film:de".into(), "https://a:1/x?y=z".into()])
    }

    #[test]
    fn the_longest_input_is_meant() {
        for (text, input) in
            [("film:role=main", 0), ("film:de:role=main", 1), ("https://a:1/x?y=z:role=main", 2)]
        {
            let described = read(text).unwrap();
            assert_eq!(
                (described.input, described.description.role),
                (input, Some(TrackRole::Main))
            );
        }
    }

    #[test]
    fn every_key_is_read() {
        let described =
            read("film:language=deu,role=description,label=Mit: Ton=1,default=no,forced=no")
                .unwrap();
        assert_eq!(described.language.as_deref(), Some("de"));
        assert_eq!(
            described.description,
            Description {
                role: Some(TrackRole::Description),
                label: Some("Mit: Ton=1".to_owned()),
                is_default: Some(false),
                is_forced: false,
            }
        );
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        for (text, says) in [
            ("movie:role=main", "film:de"),
            ("film", "INPUT:KEY=VALUE"),
            ("film:", "is no KEY=VALUE"),
            ("film:rolle=main", "language, role, label, default, forced"),
            ("film:role=Main", "forced-subtitle"),
            ("film:language=klingonisch", "is no language"),
            ("film:label=", "1 to 100 characters"),
            ("film:label=a,b", "no comma"),
            ("film:default=1", "yes or no"),
            ("film:role=main,role=dub", "said twice"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }
}
