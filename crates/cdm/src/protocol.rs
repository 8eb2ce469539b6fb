//! What an app and its CDM say to each other: commands one way, replies the other, over a pair of
//! pipes. It is all that the app can do, and no reply carries a key.
//!
//! Shape of a message, either way: length of its head (32 bits), length of its body (32 bits),
//! both big-endian; the head, JSON; the body, bytes. Each command has one reply, in order.

use crate::persistence::KeptRecord;
use crate::record::{KeptId, SessionType};
use crate::segment::MAX_SEGMENT_BYTES;
use crate::sessions::{KeyStatus, MessageKind, SessionId};
use model::{KeyId, Scheme};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// Longest head, bytes.
const MAX_HEAD_BYTES: u32 = 64 << 10;

/// What an app asks for. Its body is named with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Asks whether the CDM needs a certificate. Reply: [`Reply::Provisioning`].
    Provision,
    /// Brings the answer to that question; body: the answer. Reply: [`Reply::Done`].
    Provisioned,
    /// Opens a session; body: initialization data. Reply: [`Reply::Message`].
    Request {
        /// How long it lives.
        #[serde(default)]
        session_type: SessionType,
    },
    /// Asks what is kept for the app's origin. Reply: [`Reply::Kept`].
    List,
    /// Opens a session that was kept. Reply: [`Reply::Restored`].
    Restore {
        /// What it is kept as.
        kept: KeptId,
    },
    /// Brings the answer to a session's message; body: the answer. Reply: [`Reply::Keys`].
    Update {
        /// The session.
        session: SessionId,
    },
    /// Asks what a session's keys may do now. Reply: [`Reply::Keys`].
    Status {
        /// The session.
        session: SessionId,
    },
    /// Asks for the renewal that may be due. Reply: [`Reply::Keys`].
    Renew {
        /// The session.
        session: SessionId,
    },
    /// Gives the license back. Reply: [`Reply::Keys`].
    Release {
        /// The session.
        session: SessionId,
    },
    /// Ends a session. Reply: [`Reply::Done`].
    Close {
        /// The session.
        session: SessionId,
    },
    /// Opens a track; body: its initialization segment. Reply: [`Reply::Track`].
    Load {
        /// The app's number for it.
        track: u32,
    },
    /// Decrypts; body: a media segment. Reply: [`Reply::Media`].
    Decrypt {
        /// The track.
        track: u32,
    },
    /// The track has no more segments. Reply: [`Reply::Frames`].
    Finish {
        /// The track.
        track: u32,
    },
}

/// What the CDM replies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// Body: the question to the provisioning server, or nothing where the CDM has its
    /// certificate.
    Provisioning,
    /// A session's first message; body: what to send.
    Message {
        /// The new session.
        session: SessionId,
        /// What it is about.
        kind: MessageKind,
        /// What it is kept as, where something of it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<KeptId>,
    },
    /// What is kept, each with its name.
    Kept {
        /// At most [`crate::MAX_RECORDS`].
        records: Vec<KeptRecord>,
    },
    /// A session that was kept is open; body: its message, where its server must hear something.
    Restored {
        /// The session.
        session: SessionId,
        /// Each key of its license.
        keys: Vec<KeyState>,
        /// What the message is about.
        message: Option<MessageKind>,
    },
    /// A session's keys; body: its next message, where there is one.
    Keys {
        /// Each key that a license brought.
        keys: Vec<KeyState>,
        /// What the message is about.
        message: Option<MessageKind>,
    },
    /// Done.
    Done,
    /// A track; body: its initialization segment for a decoder outside, or nothing where
    /// decoding stays inside.
    Track {
        /// How it is protected; none: it is not.
        protection: Option<Protected>,
    },
    /// A decrypted segment; body: for a decoder outside, or nothing.
    Media,
    /// Decoding stayed inside; body: a line for each decoded frame.
    Frames,
    /// No; why.
    Refused {
        /// For the log.
        error: String,
    },
}

