//! Devices of an account: register, renew, list, remove, and the proof that a message is a
//! device's (R060 to R067, R070).
//!
//! A device keeps a key that never leaves it. With each message it proves the key (`DPoP`), shows
//! its ticket (`X-Device-Ticket`) and, where the message changes something, counts it
//! (`X-Device-Sequence`).

use crate::front::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::problem::{Refusal, Unproved};
use crate::service::Service;
use axum::http::{HeaderName, StatusCode};
use model::{AccountId, Device, DeviceId, DeviceKind, Timestamp};
use playback::device::{MAX_NAME_BYTES, may_play};
use playback::proof::{self, Asked, Proof};
use playback::{DeviceRefused, Ticket};
use serde::{Deserialize, Serialize};
use store::ephemeral::Claim;
use store::{AuditEntry, RegisterDevice, Registered, Store, StoreError};

/// The proof of the device's key, for one request.
pub const PROOF: HeaderName = HeaderName::from_static("dpop");
/// The device's ticket.
pub const TICKET: HeaderName = HeaderName::from_static("x-device-ticket");
/// The number of a control message under its ticket.
pub const SEQUENCE: HeaderName = HeaderName::from_static("x-device-sequence");

/// Proofs that are remembered at once, each for two minutes. Beyond that devices wait.
pub const PROOFS_MAX: usize = 500_000;

/// What a registration says about the device.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    name: String,
    /// Absent: what the listener is for.
    kind: Option<DeviceKind>,
}

/// What a registered device gets.
#[derive(Serialize)]
pub struct Ticketed {
    device_id: DeviceId,
    ticket: String,
    expires_at: Timestamp,
    interval_s: u32,
    /// Created, or known before.
    #[serde(skip)]
    pub status: StatusCode,
}

/// The devices of an account.
#[derive(Serialize)]
pub struct Devices {
    max_devices: u32,
    items: Vec<Listed>,
}

/// A device in a list.
#[derive(Serialize)]
pub struct Listed {
    device_id: DeviceId,
    name: String,
    kind: DeviceKind,
    /// Whether it keeps a key; without one it is a sign-in.
    has_key: bool,
    is_this_device: bool,
    registered_at: Timestamp,
    renewed_at: Timestamp,
    expires_at: Timestamp,
}

/// Registers the caller's device by its key, or finds it: 1 the sign-in, 2 the proof, 3 the place
/// under the account's lock, 4 the ticket.
///
/// Errors: [`Refusal::Token`], [`Refusal::Unproved`], [`Refusal::Device`], [`Refusal::Malformed`].
pub async fn register(
    service: &Service,
    caller: &Caller,
    registration: Registration,
) -> Result<Ticketed, Refusal> {
    let viewer = Viewer::signed_in(service, caller).await?;
    let name = check_name(registration.name)?;
    let kind = caller.listener.kind();
    if registration.kind.is_some_and(|named| named != kind) {
        return Err(Unproved::OtherListener.into());
    }
    let key = prove(service, caller)?.key;
    let request = RegisterDevice {
        id: service.ground.entropy.with(DeviceId::random),
        account: viewer.account.id,
        name,
        kind,
        key,
        sign_in: Some(viewer.sign_in),
        now: caller.now,
    };
    let registered = service.store.register_device(&request).await??;
    Ok(ticketed(service, &registered))
}

/// Renews the registration of the caller's device, whether or not it has ended. A ticket need not
/// come with it.
///
/// Errors: as [`register`]. One of another account or key changes nothing.
pub async fn renew(
    service: &Service,
    caller: &Caller,
    device: DeviceId,
) -> Result<Ticketed, Refusal> {
    let viewer = Viewer::signed_in(service, caller).await?;
    let key = prove(service, caller)?.key;
    let (account, now) = (viewer.account.id, caller.now);
    let known = service.store.device(device).await?;
    if known.is_some_and(|known| known.account == account && known.kind != caller.listener.kind()) {
        return Err(Unproved::OtherListener.into());
    }
    let registered = service.store.renew_device(device, account, &key, now).await??;
    Ok(ticketed(service, &registered))
}

