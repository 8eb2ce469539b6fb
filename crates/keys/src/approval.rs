//! Approvals of a key export: what an operator signs, with a key that only he has (Ed25519,
//! RFC 8032), and what the vault verifies.
//!
//! Shape of an approval: `base64url(statement) . base64url(signature)`, the statement a JSON
//! document. Who approves is no row of the database: names and public keys are settings.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{ContentId, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Longest approval, bytes.
pub const MAX_APPROVAL_BYTES: usize = 4096;
/// Longest name of an operator, bytes.
const MAX_NAME_BYTES: usize = 64;
/// Separates these signatures from every other use of the key.
const DOMAIN: &[u8] = b"strongroom approval 1\n";

/// Why an approval, an operator or his key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalRefused {
    /// Not of the shape of an approval.
    #[error("not an approval")]
    Malformed,
    /// Nobody of this name may approve.
    #[error("its operator is not in the settings")]
    UnknownOperator,
    /// Not signed by its operator's key, or changed since.
    #[error("its signature is not that of its operator")]
    Signature,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// `NAME:PUBLIC KEY` is expected.
    #[error("an operator is NAME:PUBLIC KEY, as `keys operator` prints it")]
    Operator,
    /// Not an Ed25519 key in PKCS#8.
    #[error("not an operator's key")]
    Key,
}

/// What is approved: one export, of one title's keys, for one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Who approves.
    pub operator: String,
    /// Whose keys may leave.
    pub content_id: ContentId,
    /// SHA-256 of the certificate they are encrypted for, DER.
    pub certificate_sha256: [u8; 32],
    /// Until when.
    pub expires: Timestamp,
    /// Its own number: it serves once.
    pub id: [u8; 16],
}

/// Someone who may approve, as the settings name him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// His name.
    pub name: String,
    public: [u8; 32],
}

impl Operator {
    /// Reads `NAME:PUBLIC KEY`, the key in base64url.
    ///
    /// Errors: [`ApprovalRefused::Operator`].
    pub fn parse(text: &str) -> Result<Self, ApprovalRefused> {
        let (name, public) = text.split_once(':').ok_or(ApprovalRefused::Operator)?;
        let public = URL_SAFE_NO_PAD.decode(public).map_err(|_| ApprovalRefused::Operator)?;
        let public = public.try_into().map_err(|_| ApprovalRefused::Operator)?;
        if !is_name(name) {
            return Err(ApprovalRefused::Operator);
        }
        Ok(Self { name: name.to_owned(), public })
    }

    /// Whether two are one: by name, or by key under two names.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name || self.public == other.public
    }
}

/// The line of the settings.
impl std::fmt::Display for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, URL_SAFE_NO_PAD.encode(self.public))
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.bytes().all(is_plain)
}

/// An operator's private key. aws-lc wipes it.
pub struct OperatorKey(Ed25519KeyPair);

impl OperatorKey {
    /// Draws a key; its PKCS#8 form, for a file that only its operator can read.
    #[must_use]
    pub fn generate() -> Zeroizing<Vec<u8>> {
        let pair = Ed25519KeyPair::generate().expect("the system's random generator works");
        let document = pair.to_pkcs8().expect("a fresh key has this form");
        Zeroizing::new(document.as_ref().to_vec())
    }

    /// Reads PKCS#8.
    ///
    /// Errors: [`ApprovalRefused::Key`].
    pub fn parse(pkcs8: &Zeroizing<Vec<u8>>) -> Result<Self, ApprovalRefused> {
        Ed25519KeyPair::from_pkcs8(pkcs8).map(Self).map_err(|_| ApprovalRefused::Key)
    }

    /// Its operator, under this name.
    ///
    /// Errors: [`ApprovalRefused::Operator`] for a name that no line can hold.
    pub fn operator(&self, name: &str) -> Result<Operator, ApprovalRefused> {
        let public = self.0.public_key().as_ref().try_into();
        let public = public.map_err(|_| ApprovalRefused::Key)?;
        if !is_name(name) {
            return Err(ApprovalRefused::Operator);
        }
        Ok(Operator { name: name.to_owned(), public })
    }

    /// Signs.
    #[must_use]
    pub fn approve(&self, approval: &Approval) -> String {
        let statement = serde_json::to_vec(approval).expect("plain fields");
        let signature = self.0.sign(&[DOMAIN, &statement].concat());
        let [statement, signature] =
            [statement.as_slice(), signature.as_ref()].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!("{statement}.{signature}")
    }
}

