//! Records of use (`--usage-record`): the CDM keeps when a title was first and last played, even
//! where the player is killed, and the player brings it to the service: at its end, or at its next
//! start. What the service has acknowledged is kept no longer.

use super::cdm_client::{CdmProcess, Kept, Outgoing};
use super::library::{Library, Use};
use super::web::LicenseServer;
use super::{Player, offline};
use crate::command::{Failure, Place as Settings};
use cdm::{KeptId, SessionId};

/// A library whose uses are told.
pub struct Uses {
    library: Library,
    kept: Kept,
}

impl Player<'_> {
    /// Where uses are kept, where the command line asks for it.
    pub fn uses(&self, settings: &Settings, server: &str) -> Result<Option<Uses>, Failure> {
        if !self.arguments.keeping.usage_record {
            return Ok(None);
        }
        let library = offline::library(self.arguments, settings)?;
        let origin = offline::origin(server)?;
        let kept = Kept { store: library.licenses(), origin };
        Ok(Some(Uses { library, kept }))
    }
}

impl Uses {
    /// What the CDM keeps, and for whom.
    pub const fn kept(&self) -> &Kept {
        &self.kept
    }

    /// A use will have to be told.
    pub fn write_down(&self, kept: KeptId) -> Result<(), Failure> {
        let origin = self.kept.origin.as_str().to_owned();
        self.library.save_use(&Use { kept, origin }).map_err(Failure::Environment)
    }

    /// Ends a session and tells its use; whether it is over. What its service did not acknowledge
    /// stays kept.
    pub fn end(
        &self,
        player: &Player<'_>,
        cdm: &mut CdmProcess,
        server: &LicenseServer,
        (session, kept): (SessionId, KeptId),
    ) -> Result<bool, Failure> {
        // Of a session in which nothing played, nothing is kept.
        let message = cdm.release(session).map_err(Failure::Refused)?;
        let is_told = message.is_none_or(|one| self.tell(player, cdm, server, session, &one));
        if is_told {
            self.library.remove_use(kept).map_err(Failure::Environment)?;
        }
        Ok(is_told)
    }

    /// What earlier players did not come to tell.
    pub fn tell_earlier(
        &self,
        player: &Player<'_>,
        cdm: &mut CdmProcess,
        server: &LicenseServer,
    ) -> Result<(), Failure> {
        let records = cdm.list().map_err(Failure::Refused)?;
        for told in self.library.uses().map_err(Failure::Environment)? {
            if told.origin != self.kept.origin.as_str() {
                continue;
            }
            // Of a playback in which nothing played, nothing is kept.
            if records.iter().any(|record| record.id == told.kept) {
                let restored = cdm.restore(told.kept).map_err(Failure::Refused)?;
                let Some(message) = restored.message else { continue };
                // The playback that it was is over; it is told in this one.
                if !self.tell(player, cdm, server, restored.session, &message) {
                    continue;
                }
            }
            self.library.remove_use(told.kept).map_err(Failure::Environment)?;
        }
        Ok(())
    }

    /// Tells one use; whether its service acknowledged it. What it did not stays kept.
    fn tell(
        &self,
        player: &Player<'_>,
        cdm: &mut CdmProcess,
        server: &LicenseServer,
        session: SessionId,
        message: &Outgoing,
    ) -> bool {
        let told = player.carry(cdm, session, server, message, true);
        if let Err(failure) = &told {
            let error = failure.error();
            tracing::warn!(%error, "the service has not heard of a use; it is kept");
        }
        told.is_ok()
    }
}
