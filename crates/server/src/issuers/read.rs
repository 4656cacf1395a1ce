//! Reading the file of issuers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use attestation::bearer::{Grant, Issuer, KeySet, Role, Scope};
use gateway::issuers::Location;
use model::ServiceName;
use rustls::ClientConfig;
use serde::Deserialize;

use crate::webhooks;

/// How far an issuer's clock may be off, in seconds: unless said, and at most (RFC 7519 §4.1.4, "a
/// few minutes").
const CLOCK_SKEW_S: u64 = 60;
const CLOCK_SKEW_S_MAX: u64 = 300;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    issuers: Vec<FileIssuer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileIssuer {
    issuer: String,
    audiences: Vec<String>,
    jwks_file: Option<PathBuf>,
    jwks_uri: Option<String>,
    ca_file: Option<PathBuf>,
    clock_skew_s: Option<u64>,
    #[serde(default)]
    roles: Vec<FileRole>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRole {
    claim: String,
    values: Vec<String>,
    role: FileRoleName,
    at: Option<Vec<String>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FileRoleName {
    Reader,
    Contributor,
}

/// An issuer, and where its keys are.
pub(super) struct Read {
    pub(super) issuer: Issuer,
    pub(super) keys: Keys,
}

/// Where an issuer's keys are.
pub(super) enum Keys {
    /// They were read.
    File(KeySet),
    /// It is asked for them, and believed by the CA of the file, else by those of the machine.
    Asked { location: Location, ca: Option<PathBuf>, tls: Arc<ClientConfig> },
}

/// Reads the file, and tells which files it names; what they are relative to is its folder.
pub(super) fn read(file: &Path) -> (Vec<PathBuf>, Result<Vec<Read>, Vec<String>>) {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return (Vec::new(), Err(vec![format!("{}: {error}", file.display())])),
    };
    let File { issuers } = match toml::from_str(&text) {
        Ok(read) => read,
        Err(error) => {
            let error = error.to_string();
            return (Vec::new(), Err(vec![format!("{}: {}", file.display(), error.trim_end())]));
        }
    };
    let mut reader = Reader {
        folder: file.parent().unwrap_or_else(|| Path::new("")),
        named: Vec::new(),
        faults: Vec::new(),
    };
    let mut names: Vec<&str> = issuers.iter().map(|one| one.issuer.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair.first() == pair.last()) {
        reader.faults.push("issuers: one is there twice".to_owned());
    }
    let read: Vec<Read> = issuers
        .into_iter()
        .enumerate()
        .filter_map(|(at, one)| reader.issuer(&format!("issuers[{at}]"), one))
        .collect();
    let Reader { named, mut faults, .. } = reader;
    faults.iter_mut().for_each(|fault| *fault = format!("{}: {fault}", file.display()));
    (named, if faults.is_empty() { Ok(read) } else { Err(faults) })
}

struct Reader<'f> {
    folder: &'f Path,
    named: Vec<PathBuf>,
    faults: Vec<String>,
}

impl Reader<'_> {
    fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    fn file(&mut self, named: &Path) -> PathBuf {
        let file = self.folder.join(named);
        self.named.push(file.clone());
        file
    }

    fn issuer(&mut self, at: &str, read: FileIssuer) -> Option<Read> {
        if read.issuer.is_empty() || read.issuer.chars().any(char::is_control) {
            self.fault(format!("{at}.issuer: is the iss of its tokens, to the letter"));
        }
        if read.audiences.is_empty() {
            self.fault(format!(
                "{at}.audiences: is empty; name what the aud of tokens for this server is, or \
                 those for others would be taken"
            ));
        }
        let skew = read.clock_skew_s.unwrap_or(CLOCK_SKEW_S);
        if skew > CLOCK_SKEW_S_MAX {
            self.fault(format!("{at}.clock_skew_s: is over {CLOCK_SKEW_S_MAX}"));
        }
        let keys = self.keys(at, &read);
        let roles = read.roles.into_iter().enumerate();
        let grants = roles.map(|(role, read)| self.grant(&format!("{at}.roles[{role}]"), read));
        let issuer = Issuer {
            issuer: read.issuer,
            audiences: read.audiences,
            clock_skew: Duration::from_secs(skew),
            grants: grants.collect(),
            keys: super::unknown(),
        };
        Some(Read { issuer, keys: keys? })
    }

    fn keys(&mut self, at: &str, read: &FileIssuer) -> Option<Keys> {
        if read.jwks_file.is_some() && (read.jwks_uri.is_some() || read.ca_file.is_some()) {
            self.fault(format!("{at}: jwks_file stands alone, without jwks_uri and ca_file"));
        }
        if let Some(file) = &read.jwks_file {
            let file = self.file(file);
            let text = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()));
            let keys = text.and_then(|text| {
                KeySet::parse(&text).map_err(|error| format!("{} {error}", file.display()))
            });
            return match keys {
                Ok(keys) => Some(Keys::File(keys)),
                Err(fault) => {
                    self.fault(format!("{at}.jwks_file: {fault}"));
                    None
                }
            };
        }
        let (member, location) = match &read.jwks_uri {
            Some(uri) => ("jwks_uri", Location::Keys(uri.clone())),
            None => ("issuer", Location::Discovery(read.issuer.clone())),
        };
        let (Location::Keys(uri) | Location::Discovery(uri)) = &location;
        if !uri.starts_with("https://") {
            self.fault(format!(
                "{at}.{member}: {uri:?} is no https address to ask for its keys; name jwks_file \
                 where there is none"
            ));
        }
        let ca = read.ca_file.as_ref().map(|file| self.file(file));
        match webhooks::client_tls(ca.as_deref()) {
            Ok(tls) => Some(Keys::Asked { location, ca, tls: Arc::new(tls) }),
            Err(fault) => {
                self.fault(format!("{at}.ca_file: {fault}"));
                None
            }
        }
    }

    fn grant(&mut self, at: &str, read: FileRole) -> Grant {
        if read.claim.is_empty() || read.values.is_empty() {
            self.fault(format!("{at}: names no claim, or no values of it"));
        }
        let scopes = read.at.map(|places| {
            if places.is_empty() {
                self.fault(format!("{at}.at: is empty; leave it away for everywhere"));
            }
            places.iter().filter_map(|place| self.scope(at, place)).collect()
        });
        Grant {
            claim: read.claim,
            values: read.values,
            role: match read.role {
                FileRoleName::Reader => Role::Reader,
                FileRoleName::Contributor => Role::Contributor,
            },
            scopes: scopes.unwrap_or_default(),
        }
    }

    fn scope(&mut self, at: &str, place: &str) -> Option<Scope> {
        let named = |name: &str| ServiceName::parse(name).ok();
        let scope = match place.split_once('/') {
            None if place == "dps" => Some(Scope::EveryDps),
            None if place == "hubs" => Some(Scope::EveryHub),
            None if place == "admin" => Some(Scope::Admin),
            Some(("dps", name)) => named(name).map(Scope::Dps),
            Some(("hubs", name)) => named(name).map(Scope::Hub),
            None | Some(_) => None,
        };
        if scope.is_none() {
            self.fault(format!(
                "{at}.at: {place:?} is none of dps, hubs, admin, dps/NAME, hubs/NAME"
            ));
        }
        scope
    }
}
