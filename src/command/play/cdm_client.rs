//! The app's side of the CDM: starts its process, sends commands, receives replies. The bodies of
//! messages and licenses pass through unread (R104).

use super::Dialect;
use crate::command::bound;
use crate::command::cdm_process::{self, Level};
use anyhow::{Context as _, anyhow, bail};
use cdm::protocol::{self, Command, KeyState, Protected, Reply};
use cdm::{KeptId, KeptRecord, MessageKind, Origin, SessionId, SessionType};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// A running CDM; it ends with the value.
pub struct CdmProcess {
    child: Child,
    commands: Option<ChildStdin>,
    replies: ChildStdout,
}

/// Which device the CDM is.
pub struct DeviceFiles {
    /// Certificates and private keys; the CDM reads them, not we.
    pub profile: PathBuf,
    /// The root's public file, for systems whose devices know one.
    pub root: Option<PathBuf>,
    /// Whether a certificate may be asked for.
    pub registers: bool,
}

/// What the CDM keeps beyond its end, and for whom.
pub struct Kept {
    /// The file.
    pub store: PathBuf,
    /// The service.
    pub origin: Origin,
}

/// A session that was kept and is open again.
pub struct Restored {
    /// The session.
    pub session: SessionId,
    /// Its keys.
    pub keys: Vec<KeyState>,
    /// What its server must hear.
    pub message: Option<Outgoing>,
}

/// A message on its way to the license server.
pub struct Outgoing {
    /// What it is about.
    pub kind: MessageKind,
    /// Opaque.
    pub body: Vec<u8>,
}

