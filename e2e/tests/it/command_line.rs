//! Muster's own command line in a shell, as the README and docs/cli.md use it.

use std::env;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};

use e2e::{Rest, Server, World, world};
use serde_json::json;

/// A shell in the world's folder, which finds `muster` and the server.
struct Shell<'a> {
    world: &'a World,
    server: Server,
}

impl<'a> Shell<'a> {
    fn new(world: &'a World) -> Self {
        let server = Server::start(world);
        let muster = server.muster_command(&[]).get_program().to_owned();
        symlink(muster, world.dir().join("muster")).unwrap();
        Self { world, server }
    }

    fn run(&self, script: &str) -> Output {
        let path = format!("{}:{}", self.world.dir().display(), env::var("PATH").unwrap());
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(self.world.dir())
            .env("PATH", path)
            .env("MUSTER_DATA_DIR", self.server.data())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        println!("$ {script}\n{out}{err}{}", output.status);
        output
    }

    /// What a script prints that must succeed.
    #[track_caller]
    fn prints(&self, script: &str) -> String {
        let output = self.run(script);
        assert!(output.status.success(), "{script}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What a script says on standard error that must fail, with its exit code.
    #[track_caller]
    fn fails(&self, script: &str) -> (i32, String) {
        let output = self.run(script);
        assert!(!output.status.success(), "{script}");
        (output.status.code().unwrap(), text(&output.stderr))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_shell_takes_values_out_of_answers() {
    world(|world| {
        let shell = Shell::new(world);
        let scope = shell.prints(
            "SCOPE=$(muster iot dps show --dps-name dps --query properties.idScope --output tsv)
             printf %s \"$SCOPE\"",
        );
        assert_eq!(scope, shell.server.id_scope());
        let hubs = shell.prints(
            "muster iot dps linked-hub list --query '[].{weight: allocationWeight, hub: name}' \
               --output tsv |
             while IFS=$'\\t' read -r weight hub; do echo \"$hub has $weight\"; done",
        );
        assert_eq!(hubs, "hub1.localhost has 1\nhub2.localhost has 1\n");
        let table =
            "muster iot hub list --query '[].{state: properties.state, hub: name}' -o table";
        assert_eq!(shell.prints(table), "State   Hub\n-------------\nActive  hub1\nActive  hub2\n");
        let yaml = "muster iot hub list --query '[0].properties.{hostName: hostName, state: state}' \
                      --output yaml";
        let yaml = shell.prints(yaml);
        assert_eq!(yaml, "hostName: hub1.localhost\nstate: Active\n");
        assert_eq!(shell.prints("muster iot hub list -o none"), "");
        let piped = "muster iot hub list --query '[].name' --output jsonc";
        assert_eq!(shell.prints(piped), "[\n  \"hub1\",\n  \"hub2\"\n]\n", "no colors in a pipe");
    });
}

#[test]
fn s_30_limits_are_read_with_their_use_and_set() {
    world(|world| {
        let shell = Shell::new(world);
        let of = |limit: &str| {
            shell.prints(&format!(
                "muster iot dps show-limits --query \"[?name=='{limit}'].[limit, used]\" -o tsv"
            ))
        };
        assert_eq!(of("individualEnrollments"), "1000000\t0\n");
        assert_eq!(of("linkedHubs"), "50\t2\n");
        shell.prints("muster iot dps update --set properties.quota.individualEnrollments=1");
        let create = "muster iot dps enrollment create --attestation-type symmetrickey";
        shell.prints(&format!("{create} --enrollment-id first"));
        assert_eq!(of("individualEnrollments"), "1\t1\n");
        let (_, told) = shell.fails(&format!("{create} --enrollment-id second"));
        assert!(told.contains("There are 1 individual enrollments already"), "{told}");
        shell.prints("muster iot dps update --set properties.quota.individualEnrollments=2");
        shell.prints(&format!("{create} --enrollment-id second"));
        let misspelt = "muster iot dps update --set properties.quota.individualEnrolments=3";
        assert!(shell.fails(misspelt).1.contains("not the JSON that this call needs"));
    });
}

#[test]
fn exit_codes_tell_what_became_of_a_command() {
    world(|world| {
        let mut shell = Shell::new(world);
        for misused in [
            "muster iot dps show --query 'properties.['",
            "muster iot dps enrollment create --enrollment-id e",
            "muster iot hub show",
        ] {
            assert_eq!(shell.fails(misused).0, 2, "{misused}");
        }
        for unknown in [
            "muster iot dps enrollment show --enrollment-id nobody",
            "muster iot dps show --name other",
            "muster iot dps policy show --policy-name nobody",
            "muster explain nobody",
        ] {
            let (code, told) = shell.fails(unknown);
            assert_eq!(code, 3, "{unknown}");
            assert!(told.contains("\nhint: "), "{told}");
        }
        shell.prints("muster iot hub device-identity create --hub-name hub1 --device-id d");
        // Without a terminal nobody is asked, with or without --yes.
        shell.prints("muster iot dps create --name two && muster iot dps delete --name two");
        shell.prints("muster iot dps create --name two && muster iot dps delete --name two --yes");
        let refused = "muster iot hub device-identity create --hub-name hub1 --device-id d";
        assert_eq!(shell.fails(refused).0, 1, "it exists already");
        shell.server.kill();
        assert_eq!(shell.fails("muster iot dps list").0, 1, "there is no server");
    });
}

#[test]
fn a_shell_completes_the_grammar() {
    world(|world| {
        let shell = Shell::new(world);
        let completed = |words: &str| {
            // As bash calls it when the tab key is hit after these words.
            shell.prints(&format!(
                "source <(muster completion bash)
                 COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
                 _muster muster \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"
                 printf '%s\\n' \"${{COMPREPLY[@]}}\""
            ))
        };
        assert_eq!(completed("muster iot dps enr"), "enrollment\nenrollment-group\n");
        assert_eq!(completed("muster iot dps certificate gen"), "generate-verification-code\n");
        assert_eq!(completed("muster iot dps list --output t"), "table\ntsv\n");
        for other in ["zsh", "fish"] {
            let script = shell.prints(&format!("muster completion {other}"));
            assert!(script.contains("generate-verification-code"), "{other}");
        }
    });
}

/// Where a device of the CA `root` stands: registers, and prints the outcome.
const REGISTER: &str = "muster iot device registration create --dps-name dps \
    --registration-id sensor-1 --cp sensor-1.chain.pem \
    --kp sensor-1.key.pem --query status --output tsv";

#[test]
fn c_01_possession_of_a_cas_key_is_proven_with_openssl() {
    world(|world| {
        let shell = Shell::new(world);
        shell.prints(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 20 \
               -subj '/CN=Contoso root' -keyout root.key.pem -out root.pem 2> /dev/null
             muster ca leaf --name sensor-1 --issuer root --out sensor-1
             muster iot dps certificate create --certificate-name root --path root.pem
             muster iot dps enrollment-group create --enrollment-id g --ca-name root",
        );
        assert_eq!(shell.fails(REGISTER).0, 1, "the root is not verified");
        shell.prints(
            "muster iot dps certificate generate-verification-code --name root \
               --query properties.verificationCode --output tsv > code
             openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
               -subj \"/CN=$(cat code)\" -keyout proof.key.pem -out proof.csr 2> /dev/null
             openssl x509 -req -in proof.csr -CA root.pem -CAkey root.key.pem -CAcreateserial \
               -days 1 -out proof.pem 2> /dev/null",
        );
        let verify = "muster iot dps certificate verify --name root --path";
        let (code, told) = shell.fails(&format!("{verify} sensor-1.pem"));
        assert_eq!(code, 1);
        assert!(told.contains("\"sensor-1\", which is not the latest verification code"), "{told}");
        let (_, told) = shell.fails(&format!("{verify} proof.pem --etag stale"));
        assert!(told.contains("Precondition failed"), "{told}");
        let verified = "--query properties.isVerified --output tsv";
        let etag = "$(muster iot dps certificate show --name root --query etag --output tsv)";
        let done = shell.prints(&format!("{verify} proof.pem --etag \"{etag}\" {verified}"));
        assert_eq!(done, "true\n");
        assert_eq!(shell.prints(REGISTER), "assigned\n");
        let (_, told) = shell.fails(&format!("{verify} proof.pem"));
        assert!(told.contains("no verification code is waiting"), "a proof is good once: {told}");
        // A new body under the name is another CA.
        shell.prints("muster ca root --name Other --out other");
        let update = "muster iot dps certificate update --name root --path other.pem";
        assert_eq!(shell.prints(&format!("{update} {verified}")), "false\n");
        assert_eq!(shell.fails(REGISTER).0, 1);
        let listed = shell.run(
            "muster iot dps certificate update --name root --path root.pem -v
             muster iot dps certificate list",
        );
        let note = text(&listed.stderr);
        assert!(note.contains("warning: 'root' expires in 19 days"), "{note}");
    });
}

#[test]
fn c_04_a_code_outlives_the_server_and_muster_makes_the_proof() {
    world(|world| {
        let mut shell = Shell::new(world);
        shell.prints(
            "muster ca root --name Root --out root
             muster iot dps certificate create --name root --path root.pem",
        );
        let generate = "muster iot dps certificate generate-verification-code --name root \
             --query properties.verificationCode --output tsv";
        let prove = "muster ca proof --issuer root --out proof --force --code";
        shell.prints(&format!("{prove} $({generate})"));
        shell.prints(&format!("{generate} > code"));
        let verify = "muster iot dps certificate verify --name root --path proof.pem";
        let (code, told) = shell.fails(verify);
        assert_eq!(code, 1);
        assert!(told.contains("is not the latest verification code"), "{told}");
        shell.server.kill();
        shell.server.start_again();
        shell.prints(&format!("{prove} $(cat code)"));
        let verified = shell.prints(&format!("{verify} --query properties.isVerified -o json"));
        assert_eq!(verified, "true\n");
    });
}

#[test]
fn k_07_a_policys_key_is_refused_as_soon_as_it_is_gone() {
    world(|world| {
        let shell = Shell::new(world);
        shell.prints(
            "muster iot dps policy create --dps-name dps --policy-name line --rights EnrollmentRead
             muster iot dps connection-string show --policy-name line > login",
        );
        let list = "muster iot dps enrollment list --login \"$(cat login)\"";
        shell.prints(list);
        let create = "muster iot dps enrollment create --login \"$(cat login)\" \
             --enrollment-id e --attestation-type symmetrickey";
        let (code, told) = shell.fails(create);
        assert_eq!(code, 1);
        assert!(told.contains("does not have the right"), "{told}");
        shell.prints("muster iot dps policy update --policy-name line -r EnrollmentWrite");
        shell.prints(create);
        shell.prints("muster iot dps policy renew-key --policy-name line --renew-key primary");
        assert!(shell.fails(list).1.contains("Unauthorized"));
        shell.prints("muster iot dps connection-string show --policy-name line > login");
        shell.prints(list);
        shell.prints("muster iot dps policy delete --policy-name line");
        assert!(shell.fails(list).1.contains("Unauthorized"));
        let left = shell.prints("muster iot dps policy list --query '[].keyName' -o tsv");
        assert_eq!(left, "provisioningserviceowner\n");
        shell.prints(
            "muster iot hub policy create --hub-name hub1 --name tool --permissions RegistryWrite
             muster iot hub connection-string show --hub-name hub1 --policy-name tool > login",
        );
        let list = "muster iot hub device-identity list --login \"$(cat login)\"";
        shell.prints(list);
        shell.prints("muster iot hub policy delete --hub-name hub1 --name tool");
        assert!(shell.fails(list).1.contains("error: can not list the devices"));
    });
}

#[test]
fn d_30_policies_and_certificates_are_the_administrations_alone() {
    world(|world| {
        let server = Server::start(world);
        let admin = server.admin()["connectionString"].as_str().unwrap().to_owned();
        let (dps, hub) = (server.dps(), server.hub("hub1"));
        let (_, policy, key) = dps.owner();
        let stranger =
            format!("HostName=muster.localhost;SharedAccessKeyName={policy};SharedAccessKey={key}");
        let [admin, stranger] =
            [admin, stranger].map(|login| Rest::new(&login, &server.ca(), "2026-11-01"));
        let calls = [
            ("GET", "/muster/v1/dps/dps/policies/provisioningserviceowner"),
            ("PUT", "/muster/v1/dps/dps/policies/mine"),
            ("POST", "/muster/v1/dps/dps/policies/provisioningserviceowner/renew"),
            ("DELETE", "/muster/v1/dps/dps/policies/provisioningserviceowner"),
            ("PUT", "/muster/v1/hubs/hub1/policies/mine"),
            ("POST", "/muster/v1/hubs/hub1/policies/iothubowner/renew"),
            ("DELETE", "/muster/v1/hubs/hub1/policies/iothubowner"),
            ("POST", "/muster/v1/dps/dps/certificates/root/generateVerificationCode"),
            ("POST", "/muster/v1/dps/dps/certificates/root/verify"),
        ];
        let body = json!({"rights": "ServiceConfig", "renewKey": "primary", "certificate": "-"});
        for (method, path) in calls {
            stranger.call(method, path, &[], Some(&body)).expect(401);
        }
        // What was refused was not done, and is there for the administration.
        dps.post("/enrollments/query", &json!({"query": "SELECT *"})).expect(200);
        hub.get("/devices/nobody").expect(404);
        admin.get("/muster/v1/dps/dps/policies/mine").expect(404);
        admin.get("/muster/v1/dps/dps/policies/provisioningserviceowner").expect(200);
        let wrong = json!({"rights": "RegistryRead"});
        admin.put("/muster/v1/dps/dps/policies/mine", &wrong).expect(400);
        admin.put("/muster/v1/dps/dps/policies/mine", &json!({"rights": ""})).expect(400);
        let root = "/muster/v1/dps/dps/certificates/root/generateVerificationCode";
        admin.post(root, &json!({})).expect(404);
    });
}
