//! A server whose certificate is an operator's own: leaf and intermediate below a root that its
//! devices know.

use e2e::{Credential, DPS, HUB1, Pki, Provisioning, Sdk, Server, world};

#[test]
fn a_python_device_registers_against_an_own_certificate_chain() {
    world(|world| {
        let root = Pki::new(world).root("web-root");
        let own = root.intermediate("web-ca").server(&[DPS]);
        let (chain, key) = (own.chain.display(), own.key.display());
        let config = format!(
            "[[tls.certificates]]\nchain = \"{chain}\"\nkey = \"{key}\"\n\
             [first_start]\nhubs = [\"hub1\"]\n"
        );
        let server = Server::start_with(world, &config);
        // The command line believes the own certificate as well: the server wrote it down.
        let entry = server.muster(
            "iot dps enrollment create --dps-name dps --enrollment-id meter-1 \
             --attestation-type symmetricKey",
        );
        let key = entry["attestation"]["symmetricKey"]["primaryKey"].as_str().unwrap();
        for sdk in [Sdk::PythonMqtt, Sdk::PythonMqttWs] {
            Provisioning::new(world, &server)
                .believing(&root.file)
                .register(sdk, "meter-1", Credential::Key(key))
                .assert_assigned(HUB1, "meter-1");
        }
    });
}