impl CdmProcess {
    /// Starts the process. The thread that calls this must outlive it.
    pub fn start(
        dialect: Dialect,
        level: Level,
        device: Option<&DeviceFiles>,
        kept: Option<&Kept>,
        clock_file: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let mut command = bound::command(&std::env::current_exe()?)?;
        command.args([cdm_process::NAME, "--dialect", dialect.name(), "--level", level.name()]);
        if let Some(DeviceFiles { profile, root, registers }) = device {
            command.arg("--profile").arg(profile);
            if let Some(root) = root {
                command.arg("--root").arg(root);
            }
            command.args(registers.then_some("--register"));
        }
        if let Some(Kept { store, origin }) = kept {
            command.arg("--store").arg(store).args(["--origin", origin.as_str()]);
        }
        if let Some(file) = clock_file {
            command.arg("--clock-file").arg(file);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("the CDM")?;
        let commands = child.stdin.take();
        let replies = child.stdout.take().context("the CDM has an output")?;
        Ok(Self { child, commands, replies })
    }

    fn ask(&mut self, command: Command, body: &[u8]) -> anyhow::Result<(Reply, Vec<u8>)> {
        let commands = self.commands.as_mut().context("the CDM has an input")?;
        // Where it has ended, it has said why on standard error.
        let ended = || anyhow!("the CDM has ended");
        protocol::write(commands, &command, body).with_context(ended)?;
        match protocol::read(&mut self.replies).with_context(ended)?.ok_or_else(ended)? {
            (Reply::Refused { error }, _) => bail!("the CDM refuses: {error}"),
            reply => Ok(reply),
        }
    }

    /// The question for a certificate, where the CDM has none.
    pub fn provision(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        match self.ask(Command::Provision, &[])? {
            (Reply::Provisioning, question) => Ok((!question.is_empty()).then_some(question)),
            other => Err(unexpected(&other.0)),
        }
    }

    /// Brings the answer to it.
    pub fn provisioned(&mut self, answer: &[u8]) -> anyhow::Result<()> {
        match self.ask(Command::Provisioned, answer)? {
            (Reply::Done, _) => Ok(()),
            other => Err(unexpected(&other.0)),
        }
    }

    /// Opens a session; what it is kept as, and its first message.
    pub fn request(
        &mut self,
        session_type: SessionType,
        init_data: &[u8],
    ) -> anyhow::Result<(SessionId, Option<KeptId>, Outgoing)> {
        match self.ask(Command::Request { session_type }, init_data)? {
            (Reply::Message { session, kind, kept }, body) => {
                Ok((session, kept, Outgoing { kind, body }))
            }
            other => Err(unexpected(&other.0)),
        }
    }

    /// What is kept.
    pub fn list(&mut self) -> anyhow::Result<Vec<KeptRecord>> {
        match self.ask(Command::List, &[])? {
            (Reply::Kept { records }, _) => Ok(records),
            other => Err(unexpected(&other.0)),
        }
    }

    /// Opens a session that was kept.
    pub fn restore(&mut self, kept: KeptId) -> anyhow::Result<Restored> {
        match self.ask(Command::Restore { kept }, &[])? {
            (Reply::Restored { session, keys, message }, body) => {
                let message = message.map(|kind| Outgoing { kind, body });
                Ok(Restored { session, keys, message })
            }
            other => Err(unexpected(&other.0)),
        }
    }

    /// Gives a license back; the message for its server, where there is one.
    pub fn release(&mut self, session: SessionId) -> anyhow::Result<Option<Outgoing>> {
        Ok(self.keys(Command::Release { session }, &[])?.1)
    }

    /// Brings an answer; the session's keys, and its next message.
    pub fn update(
        &mut self,
        session: SessionId,
        answer: &[u8],
    ) -> anyhow::Result<(Vec<KeyState>, Option<Outgoing>)> {
        self.keys(Command::Update { session }, answer)
    }

    /// What the keys of a session may do now.
    pub fn statuses(&mut self, session: SessionId) -> anyhow::Result<Vec<KeyState>> {
        Ok(self.keys(Command::Status { session }, &[])?.0)
    }

    /// Ends a session.
    pub fn close(&mut self, session: SessionId) -> anyhow::Result<()> {
        match self.ask(Command::Close { session }, &[])? {
            (Reply::Done, _) => Ok(()),
            other => Err(unexpected(&other.0)),
        }
    }

    /// The renewal that may be due.
    pub fn renewal(&mut self, session: SessionId) -> anyhow::Result<Option<Outgoing>> {
        Ok(self.keys(Command::Renew { session }, &[])?.1)
    }

    fn keys(
        &mut self,
        command: Command,
        body: &[u8],
    ) -> anyhow::Result<(Vec<KeyState>, Option<Outgoing>)> {
        match self.ask(command, body)? {
            (Reply::Keys { keys, message }, body) => {
                Ok((keys, message.map(|kind| Outgoing { kind, body })))
            }
            other => Err(unexpected(&other.0)),
        }
    }

    /// Opens a track; how it is protected, and what a decoder out here gets of it.
    pub fn load(
        &mut self,
        track: u32,
        init: &[u8],
    ) -> anyhow::Result<(Option<Protected>, Vec<u8>)> {
        match self.ask(Command::Load { track }, init)? {
            (Reply::Track { protection }, body) => Ok((protection, body)),
            other => Err(unexpected(&other.0)),
        }
    }

    /// Decrypts a segment; what a decoder out here gets of it.
    pub fn decrypt(&mut self, track: u32, segment: &[u8]) -> anyhow::Result<Vec<u8>> {
        match self.ask(Command::Decrypt { track }, segment)? {
            (Reply::Media, body) => Ok(body),
            other => Err(unexpected(&other.0)),
        }
    }

    /// Ends a track; the frames that were decoded inside.
    pub fn finish(&mut self, track: u32) -> anyhow::Result<String> {
        match self.ask(Command::Finish { track }, &[])? {
            (Reply::Frames, body) => String::from_utf8(body).context("the CDM's frames"),
            other => Err(unexpected(&other.0)),
        }
    }
}

fn unexpected(reply: &Reply) -> anyhow::Error {
    anyhow!("the CDM replies to another command: {reply:?}")
}

impl Drop for CdmProcess {
    fn drop(&mut self) {
        // Its input's end is its own end.
        drop(self.commands.take());
        let _reaped = self.child.wait();
    }
}
