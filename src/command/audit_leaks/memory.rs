//! The memory of a running process, region by region, as the kernel shows it (proc(5)).

use anyhow::Context as _;
use keys::leak::{Leak, LeakSearch};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

/// How much is read at once.
const CHUNK: u64 = 1024 * 1024;

/// What was searched of a process.
#[derive(Debug, Default)]
pub struct Searched {
    /// Regions that could be read, at least in part.
    pub regions: usize,
    /// What stands in them; offsets are addresses.
    pub leaks: Vec<Leak>,
}

/// Searches everything in the process's memory that can be read. It runs on meanwhile, so what
/// moves from one region to another may be missed: ask again.
///
/// Errors: no such process, or no right to look into it (it takes the same user and a process
/// that may be dumped, or root).
pub fn search(pid: u32, search: &LeakSearch) -> anyhow::Result<Searched> {
    let about = || format!("cannot read the memory of process {pid}");
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).with_context(about)?;
    let memory = File::open(format!("/proc/{pid}/mem")).with_context(about)?;
    let mut searched = Searched::default();
    for (start, end) in maps.lines().filter_map(readable_region) {
        let mut region = Region { memory: &memory, at: start, end };
        for mut leak in search.search(&mut region)? {
            leak.offset_bytes = leak.offset_bytes.saturating_add(start);
            searched.leaks.push(leak);
        }
        searched.regions += usize::from(region.at > start);
    }
    anyhow::ensure!(searched.regions > 0, "{}: not one region can be read", about());
    Ok(searched)
}

/// Start and end of a region that the process itself may read, from a line of `maps`.
fn readable_region(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace();
    let (range, rights) = (words.next()?, words.next()?);
    let (start, end) = range.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    rights.starts_with('r').then_some((address(start)?, address(end)?))
}

/// A region as a stream; what the kernel will not show (pages of devices) ends it.
struct Region<'a> {
    memory: &'a File,
    at: u64,
    end: u64,
}

impl Read for Region<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at).min(CHUNK)).unwrap_or(0);
        let length = left.min(buffer.len());
        let Some(part) = buffer.get_mut(..length) else { return Ok(0) };
        let read = self.memory.read_at(part, self.at).unwrap_or(0);
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::leak::NamedSecret;

    #[test]
    fn readable_regions_are_those_the_process_may_read() {
        let line = "7f00aa000000-7f00aa021000 rw-p 00000000 00:00 0                  [heap]";
        assert_eq!(readable_region(line), Some((0x7f00_aa00_0000, 0x7f00_aa02_1000)));
        let guard = "7f00aa021000-7f00ae000000 ---p 00000000 00:00 0";
        assert_eq!(readable_region(guard), None);
        assert_eq!(readable_region("no region"), None);
    }

    #[test]
    fn a_secret_in_our_own_memory_is_found() {
        let secret: Vec<u8> = (0_u8..32).map(|byte| byte.wrapping_mul(97) ^ 0x5a).collect();
        let named = NamedSecret::service_secret("planted".to_owned(), &secret);
        let found = search(std::process::id(), &LeakSearch::new([named]).unwrap()).unwrap();
        let address = secret.as_ptr() as u64;
        assert!(found.leaks.iter().any(|leak| leak.offset_bytes == address), "{found:?}");
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        let search_for = LeakSearch::new([]).unwrap();
        assert!(search(u32::MAX, &search_for).is_err());
    }
}
