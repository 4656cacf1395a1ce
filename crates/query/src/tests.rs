use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Aggregation, NESTING_MAX, Query, QueryError, Select, TEXT_BYTES_MAX, parse};

fn row() -> Value {
    json!({
        "deviceId": "Dev-1", "status": "enabled", "version": 7, "lag": 1.5, "note": null,
        "capabilities": {"iotEdge": true},
        "tags": {"site": "A", "Floor": 3, "my key": 1, "from": "x"},
        "properties": {"reported": {"battery": 80, "Fw": "1.2"}, "desired": {"$version": 4}},
    })
}

fn keeps(filter: &str) -> bool {
    let query = parse(&format!("SELECT * FROM devices WHERE {filter}"));
    query.unwrap_or_else(|error| panic!("{filter}: {error}")).keeps(&row())
}

#[test]
fn q_01_keywords_are_of_either_case_and_from_may_be_absent() {
    assert_eq!(parse("SELECT *"), Ok(Query::all()));
    assert_eq!(parse("  select\n* "), Ok(Query::all()));
    let named = parse("sElEcT * FrOm enrollmentGroups").unwrap();
    assert_eq!(named.from.unwrap().collection, "enrollmentGroups");
    assert_eq!(named.select, Select::All);
    assert_eq!(
        parse("select * from devices.modules").unwrap().from.unwrap().collection,
        "devices.modules"
    );
}

