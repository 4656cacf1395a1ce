//! What operators write into twins (`iot-hub` §4.3).

use model::Timestamp;
use serde_json::{Map, Value};

use super::check::{check_object, check_tags_size};
use super::{Half, Section, Twin, TwinError, check_size, merged};

/// What an operator asks of a twin; a section that is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TwinUpdate {
    /// The tags.
    pub tags: Option<Map<String, Value>>,
    /// The desired properties.
    pub desired: Option<Map<String, Value>>,
    /// What the device had reported elsewhere: for an identity that is made, else not looked at.
    pub reported: Option<Map<String, Value>>,
}

/// How a section that is given becomes the twin's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Objects merge, `null` deletes, all else replaces.
    Merge,
    /// It takes the place of the old one.
    Replace,
}

impl Twin {
    /// The twin after an operator's write. Its version and etag grow by one, and so does the
    /// desired half's version where that is written, though nothing be different (`iot-hub` §17).
    ///
    /// `$metadata` and `$version`, which come back from who has read a twin, are not looked at.
    ///
    /// # Errors
    /// [`TwinError`].
    pub fn updated(
        &self,
        update: &TwinUpdate,
        how: How,
        now: Timestamp,
    ) -> Result<Self, TwinError> {
        let mut twin = self.clone();
        if let Some(tags) = &update.tags {
            let tags = without_ours(tags);
            check_object(&tags, 1, "tags")?;
            let old = match how {
                How::Merge => std::mem::take(&mut twin.tags),
                How::Replace => Map::new(),
            };
            twin.tags = merged(old, &tags);
            check_tags_size(&twin.tags)?;
        }
        if let Some(desired) = &update.desired {
            let desired = without_ours(desired);
            check_object(&desired, 1, "desired")?;
            let write = match how {
                How::Merge => Section::patch,
                How::Replace => Section::replace,
            };
            write(&mut twin.desired, &desired, Half::Desired, now);
            check_size(&twin.desired)?;
        }
        if update.tags.is_some() || update.desired.is_some() {
            twin.version += 1;
            twin.etag_counter += 1;
        }
        Ok(twin)
    }
}

impl Twin {
    /// A new twin that takes along what its device had reported elsewhere.
    ///
    /// # Errors
    /// [`TwinError`].
    pub fn taking_along(
        mut self,
        reported: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Self, TwinError> {
        let reported = without_ours(reported);
        check_object(&reported, 1, "reported")?;
        let version = self.version;
        self.report(&reported, now);
        // The first state, as with desired properties.
        (self.version, self.reported.version) = (version, 1);
        check_size(&self.reported)?;
        Ok(self)
    }
}

fn without_ours(section: &Map<String, Value>) -> Map<String, Value> {
    let mut section = section.clone();
    section.remove("$metadata");
    section.remove("$version");
    section
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);
    const LATER: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn twin() -> Twin {
        let tags = object(json!({"site": "a", "place": {"floor": 1, "room": 2}}));
        Twin::initial(tags, &object(json!({"rate": 5, "net": {"dns": "x", "mtu": 9}})), NOW)
    }

    fn both(tags: Value, desired: Value) -> TwinUpdate {
        TwinUpdate { tags: Some(object(tags)), desired: Some(object(desired)), reported: None }
    }

    #[test]
    fn a_merge_keeps_what_it_does_not_name_and_null_deletes() {
        let update = both(
            json!({"site": null, "place": {"room": 3}}),
            json!({"rate": 6, "net": {"mtu": null}, "$version": 77, "$metadata": {"x": 1}}),
        );
        let twin = twin().updated(&update, How::Merge, LATER).unwrap();
        assert_eq!(Value::Object(twin.tags), json!({"place": {"floor": 1, "room": 3}}));
        assert_eq!(Value::Object(twin.desired.values), json!({"rate": 6, "net": {"dns": "x"}}));
        assert_eq!((twin.version, twin.etag_counter, twin.desired.version), (3, 2, 2));
        let metadata = Value::Object(twin.desired.metadata);
        assert_eq!(metadata["rate"]["$lastUpdatedVersion"], 2);
        assert_eq!(metadata["net"]["dns"]["$lastUpdated"], NOW.to_string());
        assert_eq!(metadata["net"]["mtu"], Value::Null);
    }

