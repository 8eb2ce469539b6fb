//! How far a session has come in what it and its license server say to each other; each system
//! has a room of its own for what it says.

use crate::sessions::Message;
use crate::usage::Usage;
use crate::{fairplay, playready, widevine};
use dialect::terms::LicensedKey;

/// How far a session has come.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// Each license answers the one request.
    ClearKey,
    Widevine(widevine::Stage),
    PlayReady(playready::Stage),
    FairPlay(fairplay::Stage),
}

/// What an answer brings.
pub(crate) enum Step {
    /// The next message; nothing is licensed yet.
    Asks(Exchange, Message),
    /// Keys; and a message, where the license asks for one.
    Licensed(Licensed, Exchange, Option<Message>),
    /// Nothing but itself.
    Done,
    /// The session's end.
    Over,
}

/// A license that was read.
pub(crate) struct Licensed {
    pub(crate) keys: Vec<LicensedKey>,
    pub(crate) usage: Usage,
    /// When its server says that it starts, seconds since 1970; absent: it does not say it.
    pub(crate) started_s: Option<u64>,
}
