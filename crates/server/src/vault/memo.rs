//! What a license remembers for its renewals: whose it is and which keys it holds. It travels
//! sealed inside the license, so the vault keeps no session.

use dialect::MAX_KEYS;
use model::{AccountId, ContentId, GrantId, KeyId, PlaybackSessionId, Scheme, Timestamp};
use playback::grant::GrantTerms;

/// Added to a scheme's code where the number of keys takes two bytes.
const WIDE: u8 = 0x80;

/// The note of one license.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Memo {
    pub(super) session: PlaybackSessionId,
    pub(super) account: AccountId,
    /// The grant that the session's first license was made under: the license's name here.
    pub(super) license: GrantId,
    /// When the license ends.
    pub(super) ends: Timestamp,
    pub(super) content_id: ContentId,
    pub(super) scheme: Scheme,
    pub(super) kids: Vec<KeyId>,
}

impl Memo {
    /// Shape: session 16 ‖ account 16 ‖ license 16 ‖ end 8, milliseconds ‖ scheme 1 ‖ number of
    /// keys 1 ‖ key ids, 16 each ‖ content id. Where the number of keys takes two bytes, the
    /// scheme's code has its highest bit set.
    /// `None`: more keys than a license may hold.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let count = u16::try_from(self.kids.len()).ok().filter(|_| self.kids.len() <= MAX_KEYS)?;
        let mut bytes = self.session.as_bytes().to_vec();
        bytes.extend(self.account.as_bytes());
        bytes.extend(self.license.as_bytes());
        bytes.extend(self.ends.0.to_be_bytes());
        match u8::try_from(count) {
            Ok(count) => bytes.extend([scheme_code(self.scheme), count]),
            Err(_) => {
                bytes.push(scheme_code(self.scheme) | WIDE);
                bytes.extend(count.to_be_bytes());
            }
        }
        bytes.extend(self.kids.iter().flat_map(|kid| kid.as_bytes()));
        bytes.extend(self.content_id.as_str().as_bytes());
        Some(bytes)
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (session, rest) = bytes.split_first_chunk::<16>()?;
        let (account, rest) = rest.split_first_chunk::<16>()?;
        let (license, rest) = rest.split_first_chunk::<16>()?;
        let (ends, rest) = rest.split_first_chunk::<8>()?;
        let (scheme, rest) = rest.split_first()?;
        let (count, rest) = if scheme & WIDE == 0 {
            rest.split_first().map(|(count, rest)| (usize::from(*count), rest))?
        } else {
            let (count, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*count)), rest)
        };
        if count > MAX_KEYS {
            return None;
        }
        let (kids, content_id) = rest.split_at_checked(count.checked_mul(16)?)?;
        let (kids, _) = kids.as_chunks::<16>();
        Some(Self {
            session: PlaybackSessionId::from_bytes(*session),
            account: AccountId::from_bytes(*account),
            license: GrantId::from_bytes(*license),
            ends: Timestamp(u64::from_be_bytes(*ends)),
            content_id: ContentId::parse(std::str::from_utf8(content_id).ok()?).ok()?,
            scheme: Scheme::ALL.into_iter().find(|known| scheme_code(*known) == scheme & !WIDE)?,
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
        let memo = |count: usize| Memo {
            session: PlaybackSessionId::from_bytes([1; 16]),
            account: AccountId::from_bytes([2; 16]),
            license: GrantId::from_bytes([3; 16]),
            ends: Timestamp(4),
            content_id: ContentId::parse("film").unwrap(),
            scheme: Scheme::Cbcs,
            kids: (0..count)
                .map(|number| KeyId::from_bytes((number as u128).to_be_bytes()))
                .collect(),
        };
        for count in [0, 1, 128, 255, 256, MAX_KEYS] {
            let memo = memo(count);
            let bytes = memo.to_bytes().unwrap();
            assert_eq!(Memo::read(&bytes), Some(memo));
            let head = if count < 256 { 58 } else { 59 };
            let shortest = head + 16 * count;
            assert!((0..=shortest).all(|length| Memo::read(&bytes[..length]).is_none()));
        }
        assert_eq!(memo(MAX_KEYS + 1).to_bytes(), None);
    }
}
