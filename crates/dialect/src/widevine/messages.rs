//! Widevine's messages on the wire (Protocol Buffers): the fields that are used here, by their
//! public names and numbers. Unknown fields are skipped, as the format wants it.
//!
//! Messages within messages that are signed, hashed or nested without end are `bytes` here:
//! on the wire that is the same, their exact bytes stay at hand, and how deep one reads is up
//! to the code that does it. Enumerations are plain numbers, so that an unknown one is never
//! taken for the default.

/// `SignedMessage`: the envelope of everything.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SignedMessage {
    #[prost(int32, optional, tag = "1")]
    pub kind: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub msg: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub signature: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub session_key: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "8")]
    pub session_key_type: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub oemcrypto_core_message: Option<Vec<u8>>,
}

/// `SignedMessage.MessageType`.
pub mod message_type {
    pub const LICENSE_REQUEST: i32 = 1;
    pub const LICENSE: i32 = 2;
    pub const SERVICE_CERTIFICATE_REQUEST: i32 = 4;
    pub const SERVICE_CERTIFICATE: i32 = 5;
}

/// `SignedMessage.SessionKeyType`.
pub mod session_key_type {
    pub const WRAPPED_AES_KEY: i32 = 1;
}

/// `LicenseRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LicenseRequest {
    /// A [`ClientIdentification`].
    #[prost(bytes = "vec", optional, tag = "1")]
    pub client_id: Option<Vec<u8>>,
    #[prost(message, optional, tag = "2")]
    pub content_id: Option<ContentIdentification>,
    #[prost(int32, optional, tag = "3")]
    pub kind: Option<i32>,
    #[prost(int64, optional, tag = "4")]
    pub request_time: Option<i64>,
    #[prost(int32, optional, tag = "6")]
    pub protocol_version: Option<i32>,
    #[prost(uint32, optional, tag = "7")]
    pub key_control_nonce: Option<u32>,
    #[prost(message, optional, tag = "8")]
    pub encrypted_client_id: Option<EncryptedClientIdentification>,
}

/// `LicenseRequest.RequestType`.
pub mod request_type {
    pub const NEW: i32 = 1;
    pub const RENEWAL: i32 = 2;
    pub const RELEASE: i32 = 3;
}

/// `ProtocolVersion.VERSION_2_1`.
pub const VERSION_2_1: i32 = 21;

/// `LicenseRequest.ContentIdentification`: one of the four.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ContentIdentification {
    #[prost(message, optional, tag = "1")]
    pub widevine_pssh_data: Option<PsshContent>,
    #[prost(message, optional, tag = "2")]
    pub webm_key_id: Option<WebmKeyId>,
    #[prost(message, optional, tag = "3")]
    pub existing_license: Option<ExistingLicense>,
    #[prost(message, optional, tag = "4")]
    pub init_data: Option<InitData>,
}

/// `ContentIdentification.WidevinePsshData`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PsshContent {
    /// Each a [`WidevinePsshData`].
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub pssh_data: Vec<Vec<u8>>,
    #[prost(int32, optional, tag = "2")]
    pub license_type: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub request_id: Option<Vec<u8>>,
}

/// `ContentIdentification.WebmKeyId`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WebmKeyId {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub header: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "2")]
    pub license_type: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub request_id: Option<Vec<u8>>,
}

/// `ContentIdentification.ExistingLicense`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExistingLicense {
    #[prost(message, optional, tag = "1")]
    pub license_id: Option<LicenseIdentification>,
    #[prost(int64, optional, tag = "2")]
    pub seconds_since_started: Option<i64>,
    #[prost(int64, optional, tag = "3")]
    pub seconds_since_last_played: Option<i64>,
}

/// `ContentIdentification.InitData`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InitData {
    #[prost(int32, optional, tag = "1")]
    pub init_data_type: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub init_data: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "3")]
    pub license_type: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub request_id: Option<Vec<u8>>,
}

/// `InitData.InitDataType`.
pub mod init_data_type {
    pub const CENC: i32 = 1;
    pub const WEBM: i32 = 2;
}

/// `LicenseType`.
pub mod license_type {
    pub const STREAMING: i32 = 1;
    pub const OFFLINE: i32 = 2;
    pub const AUTOMATIC: i32 = 3;
}

/// `LicenseIdentification`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LicenseIdentification {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub request_id: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub session_id: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "4")]
    pub license_type: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    pub version: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "6")]
    pub provider_session_token: Option<Vec<u8>>,
}

/// `ClientIdentification`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClientIdentification {
    #[prost(int32, optional, tag = "1")]
    pub kind: Option<i32>,
    /// A [`SignedDrmCertificate`], where `kind` is a device certificate.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub token: Option<Vec<u8>>,
    #[prost(message, optional, tag = "6")]
    pub client_capabilities: Option<ClientCapabilities>,
}

/// `ClientIdentification.TokenType`.
pub mod token_type {
    pub const KEYBOX: i32 = 0;
    pub const DRM_DEVICE_CERTIFICATE: i32 = 1;
    pub const REMOTE_ATTESTATION_CERTIFICATE: i32 = 2;
    pub const OEM_DEVICE_CERTIFICATE: i32 = 3;
}

