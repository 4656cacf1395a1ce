//! Jobs on hubs that live elsewhere, as operators see them; their keys and what devices showed are
//! not told.

use model::Timestamp;
use provisioning::remote::{Job, Phase};
use serde::Serialize;

/// A job.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobJson<'a> {
    registration_id: &'a str,
    operation_id: &'a str,
    /// `begun`, `writing`, `leaving` or `undoing`.
    state: &'static str,
    hub: &'a str,
    device_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_hub: Option<&'a str>,
    begun: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<&'a str>,
}

/// A job with why its latest call came to nothing.
pub fn job_json<'a>(job: &'a Job, trouble: Option<&'a str>) -> JobJson<'a> {
    JobJson {
        registration_id: job.request.registration_id.as_str(),
        operation_id: &job.operation_id,
        state: match job.phase {
            Phase::Begun => "begun",
            Phase::Writing { .. } => "writing",
            Phase::Leaving { .. } => "leaving",
            Phase::Undoing { .. } => "undoing",
        },
        hub: job.place.to.hub.as_str(),
        device_id: job.place.to.device_id.as_str(),
        from_hub: job.place.from.as_ref().map(|from| from.hub.as_str()),
        begun: job.begun,
        trouble,
    }
}
