//! The CKC: its container, version 1, and the blocks of its payload, written by the server and
//! read by the server before it leaves and by the client.
//!
//! Shape: version u32 = 1, reserved u32, IV 16, length u32, payload under AES-128-CBC with a key
//! made of the request's R1 and anti-replay seed. Big endian.

use super::block::{Block, read, room, shuffle, tag, write};
use super::policy::{HdcpRule, KeyDuration, KeyRules};
use super::returned::Returned;
use super::{LicenseError, MAX_BYTES};
use crate::terms::LicensedKey;
use keys::ContentKey;
use keys::fairplay::{DeviceSession, PayloadKey};
use model::Entropy;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

const VERSION: u32 = 1;
/// The numbers of [`KeyDuration`].
const LEASE: u32 = 0x1a4b_de7e;
const RENTAL: u32 = 0x3dfe_45a0;
const LEASE_AND_RENTAL: u32 = 0x27b5_9bde;
const PERSISTENT: u32 = 0x3df2_d9fb;
const PERSISTENT_FOR: u32 = 0x18f0_6048;
/// The last field of a duration.
const DURATION_END: u32 = 0x86d3_4a3a;
/// The numbers of [`HdcpRule`].
const HDCP: [(u64, HdcpRule); 3] = [
    (0xef72_894c_a789_5b78, HdcpRule::Unneeded),
    (0x4079_1ac7_8bd5_c571, HdcpRule::Type0),
    (0x285a_0863_bba8_e1d3, HdcpRule::Type1),
];
/// The one security level that is public: what a key for audio needs.
const AUDIO_LEVEL: u64 = 0x17d9_9d57_4eed_567d;

/// What one request and its answer share. Wiped on drop, where it is secret.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) session: DeviceSession,
    pub(super) seed: [u8; 16],
    /// What the answer brings back.
    pub(super) returned: Returned,
}

/// An open CKC.
#[derive(Debug)]
pub struct OpenedCkc {
    /// The content key.
    pub key: ContentKey,
    /// The constant IV that came with it.
    pub iv: [u8; 16],
    /// What may be done with it.
    pub rules: KeyRules,
}

impl Exchange {
    /// Writes the answer: under a fresh IV, its blocks in random order, with random padding.
    pub(super) fn write(
        &self,
        key: Option<&LicensedKey>,
        rules: &KeyRules,
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        let r1 = self.session.r1();
        let key = key.map(|key| {
            let mut value = key.iv.unwrap_or_default().to_vec();
            value.extend(self.session.wrap(&key.key));
            value
        });
        let duration = duration_value(rules.duration);
        let hdcp = HDCP.iter().find(|(_, rule)| *rule == rules.hdcp).map(|(number, _)| number);
        let hdcp = hdcp.map(|number| number.to_be_bytes());
        let mut blocks = self.returned.blocks();
        blocks.push(Block { tag: tag::R1, value: r1.as_slice() });
        if let Some(value) = &key {
            blocks.push(Block { tag: tag::CONTENT_KEY, value });
            blocks.extend(duration.as_ref().map(|value| Block { tag: tag::DURATION, value }));
            blocks.extend(hdcp.as_ref().map(|value| Block { tag: tag::HDCP, value }));
        }
        shuffle(&mut blocks, entropy);
        // Room for all of it at once: a growing vector would leave copies of R1 behind.
        let length = blocks.iter().map(|block| room(block.value.len())).sum();
        let mut payload = Zeroizing::new(Vec::with_capacity(length));
        for block in blocks {
            write(&mut payload, block, entropy);
        }
        close(&payload, &self.session.answer_key(&self.seed), entropy)
    }

