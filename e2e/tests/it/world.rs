//! The harness itself, without a server.

use e2e::{HUB1, Pki, bare_world, derived_key};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

#[test]
fn a_world_has_the_fixed_ports_to_itself() {
    bare_world(|_| hold_the_fixed_ports());
}

#[test]
fn another_world_has_them_at_the_same_time() {
    bare_world(|_| hold_the_fixed_ports());
}

fn hold_the_fixed_ports() {
    for port in [443, 8883] {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let client = TcpStream::connect((HUB1, port)).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }
}

#[test]
fn a_world_resolves_its_hosts_for_every_client() {
    bare_world(|world| {
        let ca = Pki::new(world).root("root").file;
        let ask = "import socket, azure.iot.device\n\
                   print(socket.getaddrinfo('dps.localhost', 443)[0][4][0])";
        assert_eq!(says(world.python(&ca).args(["-c", ask])), "127.0.0.1");
        let ask = "require('azure-iot-provisioning-device-mqtt'); require('azure-iothub');\n\
                   require('dns').lookup('muster.localhost', (_, found) => console.log(found))";
        assert_eq!(says(world.node(&ca).args(["-e", ask])), "127.0.0.1");
    });
}

#[test]
fn a_world_reaches_nothing_beyond_itself() {
    bare_world(|_| {
        let routes = std::fs::read_to_string("/proc/net/route").unwrap();
        assert_eq!(routes.lines().count(), 1, "{routes}");
    });
}

#[test]
fn openssl_accepts_the_made_chains() {
    bare_world(|world| {
        let pki = Pki::new(world);
        let root = pki.root("root");
        let a = root.intermediate("a");
        let device = a.intermediate("b").device("sensor-thl-002");
        let mut verify = Command::new("openssl");
        verify.args(["verify", "-x509_strict", "-CAfile"]).arg(&root.file);
        verify.arg("-untrusted").arg(&device.chain).arg(&device.file);
        assert!(says(&mut verify).ends_with(": OK"));
    });
}

/// The sample of the symmetric-key group page: <https://learn.microsoft.com/azure/iot-dps/>.
#[test]
fn a_derived_key_is_the_documented_one() {
    let key =
        "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
    let derived = derived_key(key, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6");
    assert_eq!(derived, "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=");
}

fn says(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
