//! Neutral policies for the tests of every dialect that compiles them.

use model::{PolicyName, TitlePolicy, TrackClass};
use std::fmt::Write as _;

/// Documents that put each field at its ends, alone, and some as services have them.
pub fn table() -> Vec<String> {
    let plain = "license_s = 86400\n";
    let mut table: Vec<String> =
        TitlePolicy::built_ins().into_iter().map(TitlePolicy::to_toml).collect();
    for seconds in [1, 3600, 2_592_000, u32::MAX] {
        table.push(format!("license_s = {seconds}"));
        for field in ["rental_s", "playback_s", "play_start_grace_s"] {
            table.push(format!("{plain}{field} = {seconds}"));
        }
        let keep = format!("{plain}[offline]\nallowed = true\nlicense_s");
        table.push(format!("{keep} = {seconds}"));
        table.push(format!("{keep} = 60\nrental_s = {seconds}\nplayback_s = {seconds}"));
        for field in ["retry_s", "recovery_s"] {
            table.push(format!("{plain}[renewal]\nallowed = true\n{field} = {seconds}"));
        }
    }
    for end in ["rental_end", "playback_end"] {
        table.push(format!("{plain}{end} = \"plays-on\""));
    }
    for field in ["delay_s = 1", "delay_s = 86399", "on_first_use = true", "with_identity = true"] {
        table.push(format!("{plain}[renewal]\nallowed = true\n{field}"));
    }
    for levels in [["UHD", "none", "none"], ["HD", "SD", "AUDIO"], ["SD", "SD", "SD"]] {
        let mut text = format!("{plain}[levels]\n");
        for (level, class) in ["L1", "L2", "L3"].into_iter().zip(levels) {
            writeln!(text, "{level} = \"{class}\"").unwrap();
        }
        table.push(text);
    }
    for class in TrackClass::ALL {
        for hdcp in ["1.x", "2.0", "2.1", "2.2", "2.3", "no-digital-output"] {
            table
                .push(format!("{plain}[outputs.{class}]\nhdcp = \"{hdcp}\"\nanalog = \"refused\""));
        }
        for robustness in ["software-decoding", "hardware-all"] {
            table.push(format!("{plain}[outputs.{class}]\nrobustness = \"{robustness}\""));
        }
    }
    table.push(format!("{plain}capture_protected = true"));
    table
}

/// All of them, read.
pub fn policies() -> Vec<TitlePolicy> {
    let read = |(number, text): (usize, &String)| {
        let name = PolicyName::parse(&format!("policy-{number}")).unwrap();
        TitlePolicy::parse(name, text).unwrap_or_else(|error| panic!("{text}\n{error}"))
    };
    table().iter().enumerate().map(read).collect()
}
