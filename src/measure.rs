//! CPU time and memory of other processes: what `bench` quotes instead of wall time, because
//! shared machines are noisy.

use anyhow::{Context as _, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};

/// What one run of a program cost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// CPU seconds, user and system together.
    pub cpu_s: f64,
    /// Highest resident memory, MiB.
    pub peak_mib: f64,
}

/// Argument that turns this binary into the meter of one program: [`meter`].
pub const METER: &str = "measure-one";

/// Runs a program to its end and says what it cost, with its standard output.
///
/// The kernel sums up the cost of all children a process ever had, so each program runs under
/// a process of its own that has no other child.
pub fn cost_of<I: AsRef<OsStr>>(
    program: &OsStr,
    arguments: impl IntoIterator<Item = I>,
) -> anyhow::Result<(Cost, Vec<u8>)> {
    let run = Command::new(std::env::current_exe()?)
        .arg(METER)
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot measure {}", program.display()))?;
    let notes = String::from_utf8_lossy(&run.stderr);
    if !run.status.success() {
        bail!("{} failed: {}", program.display(), notes.trim_end());
    }
    let line = notes.lines().last().context("the meter said nothing")?;
    Ok((serde_json::from_str(line).context("the meter's line")?, run.stdout))
}

/// The meter: runs one program, then prints its [`Cost`] as the last line of standard error.
pub fn meter(line: &[OsString]) -> anyhow::Result<()> {
    let (program, arguments) = line.split_first().context("nothing to measure")?;
    let status = Command::new(program).args(arguments).status()?;
    if !status.success() {
        bail!("{status}");
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1_000_000.0;
    let cost = Cost {
        cpu_s: seconds(usage.user_time()) + seconds(usage.system_time()),
        peak_mib: usage.max_rss() as f64 / 1024.0,
    };
    eprintln!("{}", serde_json::to_string(&cost)?);
    Ok(())
}

/// CPU seconds that this thread has used so far.
pub fn thread_cpu_s() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("Linux has had this clock since 2.6.12");
    time.tv_sec() as f64 + time.tv_nsec() as f64 / 1.0e9
}

/// CPU seconds that all threads of this process have used so far.
pub fn process_cpu_s() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .expect("Linux has had this clock since 2.6.12");
    time.tv_sec() as f64 + time.tv_nsec() as f64 / 1.0e9
}

/// CPU seconds that a running process has used so far, from `/proc/PID/stat`.
///
/// Shape: clock ticks of 10 ms, so compare over seconds.
pub fn cpu_so_far(pid: u32) -> anyhow::Result<f64> {
    /// `USER_HZ` of Linux on every platform it has today (`man 5 proc`).
    const TICKS_PER_S: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').context("/proc/PID/stat has no name")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| -> anyhow::Result<f64> {
        Ok(fields.get(at).context("/proc/PID/stat is short")?.parse::<f64>()?)
    };
    // Fields 14 and 15 of the line are utime and stime; two stand before the name's end.
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_S)
}

/// The middle value; of an even number, the lower of the two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_one_wild_run() {
        assert_eq!(median(vec![1.0, 100.0, 2.0]), 2.0);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn this_process_has_used_some_cpu() {
        let mut sum = 0_u64;
        for round in 0..50_000_000_u64 {
            sum = sum.wrapping_mul(31).wrapping_add(round);
        }
        assert_ne!(sum, 1);
        assert!(cpu_so_far(std::process::id()).unwrap() > 0.0);
    }
}
