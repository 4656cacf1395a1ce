//! A bound on nested JSON, checked before anything is built from it.

/// The deepest nesting that a request body may have, in levels.
pub const MAX_DEPTH_DEFAULT: usize = 32;

/// Whether a JSON text nests at most `levels` arrays and objects; strings are skipped.
///
/// Says nothing about the text being JSON at all.
pub fn depth_at_most(text: &[u8], levels: usize) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > levels {
                    return false;
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (false, _) => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_counted_outside_strings() {
        assert!(depth_at_most(br#"{"a":["[[[["]}"#, 2));
        assert!(!depth_at_most(b"[[[]]]", 2));
        assert!(depth_at_most(br#"["\"[[["]"#, 1));
        assert!(!depth_at_most(&[b'['; 100_000], 32));
    }
}
