//! A secret that is the X of a point on P-256, as PlayReady's ElGamal carries it: the IV and key
//! of an encrypted identity, or a license's integrity key (CI) and content key (CK).

use crate::aws_lc::ec::{Number, Point};
use crate::content_key::KEY_BYTES;
use crate::{ContentKey, TransportKey};
use aws_lc_rs::cmac;
use model::Entropy;
use zeroize::Zeroizing;

/// SP 800-186, 3.2.1.3: how many multiples the base point has.
const ORDER: [u8; 32] = *b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\
    \xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
/// Draws for an X on the curve: every second one is. That all fail has the chance 2^-256, so
/// that it is the generator that is broken.
const MOST_DRAWS: usize = 256;
const HALF: usize = 16;

/// 32 bytes that are the X of a point, on the heap and wiped on drop; never printed. The point's Y
/// lies behind them, because finding it takes as long as a multiplication.
pub struct PointSecret(Box<Zeroizing<[u8; 4 * HALF]>>);

impl PointSecret {
    /// Draws one.
    ///
    /// Panics where the generator is broken, as [`crate::SystemEntropy`] does.
    pub fn draw(entropy: &mut (impl Entropy + ?Sized)) -> Self {
        Self::search(|bytes| entropy.fill(bytes.as_mut_slice()))
    }

    /// Binds a content key: draws an integrity key (CI) until both, one behind the other, are
    /// the X of a point.
    ///
    /// Panics where the generator is broken, as [`crate::SystemEntropy`] does.
    pub fn binding(key: &ContentKey, entropy: &mut (impl Entropy + ?Sized)) -> Self {
        Self::search(|bytes| {
            let (integrity, content) = bytes.split_at_mut(HALF);
            entropy.fill(integrity);
            content.copy_from_slice(key.bytes());
        })
    }

    fn search(mut fill: impl FnMut(&mut [u8; 2 * HALF])) -> Self {
        let mut x = Zeroizing::new([0; 2 * HALF]);
        (0..MOST_DRAWS)
            .find_map(|_| {
                fill(&mut x);
                Self::of(&Point::from_x(&x)?)
            })
            .expect("the random generator works")
    }

    fn of(point: &Point) -> Option<Self> {
        let coordinates = point.to_coordinates()?;
        let mut own = Box::new(Zeroizing::new([0; 4 * HALF]));
        own.copy_from_slice(coordinates.as_slice());
        Some(Self(own))
    }

    /// As a key of AES-CBC: the first half its IV, the second half the key.
    #[must_use]
    pub fn transport(&self) -> ([u8; 16], TransportKey) {
        let (iv, key) = self.halves();
        (*iv, TransportKey::from_bytes(key))
    }

    /// As a license's keys: the content key (CK), the second half.
    #[must_use]
    pub fn content_key(&self) -> ContentKey {
        let (_, key) = self.halves();
        ContentKey::build(|bytes| bytes.copy_from_slice(key))
    }

    /// As a license's keys: AES-CMAC (RFC 4493) over `message` under the integrity key (CI), the
    /// first half.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 16] {
        let tag = cmac::sign(&self.integrity_key(), message).expect("CMAC takes any length");
        tag.as_ref().try_into().expect("a tag of AES-CMAC is one block")
    }

    /// Whether `tag` is what [`Self::sign`] gives; compared in constant time.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], tag: &[u8; 16]) -> bool {
        cmac::verify(&self.integrity_key(), message, tag).is_ok()
    }

    fn integrity_key(&self) -> cmac::Key {
        let (key, _) = self.halves();
        cmac::Key::new(cmac::AES_128, key).expect("an AES-128 key")
    }

    fn halves(&self) -> (&[u8; KEY_BYTES], &[u8; KEY_BYTES]) {
        let (first, rest) = self.0.split_first_chunk().expect("X has two halves");
        (first, rest.first_chunk().expect("X has two halves"))
    }

    /// ElGamal: kG, then this secret's point plus k times the key.
    pub(crate) fn encrypt(&self, key: &Point, entropy: &mut (impl Entropy + ?Sized)) -> [u8; 128] {
        let secret = Point::from_coordinates(&self.0).expect("a secret is a point");
        let encrypt = |k: Number| {
            let first = Point::base_times(&k)?;
            let second = key.times(&k)?.plus(&secret)?;
            Some((first.to_coordinates()?, second.to_coordinates()?))
        };
        let (first, second) = (0..MOST_DRAWS)
            .find_map(|_| draw_scalar(entropy).and_then(encrypt))
            .expect("the random generator works");
        let mut text = [0; 128];
        let (head, tail) = text.split_at_mut(64);
        head.copy_from_slice(first.as_slice());
        tail.copy_from_slice(second.as_slice());
        text
    }

    /// ElGamal: the second point less the first times the private key.
    pub(crate) fn decrypt(text: &[u8; 128], key: &Number) -> Option<Self> {
        let (first, second) = text.split_first_chunk::<64>()?;
        let (first, second) =
            (Point::from_coordinates(first)?, Point::from_coordinates(second.try_into().ok()?)?);
        Self::of(&second.plus(&first.times(key)?.negated()?)?)
    }
}

