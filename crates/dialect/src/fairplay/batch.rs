//! One request for several keys: each has its own SPC and its own license, for a license has one key
//! here, and a title whose keys change needs many at a time.

use super::challenge::{Answer, Desk, Issue};
use super::framing::{Framing, Shape};
use super::{Challenge, ChallengeError};
use crate::terms::LicensedKey;
use model::{Entropy, KeyId, Timestamp};

/// The SPCs of one request, all of them opened; one that is refused refuses the request.
#[derive(Debug)]
pub struct Batch {
    challenges: Vec<Challenge>,
    shape: Shape,
}

impl Batch {
    /// Reads the body of a request with one SPC or several.
    ///
    /// Errors: [`ChallengeError`]. Limits: [`super::MAX_BYTES`] for one, for several
    /// [`super::MAX_SPCS`] and [`super::MAX_BATCH_BYTES`].
    pub fn parse(body: &[u8], desk: &Desk<'_>, now: Timestamp) -> Result<Self, ChallengeError> {
        let read = Framing::read(body)?;
        let framing = match read.shape {
            Shape::One(framing) => framing,
            Shape::Many => Framing::Json,
        };
        let mut challenges: Vec<Challenge> = Vec::with_capacity(read.spcs.len());
        for spc in &read.spcs {
            let challenge = Challenge::open(spc, framing, read.wants_persist, desk, now)?;
            if challenges.iter().any(|other| other.kid() == challenge.kid()) {
                return Err(ChallengeError::KidTwice);
            }
            challenges.push(challenge);
        }
        Ok(Self { challenges, shape: read.shape })
    }

    /// What each SPC asks, in the request's order; one at least.
    #[must_use]
    pub fn challenges(&self) -> &[Challenge] {
        &self.challenges
    }

    /// Whether the answer can say that one key is withheld and others are not.
    #[must_use]
    pub fn is_of_several(&self) -> bool {
        self.shape == Shape::Many
    }

    /// Writes the license of each key that was asked for and is among `keys`; the others are said to
    /// be withheld.
    #[must_use]
    pub fn answer(
        self,
        issue: &Issue<'_>,
        keys: &[LicensedKey],
        entropy: &mut dyn Entropy,
    ) -> Answer {
        let key_of = |kid: KeyId| keys.iter().find(|key| key.kid == kid);
        let (ckcs, licenses) = self
            .challenges
            .into_iter()
            .map(|challenge| {
                let key = key_of(challenge.kid());
                key.map(|key| challenge.write(issue, key, entropy)).unzip()
            })
            .unzip();
        Answer::of(self.shape, ckcs, licenses, issue)
    }
}
