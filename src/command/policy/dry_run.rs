//! `policy test`: what a device would get, decided by the code that decides licenses.

use super::{content, known};
use crate::command::Failure;
use crate::screen::Answer;
use anyhow::Context as _;
use clap::{ArgGroup, Args};
use dialect::terms::{Hdcp, KeyTerms, LicenseTerms, Seconds};
use dialect::{fairplay, playready};
use model::{
    ContentId, Dialect, KeyState, PlanName, Scheme, SecurityLevel, TitlePolicy, TitleState,
    TrackClass, WrappedKey,
};
use serde::Serialize;
use server::Home;
use std::fmt::Write as _;

/// Arguments of `policy test`.
#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true).args(["name", "content"]))]
pub struct Test {
    /// The policy's name.
    name: Option<String>,
    /// A title, with its policy, its own exception and its keys.
    #[arg(long, value_name = "ID")]
    content: Option<String>,
    /// The device that asks; `clearkey` is one that attests nothing.
    #[arg(long, value_name = "DEVICE", value_parser = ["L1", "L2", "L3", "clearkey"])]
    as_device: String,
    /// The dialect it asks in; else Widevine, and ClearKey for `clearkey`.
    #[arg(long, value_name = "X", value_parser = ["widevine", "playready", "fairplay", "clearkey"])]
    dialect: Option<String>,
    /// It asks for a license that it may keep.
    #[arg(long)]
    offline: bool,
    /// The plan of its account, which says how many licenses are kept.
    #[arg(long, value_name = "PLAN", default_value = "standard", requires = "offline")]
    plan: String,
}

/// Who asks.
#[derive(Clone, Copy)]
enum Device {
    /// One that attests its level.
    Attested(SecurityLevel),
    /// A ClearKey client.
    Unattested,
}

/// What the device would get.
#[derive(Serialize)]
struct Outcome {
    policy: TitlePolicy,
    device: &'static str,
    dialect: &'static str,
    /// `license`; `no_key` for one that carries none; `offline_not_allowed`.
    answer: &'static str,
    /// Empty where the request is refused whole.
    classes: Vec<ClassRuling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<KeyRuling>>,
    /// What the license says; absent in ClearKey, which says nothing but keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    license: Option<LicenseTerms>,
    /// How long it lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    license_s: Seconds,
    /// How many licenses the devices of an account may keep, where it asks for such a one.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_offline: Option<u32>,
    /// How far ahead it carries keys of periods; only of a title whose keys change.
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation: Option<RotationRuling>,
}

/// How far ahead a license carries the keys of a title's periods.
#[derive(Clone, Copy, Serialize)]
struct RotationRuling {
    /// Whether the title is a live event: of others every period is given.
    live: bool,
    /// The horizon; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    horizon_s: Seconds,
}

/// A title's keys, as far as this command shows them.
struct Keys {
    /// Those that name its tracks, or all of a title whose keys do not change.
    rows: Vec<WrappedKey>,
    /// Whether some are of periods, and of periods that have a time.
    rotation: Option<RotationRuling>,
}

/// What becomes of the keys of one class.
#[derive(Serialize)]
struct ClassRuling {
    class: TrackClass,
    given: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    withheld_by: Option<Withheld>,
    #[serde(skip_serializing_if = "Option::is_none")]
    terms: Option<KeyTerms>,
    /// What a device must say that it enforces; another is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    only_with: Option<&'static str>,
}

/// Why a key is not given.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Withheld {
    /// By the policy.
    Policy(model::Withheld),
    /// By what the dialect cannot say; the request is refused whole, for this reason.
    Dialect(&'static str),
}

/// As a refusal of the service names it.
const OUTPUTS: Withheld = Withheld::Dialect("outputs_unsupported");

/// What becomes of one key of the title.
#[derive(Serialize)]
struct KeyRuling {
    kid: model::KeyId,
    class: Option<TrackClass>,
    given: bool,
}

