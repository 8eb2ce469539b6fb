//! Registered devices and the counters of their tickets. The limit is decided under the lock of
//! the account (R060), the order of messages by one conditional statement (R064).

use crate::database::{Durability, Transaction, repeated};
use crate::error::Failure;
use crate::query::{Row, query};
use crate::{Store, StoreError};
use model::{AccountId, Device, DeviceId, DeviceKind, SignInId, Timestamp};
use playback::DeviceRefused;
use playback::device::{MAX_SKIP, REGISTRATION_S, admit, keep, may_renew, takes_place};

/// How many live tickets a device has at most: browsers of one key, and answers that got lost.
/// With one more the oldest ends.
const TICKETS_MAX: i64 = 16;

/// How many removed devices of an account are remembered, so that they hear why they end.
const REMOVED_MAX: i64 = 50;

/// How often a sign-in's device is marked alive, seconds: not with each message.
const ALIVE_EVERY_S: u64 = 300;

/// A device that wants to be an account's.
#[derive(Clone, Debug)]
pub struct RegisterDevice {
    /// The id it gets, unless the account knows its key already.
    pub id: DeviceId,
    /// Whose it becomes.
    pub account: AccountId,
    /// What its owner calls it.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Thumbprint of the key that it proved.
    pub key: [u8; 32],
    /// The sign-in that it registers by, whose own device gives up its place to it.
    pub sign_in: Option<SignInId>,
    /// Now.
    pub now: Timestamp,
}

/// A registered device, and the number of its new ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The device.
    pub device: Device,
    /// The ticket's number.
    pub epoch: u64,
    /// Whether it took a place just now.
    pub is_new: bool,
}

/// A sign-in that plays without a registered device.
#[derive(Clone, Debug)]
pub struct SignInDevice {
    /// Whose.
    pub account: AccountId,
    /// The sign-in, which is the device.
    pub sign_in: SignInId,
    /// When it ends.
    pub signed_in_until: Timestamp,
    /// What its owner reads.
    pub name: String,
    /// Now.
    pub now: Timestamp,
}

