//! Passwords: Argon2id, away from the reactor, never many at once.

use crate::entropy::EntropySource;
use crate::http::problem::Refusal;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Longest password, bytes.
const MAX_PASSWORD: usize = 1024;
/// Longest account name, bytes.
const MAX_NAME: usize = 256;
/// Checks at once: each takes 19 MiB and a core for some 20 ms.
const AT_ONCE: usize = 2;
/// Longest wait for one's turn.
const TURN: Duration = Duration::from_secs(3);

/// Checks passwords.
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// A hash that no password has: checked for unknown names, so that they take as long.
    nobody: Arc<str>,
}

impl Passwords {
    /// Makes the check; takes as long as one.
    #[must_use]
    pub fn new(entropy: &EntropySource) -> Self {
        let mut password = [0; 32];
        entropy.with(|entropy| entropy.fill(&mut password));
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), nobody: hash(&password, entropy).into() }
    }

    /// Whether `password` has the PHC string `stored`; without one never, in the same time.
    ///
    /// Errors: [`Refusal::Overloaded`] when too many wait for their turn.
    pub async fn check(
        &self,
        password: Zeroizing<String>,
        stored: Option<String>,
    ) -> Result<bool, Refusal> {
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.turns).acquire_owned());
        let turn = turn.await.map_err(|_| Refusal::Overloaded)?.map_err(|_| Refusal::Overloaded)?;
        let nobody = Arc::clone(&self.nobody);
        // Accounts of an issuer have no password; that takes as long as a wrong one.
        let stored = stored.filter(|stored| !stored.is_empty());
        let check = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let is_known = stored.is_some();
            let fits = verify(password.as_bytes(), stored.as_deref().unwrap_or(&nobody));
            is_known && fits
        });
        check.await.map_err(|error| Refusal::Internal(error.to_string()))
    }
}

/// Whether name and password are of a kind that accounts may have.
///
/// Errors: the sentence that says what is wrong.
pub fn check_usable(name: &str, password: &str) -> Result<(), &'static str> {
    check_name(name)?;
    if password.is_empty() || password.len() > MAX_PASSWORD {
        return Err("a password has 1 to 1024 bytes");
    }
    Ok(())
}

/// Whether accounts may have this name.
///
/// Errors: the sentence that says what is wrong.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err("an account's name has 1 to 256 bytes");
    }
    Ok(())
}

fn verify(password: &[u8], stored: &str) -> bool {
    PasswordHash::new(stored)
        .is_ok_and(|stored| Argon2::default().verify_password(password, &stored).is_ok())
}

/// The PHC string of a password: Argon2id, 19 MiB, 2 passes (OWASP's first choice).
#[must_use]
pub fn hash(password: &[u8], entropy: &EntropySource) -> String {
    let mut salt = [0; 16];
    entropy.with(|entropy| entropy.fill(&mut salt));
    Argon2::default()
        .hash_password_with_salt(password, &salt)
        .expect("a 16-byte salt and any password are within Argon2's limits")
        .to_string()
}