/// Prints what a device would get; nothing is issued.
pub async fn run(home: &Home, test: &Test, answer: Answer) -> Result<(), Failure> {
    let (device, dialect) = device(test).map_err(Failure::Environment)?;
    let (policy, rows) = match (&test.name, &test.content) {
        (Some(name), _) => (known(home, name).await?, None),
        (None, Some(title)) => of_title(home, title).await?,
        (None, None) => {
            return Err(Failure::Environment(anyhow::anyhow!("name a policy, or --content ID")));
        }
    };
    let max_offline = if test.offline { Some(limit(home, &test.plan).await?) } else { None };
    let mut outcome =
        decide(policy, rows.as_ref().map(|keys| &keys.rows[..]), (device, dialect), max_offline);
    outcome.reach(rows.and_then(|keys| keys.rotation));
    answer.print(&outcome, sentences);
    Ok(())
}

/// How many licenses the devices of an account on the plan may keep.
async fn limit(home: &Home, plan: &str) -> Result<u32, Failure> {
    let name = PlanName::parse(plan).context("--plan").map_err(Failure::Environment)?;
    let plan = home.store.plan(&name).await.map_err(Failure::environment)?;
    let plan = plan.with_context(|| format!("there is no plan {name}"));
    plan.map(|plan| plan.max_offline).map_err(Failure::Refused)
}

/// The device, and the dialect that it asks in.
fn device(test: &Test) -> anyhow::Result<(Device, Dialect)> {
    let device = match test.as_device.as_str() {
        "L1" => Device::Attested(SecurityLevel::L1),
        "L2" => Device::Attested(SecurityLevel::L2),
        "L3" => Device::Attested(SecurityLevel::L3),
        _ => Device::Unattested,
    };
    let (speaks, unasked) = match device {
        // Version 1 of FairPlay proves no tier: there is one level.
        Device::Attested(SecurityLevel::L2) => {
            (&[Dialect::Widevine, Dialect::PlayReady, Dialect::FairPlay][..], Dialect::Widevine)
        }
        Device::Attested(_) => (&[Dialect::Widevine, Dialect::PlayReady][..], Dialect::Widevine),
        Device::Unattested => (&[Dialect::ClearKey][..], Dialect::ClearKey),
    };
    let asked = test.dialect.as_deref().map_or(Some(unasked), Dialect::parse);
    let asked = asked.context("--dialect")?;
    let names: Vec<&str> = speaks.iter().map(|dialect| dialect.name()).collect();
    anyhow::ensure!(
        speaks.contains(&asked),
        "--dialect {asked}: {} speaks {}",
        test.as_device,
        names.join(", ")
    );
    Ok((device, asked))
}

/// Whether a license of the dialect says at least a key's terms: else no key is written.
fn can_say(dialect: Dialect, terms: &KeyTerms) -> bool {
    match dialect {
        Dialect::FairPlay => fairplay::can_say(terms),
        Dialect::PlayReady | Dialect::Widevine | Dialect::ClearKey => true,
    }
}

/// Whether a client of the dialect decrypts the scheme, as far as that is known without asking it.
fn can_decrypt(dialect: Dialect, scheme: Option<Scheme>) -> bool {
    dialect != Dialect::FairPlay || scheme != Some(Scheme::Cenc)
}

/// What a license of the dialect says of a key's terms.
fn carried_key(dialect: Dialect, terms: &KeyTerms) -> KeyTerms {
    match dialect {
        Dialect::PlayReady => playready::carried_key_terms(terms),
        Dialect::FairPlay => fairplay::carried_key_terms(terms),
        Dialect::Widevine | Dialect::ClearKey => *terms,
    }
}

/// What a license of the dialect says of its terms.
fn carried(dialect: Dialect, terms: LicenseTerms) -> LicenseTerms {
    match dialect {
        Dialect::PlayReady => playready::carried_terms(&terms),
        Dialect::FairPlay => fairplay::carried_terms(&terms),
        Dialect::Widevine | Dialect::ClearKey => terms,
    }
}

