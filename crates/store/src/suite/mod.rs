//! What a correct backend is.
//!
//! What it is: cases, each a function that is given an empty store, and [`history`], which drives
//! the same random commits into the model and a backend and compares every answer. The macro
//! [`suite!`](crate::suite!) makes a test of each case; a backend is done when they pass.
//!
//! What it is not: about durability or load, which every backend tests in its own way.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test support: compiled here so that every backend can run it"
)]

pub mod changes;
pub mod commits;
pub mod conditions;
pub mod devices;
pub mod enrollments;
pub mod events;
pub mod fixtures;
pub mod history;
pub mod instances;
pub mod jobs;
pub mod registrations;

use crate::{Commit, CommitError, Committed, Condition, Store, Write};

/// Makes a test of every case of the suite.
///
/// The expression is evaluated for each and gives something that dereferences to an empty store.
#[macro_export]
macro_rules! suite {
    ($make:expr) => {
        $crate::suite! { @cases $make;
            changes:
                changes_are_gapless_and_in_the_order_of_commits
                commit_without_changes_has_number_zero
                refused_commit_takes_no_number
                scopes_come_back_as_they_were_given
                store_that_answers_passes_its_check;
            commits:
                concurrent_commits_on_one_revision_let_one_through
                conflict_in_the_last_condition_applies_nothing
                conflict_names_the_first_condition_that_fails
                deleting_what_is_not_there_is_no_error
                entry_without_its_instance_conflicts
                hub_with_the_host_of_another_conflicts
                identity_without_its_hub_conflicts
                recreated_rows_get_new_revisions
                refused_write_takes_back_the_ones_before_it
                twin_without_its_identity_conflicts
                writes_apply_in_their_order;
            conditions:
                absence_holds_until_there_is_a_row
                claim_holds_until_somebody_has_it
                concurrent_commits_at_a_bound_let_as_many_through_as_fit
                count_condition_follows_what_is_counted
                leaf_condition_fails_when_an_entry_lets_go_of_the_leaf
                leaf_condition_fails_when_an_entry_that_holds_it_is_written
                leaf_condition_fails_when_another_entry_takes_the_leaf
                leaf_condition_is_of_one_instance
                instance_condition_fails_when_anything_shared_changes
                instance_condition_holds_through_entries_and_records_of_devices
                presence_fails_once_the_row_is_gone
                revision_holds_until_the_row_is_written;
            devices:
                devices_are_paged_in_the_order_of_their_ids
                identity_and_twin_have_revisions_of_their_own
                identities_are_counted_by_status
                identity_is_shown_with_its_twin_only
                ids_of_devices_are_told_apart_by_case
                removed_identity_takes_its_twin_along
                twin_comes_back_to_the_last_digit
                views_are_of_identities_that_have_a_twin;
            enrollments:
                count_follows_what_is_written_and_removed
                individual_comes_back_as_it_was_written
                individuals_are_found_by_the_leaf_in_either_slot_oldest_first
                individuals_are_found_by_their_endorsement_key
                individuals_come_with_the_record_of_their_id
                individuals_are_paged_in_the_order_of_their_ids
                paging_goes_on_after_a_removed_entry
                registration_ids_are_the_same_in_any_case;
            events:
                delivery_goes_with_its_subscription
                first_of_each_subject_is_found_whatever_becomes_of_the_one_before
                delivery_to_nobody_is_none
                deliveries_come_in_the_order_of_commits_by_what_became_of_them
                refused_commit_queues_nothing
                subscriptions_come_back_by_name;
            instances:
                certificate_comes_back_with_its_code
                deleted_hub_takes_its_identities_along
                deleted_instance_takes_all_that_it_held_along
                generation_changes_with_every_shared_write
                groups_and_certificates_come_oldest_first
                hub_that_changes_its_host_keeps_its_identities
                instances_and_hubs_come_by_name
                unknown_instance_is_none
                view_of_an_instance_is_shared_until_it_changes;
            jobs:
                jobs_are_paged_by_instance_and_id
                job_comes_back_as_it_was_written
                job_outlives_its_record_and_its_instance
                registration_has_one_job;
            registrations:
                bound_removes_the_oldest_that_were_never_assigned
                bound_spares_other_owners_and_the_assigned
                only_assigned_records_count
                deleted_records_are_told
                orphaned_records_are_counted_by_the_group_that_left_them
                record_moves_with_its_owner
                records_of_a_deleted_group_are_listed_by_its_id
                records_of_a_group_are_paged_in_the_order_of_their_ids
                removing_by_owner_spares_other_incarnations
                view_holds_all_that_a_registration_is_decided_by;
        }
    };
    (@cases $make:expr; $($module:ident: $($case:ident)+;)+) => {
        $(mod $module {
            #[allow(unused_imports, reason = "the expression may need nothing from around it")]
            use super::*;

            $(#[tokio::test]
            async fn $case() {
                let made = $make;
                $crate::suite::$module::$case(&*made).await;
            })+
        })+
    };
}

/// Writes rows that rest on nothing.
async fn write(store: &dyn Store, writes: Vec<Write>) -> Committed {
    store.commit(Commit { writes, ..Commit::default() }).await.unwrap()
}

/// The condition that a commit fails by.
async fn conflict(store: &dyn Store, conditions: Vec<Condition>, writes: Vec<Write>) -> Condition {
    let commit = Commit { conditions, writes, ..Commit::default() };
    match store.commit(commit).await {
        Err(CommitError::Conflict(condition)) => condition,
        other => unreachable!("expected a conflict, got {other:?}"),
    }
}

/// Whether a condition holds now.
async fn holds(store: &dyn Store, condition: Condition) -> bool {
    let commit = Commit { conditions: vec![condition.clone()], ..Commit::default() };
    match store.commit(commit).await {
        Ok(_) => true,
        Err(CommitError::Conflict(failed)) => {
            assert_eq!(failed, condition);
            false
        }
        Err(other) => unreachable!("expected an answer, got {other:?}"),
    }
}

/// A document, to compare what has no equality of its own.
fn json<T: serde::Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).unwrap()
}
