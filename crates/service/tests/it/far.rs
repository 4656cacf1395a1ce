//! Hubs that live elsewhere, in memory, which can be made to fail or to wait at each call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use attestation::SymmetricKey;
use model::{DeviceId, Sha256};
use provisioning::instance::RemoteHub;
use provisioning::remote::{
    Call, Credential, Disabled, Found, FoundTwin, Miss, New, Shows, TwinContent,
};
use serde_json::{Map, Value, json};
use service::{Connection, LinkRequest, Registries};
use tokio::sync::{Notify, Semaphore};

use crate::world::{World, call, host, key};

/// What a connection to a hub elsewhere does at one of its calls.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It answers so, and does nothing.
    Miss(Miss),
    /// It does what is asked, and the answer is lost.
    Lost,
    /// It waits before it does anything.
    Held,
    /// It does what is asked, and waits with the answer.
    HeldAfter,
}

/// The hubs.
#[derive(Default)]
pub struct Far {
    /// By authority and device.
    pub identities: Mutex<BTreeMap<(String, String), Found>>,
    /// The key that they believe; any where there is none.
    pub key: Mutex<Option<SymmetricKey>>,
    versions: Mutex<u64>,
}

/// One server's connections to them.
pub struct Line {
    pub far: Arc<Far>,
    /// Fates by the number of the call, from 0.
    pub fates: Mutex<BTreeMap<usize, Fate>>,
    /// What happens at every call that has no fate of its own.
    pub always: Mutex<Option<Miss>>,
    /// What is told to a call in these words, such as `remove far.example.com`.
    refused: Mutex<BTreeMap<String, Miss>>,
    /// The devices that calls were about, by their order.
    pub asked: Mutex<Vec<String>>,
    pub calls: Mutex<Vec<String>>,
    /// A call has begun to wait.
    pub waits: Notify,
    pub gate: Semaphore,
}

impl Line {
    pub fn new(far: &Arc<Far>) -> Arc<Self> {
        Arc::new(Self {
            far: Arc::clone(far),
            fates: Mutex::default(),
            always: Mutex::default(),
            refused: Mutex::default(),
            asked: Mutex::default(),
            calls: Mutex::default(),
            waits: Notify::new(),
            gate: Semaphore::new(0),
        })
    }

    pub fn with(far: &Arc<Far>, at: usize, fate: Fate) -> Arc<Self> {
        let line = Self::new(far);
        line.fates.lock().unwrap().insert(at, fate);
        line
    }

    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    pub fn refuse(&self, call: &str, miss: Miss) {
        self.refused.lock().unwrap().insert(call.to_owned(), miss);
    }

    async fn held(&self) {
        self.waits.notify_one();
        self.gate.acquire().await.unwrap().forget();
    }
}

impl Far {
    fn etag(&self) -> String {
        let mut versions = self.versions.lock().unwrap();
        *versions += 1;
        versions.to_string()
    }

    pub fn found(&self, hub: &str, device: &str) -> Option<Found> {
        let identities = self.identities.lock().unwrap();
        identities.get(&(hub.to_owned(), device.to_owned())).cloned()
    }

    /// The hub's operator disables an identity.
    pub fn disable(&self, hub: &str, device: &str, reason: &str) {
        let etag = self.etag();
        let mut identities = self.identities.lock().unwrap();
        let there = identities.get_mut(&(hub.to_owned(), device.to_owned())).unwrap();
        (there.disabled, there.etag) = (disabled(reason), etag);
    }

    pub fn count(&self) -> usize {
        self.identities.lock().unwrap().len()
    }

    /// An identity that an operator made, with a key of its own.
    pub fn put(&self, hub: &str, device: &str, seed: u8, twin: &Value) {
        let own = key(seed);
        let section = |name: &str| twin[name].as_object().cloned().unwrap_or_default();
        let (tags, desired, reported) = (section("tags"), section("desired"), section("reported"));
        let new = New {
            credential: Credential::Sas(&own, &own),
            iot_edge: false,
            disabled: None,
            twin: TwinContent { tags: &tags, desired: &desired, reported: Some(&reported) },
        };
        let found = self.made(&new);
        self.identities.lock().unwrap().insert((hub.to_owned(), device.to_owned()), found);
    }

    fn made(&self, new: &New<'_>) -> Found {
        let twin = FoundTwin {
            etag: self.etag(),
            tags: new.twin.tags.clone(),
            desired: new.twin.desired.clone(),
            reported: new.twin.reported.cloned().unwrap_or_default(),
        };
        let (shows, authentication) = shown(new.credential);
        let mut document = Map::new();
        document.insert("authentication".to_owned(), authentication);
        let (disabled, iot_edge) = (new.disabled.cloned(), new.iot_edge);
        Found { etag: self.etag(), document, shows, disabled, iot_edge, twin }
    }