async fn of_title(home: &Home, text: &str) -> Result<(TitlePolicy, Option<Keys>), Failure> {
    let id = content(text)?;
    let title = home.store.title(&id).await.map_err(Failure::environment)?;
    let title = title.with_context(|| format!("there is no title {id}"));
    let policy = title.map_err(Failure::Refused)?.policy;
    let rows = home.store.track_keys_of(&id).await.map_err(Failure::environment)?;
    let mut rotation = None;
    if home.store.has_period_keys(&id).await.map_err(Failure::environment)? {
        let live = is_live(home, &id).await.map_err(Failure::environment)?;
        let right = policy.rotation;
        let horizon_s = (live && !right.whole_event).then_some(right.horizon_s);
        rotation = Some(RotationRuling { live, horizon_s });
    }
    Ok((policy, Some(Keys { rows, rotation })))
}

/// Whether the keys of a title's periods have times.
async fn is_live(home: &Home, id: &ContentId) -> Result<bool, store::StoreError> {
    let Some(package) = home.store.title(id).await?.map(|title| title.state) else {
        return Ok(false);
    };
    let TitleState::Published { package } = package else { return Ok(false) };
    Ok(home.store.package_event(package).await?.is_some_and(|event| event.live))
}

/// Whether the device may have keys of the class, and can be told their terms.
fn may_have(
    policy: &TitlePolicy,
    (device, spoken): (Device, Dialect),
    class: TrackClass,
) -> Result<(), Withheld> {
    let allowed = match device {
        Device::Attested(level) => policy.check(level, class),
        Device::Unattested => policy.check_clearkey(class),
    };
    allowed.map_err(Withheld::Policy)?;
    let is_said = can_say(spoken, &KeyTerms::of(policy, Some(class)));
    if is_said { Ok(()) } else { Err(OUTPUTS) }
}

fn decide(
    policy: TitlePolicy,
    rows: Option<&[WrappedKey]>,
    (device, spoken): (Device, Dialect),
    max_offline: Option<u32>,
) -> Outcome {
    let check = |class| may_have(&policy, (device, spoken), class);
    let is_attested = matches!(device, Device::Attested(_));
    let name = match device {
        Device::Attested(level) => level.name(),
        Device::Unattested => "clearkey",
    };
    let dialect = spoken.name();
    let offline = max_offline.is_some();
    if offline && !(is_attested && policy.offline.allowed && max_offline > Some(0)) {
        return Outcome {
            policy,
            device: name,
            dialect,
            answer: "offline_not_allowed",
            classes: vec![],
            keys: None,
            license: None,
            license_s: None,
            max_offline,
            rotation: None,
        };
    }
    let classes = TrackClass::ALL.into_iter().map(|class| {
        let withheld_by = check(class).err();
        let given = withheld_by.is_none();
        let terms = (given && is_attested)
            .then(|| carried_key(spoken, &KeyTerms::of(&policy, Some(class))));
        let is_type_1 = |terms: &KeyTerms| spoken == Dialect::FairPlay && terms.hdcp > Hdcp::V1;
        let only_with = terms.as_ref().filter(|terms| is_type_1(terms)).map(|_| "hdcp_type_1");
        ClassRuling { class, given, withheld_by, terms, only_with }
    });
    let classes: Vec<ClassRuling> = classes.collect();
    let has_key = classes.iter().any(|ruling| ruling.given);
    let keys = rows.map(|rows| {
        let is_given = |row: &WrappedKey| match row.track_class {
            Some(class) => check(class).is_ok(),
            // It may open any class.
            None => TrackClass::ALL.into_iter().all(|class| check(class).is_ok()),
        };
        let ruling = |row: &WrappedKey| KeyRuling {
            kid: row.kid,
            class: row.track_class,
            given: row.state == KeyState::Active
                && can_decrypt(spoken, row.scheme)
                && is_given(row),
        };
        rows.iter().map(ruling).collect()
    });
    let license = is_attested.then(|| carried(spoken, LicenseTerms::of(&policy, offline)));
    let license_s = license.as_ref().map_or(Some(policy.license_s), |terms| terms.license_s);
    let answer = if has_key { "license" } else { "no_key" };
    Outcome {
        policy,
        device: name,
        dialect,
        answer,
        classes,
        keys,
        license,
        license_s,
        max_offline,
        rotation: None,
    }
}

