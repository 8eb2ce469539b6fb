//! What `bench rotation` prints.

use super::Arguments;
use super::figures::Figures;
use super::players::Spoken;
use serde::Serialize;

/// The report.
#[derive(Serialize)]
pub struct Report {
    pub dialect: Spoken,
    pub viewers: u32,
    pub periods: u32,
    pub period_s: u32,
    pub ramp_s: u32,
    pub keys_in_a_period: usize,
    pub runs: Vec<Run>,
}

/// One event under one horizon.
#[derive(Serialize)]
pub struct Run {
    pub horizon: String,
    pub batch_periods: u32,
    #[serde(flatten)]
    pub figures: Figures,
    pub arithmetic: Arithmetic,
    /// Licenses that the service counted itself, and rows that its audit has of the event.
    pub counted: u64,
    pub audit_rows: u64,
    /// CPU microseconds in the service: of a license, and of the token call before the first one.
    pub license_cpu_us: f64,
    pub token_call_cpu_us: f64,
    /// Seconds that the simulation took.
    pub took_s: f64,
    pub missed: Vec<&'static str>,
}

/// R123: requests of a crowd, by configuration, if each key were asked for alone, and as measured.
#[derive(Serialize)]
pub struct Arithmetic {
    pub viewers: u32,
    pub one_by_one: u64,
    pub batched: u64,
    pub times_less: f64,
}

impl Arithmetic {
    /// By configuration and by what was measured.
    pub fn of(arguments: &Arguments, a_viewer: f64) -> Self {
        let one_by_one = u64::from(arguments.of) * u64::from(arguments.periods.get());
        let batched = f64::from(arguments.of) * a_viewer;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of requests, and not negative"
        )]
        let rounded = batched.round() as u64;
        Self {
            viewers: arguments.of,
            one_by_one,
            batched: rounded,
            times_less: one_by_one as f64 / batched.max(1.0),
        }
    }
}

/// The report for people.
pub fn table(report: &Report) -> String {
    let Report { viewers, periods, period_s, ramp_s, keys_in_a_period, .. } = report;
    let mut text = format!(
        "{}: {viewers} viewers within {ramp_s} s, {periods} periods of {period_s} s, \
         {keys_in_a_period} keys in each, virtual time\n",
        report.dialect.title()
    );
    for run in &report.runs {
        text += &run.lines();
    }
    text
}

impl Run {
    fn lines(&self) -> String {
        let Self { horizon, batch_periods, figures, arithmetic, .. } = self;
        let kinds = &figures.licenses;
        let mut text = format!("\nhorizon: {horizon}, batches of {batch_periods} periods\n");
        let mut line = |what: &str, value: String| text += &format!("{what:<32} {value}\n");
        line(
            "licenses of a viewer",
            format!(
                "{:.3} in the mean (at most {:.2}), {} at most",
                figures.a_viewer, figures.a_viewer_bound, figures.a_viewer_most
            ),
        );
        line(
            "licenses",
            format!(
                "{} first, {} follow-up, {} for a key that was lacking",
                kinds.first, kinds.follow_up, kinds.lacking
            ),
        );
        line(
            "follow-ups a second",
            format!(
                "{:.1} in the mean, {} at most, {} s into a period: {:.2} times the mean",
                figures.mean_per_s, figures.peak_per_s, figures.peak_at_s, figures.peak_to_mean
            ),
        );
        line("first licenses a second", format!("{} at most", figures.joins_peak_per_s));
        line(
            "bytes of a license",
            format!(
                "{:.0} in the mean, {} in all",
                figures.license_bytes, figures.license_bytes_all
            ),
        );
        line(
            "CPU of the service",
            format!(
                "{:.0} us a license, {:.0} us a token call",
                self.license_cpu_us, self.token_call_cpu_us
            ),
        );
        line("viewers who lacked a key", figures.lacked.to_string());
        line(
            "counted by the service",
            format!("{}, {} in the audit", self.counted, self.audit_rows),
        );
        line(
            &format!("for {} viewers", arithmetic.viewers),
            format!(
                "{} requests one by one, {} so: {:.1} times less",
                arithmetic.one_by_one, arithmetic.batched, arithmetic.times_less
            ),
        );
        line("took", format!("{:.0} s", self.took_s));
        if !self.missed.is_empty() {
            line("NOT AS PROMISED", self.missed.join(", "));
        }
        text
    }
}
