//! `GET /api/v1/playback/token/{contentId}`: from a signed-in viewer to everything that one
//! playback needs (R081).

use crate::front::devices::Counted;
use crate::front::streams::refused;
use crate::front::viewer::{self, Viewer};
use crate::http::caller::{Caller, Listener};
use crate::http::problem::Refusal;
use crate::service::Service;
use crate::trail::Trail;
use crate::vault_link::LicenseRefused;
use edge::{EdgePass, signed_url};
use model::{
    AccountId, ContentId, Country, DecisionId, DeviceId, DeviceKind, Dialect, PackagedEvent,
    PlaybackSessionId, Scheme, SecurityLevel, Timestamp, TitlePolicy, TitleState, TokenId,
};
use playback::entitlement::{Facts, decide, trace, trace_without_title};
use playback::platform::{ManifestForm, Platform, Playable};
use playback::{
    Covers, Denial, Entitlement, MAX_KIDS, PlaybackToken, Rule, Said, TokenKey, TokenRefused,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use store::{AskedRoute, StartStream, Store, StoreError};

/// What a playback needs.
#[derive(Serialize)]
pub struct Playback {
    session_id: PlaybackSessionId,
    expires_at: Timestamp,
    license: Licenses,
    manifest: Manifests,
    /// Whether it is a live event that grows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    live: bool,
    /// How its keys change, where they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation: Option<KeyChanges>,
    heartbeat: HeartbeatPlan,
    resume_s: Option<u32>,
    /// How the player's platform plays the title, where it named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    drm: Option<Chosen>,
    /// The delivery pass, for the cookie form of delivery URLs.
    #[serde(skip)]
    pub pass: String,
    /// What the pass says.
    #[serde(skip)]
    pub granted: EdgePass,
    /// The package; absent where the media is elsewhere.
    #[serde(skip)]
    pub package: Option<PackagedEvent>,
}

/// License URLs by dialect: the ones that are answered here.
type Licenses = BTreeMap<&'static str, String>;

/// The query of a token call: what the player is, by its own word.
#[derive(Deserialize)]
pub struct ClientQuery {
    dialect: Option<String>,
    level: Option<String>,
    platform: Option<String>,
}

/// What a player says it is. It decides which renditions its manifests list and nothing else:
/// keys are given by what the license request attests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Client {
    dialect: Dialect,
    level: SecurityLevel,
    /// Where it runs: decides the system, where the player names none.
    platform: Option<Platform>,
}

impl ClientQuery {
    fn read(&self, service: &Service) -> Result<Client, Refusal> {
        let platform = self.platform.as_deref().map(Platform::parse);
        let platform = platform.map(|one| one.ok_or(Refusal::Malformed("platform"))).transpose()?;
        let own = platform.map_or(Dialect::ClearKey, Platform::dialect);
        let dialect = self.dialect.as_deref().map_or(Some(own), Dialect::parse);
        let dialect = dialect.ok_or(Refusal::Malformed("dialect"))?;
        if !service.vault.answers(dialect) {
            return Err(LicenseRefused::DialectNotAnswered.into());
        }
        let level = self.level.as_deref().unwrap_or(SecurityLevel::L3.name());
        let level = SecurityLevel::parse(level).ok_or(Refusal::Malformed("level"))?;
        Ok(Client { dialect, level, platform })
    }
}

impl Client {
    /// How often its player reports.
    fn interval_s(self, service: &Service, listener: Listener) -> u32 {
        let is_device = self.platform.is_some_and(Platform::is_device);
        let kind = if is_device { DeviceKind::Device } else { listener.kind() };
        service.ground.config.heartbeat.interval_s(kind)
    }
}

/// The system, the scheme and the manifest of a platform.
#[derive(Serialize)]
struct Chosen {
    dialect: Dialect,
    scheme: Scheme,
    manifest: String,
}

