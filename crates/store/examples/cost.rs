//! What the hot statements cost on SQLite: processor time of the whole process and wall time, a
//! call. Run: `cargo run --release -p store --example cost`.

use model::{
    Account, AccountId, ContentId, DecisionId, DeviceId, KeyId, Plan, PlanName, PlaybackSessionId,
    Subscription, Timestamp,
};
use store::{AuditEntry, StartStream, Store};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/cost.db", folder.path().display());
    let store = Store::open(&url).await.expect("a store");
    let session = PlaybackSessionId::from_bytes([1; 16]);
    fill(&store, session).await;

    measure("stream, one after another", 30_000, 1, async |_| {
        store.stream(session).await.map(drop)
    })
    .await;
    measure("lease_stream, one after another", 20_000, 1, async |_| {
        store.lease_stream(session, 4, NOW).await.map(drop)
    })
    .await;
    for at_once in [4, 64] {
        measure("stream, so many at once", 60_000, at_once, async |_| {
            store.stream(session).await.map(drop)
        })
        .await;
        measure("lease_stream, so many at once", 30_000, at_once, async |_| {
            store.lease_stream(session, 4, NOW).await.map(drop)
        })
        .await;
    }
    measure("start_stream, reusing a slot", 10_000, 1, async |_| {
        store.start_stream(&start(session)).await.map(drop)
    })
    .await;
    for batch in [1, 8, 32, 64, 256] {
        let entries = vec![entry(session); batch];
        let name = format!("append_audit of {batch} entries");
        let calls = (20_000 / batch).clamp(200, 2000);
        measure(&name, calls, 1, async |_| store.append_audit(&entries).await).await;
    }
}

/// Runs `work` `calls` times, `at_once` of them on one task each turn, and prints the cost.
async fn measure(
    name: &str,
    calls: usize,
    at_once: usize,
    work: impl AsyncFn(usize) -> Result<(), store::StoreError>,
) {
    #[expect(clippy::disallowed_methods, reason = "measures how long it takes")]
    let begun = std::time::Instant::now();
    let cpu = cpu_us();
    let worker = async || {
        for call in 0..calls / at_once {
            work(call).await.expect("the store works");
        }
    };
    let workers: Vec<_> = (0..at_once).map(|_| Box::pin(worker())).collect();
    for_all(workers).await;
    let done = (calls / at_once * at_once) as f64;
    println!(
        "{name:45} {at_once:3} at once  cpu {:7.1} µs  wall {:7.1} µs",
        (cpu_us() - cpu) as f64 / done,
        begun.elapsed().as_micros() as f64 / done,
    );
}

/// Polls futures of one task until all are ready.
async fn for_all<F: Future<Output = ()> + Unpin>(mut all: Vec<F>) {
    std::future::poll_fn(|context| {
        all.retain_mut(|one| std::pin::Pin::new(one).poll(context).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Processor time of this process, user and system, in ticks of 10 ms (proc(5), `stat`).
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10_000
}

fn account() -> AccountId {
    AccountId::from_bytes([1; 16])
}

fn start(session: PlaybackSessionId) -> StartStream {
    StartStream {
        session,
        account: account(),
        device: DeviceId::from_bytes([1; 16]),
        content_id: ContentId::parse("film").expect("an id"),
        max_streams: 4,
        decision: DecisionId::from_bytes([1; 16]),
        interval_s: 60,
        is_anew: true,
        now: NOW,
    }
}

fn entry(session: PlaybackSessionId) -> AuditEntry {
    AuditEntry {
        at: NOW,
        actor: "vault".to_owned(),
        action: "license.issued".to_owned(),
        content_id: ContentId::parse("film").ok(),
        kid: Some(KeyId::from_bytes([1; 16])),
        session: Some(session),
        decision: Some(DecisionId::from_bytes([1; 16])),
        detail: r#"{"dialect":"clearkey","level":"L3"}"#.to_owned(),
    }
}

async fn fill(store: &Store, session: PlaybackSessionId) {
    let plan = PlanName::parse("standard").expect("a name");
    let wide = Plan {
        name: plan.clone(),
        includes_streaming: true,
        max_streams: 4,
        max_offline: 25,
        max_devices: 6,
    };
    store.put_plan(&wide).await.expect("a plan");
    let viewer = Account {
        id: account(),
        name: "viewer".to_owned(),
        plan,
        subscription: Subscription::Active,
    };
    store.insert_account(&viewer, "x", NOW).await.expect("an account");
    store.start_stream(&start(session)).await.expect("a store").expect("a slot");
}