    #[test]
    fn a_replacement_leaves_nothing_of_the_old_section_and_all_of_the_other() {
        let desired = Some(object(json!({"new": 1, "gone": null})));
        let update = TwinUpdate { desired, ..TwinUpdate::default() };
        let twin = twin().updated(&update, How::Replace, LATER).unwrap();
        assert_eq!(Value::Object(twin.desired.values), json!({"new": 1}));
        assert_eq!(Value::Object(twin.desired.metadata)["rate"], Value::Null);
        assert_eq!(twin.desired.version, 2);
        assert_eq!(twin.tags["site"], "a");
        assert_eq!(twin.reported.version, 1);
    }

    #[test]
    fn nothing_asked_is_nothing_written() {
        let update = TwinUpdate::default();
        assert_eq!(twin().updated(&update, How::Replace, LATER).unwrap(), twin());
    }

    #[test]
    fn hostile_keys_and_values_are_refused_in_both_sections() {
        let mut deep = json!(1);
        let mut arrays = json!(1);
        for _ in 0..10 {
            deep = json!({"a": deep});
            arrays = json!([arrays]);
        }
        let cases = [
            (json!({"a.b": 1}), "Key"),
            (json!({"$a": 1}), "Key"),
            (json!({"a b": 1}), "Key"),
            (json!({"a\u{0}": 1}), "Key"),
            (json!({"a\u{85}": 1}), "Key"),
            (json!({"": 1}), "Key"),
            (json!({"x".repeat(1025): 1}), "Key"),
            (json!({"a": {"b": [{"c.d": 1}]}}), "Key"),
            (json!({"a": {"$version": 1}}), "Key"),
            (json!({"a": "x".repeat(4097)}), "StringTooLong"),
            (json!({"a": ["x".repeat(4097)]}), "StringTooLong"),
            (json!({"a": 4_503_599_627_370_496_i64}), "Integer"),
            (json!({"a": -4_503_599_627_370_497_i64}), "Integer"),
            (json!({"a": u64::MAX}), "Integer"),
            (json!({"a": deep}), "TooDeep"),
            (json!({"a": arrays}), "TooDeep"),
        ];
        for (hostile, expected) in cases {
            for update in [both(hostile.clone(), json!({})), both(json!({}), hostile.clone())] {
                for how in [How::Merge, How::Replace] {
                    let error = twin().updated(&update, how, NOW).unwrap_err();
                    assert!(format!("{error:?}").starts_with(expected), "{error:?}");
                }
            }
        }
        let good = json!({"x".repeat(1024): 4_503_599_627_370_495_i64, "ü": "x".repeat(4096),
            "f": 1e300, "none": null});
        assert!(twin().updated(&both(json!({}), good), How::Merge, NOW).is_ok());
    }

    #[test]
    fn sections_are_bounded_in_size() {
        let of = |count: usize| {
            (0..count).map(|i| (format!("k{i}"), json!("x".repeat(1000)))).collect::<Map<_, _>>()
        };
        let tags = |count| TwinUpdate { tags: Some(of(count)), ..TwinUpdate::default() };
        let desired = |count| TwinUpdate { desired: Some(of(count)), ..TwinUpdate::default() };
        assert!(twin().updated(&tags(7), How::Replace, NOW).is_ok());
        assert!(twin().updated(&desired(31), How::Replace, NOW).is_ok());
        for update in [tags(9), desired(33)] {
            let error = twin().updated(&update, How::Replace, NOW).unwrap_err();
            assert!(matches!(error, TwinError::TooLarge { .. }));
        }
        // What is there already counts.
        let half = twin().updated(&tags(5), How::Replace, NOW).unwrap();
        let more = both(json!({"m": "x".repeat(4000)}), json!({}));
        assert!(half.updated(&more, How::Merge, NOW).is_err());
    }
}