    /// Reads an answer to this request, and to no other.
    ///
    /// Errors: [`LicenseError`].
    pub(super) fn read(&self, ckc: &[u8]) -> Result<OpenedCkc, LicenseError> {
        let (iv, payload) = open_container(ckc).ok_or(LicenseError::Malformed)?;
        let key = self.session.answer_key(&self.seed);
        let payload = key.decrypt(iv, payload).ok_or(LicenseError::Malformed)?;
        let blocks = read(&payload).map_err(|_| LicenseError::Payload)?;
        let r1 = one(&blocks, tag::R1)?.ok_or(LicenseError::Payload)?;
        if !self.session.is_r1(r1) {
            return Err(LicenseError::OtherRequest);
        }
        self.check_returned(&blocks)?;
        let rules = KeyRules {
            duration: match one(&blocks, tag::DURATION)? {
                None => KeyDuration::Session,
                Some(value) => read_duration(value).ok_or(LicenseError::Terms)?,
            },
            // Without the block, type 0 is what clients enforce.
            hdcp: match one(&blocks, tag::HDCP)? {
                None => HdcpRule::Type0,
                Some(value) => read_hdcp(value).ok_or(LicenseError::Terms)?,
            },
        };
        let level = one(&blocks, tag::SECURITY_LEVEL)?;
        if level.is_some_and(|level| level != AUDIO_LEVEL.to_be_bytes()) {
            return Err(LicenseError::Terms);
        }
        let value = one(&blocks, tag::CONTENT_KEY)?.ok_or(LicenseError::NoKey)?;
        let (iv, rest) = value.split_first_chunk().ok_or(LicenseError::Payload)?;
        let wrapped: &[u8; 16] = rest.try_into().map_err(|_| LicenseError::Payload)?;
        Ok(OpenedCkc { key: self.session.unwrap(wrapped), iv: *iv, rules })
    }

    /// Every block is one of an answer, or was to be returned and came back as it was sent.
    fn check_returned(&self, blocks: &[Block<'_>]) -> Result<(), LicenseError> {
        let returned = self.returned.blocks();
        let came_back = |sent: &Block<'_>| {
            let mut having = blocks.iter().filter(|block| block.tag == sent.tag);
            having.next() == Some(sent) && having.next().is_none()
        };
        if !returned.iter().all(came_back) {
            return Err(LicenseError::NotReturned);
        }
        let is_known = |block: &Block<'_>| {
            OWN.contains(&block.tag) || returned.iter().any(|sent| sent.tag == block.tag)
        };
        if blocks.iter().all(is_known) { Ok(()) } else { Err(LicenseError::Payload) }
    }
}

/// The tags of an answer.
const OWN: [u64; 5] = [tag::CONTENT_KEY, tag::R1, tag::DURATION, tag::HDCP, tag::SECURITY_LEVEL];

fn one<'a>(blocks: &[Block<'a>], tag: u64) -> Result<Option<&'a [u8]>, LicenseError> {
    let mut having = blocks.iter().filter(|block| block.tag == tag);
    match (having.next(), having.next()) {
        (_, Some(_)) => Err(LicenseError::Payload),
        (found, None) => Ok(found.map(|block| block.value)),
    }
}

fn close(payload: &[u8], key: &PayloadKey, entropy: &mut dyn Entropy) -> Vec<u8> {
    let mut iv = [0; 16];
    entropy.fill(&mut iv);
    let mut text = Zeroizing::new(payload.to_vec());
    key.encrypt(iv, &mut text).expect("blocks are whole AES blocks, and R1 is one of them");
    let length = u32::try_from(text.len()).expect("a payload of one message");
    [&VERSION.to_be_bytes()[..], &[0; 4], &iv, &length.to_be_bytes(), &text].concat()
}

/// The IV and the closed payload of a container.
fn open_container(ckc: &[u8]) -> Option<([u8; 16], &[u8])> {
    if ckc.len() > MAX_BYTES {
        return None;
    }
    let (version, rest) = ckc.split_first_chunk()?;
    let (_reserved, rest) = rest.split_first_chunk::<4>()?;
    let (iv, rest) = rest.split_first_chunk()?;
    let (length, payload) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let is_whole = u32::from_be_bytes(*version) == VERSION && length == payload.len();
    is_whole.then_some((*iv, payload))
}

