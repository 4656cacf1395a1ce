//! Changes of a service's shared access policies.

use std::fmt;

use model::{PolicyName, limits::ACCESS_POLICIES_MAX};

use super::Policy;
use crate::SymmetricKey;

/// What a change says of one key.
#[derive(Clone, Debug, Default)]
pub enum KeyWish {
    /// It stays; where there is none yet, it is made.
    #[default]
    Keep,
    /// It is made anew.
    Generate,
    /// It is this one.
    Use(SymmetricKey),
}

/// What a change says of a policy; what it does not name stays.
#[derive(Clone, Debug)]
pub struct PolicyChange<R> {
    /// What a bearer may do from then on.
    pub rights: Option<Vec<R>>,
    /// The first key.
    pub primary: KeyWish,
    /// The second key.
    pub secondary: KeyWish,
}

/// Which keys of a policy are renewed. Source: `az iot hub policy renew-key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The first is made anew.
    Primary,
    /// The second is made anew.
    Secondary,
    /// Each takes the other's place.
    Swap,
}

/// Two keys that nobody knows yet: a change takes of them what it needs.
#[derive(Clone, Debug)]
pub struct FreshKeys {
    /// Would be the first.
    pub primary: SymmetricKey,
    /// Would be the second.
    pub secondary: SymmetricKey,
}

/// Why a change of policies is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A policy of this name is there already.
    Exists,
    /// There is no policy of this name.
    Missing,
    /// The policy would grant nothing.
    NoRights,
    /// The service has as many policies as it may.
    TooMany,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("the policy exists already"),
            Self::Missing => f.write_str("there is no such policy"),
            Self::NoRights => f.write_str("rights: a policy without rights is of no use; name one"),
            Self::TooMany => write!(f, "there are {ACCESS_POLICIES_MAX} policies already"),
        }
    }
}

impl std::error::Error for Refused {}

/// Adds a policy, at the end.
///
/// # Errors
/// [`Refused`], but for `Missing`.
pub fn create<R: Clone + PartialEq>(
    policies: &mut Vec<Policy<R>>,
    name: &PolicyName,
    change: &PolicyChange<R>,
    fresh: FreshKeys,
) -> Result<(), Refused> {
    if policies.iter().any(|policy| policy.name == *name) {
        return Err(Refused::Exists);
    }
    let rights = some_rights(change.rights.as_deref().unwrap_or_default())?;
    if policies.len() >= ACCESS_POLICIES_MAX {
        return Err(Refused::TooMany);
    }
    let FreshKeys { primary, secondary } = fresh;
    policies.push(Policy {
        name: name.clone(),
        rights,
        primary: wished(&change.primary, &primary).unwrap_or(primary),
        secondary: wished(&change.secondary, &secondary).unwrap_or(secondary),
    });
    Ok(())
}

/// Changes a policy in its place; a key that is replaced opens nothing any more.
///
/// # Errors
/// [`Refused::Missing`], [`Refused::NoRights`].
pub fn update<R: Clone + PartialEq>(
    policies: &mut [Policy<R>],
    name: &PolicyName,
    change: &PolicyChange<R>,
    fresh: &FreshKeys,
) -> Result<(), Refused> {
    let found = find(policies, name)?;
    if let Some(rights) = &change.rights {
        found.rights = some_rights(rights)?;
    }
    if let Some(primary) = wished(&change.primary, &fresh.primary) {
        found.primary = primary;
    }
    if let Some(secondary) = wished(&change.secondary, &fresh.secondary) {
        found.secondary = secondary;
    }
    Ok(())
}

/// Renews a policy's keys.
///
/// # Errors
/// [`Refused::Missing`].
pub fn renew<R>(
    policies: &mut [Policy<R>],
    name: &PolicyName,
    renewal: Renewal,
    fresh: FreshKeys,
) -> Result<(), Refused> {
    let found = find(policies, name)?;
    match renewal {
        Renewal::Primary => found.primary = fresh.primary,
        Renewal::Secondary => found.secondary = fresh.secondary,
        Renewal::Swap => std::mem::swap(&mut found.primary, &mut found.secondary),
    }
    Ok(())
}

/// Removes a policy with its keys.
///
/// # Errors
/// [`Refused::Missing`].
pub fn remove<R>(policies: &mut Vec<Policy<R>>, name: &PolicyName) -> Result<(), Refused> {
    let before = policies.len();
    policies.retain(|policy| policy.name != *name);
    if policies.len() < before { Ok(()) } else { Err(Refused::Missing) }
}

fn find<'p, R>(
    policies: &'p mut [Policy<R>],
    name: &PolicyName,
) -> Result<&'p mut Policy<R>, Refused> {
    policies.iter_mut().find(|policy| policy.name == *name).ok_or(Refused::Missing)
}

