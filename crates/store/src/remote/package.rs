//! A package on its way into a bucket: media while it is being made, manifests when all of it
//! is there, `package.json` as the very last.

use super::client::{Client, Served};
use super::{Address, RemoteError, RemoteObject, RemoteReader};
use futures_util::StreamExt as _;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions,
    PutOptions, PutPayload,
};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// What is larger goes up in parts.
const SINGLE_BYTES: u64 = 8 << 20;
/// S3 takes 10 000 parts; a file so long that it would need more gets longer ones.
const MAX_PARTS: u64 = 9_000;
/// Files on their way at once.
const MAX_IN_FLIGHT: usize = 4;
/// The document that says that a package is whole.
const DOCUMENT: &str = "package.json";

/// A package that is being uploaded. Dropped before it is published, everything that it has
/// uploaded is removed again, as far as the network allows; manifests were never there.
///
/// Limits: four files of at most 8 MiB, or parts of them, in memory.
#[derive(Debug)]
#[must_use]
pub struct RemotePackage {
    client: Client,
    served: Served,
    in_flight: VecDeque<(Path, JoinHandle<Result<(), RemoteError>>)>,
    /// Keys at which something of ours may be.
    uploaded: Vec<Path>,
    /// Manifests and the document, which wait for the media.
    held: Vec<(String, File)>,
    is_done: bool,
}

/// A file of the package, read back.
pub enum ReadBack {
    /// A manifest that is still here.
    Held(File),
    /// An object, as its store has it now.
    Uploaded(RemoteReader),
}

impl RemotePackage {
    /// Begins a package below a prefix, where nothing may be yet.
    ///
    /// Errors: [`RemoteError::Taken`], and [`RemoteError`] of the network.
    pub fn stage(client: &Client, address: &Address) -> Result<Self, RemoteError> {
        if matches!(address, Address::Http(_)) {
            return Err(RemoteError::Other("packages go to a folder or to s3://…".to_owned()));
        }
        let served = client.serve(address)?;
        let first = served
            .wait(async { served.store.list(Some(&served.path)).next().await.transpose() })?;
        if first.is_some() {
            return Err(RemoteError::Taken);
        }
        Ok(Self {
            client: client.clone(),
            served,
            in_flight: VecDeque::new(),
            uploaded: Vec::new(),
            held: Vec::new(),
            is_done: false,
        })
    }

    /// Takes a file that is complete. Media is on its way when this returns; an error of an
    /// earlier file may come with a later one.
    pub fn put(&mut self, path: &str, file: File) -> Result<(), RemoteError> {
        if is_manifest(path) {
            self.held.push((path.to_owned(), file));
            return Ok(());
        }
        while self.in_flight.len() >= MAX_IN_FLIGHT {
            self.wait_for_oldest()?;
        }
        self.start(path, file);
        Ok(())
    }

    /// Opens a file of the package as it is now. Waits for all that is on its way.
    pub fn read_back(&mut self, path: &str) -> Result<ReadBack, RemoteError> {
        self.wait_for_all()?;
        if let Some((_, file)) = self.held.iter().find(|(held, _)| held == path) {
            return file.try_clone().map(ReadBack::Held).map_err(local);
        }
        let key = self.key(path);
        let address = match &self.served.address {
            Address::S3 { bucket, .. } => Address::S3 { bucket: bucket.clone(), key },
            http @ Address::Http(_) => http.clone(),
        };
        RemoteObject::open(&self.client, &address).map(|object| ReadBack::Uploaded(object.reader()))
    }

    /// Shows the package: manifests from the inmost to the outmost, then the document.
    pub fn publish(mut self) -> Result<(), RemoteError> {
        self.wait_for_all()?;
        let mut held = std::mem::take(&mut self.held);
        // As they were written, which is media playlists first; the document after all others.
        held.sort_by_key(|(path, _)| path == DOCUMENT);
        for (path, file) in held {
            self.start(&path, file);
            self.wait_for_all()?;
        }
        self.is_done = true;
        Ok(())
    }

