//! Identity providers whose tokens sign viewers in: their rules and their keys.

mod client;
mod key_cache;

pub use client::{ClientError, reached};

use crate::config::{self, Config};
use crate::http::problem::Refusal;
use client::JwksClient;
use key_cache::KeyCache;
use model::{PlanName, Timestamp};
use playback::issuer::{IssuerRules, IssuerToken, KeySet, UncheckedToken, Unproved, UnprovedToken};
use playback::{Denial, TokenRefused};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a token that may be good signs nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerRefused {
    /// Its subject has no account.
    #[error("a subject without an account")]
    NoAccount,
    /// The issuer's keys are not known and cannot be asked for.
    #[error("the issuer's keys cannot be had")]
    Away,
}

/// The issuers of the settings.
pub struct Issuers(Vec<Arc<Issuer>>);

/// One issuer.
pub struct Issuer {
    settings: config::issuer::Issuer,
    rules: IssuerRules,
    client: JwksClient,
    cache: Mutex<KeyCache>,
    /// Held while its keys are asked for: one question at a time.
    asking: tokio::sync::Mutex<()>,
}

impl Issuers {
    /// The issuers of the settings; none of them is asked yet.
    ///
    /// Errors: the issuer and what is wrong with its settings.
    pub fn new(config: &Config) -> Result<Self, (String, ClientError)> {
        let issuer = |settings: &config::issuer::Issuer| {
            let client = JwksClient::new(settings, config.mode);
            let client = client.map_err(|error| (settings.url.clone(), error))?;
            Ok(Arc::new(Issuer {
                rules: settings.rules(),
                settings: settings.clone(),
                client,
                cache: Mutex::default(),
                asking: tokio::sync::Mutex::default(),
            }))
        };
        config.issuer.iter().map(issuer).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `text` is a token of an issuer that counts now: 1 its shape, 2 whose it says it is,
    /// 3 what it claims, 4 the issuer's keys, 5 its signature.
    ///
    /// Errors: [`Refusal::Token`]; [`IssuerRefused::Away`] where its keys are not known and cannot
    /// be asked for.
    pub async fn verify(
        &self,
        text: &str,
        now: Timestamp,
    ) -> Result<(&Arc<Issuer>, IssuerToken), Refusal> {
        let (issuer, token) = self.read(text, now)?;
        let keys = issuer.keys_for(&token, now).await?;
        Ok((issuer, prove(token, &keys)?))
    }

    /// The same by the keys that are held already: nothing is asked.
    #[must_use]
    pub fn verify_by_held_keys(&self, text: &str, now: Timestamp) -> Option<IssuerToken> {
        let (issuer, token) = self.read(text, now).ok()?;
        let keys = issuer.cache().usable(now)?;
        token.prove(&keys).ok()
    }

    fn read<'a>(
        &self,
        text: &'a str,
        now: Timestamp,
    ) -> Result<(&Arc<Issuer>, UnprovedToken<'a>), TokenRefused> {
        // Most services have none: nothing is read for them.
        if self.0.is_empty() {
            return Err(TokenRefused::Invalid);
        }
        let token = UncheckedToken::parse(text)?;
        let is_its = |issuer: &&Arc<Issuer>| token.issuer() == Some(&issuer.rules.issuer);
        let issuer = self.0.iter().find(is_its).ok_or(TokenRefused::Invalid)?;
        Ok((issuer, token.check(&issuer.rules, now)?))
    }
}

fn prove(token: UnprovedToken<'_>, keys: &KeySet) -> Result<IssuerToken, TokenRefused> {
    token.prove(keys).map_err(|unproved| match unproved {
        Unproved::UnknownKey => TokenRefused::Invalid,
        Unproved::Refused(refused) => refused,
    })
}

impl Issuer {
    /// How it is set up.
    #[must_use]
    pub const fn settings(&self) -> &config::issuer::Issuer {
        &self.settings
    }

    /// The plan that a token names by the settings. `None`: the settings leave plans to the operator.
    ///
    /// Errors: [`Denial::PlanNotEntitled`] for who has no plan here.
    pub fn plan_of(&self, token: &IssuerToken) -> Result<Option<PlanName>, Denial> {
        let Some(claim) = &self.settings.plan_claim else { return Ok(None) };
        let said = token.text(claim).and_then(|value| self.settings.plans.get(value));
        let name = said.or(self.settings.plan.as_ref()).ok_or(Denial::PlanNotEntitled)?;
        PlanName::parse(name).map(Some).map_err(|_| Denial::PlanNotEntitled)
    }

    /// The keys to check a token with.
    ///
    /// A key that is held serves at once, and a set that is no longer fresh is fetched anew beside
    /// that. A token whose key is not held waits for one question, of which there is one in an
    /// interval, however many such tokens come.
    ///
    /// Errors: [`IssuerRefused::Away`].
    async fn keys_for(
        self: &Arc<Self>,
        token: &UnprovedToken<'_>,
        now: Timestamp,
    ) -> Result<Arc<KeySet>, Refusal> {
        let held = self.cache().usable(now);
        if let Some(keys) = held.filter(|keys| token.is_known_to(keys)) {
            self.refresh(now);
            return Ok(keys);
        }
        // Nobody is asked for the sake of a token that would be refused anyway.
        if token.is_over() {
            return Err(TokenRefused::Invalid.into());
        }
        {
            let _turn = self.asking.lock().await;
            self.ask(now).await;
        }
        let cache = self.cache();
        let is_away = cache.is_away();
        let keys = cache.usable(now).filter(|keys| token.is_known_to(keys) || !is_away);
        keys.ok_or(IssuerRefused::Away.into())
    }

    /// Fetches keys that are no longer fresh, beside the request.
    fn refresh(self: &Arc<Self>, now: Timestamp) {
        let is_due = {
            let cache = self.cache();
            !cache.is_fresh(now) && cache.may_ask(now, self.settings.refetch_s)
        };
        if is_due {
            let issuer = Arc::clone(self);
            tokio::spawn(async move {
                if let Ok(_turn) = issuer.asking.try_lock() {
                    issuer.ask(now).await;
                }
            });
        }
    }

    /// Asks for the keys, unless that was done just now.
    async fn ask(&self, now: Timestamp) {
        {
            let mut cache = self.cache();
            if !cache.may_ask(now, self.settings.refetch_s) {
                return;
            }
            cache.ask(now);
        }
        let fetched = self.client.fetch().await;
        let mut cache = self.cache();
        match fetched {
            Ok(fetched) => {
                cache.take(fetched.keys, fetched.max_age_s, self.settings.outage_s, now);
            }
            Err(error) => {
                tracing::warn!(issuer = self.settings.url, %error, "its keys were not fetched");
                cache.miss();
            }
        }
    }

    fn cache(&self) -> MutexGuard<'_, KeyCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