impl Outcome {
    /// Says how far ahead a license carries keys; that of a live event lives no longer.
    fn reach(&mut self, rotation: Option<RotationRuling>) {
        self.rotation = rotation.filter(|_| self.answer == "license");
        let Some(RotationRuling { live: true, horizon_s: Some(horizon_s) }) = self.rotation else {
            return;
        };
        self.license_s = self.license_s.map(|span| span.min(horizon_s));
        self.license = self.license.take().map(|terms| terms.up_to(horizon_s));
    }
}

fn sentences(outcome: &Outcome) -> String {
    let mut text = format!(
        "policy {} for {} in {}: {}\n",
        outcome.policy.name, outcome.device, outcome.dialect, outcome.answer
    );
    for ruling in &outcome.classes {
        let what = match (&ruling.withheld_by, &ruling.terms) {
            (Some(Withheld::Policy(rule)), _) => format!("withheld  {rule}"),
            (Some(Withheld::Dialect(reason)), _) => {
                format!("refused   {reason}: {} cannot say these outputs", outcome.dialect)
            }
            (None, Some(terms)) => format!("given     {}{}", key_terms(terms), condition(ruling)),
            (None, None) => "given     without terms, which ClearKey cannot carry".to_owned(),
        };
        let _infallible = writeln!(text, "  {:<6} {what}", ruling.class.name());
    }
    for key in outcome.keys.iter().flatten() {
        let class = key.class.map_or("any", TrackClass::name);
        let what = if key.given { "given" } else { "withheld" };
        let _infallible = writeln!(text, "  key {} {class:<6} {what}", key.kid);
    }
    if let Some(rotation) = outcome.rotation {
        let reach = match (rotation.live, rotation.horizon_s) {
            (true, Some(horizon_s)) => format!("those of the next {horizon_s} s"),
            (true, None) => "those of the whole event".to_owned(),
            (false, _) => "all that are asked for".to_owned(),
        };
        let _infallible = writeln!(text, "  periods  {reach}");
    }
    if let Some(terms) = &outcome.license {
        let _infallible = writeln!(text, "  license  {}", license_terms(terms));
    } else if outcome.license_s.is_some() {
        let _infallible = writeln!(text, "  license  {}", span("license_s", outcome.license_s));
    }
    if let Some(most) = outcome.max_offline {
        let _infallible = writeln!(text, "  kept     at most {most} licenses of an account");
    }
    text
}

fn condition(ruling: &ClassRuling) -> String {
    ruling.only_with.map_or_else(String::new, |what| format!(", to devices that enforce {what}"))
}

fn key_terms(terms: &KeyTerms) -> String {
    // The words of the policy's document.
    let word = |value: serde_json::Result<serde_json::Value>| match value {
        Ok(serde_json::Value::String(word)) => word,
        _ => "?".to_owned(),
    };
    format!(
        "robustness {}, hdcp {}, analog {}",
        word(serde_json::to_value(terms.robustness)),
        word(serde_json::to_value(terms.hdcp)),
        word(serde_json::to_value(terms.analog))
    )
}

fn license_terms(terms: &LicenseTerms) -> String {
    let mut parts = vec![
        span("license_s", terms.license_s),
        span("rental_s", terms.rental_s),
        span("playback_s", terms.playback_s),
        format!("can_persist {}", terms.can_persist),
        format!("can_renew {}", terms.can_renew),
    ];
    if terms.can_renew {
        parts.push(span("delay_s", terms.renewal.delay_s));
    }
    parts.join(", ")
}

fn span(name: &str, seconds: Seconds) -> String {
    seconds.map_or_else(|| format!("{name} without end"), |seconds| format!("{name} {seconds}"))
}