/// A factor from 1 to the order less one (FIPS 186-5, A.2.2); `None` where the draw is not.
fn draw_scalar(entropy: &mut (impl Entropy + ?Sized)) -> Option<Number> {
    let mut bytes = Zeroizing::new([0; 32]);
    entropy.fill(bytes.as_mut_slice());
    let is_scalar = *bytes != [0; 32] && *bytes < ORDER;
    is_scalar.then(|| Number::new(&bytes))?
}

impl std::fmt::Debug for PointSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PointSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{P256PrivateKey, SystemEntropy};
    use ::p256::elliptic_curve::PrimeField as _;
    use ::p256::elliptic_curve::group::Group as _;
    use ::p256::elliptic_curve::sec1::{FromSec1Point as _, ToSec1Point as _};
    use ::p256::{AffinePoint, ProjectivePoint, Scalar, Sec1Point};

    /// Counts up: not the same twice.
    struct Counter(u8);

    impl Entropy for Counter {
        fn fill(&mut self, out: &mut [u8]) {
            out.iter_mut().for_each(|byte| {
                self.0 = self.0.wrapping_mul(5).wrapping_add(113);
                *byte = self.0;
            });
        }
    }

    fn other_point(bytes: &[u8]) -> ProjectivePoint {
        let sec1 = Sec1Point::from_bytes([&[4], bytes].concat()).unwrap();
        AffinePoint::from_sec1_point(&sec1).unwrap().into()
    }

    fn other_point_of_x(x: &[u8]) -> Option<ProjectivePoint> {
        let sec1 = Sec1Point::from_bytes([&[2], x].concat()).ok()?;
        Option::<AffinePoint>::from(AffinePoint::from_sec1_point(&sec1)).map(Into::into)
    }

    fn coordinates(point: ProjectivePoint) -> Vec<u8> {
        point.to_affine().to_sec1_point(false).as_bytes()[1..].to_vec()
    }

    /// The scalar of a key that is made here.
    fn pair(scalar: [u8; 32]) -> (P256PrivateKey, Scalar) {
        let head = b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
            \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20";
        let der = Zeroizing::new([head, &scalar[..]].concat());
        (P256PrivateKey::parse(&der).unwrap(), Scalar::from_repr(scalar.into()).unwrap())
    }

    #[test]
    fn another_implementation_opens_what_is_encrypted() {
        let (key, scalar) = pair([0x21; 32]);
        for _ in 0..20 {
            let secret = PointSecret::draw(&mut SystemEntropy);
            let text = key.public_key().encrypt_secret(&secret, &mut SystemEntropy);
            let opened = other_point(&text[64..]) - other_point(&text[..64]) * scalar;
            assert_eq!(coordinates(opened)[..], **secret.0);
        }
    }

    #[test]
    fn what_another_implementation_encrypts_opens() {
        let (key, scalar) = pair([0x42; 32]);
        for number in 1..20_u8 {
            let secret = PointSecret::draw(&mut SystemEntropy);
            let k = Scalar::from_repr([number; 32].into()).unwrap();
            let first = ProjectivePoint::GENERATOR * k;
            let second = other_point_of_x(&secret.0[..32]).unwrap() + first * scalar;
            let text = [coordinates(first), coordinates(second)].concat().try_into().unwrap();
            assert_eq!(key.decrypt_secret(&text).unwrap().0[..32], secret.0[..32]);
        }
    }

    #[test]
    fn an_x_has_a_point_where_another_implementation_says_so() {
        let mut entropy = Counter(1);
        let (mut with, mut without) = (0, 0);
        for _ in 0..200 {
            let mut x = [0; 32];
            entropy.fill(&mut x);
            x[0] = x[1] ^ x[7];
            let point = Point::from_x(&x).map(|point| point.to_coordinates().unwrap().to_vec());
            assert_eq!(point, other_point_of_x(&x).map(coordinates));
            if point.is_some() { with += 1 } else { without += 1 }
        }
        assert!(with > 50 && without > 50, "{with} {without}");
        assert!(Point::from_x(&[0xff; 32]).is_none(), "not below the prime");
    }

    #[test]
    fn arithmetic_is_another_implementations() {
        let at = |number: u8| {
            let bytes = [number; 32];
            (Number::new(&bytes).unwrap(), Scalar::from_repr(bytes.into()).unwrap())
        };
        for (first, second) in [(1, 2), (7, 7), (0xfe, 3)] {
            let ((k, other_k), (m, other_m)) = (at(first), at(second));
            let base = Point::base_times(&k).unwrap();
            let other_base = ProjectivePoint::GENERATOR * other_k;
            assert_eq!(base.to_coordinates().unwrap().to_vec(), coordinates(other_base));
            let product = base.times(&m).unwrap();
            let other_product = other_base * other_m;
            assert_eq!(product.to_coordinates().unwrap().to_vec(), coordinates(other_product));
            let sum = base.plus(&product).unwrap();
            let expected = coordinates(other_base + other_product);
            assert_eq!(sum.to_coordinates().unwrap().to_vec(), expected);
            let nothing = product.plus(&product.times(&order_less_one()).unwrap()).unwrap();
            assert!(nothing.to_coordinates().is_none(), "infinity has no coordinates");
        }
        assert!(bool::from((ProjectivePoint::GENERATOR * Scalar::ZERO).is_identity()));
    }

    fn order_less_one() -> Number {
        let mut bytes = ORDER;
        bytes[31] -= 1;
        Number::new(&bytes).unwrap()
    }

    #[test]
    fn the_order_is_the_curves() {
        assert!(bool::from(Scalar::from_repr(ORDER.into()).is_none()));
        let mut below = ORDER;
        below[31] -= 1;
        assert!(bool::from(Scalar::from_repr(below.into()).is_some()));
        struct Fixed([u8; 32]);
        impl Entropy for Fixed {
            fn fill(&mut self, out: &mut [u8]) {
                out.copy_from_slice(&self.0);
            }
        }
        assert!(draw_scalar(&mut Fixed(ORDER)).is_none());
        assert!(draw_scalar(&mut Fixed([0; 32])).is_none());
        assert!(draw_scalar(&mut Fixed([0xff; 32])).is_none());
        assert!(draw_scalar(&mut Fixed(below)).is_some());
    }

    #[test]
    fn points_off_the_curve_and_secrets_at_infinity_do_not_open() {
        let (key, _) = P256PrivateKey::generate();
        let secret = PointSecret::draw(&mut SystemEntropy);
        let text = key.public_key().encrypt_secret(&secret, &mut SystemEntropy);
        for at in 0..128 {
            let mut changed = text;
            changed[at] ^= 1;
            assert!(key.decrypt_secret(&changed).is_none(), "byte {at}");
        }
        assert!(key.decrypt_secret(&[0; 128]).is_none());
        // The second point is the key times the first: nothing is left between them.
        let public = key.public_key().to_bytes();
        let one = Number::new(&std::array::from_fn(|at| u8::from(at == 31))).unwrap();
        let base = Point::base_times(&one).unwrap().to_coordinates().unwrap();
        let nothing = [base.as_slice(), &public].concat().try_into().unwrap();
        assert!(key.decrypt_secret(&nothing).is_none());
    }

    #[test]
    fn a_binding_holds_its_content_key_and_signs_under_the_rest() {
        use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
        let content = ContentKey::generate(&mut SystemEntropy);
        let secret = PointSecret::binding(&content, &mut SystemEntropy);
        assert_eq!(secret.content_key().bytes(), content.bytes());
        assert_eq!(secret.0[16..32], *content.bytes());
        let (iv, transport) = secret.transport();
        assert_eq!(iv, secret.0[..16]);
        let text = transport.encrypt(b"identity", iv);
        assert_eq!(&*secret.transport().1.decrypt(&text, iv).unwrap(), b"identity");
        // AES-CMAC of one whole block, by RFC 4493, 2.4, over another implementation's AES.
        let cipher = aes::Aes128::new_from_slice(&iv).unwrap();
        let encrypt = |number: u128| {
            let mut block = number.to_be_bytes().into();
            cipher.encrypt_block(&mut block);
            u128::from_be_bytes(block.into())
        };
        let zero = encrypt(0);
        let subkey = (zero << 1) ^ if zero >> 127 == 1 { 0x87 } else { 0 };
        let tag = encrypt(subkey ^ u128::from_be_bytes(*b"sixteen bytes 16"));
        assert_eq!(secret.sign(b"sixteen bytes 16"), tag.to_be_bytes());
        assert!(secret.has_signed(b"sixteen bytes 16", &tag.to_be_bytes()));
        assert!(!secret.has_signed(b"sixteen bytes 17", &tag.to_be_bytes()));
        let other = PointSecret::binding(&content, &mut SystemEntropy);
        assert_ne!(other.0[..16], secret.0[..16], "a fresh integrity key each time");
        assert_eq!(format!("{secret:?}"), "PointSecret(..)");
    }
}
