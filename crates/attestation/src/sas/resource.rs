//! Which resources a token's resource covers.

/// Whether `granted` is `asked`, or above it by whole segments.
pub(super) fn covers(granted: &str, asked: &str) -> bool {
    let (granted_host, granted_path) = split(granted);
    let (asked_host, asked_path) = split(asked);
    if granted_host.is_empty() || !granted_host.eq_ignore_ascii_case(asked_host) {
        return false;
    }
    match asked_path.strip_prefix(granted_path) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || granted_path.is_empty(),
        None => false,
    }
}

/// The host without scheme and port, and the path without its first and last slash.
fn split(resource: &str) -> (&str, &str) {
    let resource = match resource.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => rest,
        Some(_) | None => resource,
    };
    let (authority, path) = resource.split_once('/').unwrap_or((resource, ""));
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    (host, path.strip_suffix('/').unwrap_or(path))
}
