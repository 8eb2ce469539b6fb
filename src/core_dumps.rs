//! No core dumps: memory holds keys, and a dump would carry them to the disk.

use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};

/// Turns core files of this process, and of what it starts, off.
///
/// Errors: what the system says.
pub fn off() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
}

/// Lets nobody but root look into this process: no other process of the same user attaches to
/// it or reads its memory, and no program that the system gives its dumps to gets one.
///
/// In production only: elsewhere `audit-leaks --process` looks into a service without being root.
///
/// Errors: what the system says.
pub fn shut() -> nix::Result<()> {
    set_dumpable(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::prctl::get_dumpable;
    use nix::sys::resource::getrlimit;
    use std::process::Command;

    const CHILD: &str = "STRONGROOM_TEST_CHILD";

    /// Not a promise of its own: the process of the test below, so that others in this one may
    /// still look into themselves.
    #[test]
    fn child_that_shuts_itself() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        off().unwrap();
        assert!(get_dumpable().unwrap(), "until it is shut");
        shut().unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
        assert!(!get_dumpable().unwrap());
        println!("shut");
    }

    #[test]
    fn nothing_of_a_process_is_dumped() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "core_dumps::tests::child_that_shuts_itself", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(child.status.success());
        assert!(String::from_utf8_lossy(&child.stdout).contains("shut"));
    }
}
