//! Every spelling of `az`'s, parsed.

use clap::CommandFactory;

use super::{Standalone, parse};

#[test]
fn the_grammar_holds() {
    Standalone::command().debug_assert();
}

fn takes(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    match parse(&words) {
        Ok(parsed) => format!("{:?}", parsed.command),
        Err(error) => panic!("{line}\n{error}"),
    }
}

/// Long and short spellings of one command mean the same.
fn same(lines: &[&str]) {
    let first = takes(lines[0]);
    for line in lines {
        assert_eq!(takes(line), first, "{line}");
    }
}

#[test]
fn s_61_and_s_62_the_seeds_commands_run_as_they_are_written() {
    let create = takes(
        "iot dps enrollment create --dps-name my-dps --enrollment-id disallow-002 \
         --attestation-type x509 --certificate-path ./certs/sensor-thl-002.pem \
         --provisioning-status disabled",
    );
    for part in ["\"disallow-002\"", "X509", "sensor-thl-002.pem", "Some(Disabled)", "\"my-dps\""] {
        assert!(create.contains(part), "{part} in {create}");
    }
    takes("iot hub device-identity delete --hub-name my-hub --device-id sensor-thl-002");
    takes("iot hub device-identity delete -n my-hub -d sensor-thl-002 -y -g group --etag *");
}

#[test]
fn enrollments_take_both_spellings() {
    same(&[
        "iot dps enrollment create --dps-name d --enrollment-id e --attestation-type symmetricKey \
         --primary-key A --secondary-key B --provisioning-status enabled --device-id x \
         --reprovision-policy reprovisionandresetdata --allocation-policy custom \
         --iot-hubs h1 h2 --webhook-url https://w --api-version 2021-10-01 \
         --initial-twin-tags {} --initial-twin-properties {} --edge-enabled true",
        "iot dps enrollment create -n d --eid e --at SymmetricKey --pk A --sk B --ps Enabled -d x \
         --rp ReprovisionAndResetData --ap Custom --ih h1 h2 --wh https://w --av 2021-10-01 \
         --tags {} --props {} --ee",
    ]);
    same(&[
        "iot dps enrollment create --dps-name d --enrollment-id e --attestation-type tpm \
         --endorsement-key K --reprovision-policy never --device-information {}",
        "iot dps enrollment create -n d --eid e --at tpm --ek K --rp never --info {}",
    ]);
    same(&[
        "iot dps enrollment update --login L --enrollment-id e --etag T --certificate-path a \
         --secondary-certificate-path b --remove-certificate --remove-secondary-certificate true",
        "iot dps enrollment update -l L --eid e -e T --cp a --scp b --rc --rsc",
    ]);
    same(&[
        "iot dps enrollment show --dps-name d --enrollment-id e --show-keys true",
        "iot dps enrollment show -n d --eid e --keys",
    ]);
    same(&[
        "iot dps enrollment list --dps-name d --top -1",
        "iot dps enrollment list -n d --top=-1",
    ]);
    same(&[
        "iot dps enrollment delete --dps-name d --enrollment-id e --yes",
        "iot dps enrollment delete -n d --eid e -y",
    ]);
    for line in [
        "iot dps enrollment registration show -n d --eid e",
        "iot dps enrollment registration delete -n d --eid e -e T -y",
        "iot dps enrollment create -n d --eid e --at x509 --cp f --hn hub.localhost",
        "iot dps enrollment create -n d --eid e --at symmetrickey --ap geolatency -g rg",
        "iot dps enrollment show -n d --eid e --auth-type key --subscription s",
        "iot dps enrollment show -n d --eid e --auth-type login",
    ] {
        takes(line);
    }
}

