//! Exceptions for expired certificates (M-16).

use model::Timestamp;
use provisioning::enrollment::EntryId;
use service::{ApiError, Clock};

use crate::world::{World, call, group_id, id};

fn later(w: &World, seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(w.clock.now().unix_seconds() + seconds)
}

async fn except(w: &World, entry: EntryId, seconds: i64, reason: &str) -> Result<(), ApiError> {
    let until = later(w, seconds);
    w.service.put_expiry_exception(&call(), &w.dps, &entry, until, reason).await.map(drop)
}

async fn listed(w: &World) -> Vec<String> {
    let all = w.service.expiry_exceptions(&w.dps).await.unwrap();
    all.iter().map(|one| format!("{}: {}", one.entry.id, one.reason)).collect()
}

#[tokio::test]
async fn m_16_an_exception_is_of_an_entry_that_is_there_has_an_end_and_a_reason() {
    let w = World::new().await;
    w.put("dev", &crate::world::keyed(1)).await;
    let dev = || EntryId::Individual(id("dev"));
    for (entry, seconds, reason, because) in [
        (dev(), 0, "late", "has passed"),
        (dev(), 90 * 86_400 + 1, "late", "more than 90 days"),
        (dev(), 60, "  ", "reason"),
        (dev(), 60, &"x".repeat(257), "reason"),
    ] {
        let refused = except(&w, entry, seconds, reason).await.unwrap_err();
        assert!(matches!(&refused, ApiError::Invalid(text) if text.contains(because)), "{refused}");
    }
    let group = EntryId::Group(group_id("g"));
    assert!(matches!(except(&w, group, 60, "late").await, Err(ApiError::NotFound)));
    except(&w, dev(), 60, "late").await.unwrap();
    except(&w, dev(), 30, "sooner").await.unwrap();
    assert_eq!(listed(&w).await, ["individual enrollment dev: sooner"]);
    w.clock.advance(30);
    assert!(listed(&w).await.is_empty(), "it ends by itself");
    let ended = w.service.delete_expiry_exception(&call(), &w.dps, &dev()).await;
    assert!(matches!(ended, Err(ApiError::NotFound)));
    except(&w, dev(), 60, "again").await.unwrap();
    w.service.delete_expiry_exception(&call(), &w.dps, &dev()).await.unwrap();
    assert!(listed(&w).await.is_empty());
}
