//! One track in one scheme while it is written: encrypted samples in a buffer that is used
//! again for every fragment.

use super::error::PackageError;
use super::keyring::Protection;
use super::output::{FileId, Output};
use crate::bmff::FourCc;
use crate::cenc::{self, SampleInfo, SampleInfoError, SampleIv, Seig, Subsample, TrackCipher};
use crate::cmaf::{
    Entry, Fragment, FragmentRotation, SampleProtection, open_media_data, write_segment_type,
};
use crate::codec::{ProtectedEnd, Run, TrackCodec};
use crate::input::Track;
use crate::manifest::{ByteSpan, KeyFrame, KeySignal};
use std::io::IoSlice;
use std::sync::Arc;

/// Number of the clear sample entry of an init that has one.
pub(super) const CLEAR_ENTRY: u32 = 2;

/// Buffers of one scheme, kept from track to track.
#[derive(Default)]
pub(crate) struct Buffers {
    /// Encrypted samples of the fragment.
    payload: Vec<u8>,
    /// Their entries in `senc`.
    info: Vec<u8>,
    /// The length of each entry.
    info_sizes: Vec<u8>,
    /// Subsamples of one sample.
    subsamples: Vec<Subsample>,
    /// One sample, decrypted again.
    decrypted: Vec<u8>,
    /// `styp` and `moof`.
    head: Vec<u8>,
}

/// The key that a track turns to.
pub(crate) struct KeyTurn {
    /// What fragments say of it.
    pub seig: Seig,
    /// The key's cipher.
    pub cipher: TrackCipher,
    /// IV of the next sample; none where it is constant.
    pub first_iv: Option<SampleIv>,
    /// The `pssh` boxes of the key's batch.
    pub pssh: Arc<[u8]>,
    /// Whether fragments say so, or manifests alone.
    pub signal: KeySignal,
}

/// One track in one scheme.
pub(crate) struct Rendition<'b, 'k> {
    /// Type of the source's sample entry.
    entry: FourCc,
    /// Where the protected parts of a sample end.
    protected_end: ProtectedEnd,
    pub protection: Protection<'k>,
    pub buffers: &'b mut Buffers,
    /// The file that is being written.
    pub file: FileId,
    /// Its path, for messages.
    pub path: String,
    /// Bytes written to it.
    pub written: u64,
    /// Whether what is added is left clear: the lead.
    pub is_clear: bool,
    /// The key frames that can be fetched alone.
    pub key_frames: Vec<KeyFrame>,
    next_iv: Option<SampleIv>,
    /// What each fragment says of its key, where that is not the init's.
    rotation: Option<(Seig, Arc<[u8]>)>,
    sequence: u32,
    has_subsamples: bool,
    /// How much of the fragment was verified: bytes of payload, of information, and samples.
    verified: (usize, usize, usize),
}

impl<'b, 'k> Rendition<'b, 'k> {
    pub fn new(
        protection: Protection<'k>,
        track: &Track,
        file: FileId,
        path: String,
        buffers: &'b mut Buffers,
    ) -> Self {
        let next_iv = protection.first_iv;
        let protected_end = match &track.codec {
            TrackCodec::Video(video) => video.codec.protected_end(protection.scheme),
            TrackCodec::Audio(_) => ProtectedEnd::Content,
        };
        let mut rendition = Self {
            protection,
            buffers,
            file,
            path,
            written: 0,
            is_clear: false,
            key_frames: Vec::new(),
            next_iv,
            rotation: None,
            sequence: 1,
            has_subsamples: matches!(track.codec, TrackCodec::Video(_)),
            entry: track.entry,
            protected_end,
            verified: (0, 0, 0),
        };
        rendition.clear();
        rendition
    }

    fn clear(&mut self) {
        self.buffers.payload.clear();
        self.buffers.info.clear();
        self.buffers.info_sizes.clear();
        self.verified = (0, 0, 0);
    }

    /// Encrypts under another key from the next fragment on.
    ///
    /// Errors: where samples of the key before it are not written yet.
    pub fn turn(&mut self, turn: KeyTurn) -> Result<(), PackageError> {
        if self.verified != (0, 0, 0) || !self.buffers.payload.is_empty() {
            let what = "a key changes within a fragment";
            return Err(PackageError::Verification { path: self.path.clone(), what });
        }
        self.protection.tenc = turn.seig.into();
        self.protection.cipher = Some(turn.cipher);
        self.next_iv = turn.first_iv;
        let is_in_band = turn.signal == KeySignal::InBand;
        self.rotation = is_in_band.then_some((turn.seig, turn.pssh));
        Ok(())
    }

    /// Gives the next fragment this number; each after it has the next.
    pub fn count_from(&mut self, sequence: u64) {
        self.sequence = u32::try_from(sequence).unwrap_or(u32::MAX);
    }

    /// Bytes of samples in the fragment so far.
    pub fn payload_len(&self) -> usize {
        self.buffers.payload.len()
    }