#[test]
fn q_01_what_is_not_understood_is_an_error() {
    for text in [
        "",
        "*",
        "SELECT",
        "SELECT *,",
        "SELECT * FROM",
        "SELECT * FROM devices WHERE",
        "SELECT * FROM devices GROUP",
        "SELECT * WHERE a",
        "SELECT * WHERE a =",
        "SELECT * WHERE = 1",
        "SELECT * WHERE (a = 1",
        "SELECT * WHERE a = 1)",
        "SELECT * WHERE a == 1",
        "SELECT * WHERE a = 'x",
        "SELECT * WHERE a = 1x",
        "SELECT * WHERE a = \\",
        "SELECT * WHERE a IN 1",
        "SELECT * WHERE a IN [b]",
        "SELECT * WHERE a IN [1",
        "SELECT * WHERE a = '\\x'",
        "SELECT * WHERE a = '\\ud800'",
        "SELECT *; DROP x",
        "SELECT * FROM devices ORDER BY a",
        "SELECT DISTINCT a",
        "SELECT * FROM a JOIN b",
        "SELECT * WHERE STARTSWITH(a, 'b')",
        "SELECT a, count()",
        "SELECT * GROUP BY a",
        "SELECT TOP x *",
        "DELETE FROM devices",
        "SELECT * WHERE a = 1 b = 2",
        "SELECT * WHERE a.[[x = 1",
        "SELECT \u{0}",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn q_01_comparisons_of_numbers_texts_and_booleans() {
    for held in [
        "deviceId = 'Dev-1'",
        "deviceId = \"Dev-1\"",
        "deviceId = `Dev-1`",
        "'Dev-1' = deviceId",
        "version = 7",
        "version >= 7",
        "version <= 7",
        "version > 6",
        "version < 7.5",
        "version != 8",
        "version <> 8",
        "version = 0x7",
        "version > -1",
        "lag = 1.5",
        "lag = 15e-1",
        "lag < version",
        "capabilities.iotEdge = true",
        "status > 'disabled'",
        "note = null",
        "deviceId IN ['x', 'Dev-1']",
        "deviceId NIN ['x']",
        "deviceId NOT IN ['x']",
        "NOT version IN []",
        "is_defined(tags.site)",
        "NOT IS_DEFINED(tags.other)",
        "tags.[[my key]] = 1",
        "tags.from = 'x'",
        "properties.desired.$version = 4",
        "deviceId = '\\u0044ev\\u002d1'",
        "devices.version = 7",
    ] {
        assert!(keeps(held), "{held}");
    }
    for not_held in [
        "deviceId = 'dev-1'",
        "version = '7'",
        "version = 8",
        "deviceId IN []",
        "lag > version",
        "capabilities.iotEdge = false",
        "capabilities = true",
        "is_defined(tags.other)",
        "note != null",
    ] {
        assert!(!keeps(not_held), "{not_held}");
    }
}

#[test]
fn q_01_and_binds_tighter_than_or_and_parentheses_tighter_still() {
    assert!(keeps("version = 7 OR version = 8 AND status = 'x'"));
    assert!(!keeps("(version = 7 OR version = 8) AND status = 'x'"));
    assert!(keeps("NOT (version = 8) and not not (version = 7)"));
    assert!(!keeps("NOT version = 7 AND version = 7"));
}

#[test]
fn what_is_not_there_is_neither_equal_nor_unequal() {
    for filter in [
        "tags.none = 'x'",
        "tags.none != 'x'",
        "NOT tags.none = 'x'",
        "NOT (tags.none != 'x')",
        "version != 'x'",
        "tags.none IN ['x']",
        "NOT tags.none IN ['x']",
        "tags.none = null",
    ] {
        assert!(!keeps(filter), "{filter}");
    }
    assert!(keeps("tags.none = 'x' OR version = 7"));
    assert!(!keeps("tags.none = 'x' AND version = 7"));
    assert!(keeps("NOT (tags.none = 'x' AND version = 8)"));
}

#[test]
fn names_of_the_service_are_of_either_case_and_those_of_users_are_not() {
    assert!(keeps("DEVICEID = 'Dev-1' AND Tags.site = 'A' AND Properties.Reported.Fw = '1.2'"));
    assert!(!keeps("tags.Site = 'A'"));
    assert!(!keeps("properties.reported.fw = '1.2'"));
    assert!(keeps("tags.Floor = 3"));
}

#[test]
fn columns_are_told_under_their_own_names_or_under_those_they_are_given() {
    let told = |text: &str| Value::from(parse(text).unwrap().project(&row()).unwrap());
    assert_eq!(
        told("SELECT DeviceId, version FROM devices"),
        json!({"deviceId": "Dev-1", "version": 7})
    );
    assert_eq!(told("SELECT c.tags.site AS s, c.none FROM devices c"), json!({"s": "A"}));
    assert_eq!(told("SELECT properties.reported.battery level"), json!({"level": 80}));
    assert_eq!(parse("SELECT *").unwrap().project(&row()), None);
}

#[test]
fn figures_over_rows_and_groups() {
    let rows = [
        json!({"status": "enabled", "n": 1}),
        json!({"status": "enabled", "n": 2.5}),
        json!({"status": "disabled", "n": 4}),
        json!({"status": "disabled"}),
    ];
    let told = |text: &str| {
        let query = parse(text).unwrap();
        assert!(query.aggregates());
        let mut figures = Aggregation::new(&query);
        rows.iter().for_each(|row| figures.add(row).unwrap());
        Value::from_iter(figures.finish())
    };
    assert_eq!(told("select count() as c from devices"), json!([{"c": 4}]));
    assert_eq!(told("select COUNT(*) from devices where n > 1"), json!([{"$1": 2}]));
    assert_eq!(told("select count(), count(n) c where n > 9"), json!([{"$1": 0, "c": 0}]));
    assert_eq!(
        told("select status, count() as c, sum(n) as s, avg(n) as a group by status"),
        json!([{"status": "disabled", "c": 2, "s": 4, "a": 4.0},
               {"status": "enabled", "c": 2, "s": 3.5, "a": 1.75}])
    );
    assert_eq!(told("select min(n) as l, max(n) as g, sum(x) as s"), json!([{"l": 1, "g": 4}]));
    assert_eq!(
        told("select status group by status"),
        json!([{"status": "disabled"}, {"status": "enabled"}])
    );
}

#[test]
fn ids_that_the_filter_pins_are_known() {
    let pinned = |filter: &str| {
        let query = parse(&format!("SELECT * FROM devices WHERE {filter}")).unwrap();
        query.pinned("deviceId").map(|ids| ids.join("+"))
    };
    assert_eq!(pinned("deviceid = 'a'").as_deref(), Some("a"));
    assert_eq!(pinned("status = 'x' AND (deviceId IN ['a', 'b'])").as_deref(), Some("a+b"));
    assert_eq!(pinned("deviceId = 1").as_deref(), Some(""));
    for open in [
        "deviceId = 'a' OR status = 'x'",
        "NOT deviceId = 'a'",
        "deviceId != 'a'",
        "x.deviceId = 'a'",
    ] {
        assert_eq!(pinned(open), None, "{open}");
    }
}

#[test]
fn length_and_nesting_are_bounded() {
    let long = format!("SELECT * WHERE a = '{}'", "x".repeat(TEXT_BYTES_MAX));
    assert_eq!(parse(&long), Err(QueryError::TooLong { bytes_max: TEXT_BYTES_MAX }));
    for (open, close) in [("(", ")"), ("NOT ", "")] {
        let nested = |levels: usize| {
            parse(&format!("SELECT * WHERE {}a = 1{}", open.repeat(levels), close.repeat(levels)))
        };
        assert!(nested(NESTING_MAX - 1).is_ok());
        assert_eq!(nested(NESTING_MAX), Err(QueryError::TooDeep { levels: NESTING_MAX }));
        assert_eq!(nested(2_000), Err(QueryError::TooDeep { levels: NESTING_MAX }));
    }
    let wide = format!("SELECT * WHERE a = 1{}", " OR a = 1".repeat(800));
    assert!(parse(&wide).is_ok());
}

#[test]
fn every_truncation_is_a_query_or_an_error() {
    let whole = "SELECT TOP 3 c.deviceId AS d, count(tags.x) FROM devices c WHERE (a = 'é\\u00e9' AND \
                 NOT b IN [1, -2.5e3, 0xFF, true, null]) OR is_defined(tags.[[ü]]) GROUP BY c.deviceId";
    assert!(parse(whole).is_ok());
    for end in 0..whole.len() {
        if let Some(Ok(query)) = whole.get(..end).map(parse) {
            query.keeps(&row());
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_a_query_or_an_error(text in "\\PC{0,80}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_words_of_the_language_are_a_query_or_an_error(words in prop::collection::vec(
        prop::sample::select(vec![
            "SELECT", "*", "FROM", "devices", "WHERE", "AND", "OR", "NOT", "IN", "(", ")", "[", "]",
            ",", ".", "=", "<>", "'a'", "1", "-2", "tags", "count", "AS", "GROUP", "BY", "[[", "is_defined",
        ]), 0..24,
    )) {
        if let Ok(query) = parse(&words.join(" ")) {
            query.keeps(&row());
            query.project(&row());
            let mut figures = Aggregation::new(&query);
            figures.add(&row()).unwrap();
            figures.finish();
        }
    }

    #[test]
    fn a_text_compares_equal_to_itself_in_any_quotes(text in "\\PC{0,20}") {
        let row = json!({"a": text});
        let escaped: String = serde_json::to_string(&text).unwrap();
        let query = parse(&format!("SELECT * WHERE a = {escaped}")).unwrap();
        prop_assert!(query.keeps(&row));
        let negated = parse(&format!("SELECT * WHERE NOT a = {escaped}")).unwrap();
        prop_assert!(!negated.keeps(&row));
    }
}
