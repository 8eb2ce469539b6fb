//! A viewer whose account is suspended in the middle of an event loses the picture within the horizon
//! of the licenses, and not before what is held has ended (R121, R125): shown with the reference CDM
//! at the edge of a live title whose keys change each second.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/answering.rs"]
mod answering;
#[path = "support/binary.rs"]
mod binary;
#[path = "support/clip.rs"]
mod clip;
#[path = "support/frames.rs"]
mod frames;
#[path = "support/rotating.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod rotating;
#[path = "support/title.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod title;
#[path = "support/widevine_service.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod widevine_service;

use answering::{Reply, serve};
use binary::{said, strongroom};
use dialect::clearkey::{Challenge, Offline};
use dialect::terms::{AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, Robustness};
use keys::ContentKey;
use model::{KeyId, TrackClass};
use rotating::{Rotating, named};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use title::key;
use widevine_service::{Keys, WidevineService};

/// So far ahead licenses reach, seconds.
const HORIZON_S: u64 = 6;
/// The account is suspended so long after the event has begun, seconds.
const SUSPENDED_S: u64 = 12;
/// The event has begun so long before the viewer comes, seconds.
const BEFORE_S: u64 = 5;
const SENTENCE: &str = "This account is suspended.";

/// An event on the air.
struct Event {
    title: Rotating,
    begun: Instant,
    /// License requests, seconds from the begin, and whether they were granted.
    requests: Mutex<Vec<(u64, bool)>>,
}

impl Event {
    fn elapsed_s(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }

    /// The manifest now: the segments that have ended.
    fn manifest(&self) -> String {
        let set = |medium: &str, name: &str, class: TrackClass| {
            let kid = key(class).0;
            let whole = self.elapsed_s().min(u64::from(self.title.periods));
            format!(
                r#"<AdaptationSet contentType="{medium}"><ContentProtection
                schemeIdUri="urn:mpeg:dash:mp4protection:2011" value="cbcs" default_KID="{kid}"/>
                <SegmentTemplate timescale="1" initialization="cbcs/{name}/init.mp4"
                media="cbcs/{name}/$Number$.m4s"><SegmentTimeline><S t="0" d="1" r="{}"/>
                </SegmentTimeline></SegmentTemplate><Representation id="{name}" width="160"
                height="90" bandwidth="1000"/></AdaptationSet>"#,
                whole - 1
            )
        };
        let name = |sound: bool| {
            let folder = std::fs::read_dir(self.title.package.join("cbcs")).unwrap();
            let mut names = folder.map(|one| one.unwrap().file_name().into_string().unwrap());
            names.find(|name| name.starts_with("audio") == sound && !name.contains('.')).unwrap()
        };
        format!(
            r#"<MPD type="dynamic" minimumUpdatePeriod="PT0.5S" suggestedPresentationDelay="PT2S">
            <Period start="PT0S">{}{}</Period></MPD>"#,
            set("video", &name(false), TrackClass::Sd),
            set("audio", &name(true), TrackClass::Audio)
        )
    }

    /// The asked keys that a license has now: those of periods that end within the horizon.
    fn given(&self, kids: &[KeyId]) -> Vec<(KeyId, ContentKey)> {
        let until = self.elapsed_s() + HORIZON_S;
        let of = |kid: &KeyId| {
            let (period, key) = named(kid, self.title.periods)?;
            period.is_none_or(|period| u64::from(period) < until).then_some((*kid, key))
        };
        kids.iter().filter_map(of).collect()
    }

    /// A license with the word when to come again, or the no of a suspended account.
    fn answer(&self, license: impl FnOnce() -> Vec<u8>) -> Reply {
        let is_granted = self.elapsed_s() < SUSPENDED_S;
        self.requests.lock().unwrap().push((self.elapsed_s(), is_granted));
        if is_granted {
            let headers = vec!["Strongroom-Next-License: 4".to_owned()];
            return Reply { status: 200, headers, body: license() };
        }
        let problem = serde_json::json!({"code": "account_suspended", "detail": SENTENCE});
        let headers = vec!["Content-Type: application/problem+json".to_owned()];
        Reply { status: 403, headers, body: problem.to_string().into_bytes() }
    }
}

fn file(package: &Path, path: &str) -> Reply {
    match std::fs::read(package.join(path.trim_start_matches('/'))) {
        Ok(bytes) => Reply::ok(bytes),
        Err(_) => Reply::status(404, &[]),
    }
}

