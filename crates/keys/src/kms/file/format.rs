//! The content of a master key file: one root key or several versions of it, under one of two
//! seals.

use super::{MasterKeyError, Passphrase, Sealing};
use crate::seal::{NotOurs, OVERHEAD_BYTES, SealingKey};
use argon2::{Algorithm, Argon2, Params, Version};
use model::{Entropy, Timestamp};
use zeroize::Zeroizing;

const MAGIC_BYTES: usize = 16;
/// One key, which tells neither its version nor its age. Written until there were versions.
const MAGIC_ONE: &[u8; MAGIC_BYTES] = b"strongroom mek 1";
/// Several.
const MAGIC_SEVERAL: &[u8; MAGIC_BYTES] = b"strongroom mek 2";
const BY_PERMISSIONS: u8 = 0;
const BY_PASSPHRASE: u8 = 1;
const MEK_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
/// Version, moment, key.
const ENTRY_BYTES: usize = 4 + 8 + MEK_BYTES;
/// Most versions in one file: as many years.
pub(super) const MAX_VERSIONS: usize = 32;
/// Longest file that this module writes.
pub(super) const MAX_FILE_BYTES: usize = 2048;

/// Cost of a new passphrase seal: 64 MiB, 3 passes; spent once at each start.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3 };
/// The most that a file may ask for.
const MAX_COST: Cost = Cost { memory_kib: 1024 * 1024, passes: 16 };

/// One version of the root key, as it lies in the file.
pub(super) struct RawKey {
    /// From 1.
    pub(super) version: u32,
    /// When it was made; absent in files of one key.
    pub(super) made: Option<Timestamp>,
    /// The key.
    pub(super) bytes: Zeroizing<[u8; MEK_BYTES]>,
}

impl RawKey {
    /// Draws a fresh key.
    pub(super) fn generate(version: u32, made: Timestamp, entropy: &mut dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; MEK_BYTES]);
        entropy.fill(bytes.as_mut_slice());
        Self { version, made: Some(made), bytes }
    }
}

/// Writes a file.
///
/// Shape: `strongroom mek 2`, sealing, then the keys (sealing 0), or memory in KiB and passes of
/// Argon2id (4 bytes each, big-endian), salt (16 bytes) and the sealed keys (sealing 1), whose AAD
/// is all before it. The keys: how many (1 byte), then each: version (4 bytes), when it was made (milliseconds since the epoch, 8
/// bytes), the key; oldest first.
pub(super) fn write(
    keys: &[RawKey],
    sealing: Sealing<'_>,
    entropy: &mut dyn Entropy,
) -> Zeroizing<Vec<u8>> {
    // Room for all of it at once: a growing vector would leave copies of the keys.
    let mut plain = Zeroizing::new(Vec::with_capacity(1 + keys.len() * ENTRY_BYTES));
    plain.push(u8::try_from(keys.len()).expect("no more than MAX_VERSIONS"));
    for key in keys {
        plain.extend(key.version.to_be_bytes());
        plain.extend(key.made.unwrap_or(Timestamp(0)).0.to_be_bytes());
        plain.extend(key.bytes.iter());
    }
    let mut file = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES));
    file.extend(MAGIC_SEVERAL);
    match sealing {
        Sealing::Permissions => {
            file.push(BY_PERMISSIONS);
            file.extend(plain.iter());
        }
        Sealing::Passphrase(passphrase) => {
            let mut salt = [0; SALT_BYTES];
            entropy.fill(&mut salt);
            file.push(BY_PASSPHRASE);
            file.extend(COST.memory_kib.to_be_bytes());
            file.extend(COST.passes.to_be_bytes());
            file.extend(salt);
            let sealed = COST.sealing_key(passphrase, salt).seal(&plain, &file, entropy);
            file.extend(sealed);
        }
    }
    file
}

/// Reads a file: the keys, oldest first, one at least.
///
/// Shape: as [`write()`] makes it, or `strongroom mek 1`, sealing, and the bare key sealed alike.
/// Errors: [`MasterKeyError`]; [`MasterKeyError::File`] never.
pub(super) fn read(file: &[u8], sealing: Sealing<'_>) -> Result<Vec<RawKey>, MasterKeyError> {
    let (magic, rest) = file.split_first_chunk().ok_or(MasterKeyError::Malformed)?;
    let (kind, rest) = rest.split_first().ok_or(MasterKeyError::Malformed)?;
    let read_plain = match magic {
        MAGIC_ONE => read_one,
        MAGIC_SEVERAL => read_several,
        _ => return Err(MasterKeyError::Malformed),
    };
    match (*kind, sealing) {
        (BY_PERMISSIONS, Sealing::Permissions) => read_plain(rest),
        (BY_PASSPHRASE, Sealing::Passphrase(passphrase)) => {
            read_plain(&open_seal(file, rest, passphrase)?)
        }
        (BY_PERMISSIONS | BY_PASSPHRASE, _) => Err(MasterKeyError::OtherSealing),
        _ => Err(MasterKeyError::Malformed),
    }
}

fn read_one(plain: &[u8]) -> Result<Vec<RawKey>, MasterKeyError> {
    let key: &[u8; MEK_BYTES] = plain.try_into().map_err(|_| MasterKeyError::Malformed)?;
    Ok(vec![RawKey { version: 1, made: None, bytes: Zeroizing::new(*key) }])
}