/// Shape: lease u32, rental u32, type u32, a constant. `None` where no block is needed.
fn duration_value(duration: KeyDuration) -> Option<[u8; 16]> {
    let (lease_s, rental_s, number) = match duration {
        KeyDuration::Session => return None,
        KeyDuration::Lease(s) => (s.get(), 0, LEASE),
        KeyDuration::Rental(s) => (0, s.get(), RENTAL),
        KeyDuration::LeaseAndRental { lease_s, rental_s } => {
            (lease_s.get(), rental_s.get(), LEASE_AND_RENTAL)
        }
        KeyDuration::Persistent => (0, 0, PERSISTENT),
        // A kept key's end stands where a rental's does.
        KeyDuration::PersistentFor(s) => (0, s.get(), PERSISTENT_FOR),
    };
    let fields = [lease_s, rental_s, number, DURATION_END].map(u32::to_be_bytes);
    fields.as_flattened().try_into().ok()
}

fn read_duration(value: &[u8]) -> Option<KeyDuration> {
    let (fields, []) = value.as_chunks::<4>() else { return None };
    let [lease_s, rental_s, number, DURATION_END_BYTES] = *fields else { return None };
    let [lease_s, rental_s, number] = [lease_s, rental_s, number].map(u32::from_be_bytes);
    let spans = (NonZeroU32::new(lease_s), NonZeroU32::new(rental_s));
    match (number, spans) {
        (LEASE, (Some(s), None)) => Some(KeyDuration::Lease(s)),
        (RENTAL, (None, Some(s))) => Some(KeyDuration::Rental(s)),
        (LEASE_AND_RENTAL, (Some(lease_s), Some(rental_s))) => {
            Some(KeyDuration::LeaseAndRental { lease_s, rental_s })
        }
        (PERSISTENT, (None, None)) => Some(KeyDuration::Persistent),
        (PERSISTENT_FOR, (None, Some(s))) => Some(KeyDuration::PersistentFor(s)),
        _ => None,
    }
}

const DURATION_END_BYTES: [u8; 4] = DURATION_END.to_be_bytes();

