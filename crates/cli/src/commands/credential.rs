//! `muster iot dps credential`: what certificates are issued by while devices register.
//!
//! Azure's are `az iot adr ns credential` and `az iot adr ns policy`; the options are theirs.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::common::{DpsOfAdmin, Yes, confirm};
use crate::Session;
use crate::failure::{Failure, Result};
use crate::locate::{Admin, Kind, values};
use crate::output::{Column, at, cell, column};
use crate::service::{Call, segment};

const COLUMNS: &[Column] = &[
    column!("Policy", "name"),
    column!("Days", "properties"."validityDays"),
    column!("Issuer", "properties"."issuer"."subject"),
    column!("Issuer expires", "properties"."issuer"."expiry"),
    column!("Last revoked", "properties"."revoked"),
];

const FIRST: [&str; 4] =
    ["name", "properties.validityDays", "properties.issuer.subject", "properties.issuer.expiry"];

/// What certificates are issued by while devices register.
#[derive(Debug, Args)]
pub(crate) struct Credential {
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Show the root that issuing CAs are made below.
    Show {
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
    /// Policies: what is issued, and by which CA.
    Policy(Policy),
}

#[derive(Debug, Args)]
struct Policy {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a policy, with an issuing CA that is made for it or given.
    Create {
        #[command(flatten)]
        policy: One,
        #[command(flatten)]
        says: Says,
        #[command(flatten)]
        issuer: Issuer,
    },
    /// List the policies.
    List {
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
    /// Show a policy, its CA's certificates included.
    Show(One),
    /// Change what a policy issues; certificates that are out stay as they are.
    Update {
        #[command(flatten)]
        policy: One,
        #[command(flatten)]
        says: Says,
        #[command(flatten)]
        etag: Etag,
    },
    /// Delete a policy; its devices are disconnected, and their certificates refused at once.
    Delete {
        #[command(flatten)]
        policy: One,
        #[command(flatten)]
        etag: Etag,
        #[command(flatten)]
        yes: Yes,
    },
    /// Replace a policy's issuing CA; certificates that are out are good until they end.
    RenewIssuer {
        #[command(flatten)]
        policy: One,
        #[command(flatten)]
        issuer: Issuer,
        #[command(flatten)]
        etag: Etag,
    },
    /// Revoke a policy's issuing CA; its devices are disconnected, their certificates refused.
    RevokeIssuer {
        #[command(flatten)]
        policy: One,
        #[command(flatten)]
        etag: Etag,
        #[command(flatten)]
        yes: Yes,
    },
}

#[derive(Debug, Args)]
struct One {
    /// Name of the policy.
    #[arg(long = "policy-name", visible_aliases = ["name", "pn"], short = 'n', value_name = "POLICY")]
    name: String,
    #[command(flatten)]
    dps: DpsOfAdmin,
}

#[derive(Debug, Args)]
struct Etag {
    /// Only if the policy still has this etag.
    #[arg(long, short = 'e')]
    etag: Option<String>,
}

#[derive(Debug, Args)]
struct Says {
    /// Days that a certificate is valid, 1 to 90; 30 where a new policy is told nothing.
    #[arg(long, visible_aliases = ["cvd", "validity-days"], value_name = "DAYS")]
    cert_validity_days: Option<u32>,
    /// Kinds of keys that certificates are issued for; all where a new policy is told nothing.
    #[arg(long, num_args = 1.., value_enum, ignore_case = true, value_name = "KIND")]
    key_types: Vec<KeyType>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyType {
    /// ECDSA on NIST P-384.
    #[value(name = "P-384", aliases = ["P384", "ECC"])]
    P384,
    /// ECDSA on NIST P-256.
    #[value(name = "P-256", alias = "P256")]
    P256,
    /// RSA of 2048 to 4096 bits.
    #[value(name = "RSA")]
    Rsa,
}

impl KeyType {
    const fn wire(self) -> &'static str {
        match self {
            Self::P384 => "P-384",
            Self::P256 => "P-256",
            Self::Rsa => "RSA",
        }
    }
}

#[derive(Debug, Args)]
struct Issuer {
    /// Kind of key of a CA that is made, P-384 or P-256.
    #[arg(
        long,
        visible_alias = "ckt",
        value_enum,
        ignore_case = true,
        value_name = "KIND",
        conflicts_with = "issuer_path"
    )]
    cert_key_type: Option<KeyType>,
    /// File of your own CA's certificates in PEM: the issuing one first, the root last.
    #[arg(long, value_name = "FILE", requires = "issuer_key")]
    issuer_path: Option<PathBuf>,
    /// File of its private key in PEM, not encrypted; the server keeps it.
    #[arg(long, value_name = "FILE", requires = "issuer_path")]
    issuer_key: Option<PathBuf>,
}

impl Credential {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.noun {
            Noun::Show { dps } => {
                let (admin, dps) = dps.find(session).await?;
                let doing = format!("read the root of '{dps}'");
                let found = admin.service.call(Call::get(root(&dps), doing)).await?;
                if at(&found, &["properties", "root"]).is_null() {
                    eprintln!(
                        "note: there is no root yet; the first policy without a CA of your own \
                         makes it"
                    );
                }
                session.output.thing(&found, &["name", "properties.root.subject"])
            }
            Noun::Policy(policy) => policy.run(session).await,
        }
    }
}

