//! The standard's grammar of topic names and topic filters.

/// Whether a text may stand as the topic of a PUBLISH or of a will.
///
/// At least one character, no U+0000, no `+` and no `#`. Levels may be empty, and a leading `$`
/// has no meaning here.
/// Source: MQTT 3.1.1 §3.3.2.1, §4.7.3.
#[must_use]
pub fn is_topic_name(text: &str) -> bool {
    !text.is_empty() && !text.bytes().any(|byte| matches!(byte, b'+' | b'#' | 0))
}

/// Whether a text may stand as a topic filter of a SUBSCRIBE or an UNSUBSCRIBE.
///
/// At least one character, no U+0000; `+` alone in its level, `#` alone in the last level.
/// Source: MQTT 3.1.1 §4.7.1, §4.7.3.
#[must_use]
pub fn is_topic_filter(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|byte| byte == 0) {
        return false;
    }
    let mut levels = text.split('/').peekable();
    while let Some(level) = levels.next() {
        let valid = match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            other => !other.contains(['+', '#']),
        };
        if !valid {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names_hold_no_wildcard() {
        for name in ["a", "/", "//", "$sys/a", "a/?$rid=1&b=c", "é/漢", " "] {
            assert!(is_topic_name(name), "{name:?}");
        }
        for name in ["", "a/+", "a/#", "a+b", "#", "a\0b"] {
            assert!(!is_topic_name(name), "{name:?}");
        }
    }

    /// The examples of MQTT 3.1.1 §4.7.1.2 and §4.7.1.3, valid and not.
    #[test]
    fn topic_filters_follow_the_standards_examples() {
        for filter in
            ["sport/tennis/player1/#", "sport/#", "#", "+", "+/tennis/#", "sport/+/player1", "/+"]
        {
            assert!(is_topic_filter(filter), "{filter:?}");
        }
        for filter in ["sport/tennis#", "sport/tennis/#/ranking", "sport+", "", "a/#/", "+a", "\0"]
        {
            assert!(!is_topic_filter(filter), "{filter:?}");
        }
    }
}
