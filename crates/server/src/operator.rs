//! What the command line does to a home, by the service's own code.

use crate::front::devices;
use crate::front::password;
use crate::front::playback_token::{Question, covered, entitle, license_url};
use crate::home::Home;
use crate::http::problem::Refusal;
use crate::trail::Trail;
use model::{
    Account, AccountId, ContentId, DecisionId, DeviceId, Dialect, PlanName, PlaybackSessionId,
    Subscription, Timestamp, TokenId,
};
use playback::vault_token::{MAX_CONTENT, MAX_VAULT_TOKEN_S};
use playback::{ContentLimit, Denial, PlaybackToken, Scopes, VaultToken};
use std::io;
use store::StoreError;

/// Why an operator's wish was not done.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The service would say no as well.
    #[error("{code}: {sentence}", code = .0.code(), sentence = .0.viewer_sentence())]
    Denied(Denial),
    /// Nobody signs in with this name.
    #[error("there is no account named {0}")]
    NoAccount(String),
    /// Someone signs in with this name already.
    #[error("there is an account named {0} already")]
    AccountExists(String),
    /// No such plan.
    #[error("there is no plan named {0}")]
    NoPlan(PlanName),
    /// A name or a password that no sign-in would take.
    #[error("{0}")]
    Unusable(&'static str),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Anything else the service stumbled over.
    #[error(transparent)]
    Service(Refusal),
}

impl From<Refusal> for OperatorError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denial) => Self::Denied(denial),
            Refusal::Store(error) => Self::Store(error),
            other => Self::Service(other),
        }
    }
}

impl Home {
    /// Adds an account on a plan, paid for.
    ///
    /// Errors: [`OperatorError`]. Takes as long as a password check.
    pub async fn add_account(
        &self,
        name: &str,
        plan: &PlanName,
        password: &str,
    ) -> Result<AccountId, OperatorError> {
        password::check_usable(name, password).map_err(OperatorError::Unusable)?;
        let account = Account {
            id: self.entropy.with(AccountId::random),
            name: name.to_owned(),
            plan: plan.clone(),
            subscription: Subscription::Active,
        };
        let hash = password::hash(password.as_bytes(), &self.entropy);
        match self.store.insert_account(&account, &hash, self.clock.now()).await {
            Ok(()) => Ok(account.id),
            Err(StoreError::Conflict) => Err(OperatorError::AccountExists(name.to_owned())),
            Err(StoreError::Missing) => Err(OperatorError::NoPlan(plan.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a device of an account away, as its owner could; what it plays ends as the settings
    /// say. False: the account has no such device.
    ///
    /// Errors: [`OperatorError::Store`].
    pub async fn remove_device(
        &self,
        account: AccountId,
        device: DeviceId,
    ) -> Result<bool, OperatorError> {
        let (plays_on, now) = (self.config.devices.plays_on(), self.clock.now());
        let of = (account, device);
        Ok(devices::take_away(&self.store, "operator".to_owned(), of, plays_on, now).await?)
    }

    /// Mints a playback token as the running service would, without a stream slot. The viewer's
    /// country is unknown here, so a title with a region rule is denied.
    ///
    /// Errors: [`OperatorError::NoAccount`], [`OperatorError::Denied`].
    pub async fn mint_playback_token(
        &self,
        account: &str,
        content_id: &ContentId,
        device: Option<DeviceId>,
    ) -> Result<PlaybackToken, OperatorError> {
        let found = self.store.account_by_name(account).await?;
        let (account, _) = found.ok_or_else(|| OperatorError::NoAccount(account.to_owned()))?;
        let now = self.clock.now();
        let question = Question {
            account: account.id,
            content_id,
            country: None,
            decision: self.entropy.with(DecisionId::random),
            now,
            trail: &Trail::default(),
        };
        let entitlement = entitle(&self.store, &question).await?;
        Ok(PlaybackToken {
            id: self.entropy.with(TokenId::random),
            account: account.id,
            device: device.unwrap_or_else(|| self.entropy.with(DeviceId::random)),
            session: self.entropy.with(PlaybackSessionId::random),
            content_id: content_id.clone(),
            covers: covered(&self.store, content_id).await?,
            decision: entitlement.decision(),
            holds_slot: false,
            issued: now,
            expires: self.config.license_url_ends(now),
        })
    }

    /// Makes a token for the vault's routes, good for `hours` from now.
    ///
    /// Errors: [`OperatorError::Unusable`] where no vault would take it.
    pub fn mint_vault_token(
        &self,
        scopes: Scopes,
        content: ContentLimit,
        hours: u32,
    ) -> Result<(VaultToken, String), OperatorError> {
        let issued = Timestamp(self.clock.now().as_s() * 1000);
        let lives_s = u64::from(hours) * 3600;
        if !(1..=MAX_VAULT_TOKEN_S).contains(&lives_s) {
            return Err(OperatorError::Unusable("a token lives 1 to 8784 hours (366 days)"));
        }
        if matches!(&content, ContentLimit::Only(titles) if titles.len() > MAX_CONTENT) {
            return Err(OperatorError::Unusable("a token names at most 50 titles"));
        }
        let id = self.entropy.with(TokenId::random);
        let token = VaultToken { id, scopes, content, issued, expires: issued.plus_s(lives_s) };
        let text = self.vault.issue_token(&token);
        Ok((token, text))
    }

    /// The license URL that carries a playback token, at the address of the running service.
    #[must_use]
    pub fn license_url(&self, token: &PlaybackToken, dialect: Dialect) -> String {
        license_url(&self.service_origin(), dialect, &self.secrets.token_key(), token)
    }

    /// Scheme, host and port of the service of this home: the configured public origin, the
    /// running service's own word, or where it would listen.
    #[must_use]
    pub fn service_origin(&self) -> String {
        let listen = &self.config.listen;
        let scheme = if listen.tls_certificate.is_some() { "https" } else { "http" };
        listen
            .public_origin
            .clone()
            .or_else(|| self.running_at().ok())
            .unwrap_or_else(|| format!("{scheme}://{}", listen.address))
    }

    /// What the running service wrote about its address.
    fn running_at(&self) -> io::Result<String> {
        let text = std::fs::read_to_string(self.config.url_file())?;
        Ok(text.trim().to_owned())
    }
}