#[test]
fn groups_take_both_spellings() {
    same(&[
        "iot dps enrollment-group create --dps-name d --group-id g --ca-name c \
         --secondary-ca-name s --allocation-policy static --iot-hubs h",
        "iot dps enrollment-group create -n d --gid g --cn c --scn s --ap static --ih h",
        "iot dps enrollment-group create -n d --enrollment-id g --root-ca-name c \
         --secondary-root-ca-name s --ap static --ih h",
        "iot dps enrollment-group create -n d --eid g --cn c --scn s --ap static --ih h",
    ]);
    for line in [
        "iot dps enrollment-group update -n d --gid g --rc --cp f --ps disabled -e T",
        "iot dps enrollment-group list -n d",
        "iot dps enrollment-group show -n d --gid g --keys",
        "iot dps enrollment-group delete -n d --gid g",
        "iot dps enrollment-group registration list -n d --gid g --top 5",
        "iot dps enrollment-group registration list -n d --enrollment-id g",
        "iot dps enrollment-group registration show -n d --rid r",
        "iot dps enrollment-group registration delete -n d --registration-id r -y",
        "iot dps enrollment-group compute-device-key -n d --gid g --rid r",
        "iot dps enrollment-group compute-device-key --key K --registration-id r",
        "iot dps compute-device-key --key K --rid r",
        "iot dps registration show -n d --rid r",
    ] {
        takes(line);
    }
}

#[test]
fn services_take_the_spellings_of_az() {
    for line in [
        "iot dps create --name d --resource-group rg --location westeurope --sku S1 --unit 1",
        "iot dps create -n d -g rg -l westeurope --tags a=b",
        "iot dps show --name d",
        "iot dps show -n d -g rg -o json",
        "iot dps show --dps-name d",
        "iot dps list --output table --query [].name",
        "iot dps list -o Jsonc",
        "iot dps list -o yamlc",
        "iot dps list -o none",
        "iot dps update -n d --set properties.allocationPolicy=Hashed",
        "iot dps delete -n d -y",
        "iot dps policy list --dps-name d",
        "iot dps policy show --dps-name d --pn provisioningserviceowner",
        "iot dps policy delete -n d --policy-name p -g rg --no-wait",
        "iot dps policy delete -n d --pn p --yes",
        "iot dps policy update -n d --pn p --primary-key= --secondary-key K",
        "iot dps policy renew-key -n d --pn p --renew-key swap",
        "iot dps access-policy list --dps-name d",
        "iot dps linked-hub create --dps-name d --hub-name h --allocation-weight 10",
        "iot dps linked-hub create --dps-name d --connection-string S -l westeurope",
        "iot dps linked-hub create --dps-name d --hub-name h --apply-allocation-policy false",
        "iot dps linked-hub list --dps-name d",
        "iot dps linked-hub jobs --dps-name d",
        "iot dps linked-hub show --dps-name d --linked-hub h",
        "iot dps linked-hub update --dps-name d --linked-hub h --allocation-weight 3",
        "iot dps linked-hub delete --dps-name d --linked-hub h",
        "iot dps certificate create --dps-name d --name c --path f --verified true",
        "iot dps certificate create --dps-name d -n c -p f -v",
        "iot dps certificate create --dps-name d --certificate-name c --path f",
        "iot dps certificate list --dps-name d -g rg",
        "iot dps certificate show --dps-name d --name c",
        "iot dps certificate update --dps-name d --name c --path f --etag T",
        "iot dps certificate delete --dps-name d --name c -e T",
        "iot dps certificate delete --dps-name d --name c -y",
        "iot dps certificate generate-verification-code --dps-name d -n c --etag T -g rg",
        "iot dps certificate verify --dps-name d --certificate-name c --path f --etag T",
        "iot dps certificate verify --dps-name d -n c -p f -e T",
        "iot dps connection-string show --dps-name d --pn p --kt secondary",
        "iot dps connection-string show -n d --all",
        "iot dps connection-string show -n d --show-all --verbose",
        "iot dps create -n d --edr true --unit 1",
        "iot dps update -n d --set properties.allocationPolicy=Hashed --force-string",
        "iot hub create --name h -g rg --sku S1 --partition-count 2",
        "iot hub show -n h",
        "iot hub list -o table",
        "iot hub delete -n h",
        "iot hub connection-string show --hub-name h --policy-name service --key-type primary",
        "iot hub policy list --hub-name h",
        "iot hub policy show --hub-name h --name service",
        "iot hub policy create --hub-name h -n p --permissions RegistryRead serviceconnect",
        "iot hub policy update --hub-name h -n p --permissions DeviceConnect",
        "iot hub policy delete --hub-name h -n p",
        "iot hub policy renew-key --hub-name h --name p --renew-key primary",
        "iot hub policy renew-key --hub-name h -n p --rk Secondary",
    ] {
        takes(line);
    }
}