/// The names of a provisioning service's credential policies.
pub(super) async fn names(session: &Session, dps: Option<&str>) -> Result<Vec<String>> {
    let admin = Admin::find(session, None)?;
    let dps = admin.resource(Kind::Dps, dps).await?.name;
    let doing = format!("list the credential policies of '{dps}'");
    let list = admin.service.call(Call::get(format!("{}/policies", root(&dps)), doing)).await?;
    Ok(values(list).iter().map(|policy| cell(at(policy, &["name"]))).collect())
}

impl Policy {
    async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::Create { policy, says, issuer } => {
                let mut properties = says.properties();
                properties.extend(issuer.body()?.map(|issuer| ("issuer".to_owned(), issuer)));
                let found = policy.find(session).await?;
                let doing = format!("create credential policy '{}'", policy.name);
                let call = Call::put(found.path, json!({"properties": properties}), doing);
                let made = found.admin.service.call(call).await?;
                show(session, made)
            }
            Verb::List { dps } => {
                let (admin, dps) = dps.find(session).await?;
                let doing = format!("list the credential policies of '{dps}'");
                let call = Call::get(format!("{}/policies", root(&dps)), doing);
                session.output.list(COLUMNS, &values(admin.service.call(call).await?))
            }
            Verb::Show(policy) => {
                let found = policy.find(session).await?;
                let doing = format!("read credential policy '{}'", policy.name);
                let call = Call::get(found.path, doing);
                let shown = found.admin.service.call(call).await.map_err(missing)?;
                show(session, shown)
            }
            Verb::Update { policy, says, etag } => {
                let properties = says.properties();
                if properties.is_empty() {
                    return Err(Failure::usage("nothing to update")
                        .hint("give --cert-validity-days or --key-types"));
                }
                let found = policy.find(session).await?;
                let doing = format!("update credential policy '{}'", policy.name);
                let call = Call::put(found.path, json!({"properties": properties}), doing);
                let call = call.if_match(etag.etag.as_deref());
                let written = found.admin.service.call(call).await.map_err(missing)?;
                show(session, written)
            }
            Verb::Delete { policy, etag, yes } => {
                let found = policy.find(session).await?;
                let name = &policy.name;
                confirm(&format!("Delete '{name}' and refuse all that it has issued?"), yes)?;
                let call = Call::delete(found.path, format!("delete credential policy '{name}'"));
                let call = call.if_match(etag.etag.as_deref());
                found.admin.service.call(call).await.map_err(missing).map(drop)
            }
            Verb::RenewIssuer { policy, issuer, etag } => {
                let body = issuer.body()?.unwrap_or_else(|| json!({}));
                let found = policy.find(session).await?;
                let doing = format!("renew the issuer of credential policy '{}'", policy.name);
                let call = Call::post(format!("{}/renewIssuer", found.path), doing).body(body);
                let call = call.if_match(etag.etag.as_deref());
                let renewed = found.admin.service.call(call).await.map_err(missing)?;
                show(session, renewed)
            }
            Verb::RevokeIssuer { policy, etag, yes } => {
                let found = policy.find(session).await?;
                let name = &policy.name;
                confirm(&format!("Revoke '{name}' and refuse all that it has issued?"), yes)?;
                let doing = format!("revoke the issuer of credential policy '{name}'");
                let call = Call::post(format!("{}/revokeIssuer", found.path), doing);
                let call = call.if_match(etag.etag.as_deref());
                let revoked = found.admin.service.call(call).await.map_err(missing)?;
                if at(&revoked, &["properties", "issuer"]).is_null() {
                    eprintln!(
                        "note: nothing is issued by '{name}' until it has a CA again: `muster iot \
                         dps credential policy renew-issuer`"
                    );
                }
                show(session, revoked)
            }
        }
    }
}

/// Shows a policy. The chain has the issuer's certificate in front: a person sees it once.
fn show(session: &mut Session, mut policy: Value) -> Result {
    let issuer = policy.pointer_mut("/properties/issuer").and_then(Value::as_object_mut);
    if session.output.tells()
        && let Some(issuer) = issuer
        && issuer.contains_key("chain")
    {
        issuer.remove("certificate");
    }
    session.output.thing(&policy, &FIRST)
}

/// Where a policy is.
struct Found {
    admin: Admin,
    path: String,
}

impl One {
    async fn find(&self, session: &Session) -> Result<Found> {
        let (admin, dps) = self.dps.find(session).await?;
        let path = format!("{}/policies/{}", root(&dps), segment(&self.name));
        Ok(Found { admin, path })
    }
}

impl Says {
    fn properties(&self) -> Map<String, Value> {
        let mut properties = Map::new();
        if let Some(days) = self.cert_validity_days {
            properties.insert("validityDays".into(), days.into());
        }
        if !self.key_types.is_empty() {
            let kinds: Vec<&str> = self.key_types.iter().map(|kind| kind.wire()).collect();
            properties.insert("keyTypes".into(), kinds.into());
        }
        properties
    }
}

impl Issuer {
    /// None where nothing is said.
    fn body(&self) -> Result<Option<Value>> {
        Ok(match (&self.issuer_path, &self.issuer_key, self.cert_key_type) {
            (Some(chain), Some(key), _) => {
                Some(json!({"certificate": text(chain)?, "privateKey": text(key)?}))
            }
            (_, _, Some(kind)) => Some(json!({"keyType": kind.wire()})),
            (_, _, None) => None,
        })
    }
}

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))
}

fn root(dps: &str) -> String {
    format!("/muster/v1/dps/{}/credential", segment(dps))
}

fn missing(failure: Failure) -> Failure {
    failure.hint_not_found("`muster iot dps credential policy list` shows what there is")
}
