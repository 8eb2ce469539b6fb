//! The running service: what every route and flow shares.

use crate::edge_routes::Delivery;
use crate::front::attempts::Attempts;
use crate::front::devices::PROOFS_MAX;
use crate::front::issuers::Issuers;
use crate::front::limiter::Limiter;
use crate::front::password::Passwords;
use crate::ground::{Ground, Grounded};
use crate::home::{Home, HomeError};
use crate::outcome_log::OutcomeLog;
use crate::vault::Checkpoints;
use crate::vault_link::VaultLink;
use model::Timestamp;
use playback::log_seal::LogKey;
use playback::{TicketKey, TokenKey};
use std::sync::Arc;
use store::Store;
use store::ephemeral::{Claims, WhenFull};

/// Heartbeats of one playback session in one window, and as many requests with its events: a viewer
/// who scrubs makes his player report more often than it is asked to.
const REPORTS: u32 = 120;
/// Length of that window, seconds.
const REPORTS_WINDOW_S: u32 = 60;

/// Everything the routes share.
pub struct Service {
    /// Settings, clock, random bytes, countries.
    pub ground: Arc<Ground>,
    /// Packages and the key of their passes.
    pub delivery: Arc<Delivery>,
    /// Rows.
    pub store: Store,
    /// Signs and checks tokens.
    pub token_key: TokenKey,
    /// Seals and opens device tickets.
    pub ticket_key: TicketKey,
    /// Proofs of device keys that were used.
    pub proofs: Claims<[u8; 32], ()>,
    /// Signs the audit.
    pub checkpoints: Checkpoints,
    /// The way to licenses.
    pub vault: VaultLink,
    /// When the service started; playback tokens from before are spent.
    pub boot: Timestamp,
    /// Identity providers whose tokens sign viewers in.
    pub issuers: Issuers,
    /// Sign-in tries.
    pub attempts: Attempts,
    /// Provisioning requests.
    pub provisionings: Attempts,
    /// Requests of each session.
    pub limiter: Limiter,
    /// What players tell of each playback session.
    pub reports: Limiter,
    /// Seals their logs.
    pub log_key: LogKey,
    /// How requests ended.
    pub outcomes: OutcomeLog,
    /// Password checks.
    pub passwords: Passwords,
}

impl Service {
    /// Starts the service in its home.
    ///
    /// Errors: [`HomeError`].
    pub async fn start(home: Home) -> Result<Arc<Self>, HomeError> {
        let boot = home.store.raise_boot_mark(home.clock.now()).await?;
        home.vault.look_at_credentials(home.clock.now()).await;
        let passwords = Passwords::new(&home.entropy);
        let limits = home.config.limits.clone();
        let issuers = Issuers::new(&home.config);
        let issuers = issuers.map_err(|(url, cause)| HomeError::Issuer { url, cause })?;
        let delivery = Delivery::new(&home.secrets.edge, home.objects, &home.config)?;
        let ground = Ground::new(home.config, home.clock, home.entropy)?;
        Ok(Arc::new(Self {
            ground: Arc::new(ground),
            delivery: Arc::new(delivery),
            token_key: home.secrets.token_key(),
            ticket_key: home.secrets.ticket_key(),
            proofs: Claims::new(PROOFS_MAX, WhenFull::Refuse),
            vault: VaultLink::in_process(home.grant_key, home.vault),
            passwords,
            issuers,
            attempts: Attempts::default(),
            provisionings: Attempts::default(),
            limiter: Limiter::new(limits.session_requests, limits.session_window_s),
            reports: Limiter::new(REPORTS, REPORTS_WINDOW_S),
            log_key: home.secrets.log_key(),
            outcomes: OutcomeLog::start(home.store.clone(), limits.outcomes_kept),
            store: home.store,
            checkpoints: home.checkpoints,
            boot,
        }))
    }
}

impl Grounded for Arc<Service> {
    fn ground(&self) -> &Ground {
        &self.ground
    }
}
