//! A server that stands for Google Cloud KMS and for the metadata server, written from their
//! documentation: no real one can be had where the tests run.

use super::{CRC_32C, crc};
use crate::SystemEntropy;
use crate::kms::remote::fault_proxy::{read_message, with_status};
use crate::seal::SealingKey;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use model::Entropy as _;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt as _;

/// What the metadata server gives.
const MACHINE_TOKEN: &str = "ya29.of-the-machine";

/// A running server; ends with its runtime.
pub(super) struct StandIn {
    /// Host and port.
    pub(super) address: String,
    state: Arc<State>,
}

struct State {
    account: DecodingKey,
    account_file: String,
    keys: Mutex<HashMap<String, SealingKey>>,
    /// What every call is answered with, instead of an answer.
    refusal: Mutex<Option<(u16, &'static str)>>,
    /// The latest token that is still taken: what was issued before this second is revoked.
    issued_after_s: Mutex<u64>,
    tokens_seen: Mutex<Vec<String>>,
}

impl StandIn {
    /// Starts the server, with a service account of its own.
    pub(super) async fn start() -> Self {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let pem = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
        let account_file = json!({
            "type": "service_account", "client_email": "kms@p.iam.gserviceaccount.com",
            "private_key_id": "key-1", "private_key": pem,
        });
        let state = Arc::new(State {
            account: DecodingKey::from_rsa_der(key.public_key().as_ref()),
            account_file: account_file.to_string(),
            keys: Mutex::default(),
            refusal: Mutex::default(),
            issued_after_s: Mutex::default(),
            tokens_seen: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let own = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let state = Arc::clone(&own);
                tokio::spawn(async move {
                    let Some(request) = read_message(&mut client).await else { return };
                    let (status, body) = state.answer(&String::from_utf8(request).unwrap());
                    drop(client.write_all(&with_status(status, body.to_string().as_bytes())).await);
                });
            }
        });
        Self { address, state }
    }

    /// The account's file, as Google's console gives it.
    pub(super) fn account_file(&self) -> &str {
        &self.state.account_file
    }

    /// Makes a key, unless it is there.
    pub(super) fn make_key(&self, name: &str) {
        let mut bytes = [0; 32];
        SystemEntropy.fill(&mut bytes);
        let mut keys = self.state.keys.lock().unwrap();
        keys.entry(name.to_owned()).or_insert_with(|| SealingKey::new(&bytes));
    }

    /// Answers every call with this failure from now on.
    pub(super) fn refuse_with(&self, refusal: Option<(u16, &'static str)>) {
        *self.state.refusal.lock().unwrap() = refusal;
    }

    /// Takes no token that was issued until `second`.
    pub(super) fn revoke_until(&self, second: u64) {
        *self.state.issued_after_s.lock().unwrap() = second;
    }

    /// How many different tokens were shown.
    pub(super) fn tokens_seen(&self) -> usize {
        let mut tokens = self.state.tokens_seen.lock().unwrap().clone();
        tokens.sort();
        tokens.dedup();
        tokens.len()
    }
}

fn failure(status: u16, name: &str) -> (u16, Value) {
    (status, json!({"error": {"code": status, "message": "no", "status": name}}))
}

impl State {
    fn answer(&self, request: &str) -> (u16, Value) {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let line = head.lines().next().unwrap();
        if line.starts_with("GET /computeMetadata/v1/instance/service-accounts/default/token ") {
            let has_flavor = head.to_lowercase().contains("metadata-flavor: google");
            assert!(has_flavor, "the metadata server wants its header");
            let token =
                json!({"access_token": MACHINE_TOKEN, "expires_in": 3599, "token_type": "Bearer"});
            return (200, token);
        }
        if let Some((status, name)) = *self.refusal.lock().unwrap() {
            return failure(status, name);
        }
        let bearer = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
        if !bearer.is_some_and(|token| self.is_known(token)) {
            return failure(401, "UNAUTHENTICATED");
        }
        let path = line.strip_prefix("POST /v1/").unwrap().split(' ').next().unwrap();
        let (name, operation) = path.rsplit_once(':').unwrap();
        let keys = self.keys.lock().unwrap();
        let Some(key) = keys.get(name) else { return failure(404, "NOT_FOUND") };
        let body: HashMap<String, String> = serde_json::from_str(body).unwrap();
        let field = |name: &str| {
            let bytes = STANDARD.decode(&body[name]).unwrap();
            let is_whole = body[&format!("{name}Crc32c")] == crc(&bytes);
            is_whole.then_some(bytes)
        };
        let Some(aad) = field("additionalAuthenticatedData") else {
            return failure(400, "INVALID_ARGUMENT");
        };
        match operation {
            "encrypt" => {
                let sealed = key.seal(&field("plaintext").unwrap(), &aad, &mut SystemEntropy);
                (
                    200,
                    json!({
                        "name": format!("{name}/cryptoKeyVersions/1"),
                        "ciphertext": STANDARD.encode(&sealed), "ciphertextCrc32c": crc(&sealed),
                        "verifiedPlaintextCrc32c": true,
                        "verifiedAdditionalAuthenticatedDataCrc32c": true,
                    }),
                )
            }
            "decrypt" => {
                let sealed = field("ciphertext").unwrap();
                let mut plain = vec![0; sealed.len().saturating_sub(29)];
                if key.open(&sealed, &aad, &mut plain).is_err() {
                    return failure(400, "INVALID_ARGUMENT");
                }
                let sum = CRC_32C.checksum(&plain).to_string();
                (200, json!({"plaintext": STANDARD.encode(&plain), "plaintextCrc32c": sum}))
            }
            other => panic!("{other}"),
        }
    }

    /// The machine's token, or one that the account signed for this service.
    fn is_known(&self, token: &str) -> bool {
        self.tokens_seen.lock().unwrap().push(token.to_owned());
        if token == MACHINE_TOKEN {
            return true;
        }
        let mut rules = Validation::new(Algorithm::RS256);
        rules.set_audience(&["https://cloudkms.googleapis.com/"]);
        rules.set_issuer(&["kms@p.iam.gserviceaccount.com"]);
        rules.validate_exp = false;
        let claims = decode::<HashMap<String, Value>>(token, &self.account, &rules);
        claims.is_ok_and(|token| {
            let (iat, exp) = (&token.claims["iat"], &token.claims["exp"]);
            assert_eq!(exp.as_u64().unwrap() - iat.as_u64().unwrap(), 3600);
            assert_eq!(token.claims["sub"], token.claims["iss"]);
            assert_eq!(token.header.kid.as_deref(), Some("key-1"));
            iat.as_u64().unwrap() > *self.issued_after_s.lock().unwrap()
        })
    }
}
