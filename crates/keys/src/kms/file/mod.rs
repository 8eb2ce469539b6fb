//! The root key in a file: for development, and for services that accept it by name.
//!
//! Two seals: the file's permissions alone (0600), or a passphrase (Argon2id, AES-256-GCM).

mod format;

use super::{Kms, KmsError, KmsFuture, RootKey};
use crate::SystemEntropy;
use crate::context::KekContext;
use crate::kek::{KEK_BYTES, Kek};
use crate::seal::{NotOurs, SealingKey};
use format::{MAX_FILE_BYTES, MAX_VERSIONS, RawKey};
use model::{Entropy, Timestamp};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use zeroize::Zeroizing;

/// Shortest passphrase, bytes.
const MIN_PASSPHRASE: usize = 12;
/// Longest passphrase, bytes.
const MAX_PASSPHRASE: usize = 1024;

/// A passphrase, wiped on drop.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Reads a passphrase. Errors: [`MasterKeyError::Passphrase`] unless 12 to 1024 bytes.
    pub fn parse(text: Zeroizing<String>) -> Result<Self, MasterKeyError> {
        if (MIN_PASSPHRASE..=MAX_PASSPHRASE).contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err(MasterKeyError::Passphrase)
        }
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// What keeps the file's key from strangers.
#[derive(Clone, Copy, Debug)]
pub enum Sealing<'a> {
    /// Only the file's permissions.
    Permissions,
    /// A passphrase as well.
    Passphrase(&'a Passphrase),
}

/// Why a master key file is not used. Group: the first three are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file cannot be read or written.
    #[error("the master key file cannot be used: {0}")]
    File(#[from] io::Error),
    /// Others than its owner may read or write it, or it is no plain file.
    #[error("the master key file must be a plain file of mode 0600")]
    Permissions,
    /// A passphrase was given for a file without one, or the other way round.
    #[error("the master key file is sealed in another way")]
    OtherSealing,
    /// The passphrase is too short or too long to be used at all.
    #[error("a passphrase has 12 to 1024 bytes")]
    Passphrase,
    /// Wrong passphrase, or the file was changed.
    #[error("wrong passphrase, or the master key file was changed")]
    Integrity,
    /// Not a master key file.
    #[error("this is no master key file")]
    Malformed,
    /// No room for another version.
    #[error("the master key file holds 32 versions, and no more")]
    Full,
}

/// First byte of a KEK that is wrapped under version 1, from before there were versions.
const WRAPPED_UNVERSIONED: u8 = 1;
/// First byte of a KEK whose wrapping names the version.
const WRAPPED: u8 = 2;

/// The versions of a root key that were read from a file, the newest last; aws-lc wipes them.
pub struct FileKms(Vec<RootVersion>);

struct RootVersion {
    version: u32,
    made: Option<Timestamp>,
    key: SealingKey,
}

impl FileKms {
    /// Makes a fresh root key; returns the content of its file.
    pub fn create(
        sealing: Sealing<'_>,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Zeroizing<Vec<u8>> {
        let key = RawKey::generate(1, now, entropy);
        format::write(&[key], sealing, entropy)
    }

    /// Opens the content of a file. Takes about 0.2 s with a passphrase: not for a reactor.
    ///
    /// Errors: [`MasterKeyError`]; [`MasterKeyError::File`] never.
    pub fn open(file: &[u8], sealing: Sealing<'_>) -> Result<Self, MasterKeyError> {
        Ok(Self::of(&format::read(file, sealing)?))
    }

    fn of(keys: &[RawKey]) -> Self {
        let version = |raw: &RawKey| RootVersion {
            version: raw.version,
            made: raw.made,
            key: SealingKey::new(&raw.bytes),
        };
        Self(keys.iter().map(version).collect())
    }

    /// Whether the version that wrapped this is among those that were read.
    #[must_use]
    pub fn knows(&self, wrapped: &[u8]) -> bool {
        split(wrapped).is_some_and(|(version, _)| self.0.iter().any(|key| key.version == version))
    }

    /// Reads and opens a file, unless others than its owner may touch it.
    ///
    /// Errors: [`MasterKeyError`].
    pub fn open_file(path: &Path, sealing: Sealing<'_>) -> Result<Self, MasterKeyError> {
        Ok(Self::of(&read_file(&File::open(path)?, sealing)?))
    }

    /// Makes a fresh root key in a new file of mode 0600, all of it or nothing.
    ///
    /// Errors: [`MasterKeyError::File`], also where the file exists: a root key is never
    /// overwritten.
    pub fn create_file(
        path: &Path,
        sealing: Sealing<'_>,
        now: Timestamp,
    ) -> Result<Self, MasterKeyError> {
        let bytes = Self::create(sealing, now, &mut SystemEntropy);
        // A link fails where the name is taken; a rename would replace it.
        write_aside(path, &bytes, |unfinished| {
            let linked = fs::hard_link(unfinished, path);
            fs::remove_file(unfinished).and(linked)
        })?;
        Self::open(&bytes, sealing)
    }

