//! What a license remembers for its renewals: whose it is and which keys it holds. It travels
//! sealed inside the license, so the vault keeps no session.

use model::{ContentId, KeyId, PlaybackSessionId, Scheme};
use playback::grant::GrantTerms;

/// Longest list of keys, so that a license's note stays short.
const MAX_KIDS: usize = 255;

/// The note of one license.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Memo {
    pub(super) session: PlaybackSessionId,
    pub(super) content_id: ContentId,
    pub(super) scheme: Scheme,
    pub(super) kids: Vec<KeyId>,
}

impl Memo {
    /// Shape: session 16 ‖ scheme 1 ‖ number of keys 1 ‖ key ids, 16 each ‖ content id.
    /// `None`: more keys than a license may hold.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let count = u8::try_from(self.kids.len()).ok().filter(|_| self.kids.len() <= MAX_KIDS)?;
        let mut bytes = self.session.as_bytes().to_vec();
        bytes.extend([scheme_code(self.scheme), count]);
        bytes.extend(self.kids.iter().flat_map(|kid| kid.as_bytes()));
        bytes.extend(self.content_id.as_str().as_bytes());
        Some(bytes)
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (session, rest) = bytes.split_first_chunk::<16>()?;
        let ([scheme, count], rest) = rest.split_first_chunk::<2>()?;
        let (kids, content_id) = rest.split_at_checked(usize::from(*count).checked_mul(16)?)?;
        let (kids, _) = kids.as_chunks::<16>();
        Some(Self {
            session: PlaybackSessionId::from_bytes(*session),
            content_id: ContentId::parse(std::str::from_utf8(content_id).ok()?).ok()?,
            scheme: Scheme::ALL.into_iter().find(|known| scheme_code(*known) == *scheme)?,
            kids: kids.iter().map(|kid| KeyId::from_bytes(*kid)).collect(),
        })
    }

    /// Whether the license was issued for this session and title.
    pub(super) fn is_of(&self, terms: &GrantTerms) -> bool {
        self.session == terms.session && self.content_id == terms.content_id
    }
}

const fn scheme_code(scheme: Scheme) -> u8 {
    match scheme {
        Scheme::Cenc => 1,
        Scheme::Cbcs => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memo_reads_back_and_a_damaged_one_does_not() {
        for count in [0, 1, 128, 255] {
            let memo = Memo {
                session: PlaybackSessionId::from_bytes([1; 16]),
                content_id: ContentId::parse("film").unwrap(),
                scheme: Scheme::Cbcs,
                kids: (0..count).map(|byte| KeyId::from_bytes([byte; 16])).collect(),
            };
            let bytes = memo.to_bytes().unwrap();
            assert_eq!(Memo::read(&bytes), Some(memo));
            let shortest = 18 + 16 * usize::from(count);
            assert!((0..=shortest).all(|length| Memo::read(&bytes[..length]).is_none()));
        }
        let kids = vec![KeyId::from_bytes([1; 16]); 256];
        let (session, scheme) = (PlaybackSessionId::from_bytes([1; 16]), Scheme::Cenc);
        let content_id = ContentId::parse("film").unwrap();
        assert_eq!(Memo { session, content_id, scheme, kids }.to_bytes(), None);
    }
}
