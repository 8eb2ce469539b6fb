//! Tests that measure the memory of their process: each runs in a process of its own, where no
//! other test grows beside it (proc(5), `VmHWM` and `clear_refs`).

use std::process::Command;

/// What ten thousand hostile requests, one after the other, may take.
const MEMORY_KIB: u64 = 16 * 1024;

/// Whether this process runs that test alone. Where it does not, the test is run in one that does,
/// and has passed there when this returns.
#[must_use]
#[track_caller]
pub fn is_alone(module: &str, test: &str) -> bool {
    let module = module.split_once("::").expect("a module of this binary").1;
    let name = format!("{module}::{test}");
    let own: Vec<String> = std::env::args().skip(1).collect();
    if own.contains(&name) && own.iter().any(|argument| argument == "--exact") {
        return true;
    }
    let binary = std::env::current_exe().unwrap();
    let output = Command::new(binary).args(["--exact", &name, "--nocapture"]).output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let said = said.concat();
    // A name that is none runs nothing, and nothing fails.
    assert!(output.status.success() && said.contains("test result: ok. 1 passed"), "{said}");
    println!("{said}");
    false
}

/// How much memory the process takes from here on.
pub struct Memory {
    at_rest_kib: u64,
}

impl Memory {
    /// What is used now is not counted, and an earlier peak hides nothing.
    pub fn measured() -> Self {
        // Looking takes memory too, the first time.
        kib("VmHWM:");
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        Self { at_rest_kib: kib("VmRSS:") }
    }

    /// The most that was used at once since.
    fn grown_kib(&self) -> u64 {
        kib("VmHWM:").saturating_sub(self.at_rest_kib)
    }

    /// What came since took no more than requests may.
    #[track_caller]
    pub fn assert_bounded(&self) {
        let grown_kib = self.grown_kib();
        println!("{grown_kib} KiB");
        assert!(grown_kib <= MEMORY_KIB, "{grown_kib} KiB");
    }
}

fn kib(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn what_was_used_and_given_back_is_measured() {
    if !is_alone(module_path!(), "what_was_used_and_given_back_is_measured") {
        return;
    }
    drop(std::hint::black_box(vec![1_u8; 64 << 20]));
    let memory = Memory::measured();
    assert!(memory.grown_kib() < 1024, "an earlier peak is forgotten: {}", memory.grown_kib());
    drop(std::hint::black_box(vec![1_u8; 32 << 20]));
    assert!(memory.grown_kib() > 31 << 10, "{}", memory.grown_kib());
}
