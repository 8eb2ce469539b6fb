//! A license's audit row: who got which keys, which were withheld, and what every rule said.
//! Written by the license flow, read back by `explain`.

use super::dialects::{Ask, Wish};
use super::license_keys::Parted;
use super::license_periods::{digest, ranges};
use dialect::terms::Seconds;
use model::{
    DeviceId, Dialect, KeyId, KeyState, SecurityLevel, Timestamp, TitlePolicy, TrackClasses,
    WrappedKey,
};
use playback::grant::GrantTerms;
use playback::{Rule, Said, Trace};
use store::{AUDIT_TEXT_MAX, AuditEntry};

/// What the vault gave, or took back.
pub(super) struct LicenseRow<'a> {
    /// The grant.
    pub(super) terms: &'a GrantTerms,
    /// The level that was proved.
    pub(super) level: SecurityLevel,
    /// What was asked, and what might be given.
    pub(super) facts: Facts,
    /// The rows whose keys were asked for: those that the license carries, and those that stay.
    pub(super) parted: &'a Parted,
    /// How long the license lives; absent where none is left.
    pub(super) license_s: Seconds,
}

/// What a client asked, and what might be given to it.
pub(super) struct Facts {
    pub(super) wish: Wish,
    pub(super) allowed: TrackClasses,
    pub(super) persist: bool,
    /// Of one to keep: how many other titles the account's devices keep.
    pub(super) kept_others: Option<u32>,
    /// What it proved of itself.
    pub(super) proof: String,
}

impl Facts {
    pub(super) fn of(ask: &Ask) -> Self {
        let Ask { wish, allowed, persist, proof, .. } = ask;
        let (wish, allowed, persist, proof) = (*wish, *allowed, *persist, proof.clone());
        Self { wish, allowed, persist, kept_others: None, proof }
    }
}

impl LicenseRow<'_> {
    /// The audit row.
    pub(super) fn entry(&self, now: Timestamp) -> AuditEntry {
        AuditEntry {
            at: now,
            actor: format!("account:{}", self.terms.account),
            action: match self.facts.wish {
                Wish::License => "license.issued",
                Wish::MoreTime => "license.renewed",
            }
            .to_owned(),
            content_id: Some(self.terms.content_id.clone()),
            // A row has room for one; the detail names all.
            kid: self.parted.given.first().map(|row| row.kid),
            session: Some(self.terms.session),
            decision: Some(self.terms.decision),
            detail: self.detail(),
        }
    }

    /// Shape: words in pairs, then `trace` and the rules as JSON, which are left out where the
    /// row has no room for them. Keys of periods are told by their numbers, for a license may have
    /// hundreds; `kids_sha256` binds all that were given.
    fn detail(&self) -> String {
        let Self { terms, level, parted, .. } = self;
        let Parted { given, withheld, beyond } = parted;
        let mut room = LISTED;
        let mut detail = format!(
            "{} {level} policy {} device {} grant {} correlation {} kids {}",
            terms.dialect,
            terms.policy.name,
            terms.device,
            terms.grant,
            terms.correlation,
            kids(given, &mut room)
        );
        let mut pair = |name: &str, value: String| {
            if !value.is_empty() {
                detail += &format!(" {name} {value}");
            }
        };
        pair("withheld", kids(withheld, &mut room));
        let of_periods = ranges(given);
        if !of_periods.is_empty() {
            pair("kids_sha256", digest(given));
        }
        pair("periods", of_periods);
        pair("periods_withheld", ranges(withheld));
        pair("periods_beyond", ranges(beyond));
        let trace = serde_json::to_string(&self.trace()).unwrap_or_default();
        if detail.len() + TRACE.len() + trace.len() <= AUDIT_TEXT_MAX {
            detail += TRACE;
            detail += &trace;
        }
        detail
    }

    /// What front's rules said, and what the vault's did.
    fn trace(&self) -> Trace {
        let Self { terms, level, facts, parted, license_s } = self;
        let Parted { given, withheld, beyond } = parted;
        let mut trace = terms.trace.clone();
        let mut passed = |rule, input: String| trace.note(rule, input, Said::Passed);
        let asked = given.len() + withheld.len() + beyond.len();
        passed(Rule::ContentKeys, format!("{asked} asked for, all of the title"));
        let proved = &facts.proof;
        let opens = names(facts.allowed);
        passed(Rule::SecurityLevel, format!("{level}, {proved}, which opens {opens}"));
        passed(Rule::Resolution, withheld_words(withheld));
        if parted.span().is_some() {
            passed(Rule::Horizon, horizon_words(&terms.policy, given, beyond));
        }
        passed(
            Rule::Offline,
            match (facts.wish, facts.persist) {
                (Wish::License, false) => "a license for this session".to_owned(),
                (Wish::License, true) => {
                    let (others, most) = (facts.kept_others.unwrap_or(0), terms.max_offline);
                    format!("a license to keep, beside {others} others of at most {most}")
                }
                (Wish::MoreTime, _) => "more time for a license".to_owned(),
            },
        );
        let lives =
            license_s.map_or_else(|| "no license".to_owned(), |s| format!("a license of {s} s"));
        passed(Rule::Policy, format!("{}, {lives}", terms.policy.name));
        trace
    }
}