/// A key's name and status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// The key.
    pub kid: KeyId,
    /// What it may do.
    pub status: KeyStatus,
}

/// A track's protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protected {
    /// How its samples are encrypted.
    pub scheme: Scheme,
    /// The key that opens it.
    pub kid: KeyId,
}

/// Writes one message.
///
/// Errors: the stream's; [`io::ErrorKind::InvalidInput`] for a body beyond
/// [`MAX_SEGMENT_BYTES`].
pub fn write<T: Serialize>(out: &mut impl Write, head: &T, body: &[u8]) -> io::Result<()> {
    let head = serde_json::to_vec(head)?;
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "the message is too long");
    if body.len() > MAX_SEGMENT_BYTES {
        return Err(too_long());
    }
    for length in [head.len(), body.len()] {
        out.write_all(&u32::try_from(length).map_err(|_| too_long())?.to_be_bytes())?;
    }
    out.write_all(&head)?;
    out.write_all(body)?;
    out.flush()
}

/// Reads one message; `None` where the other side has ended.
///
/// Errors: the stream's; [`io::ErrorKind::InvalidData`] for a head or a body beyond its limit,
/// and for a head that is none. Limits: a head of 64 KiB, a body of [`MAX_SEGMENT_BYTES`].
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<(T, Vec<u8>)>> {
    let mut first = [0; 1];
    if from.read(&mut first)? == 0 {
        return Ok(None);
    }
    let mut rest = [0; 7];
    from.read_exact(&mut rest)?;
    let [a] = first;
    let [b, c, d, body @ ..] = rest;
    let (head, body) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes(body));
    let is_too_long = usize::try_from(body).map_or(true, |body| body > MAX_SEGMENT_BYTES);
    if head > MAX_HEAD_BYTES || is_too_long {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    let head = serde_json::from_slice(&take(from, head)?)?;
    Ok(Some((head, take(from, body)?)))
}

/// Exactly so many bytes; memory grows with what comes, not with what was announced.
fn take(from: &mut impl Read, length: u32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    from.by_ref().take(length.into()).read_to_end(&mut bytes)?;
    if u32::try_from(bytes.len()) == Ok(length) {
        return Ok(bytes);
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in() {
        let keys =
            vec![KeyState { kid: KeyId::from_bytes([7; 16]), status: KeyStatus::OutputRestricted }];
        let reply = Reply::Keys { keys, message: Some(MessageKind::LicenseRenewal) };
        let mut pipe = vec![];
        write(&mut pipe, &reply, b"body").unwrap();
        write(&mut pipe, &Reply::Done, b"").unwrap();
        let mut pipe = &pipe[..];
        assert_eq!(read(&mut pipe).unwrap(), Some((reply, b"body".to_vec())));
        assert_eq!(read(&mut pipe).unwrap(), Some((Reply::Done, vec![])));
        assert_eq!(read::<Reply>(&mut pipe).unwrap(), None);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let mut whole = vec![];
        let command = Command::Request { session_type: SessionType::PersistentLicense };
        write(&mut whole, &command, b"body").unwrap();
        for cut in 1..whole.len() {
            let error = read::<Command>(&mut &whole[..cut]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut}");
        }
        for lengths in [[0, 1, 0, 1, 0, 0, 0, 0], [0, 0, 0, 2, 0x10, 0, 0, 1]] {
            let error =
                read::<Command>(&mut &[&lengths[..], &[b' '; 99]].concat()[..]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        let plain = serde_json::from_str::<Command>(r#"{"command":"request"}"#).unwrap();
        assert_eq!(plain, Command::Request { session_type: SessionType::Temporary });
        let foreign = b"\0\0\0\x02\0\0\0\0{}";
        assert!(read::<Command>(&mut &foreign[..]).is_err());
        let body = vec![0; MAX_SEGMENT_BYTES + 1];
        assert!(write(&mut vec![], &Reply::Media, &body).is_err());
    }
}