/// How the keys of a title change, and how far ahead its licenses carry them.
#[derive(Serialize)]
struct KeyChanges {
    period_s: NonZeroU32,
    batch_periods: NonZeroU32,
    /// Null: a license carries whatever is asked for.
    horizon_s: Option<NonZeroU32>,
}

impl KeyChanges {
    fn of(package: &PackagedEvent, policy: &TitlePolicy) -> Option<Self> {
        let rotation = package.rotation?;
        let has_horizon = package.live && !policy.rotation.whole_event;
        Some(Self {
            period_s: rotation.period_s,
            batch_periods: rotation.batch_periods,
            horizon_s: has_horizon.then_some(policy.rotation.horizon_s),
        })
    }
}

#[derive(Serialize)]
struct Manifests {
    dash: String,
    hls: String,
}

#[derive(Serialize)]
struct HeartbeatPlan {
    url: String,
    interval_s: u32,
}

/// Answers a token call.
///
/// 1 find the viewer, 2 decide, 3 reserve a slot under the account's lock, 4 sign the token,
/// 5 sign the delivery pass, 6 look up where the viewer left.
///
/// Errors: [`Refusal::Token`], [`Refusal::CrossSite`], [`Refusal::Malformed`], a denial.
pub async fn playback_token(
    service: &Service,
    caller: &Caller,
    content_id: &ContentId,
    query: &ClientQuery,
) -> Result<Playback, Refusal> {
    let client = query.read(service)?;
    limit(service, caller, AskedRoute::Token)?;
    let viewer = Viewer::playing(service, caller, Counted::Always).await?;
    let decision = service.ground.entropy.with(DecisionId::random);
    let question = caller.asks(viewer.account.id, content_id, decision);
    caller.trail.tell(|told| {
        (told.account, told.decision) = (Some(viewer.account.id), Some(decision));
        told.trace.note(Rule::Token, "a sign-in", Said::Passed);
    });
    let entitlement = entitle(&service.store, &question).await?;
    tell_streams(&caller.trail, &entitlement);
    let package = package_of(&service.store, content_id).await?;
    let playable = playable(package.as_ref(), client, &entitlement)?;
    let covers = if service.store.has_period_keys(content_id).await? {
        Covers::Periods
    } else {
        named(&service.store, content_id, package.as_ref()).await?
    };
    let interval_s = client.interval_s(service, caller.listener);
    let session = reserve(service, caller, &viewer, &entitlement, interval_s).await?;
    caller.trail.tell(|told| told.session = Some(session));
    let token = sign(service, &entitlement, session, viewer.device(), covers);
    let granted = granted(service, &entitlement, session, client);
    let pass = signed_url::sign(&service.delivery.key, &granted);
    let resume_s = service.store.resume(viewer.account.id, content_id).await?;
    let origin = &caller.origin;
    let drm = playable.map(|playable| choose(playable, origin, content_id, &pass));
    Ok(Playback {
        drm,
        session_id: session,
        expires_at: token.expires,
        license: license_urls(service, origin, &token),
        manifest: Manifests {
            dash: format!("{origin}/v/{content_id}/~{pass}/manifest.mpd"),
            hls: format!("{origin}/v/{content_id}/~{pass}/master.m3u8"),
        },
        live: package.as_ref().is_some_and(|package| package.live),
        rotation: package
            .as_ref()
            .and_then(|package| KeyChanges::of(package, entitlement.policy())),
        heartbeat: HeartbeatPlan {
            url: format!("{origin}/api/v1/playback/{session}/heartbeat"),
            interval_s,
        },
        resume_s,
        pass,
        granted,
        package,
    })
}

/// Where the viewer's own session is the credential: refuses it where it asks too often, before
/// any row is read.
///
/// Errors: [`Refusal::RateLimited`].
pub fn limit(service: &Service, caller: &Caller, route: AskedRoute) -> Result<(), Refusal> {
    // What a foreign page sends in the viewer's name is not counted against him.
    let Some(credential) = viewer::credential(caller).filter(|_| viewer::is_meant(service, caller))
    else {
        return Ok(());
    };
    service.limiter.turn_away(route, credential, caller)?;
    let Some(claimed) = Viewer::claimed(service, caller) else { return Ok(()) };
    service.limiter.count(route, claimed.device.as_bytes(), credential, caller.now)
}

