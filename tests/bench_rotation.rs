//! `bench rotation` in small: what it counts is what the rules say, and it says no where a crowd
//! does not ask when it is told.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

use serde_json::Value;
use std::process::Command;

/// An event of a quarter of an hour, keys of half a minute; everybody comes within 90 seconds.
const EVENT: &str = "bench rotation --periods 30 --period-s 30 --ramp-s 90 --json";

/// Runs it in memory where there is some; its exit code and its runs.
fn bench(more: &str) -> (i32, Vec<Value>) {
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let out = Command::new(env!("CARGO_BIN_EXE_strongroom"))
        .args(EVENT.split(' '))
        .args(more.split(' '))
        .env("TMPDIR", folder)
        .env("STRONGROOM_LOG", "error")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    let report: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{said}"));
    let runs = report.get("runs").unwrap().as_array().unwrap().clone();
    (out.status.code().unwrap(), runs)
}

fn number(run: &Value, name: &str) -> f64 {
    run.pointer(name).and_then(Value::as_f64).unwrap_or_else(|| panic!("{name} in {run}"))
}

fn missed(run: &Value) -> Vec<&str> {
    run.get("missed")
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|what| what.as_str().unwrap())
        .collect()
}

#[test]
fn widevine_viewers_need_one_license_or_one_for_each_horizon() {
    let (_, runs) = bench("--viewers 200 --dialect widevine --horizon event --horizon 300");
    let [whole, minutes] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!(missed(whole), [""; 0]);
    assert_eq!((number(whole, "/a_viewer"), number(whole, "/peak_per_s")), (1.0, 0.0));
    assert_eq!(number(whole, "/arithmetic/one_by_one"), 15_000_000.0);
    assert_eq!(number(whole, "/arithmetic/batched"), 500_000.0);
    // One, and one in each 294 seconds of about 855. So few come at random moments, so that their
    // busiest second says nothing.
    assert!((3.7..4.2).contains(&number(minutes, "/a_viewer")), "{minutes}");
    for run in &runs {
        assert_eq!(number(run, "/lacked"), 0.0);
        assert_eq!(number(run, "/licenses/first"), 200.0);
        assert_eq!(number(run, "/licenses/lacking"), 0.0);
        let licenses = 200.0 * number(run, "/a_viewer");
        assert!((number(run, "/counted") - licenses).abs() < 0.5, "{run}");
        assert_eq!(number(run, "/counted"), number(run, "/audit_rows"));
        assert!(number(run, "/license_cpu_us") > 0.0 && number(run, "/license_bytes") > 1000.0);
    }
    // All keys are more than those of five minutes.
    assert!(number(whole, "/license_bytes") > number(minutes, "/license_bytes"));
}

#[test]
fn a_crowd_that_asks_when_told_is_spread_and_lacks_no_key() {
    let (code, runs) = bench("--viewers 2000 --dialect clearkey --horizon 300");
    assert_eq!(code, 0, "{runs:?}");
    let [minutes] = runs.as_slice() else { panic!("{runs:?}") };
    assert!(number(minutes, "/peak_to_mean") <= 3.0, "{minutes}");
    // Without an end, a license reaches a period less far: one in each 265 seconds of about 855.
    assert!((4.1..4.34).contains(&number(minutes, "/a_viewer")), "{minutes}");
    assert_eq!(number(minutes, "/lacked"), 0.0);
}

#[test]
fn a_crowd_that_asks_after_the_same_delay_is_found_out() {
    let (code, runs) = bench("--viewers 2000 --dialect clearkey --horizon 300 --deaf-s 264");
    assert_eq!(code, 1, "{runs:?}");
    let [minutes] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!(missed(minutes), ["the busiest second"]);
    assert!(number(minutes, "/peak_to_mean") > 3.0, "{minutes}");
}