    /// Makes a new version of the root key beside those in the file, all of it or nothing. Older
    /// versions stay: KEKs hang from them until they are wrapped anew.
    ///
    /// Errors: [`MasterKeyError`].
    pub fn rotate_file(
        path: &Path,
        sealing: Sealing<'_>,
        now: Timestamp,
    ) -> Result<Self, MasterKeyError> {
        let file = File::open(path)?;
        // Of two who rotate at once the second sees the first's file, and would lose its key.
        file.try_lock().map_err(|_| io::Error::other("somebody else is changing it"))?;
        let mut keys = read_file(&file, sealing)?;
        if keys.len() >= MAX_VERSIONS {
            return Err(MasterKeyError::Full);
        }
        let newest = keys.last().map_or(0, |key| key.version);
        keys.push(RawKey::generate(newest.saturating_add(1), now, &mut SystemEntropy));
        let bytes = format::write(&keys, sealing, &mut SystemEntropy);
        write_aside(path, &bytes, |unfinished| {
            use std::os::unix::fs::MetadataExt as _;
            let (own, there) = (file.metadata()?, fs::metadata(path)?);
            if (own.dev(), own.ino()) != (there.dev(), there.ino()) {
                return Err(io::Error::other("somebody else has changed it"));
            }
            fs::rename(unfinished, path)
        })?;
        Ok(Self::of(&keys))
    }
}

/// Reads the keys of an open file. What a file of one key does not say, its own time tells: it
/// was never written again.
fn read_file(file: &File, sealing: Sealing<'_>) -> Result<Vec<RawKey>, MasterKeyError> {
    // Asked of the open file: the name may mean another one a moment later.
    let meta = file.metadata()?;
    if !meta.is_file() || meta.permissions().mode() & 0o077 != 0 {
        return Err(MasterKeyError::Permissions);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES));
    file.take(MAX_FILE_BYTES as u64).read_to_end(&mut bytes)?;
    let mut keys = format::read(&bytes, sealing)?;
    let written = meta.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let written = Timestamp(u64::try_from(written.as_millis()).unwrap_or(u64::MAX));
    for key in &mut keys {
        key.made.get_or_insert(written);
    }
    Ok(keys)
}

/// Writes a file of mode 0600 under another name, has it take its place, and syncs both.
fn write_aside(
    path: &Path,
    bytes: &[u8],
    take_place: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{}", model::CorrelationId::random(&mut SystemEntropy)));
    let unfinished = Path::new(&unfinished);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| take_place(unfinished));
    if placed.is_err() {
        // Best effort: what is left over is sealed as the file is.
        drop(fs::remove_file(unfinished));
    }
    placed?;
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// The version that a KEK is wrapped under, and the seal.
///
/// Shape: 2, version (4 bytes, big-endian), seal; or the seal alone, whose first byte is 1, under
/// version 1.
fn split(wrapped: &[u8]) -> Option<(u32, &[u8])> {
    match wrapped.split_first()? {
        (&WRAPPED_UNVERSIONED, _) => Some((1, wrapped)),
        (&WRAPPED, rest) => {
            let (version, seal) = rest.split_first_chunk()?;
            Some((u32::from_be_bytes(*version), seal))
        }
        _ => None,
    }
}

impl Kms for FileKms {
    fn wrap<'a>(&'a self, kek: &'a Kek, context: &'a KekContext<'a>) -> KmsFuture<'a, Vec<u8>> {
        Box::pin(async move {
            let newest = self.0.last().ok_or(KmsError::Refused)?;
            let seal = newest.key.seal(kek.bytes(), &context.aad(), &mut SystemEntropy);
            Ok([&[WRAPPED], newest.version.to_be_bytes().as_slice(), &seal].concat())
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a [u8], context: &'a KekContext<'a>) -> KmsFuture<'a, Kek> {
        Box::pin(async move {
            let (version, seal) = split(wrapped).ok_or(KmsError::Integrity)?;
            let root = self.0.iter().find(|root| root.version == version);
            let mut bytes = Box::new(Zeroizing::new([0; KEK_BYTES]));
            root.ok_or(KmsError::Integrity)?
                .key
                .open(seal, &context.aad(), bytes.as_mut_slice())
                .map_err(|NotOurs| KmsError::Integrity)?;
            Ok(Kek::of(bytes))
        })
    }

    fn root_key(&self) -> RootKey {
        let newest = self.0.last();
        RootKey::Versioned {
            version: newest.map_or(0, |newest| newest.version),
            made: newest.and_then(|newest| newest.made),
        }
    }

    fn name(&self) -> &'static str {
        "file"
    }
}

