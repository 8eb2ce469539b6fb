//! Plain files as the packager's sources and target.

use media::Input;
use media::package::{FileId, Output};
use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// A file as a source.
pub struct FileInput {
    file: File,
    len: u64,
}

impl FileInput {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self { len: file.metadata()?.len(), file })
    }
}

impl Input for FileInput {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }
}

/// A folder as a target.
pub struct Folder {
    root: PathBuf,
    open: Vec<Option<File>>,
}

impl Folder {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), open: Vec::new() }
    }

    fn file(&mut self, id: FileId) -> io::Result<&mut File> {
        let slot = self.open.get_mut(id.0 as usize).and_then(Option::as_mut);
        slot.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Output for Folder {
    fn create(&mut self, path: &str) -> io::Result<FileId> {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder"))?;
        let file = File::create_new(path)?;
        let free = self.open.iter().position(Option::is_none).unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() - 1
        });
        self.open[free] = Some(file);
        Ok(FileId(u32::try_from(free).expect("few files are open")))
    }

    fn append(&mut self, id: FileId, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let file = self.file(id)?;
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let written = file.write_vectored(parts)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut parts, written);
        }
        Ok(())
    }

    fn overwrite(&mut self, id: FileId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(id)?.write_all_at(bytes, offset)
    }

    fn close(&mut self, id: FileId) -> io::Result<()> {
        self.open[id.0 as usize].take().map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn read_back(&mut self, path: &str) -> io::Result<Box<dyn Input + '_>> {
        Ok(Box::new(FileInput::open(&self.root.join(path))?))
    }
}

/// A folder that goes with the value.
pub struct TempFolder(PathBuf);

impl TempFolder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("strongroom-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("the temporary folder can be made");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
