//! The exporter, behind a layer of the log's subscriber.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};
use tokio::runtime::Handle;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::Registry;

use super::client::Client;
use super::convention::conventional;
use super::{ENDPOINTS, variable};

/// The service's name unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` has another.
const SERVICE: &str = "muster";
/// Where a collector takes traces. Source: OTLP 1.5, "OTLP/HTTP Request".
const PATH: &str = "v1/traces";
/// The crates whose spans are sent.
const TARGETS: [&str; 2] = ["gateway", "service"];
/// The span around a connection's calls. It may last for weeks, so that it is in no trace, and
/// each call begins one.
const CONNECTION: &str = "connection";
/// How long the end of the server waits for the last spans to be sent.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Traces on their way to a collector, or nowhere.
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends to the endpoint, else to where the standard variables say, else nowhere.
    ///
    /// # Errors
    /// An endpoint that is no URL, or a CA file that can not be read.
    pub(crate) fn start(endpoint: Option<&str>, runtime: &Handle) -> Result<Self> {
        let by_environment = ENDPOINTS.iter().any(|name| variable(name).is_some());
        let off = variable("OTEL_SDK_DISABLED").is_some_and(|is| is.eq_ignore_ascii_case("true"))
            || variable("OTEL_TRACES_EXPORTER").is_some_and(|which| which == "none");
        if off || (endpoint.is_none() && !by_environment) {
            return Ok(Self(None));
        }
        let client = Client::new(runtime.clone())?;
        let mut builder = SpanExporter::builder().with_http().with_http_client(client);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(format!("{}/{PATH}", endpoint.trim_end_matches('/')));
        }
        let exporter = builder.build().context("can not send traces")?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Conventional { exporter, failing: AtomicBool::new(false) })
            .with_resource(resource())
            .build();
        Ok(Self(Some(provider)))
    }

    /// What the log's subscriber hands its spans to.
    pub(crate) fn layer(&self) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
        let tracer = self.0.as_ref()?.tracer(SERVICE);
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_context_activation(false)
            .with_level(false);
        let ours = filter_fn(|of| {
            let of_crate = of.target().split("::").next().unwrap_or_default();
            of.is_span() && TARGETS.contains(&of_crate) && of.name() != CONNECTION
        });
        Some(layer.with_filter(ours).boxed())
    }

    /// Says in the log that traces are sent.
    pub(crate) fn tell(&self) {
        if self.0.is_some() {
            tracing::info!("traces are sent to a collector");
        }
    }

    /// Sends what is left.
    pub(crate) fn finish(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown_with_timeout(FINISH_TIMEOUT)
        {
            tracing::warn!(%error, "the last traces may be lost");
        }
    }
}

fn resource() -> Resource {
    let by_environment = variable("OTEL_SERVICE_NAME").is_some()
        || variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|all| all.contains("service.name="));
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    if by_environment { builder.build() } else { builder.with_service_name(SERVICE).build() }
}

/// Writes spans as the conventions want them, and tells a failure once.
#[derive(Debug)]
struct Conventional {
    exporter: SpanExporter,
    failing: AtomicBool,
}

impl opentelemetry_sdk::trace::SpanExporter for Conventional {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.into_iter().map(conventional).collect();
        let sent = self.exporter.export(spans).await;
        let failed = self.failing.swap(sent.is_err(), Ordering::Relaxed);
        match &sent {
            Err(error) if !failed => {
                tracing::warn!(%error, "traces can not be sent and are dropped");
            }
            Ok(()) if failed => tracing::info!("traces are sent again"),
            Ok(()) | Err(_) => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
