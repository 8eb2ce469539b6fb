//! What a store promises, asked of SQLite and of a real PostgreSQL by the same tests.

// The attribute tells clippy that these files are tests, all of their functions.
#[cfg(test)]
mod asked_keys;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod catalog;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod home;
#[cfg(test)]
mod issuers;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod period_keys;
#[cfg(test)]
mod policies;
#[cfg(test)]
#[path = "../support/postgres.rs"]
mod postgres;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod session_reports;
#[cfg(test)]
mod streams;

/// Runs each test on both databases, each time on a new, empty one.
macro_rules! on_both_databases {
    ($($module:ident::$test:ident,)+) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                crate::$module::$test(&crate::home::Home::sqlite()).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                if let Some(home) = crate::home::Home::postgres() {
                    crate::$module::$test(&home).await;
                }
            })+
        }
    };
}

on_both_databases! {
    rows::an_account_reads_back_and_its_name_is_unique,
    rows::an_account_needs_its_plan,
    rows::a_plan_changes,
    rows::a_sign_in_lives_until_it_expires_or_ends,
    rows::a_title_reads_back_in_every_state,
    rows::titles_come_in_pages,
    rows::the_rows_of_a_decision_are_those_that_are_read_alone,
    rows::a_key_reads_back_with_and_without_its_optional_parts,
    rows::a_key_used_twice_is_refused,
    rows::a_key_needs_its_kek,
    rows::a_kek_version_is_made_once,
    asked_keys::an_asked_key_reads_back_and_stays_the_first,
    asked_keys::asked_keys_are_kept_all_or_none,
    asked_keys::parallel_questions_end_with_one_key,
    period_keys::keys_of_periods_are_found_by_name_period_and_time,
    period_keys::a_use_of_a_period_gets_one_key,
    period_keys::many_keys_are_kept_all_or_none,
    period_keys::parallel_makers_end_with_one_key_a_use,
    period_keys::keys_of_periods_that_ended_go_and_others_stay,
    period_keys::parallel_droppers_drop_each_key_once,
    period_keys::all_keys_of_a_title_come_in_pages,
    credentials::credentials_read_back_newest_first,
    credentials::a_change_of_what_is_no_longer_so_is_refused_whole,
    credentials::parallel_changes_of_one_version_end_with_one,
    credentials::removed_credentials_are_gone_with_their_kek,
    credentials::a_kek_of_credentials_is_wrapped_anew_only_as_it_was_read,
    credentials::a_device_key_has_one_certificate_under_a_model,
    rows::a_resume_point_is_replaced,
    rows::an_event_is_written_with_its_title_or_not_at_all,
    rows::events_leave_in_order,
    rows::the_boot_mark_never_falls,
    rows::text_with_a_nul_is_refused,
    rows::the_end_of_time_is_a_time,
    catalog::a_title_is_described_and_has_pictures,
    catalog::titles_come_in_batches_without_those_that_are_missing,
    catalog::a_queue_keeps_its_order_and_its_limit,
    catalog::of_parallel_changes_of_a_queue_one_wins,
    catalog::of_parallel_changes_of_a_resume_point_one_wins,
    catalog::the_newest_viewings_are_kept,
    policies::a_policy_reads_back_changes_and_goes,
    policies::policies_come_in_pages,
    policies::built_in_policies_are_always_there_and_never_change,
    policies::a_title_has_its_policys_rules_of_the_moment,
    policies::a_policy_that_titles_have_stays,
    policies::a_title_without_a_readable_policy_is_refused,
    policies::titles_of_an_earlier_version_keep_what_they_said,
    rotation::a_key_moves_once_and_only_as_it_was_read,
    rotation::a_kek_is_wrapped_anew_only_as_it_was_read,
    rotation::keys_under_a_kek_come_in_pages,
    rotation::parallel_rewraps_move_each_key_once,
    rotation::a_kek_ends_when_nothing_hangs_from_it,
    rotation::no_key_arrives_under_a_retired_kek,
    rotation::a_compromised_kek_exposes_every_key_it_ever_wrapped,
    rotation::a_title_waits_to_be_packaged_until_a_clean_package,
    streams::twenty_parallel_starts_on_two_slots_grant_two,
    streams::two_hundred_parallel_starts_grant_exactly_the_plan,
    streams::parallel_starts_of_one_device_and_title_share_a_slot,
    streams::the_same_device_and_title_reuse_their_slot,
    streams::a_reservation_ends_after_thirty_seconds,
    streams::a_lease_ends_after_three_missed_heartbeats,
    streams::a_late_renewal_neither_revives_nor_shortens,
    streams::a_device_that_reports_twice_as_often_is_lost_twice_as_soon,
    streams::a_lease_ends_with_its_day_unless_a_player_begins_anew,
    streams::a_stream_that_lapsed_gets_a_slot_again_where_one_is_free,
    streams::a_plan_that_shrank_keeps_its_eldest_streams,
    streams::numbers_grow_and_missing_ones_are_counted,
    streams::of_two_equal_numbers_at_once_one_is_taken,
    streams::running_streams_are_listed_with_their_titles,
    streams::what_no_longer_runs_is_remembered_within_bounds,
    streams::ending_a_stream_frees_its_slot_at_once,
    streams::only_the_owner_ends_a_stream,
    streams::a_stream_needs_its_account,
    streams::accounts_do_not_share_slots,
    session_reports::logs_read_back_in_their_order_and_are_forgotten_in_time,
    session_reports::an_account_keeps_its_newest_logs,
    session_reports::events_are_numbered_in_the_order_they_were_told,
    session_reports::parallel_events_share_no_number_and_end_at_the_bound,
    devices::a_hundred_parallel_registrations_on_five_devices_leave_six,
    devices::one_key_is_one_device_and_one_place,
    devices::parallel_registrations_of_one_key_make_one_device,
    devices::a_removed_device_frees_its_place_and_may_come_back,
    devices::a_removal_ends_streams_and_tickets_unless_the_device_plays_on,
    devices::only_its_account_and_key_renew_a_device,
    devices::a_plan_that_shrank_keeps_the_devices_that_came_first,
    devices::numbers_of_messages_only_grow,
    devices::of_parallel_messages_with_one_number_one_is_taken,
    devices::a_device_has_a_bounded_number_of_tickets,
    devices::a_sign_in_is_a_device_as_long_as_it_lives,
    devices::a_sign_in_without_a_sign_of_life_gives_up_its_place,
    devices::a_removed_sign_in_stays_removed_until_it_ends,
    devices::signing_out_and_registering_free_the_sign_ins_place,
    devices::a_device_needs_its_account_and_plan,
    devices::removed_devices_are_remembered_within_a_bound,
    offline::parallel_requests_keep_exactly_the_plan,
    offline::a_title_on_a_device_counts_once_and_its_row_is_replaced,
    offline::a_kept_license_ends_to_the_millisecond,
    offline::what_never_leaves_holds_its_place_for_a_minute,
    offline::a_place_is_freed_by_who_has_it,
    offline::a_license_has_one_usage_record_the_first,
    issuers::a_subject_is_one_account,
    issuers::an_account_is_provisioned_whole_or_not_at_all,
    issuers::parallel_first_sights_make_one_account,
    issuers::the_newest_token_says_the_plan,
    issuers::a_sign_in_by_tokens_ends_for_those_that_were_issued,
    issuers::a_sign_in_belongs_to_one_account,
    audit::entries_in_batches_of_every_size_form_one_chain,
    audit::parallel_batches_form_one_chain,
    audit::entries_beyond_the_limits_are_refused,
    audit::the_database_refuses_to_change_a_row,
    audit::every_change_of_a_row_is_found,
    audit::removed_rows_are_found,
    audit::reordered_rows_are_found,
    audit::a_foreign_row_is_found,
    outcomes::an_outcome_reads_back_by_its_request,
    outcomes::the_newest_refusals_stay_and_push_out_nothing_else,
    outcomes::parallel_writers_share_the_numbers,
    outcomes::an_audit_row_is_found_by_its_request,
    outcomes::a_killed_writer_leaves_whole_batches_within_the_bound,
    processes::stores_opened_at_once_agree_on_the_tables,
    processes::a_second_process_reads_and_writes_meanwhile,
    processes::an_acknowledged_audit_batch_survives_kill_9,
    processes::a_database_of_a_newer_version_is_refused,
}

#[tokio::test]
async fn other_urls_are_refused() {
    for url in ["", "strongroom.db", "mysql://localhost/x", "sqlite://", "sqlite::memory:"] {
        let opened = store::Store::open(url).await;
        assert!(matches!(opened, Err(store::StoreError::Setup(_))), "{url}");
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_unavailable_in_time() {
    let opened = store::Store::open("postgres://nobody@127.0.0.1:9/none").await;
    assert!(matches!(opened, Err(store::StoreError::Unavailable(_))));
}