/// Tells how many streams the plan allows, before the slot is asked for.
pub fn tell_streams(trail: &Trail, entitlement: &Entitlement) {
    trail.tell(|told| {
        let most = format!("at most {} at once", entitlement.max_streams());
        told.trace.note(Rule::Streams, most, Said::Passed);
    });
}

/// How the platform that the player named plays the title.
///
/// Errors: [`LicenseRefused::DialectNotAnswered`] where it cannot.
fn playable(
    package: Option<&PackagedEvent>,
    client: Client,
    entitlement: &Entitlement,
) -> Result<Option<Playable>, Refusal> {
    let Some(platform) = client.platform.filter(|one| one.dialect() == client.dialect) else {
        return Ok(None);
    };
    // What is packaged elsewhere may be in either.
    let schemes = package.map_or(&Scheme::ALL[..], |package| &package.schemes);
    let playable = platform.play(entitlement.policy(), schemes);
    playable.map(Some).ok_or_else(|| LicenseRefused::DialectNotAnswered.into())
}

fn choose(playable: Playable, origin: &str, content_id: &ContentId, pass: &str) -> Chosen {
    let Playable { dialect, scheme, manifest } = playable;
    let place = format!("{origin}/v/{content_id}/~{pass}");
    let manifest = match (manifest, scheme) {
        (ManifestForm::Dash, _) => format!("{place}/manifest.mpd?scheme={scheme}"),
        (ManifestForm::Hls, Scheme::Cbcs) => format!("{place}/master.m3u8"),
        (ManifestForm::Hls, Scheme::Cenc) => format!("{place}/master_cenc.m3u8"),
    };
    Chosen { dialect, scheme, manifest }
}

/// What is asked of the evaluator.
pub struct Question<'a> {
    /// Who.
    pub account: AccountId,
    /// What.
    pub content_id: &'a ContentId,
    /// Where; absent when unknown.
    pub country: Option<Country>,
    /// The id of the decision.
    pub decision: DecisionId,
    /// When.
    pub now: Timestamp,
    /// Where the rules tell what they said.
    pub trail: &'a Trail,
}

impl Caller {
    /// Whether this caller, as that account, may play that title.
    pub(crate) const fn asks<'a>(
        &'a self,
        account: AccountId,
        content_id: &'a ContentId,
        decision: DecisionId,
    ) -> Question<'a> {
        let (country, now, trail) = (self.country, self.now, &self.trail);
        Question { account, content_id, country, decision, now, trail }
    }
}

/// Decides whether the account may play the title, by the same evaluator at page, token,
/// license and heartbeat, on the rows of this moment.
///
/// Errors: a denial; [`Refusal::Token`] where there is no such account any more.
pub async fn entitle(store: &Store, question: &Question<'_>) -> Result<Entitlement, Refusal> {
    let rows = store.decision_rows(question.account, question.content_id).await?;
    let rows = rows.ok_or(TokenRefused::Invalid)?;
    let Some(title) = rows.title else {
        question.trail.tell(|told| told.trace.append(trace_without_title()));
        return Err(Denial::TitleNotFound.into());
    };
    let facts = Facts {
        account: &rows.account,
        plan: rows.plan.as_ref(),
        title: &title,
        region: question.country,
        decision: question.decision,
        now: question.now,
    };
    question.trail.tell(|told| told.trace.append(trace(&facts)));
    Ok(decide(&facts)?)
}