/// Lists the devices that take a place of the account.
///
/// Errors: [`Refusal::Token`].
pub async fn list(service: &Service, caller: &Caller) -> Result<Devices, Refusal> {
    let viewer = Viewer::reading(service, caller).await?;
    let plan = service.store.plan(&viewer.account.plan).await?;
    let own = viewer.device();
    let devices = service.store.devices(viewer.account.id, caller.now).await?;
    let items = devices.into_iter().map(|device| Listed::of(device, own)).collect();
    Ok(Devices { max_devices: plan.map_or(0, |plan| plan.max_devices), items })
}

impl Listed {
    fn of(device: Device, own: DeviceId) -> Self {
        Self {
            is_this_device: device.id == own,
            device_id: device.id,
            name: device.name,
            kind: device.kind,
            has_key: device.key.is_some(),
            registered_at: device.registered,
            renewed_at: device.renewed,
            expires_at: device.expires,
        }
    }
}

/// Takes a device of the viewer's account away: its place is free at once, and it is refused from
/// its next message on, unless the settings let it play on.
///
/// Errors: [`Refusal::Token`], [`Refusal::CrossSite`], [`Refusal::NotFound`] where the account has
/// no such device.
pub async fn remove(service: &Service, caller: &Caller, device: DeviceId) -> Result<(), Refusal> {
    let viewer = Viewer::signed_in(service, caller).await?;
    let account = viewer.account.id;
    let plays_on = service.ground.config.devices.plays_on();
    let actor = format!("account:{account}");
    let removed = take_away(&service.store, actor, (account, device), plays_on, caller.now).await?;
    if removed { Ok(()) } else { Err(Refusal::NotFound) }
}

/// Removes a device; its audit row is durable before. False: the account has no such device.
///
/// Errors: what the store says.
pub async fn take_away(
    store: &Store,
    actor: String,
    (account, device): (AccountId, DeviceId),
    plays_on: bool,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let known = store.device(device).await?;
    let known = known.filter(|known| known.account == account && known.removed.is_none());
    if known.is_none() {
        return Ok(false);
    }
    let entry = AuditEntry {
        at: now,
        actor,
        action: "device.removed".to_owned(),
        content_id: None,
        kid: None,
        session: None,
        decision: None,
        detail: format!("account {account} device {device}"),
    };
    store.append_audit(&[entry]).await?;
    store.remove_device(account, device, plays_on, now).await
}

/// The ticket that came with a request and opens; whose it is has not been asked.
pub fn shown(service: &Service, caller: &Caller) -> Option<Ticket> {
    let text = caller.headers.get(TICKET)?.to_str().ok()?;
    Ticket::open(&service.ticket_key, text).ok()
}

/// Whether a control message has to be counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// It has to.
    Always,
    /// Where it has a number: a license may be asked for beside a heartbeat.
    IfNumbered,
}

/// The device that a message proves to be of; `None`: it shows no ticket.
///
/// 1 the ticket opens and is the account's, 2 the proof is of its key, 3 the device stands, 4 the
/// message is the next one.
///
/// Errors: [`Refusal::Unproved`], [`Refusal::Device`].
pub async fn proved(
    service: &Service,
    caller: &Caller,
    account: AccountId,
    counted: Counted,
) -> Result<Option<DeviceId>, Refusal> {
    if !caller.headers.contains_key(TICKET) {
        return Ok(None);
    }
    let ticket = only(caller, &TICKET).ok_or(Unproved::Ticket)?;
    let ticket = Ticket::open(&service.ticket_key, ticket).map_err(|_| Unproved::Ticket)?;
    // Before the proof is used up, so that a wrong ticket costs none.
    let key = check_proof(service, caller)?;
    ticket.check(account, &key.key).map_err(|_| Unproved::Ticket)?;
    use_up(service, caller, &key)?;
    let row = service.store.device(ticket.device).await?;
    let deauthorize = service.ground.config.devices.deauthorize;
    may_play(row.as_ref(), account, ticket.expires, deauthorize, caller.now)?;
    if row.is_some_and(|row| row.kind != caller.listener.kind()) {
        return Err(Unproved::OtherListener.into());
    }
    let number = sequence(caller)?;
    match (number, counted) {
        (None, Counted::Always) => return Err(Refusal::Malformed("X-Device-Sequence")),
        (None, Counted::IfNumbered) => {}
        (Some(number), _) => {
            let (device, epoch) = (ticket.device, ticket.epoch);
            service.store.take_sequence(device, epoch, number, caller.now).await??;
        }
    }
    Ok(Some(ticket.device))
}

