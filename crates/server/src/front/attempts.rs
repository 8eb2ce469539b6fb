//! Tries to sign in, and to be provisioned: so many a minute for one address and name.

use crate::http::problem::Refusal;
use model::Timestamp;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Tries in one window.
pub const MAX_TRIES: u32 = 10;
/// Length of a window, seconds.
pub const WINDOW_S: u64 = 60;
/// Windows remembered at once; beyond that, newcomers wait.
const MAX_WINDOWS: usize = 100_000;

struct Window {
    ends: Timestamp,
    tries: u32,
}

/// Counts tries. Forgets a window when it ends.
#[derive(Default)]
pub struct Attempts(Mutex<HashMap<(IpAddr, String), Window>>);

impl Attempts {
    /// Counts a try of `name` from `address`. `name` is bounded by its caller.
    ///
    /// Errors: [`Refusal::RateLimited`] beyond [`MAX_TRIES`] in [`WINDOW_S`].
    pub fn count(&self, address: IpAddr, name: &str, now: Timestamp) -> Result<(), Refusal> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= MAX_WINDOWS {
            windows.retain(|_, window| window.ends > now);
        }
        let key = (network(address), name.to_owned());
        if windows.len() >= MAX_WINDOWS && !windows.contains_key(&key) {
            return Err(Refusal::RateLimited { retry_after_s: WINDOW_S });
        }
        let window = windows.entry(key).or_insert(Window { ends: now.plus_s(WINDOW_S), tries: 0 });
        if window.ends <= now {
            *window = Window { ends: now.plus_s(WINDOW_S), tries: 0 };
        }
        if window.tries >= MAX_TRIES {
            let wait_ms = window.ends.0.saturating_sub(now.0);
            return Err(Refusal::RateLimited { retry_after_s: wait_ms.div_ceil(1000) });
        }
        window.tries += 1;
        Ok(())
    }
}

/// What counts as one address: an IPv6 customer has at least a /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn used_up(attempts: &Attempts, address: &str, name: &str, now: Timestamp) -> bool {
        attempts.count(address.parse().unwrap(), name, now).is_err()
    }

    #[test]
    fn the_eleventh_try_in_a_minute_waits() {
        let attempts = Attempts::default();
        for _ in 0..MAX_TRIES {
            assert!(!used_up(&attempts, "192.0.2.1", "ada", NOW));
        }
        assert!(used_up(&attempts, "192.0.2.1", "ada", NOW));
        assert!(used_up(&attempts, "192.0.2.1", "ada", Timestamp(NOW.plus_s(60).0 - 1)));
        assert!(!used_up(&attempts, "192.0.2.2", "ada", NOW), "another address");
        assert!(!used_up(&attempts, "192.0.2.1", "bob", NOW), "another name");
        assert!(!used_up(&attempts, "192.0.2.1", "ada", NOW.plus_s(60)), "a minute later");
    }

    #[test]
    fn one_customer_of_ipv6_is_one_address() {
        let attempts = Attempts::default();
        for host in 0..MAX_TRIES {
            assert!(!used_up(&attempts, &format!("2001:db8::{host:x}"), "ada", NOW));
        }
        assert!(used_up(&attempts, "2001:db8::ffff:1", "ada", NOW));
        assert!(!used_up(&attempts, "2001:db8:0:1::1", "ada", NOW));
    }
}