impl std::fmt::Debug for FileKms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKms(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::{context, film, opened};
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::parse(Zeroizing::new(text.to_owned())).unwrap()
    }

    /// A folder of this test's own, gone with the value.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new() -> Self {
            let name = format!("keys-{}", model::CorrelationId::random(&mut SystemEntropy));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_passphrase_seals_and_every_changed_byte_refuses() {
        let right = passphrase("correct horse battery");
        let file = FileKms::create(Sealing::Passphrase(&right), NOW, &mut SystemEntropy);
        assert!(FileKms::open(&file, Sealing::Passphrase(&right)).is_ok());
        let wrong = passphrase("correct horse batterz");
        let refused = FileKms::open(&file, Sealing::Passphrase(&wrong));
        assert!(matches!(refused, Err(MasterKeyError::Integrity)));
        // One byte each of salt, nonce, ciphertext and tag: Argon2 makes all of them slow.
        for at in [16, 25, 42, 60, file.len() - 1] {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert!(FileKms::open(&changed, Sealing::Passphrase(&right)).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_file_that_asks_for_too_much_is_refused_before_the_work() {
        let own = passphrase("correct horse battery");
        let file = FileKms::create(Sealing::Passphrase(&own), NOW, &mut SystemEntropy);
        for (at, value) in [(17, u32::MAX), (17, 7), (21, u32::MAX), (21, 0)] {
            let mut greedy = file.clone();
            greedy[at..at + 4].copy_from_slice(&value.to_be_bytes());
            let refused = FileKms::open(&greedy, Sealing::Passphrase(&own));
            assert!(matches!(refused, Err(MasterKeyError::Malformed)), "{at} {value}");
        }
    }

    #[test]
    fn the_seal_must_be_the_expected_one() {
        let own = passphrase("correct horse battery");
        let open = FileKms::create(Sealing::Permissions, NOW, &mut SystemEntropy);
        let refused = FileKms::open(&open, Sealing::Passphrase(&own));
        assert!(matches!(refused, Err(MasterKeyError::OtherSealing)));
        for at in 0..open.len() {
            assert!(FileKms::open(&open[..at], Sealing::Permissions).is_err(), "{at} bytes");
        }
        assert!(Passphrase::parse(Zeroizing::new("too short".into())).is_err());
    }

    #[test]
    fn a_file_others_may_read_is_refused_and_none_is_overwritten() {
        let folder = Folder::new();
        let path = folder.0.join("master.key");
        FileKms::create_file(&path, Sealing::Permissions, NOW).unwrap();
        assert!(FileKms::open_file(&path, Sealing::Permissions).is_ok());
        assert!(matches!(
            FileKms::create_file(&path, Sealing::Permissions, NOW),
            Err(MasterKeyError::File(error)) if error.kind() == io::ErrorKind::AlreadyExists
        ));
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "no unfinished file stays");
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = FileKms::open_file(&path, Sealing::Permissions);
            assert!(matches!(refused, Err(MasterKeyError::Permissions)), "{mode:o}");
        }
        let refused = FileKms::open_file(&folder.0, Sealing::Permissions);
        assert!(matches!(refused, Err(MasterKeyError::Permissions)));
    }
    #[tokio::test]
    async fn a_rotated_file_wraps_under_the_new_key_and_opens_under_the_old() {
        let folder = Folder::new();
        let path = folder.0.join("master.key");
        let sealing = Sealing::Permissions;
        let before = FileKms::create_file(&path, sealing, NOW).unwrap();
        let (film, kek) = (film(), Kek::generate(&mut SystemEntropy));
        let old = before.wrap(&kek, &context(&film)).await.unwrap();
        let later = NOW.plus_s(60);
        let after = FileKms::rotate_file(&path, sealing, later).unwrap();
        assert_eq!(after.root_key(), RootKey::Versioned { version: 2, made: Some(later) });
        let new = after.wrap(&kek, &context(&film)).await.unwrap();
        assert_eq!((&old[..5], &new[..5]), (&[2, 0, 0, 0, 1][..], &[2, 0, 0, 0, 2][..]));
        let again = FileKms::open_file(&path, sealing).unwrap();
        for wrapped in [&old, &new] {
            assert!(again.knows(wrapped));
            assert_eq!(
                opened(&again, wrapped, &context(&film)).await.unwrap().bytes(),
                kek.bytes()
            );
        }
        assert!(before.knows(&old) && !before.knows(&new));
        let refused = opened(&before, &new, &context(&film)).await.unwrap_err();
        assert_eq!(refused, KmsError::Integrity);
        // What was wrapped before there were versions hangs from the first.
        let unversioned = &old[5..];
        assert!(opened(&again, unversioned, &context(&film)).await.is_ok());
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "no unfinished file stays");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn who_comes_second_to_a_rotation_is_refused() {
        let folder = Folder::new();
        let path = folder.0.join("master.key");
        FileKms::create_file(&path, Sealing::Permissions, NOW).unwrap();
        let held = File::open(&path).unwrap();
        held.lock().unwrap();
        assert!(FileKms::rotate_file(&path, Sealing::Permissions, NOW).is_err());
        held.unlock().unwrap();
        for version in 2..=MAX_VERSIONS {
            let rotated = FileKms::rotate_file(&path, Sealing::Permissions, NOW).unwrap();
            assert_eq!(rotated.0.len(), version);
        }
        let refused = FileKms::rotate_file(&path, Sealing::Permissions, NOW);
        assert!(matches!(refused, Err(MasterKeyError::Full)));
        assert_eq!(FileKms::open_file(&path, Sealing::Permissions).unwrap().0.len(), MAX_VERSIONS);
    }
}