/// Whether the device of a playback token may still play: it was registered when the token was
/// made, and may have been removed since.
///
/// Errors: [`Refusal::Device`].
pub async fn stands(
    service: &Service,
    account: AccountId,
    device: DeviceId,
    now: Timestamp,
) -> Result<Device, Refusal> {
    let row = service.store.device(device).await?;
    let until = row.as_ref().map_or(now, |row| row.expires);
    let deauthorize = service.ground.config.devices.deauthorize;
    may_play(row.as_ref(), account, until, deauthorize, now)?;
    row.ok_or_else(|| DeviceRefused::NotRegistered.into())
}

/// The key that a request proves, once.
fn prove(service: &Service, caller: &Caller) -> Result<Proof, Refusal> {
    let proof = check_proof(service, caller)?;
    use_up(service, caller, &proof)?;
    Ok(proof)
}

fn check_proof(service: &Service, caller: &Caller) -> Result<Proof, Refusal> {
    let text = only(caller, &PROOF).ok_or(Unproved::Proof("proof_missing"))?;
    let ticket = only(caller, &TICKET).unwrap_or_default();
    let signed_in = crate::front::viewer::credential(caller).unwrap_or_default();
    let url = format!("{}{}", caller.origin, caller.path);
    let asked =
        Asked { method: caller.method.as_str(), url: &url, credentials: &[ticket, signed_in] };
    let proof = proof::verify(text, &asked, caller.now)
        .map_err(|refused| Unproved::Proof(refused.reason()))?;
    // Which proofs were used before the start, only the process that ended knew.
    if proof.issued.as_s() < service.boot.as_s() {
        return Err(Unproved::Proof("proof_older_than_the_service").into());
    }
    Ok(proof)
}

fn use_up(service: &Service, caller: &Caller, proof: &Proof) -> Result<(), Refusal> {
    match service.proofs.claim(proof.id, (), proof.ends(), caller.now) {
        Claim::Fresh(hold) => {
            hold.answered();
            Ok(())
        }
        Claim::Same(..) | Claim::Replayed => Err(Unproved::ProofReplayed.into()),
        Claim::Full => Err(Refusal::Overloaded),
    }
}

/// A header that is there once.
fn only<'a>(caller: &'a Caller, name: &HeaderName) -> Option<&'a str> {
    let mut lines = caller.headers.get_all(name).iter();
    let (first, second) = (lines.next()?, lines.next());
    if second.is_some() { None } else { first.to_str().ok() }
}

/// Digits and nothing else; a number beyond 64 bits is as far ahead as one can be.
fn sequence(caller: &Caller) -> Result<Option<u64>, Refusal> {
    const LONGEST: usize = 20;
    if !caller.headers.contains_key(SEQUENCE) {
        return Ok(None);
    }
    let text = only(caller, &SEQUENCE).ok_or(Refusal::Malformed("X-Device-Sequence"))?;
    let is_number =
        (1..=LONGEST).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number {
        return Err(Refusal::Malformed("X-Device-Sequence"));
    }
    Ok(Some(text.parse().unwrap_or(u64::MAX)))
}

/// What a device may be called: something to read, of one line.
fn check_name(name: String) -> Result<String, Refusal> {
    let is_named = !name.trim().is_empty() && name.len() <= MAX_NAME_BYTES;
    if is_named && !name.chars().any(char::is_control) {
        Ok(name)
    } else {
        Err(Refusal::Malformed("name"))
    }
}

fn ticketed(service: &Service, registered: &Registered) -> Ticketed {
    let Registered { device, epoch, is_new } = registered;
    let ticket = Ticket {
        device: device.id,
        account: device.account,
        key: device.key.unwrap_or_default(),
        epoch: *epoch,
        expires: device.expires,
    };
    Ticketed {
        device_id: device.id,
        ticket: service.ground.entropy.with(|entropy| ticket.seal(&service.ticket_key, entropy)),
        expires_at: device.expires,
        interval_s: service.ground.config.heartbeat.interval_s(device.kind),
        status: if *is_new { StatusCode::CREATED } else { StatusCode::OK },
    }
}