/// `ClientIdentification.ClientCapabilities`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClientCapabilities {
    #[prost(int32, optional, tag = "4")]
    pub max_hdcp_version: Option<i32>,
    #[prost(uint32, optional, tag = "5")]
    pub oem_crypto_api_version: Option<u32>,
    #[prost(bool, optional, tag = "11")]
    pub can_disable_analog_output: Option<bool>,
    #[prost(uint32, optional, tag = "12")]
    pub resource_rating_tier: Option<u32>,
}

/// `EncryptedClientIdentification`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EncryptedClientIdentification {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub provider_id: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub service_certificate_serial_number: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub encrypted_client_id: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub encrypted_client_id_iv: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub encrypted_privacy_key: Option<Vec<u8>>,
}

/// `SignedDrmCertificate`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SignedDrmCertificate {
    /// A [`DrmCertificate`].
    #[prost(bytes = "vec", optional, tag = "1")]
    pub drm_certificate: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub signature: Option<Vec<u8>>,
    /// A [`SignedDrmCertificate`].
    #[prost(bytes = "vec", optional, tag = "3")]
    pub signer: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "4")]
    pub hash_algorithm: Option<i32>,
}

/// `HashAlgorithmProto`; unspecified is SHA-1 under RSA.
pub mod hash_algorithm {
    pub const UNSPECIFIED: i32 = 0;
    pub const SHA_1: i32 = 1;
}

/// `DrmCertificate`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DrmCertificate {
    #[prost(int32, optional, tag = "1")]
    pub kind: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub serial_number: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "3")]
    pub creation_time_seconds: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub public_key: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "5")]
    pub system_id: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "7")]
    pub provider_id: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "9")]
    pub algorithm: Option<i32>,
    #[prost(uint32, optional, tag = "12")]
    pub expiration_time_seconds: Option<u32>,
}

/// `DrmCertificate.Type`.
pub mod certificate_type {
    pub const ROOT: i32 = 0;
    pub const DEVICE_MODEL: i32 = 1;
    pub const DEVICE: i32 = 2;
    pub const SERVICE: i32 = 3;
}

/// `DrmCertificate.Algorithm`.
pub mod key_algorithm {
    pub const UNKNOWN: i32 = 0;
    pub const RSA: i32 = 1;
}

/// `WidevinePsshData`, the payload of Widevine's `pssh` box.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WidevinePsshData {
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub key_ids: Vec<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub content_id: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "7")]
    pub crypto_period_index: Option<u32>,
    #[prost(uint32, optional, tag = "9")]
    pub protection_scheme: Option<u32>,
    #[prost(int32, optional, tag = "11")]
    pub kind: Option<i32>,
}

/// `WidevinePsshData.Type.SINGLE`.
pub const PSSH_SINGLE: i32 = 0;

/// `License`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct License {
    #[prost(message, optional, tag = "1")]
    pub id: Option<LicenseIdentification>,
    #[prost(message, optional, tag = "2")]
    pub policy: Option<Policy>,
    #[prost(message, repeated, tag = "3")]
    pub key: Vec<KeyContainer>,
    #[prost(int64, optional, tag = "4")]
    pub license_start_time: Option<i64>,
    #[prost(uint32, optional, tag = "7")]
    pub protection_scheme: Option<u32>,
}

/// `License.Policy`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Policy {
    #[prost(bool, optional, tag = "1")]
    pub can_play: Option<bool>,
    #[prost(bool, optional, tag = "2")]
    pub can_persist: Option<bool>,
    #[prost(bool, optional, tag = "3")]
    pub can_renew: Option<bool>,
    #[prost(int64, optional, tag = "4")]
    pub rental_duration_seconds: Option<i64>,
    #[prost(int64, optional, tag = "5")]
    pub playback_duration_seconds: Option<i64>,
    #[prost(int64, optional, tag = "6")]
    pub license_duration_seconds: Option<i64>,
    #[prost(int64, optional, tag = "7")]
    pub renewal_recovery_duration_seconds: Option<i64>,
    #[prost(string, optional, tag = "8")]
    pub renewal_server_url: Option<String>,
    #[prost(int64, optional, tag = "9")]
    pub renewal_delay_seconds: Option<i64>,
    #[prost(int64, optional, tag = "10")]
    pub renewal_retry_interval_seconds: Option<i64>,
    #[prost(bool, optional, tag = "11")]
    pub renew_with_usage: Option<bool>,
    #[prost(bool, optional, tag = "12")]
    pub always_include_client_id: Option<bool>,
    #[prost(int64, optional, tag = "13")]
    pub play_start_grace_period_seconds: Option<i64>,
    #[prost(bool, optional, tag = "14")]
    pub soft_enforce_playback_duration: Option<bool>,
    /// Absent means true.
    #[prost(bool, optional, tag = "15")]
    pub soft_enforce_rental_duration: Option<bool>,
}

/// `License.KeyContainer`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KeyContainer {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub id: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub iv: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub key: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "4")]
    pub kind: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    pub level: Option<i32>,
    #[prost(message, optional, tag = "6")]
    pub required_protection: Option<OutputProtection>,
    #[prost(string, optional, tag = "12")]
    pub track_label: Option<String>,
}

/// `KeyContainer.KeyType`.
pub mod key_type {
    pub const SIGNING: i32 = 1;
    pub const CONTENT: i32 = 2;
}

/// `KeyContainer.OutputProtection`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OutputProtection {
    #[prost(int32, optional, tag = "1")]
    pub hdcp: Option<i32>,
    #[prost(bool, optional, tag = "4")]
    pub disable_analog_output: Option<bool>,
}
