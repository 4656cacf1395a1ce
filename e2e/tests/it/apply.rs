//! Enrollments as code: files, and what they make of a server.

use e2e::{Pki, Server, world};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Runs `muster apply` or `muster plan` on a file: the exit code, the plan, and what it says.
fn run(server: &Server, command: &[&str], file: &Path) -> (i32, Value, String) {
    let mut words = command.to_vec();
    words.extend(["--file", file.to_str().unwrap()]);
    let output = server.muster_command(&words).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let out = String::from_utf8_lossy(&output.stdout);
    println!("{words:?}: {}\n{out}{errors}", output.status);
    (output.status.code().unwrap(), serde_json::from_str(&out).unwrap_or(Value::Null), errors)
}

fn counts(plan: &Value) -> [u64; 4] {
    ["create", "change", "delete", "unchanged"].map(|name| plan[name].as_u64().unwrap())
}

struct Fleet {
    file: PathBuf,
    text: String,
}

impl Fleet {
    fn write(&self, text: &str) {
        fs::write(&self.file, text).unwrap();
    }

    fn edited(&self, from: &str, to: &str) {
        assert!(self.text.contains(from), "{from}");
        self.write(&self.text.replace(from, to));
    }
}

fn fleet(dir: &Path, pki: &Pki) -> Fleet {
    let root = pki.root("root");
    let line = root.intermediate("line-1");
    let device = line.device("sensor-1");
    fs::write(dir.join("fleet.key"), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").unwrap();
    let text = format!(
        "# The fleet of one site.
dps:
  - name: dps
    linked_hubs:
      - hub1
      - {{name: hub2.localhost, allocation_weight: 3}}
    certificates:
      - name: root
        certificate: {root}
    enrollment_groups:
      - enrollmentGroupId: line-1
        attestation:
          type: x509
          x509: {{signingCertificates: {{primary: {line}}}}}
        allocationPolicy: static
        iotHubs: [hub1.localhost]
        initialTwin: {{tags: {{site: thl}}, properties: {{desired: {{interval: 30}}}}}}
      - enrollmentGroupId: keyed
        attestation: {{type: symmetricKey, symmetricKey: {{primaryKey: {{file: fleet.key}}}}}}
---
dps:
  - name: dps
    enrollments:
      - registrationId: sensor-1
        deviceId: dev-1
        attestation: {{type: x509, x509: {{clientCertificates: {{primary: {device}}}}}}}
      - registrationId: generated
        attestation: {{type: symmetricKey}}
        provisioningStatus: enabled
",
        root = root.file.display(),
        line = line.file.display(),
        device = device.file.display(),
    );
    Fleet { file: dir.join("fleet.yaml"), text }
}

#[test]
fn what_the_files_say_is_made_once_and_drift_is_told() {
    world(|world| {
        let server = Server::start(world);
        let dps = server.dps();
        let fleet = fleet(world.dir(), &Pki::new(world));
        fleet.write(&fleet.text);

        let (code, plan, _) = run(&server, &["plan", "--detailed-exitcode"], &fleet.file);
        assert_eq!((code, counts(&plan)), (2, [5, 1, 0, 1]));
        dps.get("/enrollments/sensor-1").expect(404);
        let (code, plan, _) = run(&server, &["apply"], &fleet.file);
        assert_eq!((code, counts(&plan)), (0, [5, 1, 0, 1]));

        // What is there is what was written.
        let group = dps.get("/enrollmentGroups/line-1").expect(200);
        assert_eq!(group["iotHubs"], json!(["hub1.localhost"]));
        assert_eq!(group["initialTwin"]["properties"]["desired"]["interval"], 30);
        let keys = dps.post("/enrollmentGroups/keyed/attestationmechanism", &Value::Null);
        let keys = keys.expect(200);
        assert!(keys["symmetricKey"]["primaryKey"].as_str().unwrap().starts_with("AAECAw"));
        assert_eq!(dps.get("/enrollments/sensor-1").expect(200)["deviceId"], "dev-1");
        let made = dps.post("/enrollments/generated/attestationmechanism", &Value::Null);
        let made = made.expect(200);

        // Twice is once: nothing is written, no etag changes, no key is made anew.
        let (code, plan, _) = run(&server, &["apply"], &fleet.file);
        assert_eq!((code, counts(&plan)), (0, [0, 0, 0, 7]));
        assert_eq!(dps.get("/enrollmentGroups/line-1").expect(200)["etag"], group["etag"]);
        let again = dps.post("/enrollments/generated/attestationmechanism", &Value::Null);
        assert_eq!(again.expect(200), made);
        let (code, _, _) = run(&server, &["apply", "--check"], &fleet.file);
        assert_eq!(code, 0);

        // Drift, made by hand, is seen and mended.
        let mut drifted = group.clone();
        drifted["initialTwin"]["tags"]["site"] = "elsewhere".into();
        dps.put_if_match("/enrollmentGroups/line-1", "*", &drifted).expect(200);
        let (code, plan, _) = run(&server, &["apply", "--check"], &fleet.file);
        assert_eq!(code, 2);
        assert_eq!(
            plan["steps"][0]["changes"],
            json!([{"path": "initialTwin.tags.site", "from": "elsewhere", "to": "thl"}])
        );
        assert_eq!(run(&server, &["apply"], &fleet.file).0, 0);
        let mended = dps.get("/enrollmentGroups/line-1").expect(200);
        assert_eq!(mended["initialTwin"], group["initialTwin"]);
    });
}

#[test]
fn nobody_is_let_in_again_and_nothing_goes_unasked() {
    world(|world| {
        let server = Server::start(world);
        let dps = server.dps();
        let fleet = fleet(world.dir(), &Pki::new(world));
        fleet.write(&fleet.text);
        assert_eq!(run(&server, &["apply"], &fleet.file).0, 0);

        // Two are shut out by hand; the file says of one that it is enabled, of the other nothing.
        for id in ["sensor-1", "generated"] {
            let path = format!("/enrollments/{id}");
            let mut entry = dps.get(&path).expect(200);
            entry["provisioningStatus"] = "disabled".into();
            dps.put_if_match(&path, "*", &entry).expect(200);
        }
        let status = |id: &str| {
            let entry = dps.get(&format!("/enrollments/{id}")).expect(200);
            entry["provisioningStatus"].as_str().unwrap().to_owned()
        };
        let (code, plan, errors) = run(&server, &["apply"], &fleet.file);
        assert_eq!((code, counts(&plan)), (1, [0, 1, 0, 6]));
        assert_eq!(plan["steps"][0]["enables"], true);
        assert!(errors.contains("nothing was done"), "{errors}");
        assert_eq!(
            (status("sensor-1").as_str(), status("generated").as_str()),
            ("disabled", "disabled")
        );
        fleet.edited("deviceId: dev-1", "deviceId: dev-2");
        assert_eq!(run(&server, &["apply", "--yes"], &fleet.file).0, 0);
        assert_eq!(dps.get("/enrollments/sensor-1").expect(200)["deviceId"], "dev-2");
        assert_eq!(
            (status("sensor-1").as_str(), status("generated").as_str()),
            ("disabled", "enabled")
        );

        // What is in no file goes only with --prune, and what is disabled not even so.
        let keyed = json!({"attestation": {"type": "symmetricKey"}});
        for (id, status) in [("stray", "enabled"), ("lab-1", "enabled"), ("stolen", "disabled")] {
            let mut entry = keyed.clone();
            entry["registrationId"] = id.into();
            entry["provisioningStatus"] = status.into();
            dps.put(&format!("/enrollments/{id}"), &entry).expect(200);
        }
        let without =
            fleet.text.split("      - enrollmentGroupId: keyed").next().unwrap().to_owned();
        let enrollments = fleet.text.split("---").nth(1).unwrap();
        fleet.write(&format!("{without}---{}", enrollments.replace("dev-1", "dev-2")));
        let (code, plan, _) = run(&server, &["apply"], &fleet.file);
        assert_eq!((code, counts(&plan)), (0, [0, 0, 0, 6]));
        let prune = ["apply", "--prune", "--keep", "lab-*"];
        let (code, plan, errors) = run(&server, &prune, &fleet.file);
        assert_eq!((code, counts(&plan)), (1, [0, 0, 2, 6]));
        assert!(errors.contains("nothing was done"), "{errors}");
        dps.get("/enrollments/stray").expect(200);
        let (code, plan, _) = run(&server, &[&prune[..], &["--yes"]].concat(), &fleet.file);
        assert_eq!(code, 0);
        assert!(plan["notes"].to_string().contains("'stolen'"), "{plan}");
        dps.get("/enrollments/stray").expect(404);
        dps.get("/enrollmentGroups/keyed").expect(404);
        dps.get("/enrollments/lab-1").expect(200);
        dps.get("/enrollments/stolen").expect(200);
        assert_eq!(run(&server, &["apply", "--check"], &fleet.file).0, 0);

        // A file with faults does nothing, and tells them all.
        fleet.edited("deviceId: dev-1", "deviceID: dev-3\n        iothubs: []");
        let (code, _, errors) = run(&server, &["apply"], &fleet.file);
        assert_eq!(code, 1);
        assert!(errors.contains("there are 2 faults"), "{errors}");
    });
}