    /// Encrypts a sample into the fragment, unless it is of the lead; `runs` is empty for sound.
    pub fn add(&mut self, sample: &[u8], runs: &[Run]) -> Result<(), SampleInfoError> {
        let buffers = &mut *self.buffers;
        if self.is_clear {
            buffers.payload.extend_from_slice(sample);
            return Ok(());
        }
        cenc::map(runs, self.protected_end, &mut buffers.subsamples);
        let len = SampleInfo::write(self.next_iv, &buffers.subsamples, &mut buffers.info)?;
        buffers.info_sizes.push(len);
        let start = buffers.payload.len();
        buffers.payload.extend_from_slice(sample);
        let stored = buffers.payload.get_mut(start..).unwrap_or_default();
        let block = self.next_iv.map(SampleIv::counter_block);
        let cipher = self.protection.cipher.as_mut().ok_or(SampleInfoError::Malformed)?;
        cipher
            .encrypt(block, &buffers.subsamples, stored)
            .map_err(|_| SampleInfoError::Malformed)?;
        self.next_iv = self.next_iv.map(|iv| iv.next(sample.len(), &buffers.subsamples));
        Ok(())
    }

    /// Decrypts the samples that were added since the last call, as a player would: by the
    /// bytes of `senc` and the payload as they are about to be written. They must equal
    /// `source`, one behind the other, of the lengths of `entries`.
    pub fn verify(&mut self, source: &[u8], entries: &[Entry]) -> Result<(), PackageError> {
        let mut rest = source;
        for entry in entries {
            let is_same = self.verify_one(&mut rest, entry.size as usize);
            if is_same != Some(true) {
                let what = "a sample does not decrypt to its source";
                return Err(PackageError::Verification { path: self.path.clone(), what });
            }
        }
        Ok(())
    }

    fn verify_one(&mut self, source: &mut &[u8], len: usize) -> Option<bool> {
        let (payload_at, info_at, sample_at) = self.verified;
        let buffers = &mut *self.buffers;
        let (expected, rest) = source.split_at_checked(len)?;
        *source = rest;
        let stored = buffers.payload.get(payload_at..payload_at.checked_add(len)?)?;
        if self.is_clear {
            self.verified = (payload_at + len, info_at, sample_at + 1);
            return Some(stored == expected);
        }
        let info_len = usize::from(*buffers.info_sizes.get(sample_at)?);
        let info = buffers.info.get(info_at..info_at + info_len)?;
        let iv_size = self.protection.tenc.iv_size;
        let has_subsamples = self.has_subsamples;
        let info = SampleInfo::read(info, iv_size, has_subsamples, &mut buffers.subsamples).ok()?;
        buffers.decrypted.clear();
        buffers.decrypted.extend_from_slice(stored);
        let cipher = self.protection.cipher.as_mut()?;
        cipher.decrypt(info.iv, info.subsamples, &mut buffers.decrypted).ok()?;
        self.verified = (payload_at + len, info_at + info_len, sample_at + 1);
        Some(buffers.decrypted == expected)
    }

    /// Writes the fragment: `styp` where a segment file begins, `moof`, `mdat`. Returns where
    /// `moof` and the first sample lie.
    ///
    /// Errors: also where not every sample of it was verified.
    pub fn flush(
        &mut self,
        decode_time: u64,
        samples: &[Entry],
        begins_file: bool,
        out: &mut dyn Output,
    ) -> Result<ByteSpan, PackageError> {
        let failed = |what| PackageError::Verification { path: self.path.clone(), what };
        let buffers = &mut *self.buffers;
        let all = (buffers.payload.len(), buffers.info.len(), samples.len());
        if self.verified != all {
            return Err(failed("a sample was not verified"));
        }
        buffers.head.clear();
        if begins_file {
            write_segment_type(self.entry, &mut buffers.head);
        }
        let moof_at = buffers.head.len();
        let protection = SampleProtection {
            entries: &buffers.info,
            sizes: &buffers.info_sizes,
            has_subsamples: self.has_subsamples,
        };
        let fragment = Fragment {
            sequence: self.sequence,
            decode_time,
            samples,
            protection: Some(protection).filter(|_| !self.is_clear),
            description: if self.is_clear { CLEAR_ENTRY } else { 1 },
            rotation: self
                .rotation
                .as_ref()
                .map(|(seig, pssh)| FragmentRotation { seig: *seig, pssh }),
        };
        fragment.write(&mut buffers.head);
        open_media_data(buffers.payload.len(), &mut buffers.head);
        let moof = buffers.head.get(moof_at..).unwrap_or_default();
        super::check::fragment(moof, &fragment, buffers.payload.len()).map_err(failed)?;
        out.append(self.file, &mut [IoSlice::new(&buffers.head), IoSlice::new(&buffers.payload)])
            .map_err(|source| PackageError::Write { path: self.path.clone(), source })?;
        let first = samples.first().map_or(0, |first| u64::from(first.size));
        let len = (buffers.head.len() - moof_at) as u64 + first;
        let span = ByteSpan { start: self.written + moof_at as u64, len };
        self.written += (buffers.head.len() + buffers.payload.len()) as u64;
        self.sequence = self.sequence.saturating_add(1);
        self.clear();
        Ok(span)
    }
}
