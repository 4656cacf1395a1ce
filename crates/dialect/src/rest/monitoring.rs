//! What a monitoring system asks over plain HTTP: `/healthz`, `/readyz`, `/metrics`.
//!
//! The three are nobody's wire but ours (settled D-30); the first two speak the words that
//! Kubernetes' probes and load balancers look at, which is the status alone.

/// The media type of the metrics. Source: OpenMetrics 1.0, "Content Type".
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The media type of everything else.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// The methods that are answered, for the `Allow` header.
pub const ALLOW: &str = "GET, HEAD";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/healthz`: whether the process is alive.
    Health,
    /// `/readyz`: whether it can serve.
    Ready,
    /// `/metrics`: what it has counted.
    Metrics,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body, ending in a line feed.
    pub body: String,
}

impl Answer {
    fn text(status: u16, line: &str) -> Self {
        Self { status, content_type: TEXT, body: format!("{line}\n") }
    }

    /// The process is alive.
    pub fn alive() -> Self {
        Self::text(200, "alive")
    }

    /// It can serve.
    pub fn ready() -> Self {
        Self::text(200, "ready")
    }

    /// It can not serve; one reason a line.
    pub fn not_ready(reasons: &[String]) -> Self {
        Self::text(503, &reasons.join("\n"))
    }

    /// The metrics, in the text form of OpenMetrics.
    pub fn metrics(text: String) -> Self {
        Self { status: 200, content_type: OPEN_METRICS, body: text }
    }

    /// The metrics could not be written.
    pub fn broken() -> Self {
        Self::text(500, "the metrics could not be written")
    }
}

/// Reads a method and a path.
///
/// # Errors
/// The refusal to be answered: no such path, or a method that changes something.
pub fn route(method: &str, path: &str) -> Result<Route, Answer> {
    let route = match path {
        "/healthz" => Route::Health,
        "/readyz" => Route::Ready,
        "/metrics" => Route::Metrics,
        _ => return Err(Answer::text(404, "there are /healthz, /readyz and /metrics")),
    };
    match method {
        "GET" | "HEAD" => Ok(route),
        _ => Err(Answer::text(405, "only GET and HEAD are answered")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_paths_are_read_and_nothing_is_changed_by_any() {
        assert_eq!(route("GET", "/healthz"), Ok(Route::Health));
        assert_eq!(route("HEAD", "/readyz"), Ok(Route::Ready));
        assert_eq!(route("GET", "/metrics"), Ok(Route::Metrics));
        assert_eq!(route("GET", "/").unwrap_err().status, 404);
        assert_eq!(route("GET", "/metrics/").unwrap_err().status, 404);
        assert_eq!(route("POST", "/metrics").unwrap_err().status, 405);
    }

    #[test]
    fn what_is_not_ready_says_why() {
        let answer = Answer::not_ready(&["the store is away".to_owned(), "stopping".to_owned()]);
        assert_eq!(answer.status, 503);
        assert_eq!(answer.body, "the store is away\nstopping\n");
    }
}
