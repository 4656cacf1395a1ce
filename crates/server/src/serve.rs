//! `muster serve`: wiring.

use std::io::IsTerminal;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::BoolishValueParser;
use gateway::issuers::{Issuers, Nobody};
use gateway::listener::{Capacity, Counters, Listener};
use gateway::metrics::{Metrics, Readings};
use gateway::monitoring::Monitoring;
use gateway::tls::{ServerCertificates, TlsPort};
use gateway::{Gateway, Intermediates};
use model::{HostName, limits};
use service::{Clock, Entropy, Service};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::bootstrap::Start;
use crate::certificates::Certificates;
use crate::config::storms::Storms;
use crate::config::{Config, Faults, Flags, LogFormat};
use crate::environment::{SystemClock, SystemEntropy};
use crate::fixture::{self, Fixture};
use crate::home::{self, Filling, Home, Lifetime};
use crate::issuers::Watched;
use crate::pki::DevelopmentCa;
use crate::traces::Traces;
use crate::{
    admin, banner, bootstrap, certificates, diagnostics, files, linked_hubs, listen, monitor,
    open_files, webhooks,
};

/// The host of the administration, where browsers are not asked for certificates.
const ADMIN_HOST: &str = "muster.localhost";

/// Flags of `serve`.
#[derive(Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Keep everything in memory; --data-dir then gets admin.json and ca.pem alone.
    #[arg(long, env = "MUSTER_EPHEMERAL", value_parser = BoolishValueParser::new())]
    ephemeral: bool,
    /// What the server begins with: a TOML file of services, keys, enrollments and identities.
    #[arg(long, env = "MUSTER_FIXTURE", value_name = "FILE")]
    fixture: Option<PathBuf>,
}

/// How this server begins, beside its configuration.
struct Beginning<'c> {
    lifetime: Lifetime,
    fixture: Option<Fixture>,
    /// The directory that was asked for by flag or environment.
    named: Option<&'c Path>,
}

/// Runs the server until it is told to stop.
pub(crate) fn serve(config: &Config, args: &ServeArgs, named: Option<&Path>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can not start the runtime")?;
    let traces = Traces::start(config.monitoring.otlp_endpoint.as_deref(), runtime.handle())?;
    log(config, &traces)?;
    traces.tell();
    let lifetime = if args.ephemeral { Lifetime::Ephemeral } else { Lifetime::Kept };
    let fixture = args.fixture.as_deref().map(fixture::read).transpose()?;
    let beginning = Beginning { lifetime, fixture, named };
    let ended = runtime.block_on(run(config, &beginning));
    traces.finish();
    ended
}

fn log(config: &Config, traces: &Traces) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log.filter)?;
    let colors = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_ansi(colors).with_writer(std::io::stderr);
    let lines = match config.log.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let set = registry().with(traces.layer()).with(lines.with_filter(filter)).try_init();
    set.map_err(|error| anyhow::anyhow!("can not set up the log: {error}"))
}

