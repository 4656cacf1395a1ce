//! An issuer of bearer tokens, asked for a document of its own.

/// Whether an answer of this status has the document; not where the issuer says that there is none.
///
/// # Errors
/// A sentence: any other status leaves open whether there is one.
pub fn is_published(status: u16) -> Result<bool, String> {
    match status {
        200 => Ok(true),
        404 | 410 => Ok(false),
        _ => Err(format!("it answers {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k_24_an_answer_that_is_none_is_not_taken_for_nothing() {
        assert_eq!([200, 404, 410].map(is_published), [Ok(true), Ok(false), Ok(false)]);
        for status in [204, 301, 302, 304, 401, 403, 408, 429, 500, 502, 503, 504] {
            assert_eq!(is_published(status), Err(format!("it answers {status}")));
        }
    }
}