fn wished(wish: &KeyWish, fresh: &SymmetricKey) -> Option<SymmetricKey> {
    match wish {
        KeyWish::Keep => None,
        KeyWish::Generate => Some(fresh.clone()),
        KeyWish::Use(key) => Some(key.clone()),
    }
}

/// The rights, each once.
fn some_rights<R: Clone + PartialEq>(rights: &[R]) -> Result<Vec<R>, Refused> {
    let mut once: Vec<R> = Vec::with_capacity(rights.len());
    for right in rights {
        if !once.contains(right) {
            once.push(right.clone());
        }
    }
    if once.is_empty() { Err(Refused::NoRights) } else { Ok(once) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SymmetricKey {
        SymmetricKey::from_bytes(vec![seed; 32]).unwrap()
    }

    fn fresh() -> FreshKeys {
        FreshKeys { primary: key(91), secondary: key(92) }
    }

    fn name(text: &str) -> PolicyName {
        PolicyName::parse(text).unwrap()
    }

    fn policies() -> Vec<Policy<char>> {
        vec![Policy {
            name: name("owner"),
            rights: vec!['a', 'b'],
            primary: key(1),
            secondary: key(2),
        }]
    }

    fn said(rights: Option<&[char]>, primary: KeyWish, secondary: KeyWish) -> PolicyChange<char> {
        PolicyChange { rights: rights.map(<[char]>::to_vec), primary, secondary }
    }

    /// Name, rights, and which keys: by the seed of each.
    fn shown(policies: &[Policy<char>]) -> Vec<String> {
        let seed = |key: &SymmetricKey| (0..=255).find(|seed| self::key(*seed).same_as(key));
        let show = |policy: &Policy<char>| {
            let rights: String = policy.rights.iter().collect();
            let (first, second) = (seed(&policy.primary), seed(&policy.secondary));
            format!("{} {rights} {} {}", policy.name, first.unwrap(), second.unwrap())
        };
        policies.iter().map(show).collect()
    }

    #[test]
    fn a_policy_is_added_with_the_keys_that_were_given_or_made() {
        let mut all = policies();
        let change = said(Some(&['c', 'c']), KeyWish::Use(key(7)), KeyWish::Keep);
        create(&mut all, &name("reader"), &change, fresh()).unwrap();
        assert_eq!(shown(&all), ["owner ab 1 2", "reader c 7 92"]);
        let again = create(&mut all, &name("READER"), &change, fresh());
        assert_eq!(again, Err(Refused::Exists));
        for nothing in [None, Some(&[][..])] {
            let change = said(nothing, KeyWish::Keep, KeyWish::Keep);
            assert_eq!(create(&mut all, &name("n"), &change, fresh()), Err(Refused::NoRights));
        }
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn policies_are_bounded() {
        let mut all = policies();
        let change = said(Some(&['a']), KeyWish::Keep, KeyWish::Keep);
        for number in 1..ACCESS_POLICIES_MAX {
            create(&mut all, &name(&format!("p{number}")), &change, fresh()).unwrap();
        }
        assert_eq!(create(&mut all, &name("more"), &change, fresh()), Err(Refused::TooMany));
    }

    #[test]
    fn an_update_touches_what_it_names_alone() {
        let mut all = policies();
        let change = said(None, KeyWish::Generate, KeyWish::Keep);
        update(&mut all, &name("Owner"), &change, &fresh()).unwrap();
        assert_eq!(shown(&all), ["owner ab 91 2"]);
        let change = said(Some(&['b']), KeyWish::Keep, KeyWish::Use(key(5)));
        update(&mut all, &name("owner"), &change, &fresh()).unwrap();
        assert_eq!(shown(&all), ["owner b 91 5"]);
        let nothing = said(Some(&[]), KeyWish::Keep, KeyWish::Keep);
        assert_eq!(update(&mut all, &name("owner"), &nothing, &fresh()), Err(Refused::NoRights));
        assert_eq!(update(&mut all, &name("x"), &nothing, &fresh()), Err(Refused::Missing));
    }

    #[test]
    fn keys_are_renewed_one_by_one_or_swapped() {
        let mut all = policies();
        renew(&mut all, &name("owner"), Renewal::Primary, fresh()).unwrap();
        assert_eq!(shown(&all), ["owner ab 91 2"]);
        renew(&mut all, &name("owner"), Renewal::Swap, fresh()).unwrap();
        assert_eq!(shown(&all), ["owner ab 2 91"]);
        renew(&mut all, &name("owner"), Renewal::Secondary, fresh()).unwrap();
        assert_eq!(shown(&all), ["owner ab 2 92"]);
        assert_eq!(renew(&mut all, &name("x"), Renewal::Swap, fresh()), Err(Refused::Missing));
    }

    #[test]
    fn a_policy_is_removed() {
        let mut all = policies();
        assert_eq!(remove(&mut all, &name("x")), Err(Refused::Missing));
        remove(&mut all, &name("OWNER")).unwrap();
        assert!(all.is_empty());
    }
}