pub(super) const TRACE: &str = " trace ";
/// Most keys that are named.
pub(super) const LISTED: usize = playback::MAX_KIDS;

fn withheld_words(withheld: &[WrappedKey]) -> String {
    let classes = names(withheld.iter().filter_map(|row| row.track_class).collect());
    let compromised = withheld.iter().filter(|row| row.state != KeyState::Active).count();
    match (withheld.len() - compromised, compromised) {
        (0, 0) => "nothing withheld".to_owned(),
        (above, 0) => format!("withheld {above} above the level: {classes}"),
        (above, _) => {
            format!("withheld {above} above the level, {compromised} compromised: {classes}")
        }
    }
}

fn horizon_words(policy: &TitlePolicy, given: &[WrappedKey], beyond: &[WrappedKey]) -> String {
    let of_periods = given.iter().filter(|row| row.period.is_some()).count();
    let reach = if policy.rotation.whole_event {
        "the whole event".to_owned()
    } else {
        format!("{} s ahead", policy.rotation.horizon_s)
    };
    format!("{reach}: {of_periods} keys of periods, {} beyond it withheld", beyond.len())
}

/// Those that serve no period, by name, as many as there is room for.
fn kids(rows: &[WrappedKey], room: &mut usize) -> String {
    let rows = rows.iter().filter(|row| row.period.is_none()).take(*room);
    let kids: Vec<String> = rows.map(|row| row.kid.to_string()).collect();
    *room = room.saturating_sub(kids.len());
    kids.join(",")
}

fn names(classes: TrackClasses) -> String {
    let names: Vec<&str> = classes.iter().map(model::TrackClass::name).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// An audit row's detail, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldLicense {
    /// The dialect.
    pub dialect: Dialect,
    /// The level that was proved.
    pub level: String,
    /// The policy's name.
    pub policy: Option<String>,
    /// The device.
    pub device: Option<DeviceId>,
    /// The keys that the license carried.
    pub given: Vec<KeyId>,
    /// The keys that were asked for and stayed here.
    pub withheld: Vec<KeyId>,
    /// The keys of periods that it carried: class, scheme, and from which period to which.
    pub periods_given: Vec<String>,
    /// Those that were asked for and stayed here.
    pub periods_withheld: Vec<String>,
    /// Those that were asked for too early.
    pub periods_beyond: Vec<String>,
    /// What the rules said; empty in a row without.
    pub trace: Trace,
}