    fn key(&self, path: &str) -> Path {
        let parts = path.split('/').map(object_store::path::PathPart::from);
        self.served.path.parts().chain(parts).collect()
    }

    fn start(&mut self, path: &str, file: File) {
        let key = self.key(path);
        let (store, address) = (Arc::clone(&self.served.store), self.served.address.clone());
        let (attributes, to) = (attributes(path), key.clone());
        let task = async move { upload(&*store, &to, file, attributes, &address).await };
        self.in_flight.push_back((key, self.served.runtime.spawn(task)));
    }

    fn wait_for_oldest(&mut self) -> Result<(), RemoteError> {
        let Some((key, oldest)) = self.in_flight.pop_front() else { return Ok(()) };
        let ended = self.served.runtime.block_on(oldest);
        let sent =
            ended.unwrap_or_else(|_| Err(RemoteError::Other("an upload ended early".to_owned())));
        // What another job put there meanwhile is not ours to remove.
        if !matches!(sent, Err(RemoteError::Taken)) {
            self.uploaded.push(key);
        }
        sent
    }

    fn wait_for_all(&mut self) -> Result<(), RemoteError> {
        while !self.in_flight.is_empty() {
            self.wait_for_oldest()?;
        }
        Ok(())
    }
}

impl Drop for RemotePackage {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        // No upload may end behind its own removal.
        while !self.in_flight.is_empty() {
            drop(self.wait_for_oldest());
        }
        // The last first, so that a manifest goes before its media.
        for key in self.uploaded.iter().rev() {
            if let Err(RemoteError::Deadline(_) | RemoteError::Denied) =
                self.served.wait(self.served.store.delete(key))
            {
                return;
            }
        }
    }
}

fn is_manifest(path: &str) -> bool {
    [".m3u8", ".mpd", ".json"].iter().any(|end| path.ends_with(end))
}

fn attributes(path: &str) -> Attributes {
    let name = path.rsplit('/').next().unwrap_or(path);
    let media_type = match name.rsplit('.').next() {
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("mpd") => "application/dash+xml",
        Some("json") => "application/json",
        Some("vtt") => "text/vtt",
        _ => "video/mp4",
    };
    Attributes::from_iter([(Attribute::ContentType, media_type)])
}

fn local(error: io::Error) -> RemoteError {
    RemoteError::Other(format!("a temporary file: {error}"))
}

/// Uploads a file that no object may be in the place of.
async fn upload(
    store: &dyn ObjectStore,
    key: &Path,
    file: File,
    attributes: Attributes,
    address: &Address,
) -> Result<(), RemoteError> {
    let failed = |error: object_store::Error| RemoteError::new(&error, address);
    let len = file.metadata().map_err(local)?.len();
    if len <= SINGLE_BYTES {
        let options = PutOptions { mode: PutMode::Create, attributes, ..PutOptions::default() };
        let payload = read(&file, 0, len)?;
        return store.put_opts(key, payload, options).await.map(drop).map_err(failed);
    }
    let part_len = SINGLE_BYTES.max(len.div_ceil(MAX_PARTS));
    let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
    let mut upload = store.put_multipart_opts(key, options).await.map_err(failed)?;
    let mut offset = 0;
    let sent = loop {
        if offset == len {
            break upload.complete().await.map(drop).map_err(failed);
        }
        let part = match read(&file, offset, part_len.min(len - offset)) {
            Ok(part) => part,
            Err(error) => break Err(error),
        };
        offset += part.content_length() as u64;
        if let Err(error) = upload.put_part(part).await {
            break Err(failed(error));
        }
    };
    if sent.is_err() {
        // Parts without an object cost money; a bucket's own rule removes what stays behind.
        drop(upload.abort().await);
    }
    sent
}

fn read(file: &File, offset: u64, len: u64) -> Result<PutPayload, RemoteError> {
    let len = usize::try_from(len).map_err(|error| local(io::Error::other(error)))?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset).map_err(local)?;
    Ok(PutPayload::from(bytes))
}
