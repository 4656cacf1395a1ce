//! Where chains begin and end: order, extras, what is stored and what is presented.

use attestation::x509::{ChainError, build_chain, same_authority};

use crate::pki::{Held, NOW};
use crate::pki::{ca, certificates, chain, cn, holds, leaf, refused, unverified, verified};

/// root → upper → lower → device.
struct Tree {
    root: Held,
    upper: Held,
    lower: Held,
    device: Held,
}

fn tree() -> Tree {
    let root = ca("root").self_signed();
    let upper = ca("upper").signed_by(&root);
    let lower = ca("lower").signed_by(&upper);
    let device = leaf("device").signed_by(&lower);
    Tree { root, upper, lower, device }
}

#[test]
fn presented_certificates_may_come_in_any_order_with_or_without_the_root() {
    let Tree { root, upper, lower, device } = &tree();
    let stranger = &ca("stranger").self_signed();
    let whole = [device, lower, upper, root];
    for presented in [
        vec![device, lower, upper, root],
        vec![device, lower, upper],
        vec![device, root, upper, lower],
        vec![device, upper, lower],
        vec![device, stranger, upper, stranger, lower, stranger],
        vec![device, lower, lower, upper, device, upper],
    ] {
        holds(&presented, &[verified(root)], &whole, 3);
    }
}

#[test]
fn d_06_stored_certificates_complete_what_is_presented() {
    let Tree { root, upper, lower, device } = &tree();
    let whole = [device, lower, upper, root];
    holds(&[device, lower], &[unverified(upper), verified(root)], &whole, 3);
    holds(&[device], &[unverified(lower), unverified(upper), verified(root)], &whole, 3);
    holds(&[device], &[verified(lower), unverified(root), verified(upper)], &whole, 1);
}

#[test]
fn the_nearest_verified_ca_is_the_anchor_and_the_path_goes_on() {
    let Tree { root, upper, lower, device } = &tree();
    holds(&[device, lower], &[verified(upper)], &[device, lower, upper], 2);
    holds(&[device, lower], &[verified(upper), unverified(root)], &[device, lower, upper, root], 2);
    holds(&[device, lower, root], &[verified(upper)], &[device, lower, upper, root], 2);
    holds(&[device], &[verified(lower)], &[device, lower], 1);
    holds(&[device, lower, upper, root], &[verified(lower)], &[device, lower, upper, root], 1);
    holds(&[device, upper], &[verified(root), verified(lower)], &[device, lower, upper, root], 1);
}

#[test]
fn above_the_anchor_the_path_ends_where_a_certificate_does_not_hold() {
    let root = &ca("root").expired().self_signed();
    let upper = &ca("upper").signed_by(root);
    let device = &leaf("device").signed_by(upper);
    holds(&[device, root], &[verified(upper), verified(root)], &[device, upper], 1);

    let impostor = &ca("root").self_signed();
    let upper = &ca("upper").without_authority_key_id().signed_by(root);
    let device = &leaf("device").signed_by(upper);
    holds(&[device, impostor], &[verified(upper)], &[device, upper], 1);
}

#[test]
fn an_enrolled_certificate_that_is_also_a_verified_ca_counts_as_verified() {
    let Tree { root, device, lower, upper } = &tree();
    holds(
        &[device],
        &[unverified(lower), unverified(upper), unverified(root), verified(lower)],
        &[device, lower, upper, root],
        1,
    );
}

#[test]
fn m_12_a_chain_that_reaches_no_verified_ca_is_refused() {
    let Tree { root, upper, lower, device } = &tree();
    let missing = |subject: &str, issuer: &str| ChainError::IssuerMissing {
        subject: cn(subject),
        issuer: cn(issuer),
    };
    let untrusted = ChainError::NoVerifiedCa { topmost: cn("root") };
    let stranger = &ca("stranger").self_signed();
    refused(&[device], &[], &missing("device", "lower"));
    refused(&[device], &[verified(root)], &missing("device", "lower"));
    refused(&[device, lower], &[verified(root)], &missing("lower", "upper"));
    refused(&[device, upper], &[verified(root)], &missing("device", "lower"));
    refused(&[device, lower], &[unverified(upper)], &missing("upper", "root"));
    refused(&[device, lower, upper, root], &[], &untrusted);
    refused(&[device, lower, upper, root], &[verified(stranger)], &untrusted);
    refused(&[device, lower, upper], &[unverified(root)], &untrusted);
    assert_eq!(build_chain(&[], &[verified(root)], NOW).unwrap_err(), ChainError::NothingPresented);
}

#[test]
fn a_leaf_is_never_its_own_verified_ca() {
    let Tree { root, upper, .. } = &tree();
    refused(&[root], &[verified(root)], &ChainError::NoVerifiedCa { topmost: cn("root") });
    refused(&[root, root], &[verified(root)], &ChainError::NoVerifiedCa { topmost: cn("root") });
    // As a leaf, a verified intermediate stands on what is above it.
    holds(&[upper], &[verified(upper), verified(root)], &[upper, root], 1);
    refused(
        &[upper],
        &[verified(upper)],
        &ChainError::IssuerMissing { subject: cn("upper"), issuer: cn("root") },
    );
}