impl ToldLicense {
    /// Reads a detail. None: it is not one of a license.
    #[must_use]
    pub fn read(detail: &str) -> Option<Self> {
        let (words, trace) = detail.split_once(TRACE).unwrap_or((detail, "[]"));
        let mut words = words.split(' ');
        let (dialect, level) = (Dialect::parse(words.next()?)?, words.next()?.to_owned());
        let trace = serde_json::from_str(trace).ok()?;
        let mut told = Self {
            dialect,
            level,
            policy: None,
            device: None,
            given: vec![],
            withheld: vec![],
            periods_given: vec![],
            periods_withheld: vec![],
            periods_beyond: vec![],
            trace,
        };
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            match name {
                "policy" => told.policy = Some(value.to_owned()),
                "device" => told.device = DeviceId::parse(value).ok(),
                "kids" => told.given = listed(value)?,
                "withheld" => told.withheld = listed(value)?,
                "periods" => told.periods_given = words_of(value),
                "periods_withheld" => told.periods_withheld = words_of(value),
                "periods_beyond" => told.periods_beyond = words_of(value),
                _ => {}
            }
        }
        Some(told)
    }
}

fn words_of(list: &str) -> Vec<String> {
    list.split(',').map(str::to_owned).collect()
}

fn listed(kids: &str) -> Option<Vec<KeyId>> {
    let kids = kids.split(',').filter(|kid| !kid.is_empty());
    kids.map(|kid| KeyId::parse(kid).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{
        AccountId, ContentId, CorrelationId, DecisionId, GrantId, KekVersion, PlaybackSessionId,
        Timestamp, TitlePolicy, TrackClass,
    };
    use model::{KeyPeriod, Scheme};
    use playback::Covers;
    use std::num::NonZeroU32;

    fn row(number: u8, class: TrackClass) -> WrappedKey {
        WrappedKey {
            kid: KeyId::from_bytes([number; 16]),
            content_id: ContentId::parse("film").unwrap(),
            track_class: Some(class),
            scheme: None,
            period: None,
            category: model::CategoryName::parse("default").unwrap(),
            kek_version: KekVersion(1),
            first_kek_version: KekVersion(1),
            wrapped: vec![],
            iv: None,
            fingerprint: [number; 32],
            state: KeyState::Active,
            created: Timestamp(0),
        }
    }

    fn terms() -> GrantTerms {
        let mut trace = Trace::default();
        trace.note(Rule::Title, "published", Said::Passed);
        GrantTerms {
            grant: GrantId::from_bytes([1; 16]),
            token: None,
            session: PlaybackSessionId::from_bytes([2; 16]),
            account: AccountId::from_bytes([3; 16]),
            device: DeviceId::from_bytes([4; 16]),
            content_id: ContentId::parse("film").unwrap(),
            covers: Covers::Kids(vec![]),
            dialect: Dialect::ClearKey,
            policy: TitlePolicy::default(),
            max_offline: 25,
            credential_expires: Timestamp(0),
            challenge_sha256: [0; 32],
            issued: Timestamp(0),
            decision: DecisionId::from_bytes([5; 16]),
            correlation: CorrelationId::from_bytes([6; 16]),
            trace,
        }
    }

    fn parted(given: &[WrappedKey], withheld: &[WrappedKey]) -> Parted {
        Parted { given: given.to_vec(), withheld: withheld.to_vec(), beyond: vec![] }
    }

    fn row_of<'a>(terms: &'a GrantTerms, parted: &'a Parted) -> LicenseRow<'a> {
        let allowed = TrackClasses::up_to(TrackClass::Sd);
        let proof = "nothing attested".to_owned();
        let facts =
            Facts { wish: Wish::License, allowed, persist: false, kept_others: None, proof };
        let license_s = NonZeroU32::new(86_400);
        LicenseRow { terms, level: SecurityLevel::L3, facts, parted, license_s }
    }

    #[test]
    fn a_detail_reads_back_with_every_rule() {
        let (terms, given) = (terms(), [row(1, TrackClass::Audio), row(2, TrackClass::Sd)]);
        let mut withheld = [row(3, TrackClass::Hd), row(4, TrackClass::Audio)];
        withheld[1].state = KeyState::Compromised;
        let issued =
            ToldLicense::read(&row_of(&terms, &parted(&given, &withheld)).detail()).unwrap();
        assert_eq!((issued.dialect, issued.level.as_str()), (Dialect::ClearKey, "L3"));
        assert_eq!(issued.policy.as_deref(), Some("standard"));
        assert_eq!(issued.device, Some(terms.device));
        assert_eq!(issued.given, [given[0].kid, given[1].kid]);
        assert_eq!(issued.withheld, [withheld[0].kid, withheld[1].kid]);
        let told: Vec<_> = issued
            .trace
            .steps()
            .iter()
            .map(|step| format!("{}: {}", step.rule, step.input))
            .collect();
        let expected = [
            "title: published",
            "content_keys: 4 asked for, all of the title",
            "security_level: L3, nothing attested, which opens AUDIO, SD",
            "resolution: withheld 1 above the level, 1 compromised: AUDIO, HD",
            "offline: a license for this session",
            "policy: standard, a license of 86400 s",
        ];
        assert_eq!(told, expected);
        let nothing = ToldLicense::read(&row_of(&terms, &parted(&[], &[])).detail()).unwrap();
        assert!(nothing.given.is_empty() && nothing.withheld.is_empty());
    }

    #[test]
    fn the_longest_detail_fits_its_row() {
        let mut terms = terms();
        for rule in Rule::ALL {
            terms.trace.note(rule, "\"".repeat(1000), Said::Passed);
        }
        let rows = vec![row(1, TrackClass::Sd); playback::MAX_KIDS];
        let (given, withheld) = rows.split_at(32);
        let detail = row_of(&terms, &parted(given, withheld)).detail();
        assert!(detail.len() <= AUDIT_TEXT_MAX);
        let issued = ToldLicense::read(&detail).unwrap();
        assert_eq!((issued.given.len(), issued.withheld.len()), (32, 32));
        assert!(issued.trace.steps().is_empty(), "no room");
    }

    #[test]
    fn a_license_of_hundreds_of_periods_has_a_short_row_however_they_lie() {
        let terms = terms();
        let of_period = |number: u32, index: u32| {
            let period = Some(KeyPeriod { index, span: None });
            let number = u8::try_from(number % 256).unwrap();
            WrappedKey { period, scheme: Some(Scheme::Cbcs), ..row(number, TrackClass::Sd) }
        };
        let run: Vec<_> = (0..512).map(|at| of_period(at, at)).collect();
        let gaps: Vec<_> = (0..512).map(|at| of_period(at, u32::MAX - 2 * at)).collect();
        let tracks = vec![row(1, TrackClass::Sd); 512];
        let parted = Parted { given: run, withheld: gaps.clone(), beyond: gaps };
        let detail = row_of(&terms, &parted).detail();
        assert!(detail.len() <= AUDIT_TEXT_MAX, "{}", detail.len());
        let told = ToldLicense::read(&detail).unwrap();
        assert_eq!(told.periods_given, ["SD/cbcs:0-511"]);
        assert!(told.given.is_empty() && told.withheld.is_empty());
        for list in [told.periods_withheld, told.periods_beyond] {
            assert_eq!((list.len(), list.last().map(String::as_str)), (17, Some("more")));
        }
        let parted = Parted { given: tracks.clone(), withheld: tracks, ..parted };
        let detail = row_of(&terms, &parted).detail();
        assert!(detail.len() <= AUDIT_TEXT_MAX, "{}", detail.len());
        assert_eq!(ToldLicense::read(&detail).unwrap().given.len(), LISTED);
    }

    #[test]
    fn rows_of_other_actions_are_none() {
        for detail in ["", "clearkey", "signed row 5", "clearkey L3 kids x", "clearkey L3 trace {"]
        {
            assert_eq!(ToldLicense::read(detail), None, "{detail:?}");
        }
        let old = "clearkey L3 device 04040404040404040404040404040404 correlation 00 kids ";
        assert_eq!(ToldLicense::read(old).unwrap().given, []);
    }
}
