//! `muster iot dps policy` and `muster iot hub policy`: shared access policies.

use std::fmt::Debug;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::common::{AdminArgs, Yes, confirm};
use crate::Session;
use crate::failure::{Failure, Result};
use crate::locate::{Admin, Kind};
use crate::output::{Column, at, column};
use crate::service::{Call, segment};

/// Keys are shown by `policy show` and `connection-string show`, not in lists.
const COLUMNS: &[Column] = &[column!("Policy", "keyName"), column!("Rights", "rights")];

const FIRST: [&str; 2] = ["keyName", "rights"];

/// Shared access policies of a service; `S` has the options that tell the two kinds apart.
#[derive(Debug, Args)]
pub(crate) struct Policies<S: OfService> {
    #[command(subcommand)]
    verb: Verb<S>,
}

#[derive(Debug, Subcommand)]
enum Verb<S: OfService> {
    /// List the policies and their rights.
    List {
        #[command(flatten)]
        service: S,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show a policy with its keys.
    Show(One<S>),
    /// Create a policy, with keys that are made for it or given.
    Create {
        #[command(flatten)]
        policy: One<S>,
        #[command(flatten)]
        rights: S::Rights,
        #[command(flatten)]
        keys: Keys,
    },
    /// Change a policy's rights or keys; a key that is replaced is refused at once.
    Update {
        #[command(flatten)]
        policy: One<S>,
        #[command(flatten)]
        rights: S::SomeRights,
        #[command(flatten)]
        keys: Keys,
    },
    /// Delete a policy; its keys are refused at once.
    Delete {
        #[command(flatten)]
        policy: One<S>,
        #[command(flatten)]
        yes: Yes,
    },
    /// Replace a policy's key by a new one, or swap its two keys.
    RenewKey {
        #[command(flatten)]
        policy: One<S>,
        /// Which key; the old one is refused at once.
        #[arg(long, visible_aliases = ["rk", "key-type", "kt"], value_enum, ignore_case = true)]
        renew_key: Renewed,
    },
}

#[derive(Debug, Args)]
struct One<S: OfService> {
    #[command(flatten)]
    name: S::PolicyName,
    #[command(flatten)]
    service: S,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Args)]
struct Keys {
    /// Primary key, base64; "" has it made anew.
    #[arg(long, visible_alias = "pk", value_name = "KEY")]
    primary_key: Option<String>,
    /// Secondary key, base64; "" has it made anew.
    #[arg(long, visible_alias = "sk", value_name = "KEY")]
    secondary_key: Option<String>,
}

/// Which keys are renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Renewed {
    /// A new first key.
    Primary,
    /// A new second key.
    Secondary,
    /// Each in the other's place.
    Swap,
}

impl Renewed {
    const fn wire(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Swap => "swap",
        }
    }
}

/// The option that names a service, and how `az` spells the options of its policies.
pub(crate) trait OfService: Args + Debug {
    /// What kind of service it names.
    const KIND: Kind;
    /// The option that names a policy.
    type PolicyName: Args + Debug + AsRef<str>;
    /// The option of a new policy's rights.
    type Rights: Args + Debug + Words;
    /// The option of a policy's new rights.
    type SomeRights: Args + Debug + Words;
    /// The name, if one is given.
    fn name(&self) -> Option<&str>;
}

/// Rights as the service spells them.
pub(crate) trait Words {
    /// Joined by commas; none where none were given.
    fn words(&self) -> Option<String>;
}

/// `--dps-name`.
#[derive(Debug, Args)]
pub(crate) struct DpsName {
    /// Name of the provisioning service; may be left out where there is only one.
    #[arg(long, short = 'n', value_name = "NAME")]
    dps_name: Option<String>,
}

