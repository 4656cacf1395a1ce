//! The mark of ROCA: RSA moduli of a generator whose private keys can be computed.
//!
//! The generator (Infineon RSALib, in many TPMs) made primes `k·M + (65537^a mod M)` with M the
//! product of the first primes, so its moduli are powers of 65537 modulo M. Of other moduli one in
//! 2^154 is. Source: CVE-2017-15361; Nemec, Sys, Svenda, Klinec, Matyas: "The Return of
//! Coppersmith's Attack", ACM CCS 2017, §2.2.

/// The odd primes of the smallest M that the generator used; every greater one holds them too.
const PRIMES: [u16; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];
const GENERATOR: u32 = 65537;

/// Whether a big-endian modulus is a power of 65537 modulo the product of [`PRIMES`].
///
/// The discrete logarithm is taken modulo each prime; a common one exists if and only if each two
/// agree modulo what their orders share (the Chinese remainder theorem for any moduli).
pub(crate) fn is_weak(modulus: &[u8]) -> bool {
    let mut logarithms = Vec::with_capacity(PRIMES.len());
    for prime in PRIMES {
        match logarithm(remainder(modulus, prime), prime) {
            Some(found) => logarithms.push(found),
            None => return false,
        }
    }
    logarithms.iter().enumerate().all(|(i, (log, order))| {
        logarithms.iter().skip(i + 1).all(|(other_log, other_order)| {
            let shared = greatest_common_divisor(*order, *other_order);
            log % shared == other_log % shared
        })
    })
}

/// Whether one of [`PRIMES`] divides a big-endian number, which none does of a real modulus.
pub(crate) fn has_tiny_factor(modulus: &[u8]) -> bool {
    PRIMES.iter().any(|prime| remainder(modulus, *prime) == 0)
}

/// The power of 65537 that the residue is, and the order of 65537; none if it is no power.
fn logarithm(residue: u32, prime: u16) -> Option<(u32, u32)> {
    let (mut power, mut found) = (1, None);
    for exponent in 0..u32::from(prime) {
        if exponent > 0 && power == 1 {
            return found.map(|found| (found, exponent));
        }
        if power == residue {
            found = Some(exponent);
        }
        power = power * (GENERATOR % u32::from(prime)) % u32::from(prime);
    }
    None
}

fn remainder(number: &[u8], prime: u16) -> u32 {
    number.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % u32::from(prime))
}

const fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            hex.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
        digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// Vectors: the discoverers' detector, `crocs-muni/roca`, `mod01.txt`, `mod02.txt`,
    /// `mod08.txt`; the 2048-bit ones are with the tests of public areas.
    #[test]
    fn moduli_of_the_broken_generator_are_known() {
        for weak in [
            "944e13208a280c37efc31c3114485e590192adbb8e11c87cad60cdef0037ce99\
             278330d3f471a2538fa667802ed2a3c44a8b7dea826e888d0aa341fd664f7fa7",
            "a23475d6b86e7deb1e1483747c0e1aaa1390f24dcbc0d05399d025c985861601\
             d91ba7a1ce5dd9d9721fac7b65cbf73f9fa39399f6cbf33edc6e094f9eda639f",
            "01db349e1f58f5d41f65aa5b0ffa6ae0cea80de6c170b2b4abf9c358d79494ca\
             59cab008f5ee92759b91d497e2131701047f953935a163e91db5460c82566f4d\
             f0c05bca02a8576f7c4e916b274e2f307b56fc8a20ad452b1b54d3924726a3b2\
             329da882c7b8e102379dfe7a8c6b01d62e7ff0fd58e1e9822f6e32b5b0486561\
             fb",
        ] {
            assert!(is_weak(&bytes(weak)), "{weak}");
            let mut next = bytes(weak);
            *next.last_mut().unwrap() ^= 2;
            assert!(!is_weak(&next), "{weak}");
        }
    }

    /// A power modulo each prime, but of no common exponent. Vectors: the same, `test_fake_mods`.
    #[test]
    fn a_power_modulo_each_prime_alone_is_not_weak() {
        for fake in [
            "671f033425b5ae00140c5b04dbcaeada430ae348cf3bf18d6ec4621ea824c52d\
             d2b0ac85762b28a5d39ff23da73d4fcb241bf97b696e403eca234e05db9fe9ac\
             e2da265887c7b2ac7f9e7ed5bf6d919d43286776cf57c07d3411e15f729fa6e5\
             63858059334d072638d9dfbfc4f32474b6c6071092f5a961a7271f3209b37d9d",
            "c502de5c89ed9ee651a3c60e9519647031ed16d8597ae653bbc88706c3648edf\
             38c2446205ea4cd33b10813bae1d7f5e86cbeedcdb9e14e616ee775040288731\
             f24624f63aafcf788aa80b54edb41cf0dd38731297ef2bc61144c8410b625bfa\
             36d9d4c6cfad7f647505dd7343f3209ed8a22209cc18bc2501d913b9f5b0753d",
        ] {
            let fake = bytes(fake);
            for prime in PRIMES {
                assert!(logarithm(remainder(&fake, prime), prime).is_some(), "{prime}");
            }
            assert!(!is_weak(&fake));
        }
    }

    #[test]
    fn a_tiny_factor_is_found_wherever_it_is() {
        assert!(has_tiny_factor(&[167]));
        assert!(has_tiny_factor(&[1, 2, 3]), "66051 is a multiple of 3");
        assert!(!has_tiny_factor(&[173]));
        assert!(!is_weak(&[0]));
    }
}
