//! No statement looks at every row of a table that grows.

use rusqlite::params_from_iter;
use store_sqlite::Options;

use crate::scratch::Scratch;

/// The files that hold SQL.
const SOURCES: [&str; 10] = [
    include_str!("../../src/apply.rs"),
    include_str!("../../src/changes.rs"),
    include_str!("../../src/devices.rs"),
    include_str!("../../src/enrollments.rs"),
    include_str!("../../src/events.rs"),
    include_str!("../../src/hubs.rs"),
    include_str!("../../src/instances.rs"),
    include_str!("../../src/jobs.rs"),
    include_str!("../../src/migrate.rs"),
    include_str!("../../src/registrations.rs"),
];

/// Tables that stay small: one row, or as many as an operator makes by hand.
const SMALL: [&str; 6] = [
    "SCAN meta",
    "SCAN dps",
    "SCAN hub",
    "SCAN event_subscription",
    "SCAN sqlite_schema",
    "SCAN schema_version",
];

fn statements() -> impl Iterator<Item = &'static str> {
    let verbs = ["SELECT ", "INSERT ", "UPDATE ", "DELETE "];
    let literals = SOURCES.iter().flat_map(|source| source.split('"').skip(1).step_by(2));
    literals.filter(move |text| verbs.iter().any(|verb| text.starts_with(verb)))
}

#[test]
fn every_statement_finds_its_rows_by_an_index() {
    let scratch = Scratch::new();
    drop(scratch.open(Options::default()));
    let connection = scratch.connection();
    let mut seen = 0;
    for sql in statements() {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let parameters = vec![1; statement.parameter_count()];
        let mut rows = statement.query(params_from_iter(parameters)).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let step: String = row.get(3).unwrap();
            let small = SMALL.iter().any(|scan| {
                step.strip_prefix(scan).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            });
            assert!(!step.starts_with("SCAN") || small, "{step}: {sql}");
        }
        seen += 1;
    }
    assert!(seen > 40, "only {seen} statements were found");
}