impl std::fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperatorKey(..)")
    }
}

impl Approval {
    /// Verifies an approval: signed by one of these operators, not over yet. Whether it was
    /// used before is the store's to know.
    ///
    /// Errors: [`ApprovalRefused`]. Limits: [`MAX_APPROVAL_BYTES`].
    pub fn open<'a>(
        text: &str,
        operators: &'a [Operator],
        now: Timestamp,
    ) -> Result<(Self, &'a Operator), ApprovalRefused> {
        if text.len() > MAX_APPROVAL_BYTES {
            return Err(ApprovalRefused::Malformed);
        }
        let (statement, signature) =
            text.trim().split_once('.').ok_or(ApprovalRefused::Malformed)?;
        let decode =
            |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| ApprovalRefused::Malformed);
        let (statement, signature) = (decode(statement)?, decode(signature)?);
        let approval: Self =
            serde_json::from_slice(&statement).map_err(|_| ApprovalRefused::Malformed)?;
        let operator = operators.iter().find(|operator| operator.name == approval.operator);
        let operator = operator.ok_or(ApprovalRefused::UnknownOperator)?;
        UnparsedPublicKey::new(&ED25519, operator.public)
            .verify(&[DOMAIN, &statement].concat(), &signature)
            .map_err(|_| ApprovalRefused::Signature)?;
        if now >= approval.expires {
            return Err(ApprovalRefused::Expired);
        }
        Ok((approval, operator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval() -> Approval {
        Approval {
            operator: "ada".to_owned(),
            content_id: ContentId::parse("film").unwrap(),
            certificate_sha256: [1; 32],
            expires: Timestamp(1000),
            id: [2; 16],
        }
    }

    fn key() -> OperatorKey {
        OperatorKey::parse(&OperatorKey::generate()).unwrap()
    }

    #[test]
    fn an_approval_is_its_operators_for_its_time() {
        let (ada, bob) = (key(), key());
        let text = ada.approve(&approval());
        let operators = [bob.operator("bob").unwrap(), ada.operator("ada").unwrap()];
        let open = |text: &str, now| Approval::open(text, &operators, Timestamp(now));
        let (opened, by) = open(&text, 999).unwrap();
        assert_eq!((opened, by), (approval(), &operators[1]));
        assert_eq!(open(&text, 1000).unwrap_err(), ApprovalRefused::Expired);
        let forged = bob.approve(&approval());
        assert_eq!(open(&forged, 0).unwrap_err(), ApprovalRefused::Signature);
        let eve = Approval { operator: "eve".to_owned(), ..approval() };
        assert_eq!(open(&ada.approve(&eve), 0).unwrap_err(), ApprovalRefused::UnknownOperator);
        let later = ada.approve(&Approval { expires: Timestamp(5000), ..approval() });
        let (_, signature) = text.split_once('.').unwrap();
        let (statement, _) = later.split_once('.').unwrap();
        let mixed = format!("{statement}.{signature}");
        assert_eq!(open(&mixed, 0).unwrap_err(), ApprovalRefused::Signature);
        let long = "a".repeat(MAX_APPROVAL_BYTES + 1);
        for text in ["", ".", "a", "a.b", "e30.", long.as_str()] {
            assert_eq!(open(text, 0).unwrap_err(), ApprovalRefused::Malformed, "{text}");
        }
    }

    #[test]
    fn an_operator_reads_back_and_is_one_under_two_names() {
        let key = key();
        let (ada, twin) = (key.operator("ada").unwrap(), key.operator("twin").unwrap());
        assert_eq!(Operator::parse(&ada.to_string()), Ok(ada.clone()));
        assert!(ada.is_same(&twin) && !ada.is_same(&self::key().operator("bob").unwrap()));
        for text in
            ["", "ada", "ada:", "ada:AAAA", ":AAAA", &twin.to_string().replace("twin", "a b")]
        {
            assert_eq!(Operator::parse(text), Err(ApprovalRefused::Operator), "{text}");
        }
        assert!(key.operator("").is_err());
        assert_eq!(format!("{key:?}"), "OperatorKey(..)");
        assert!(OperatorKey::parse(&Zeroizing::new(vec![1, 2])).is_err());
    }
}
