use std::fs;
use std::path::{Path, PathBuf};

/// Crates without `async`, clock, randomness or logging (I1).
const PURE: [&str; 8] =
    ["model", "attestation", "provisioning", "hub", "events", "query", "mqtt", "dialect"];

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The text without comments and without what follows the first test module.
    fn code(&self) -> String {
        let product = self.text.split("#[cfg(test)]").next().unwrap_or_default();
        product
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn is_test(&self) -> bool {
        let path = self.path.to_string_lossy();
        path.contains("/tests/") || path.ends_with("tests.rs") || path.contains("/benches/")
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let skipped = ["target", ".git", "node_modules", "muster-data"];
        if skipped.iter().any(|skip| name == **skip) {
            continue;
        }
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn files(dir: &Path, ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    walk(dir, &mut found);
    found.sort();
    found
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .filter_map(|path| fs::read_to_string(&path).ok().map(|text| Source { path, text }))
        .collect()
}

fn sources(crates: &str) -> Vec<Source> {
    let found = files(&root().join("crates").join(crates).join("src"), ".rs");
    assert!(!found.is_empty(), "crate {crates} has no source: is its name right?");
    found
}

fn assert_clean(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Every product source that has one of the words.
fn having(crates: &[&str], words: &[&str]) -> Vec<String> {
    crates
        .iter()
        .flat_map(|name| sources(name))
        .filter(|source| !source.is_test())
        .flat_map(|source| {
            let code = source.code();
            words
                .iter()
                .filter(|word| code.contains(**word))
                .map(|word| format!("{}: {word:?}", source.path.display()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn i1_pure_crates_have_no_async_clock_randomness_or_logging() {
    assert_clean(&having(
        &PURE,
        &["async ", "tokio", "SystemTime", "Instant::now", " rand::", "tracing", "std::net"],
    ));
}

#[test]
fn i1_pure_crates_do_not_depend_on_a_runtime() {
    let mut complaints = Vec::new();
    for name in PURE {
        let manifest = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml"));
        let manifest = manifest.unwrap();
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for word in ["rand", "tokio", "async-trait", "tracing", "hyper", "rusqlite", "uuid"] {
            if dependencies.lines().any(|line| line.starts_with(word)) {
                complaints.push(format!("{name} depends on {word}"));
            }
        }
    }
    assert_clean(&complaints);
}

#[test]
fn i2_mqtt_has_no_word_of_azure() {
    assert_clean(&having(&["mqtt"], &["$dps", "$iothub", "iotdps", "azure", "Azure"]));
}

#[test]
fn i3_only_stores_have_sql_and_only_gateway_and_cli_have_sockets() {
    let sql = ["SELECT ", "INSERT INTO", "DELETE FROM", "rusqlite"];
    let others = [
        "model",
        "attestation",
        "provisioning",
        "hub",
        "mqtt",
        "store",
        "service",
        "gateway",
        "cli",
        "server",
        "telemetry-log",
    ];
    // The query language of the service API is az's, not SQL.
    let complaints: Vec<String> = having(&others, &sql)
        .into_iter()
        .filter(|complaint| !complaint.contains("/cli/") && !complaint.contains("query.rs"))
        .collect();
    assert_clean(&complaints);
    let without = [
        "model",
        "attestation",
        "provisioning",
        "hub",
        "mqtt",
        "dialect",
        "store",
        "store-sqlite",
        "service",
        "telemetry-log",
    ];
    assert_clean(&having(&without, &["TcpStream", "TcpListener", "UdpSocket"]));
}

#[test]
fn i4_the_gateway_sees_no_rule_and_the_service_no_packet() {
    assert_clean(&having(
        &["gateway"],
        &["provisioning::decide", "provisioning::admit", "is_enabled()", "ProvisioningStatus"],
    ));
    assert_clean(&having(&["service"], &["mqtt::", "hyper", "Packet", "dialect::"]));
}

#[test]
fn i5_status_codes_are_in_the_dialect_alone() {
    let words = [
        "StatusCode::NOT_FOUND",
        "StatusCode::UNAUTHORIZED",
        "StatusCode::CONFLICT",
        "401000",
        "401002",
        "404201",
    ];
    assert_clean(&having(
        &["model", "attestation", "provisioning", "hub", "service", "gateway", "store"],
        &words,
    ));
}

#[test]
fn files_stay_small() {
    let mut complaints = Vec::new();
    for dir in ["crates", "e2e"] {
        for source in files(&root().join(dir), ".rs") {
            let lines = source.text.lines().count();
            if lines > 800 {
                complaints.push(format!("{}: {lines} lines, over 800", source.path.display()));
            }
        }
    }
    assert_clean(&complaints);
}

#[test]
fn nothing_is_left_unfinished_or_switched_off() {
    let words = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
    ];
    let mut complaints = Vec::new();
    for dir in ["crates", "e2e", "fuzz"] {
        for source in files(&root().join(dir), ".rs") {
            for word in words {
                if source.text.contains(word) {
                    complaints.push(format!("{}: {word}", source.path.display()));
                }
            }
        }
    }
    assert_clean(&complaints);
}

#[test]
fn every_crate_says_what_it_is() {
    let mut complaints = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap().flatten() {
        let src = entry.path().join("src");
        let head = fs::read_to_string(src.join("lib.rs"))
            .or_else(|_| fs::read_to_string(src.join("main.rs")))
            .unwrap_or_default();
        if !head.starts_with("//! ") {
            complaints.push(format!("{} does not say what it is", entry.path().display()));
        }
    }
    assert_clean(&complaints);
}

/// What a table of rules lacks: rows of rules, and tests that it names.
fn lacking(table: &str, rules: impl IntoIterator<Item = String>) -> Vec<String> {
    let text = fs::read_to_string(root().join(table)).unwrap();
    let mut complaints: Vec<String> = rules
        .into_iter()
        .filter(|rule| !text.contains(&format!("| {rule} |")))
        .map(|rule| format!("{table} has no row of {rule}"))
        .collect();
    let code: String = ["crates", "e2e"]
        .iter()
        .flat_map(|dir| files(&root().join(dir), ".rs"))
        .map(|source| source.text)
        .collect();
    let is_test_name = |word: &&str| {
        word.contains('_') && word.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
    };
    for name in text.split('`').skip(1).step_by(2).filter(is_test_name) {
        if !code.contains(&format!("fn {name}(")) {
            complaints.push(format!("{table} names {name}, which is no test"));
        }
    }
    if text.contains("**open**") {
        complaints.push(format!("{table} has an open row"));
    }
    complaints
}

#[test]
fn every_seed_rule_has_a_row_and_every_named_test_exists() {
    let rules = (1..=108).map(|number| format!("S-{number:02}"));
    assert_clean(&lacking("docs/seed-rules.md", rules));
}

#[test]
fn every_rule_of_the_service_has_a_row_and_every_named_test_exists() {
    let families = [
        ("A", vec![1..=7, 10..=14, 20..=31, 40..=48]),
        ("V", vec![1..=30]),
        ("B", vec![1..=5]),
        ("Q", vec![1..=7]),
        ("K", vec![1..=14, 20..=28]),
        ("M", vec![1..=29]),
        ("R", vec![1..=16, 20..=30]),
        ("L", vec![1..=15]),
        ("W", vec![1..=10]),
        ("T", vec![1..=5]),
        ("C", vec![1..=10]),
    ];
    let rules = families.into_iter().flat_map(|(family, ranges)| {
        let numbers = ranges.into_iter().flatten();
        numbers.map(move |number| format!("{family}-{number:02}"))
    });
    assert_clean(&lacking("docs/service-rules.md", rules.chain(["A-29b".to_owned()])));
}

#[test]
fn lock_files_carry_no_addresses_but_the_registry() {
    for (file, words) in [
        ("Cargo.lock", vec!["git+", "http://", "sparse+"]),
        ("e2e/node/package-lock.json", vec!["\"resolved\"", "http://"]),
    ] {
        let text = fs::read_to_string(root().join(file)).unwrap_or_default();
        for word in words {
            assert!(!text.contains(word), "{file} has {word:?}");
        }
    }
}