async fn reserve(
    service: &Service,
    caller: &Caller,
    viewer: &Viewer,
    entitlement: &Entitlement,
    interval_s: u32,
) -> Result<PlaybackSessionId, Refusal> {
    let start = StartStream {
        session: service.ground.entropy.with(PlaybackSessionId::random),
        account: entitlement.account(),
        device: viewer.device(),
        content_id: entitlement.content_id().clone(),
        max_streams: entitlement.max_streams(),
        decision: entitlement.decision(),
        interval_s,
        is_anew: true,
        now: entitlement.decided(),
    };
    match service.store.start_stream(&start).await? {
        Ok(session) => Ok(session),
        Err(denial) => Err(refused(service, caller, entitlement.account(), denial).await?),
    }
}

fn sign(
    service: &Service,
    entitlement: &Entitlement,
    session: PlaybackSessionId,
    device: DeviceId,
    covers: Covers,
) -> PlaybackToken {
    let issued = entitlement.decided();
    PlaybackToken {
        id: service.ground.entropy.with(TokenId::random),
        account: entitlement.account(),
        device,
        session,
        content_id: entitlement.content_id().clone(),
        covers,
        decision: entitlement.decision(),
        holds_slot: true,
        issued,
        expires: service.ground.config.license_url_ends(issued),
    }
}

/// What a title was packaged as; `None` where its media is elsewhere.
async fn package_of(
    store: &Store,
    content_id: &ContentId,
) -> Result<Option<PackagedEvent>, StoreError> {
    match store.title(content_id).await?.map(|title| title.state) {
        Some(TitleState::Published { package }) => store.package_event(package).await,
        _ => Ok(None),
    }
}

/// The title's keys, as a token or a grant covers them.
///
/// Errors: what the store says.
pub async fn covered(store: &Store, content_id: &ContentId) -> Result<Covers, StoreError> {
    // A channel may have keys by the ten thousand: they are not read to be counted.
    if store.has_period_keys(content_id).await? {
        return Ok(Covers::Periods);
    }
    let package = package_of(store, content_id).await?;
    named(store, content_id, package.as_ref()).await
}

/// The keys its package was made with, then the newest of all its rows, [`MAX_KIDS`] of them. The
/// package is asked first, so that a key whose row is gone is missed (R175) and not taken for
/// another title's.
async fn named(
    store: &Store,
    content_id: &ContentId,
    package: Option<&PackagedEvent>,
) -> Result<Covers, StoreError> {
    let variants = package.iter().flat_map(|package| &package.variants);
    let mut kids: Vec<_> = variants.map(|variant| variant.kid).collect();
    let mut rows = store.keys_of(content_id).await?;
    rows.sort_by_key(|key| std::cmp::Reverse((key.created, key.kid)));
    kids.extend(rows.into_iter().map(|key| key.kid));
    let mut seen = BTreeSet::new();
    kids.retain(|kid| seen.insert(*kid));
    kids.truncate(MAX_KIDS);
    Ok(Covers::Kids(kids))
}

/// What the delivery pass says.
fn granted(
    service: &Service,
    entitlement: &Entitlement,
    session: PlaybackSessionId,
    client: Client,
) -> EdgePass {
    let policy = entitlement.policy();
    EdgePass {
        content_id: entitlement.content_id().clone(),
        session,
        classes: match client.dialect {
            Dialect::ClearKey => policy.clearkey_track_classes(),
            Dialect::Widevine | Dialect::PlayReady | Dialect::FairPlay => {
                policy.track_classes(client.level)
            }
        },
        dialect: client.dialect,
        expires: entitlement.decided().plus_s(service.ground.config.tokens.media_url_s),
    }
}

fn license_urls(service: &Service, origin: &str, token: &PlaybackToken) -> Licenses {
    let answered = Dialect::ALL.into_iter().filter(|dialect| service.vault.answers(*dialect));
    let url = |dialect: Dialect| license_url(origin, dialect, &service.token_key, token);
    answered.map(|dialect| (dialect.name(), url(dialect))).collect()
}

/// The license URL that carries a playback token.
pub fn license_url(
    origin: &str,
    dialect: Dialect,
    key: &TokenKey,
    token: &PlaybackToken,
) -> String {
    format!("{origin}/license/{dialect}?token={}", token.issue(key))
}
