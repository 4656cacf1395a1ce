//! Limits of a provisioning service: read with their use, set, kept (S-30, C-08).

use attestation::x509::Certificate;
use model::{CertificateName, HostName, IfMatch, ServiceName};
use provisioning::possession::Vouched;
use provisioning::quota::QuotaChange;
use service::{ApiError, CertificateRequest, DpsRequest, HubRequest, LinkRequest};

use crate::world::{World, call, group, key, keyed, self_signed};

impl World {
    async fn set(&self, quota: QuotaChange) -> Result<(), ApiError> {
        let request = DpsRequest { quota, ..DpsRequest::default() };
        self.service.put_dps(&call(), &self.dps, request).await.map(drop)
    }

    /// Each limit as `name limit used`.
    async fn limits(&self) -> Vec<String> {
        let uses = self.service.limits(&self.dps).await.unwrap();
        uses.iter()
            .map(|found| format!("{} {} {}", found.of.name(), found.limit, found.used))
            .collect()
    }

    async fn upload(&self, name: &str) -> Result<(), ApiError> {
        let certificate = Certificate::from_upload(self_signed(name).as_bytes()).unwrap();
        let request = CertificateRequest { certificate, vouched: Vouched::Yes };
        let name = CertificateName::parse(name).unwrap();
        let absent = IfMatch::Absent;
        let put = self.service.put_certificate(&call(), &self.dps, &name, &request, &absent).await;
        put.map(drop)
    }

    async fn link(&self, host: &HostName) -> Result<(), ApiError> {
        let link = LinkRequest {
            allocation_weight: Some(2),
            apply_allocation_policy: Some(true),
            ..LinkRequest::default()
        };
        self.service.put_link(&call(), &self.dps, host, &link).await.map(drop)
    }
}

fn reached(result: Result<(), ApiError>) -> (&'static str, u64) {
    match result.unwrap_err() {
        ApiError::QuotaReached { what, max } => (what, max),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn s_30_each_limit_is_read_with_its_default_and_its_use() {
    let w = World::new().await;
    let fresh = [
        "registrations 1000000 0",
        "individualEnrollments 1000000 0",
        "x509EnrollmentGroups 100 0",
        "symmetricKeyEnrollmentGroups 100 0",
        "caCertificates 25 0",
        "linkedHubs 50 2",
        "accessPolicies 64 1",
    ];
    assert_eq!(w.limits().await, fresh);
    w.put("dev", &keyed(1)).await;
    w.put("other", &keyed(1)).await;
    w.put_group("g", &keyed(2)).await;
    w.upload("root").await.unwrap();
    let name = "member";
    assert_eq!(w.outcome(name, &w.token(name, &key(2).derive(name))).await, "assigned");
    let mut disabled = keyed(3);
    disabled["provisioningStatus"] = "disabled".into();
    w.put("refused", &disabled).await;
    assert_eq!(w.outcome("refused", &w.token("refused", &key(3))).await, "disabled");
    let used = [
        "registrations 1000000 1",
        "individualEnrollments 1000000 3",
        "x509EnrollmentGroups 100 0",
        "symmetricKeyEnrollmentGroups 100 1",
        "caCertificates 25 1",
        "linkedHubs 50 2",
        "accessPolicies 64 1",
    ];
    assert_eq!(w.limits().await, used, "a device that was never assigned does not count (D-11)");
    let unknown = ServiceName::parse("unknown").unwrap();
    assert!(matches!(w.service.limits(&unknown).await, Err(ApiError::NotFound)));
}

#[tokio::test]
async fn s_30_limits_are_set_one_by_one_and_below_their_use() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    let individual_enrollments = Some(0);
    w.set(QuotaChange { individual_enrollments, ..QuotaChange::default() }).await.unwrap();
    w.set(QuotaChange { registrations: Some(5), ..QuotaChange::default() }).await.unwrap();
    let limits = w.limits().await;
    assert_eq!(limits[..2], ["registrations 5 0", "individualEnrollments 0 1"]);
    assert_eq!(w.outcome("dev", &w.token("dev", &key(1))).await, "assigned", "it stays");
    let above = QuotaChange { linked_hubs: Some(1_000_000_001), ..QuotaChange::default() };
    let refused = w.set(above).await.unwrap_err();
    assert_eq!(refused.to_string(), "quota: the limit of linkedHubs is above 1000000000");
}

#[tokio::test]
async fn s_30_groups_are_limited_by_their_kind() {
    let w = World::new().await;
    w.set(QuotaChange { enrollment_groups: Some(1), ..QuotaChange::default() }).await.unwrap();
    w.put_group("g", &keyed(2)).await;
    let draft = group("h", &keyed(3));
    let put = w.service.put_group(&call(), &w.dps, &draft, &IfMatch::Absent).await;
    assert_eq!(reached(put.map(drop)), ("enrollment groups of this kind", 1));
    let x509 = serde_json::json!({"attestation": {"type": "x509", "x509": {
        "signingCertificates": {"primary": {"certificate": self_signed("root")}}}}});
    w.put_group("x", &x509).await;
}

#[tokio::test]
async fn s_30_linked_hubs_are_limited_and_a_link_that_is_there_can_be_changed() {
    let w = World::new().await;
    let hub = ServiceName::parse("hub3").unwrap();
    let hub = w.service.put_hub(&call(), &hub, HubRequest::default()).await.unwrap().host;
    w.set(QuotaChange { linked_hubs: Some(2), ..QuotaChange::default() }).await.unwrap();
    assert_eq!(reached(w.link(&hub).await), ("linked hubs", 2));
    w.set(QuotaChange { linked_hubs: Some(1), ..QuotaChange::default() }).await.unwrap();
    w.link(&HostName::parse("hub1.localhost").unwrap()).await.unwrap();
    w.set(QuotaChange { linked_hubs: Some(3), ..QuotaChange::default() }).await.unwrap();
    w.link(&hub).await.unwrap();
}

#[tokio::test]
async fn c_08_there_are_25_ca_certificates_unless_the_operator_says_otherwise() {
    let w = World::new().await;
    for number in 0..25 {
        w.upload(&format!("ca-{number}")).await.unwrap();
    }
    assert_eq!(reached(w.upload("one-more").await), ("CA certificates", 25));
    w.set(QuotaChange { ca_certificates: Some(26), ..QuotaChange::default() }).await.unwrap();
    w.upload("one-more").await.unwrap();
    assert_eq!(reached(w.upload("yet-another").await), ("CA certificates", 26));
}
