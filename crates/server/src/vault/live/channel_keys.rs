//! The keys of a channel: of the key service, a batch ahead, or given.

use super::super::Vault;
use super::super::packaging::PackagingError;
use crate::clock::Clock;
use keys::PackagingKeys;
use media::package::channel::ChannelState;
use model::{PackagedEvent, Title, TitleState, TrackClasses};
use std::sync::Arc;
use store::StoreError;
use tokio::runtime::Handle;

/// Where the keys of a channel come from.
pub(super) enum ChannelKeys {
    /// All are given: those of every period, too.
    Given(PackagingKeys),
    /// The key service makes them.
    Service {
        /// What makes them.
        service: Box<Service>,
        /// Whether the title is published, as soon as it can be joined.
        is_published: bool,
        /// Those that it made: of the tracks, and of the batch that is under way and the next.
        keys: PackagingKeys,
        /// The batch that is under way.
        batch: Option<u32>,
    },
}

/// The key service, seen from the thread of a channel.
pub(super) struct Service {
    pub(super) vault: Arc<Vault>,
    pub(super) title: Title,
    pub(super) runtime: Handle,
    pub(super) clock: Clock,
}

impl ChannelKeys {
    /// What there is.
    pub(super) const fn keys(&self) -> &PackagingKeys {
        let (Self::Given(keys) | Self::Service { keys, .. }) = self;
        keys
    }

    /// Asks for the keys of a period's batch and of the next one, once a batch: those of before
    /// are forgotten here.
    ///
    /// Errors: the segment of the period is not written.
    pub(super) fn of_period(
        &mut self,
        period: Option<u32>,
        classes: TrackClasses,
        state: &ChannelState,
    ) -> Result<(), PackagingError> {
        let (Some(rotation), Some(period)) = (state.rotation, period) else { return Ok(()) };
        let now = rotation.batch_of(period);
        let Self::Service { service, keys, batch, .. } = self else { return Ok(()) };
        if batch.replace(now) == Some(now) {
            return Ok(());
        }
        *keys = service.of_tracks(classes, state)?;
        let periods =
            rotation.periods_of(now).start..rotation.periods_of(now.saturating_add(1)).end;
        let event = Some((rotation, state.event_begins));
        let Service { vault, title, runtime, clock } = &**service;
        let made =
            vault.keys.period_keys(title, classes, &state.schemes, periods, event, clock.now());
        keys.extend(runtime.block_on(made)?);
        // What opens only segments that are gone; viewers may still hold licenses of it.
        let before = state.oldest();
        let forgotten = vault.keys.drop_stale_keys(title, before, clock.now());
        let forgotten = runtime.block_on(forgotten)?;
        if forgotten > 0 {
            tracing::info!(content_id = %title.content_id, forgotten, "stale keys are gone");
        }
        Ok(())
    }

    /// Asks for the keys that name the tracks, and without rotation encrypt them.
    pub(super) fn of_tracks(
        &mut self,
        classes: TrackClasses,
        state: &ChannelState,
    ) -> Result<(), PackagingError> {
        let Self::Service { service, keys, .. } = self else { return Ok(()) };
        *keys = service.of_tracks(classes, state)?;
        Ok(())
    }

    /// Publishes the title with its package, and tells of it once.
    pub(super) fn publish(&self, event: &PackagedEvent) -> Result<(), PackagingError> {
        let Self::Service { service, is_published: true, .. } = self else { return Ok(()) };
        service.runtime.block_on(service.publish(event))?;
        Ok(())
    }
}

impl Service {
    fn of_tracks(
        &self,
        classes: TrackClasses,
        state: &ChannelState,
    ) -> Result<PackagingKeys, PackagingError> {
        let keys = &self.vault.keys;
        let made = keys.packaging_keys(&self.title, classes, &state.schemes, self.clock.now());
        Ok(self.runtime.block_on(made)?)
    }

    async fn publish(&self, event: &PackagedEvent) -> Result<(), StoreError> {
        let store = &self.vault.store;
        let state = TitleState::Published { package: event.package_id };
        let known = store.title(&event.content_id).await?;
        if known.is_some_and(|title| title.state == state) {
            return Ok(());
        }
        match store.publish_package(&state, event, self.clock.now()).await {
            // Told of before; an operator took the title back meanwhile, or gave it another.
            Err(StoreError::Conflict) => {
                store.set_title_state(&event.content_id, &state).await.map(drop)
            }
            told => told,
        }
    }
}