#[test]
fn a_self_signed_device_has_no_chain() {
    let device = &leaf("device").self_signed();
    let root = &ca("root").self_signed();
    let untrusted = ChainError::NoVerifiedCa { topmost: cn("device") };
    refused(&[device], &[], &untrusted);
    refused(&[device, root], &[verified(root)], &untrusted);
}

#[test]
fn a_renewed_ca_of_the_same_key_stands_for_the_old_one() {
    let old = ca("root").expired().self_signed();
    let renewed = ca("root").years(2029, 2039).key_of(&old).self_signed();
    let device = leaf("device").signed_by(&old);
    assert!(same_authority(&old.certificate, &renewed.certificate));
    holds(&[&device], &[verified(&renewed)], &[&device, &renewed], 1);
    holds(&[&device, &old], &[verified(&old), verified(&renewed)], &[&device, &renewed], 1);
}

#[test]
fn another_key_or_another_name_is_another_authority() {
    let root = ca("root").self_signed();
    let same_name = ca("root").self_signed();
    let same_key = ca("other").key_of(&root).self_signed();
    assert!(same_authority(&root.certificate, &root.certificate));
    assert!(!same_authority(&root.certificate, &same_name.certificate));
    assert!(!same_authority(&root.certificate, &same_key.certificate));
}

#[test]
fn a_ca_made_anew_under_its_old_name_is_told_apart() {
    let old = ca("root").self_signed();
    let anew = ca("root").self_signed();
    let device = leaf("device").signed_by(&old);
    let (subject, issuer) = (cn("device"), cn("root"));
    let differs = ChainError::IssuerKeyDiffers { subject: subject.clone(), issuer: issuer.clone() };
    refused(&[&device], &[verified(&anew)], &differs);
    holds(&[&device], &[verified(&anew), verified(&old)], &[&device, &old], 1);

    let silent = leaf("device").without_authority_key_id().signed_by(&old);
    refused(&[&silent], &[verified(&anew)], &ChainError::BadSignature { subject, issuer });
    holds(&[&silent], &[verified(&anew), verified(&old)], &[&silent, &old], 1);
}

#[test]
fn where_one_branch_fails_another_is_taken() {
    let trusted = ca("trusted").self_signed();
    let gone = ca("gone").expired().self_signed();
    let device = |issuer| leaf("device").signed_by(issuer);
    let by_gone = ca("lower").signed_by(&gone);
    let by_trusted = ca("lower").key_of(&by_gone).signed_by(&trusted);
    let device = device(&by_gone);
    let whole = [&device, &by_trusted, &trusted];
    for presented in
        [vec![&device, &by_gone, &by_trusted], vec![&device, &by_trusted, &by_gone, &gone]]
    {
        holds(&presented, &[verified(&gone), verified(&trusted)], &whole, 2);
    }
    holds(&[&device, &by_trusted], &[unverified(&by_gone), verified(&trusted)], &whole, 2);
    // The refusal tells of the branch that came furthest.
    refused(
        &[&device, &by_gone],
        &[verified(&gone), verified(&trusted)],
        &ChainError::Expired { subject: cn("gone"), not_after: gone.certificate.not_after() },
    );
}

#[test]
fn of_equal_refusals_the_first_is_told() {
    let [first, second] = ["first", "second"].map(|name| ca(name).self_signed());
    let by_first = ca("lower").signed_by(&first);
    let by_second = ca("lower").key_of(&by_first).signed_by(&second);
    let device = leaf("device").signed_by(&by_first);
    let missing = |issuer| ChainError::IssuerMissing { subject: cn("lower"), issuer: cn(issuer) };
    refused(&[&device, &by_first, &by_second], &[], &missing("first"));
    refused(&[&device, &by_second, &by_first], &[], &missing("second"));
}

#[test]
fn the_anchor_need_not_be_self_signed_and_cross_signing_is_followed() {
    // Two roots sign one intermediate; only the second root is verified.
    let first = ca("first").self_signed();
    let second = ca("second").self_signed();
    let by_first = ca("lower").signed_by(&first);
    let by_second = ca("lower").key_of(&by_first).signed_by(&second);
    let device = leaf("device").signed_by(&by_first);
    holds(
        &[&device, &by_first, &first, &by_second],
        &[verified(&second)],
        &[&device, &by_second, &second],
        2,
    );
    // Verified itself, it is found first, and the path goes on as it was signed.
    holds(
        &[&device, &by_first, &first],
        &[verified(&by_second), verified(&second)],
        &[&device, &by_second, &second],
        1,
    );
}

#[test]
fn equal_inputs_give_equal_chains() {
    let Tree { root, upper, lower, device } = &tree();
    let stored = [verified(root), unverified(upper)];
    let first = chain(&[device, lower, upper], &stored).unwrap();
    let again = chain(&[device, upper, lower], &stored).unwrap();
    assert_eq!(first.path, again.path);
    assert_eq!(first.path, certificates(&[device, lower, upper, root]));
}
