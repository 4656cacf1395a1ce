//! Traces for OpenTelemetry, where the program was built with the feature `otel`.
//!
//! The spans are those of the log: one for each call, with its tracking id, and below it the
//! verdict and the commit. They go to a collector over OTLP/HTTP; events stay in the log, so that
//! no message leaves the machine.

#[cfg(feature = "otel")]
mod client;
#[cfg(feature = "otel")]
mod convention;
#[cfg(feature = "otel")]
mod export;

#[cfg(feature = "otel")]
pub(crate) use export::Traces;
#[cfg(not(feature = "otel"))]
pub(crate) use none::Traces;

/// The standard variables that name a collector. Source: OpenTelemetry, "OTLP Exporter
/// Configuration".
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// A variable of OpenTelemetry's, unless it is empty, which is as good as not set.
#[expect(clippy::disallowed_methods, reason = "OpenTelemetry is configured by the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Without the feature: no traces.
#[cfg(not(feature = "otel"))]
mod none {
    use anyhow::Result;
    use tokio::runtime::Handle;
    use tracing_subscriber::layer::Identity;

    use super::{ENDPOINTS, variable};

    /// No traces.
    pub(crate) struct Traces;

    impl Traces {
        #[expect(clippy::unnecessary_wraps, reason = "as it is with the feature")]
        pub(crate) const fn start(_endpoint: Option<&str>, _runtime: &Handle) -> Result<Self> {
            Ok(Self)
        }

        pub(crate) const fn layer(&self) -> Option<Identity> {
            None
        }

        /// The environment of a machine is set for all its programs, so that a wish for traces
        /// there is no fault.
        pub(crate) fn tell(&self) {
            if let Some(name) = ENDPOINTS.into_iter().find(|name| variable(name).is_some()) {
                tracing::warn!(
                    "{name} is set, but this muster was built without traces: they need the \
                     feature otel (`cargo build --features otel`)"
                );
            }
        }

        pub(crate) const fn finish(self) {}
    }
}