fn read_several(plain: &[u8]) -> Result<Vec<RawKey>, MasterKeyError> {
    let (count, rest) = plain.split_first().ok_or(MasterKeyError::Malformed)?;
    let (entries, []) = rest.as_chunks::<ENTRY_BYTES>() else {
        return Err(MasterKeyError::Malformed);
    };
    let has_all = entries.len() == usize::from(*count);
    if !has_all || !(1..=MAX_VERSIONS).contains(&entries.len()) {
        return Err(MasterKeyError::Malformed);
    }
    let mut keys: Vec<RawKey> = Vec::with_capacity(entries.len());
    for entry in entries {
        let (version, rest) = entry.split_first_chunk().ok_or(MasterKeyError::Malformed)?;
        let (made, key) = rest.split_first_chunk().ok_or(MasterKeyError::Malformed)?;
        let key: &[u8; MEK_BYTES] = key.try_into().map_err(|_| MasterKeyError::Malformed)?;
        let version = u32::from_be_bytes(*version);
        // Each version once, in order.
        if version <= keys.last().map_or(0, |last| last.version) {
            return Err(MasterKeyError::Malformed);
        }
        let made = Some(u64::from_be_bytes(*made)).filter(|made| *made != 0).map(Timestamp);
        keys.push(RawKey { version, made, bytes: Zeroizing::new(*key) });
    }
    Ok(keys)
}

fn open_seal(
    file: &[u8],
    rest: &[u8],
    passphrase: &Passphrase,
) -> Result<Zeroizing<Vec<u8>>, MasterKeyError> {
    let (memory_kib, rest) = rest.split_first_chunk().ok_or(MasterKeyError::Malformed)?;
    let (passes, rest) = rest.split_first_chunk().ok_or(MasterKeyError::Malformed)?;
    let (salt, sealed) = rest.split_first_chunk().ok_or(MasterKeyError::Malformed)?;
    let cost =
        Cost { memory_kib: u32::from_be_bytes(*memory_kib), passes: u32::from_be_bytes(*passes) };
    let plain_bytes = sealed.len().checked_sub(OVERHEAD_BYTES).ok_or(MasterKeyError::Malformed)?;
    if plain_bytes > 1 + MAX_VERSIONS * ENTRY_BYTES || !cost.is_bearable() {
        return Err(MasterKeyError::Malformed);
    }
    let aad = file.get(..file.len() - sealed.len()).ok_or(MasterKeyError::Malformed)?;
    let mut plain = Zeroizing::new(vec![0; plain_bytes]);
    cost.sealing_key(passphrase, *salt)
        .open(sealed, aad, &mut plain)
        .map_err(|NotOurs| MasterKeyError::Integrity)?;
    Ok(plain)
}

/// What Argon2id spends.
#[derive(Clone, Copy)]
struct Cost {
    memory_kib: u32,
    passes: u32,
}

impl Cost {
    fn is_bearable(self) -> bool {
        (8..=MAX_COST.memory_kib).contains(&self.memory_kib)
            && (1..=MAX_COST.passes).contains(&self.passes)
    }

    fn sealing_key(self, passphrase: &Passphrase, salt: [u8; SALT_BYTES]) -> SealingKey {
        let mut key = Zeroizing::new([0; 32]);
        let params = Params::new(self.memory_kib, self.passes, 1, Some(key.len()));
        let params = params.expect("the cost was checked");
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.0.as_bytes(), &salt, key.as_mut_slice())
            .expect("passphrase, salt and key have lengths that Argon2 takes");
        SealingKey::new(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn keys(versions: &[u32]) -> Vec<RawKey> {
        versions.iter().map(|v| RawKey::generate(*v, NOW, &mut SystemEntropy)).collect()
    }

    #[test]
    fn versions_come_back_with_their_moments() {
        let written = keys(&[1, 2, 7]);
        let file = write(&written, Sealing::Permissions, &mut SystemEntropy);
        let read_back = read(&file, Sealing::Permissions).unwrap();
        let facts = |keys: &[RawKey]| -> Vec<_> {
            keys.iter().map(|key| (key.version, key.made, *key.bytes)).collect()
        };
        assert_eq!(facts(&read_back), facts(&written));
        for at in 0..file.len() {
            assert!(read(&file[..at], Sealing::Permissions).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn versions_out_of_order_or_too_many_are_refused() {
        let many: Vec<u32> = (1..=33).collect();
        for versions in [&[][..], &[0], &[2, 1], &[1, 1], &many] {
            let file = write(&keys(versions), Sealing::Permissions, &mut SystemEntropy);
            assert!(read(&file, Sealing::Permissions).is_err(), "{versions:?}");
        }
        let file = write(&keys(&many[..32]), Sealing::Permissions, &mut SystemEntropy);
        assert!(file.len() <= MAX_FILE_BYTES);
        assert_eq!(read(&file, Sealing::Permissions).unwrap().len(), MAX_VERSIONS);
    }

    /// Files of the first shape, as services have them.
    #[test]
    fn a_file_of_one_key_still_opens() {
        let open = [&MAGIC_ONE[..], &[BY_PERMISSIONS], &[7; 32]].concat();
        let key = read(&open, Sealing::Permissions).unwrap().pop().unwrap();
        assert_eq!((key.version, key.made, *key.bytes), (1, None, [7; 32]));
        let own = Passphrase::parse(Zeroizing::new("correct horse battery".into())).unwrap();
        let cheap = Cost { memory_kib: 8, passes: 1 };
        let head = [MAGIC_ONE, &[BY_PASSPHRASE, 0, 0, 0, 8, 0, 0, 0, 1][..], &[3; 16]].concat();
        let seal = cheap.sealing_key(&own, [3; 16]).seal(&[7; 32], &head, &mut SystemEntropy);
        let key = read(&[head, seal].concat(), Sealing::Passphrase(&own)).unwrap().pop().unwrap();
        assert_eq!((key.version, *key.bytes), (1, [7; 32]));
    }
}