fn play(url: &str, data: &Path, options: &[&str]) -> Output {
    let mut command = strongroom(data);
    let (manifest, license) = (format!("{url}/manifest.mpd"), format!("{url}/license"));
    command.args(["--json", "play", &manifest, "--license-url", &license, "--seconds", "60"]);
    command.args(options).output().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "an event is on the air by the clock")]
fn on_the_air(title: Rotating) -> Arc<Event> {
    let begun = Instant::now().checked_sub(Duration::from_secs(BEFORE_S)).unwrap();
    Arc::new(Event { title, begun, requests: Mutex::default() })
}

/// Plays until the picture is lost; what was said of it.
fn lost(event: &Event, url: &str, data: &Path, options: &[&str]) -> serde_json::Value {
    let output = play(url, data, options);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(SENTENCE), "{}", said(&output));
    let played: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&played["ended"], &played["stalls"]), (&SENTENCE.into(), &0.into()), "{played}");
    let ended_ms = played["ended_at_ms"].as_u64().unwrap();
    // No picture of what happened behind the horizon of the last license; the picture stayed for
    // as long as that one reached.
    assert!(ended_ms <= (SUSPENDED_S + HORIZON_S) * 1000, "{played}");
    let requests = event.requests.lock().unwrap();
    let last = requests.iter().filter(|(_, is_granted)| *is_granted).map(|(at, _)| *at).max();
    assert!(last.is_some_and(|last| last < SUSPENDED_S), "{requests:?}");
    assert!(requests.iter().any(|(_, is_granted)| !is_granted), "{requests:?}");
    let frames = played["tracks"][0]["frames"].as_u64().unwrap();
    assert_eq!(frames * 40, played["played_ms"].as_u64().unwrap(), "{played}");
    drop(requests);
    played
}

#[test]
fn a_suspended_viewer_loses_the_picture_within_the_horizon() {
    let folder = tempfile::tempdir().unwrap();
    let Some(title) = Rotating::make(folder.path(), 40) else { return };
    let service = WidevineService::new(Keys::All);
    let devices = service.write_devices(&folder.path().join("root"));
    let event = on_the_air(title);
    let url = serve({
        let event = Arc::clone(&event);
        move |path, body| match path {
            "/manifest.mpd" => Reply::ok(event.manifest().into_bytes()),
            "/license" if body.len() < 10 => Reply::ok(service.answer(body)),
            "/license" => event.answer(|| {
                let license_s = NonZeroU32::new(u32::try_from(HORIZON_S).unwrap());
                let terms = LicenseTerms { can_play: true, license_s, ..LicenseTerms::default() };
                service.license(body, &terms, |kids, _| {
                    let given = event.given(kids).into_iter();
                    given.map(|(kid, key)| licensed(kid, key)).collect()
                })
            }),
            path => file(&event.title.package, path),
        }
    });
    let device = ["--device", devices.to_str().unwrap()];
    let played = lost(&event, &url, &folder.path().join("data"), &device);
    // Its licenses end by themselves, so that the clock counts, whatever was to be shown.
    let elapsed_s = event.elapsed_s();
    assert!(
        (SUSPENDED_S..=SUSPENDED_S + HORIZON_S + 2).contains(&elapsed_s),
        "{elapsed_s} {played}"
    );
}

#[test]
fn under_clear_key_too_whose_licenses_have_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let Some(title) = Rotating::make(folder.path(), 40) else { return };
    let event = on_the_air(title);
    let url = serve({
        let event = Arc::clone(&event);
        move |path, body| match path {
            "/manifest.mpd" => Reply::ok(event.manifest().into_bytes()),
            "/license" => event.answer(|| {
                let asked = Challenge::parse(body, Offline::Refused).unwrap();
                let given = event.given(asked.kids());
                asked.answer(given).as_bytes().to_vec()
            }),
            path => file(&event.title.package, path),
        }
    });
    lost(&event, &url, &folder.path().join("data"), &[]);
}

fn licensed(kid: KeyId, key: ContentKey) -> LicensedKey {
    let terms = KeyTerms {
        robustness: Robustness::SoftwareKeys,
        hdcp: Hdcp::Unneeded,
        analog: AnalogOutput::Allowed,
        track_class: None,
    };
    LicensedKey { kid, key, terms, iv: None }
}
