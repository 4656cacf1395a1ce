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
pub(super) fn is_weak(modulus: &[u8]) -> bool {
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
pub(super) fn has_tiny_factor(modulus: &[u8]) -> bool {
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
