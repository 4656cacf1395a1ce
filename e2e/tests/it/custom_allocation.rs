//! Custom allocation by a webhook of the operator's (L-07, W-01 to W-07).

use e2e::{Credential, HUB1, HUB2, Pki, Provisioning, Sdk, Server, Webhook, derived_key, world};
use serde_json::json;
use std::fs;

#[test]
fn l_07_w_04_a_webhook_sends_devices_to_a_hub_and_a_payload_along() {
    world(|world| {
        let pki = Pki::new(world);
        let root = pki.root("function-root");
        let mut webhook = Webhook::start(world, &root.server(&["localhost"]));
        let secret = world.dir().join("webhook-secret");
        fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let server = Server::start_with(
            world,
            &format!(
                "[webhooks]\nca_file = \"{}\"\nsigning_key_file = \"{}\"\n\
                 private_addresses = true\n",
                root.file.display(),
                secret.display()
            ),
        );
        let group = server.dps().put(
            "/enrollmentGroups/meters",
            &json!({
                "enrollmentGroupId": "meters",
                "attestation": {"type": "symmetricKey", "symmetricKey": {}},
                "allocationPolicy": "custom",
                "customAllocationDefinition":
                    {"webhookUrl": webhook.url(), "apiVersion": "2021-10-01"},
            }),
        );
        let keys = group.expect(200)["attestation"]["symmetricKey"].clone();
        let key = derived_key(keys["primaryKey"].as_str().unwrap(), "meter-1");
        let provisioning = Provisioning::new(world, &server);
        let register = |sdk| {
            let site = json!({"site": 7});
            provisioning.register_with(sdk, "meter-1", Credential::Key(&key), &site)
        };

        // W-06: no answer that counts is a failure, and its cause is the operator's to see.
        webhook.answers(403, &json!({}));
        let refused = register(Sdk::PythonMqtt);
        assert_eq!(refused.answer["outcome"], "error", "{refused:?}");
        webhook.asked();
        let told = server.muster("explain meter-1").to_string();
        assert!(told.contains("it answered with status 403"), "{told}");
        assert!(!told.contains("secret"), "{told}");
        let record = server.dps().get("/registrations/meter-1").expect(200);
        assert_eq!(record["errorCode"], 400_207, "{record}");

        let twin = json!({"tags": {"of": "webhook"}});
        let choice = |hub: &str| {
            json!({"iotHubHostName": hub, "initialTwin": twin,
                                        "payload": {"zone": 4}})
        };
        webhook.answers(200, &choice(HUB2));
        let first = register(Sdk::PythonMqtt);
        first.assert_assigned(HUB2, "meter-1");
        assert_eq!(first.answer["payload"], json!({"zone": 4}));
        let request = webhook.asked();
        assert_eq!(request["path"], "/choose?code=secret");
        let context = &request["asked"]["deviceRuntimeContext"];
        assert_eq!(context["payload"], json!({"site": 7}));
        assert!(context.get("currentIotHubHostName").is_none(), "{context}");
        assert_eq!(request["asked"]["linkedHubs"], json!([HUB1, HUB2]));
        let signature = request["signed"]["webhook-signature"].as_str().unwrap();
        assert!(signature.starts_with("v1,"), "{request}");
        assert!(!request["asked"].to_string().contains("secret"), "{request}");
        let made = server.hub("hub2").get("/twins/meter-1").expect(200);
        assert_eq!(made["tags"], json!({"of": "webhook"}));

        // W-01, W-07: asked again, of where it is, by another client; the device moves.
        webhook.answers(200, &choice(HUB1));
        register(Sdk::NodeHttp).assert_assigned(HUB1, "meter-1");
        let context = &webhook.asked()["asked"]["deviceRuntimeContext"];
        assert_eq!(context["currentIotHubHostName"], HUB2);
        assert_eq!(server.hub("hub2").get("/devices/meter-1").status, 404);
    });
}