impl Store {
    /// Registers a device, or finds the one that the account has with this key; either gets a new
    /// ticket. One that was removed takes a place anew.
    ///
    /// The inner error is the refusal: the plan is full. The outer ones: [`StoreError::Missing`]
    /// when there is no such account.
    pub async fn register_device(
        &self,
        request: &RegisterDevice,
    ) -> Result<Result<Registered, DeviceRefused>, StoreError> {
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            let max_devices = lock_account(&mut open, request.account).await?;
            if let Some(sign_in) = request.sign_in {
                release(&mut open, request.account, sign_in).await?;
            }
            let known = by_key(&mut open, request.account, &request.key).await?;
            let devices = active(&mut open, request.account).await?;
            let own = known.as_ref().filter(|device| device.removed.is_none());
            let decided = match own {
                Some(own) => keep(&devices, max_devices, own, request.now),
                None => admit(&devices, max_devices, None, request.now),
            };
            if let Err(refused) = decided {
                return Ok(Err(refused));
            }
            let is_new = own.is_none();
            let device = put(&mut open, request, known).await?;
            if is_new {
                end_tickets(&mut open, device.id).await?;
                forget_removed(&mut open, request.account).await?;
            }
            let epoch = issue(&mut open, device.id, request.now).await?;
            open.commit().await?;
            Ok(Ok(Registered { device, epoch, is_new }))
        })
        .await
    }

    /// Renews a registration, whether or not it has ended, and gives the device a new ticket.
    ///
    /// The inner error is the refusal, which changes nothing. The outer ones:
    /// [`StoreError::Missing`] when there is no such account.
    pub async fn renew_device(
        &self,
        id: DeviceId,
        account: AccountId,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Result<Registered, DeviceRefused>, StoreError> {
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            let max_devices = lock_account(&mut open, account).await?;
            let found = by_id(&mut open, id).await?;
            if let Err(refused) = may_renew(found.as_ref(), account, key) {
                return Ok(Err(refused));
            }
            let Some(mut device) = found else { return Ok(Err(DeviceRefused::NotRegistered)) };
            let devices = active(&mut open, account).await?;
            if let Err(refused) = keep(&devices, max_devices, &device, now) {
                return Ok(Err(refused));
            }
            (device.renewed, device.expires) = (now, now.plus_s(REGISTRATION_S));
            touch(&mut open, &device).await?;
            let epoch = issue(&mut open, id, now).await?;
            open.commit().await?;
            Ok(Ok(Registered { device, epoch, is_new: false }))
        })
        .await
    }

    /// The device that a sign-in without one stands for: registered at its first playback, kept
    /// as long as it shows signs of life. One that was removed comes back as such.
    ///
    /// The inner error is the refusal: the plan is full, or, unless `may_register`, the sign-in
    /// has no device. The outer ones: [`StoreError::Missing`] when there is no such account.
    pub async fn sign_in_device(
        &self,
        request: &SignInDevice,
        may_register: bool,
    ) -> Result<Result<Device, DeviceRefused>, StoreError> {
        let id = DeviceId::of_sign_in(request.sign_in);
        let is_settled = |device: &Device| {
            let is_alive = device.expires > request.now;
            let is_fresh = device.renewed.plus_s(ALIVE_EVERY_S) > request.now;
            device.removed.is_some() || is_alive && (is_fresh || !may_register)
        };
        match self.device(id).await? {
            Some(device) if is_settled(&device) => return Ok(Ok(device)),
            _ if !may_register => return Ok(Err(DeviceRefused::NotRegistered)),
            _ => {}
        }
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            let max_devices = lock_account(&mut open, request.account).await?;
            let known = by_id(&mut open, id).await?;
            if let Some(removed) = known.as_ref().filter(|device| device.removed.is_some()) {
                return Ok(Ok(removed.clone()));
            }
            let devices = active(&mut open, request.account).await?;
            let own = known.as_ref().filter(|device| takes_place(device, request.now));
            let decided = match own {
                Some(own) => keep(&devices, max_devices, own, request.now),
                None => admit(&devices, max_devices, None, request.now),
            };
            if let Err(refused) = decided {
                return Ok(Err(refused));
            }
            let device = put_sign_in(&mut open, request, known).await?;
            open.commit().await?;
            Ok(Ok(device))
        })
        .await
    }

    /// A device, removed or not.
    pub async fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError> {
        let select = query("SELECT * FROM devices WHERE id = $1").bind(id.as_bytes());
        self.rows.row(select).await?.as_ref().map(read_device).transpose()
    }

    /// The device that the account has with this key, removed or not.
    pub async fn device_by_key(
        &self,
        account: AccountId,
        key: &[u8; 32],
    ) -> Result<Option<Device>, StoreError> {
        let select = query("SELECT * FROM devices WHERE account = $1 AND device_key = $2")
            .bind(account.as_bytes())
            .bind(key);
        self.rows.row(select).await?.as_ref().map(read_device).transpose()
    }

    /// The devices that take a place of the account, in the order in which they came.
    pub async fn devices(
        &self,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Vec<Device>, StoreError> {
        let select = query(
            "SELECT * FROM devices WHERE account = $1 AND removed_at IS NULL \
             ORDER BY registered_at, id",
        );
        let rows = self.rows.rows(select.bind(account.as_bytes())).await?;
        let devices: Vec<Device> = rows.iter().map(read_device).collect::<Result<_, _>>()?;
        Ok(devices.into_iter().filter(|device| takes_place(device, now)).collect())
    }

    /// Takes a device away and frees its place at once. Unless it `plays_on` until what it holds
    /// ends, its tickets and its streams end too.
    ///
    /// False: the account has no such device.
    pub async fn remove_device(
        &self,
        account: AccountId,
        id: DeviceId,
        plays_on: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            lock_account(&mut open, account).await?;
            let update = query(
                "UPDATE devices SET removed_at = $3 \
                 WHERE id = $1 AND account = $2 AND removed_at IS NULL",
            )
            .bind(id.as_bytes())
            .bind(account.as_bytes())
            .bind(now);
            if open.run(update).await? == 0 {
                return Ok(false);
            }
            if !plays_on {
                end_tickets(&mut open, id).await?;
                let streams =
                    query("DELETE FROM playback_sessions WHERE account = $1 AND device = $2");
                open.run(streams.bind(account.as_bytes()).bind(id.as_bytes())).await?;
            }
            open.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Takes the number of a control message: of any number of messages with one number, one is
    /// taken, and none that is lower than another before it.
    ///
    /// The inner error is the refusal: [`DeviceRefused::OutOfOrder`], or
    /// [`DeviceRefused::Expired`] where the ticket has ended.
    pub async fn take_sequence(
        &self,
        device: DeviceId,
        epoch: u64,
        sequence: u64,
        now: Timestamp,
    ) -> Result<Result<(), DeviceRefused>, StoreError> {
        let Ok(epoch) = i64::try_from(epoch) else { return Ok(Err(DeviceRefused::Expired)) };
        // A number beyond what a row holds is far ahead of any that was taken.
        if let Ok(number) = i64::try_from(sequence) {
            let lowest = number.saturating_sub(i64::try_from(MAX_SKIP).unwrap_or(i64::MAX));
            let update = query(
                "UPDATE device_tickets SET sequence = $3 WHERE device = $1 AND epoch = $2 \
                 AND sequence < $3 AND sequence >= $4 AND expires_at > $5",
            )
            .bind(device.as_bytes())
            .bind(epoch)
            .bind(number)
            .bind(lowest)
            .bind(now);
            if self.rows.run(Durability::Process, update).await? > 0 {
                return Ok(Ok(()));
            }
        }
        let select =
            query("SELECT expires_at FROM device_tickets WHERE device = $1 AND epoch = $2")
                .bind(device.as_bytes())
                .bind(epoch);
        let is_live = match self.rows.row(select).await? {
            None => false,
            Some(row) => row.time("expires_at")? > now,
        };
        Ok(Err(if is_live { DeviceRefused::OutOfOrder } else { DeviceRefused::Expired }))
    }
}

/// Locks the account. Returns how many devices its plan allows.
async fn lock_account(open: &mut Transaction, account: AccountId) -> Result<u32, Failure> {
    let lock = query("SELECT id FROM accounts WHERE id = $1 FOR UPDATE");
    open.lock(lock.bind(account.as_bytes())).await?;
    let plan = query(
        "SELECT plans.max_devices AS max_devices FROM accounts \
         JOIN plans ON plans.name = accounts.plan WHERE accounts.id = $1",
    );
    Ok(open.row(plan.bind(account.as_bytes())).await?.u32("max_devices")?)
}

async fn by_id(open: &mut Transaction, id: DeviceId) -> Result<Option<Device>, Failure> {
    let select = query("SELECT * FROM devices WHERE id = $1").bind(id.as_bytes());
    Ok(open.rows(select).await?.first().map(read_device).transpose()?)
}

async fn by_key(
    open: &mut Transaction,
    account: AccountId,
    key: &[u8; 32],
) -> Result<Option<Device>, Failure> {
    let select = query("SELECT * FROM devices WHERE account = $1 AND device_key = $2");
    let rows = open.rows(select.bind(account.as_bytes()).bind(key)).await?;
    Ok(rows.first().map(read_device).transpose()?)
}

async fn active(open: &mut Transaction, account: AccountId) -> Result<Vec<Device>, Failure> {
    let select = query("SELECT * FROM devices WHERE account = $1 AND removed_at IS NULL");
    let rows = open.rows(select.bind(account.as_bytes())).await?;
    Ok(rows.iter().map(read_device).collect::<Result<_, StoreError>>()?)
}

/// The sign-in plays on the registered device from now on.
async fn release(
    open: &mut Transaction,
    account: AccountId,
    sign_in: SignInId,
) -> Result<(), Failure> {
    let delete = query(
        "DELETE FROM devices WHERE id = $1 AND account = $2 AND device_key IS NULL \
         AND removed_at IS NULL",
    );
    open.run(delete.bind(sign_in.as_bytes()).bind(account.as_bytes())).await.map(drop)
}

async fn put(
    open: &mut Transaction,
    request: &RegisterDevice,
    known: Option<Device>,
) -> Result<Device, Failure> {
    let RegisterDevice { id, account, name, kind, key, now, .. } = request.clone();
    let was_active = known.as_ref().filter(|device| device.removed.is_none());
    let device = Device {
        id: known.as_ref().map_or(id, |device| device.id),
        registered: was_active.map_or(now, |device| device.registered),
        renewed: now,
        expires: now.plus_s(REGISTRATION_S),
        removed: None,
        key: Some(key),
        account,
        name,
        kind,
    };
    match known {
        None => insert(open, &device).await?,
        Some(_) => update(open, &device).await?,
    }
    Ok(device)
}

async fn put_sign_in(
    open: &mut Transaction,
    request: &SignInDevice,
    known: Option<Device>,
) -> Result<Device, Failure> {
    let SignInDevice { account, sign_in, signed_in_until, now, .. } = *request;
    let kept = known.as_ref().filter(|device| takes_place(device, now));
    let device = Device {
        id: DeviceId::of_sign_in(sign_in),
        account,
        name: request.name.clone(),
        kind: DeviceKind::Browser,
        key: None,
        registered: kept.map_or(now, |device| device.registered),
        renewed: now,
        expires: now.plus_s(REGISTRATION_S).min(signed_in_until),
        removed: None,
    };
    match known {
        None => insert(open, &device).await?,
        Some(_) => update(open, &device).await?,
    }
    Ok(device)
}

async fn insert(open: &mut Transaction, device: &Device) -> Result<(), Failure> {
    let insert = query(
        "INSERT INTO devices (id, account, name, kind, device_key, registered_at, renewed_at, \
         expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(device.id.as_bytes())
    .bind(device.account.as_bytes())
    .bind(device.name.as_str())
    .bind(device.kind.name())
    .bind(device.key)
    .bind(device.registered)
    .bind(device.renewed)
    .bind(device.expires);
    open.run(insert).await.map(drop)
}

async fn update(open: &mut Transaction, device: &Device) -> Result<(), Failure> {
    let update = query(
        "UPDATE devices SET name = $2, kind = $3, registered_at = $4, renewed_at = $5, \
         expires_at = $6, removed_at = NULL WHERE id = $1",
    )
    .bind(device.id.as_bytes())
    .bind(device.name.as_str())
    .bind(device.kind.name())
    .bind(device.registered)
    .bind(device.renewed)
    .bind(device.expires);
    open.run(update).await.map(drop)
}

async fn touch(open: &mut Transaction, device: &Device) -> Result<(), Failure> {
    let update = query("UPDATE devices SET renewed_at = $2, expires_at = $3 WHERE id = $1")
        .bind(device.id.as_bytes())
        .bind(device.renewed)
        .bind(device.expires);
    open.run(update).await.map(drop)
}

/// Numbers a new ticket of the device and makes room for it.
async fn issue(open: &mut Transaction, device: DeviceId, now: Timestamp) -> Result<u64, Failure> {
    let next = query("UPDATE devices SET last_epoch = last_epoch + 1 WHERE id = $1");
    open.run(next.bind(device.as_bytes())).await?;
    let select = query("SELECT last_epoch FROM devices WHERE id = $1").bind(device.as_bytes());
    let epoch = open.row(select).await?.integer("last_epoch")?;
    let old =
        query("DELETE FROM device_tickets WHERE device = $1 AND (expires_at <= $2 OR epoch <= $3)");
    let kept = epoch.saturating_sub(TICKETS_MAX);
    open.run(old.bind(device.as_bytes()).bind(now).bind(kept)).await?;
    let insert =
        query("INSERT INTO device_tickets (device, epoch, expires_at) VALUES ($1, $2, $3)")
            .bind(device.as_bytes())
            .bind(epoch)
            .bind(now.plus_s(REGISTRATION_S));
    open.run(insert).await?;
    u64::try_from(epoch).map_err(|_| StoreError::corrupt("last_epoch").into())
}

async fn end_tickets(open: &mut Transaction, device: DeviceId) -> Result<(), Failure> {
    let delete = query("DELETE FROM device_tickets WHERE device = $1");
    open.run(delete.bind(device.as_bytes())).await.map(drop)
}

/// Removed devices beyond those that are remembered leave, the oldest first.
async fn forget_removed(open: &mut Transaction, account: AccountId) -> Result<(), Failure> {
    let select = query(
        "SELECT id FROM devices WHERE account = $1 AND device_key IS NOT NULL \
         AND removed_at IS NOT NULL ORDER BY removed_at DESC, id LIMIT 1000 OFFSET $2",
    );
    for row in open.rows(select.bind(account.as_bytes()).bind(REMOVED_MAX)).await? {
        let id = DeviceId::from_bytes(row.array("id")?);
        end_tickets(open, id).await?;
        open.run(query("DELETE FROM devices WHERE id = $1").bind(id.as_bytes())).await?;
    }
    Ok(())
}

fn read_device(row: &Row) -> Result<Device, StoreError> {
    Ok(Device {
        id: DeviceId::from_bytes(row.array("id")?),
        account: AccountId::from_bytes(row.array("account")?),
        name: row.text("name")?,
        kind: row.parsed("kind", DeviceKind::parse)?,
        key: row.optional_array("device_key")?,
        registered: row.time("registered_at")?,
        renewed: row.time("renewed_at")?,
        expires: row.time("expires_at")?,
        removed: row.optional_time("removed_at")?,
    })
}
