//! A policy's document: what is read is written back as the same policy, and gives a less
//! secure level no more than a more secure one.

use model::{PolicyName, SecurityLevel, TitlePolicy, TrackClass};

/// Reads `bytes` as a policy.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(name) = PolicyName::parse("fuzz") else { return };
    let policy = match TitlePolicy::parse(name.clone(), text) {
        Ok(policy) => policy,
        Err(error) => {
            assert!(error.to_string().len() < 2 * text.len() + 1000, "{error}");
            return;
        }
    };
    assert_eq!(TitlePolicy::parse(name, &policy.to_toml()).as_ref(), Ok(&policy));
    for class in TrackClass::ALL {
        let given = [SecurityLevel::L1, SecurityLevel::L2, SecurityLevel::L3]
            .map(|level| policy.check(level, class).is_ok());
        assert!(given.is_sorted_by(|more, less| more >= less), "{given:?}");
    }
}
