//! The root key in a file: for development, and for services that accept it by name.
//!
//! Two seals: the file's permissions alone (0600), or a passphrase (Argon2id, AES-256-GCM).

use super::{Kms, KmsError, KmsFuture};
use crate::SystemEntropy;
use crate::context::KekContext;
use crate::kek::{KEK_BYTES, Kek};
use crate::seal::{NotOurs, OVERHEAD_BYTES, SealingKey};
use argon2::{Algorithm, Argon2, Params, Version};
use model::Entropy;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use zeroize::Zeroizing;

const MAGIC: &[u8; 16] = b"strongroom mek 1";
const BY_PERMISSIONS: u8 = 0;
const BY_PASSPHRASE: u8 = 1;
const MEK_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
/// Longest file either seal makes.
const MAX_FILE_BYTES: usize = 128;

/// Cost of a new passphrase seal: 64 MiB, 3 passes; spent once at each start.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3 };
/// The most that a file may ask for.
const MAX_COST: Cost = Cost { memory_kib: 1024 * 1024, passes: 16 };
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
}

/// A root key that was read from a file; aws-lc wipes it.
pub struct FileKms(SealingKey);

impl FileKms {
    /// Makes a fresh root key; returns the content of its file.
    ///
    /// Shape: `strongroom mek 1`, sealing, then the key (sealing 0), or memory in KiB and
    /// passes of Argon2id (4 bytes each, big-endian), salt (16 bytes) and the sealed key
    /// (sealing 1), whose AAD is all before it.
    pub fn create(sealing: Sealing<'_>, entropy: &mut dyn Entropy) -> Zeroizing<Vec<u8>> {
        let mut mek = Zeroizing::new([0; MEK_BYTES]);
        entropy.fill(mek.as_mut_slice());
        let mut file = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES));
        file.extend(MAGIC);
        match sealing {
            Sealing::Permissions => {
                file.push(BY_PERMISSIONS);
                file.extend(mek.iter());
            }
            Sealing::Passphrase(passphrase) => {
                let mut salt = [0; SALT_BYTES];
                entropy.fill(&mut salt);
                file.push(BY_PASSPHRASE);
                file.extend(COST.memory_kib.to_be_bytes());
                file.extend(COST.passes.to_be_bytes());
                file.extend(salt);
                let sealed = COST.sealing_key(passphrase, salt).seal(&*mek, &file, entropy);
                file.extend(sealed);
            }
        }
        file
    }

    /// Opens the content of a file. Takes about 0.2 s with a passphrase: not for a reactor.
    ///
    /// Errors: [`MasterKeyError`]; [`MasterKeyError::File`] never.
    pub fn open(file: &[u8], sealing: Sealing<'_>) -> Result<Self, MasterKeyError> {
        let (magic, rest) = file.split_first_chunk().ok_or(MasterKeyError::Malformed)?;
        let (kind, rest) = rest.split_first().ok_or(MasterKeyError::Malformed)?;
        if magic != MAGIC {
            return Err(MasterKeyError::Malformed);
        }
        match (*kind, sealing) {
            (BY_PERMISSIONS, Sealing::Permissions) => {
                let mek = rest.try_into().map_err(|_| MasterKeyError::Malformed)?;
                Ok(Self(SealingKey::new(mek)))
            }
            (BY_PASSPHRASE, Sealing::Passphrase(passphrase)) => {
                Self::open_sealed(file, rest, passphrase)
            }
            (BY_PERMISSIONS | BY_PASSPHRASE, _) => Err(MasterKeyError::OtherSealing),
            _ => Err(MasterKeyError::Malformed),
        }
    }

    fn open_sealed(
        file: &[u8],
        rest: &[u8],
        passphrase: &Passphrase,
    ) -> Result<Self, MasterKeyError> {
        let (memory_kib, rest) = rest.split_first_chunk().ok_or(MasterKeyError::Malformed)?;
        let (passes, rest) = rest.split_first_chunk().ok_or(MasterKeyError::Malformed)?;
        let (salt, sealed) = rest.split_first_chunk().ok_or(MasterKeyError::Malformed)?;
        let cost = Cost {
            memory_kib: u32::from_be_bytes(*memory_kib),
            passes: u32::from_be_bytes(*passes),
        };
        if sealed.len() != MEK_BYTES + OVERHEAD_BYTES || !cost.is_bearable() {
            return Err(MasterKeyError::Malformed);
        }
        let aad = file.get(..file.len() - sealed.len()).ok_or(MasterKeyError::Malformed)?;
        let mut mek = Zeroizing::new([0; MEK_BYTES]);
        cost.sealing_key(passphrase, *salt)
            .open(sealed, aad, mek.as_mut_slice())
            .map_err(|NotOurs| MasterKeyError::Integrity)?;
        Ok(Self(SealingKey::new(&mek)))
    }

    /// Reads and opens a file, unless others than its owner may touch it.
    ///
    /// Errors: [`MasterKeyError`].
    pub fn open_file(path: &Path, sealing: Sealing<'_>) -> Result<Self, MasterKeyError> {
        let file = File::open(path)?;
        // Asked of the open file: the name may mean another one a moment later.
        let meta = file.metadata()?;
        if !meta.is_file() || meta.permissions().mode() & 0o077 != 0 {
            return Err(MasterKeyError::Permissions);
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES));
        file.take(MAX_FILE_BYTES as u64).read_to_end(&mut bytes)?;
        Self::open(&bytes, sealing)
    }

    /// Makes a fresh root key in a new file of mode 0600, all of it or nothing.
    ///
    /// Errors: [`MasterKeyError::File`], also where the file exists: a root key is never
    /// overwritten.
    pub fn create_file(path: &Path, sealing: Sealing<'_>) -> Result<Self, MasterKeyError> {
        let bytes = Self::create(sealing, &mut SystemEntropy);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(format!(".{}", model::CorrelationId::random(&mut SystemEntropy)));
        let unfinished = Path::new(&unfinished);
        let written =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished).and_then(
                |mut file| {
                    file.write_all(&bytes)?;
                    file.sync_all()?;
                    // A link fails where the name is taken; a rename would replace it.
                    fs::hard_link(unfinished, path)
                },
            );
        let removed = fs::remove_file(unfinished);
        written.and(removed)?;
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Self::open(&bytes, sealing)
    }
}

impl Kms for FileKms {
    fn wrap<'a>(&'a self, kek: &'a Kek, context: &'a KekContext<'a>) -> KmsFuture<'a, Vec<u8>> {
        Box::pin(async move { Ok(self.0.seal(kek.bytes(), &context.aad(), &mut SystemEntropy)) })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a [u8], context: &'a KekContext<'a>) -> KmsFuture<'a, Kek> {
        Box::pin(async move {
            let mut bytes = Box::new(Zeroizing::new([0; KEK_BYTES]));
            self.0
                .open(wrapped, &context.aad(), bytes.as_mut_slice())
                .map_err(|NotOurs| KmsError::Integrity)?;
            Ok(Kek::of(bytes))
        })
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
        let file = FileKms::create(Sealing::Passphrase(&right), &mut SystemEntropy);
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
        let file = FileKms::create(Sealing::Passphrase(&own), &mut SystemEntropy);
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
        let open = FileKms::create(Sealing::Permissions, &mut SystemEntropy);
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
        FileKms::create_file(&path, Sealing::Permissions).unwrap();
        assert!(FileKms::open_file(&path, Sealing::Permissions).is_ok());
        assert!(matches!(
            FileKms::create_file(&path, Sealing::Permissions),
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
}
