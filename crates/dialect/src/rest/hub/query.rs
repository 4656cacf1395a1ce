//! Queries of a hub, as far as they list everything (§13).

use crate::percent;
use crate::rest::error::ApiFault;

/// Whether a query asks for all devices and nothing less: `select * from devices`.
///
/// # Errors
/// [`ApiFault::Invalid`] for any other query: to answer it with the whole would mislead.
pub fn lists_all(text: &str) -> Result<(), ApiFault> {
    let words: Vec<String> = text.split_whitespace().map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["select", "*", "from", "devices"] => Ok(()),
        _ => Err(ApiFault::Invalid(
            "The query is not supported: list with SELECT * FROM devices, and filter".to_owned(),
        )),
    }
}

/// The headers of a page of twins; the item type's case is what C# compares.
pub fn query_headers(limit: usize, next: Option<&str>) -> Vec<(&'static str, String)> {
    let mut headers =
        vec![("x-ms-item-type", "Twin".to_owned()), ("x-ms-max-item-count", limit.to_string())];
    headers.extend(next.map(|last| ("x-ms-continuation", percent::encoded(last))));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_query_for_everything_is_answered() {
        assert!(lists_all("select * from devices").is_ok());
        assert!(lists_all("SELECT *\nFROM  devices").is_ok());
        assert!(lists_all("select * from devices where deviceId = 'a'").is_err());
        assert!(lists_all("").is_err());
    }
}