/// `--policy-name` of a provisioning service's policy.
#[derive(Debug, Args)]
pub(crate) struct DpsPolicyName {
    /// Name of the policy.
    #[arg(long, visible_aliases = ["pn", "access-policy-name"], value_name = "POLICY")]
    policy_name: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum DpsRight {
    /// Read and write the service's own settings.
    ServiceConfig,
    /// Read enrollments.
    EnrollmentRead,
    /// Read and write enrollments.
    EnrollmentWrite,
    /// Read and delete registration records, as with RegistrationStatusWrite.
    DeviceConnect,
    /// Read registration records.
    RegistrationStatusRead,
    /// Read and delete registration records.
    RegistrationStatusWrite,
}

/// `--rights` of a provisioning service's new policy.
#[derive(Debug, Args)]
pub(crate) struct DpsRights {
    /// What a bearer may do, one or several.
    #[arg(long, short = 'r', required = true, num_args = 1.., value_enum, ignore_case = true)]
    rights: Vec<DpsRight>,
}

/// `--rights` of a provisioning service's policy that is there.
#[derive(Debug, Args)]
pub(crate) struct SomeDpsRights {
    /// What a bearer may do from then on, one or several.
    #[arg(long, short = 'r', num_args = 1.., value_enum, ignore_case = true)]
    rights: Vec<DpsRight>,
}

/// `--hub-name`.
#[derive(Debug, Args)]
pub(crate) struct HubName {
    /// Name of the hub; may be left out where there is only one.
    #[arg(long, value_name = "NAME")]
    hub_name: Option<String>,
}

/// `--name` of a hub's policy.
#[derive(Debug, Args)]
pub(crate) struct HubPolicyName {
    /// Name of the policy.
    #[arg(long = "name", visible_aliases = ["policy-name", "pn"], short = 'n', value_name = "POLICY")]
    name: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum HubRight {
    /// Read identities.
    RegistryRead,
    /// Read and write identities.
    RegistryWrite,
    /// Twins, methods, commands, telemetry.
    ServiceConnect,
    /// The device side, as any device.
    DeviceConnect,
}

/// `--permissions` of a hub's new policy.
#[derive(Debug, Args)]
pub(crate) struct HubRights {
    /// What a bearer may do, one or several.
    #[arg(long, required = true, num_args = 1.., value_enum, ignore_case = true)]
    permissions: Vec<HubRight>,
}

/// `--permissions` of a hub's policy that is there.
#[derive(Debug, Args)]
pub(crate) struct SomeHubRights {
    /// What a bearer may do from then on, one or several.
    #[arg(long, num_args = 1.., value_enum, ignore_case = true)]
    permissions: Vec<HubRight>,
}

impl OfService for DpsName {
    const KIND: Kind = Kind::Dps;
    type PolicyName = DpsPolicyName;
    type Rights = DpsRights;
    type SomeRights = SomeDpsRights;
    fn name(&self) -> Option<&str> {
        self.dps_name.as_deref()
    }
}

impl OfService for HubName {
    const KIND: Kind = Kind::Hub;
    type PolicyName = HubPolicyName;
    type Rights = HubRights;
    type SomeRights = SomeHubRights;
    fn name(&self) -> Option<&str> {
        self.hub_name.as_deref()
    }
}

impl AsRef<str> for DpsPolicyName {
    fn as_ref(&self) -> &str {
        &self.policy_name
    }
}
impl AsRef<str> for HubPolicyName {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl Words for DpsRights {
    fn words(&self) -> Option<String> {
        joined(&self.rights)
    }
}
impl Words for SomeDpsRights {
    fn words(&self) -> Option<String> {
        joined(&self.rights)
    }
}
impl Words for HubRights {
    fn words(&self) -> Option<String> {
        joined(&self.permissions)
    }
}
impl Words for SomeHubRights {
    fn words(&self) -> Option<String> {
        joined(&self.permissions)
    }
}

fn joined<R: ValueEnum>(rights: &[R]) -> Option<String> {
    let words = rights.iter().filter_map(ValueEnum::to_possible_value);
    let words: Vec<String> = words.map(|word| word.get_name().to_owned()).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

impl<S: OfService> Policies<S> {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::List { service, admin } => {
                let admin = admin.find(session)?;
                let found = admin.resource(S::KIND, service.name()).await?;
                let policies = admin.policies(S::KIND, &found.name).await?;
                session.output.list(COLUMNS, &policies)
            }
            Verb::Show(policy) => {
                let found = policy.find(session).await?;
                let policies = found.admin.policies(S::KIND, &found.service).await?;
                session.output.thing(pick(&policies, policy.name.as_ref())?, &FIRST)
            }
            Verb::Create { policy, rights, keys } => {
                let found = policy.find(session).await?;
                let doing = format!("create policy '{}'", policy.name.as_ref());
                let call = Call::put(found.path, keys.body(rights.words()).into(), doing);
                let made = found.admin.service.call(call).await?;
                session.output.thing(&made, &FIRST)
            }
            Verb::Update { policy, rights, keys } => {
                let body = keys.body(rights.words());
                if body.is_empty() {
                    return Err(Failure::usage("nothing to update")
                        .hint("give new rights, --primary-key or --secondary-key"));
                }
                let found = policy.find(session).await?;
                let doing = format!("update policy '{}'", policy.name.as_ref());
                let call = Call::put(found.path, body.into(), doing).if_match(None);
                let written = found.admin.service.call(call).await.map_err(missing::<S>)?;
                session.output.thing(&written, &FIRST)
            }
            Verb::Delete { policy, yes } => {
                let found = policy.find(session).await?;
                let name = policy.name.as_ref();
                confirm(&format!("Delete policy '{name}' and refuse its keys?"), yes)?;
                let before = found.admin.policies(S::KIND, &found.service).await?;
                let call = Call::delete(found.path, format!("delete policy '{name}'"));
                found.admin.service.call(call).await.map_err(missing::<S>)?;
                let lost = lost(&before, name);
                if !lost.is_empty() {
                    eprintln!(
                        "note: no policy of '{}' has {} any more; `muster iot {} policy create` \
                         makes one that has",
                        found.service,
                        lost.join(", "),
                        S::KIND.word()
                    );
                }
                Ok(())
            }
            Verb::RenewKey { policy, renew_key } => {
                let found = policy.find(session).await?;
                let doing = format!("renew the keys of policy '{}'", policy.name.as_ref());
                let call = Call::post(format!("{}/renew", found.path), doing)
                    .body(json!({"renewKey": renew_key.wire()}));
                let renewed = found.admin.service.call(call).await.map_err(missing::<S>)?;
                session.output.thing(&renewed, &FIRST)
            }
        }
    }
}

/// The rights that a policy alone had.
fn lost<'p>(before: &'p [Value], name: &str) -> Vec<&'p str> {
    let rights = |policy: &'p Value| {
        at(policy, &["rights"]).as_str().unwrap_or_default().split(',').map(str::trim)
    };
    let (gone, left): (Vec<_>, Vec<_>) = before.iter().partition(|policy| {
        at(policy, &["keyName"]).as_str().is_some_and(|known| known.eq_ignore_ascii_case(name))
    });
    let left: Vec<&str> = left.into_iter().flat_map(rights).collect();
    let gone = gone.into_iter().flat_map(rights).filter(|right| !right.is_empty());
    gone.filter(|right| !left.contains(right)).collect()
}