    fn carry_out(&self, hub: &str, device: &str, call: &Call<'_>) -> Result<Option<Found>, Miss> {
        let mut identities = self.identities.lock().unwrap();
        let at = (hub.to_owned(), device.to_owned());
        let there = identities.get(&at).cloned();
        match (call, there) {
            (Call::Read, there) => return Ok(there),
            (Call::Create(_), Some(_)) => return Err(Miss::Exists),
            (Call::Create(new), None) => {
                identities.insert(at, self.made(new));
            }
            (_, None) => return Err(Miss::Absent),
            (Call::Update { found, credential, iot_edge, disabled }, Some(there)) => {
                if there.etag != found.etag {
                    return Err(Miss::Changed);
                }
                let (shows, authentication) = shown(*credential);
                let mut fresh = Found { etag: self.etag(), shows, iot_edge: *iot_edge, ..there };
                fresh.disabled = disabled.cloned();
                fresh.document.insert("authentication".to_owned(), authentication);
                identities.insert(at, fresh);
            }
            (Call::Restore { found, etag, disabled }, Some(there)) => {
                if there.etag != *etag {
                    return Err(Miss::Changed);
                }
                let twin = there.twin;
                let shows = told(&found.document["authentication"]);
                let mut fresh = Found { etag: self.etag(), twin, shows, ..(*found).clone() };
                fresh.disabled = disabled.cloned();
                identities.insert(at, fresh);
            }
            (Call::SetTwin { tags, desired, etag }, Some(mut there)) => {
                if there.twin.etag != *etag {
                    return Err(Miss::Changed);
                }
                there.twin.tags = (*tags).clone();
                there.twin.desired = (*desired).clone();
                there.twin.etag = self.etag();
                identities.insert(at, there);
            }
            (Call::Remove { etag }, Some(there)) => {
                if there.etag != *etag {
                    return Err(Miss::Changed);
                }
                identities.remove(&at);
            }
        }
        Ok(None)
    }
}

fn shown(credential: Credential<'_>) -> (Shows, Value) {
    match credential {
        Credential::Sas(a, b) => {
            (Shows::Sas(a.clone(), b.clone()), json!({"sas": [a.to_base64(), b.to_base64()]}))
        }
        Credential::SelfSigned(thumbprint) => (
            Shows::Certificates(*thumbprint, *thumbprint),
            json!({"selfSigned": thumbprint.to_string()}),
        ),
    }
}

fn told(authentication: &Value) -> Shows {
    match authentication["selfSigned"].as_str() {
        Some(thumbprint) => {
            let thumbprint = Sha256::parse(thumbprint).unwrap();
            Shows::Certificates(thumbprint, thumbprint)
        }
        None => {
            let key = |at: usize| {
                SymmetricKey::from_base64(authentication["sas"][at].as_str().unwrap()).unwrap()
            };
            Shows::Sas(key(0), key(1))
        }
    }
}

#[async_trait]
impl Registries for Line {
    async fn call(
        &self,
        hub: &RemoteHub,
        device_id: &DeviceId,
        call: &Call<'_>,
    ) -> Result<Option<Found>, Miss> {
        let word = match call {
            Call::Read => "read",
            Call::Create(_) => "create",
            Call::Update { .. } => "update",
            Call::Restore { .. } => "restore",
            Call::SetTwin { .. } => "twin",
            Call::Remove { .. } => "remove",
        };
        let words = format!("{word} {}", hub.authority);
        let number = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(words.clone());
            calls.len() - 1
        };
        self.asked.lock().unwrap().push(device_id.to_string());
        let fate = self.fates.lock().unwrap().get(&number).cloned();
        if matches!(fate, Some(Fate::Held)) {
            self.held().await;
        }
        if let Some(Fate::Miss(miss)) = fate {
            return Err(miss);
        }
        let always = self.always.lock().unwrap().clone();
        if let Some(miss) = always {
            return Err(miss);
        }
        let refused = self.refused.lock().unwrap().get(&words).cloned();
        if let Some(miss) = refused {
            return Err(miss);
        }
        let believed = self.far.key.lock().unwrap().clone();
        if believed.is_some_and(|believed| !believed.same_as(&hub.key)) {
            return Err(Miss::Unauthorized("401 IotHubUnauthorizedAccess".to_owned()));
        }
        let done = self.far.carry_out(&hub.authority, device_id.as_str(), call);
        match fate {
            Some(Fate::Lost) => return Err(Miss::Unreachable("the answer is lost".to_owned())),
            Some(Fate::HeldAfter) => self.held().await,
            Some(Fate::Held | Fate::Miss(_)) | None => {}
        }
        done
    }
}

pub fn disabled(reason: &str) -> Option<Disabled> {
    Some(Disabled { reason: Some(reason.to_owned()) })
}

/// Links a hub elsewhere.
pub async fn link(world: &World, hub: &str, seed: u8) {
    let connection = Connection {
        host: host(hub),
        authority: hub.to_owned(),
        policy: model::PolicyName::parse("registryReadWrite").unwrap(),
        key: Some(key(seed)),
    };
    let request = LinkRequest { connection: Some(connection), ..LinkRequest::default() };
    world.service.put_link(&call(), &world.dps, &host(hub), &request).await.unwrap();
}
