use super::*;

const KEYS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "1",
    "x": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "y": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#;

const ONE: &str = r#"
[[issuers]]
issuer = "plant"
audiences = ["muster"]
jwks_file = "keys.json"
[[issuers.roles]]
claim = "roles"
values = ["r"]
role = "reader"
at = ["dps", "hubs/hub1"]
"#;

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let own = Self(std::env::temp_dir().join(format!("muster-{name}-{}", std::process::id())));
        std::fs::create_dir_all(&own.0).unwrap();
        own
    }

    /// Replaced as a whole, as tools do it.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let (file, beside) = (self.0.join(name), self.0.join(format!(".{name}")));
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &file).unwrap();
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn names(watched: &Watched) -> Vec<String> {
    watched.trusted().iter().map(|issuer| issuer.issuer.clone()).collect()
}

#[tokio::test]
async fn k_28_what_the_file_says_counts_at_the_next_call() {
    let folder = Folder::new("issuers-counts");
    folder.write("keys.json", KEYS);
    let file = folder.write("issuers.toml", ONE);
    assert_eq!(faults(Some(&file)), [""; 0]);
    let watched = Watched::new(file.clone());
    assert_eq!(names(&watched), ["plant"]);
    let issuer = watched.trusted()[0].clone();
    assert_eq!(issuer.grants[0].scopes.len(), 2);
    assert_eq!(issuer.clock_skew.as_secs(), 60);
    let before = Arc::clone(&issuer.keys);
    folder.write("keys.json", &KEYS.replace(r#""1""#, r#""2""#));
    assert_ne!(watched.trusted()[0].keys, before, "a key file counts as it is");
    folder.write("issuers.toml", &ONE.replace("plant", "other"));
    assert_eq!(names(&watched), ["other"]);
    // Nobody is let in by what may have been meant to go.
    folder.write("issuers.toml", &ONE.replace("role = ", "rolle = "));
    assert_eq!(names(&watched), [""; 0]);
    folder.write("issuers.toml", ONE);
    assert_eq!(names(&watched), ["plant"]);
    folder.write("keys.json", "{}");
    assert_eq!(names(&watched), [""; 0]);
    folder.write("keys.json", KEYS);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(names(&watched), [""; 0]);
}

#[tokio::test]
async fn an_issuer_that_is_asked_goes_on_being_asked() {
    let folder = Folder::new("issuers-asked");
    let text = |value: &str| {
        ONE.replace("\"plant\"", "\"https://127.0.0.1:1\"")
            .replace("jwks_file = \"keys.json\"\n", "")
            .replace("\"r\"", value)
    };
    let watched = Watched::new(folder.write("issuers.toml", &text("\"a\"")));
    let asked = || watched.state().trusted[0].1.clone().unwrap();
    let first = asked();
    folder.write("issuers.toml", &text("\"b\""));
    assert_eq!(watched.trusted()[0].grants[0].values, ["b"]);
    assert!(Arc::ptr_eq(&first, &asked()));
    watched.unknown_key("https://127.0.0.1:1");
    watched.unknown_key("nobody");
}

#[test]
fn every_fault_of_the_file_is_told() {
    let folder = Folder::new("issuers-faults");
    let told = |text: &str| faults(Some(&folder.write("issuers.toml", text))).join("\n");
    assert!(told("[[issuers]]\nname = 1").contains("issuers.toml"));
    let bad = r#"
[[issuers]]
issuer = "plant"
audiences = []
clock_skew_s = 301
jwks_file = "none.json"
jwks_uri = "https://id.example/keys"
[[issuers.roles]]
claim = ""
values = ["x"]
role = "reader"
at = ["dps", "hub", "dps/-"]
[[issuers]]
issuer = "plant"
audiences = ["a"]
ca_file = "none.pem"
"#;
    let all = told(bad);
    for part in [
        "issuers: one is there twice",
        "issuers[0].audiences: is empty",
        "issuers[0].clock_skew_s: is over 300",
        "issuers[0]: jwks_file stands alone",
        "issuers[0].jwks_file: ",
        "issuers[0].roles[0]: names no claim",
        "issuers[0].roles[0].at: \"hub\" is none of",
        "issuers[0].roles[0].at: \"dps/-\" is none of",
        "issuers[1].issuer: \"plant\" is no https address",
        "issuers[1].ca_file: ",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    assert_eq!(all.lines().count(), 10, "{all}");
}