/// Where a policy is.
struct Found {
    admin: Admin,
    service: String,
    path: String,
}

impl<S: OfService> One<S> {
    async fn find(&self, session: &Session) -> Result<Found> {
        let admin = self.admin.find(session)?;
        let service = admin.resource(S::KIND, self.service.name()).await?.name;
        let (kind, policy) = (S::KIND.path(), segment(self.name.as_ref()));
        let path = format!("{kind}/{}/policies/{policy}", segment(&service));
        Ok(Found { admin, service, path })
    }
}

impl Keys {
    fn body(self, rights: Option<String>) -> Map<String, Value> {
        let members = [
            ("rights", rights),
            ("primaryKey", self.primary_key),
            ("secondaryKey", self.secondary_key),
        ];
        let given = |(member, given): (&str, Option<String>)| {
            given.map(|given| (member.to_owned(), Value::from(given)))
        };
        members.into_iter().filter_map(given).collect()
    }
}

fn missing<S: OfService>(failure: Failure) -> Failure {
    let word = S::KIND.word();
    failure.hint_not_found(format!("`muster iot {word} policy list` shows what there is"))
}

/// The policy of that name.
pub(crate) fn pick<'p>(policies: &'p [Value], name: &str) -> Result<&'p Value> {
    let is_meant = |policy: &&Value| {
        at(policy, &["keyName"]).as_str().is_some_and(|known| known.eq_ignore_ascii_case(name))
    };
    policies.iter().find(is_meant).ok_or_else(|| {
        let names: Vec<&str> =
            policies.iter().filter_map(|policy| at(policy, &["keyName"]).as_str()).collect();
        Failure::not_found(format!("there is no policy '{name}'"))
            .hint(format!("there are: {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_that_go_with_the_last_policy_are_told() {
        let policy = |name: &str, rights: &str| json!({"keyName": name, "rights": rights});
        let before = [
            policy("owner", "EnrollmentRead, EnrollmentWrite"),
            policy("reader", "EnrollmentRead"),
        ];
        assert_eq!(lost(&before, "OWNER"), ["EnrollmentWrite"]);
        assert!(lost(&before, "reader").is_empty() && lost(&before, "nobody").is_empty());
    }
}
