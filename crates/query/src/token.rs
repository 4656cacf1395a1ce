//! A text to tokens.

use std::str::Chars;

use serde_json::{Number, Value};

use crate::QueryError;

/// A token and where it begins, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) at: usize,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A keyword or a name.
    Word(String),
    /// A name in `[[` and `]]`: never a keyword.
    Name(String),
    /// A text or a number.
    Literal(Value),
    /// Punctuation, such as `<=`.
    Symbol(&'static str),
}

/// Longer ones first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 13] = ["!=", "<>", "<=", ">=", "=", "<", ">", "(", ")", "[", "]", ",", "."];

/// Reads all tokens of a text.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let Some(first) = rest.chars().next() else { return Ok(found) };
        let failed = QueryError::Token { at };
        let (kind, after) = match first {
            '\'' | '"' | '`' => {
                let (value, after) = quoted(rest, first).ok_or(failed)?;
                (Kind::Literal(Value::String(value)), after)
            }
            '0'..='9' => number(rest, "").ok_or(failed)?,
            '-' => number(rest.strip_prefix('-').unwrap_or_default(), "-").ok_or(failed)?,
            '[' if rest.starts_with("[[") => {
                let inner = rest.strip_prefix("[[").unwrap_or_default();
                let (name, after) = inner.split_once("]]").ok_or(failed)?;
                (Kind::Name(name.to_owned()), after)
            }
            '*' => (Kind::Symbol("*"), rest.strip_prefix('*').unwrap_or_default()),
            _ if is_word_start(first) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                let (word, after) = rest.split_at_checked(end).ok_or(failed)?;
                (Kind::Word(word.to_owned()), after)
            }
            _ => symbol(rest).ok_or(failed)?,
        };
        found.push(Token { at, kind });
        rest = after;
    }
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '$'
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn symbol(rest: &str) -> Option<(Kind, &str)> {
    SYMBOLS
        .iter()
        .find_map(|symbol| rest.strip_prefix(symbol).map(|after| (Kind::Symbol(symbol), after)))
}

/// Reads a text from its opening quote on, with the escapes of JSON and that of its own quote.
/// Gives what comes after it as well.
pub(crate) fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut chars = text.strip_prefix(quote)?.chars();
    let mut value = String::new();
    loop {
        match chars.next()? {
            c if c == quote => return Some((value, chars.as_str())),
            '\\' => value.push(escaped(&mut chars)?),
            c => value.push(c),
        }
    }
}

fn escaped(chars: &mut Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        c @ ('\'' | '"' | '`' | '\\' | '/') => c,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let first = unit(chars)?;
            match first {
                0xD800..=0xDBFF => {
                    let second = match (chars.next()?, chars.next()?) {
                        ('\\', 'u') => unit(chars)?,
                        _ => return None,
                    };
                    char::decode_utf16([first, second]).next()?.ok()?
                }
                _ => char::from_u32(u32::from(first))?,
            }
        }
        _ => return None,
    })
}

fn unit(chars: &mut Chars<'_>) -> Option<u16> {
    (0..4).try_fold(0_u16, |unit, _| {
        let digit = chars.next()?.to_digit(16)?;
        Some((unit << 4) | u16::try_from(digit).ok()?)
    })
}

/// Reads a number, decimal as in JSON or hexadecimal after `0x`; `sign` stands before it.
fn number<'t>(rest: &'t str, sign: &str) -> Option<(Kind, &'t str)> {
    let hex = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"));
    let (value, after) = if let Some(hex) = hex {
        let end = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
        let (digits, after) = hex.split_at_checked(end)?;
        (Number::from(i64::from_str_radix(&format!("{sign}{digits}"), 16).ok()?), after)
    } else {
        let mut before = '0';
        let end = rest
            .find(|c: char| {
                let is_sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
                before = c;
                !(c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E') || is_sign)
            })
            .unwrap_or(rest.len());
        let (digits, after) = rest.split_at_checked(end)?;
        (serde_json::from_str::<Number>(&format!("{sign}{digits}")).ok()?, after)
    };
    // `1x` is neither a number nor a name.
    let ends = after.chars().next().is_none_or(|c| !is_word(c));
    ends.then_some((Kind::Literal(Value::Number(value)), after))
}