fn read_hdcp(value: &[u8]) -> Option<HdcpRule> {
    let number = u64::from_be_bytes(value.try_into().ok()?);
    HDCP.iter().find(|(known, _)| *known == number).map(|(_, rule)| *rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::SystemEntropy;

    /// A request that wants one block back.
    fn exchange() -> Exchange {
        let session = DeviceSession::generate(&[7; 20], &mut SystemEntropy);
        let returned = Returned::of(&[Block { tag: tag::TRANSACTION_ID, value: &[3; 8] }]);
        Exchange { session, seed: [5; 16], returned }
    }

    /// The blocks that an answer must have, to be changed.
    fn needed(exchange: &Exchange) -> Vec<(u64, Vec<u8>)> {
        let key = ContentKey::from_bytes(Zeroizing::new([9; 16]));
        let wrapped = [[4; 16], exchange.session.wrap(&key)].concat();
        vec![
            (tag::R1, exchange.session.r1().to_vec()),
            (tag::TRANSACTION_ID, vec![3; 8]),
            (tag::CONTENT_KEY, wrapped),
        ]
    }

    fn read_of(
        exchange: &Exchange,
        blocks: &[(u64, Vec<u8>)],
    ) -> Result<(KeyDuration, HdcpRule), LicenseError> {
        let mut payload = vec![];
        for (tag, value) in blocks {
            write(&mut payload, Block { tag: *tag, value }, &mut SystemEntropy);
        }
        let key = exchange.session.answer_key(&exchange.seed);
        let ckc = close(&payload, &key, &mut SystemEntropy);
        exchange.read(&ckc).map(|opened| (opened.rules.duration, opened.rules.hdcp))
    }

    #[test]
    fn what_is_not_said_is_until_the_session_ends_and_hdcp_of_type_0() {
        let exchange = exchange();
        let mut blocks = needed(&exchange);
        let expected = Ok((KeyDuration::Session, HdcpRule::Type0));
        assert_eq!(read_of(&exchange, &blocks), expected);
        // The one level that is public says nothing of what we check.
        blocks.push((tag::SECURITY_LEVEL, AUDIO_LEVEL.to_be_bytes().to_vec()));
        assert_eq!(read_of(&exchange, &blocks), expected);
    }

    /// Under the right key, so that nothing but the blocks is wrong.
    #[test]
    fn each_wrong_block_has_its_reason() {
        type Change = fn(&mut Vec<(u64, Vec<u8>)>);
        let exchange = exchange();
        let table: [(LicenseError, Change); 17] = [
            (LicenseError::OtherRequest, |blocks| blocks[0].1[43] ^= 1),
            (LicenseError::OtherRequest, |blocks| blocks[0].1.truncate(43)),
            (LicenseError::Payload, |blocks| drop(blocks.remove(0))),
            (LicenseError::Payload, |blocks| blocks.push(blocks[0].clone())),
            (LicenseError::NotReturned, |blocks| blocks[1].1[0] ^= 1),
            (LicenseError::NotReturned, |blocks| drop(blocks.remove(1))),
            (LicenseError::NotReturned, |blocks| blocks.push(blocks[1].clone())),
            (LicenseError::NoKey, |blocks| drop(blocks.remove(2))),
            (LicenseError::Payload, |blocks| blocks.push(blocks[2].clone())),
            (LicenseError::Payload, |blocks| blocks[2].1.truncate(31)),
            (LicenseError::Payload, |blocks| blocks[2].1.push(0)),
            (LicenseError::Payload, |blocks| blocks.push((6, vec![]))),
            (LicenseError::Payload, |blocks| blocks.push((tag::SESSION, vec![0; 112]))),
            (LicenseError::Terms, |blocks| blocks.push((tag::DURATION, vec![0; 16]))),
            (LicenseError::Terms, |blocks| blocks.push((tag::HDCP, vec![0; 8]))),
            (LicenseError::Terms, |blocks| blocks.push((tag::SECURITY_LEVEL, vec![0; 8]))),
            (LicenseError::Payload, |blocks| {
                let duration = duration_value(KeyDuration::Persistent).unwrap().to_vec();
                blocks.extend([(tag::DURATION, duration.clone()), (tag::DURATION, duration)]);
            }),
        ];
        for (row, (expected, change)) in table.into_iter().enumerate() {
            let mut blocks = needed(&exchange);
            change(&mut blocks);
            assert_eq!(read_of(&exchange, &blocks), Err(expected), "row {row}");
        }
    }

    #[test]
    fn other_containers_are_refused() {
        let exchange = exchange();
        let rules = KeyRules { duration: KeyDuration::Session, hdcp: HdcpRule::Type0 };
        let ckc = exchange.write(None, &rules, &mut SystemEntropy);
        assert_eq!(exchange.read(&ckc).err(), Some(LicenseError::NoKey));
        let mut newer = ckc.clone();
        newer[3] = 2;
        let longer = [&ckc[..], &[0; 16]].concat();
        let empty = [&ckc[..24], &[0; 4]].concat();
        let huge = vec![0; MAX_BYTES + 1];
        for bytes in [&[][..], &newer, &longer, &empty, &huge, &ckc[..ckc.len() - 1]] {
            assert_eq!(exchange.read(bytes).err(), Some(LicenseError::Malformed));
        }
    }

    #[test]
    fn durations_are_written_and_read_one_to_one() {
        let s = NonZeroU32::MIN;
        for duration in [
            KeyDuration::Lease(s),
            KeyDuration::Rental(s),
            KeyDuration::LeaseAndRental { lease_s: s, rental_s: NonZeroU32::MAX },
            KeyDuration::Persistent,
            KeyDuration::PersistentFor(s),
        ] {
            let value = duration_value(duration).unwrap();
            assert_eq!(read_duration(&value), Some(duration));
            for at in 0..12 {
                let mut changed = value;
                changed[at] ^= 0x80;
                assert_ne!(read_duration(&changed), Some(duration), "{duration:?} {at}");
            }
            for at in 8..16 {
                let mut changed = value;
                changed[at] ^= 1;
                assert_eq!(read_duration(&changed), None, "{duration:?} {at}");
            }
            assert_eq!(read_duration(&value[..15]), None);
        }
        assert_eq!(duration_value(KeyDuration::Session), None);
        assert_eq!(read_duration(&[0; 16]), None);
    }
}