#[test]
fn policies_take_both_spellings() {
    same(&[
        "iot dps policy create --dps-name d --policy-name p --rights EnrollmentRead ServiceConfig \
         --primary-key A --secondary-key B",
        "iot dps policy create -n d --pn p -r enrollmentread serviceconfig --pk A --sk B",
    ]);
}

#[test]
fn device_identities_take_both_spellings() {
    same(&[
        "iot hub device-identity create --hub-name h --device-id d --auth-method x509_thumbprint \
         --primary-thumbprint A --secondary-thumbprint B --status disabled --status-reason why \
         --edge-enabled",
        "iot hub device-identity create -n h -d d --am x509_thumbprint --ptp A --stp B \
         --sta disabled --star why --ee true",
    ]);
    for line in [
        "iot hub device-identity create -n h -d d --am shared_private_key --pk A --sk B",
        "iot hub device-identity create -n h -d d --am x509_ca",
        "iot hub device-identity create -n h -d d --am x509_thumbprint --vd 10 --od .",
        "iot hub device-identity show -n h -d d",
        "iot hub device-identity list -n h --top 10 --ee",
        "iot hub device-identity update -n h -d d --set status=disabled",
        "iot hub device-identity update -d d --set status=disabled capabilities.iotEdge=true",
        "iot hub device-identity update -l L -d d --status disabled",
        "iot hub device-identity renew-key -n h -d d --kt swap",
        "iot hub device-identity renew-key -n h -d d1 d2 --kt primary --no-progress",
        "iot hub device-identity update -n h -d d --set tags.a=1 --force-string --debug",
        "iot hub device-identity connection-string show -n h -d d --kt secondary",
        "iot hub device-identity delete -l L -d d --etag T",
    ] {
        takes(line);
    }
}

#[test]
fn devices_take_both_spellings() {
    same(&[
        "iot device registration create --dps-name d --registration-id r --id-scope S \
         --group-id g --key K --compute-key --payload {} --host h",
        "iot device registration create -n d --rid r --scope S --gid g --symmetric-key K --ck true \
         --payload {} --provisioning-host h",
    ]);
    for line in [
        "iot device registration create --id-scope S --rid r --cp chain --kp key --host h",
        "device register --registration-id r --key K",
        "device register --id-scope S --registration-id r --cert c --key-file k --host h:8443",
        "device send --host h -d d --key K --data x --count 3",
        "explain sensor-thl-002",
        "explain 0f8c --top 3 --output json",
        "ca root --name Root --out root",
        "ca intermediate --name A --issuer root --out int --days 30 --key-type p384",
        "ca leaf --name sensor-thl-002 --issuer int --out leaf --key-type ed25519 --force",
        "ca proof --issuer root --code 0A1B --out proof --force",
    ] {
        takes(line);
    }
}

#[test]
fn misuse_is_refused_before_anything_is_sent() {
    for line in [
        "iot dps enrollment create --dps-name d --eid e",
        "iot dps enrollment create --dps-name d --eid e --at other",
        "iot dps enrollment create --dps-name d --eid e --at x509 --ap nearest",
        "iot dps enrollment-group compute-device-key --rid r",
        "iot dps linked-hub create --dps-name d",
        "iot dps linked-hub create --dps-name d --hub-name h --allocation-weight 0",
        "iot device registration create --rid r --cp chain",
        "device register --rid r",
        "ca leaf --name n --out o --days 0",
        "iot dps enrollment show --eid e --auth-type kerberos",
        "iot dps ip-filter-rule add --filter-name a --action drop --ip-mask ::/0",
        "iot hub update --hub-name h",
        "iot dps show --query properties.[",
        "iot dps policy create --dps-name d --policy-name p",
        "iot dps policy create --dps-name d --policy-name p --rights RegistryRead",
        "iot hub policy create --hub-name h -n p --permissions EnrollmentRead",
        "iot hub policy renew-key --hub-name h -n p",
        "iot dps show --output xml",
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let error = parse(&words).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}
