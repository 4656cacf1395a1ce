//! Weighted rendezvous hashing: the same id goes to the same hub, a new hub takes only its share.

use attestation::sha256;
use model::RegistrationId;

use crate::instance::LinkedHub;

/// Chooses by the highest weighted score (L-03, L-04, D-26); none from no candidates.
pub fn choose<'h>(
    registration_id: &RegistrationId,
    candidates: &[&'h LinkedHub],
) -> Option<&'h LinkedHub> {
    candidates.iter().copied().min_by_key(|hub| (cost(registration_id, hub), hub.host.clone()))
}

/// `-log2(u) / weight` of a uniform `u` in fixed point: the smallest wins with a chance in
/// proportion to its weight.
fn cost(registration_id: &RegistrationId, hub: &LinkedHub) -> u64 {
    let hash = sha256(format!("{}\n{}", registration_id.key(), hub.host).as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = hash.0;
    let uniform = u64::from_be_bytes([a, b, c, d, e, f, g, h]) | 1;
    // Twenty further bits keep the division by a weight of 1000 exact enough.
    (minus_log2(uniform) << 20) / u64::from(hub.allocation_weight.max(1))
}

/// `-log2(x / 2^64)` with 32 fractional bits, by repeated squaring; the same on every machine.
fn minus_log2(x: u64) -> u64 {
    let whole = u64::from(x.leading_zeros());
    let mut mantissa = x << x.leading_zeros();
    let mut fraction = 0_u64;
    for _ in 0..32 {
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        fraction <<= 1;
        match u64::try_from(square) {
            Ok(square) => mantissa = square,
            Err(_) => {
                fraction |= 1;
                mantissa = u64::try_from(square >> 1).unwrap_or(u64::MAX);
            }
        }
    }
    // log2(x) = 63 - whole + fraction, so -log2(x / 2^64) = whole + 1 - fraction.
    ((whole + 1) << 32) - fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::HostName;

    fn hub(name: &str, weight: u32) -> LinkedHub {
        LinkedHub {
            host: HostName::parse(name).unwrap(),
            allocation_weight: weight,
            apply_allocation_policy: true,
            remote: None,
            latencies: Default::default(),
        }
    }

    fn chosen(id: usize, hubs: &[LinkedHub]) -> String {
        let id = RegistrationId::parse(&format!("device-{id}")).unwrap();
        choose(&id, &hubs.iter().collect::<Vec<_>>()).unwrap().host.to_string()
    }

    #[test]
    fn logarithms_are_right() {
        assert_eq!(minus_log2(1 << 63), 1 << 32);
        assert_eq!(minus_log2(1 << 62), 2 << 32);
        let third = minus_log2(u64::MAX / 3);
        assert!((third as f64 / 4_294_967_296.0 - 3_f64.log2()).abs() < 1e-6);
    }

    #[test]
    fn l_03_shares_follow_the_weights() {
        let hubs = [hub("a.x", 1), hub("b.x", 3)];
        let first = (0..4000).filter(|id| chosen(*id, &hubs) == "a.x").count();
        assert!((850..1150).contains(&first), "{first} of 4000");
    }

    #[test]
    fn l_04_a_new_hub_moves_only_its_own_share() {
        let two = [hub("a.x", 1), hub("b.x", 1)];
        let three = [hub("a.x", 1), hub("b.x", 1), hub("c.x", 1)];
        for id in 0..1000 {
            let after = chosen(id, &three);
            assert!(after == "c.x" || after == chosen(id, &two));
        }
    }

    #[test]
    fn l_04_case_of_the_id_does_not_matter() {
        let hubs = [hub("a.x", 1), hub("b.x", 1)];
        for id in 0..50 {
            let lower = RegistrationId::parse(&format!("dev-{id}")).unwrap();
            let upper = RegistrationId::parse(&format!("DEV-{id}")).unwrap();
            let refs: Vec<_> = hubs.iter().collect();
            assert_eq!(choose(&lower, &refs), choose(&upper, &refs));
        }
    }
}
