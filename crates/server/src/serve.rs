//! `muster serve`: wiring.

use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::{Context, Result};
use gateway::Gateway;
use gateway::listener::{Capacity, Counters, Listener};
use gateway::metrics::{Metrics, Readings};
use gateway::monitoring::Monitoring;
use gateway::tls::{ServerCertificates, TlsPort};
use model::{HostName, limits};
use service::{Clock, Entropy, Service};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};
use crate::environment::{SystemClock, SystemEntropy};
use crate::pki::DevelopmentCa;
use crate::{admin, banner, bootstrap, files, listen, monitor};

/// The host of the administration, where browsers are not asked for certificates.
const ADMIN_HOST: &str = "muster.localhost";

/// Runs the server until it is told to stop.
pub(crate) fn serve(config: &Config) -> Result<()> {
    log(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can not start the runtime")?;
    runtime.block_on(run(config))
}

fn log(config: &Config) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log.filter)?;
    let colors = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colors)
        .with_writer(std::io::stderr);
    let set = match config.log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    set.map_err(|error| anyhow::anyhow!("can not set up the log: {error}"))
}

async fn run(config: &Config) -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
    files::private_dir(&config.data_dir)?;
    let pki_dir = config.data_dir.join("pki");
    let ca = Arc::new(DevelopmentCa::open(&pki_dir, Arc::clone(&clock))?);
    let service = open(config, &clock, &entropy).await?;
    let metrics = Arc::new(Metrics::default());
    let service = Arc::new(service.with_observer(metrics.clone()));
    ca.serve(Arc::clone(&service));
    let start = bootstrap::bootstrap(&service, &config.first_start).await?;
    let policy = admin::policy(&config.data_dir, entropy.as_ref())?;
    let bound = listen::bind(&config.listen)?;
    let monitored = monitor::bind(config.monitoring.address)?;
    let ca_file = pki_dir.join("ca.pem");
    admin::write(&config.data_dir, &policy, &ca_file, bound.https_port)?;
    let text = banner::banner(start, &service.directory(), &config.data_dir, &ca_file, &bound);
    let gateway = Arc::new(Gateway { service, admin_policies: vec![policy], metrics });
    let (shutdown, ended) = (CancellationToken::new(), CancellationToken::new());
    let counters = Arc::new(Counters::default());
    let listeners = listeners(&gateway, &ca, bound, &counters, &shutdown)?;
    if let Some((socket, address)) = monitored {
        let monitoring = monitoring(&gateway, counters, listeners.len());
        tokio::spawn(monitoring.serve(socket, ended.clone()));
        tracing::info!("monitoring on http://{address}: /healthz, /readyz, /metrics");
    }
    // The RSA key takes a while to make; whoever needs it first waits for it.
    let rsa = Arc::clone(&ca);
    let rsa = tokio::task::spawn_blocking(move || rsa.rsa().is_some());
    crate::say(&text);
    tracing::info!("listening");
    stopped().await?;
    tracing::info!("stopping: no new connections, the present ones may finish");
    shutdown.cancel();
    for listener in listeners {
        listener.await.context("a listener panicked")?;
    }
    ended.cancel();
    let _ = rsa.await;
    tracing::info!("stopped");
    Ok(())
}

async fn open(
    config: &Config,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Service> {
    let control = config.data_dir.join("control.db");
    let store = store_sqlite::Sqlite::open(&control, store_sqlite::Options::default())
        .with_context(|| format!("can not open {}", control.display()))?;
    let telemetry = config.data_dir.join("telemetry");
    files::private_dir(&telemetry)?;
    let telemetry = telemetry_log::Log::open(&telemetry, telemetry_log::Options::default())
        .with_context(|| format!("can not open {}", telemetry.display()))?;
    let service =
        Service::open(Arc::new(store), Arc::new(telemetry), Arc::clone(clock), Arc::clone(entropy));
    service.await.context("can not read the store")
}

/// What monitoring systems ask; it goes on while the listeners drain.
fn monitoring(gateway: &Gateway, listeners: Arc<Counters>, expected: usize) -> Arc<Monitoring> {
    let readings = Readings { service: Arc::clone(&gateway.service), listeners };
    let expected = u64::try_from(expected).unwrap_or(u64::MAX);
    Arc::new(Monitoring::new(&gateway.metrics, readings, expected))
}

fn listeners(
    gateway: &Arc<Gateway>,
    ca: &Arc<DevelopmentCa>,
    bound: listen::Bound,
    counters: &Arc<Counters>,
    shutdown: &CancellationToken,
) -> Result<Vec<tokio::task::JoinHandle<gateway::listener::Drained>>> {
    let certificates: Arc<dyn ServerCertificates> = ca.clone();
    let admin_host = HostName::parse(ADMIN_HOST).context("the administration's host is a name")?;
    let https = TlsPort::https(Arc::clone(&certificates), vec![admin_host])?;
    let mqtt = TlsPort::mqtt(certificates)?;
    let capacity = Capacity::new(limits::CONNECTIONS_MAX, limits::HANDSHAKES_MAX);
    let mut tasks = Vec::new();
    let sockets = bound
        .https
        .into_iter()
        .map(|socket| (socket, https.clone(), gateway.https_handler()))
        .chain(bound.mqtt.into_iter().map(|socket| (socket, mqtt.clone(), gateway.mqtt_handler())));
    for (socket, tls, handler) in sockets {
        let listener = Listener::new(socket, tls, handler, capacity.clone(), Arc::clone(counters));
        tasks.push(tokio::spawn(listener.run(shutdown.clone())));
    }
    Ok(tasks)
}

/// Waits for SIGTERM or SIGINT.
async fn stopped() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("can not wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("can not wait for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
