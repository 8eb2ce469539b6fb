//! No core dumps: memory holds keys, and a dump would carry them to the disk.

use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};

/// Turns dumps of this process off; what it starts inherits the limit. Other processes of the
/// same user can no longer attach to it or read its memory either.
///
/// Errors: what the system says.
pub fn off() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    set_dumpable(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::prctl::get_dumpable;
    use nix::sys::resource::getrlimit;

    #[test]
    fn nothing_of_this_process_is_dumped() {
        off().unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
        assert!(!get_dumpable().unwrap());
    }
}
