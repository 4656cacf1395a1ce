//! Pages of a query: how many rows, after which one, and how the next page is asked for.

use attestation::sha256;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::limits::{QUERY_PAGE_DEFAULT, QUERY_PAGE_MAX};

use super::ItemType;
use crate::rest::error::ApiFault;

/// The header that carries a token both ways.
const CONTINUATION: &str = "x-ms-continuation";
/// The header that carries the page's size both ways.
const MAX_ITEM_COUNT: &str = "x-ms-max-item-count";

/// Bytes of a token's check. Source: ours; it tells a token from a damaged one, and is no secret.
const CHECK_BYTES: usize = 16;

/// What a token is good for: one query of one address.
#[derive(Clone, Copy, Debug)]
pub struct Address<'a> {
    /// The service's host and the path.
    pub path: &'a str,
    /// The text of the query.
    pub text: &'a str,
}

/// How many rows, after which one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paging {
    /// Rows at the most, 1..=1000.
    pub limit: usize,
    /// The last key of the page before.
    pub after: Option<String>,
    /// Rows that were given on all pages before.
    pub(super) given: u64,
}

impl Paging {
    /// Reads `x-ms-max-item-count` and `x-ms-continuation`.
    ///
    /// # Errors
    /// [`ApiFault::Header`] for a count that is no number, and for a token that is none, or is one
    /// of another query.
    pub fn read(
        count: Option<&str>,
        continuation: Option<&str>,
        of: Address<'_>,
    ) -> Result<Self, ApiFault> {
        let limit = match count.map(str::trim) {
            None | Some("" | "0") => QUERY_PAGE_DEFAULT,
            Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
                // A number past all bounds is past this one as well.
                text.parse().unwrap_or(QUERY_PAGE_MAX).clamp(1, QUERY_PAGE_MAX)
            }
            Some(_) => return Err(ApiFault::Header { name: MAX_ITEM_COUNT }),
        };
        match continuation.map(str::trim).filter(|text| !text.is_empty()) {
            None => Ok(Self { limit, after: None, given: 0 }),
            Some(token) => {
                let (given, after) =
                    opened(token, of).ok_or(ApiFault::Header { name: CONTINUATION })?;
                Ok(Self { limit, after: Some(after), given })
            }
        }
    }

    /// Rows of this page at the most, where the whole answer has at most `top`.
    pub fn rows(&self, top: Option<u64>) -> usize {
        let rest = top.map(|top| top.saturating_sub(self.given));
        let rest = rest.map_or(usize::MAX, |rest| usize::try_from(rest).unwrap_or(usize::MAX));
        self.limit.min(rest)
    }

    /// The headers of the answer. `next` is the key that the page ends with where more may follow:
    /// the header is left out on the last page, because Node goes on for as long as it is there.
    ///
    /// Source: `dps-service-api` §1.5, §8.
    pub fn headers(
        &self,
        item: ItemType,
        page: Page<'_>,
        of: Address<'_>,
    ) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("x-ms-item-type", item.as_str().to_owned()),
            (MAX_ITEM_COUNT, self.limit.to_string()),
        ];
        let given = self.given.saturating_add(u64::try_from(page.rows).unwrap_or(u64::MAX));
        let next = page.next.filter(|_| page.top.is_none_or(|top| given < top));
        headers.extend(next.map(|last| (CONTINUATION, sealed(given, last, of))));
        headers
    }
}

/// What an answer holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page<'a> {
    /// How many rows.
    pub rows: usize,
    /// The key after which more may follow.
    pub next: Option<&'a str>,
    /// Rows of the whole answer at the most.
    pub top: Option<u64>,
}

/// A token: what is checked, how many rows were given, the last key.
pub(super) fn sealed(given: u64, after: &str, of: Address<'_>) -> String {
    let given = given.to_be_bytes();
    let content = [given.as_slice(), after.as_bytes()].concat();
    URL_SAFE_NO_PAD.encode([check(&content, of).as_slice(), &content].concat())
}

fn opened(token: &str, of: Address<'_>) -> Option<(u64, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (found, content) = bytes.split_at_checked(CHECK_BYTES)?;
    if found != check(content, of) {
        return None;
    }
    let (given, after) = content.split_first_chunk()?;
    Some((u64::from_be_bytes(*given), String::from_utf8(after.to_vec()).ok()?))
}

/// Binds a token's content to its query.
fn check(content: &[u8], of: Address<'_>) -> Vec<u8> {
    let path = of.path.to_ascii_lowercase();
    let path = path.trim_end_matches('/');
    let mut bytes = Vec::new();
    for part in [path.as_bytes(), of.text.trim().as_bytes(), content] {
        bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    sha256(&bytes).0.iter().copied().take(CHECK_BYTES).collect()
}