async fn run(config: &Config, beginning: &Beginning<'_>) -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
    let stopped = stopped()?;
    let (home, service, start) = begin(config, beginning, &clock, &entropy).await?;
    let metrics = Metrics::default();
    let metrics = Arc::new(match diagnostics::start(&config.diagnostics).map_err(Faults)? {
        Some(diagnostics) => metrics.with_diagnostics(diagnostics),
        None => metrics,
    });
    let trust = webhooks::trust(&config.webhooks).map_err(Faults)?;
    let webhooks = Arc::new(gateway::webhooks::Client::new(trust, Arc::clone(&clock)));
    let trust = linked_hubs::trust(&config.linked_hubs).map_err(Faults)?;
    let registries = gateway::registries::Client::new(trust, Arc::clone(&clock));
    let mut service = service
        .with_observer(metrics.clone())
        .with_announcer(webhooks.clone())
        .with_webhooks(webhooks)
        .with_registries(Arc::new(registries), limits::REMOTE_HUB_PATIENCE)
        .with_refusals_per_second(NonZeroU32::new(config.storms.records_per_second));
    if let Some(networks) = &config.access.private_networks {
        service = service.with_private_networks(networks.clone());
    }
    let service = Arc::new(service);
    let given = beginning.fixture.as_ref().and_then(|fixture| fixture.ca.as_ref());
    let ca = Arc::new(DevelopmentCa::open(&home.pki, home.keys, given, Arc::clone(&clock))?);
    ca.serve(Arc::clone(&service));
    let certificates = Arc::new(own_certificates(config, &home, &ca, &clock)?);
    let asked = match certificates.trusted() {
        Some(_) => Some(signal(SignalKind::hangup()).context("can not wait for SIGHUP")?),
        None => None,
    };
    let policy = admin::policy(&home.dir, entropy.as_ref())?;
    let bound = listen::bind(&config.listen)?;
    let monitored = monitor::bind(config.monitoring.address)?;
    let ca_file = home.pki.join("ca.pem");
    let trusted = certificates.trusted().unwrap_or(&ca_file);
    admin::write(&home.dir, &policy, trusted, bound.https_port)?;
    let lifetime = beginning.lifetime;
    let directory = service.directory();
    let lines = certificates.lines();
    let text = banner::banner(&banner::Told {
        start,
        lifetime,
        keys: match (lifetime, std::io::stdout().is_terminal()) {
            (Lifetime::Ephemeral, _) | (Lifetime::Kept, true) => banner::Keys::Shown,
            (Lifetime::Kept, false) => banner::Keys::Hidden,
        },
        directory: &directory,
        data_dir: &home.dir,
        ca: &ca_file,
        ca_is: ca.origin(),
        certificates: &lines,
        bound: &bound,
    });
    let intermediates = Intermediates::default();
    let issuers: Arc<dyn Issuers> = match &config.access.issuers_file {
        Some(file) => Arc::new(Watched::new(file.clone())),
        None => Arc::new(Nobody),
    };
    let gateway = Gateway {
        service,
        admin_policies: vec![policy],
        admin_network: config.access.admin_network(),
        issuers,
        metrics,
        intermediates,
    };
    let gateway = Arc::new(gateway);
    let (shutdown, ended) = (CancellationToken::new(), CancellationToken::new());
    let counters = Arc::new(Counters::default());
    let listeners = listeners(&gateway, &certificates, bound, config.storms, &counters, &shutdown)?;
    let delivering = Arc::clone(&gateway.service).deliver_events();
    tokio::spawn(ended.clone().run_until_cancelled_owned(delivering));
    let status = certificates.status();
    tokio::spawn(certificates::watch(certificates, asked, ended.clone()));
    let issuers = (Arc::clone(&gateway.service), Arc::clone(&clock));
    tokio::spawn(certificates::issuers::watch(issuers.0, issuers.1, ended.clone()));
    let (service, ending) = (Arc::clone(&gateway.service), ended.clone());
    tokio::spawn(certificates::attesting::watch(service, Arc::clone(&status), clock, ending));
    if let Some((socket, address)) = monitored {
        let readings = Readings {
            service: Arc::clone(&gateway.service),
            listeners: counters,
            certificates: status,
        };
        let monitoring = monitoring(&gateway, readings, listeners.len());
        tokio::spawn(monitoring.serve(socket, ended.clone()));
        tracing::info!("monitoring on http://{address}: /healthz, /readyz, /metrics");
    }
    // The RSA key takes a while to make; whoever needs it first waits for it.
    let rsa = Arc::clone(&ca);
    let rsa = tokio::task::spawn_blocking(move || rsa.rsa().is_some());
    crate::say(&text);
    tracing::info!("listening");
    let jobs = tokio::spawn(Arc::clone(&gateway.service).keep_jobs());
    stopped.await;
    jobs.abort();
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

/// Opens the store and puts into it what a first start or the fixture says.
///
/// A fixture with a fault has left nothing behind.
async fn begin(
    config: &Config,
    beginning: &Beginning<'_>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<(Home, Service, Start)> {
    let fixture = beginning.fixture.as_ref();
    let mut filling = None;
    let (home, service) = match (beginning.lifetime, fixture) {
        (Lifetime::Ephemeral, _) => {
            let service = fixture::apply::in_memory(clock, entropy).await?;
            if let Some(fixture) = fixture {
                fixture::apply::apply(&service, fixture).await?;
            }
            (Home::ephemeral(beginning.named, entropy.as_ref())?, service)
        }
        (Lifetime::Kept, None) => {
            let home = Home::kept(&config.data_dir)?;
            let service = open(&home.dir, clock, entropy).await?;
            (home, service)
        }
        (Lifetime::Kept, Some(fixture)) => {
            home::fillable(&config.data_dir)?;
            // Tried in memory first: what a rule refuses leaves no half-filled directory.
            let trial = fixture::apply::in_memory(clock, entropy).await?;
            fixture::apply::apply(&trial, fixture).await?;
            let begun = Filling::begin(&config.data_dir)?;
            let home = begun.home();
            filling = Some(begun);
            let service = open(&home.dir, clock, entropy).await?;
            fixture::apply::apply(&service, fixture).await?;
            (home, service)
        }
    };
    let start = match (bootstrap::bootstrap(&service, &config.first_start).await?, fixture) {
        (Start::First | Start::Fixture, _) => Start::First,
        (Start::Again, Some(_)) => Start::Fixture,
        (Start::Again, None) => Start::Again,
    };
    if let Some(filling) = filling {
        filling.finish()?;
    }
    Ok((home, service, start))
}

async fn open(dir: &Path, clock: &Arc<dyn Clock>, entropy: &Arc<dyn Entropy>) -> Result<Service> {
    let control = dir.join(home::CONTROL);
    let store = store_sqlite::Sqlite::open(&control, store_sqlite::Options::default())
        .with_context(|| format!("can not open {}", control.display()))?;
    let telemetry = dir.join(home::TELEMETRY);
    files::private_dir(&telemetry)?;
    let telemetry = telemetry_log::Log::open(&telemetry, telemetry_log::Options::default())
        .with_context(|| format!("can not open {}", telemetry.display()))?;
    let service =
        Service::open(Arc::new(store), Arc::new(telemetry), Arc::clone(clock), Arc::clone(entropy));
    service.await.context("can not read the store")
}

/// The certificates that the configuration names, in front of the development CA.
fn own_certificates(
    config: &Config,
    home: &Home,
    ca: &Arc<DevelopmentCa>,
    clock: &Arc<dyn Clock>,
) -> Result<Certificates> {
    let files = &config.tls.certificates;
    let loaded = certificates::load(files, clock.now()).map_err(Faults)?;
    Certificates::new(files, loaded, Arc::clone(ca), &home.pki, Arc::clone(clock))
}

/// What monitoring systems ask; it goes on while the listeners drain.
fn monitoring(gateway: &Gateway, readings: Readings, expected: usize) -> Arc<Monitoring> {
    let expected = u64::try_from(expected).unwrap_or(u64::MAX);
    Arc::new(Monitoring::new(&gateway.metrics, readings, expected))
}

fn listeners(
    gateway: &Arc<Gateway>,
    certificates: &Arc<Certificates>,
    bound: listen::Bound,
    storms: Storms,
    counters: &Arc<Counters>,
    shutdown: &CancellationToken,
) -> Result<Vec<tokio::task::JoinHandle<gateway::listener::Drained>>> {
    let certificates: Arc<dyn ServerCertificates> = certificates.clone();
    let admin_host = HostName::parse(ADMIN_HOST).context("the administration's host is a name")?;
    let https = TlsPort::https(Arc::clone(&certificates), vec![admin_host])?;
    let mqtt = TlsPort::mqtt(certificates)?;
    let mut capacity = Capacity::new(open_files::connections_max(), limits::HANDSHAKES_MAX);
    if let Some(per_second) = NonZeroU32::new(storms.connections_per_second) {
        capacity = capacity.with_refused_per_second(per_second);
    }
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

/// From now on SIGTERM and SIGINT are waited for by the future, and end nothing by themselves.
fn stopped() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("can not wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("can not wait for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
