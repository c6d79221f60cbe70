"""Every row of docs/deviations.md has a test, and every named test exists."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANUAL = ROOT / "docs" / "deviations.md"
HEADINGS = {"Subject"}

STRICTER = "tests/web/test_stricter_answers.py::"
EMAIL, NTFY = "plugins/email/tests/test_email.py", "plugins/ntfy/tests/test_ntfy.py"
TESTS = {
    "`/api/summary` totalStorageUsed, totalBackupSize": "tests/backups/test_external_api.py::TestSummary::test_every_total",
    "`overallSummary.totalUploadedSize` of the dashboard": "tests/backups/test_dashboard_api.py::test_totals_are_those_of_the_summary",
    "chart points per day: `duration`": (
        "tests/charts/test_charts_api.py::test_day_has_sums_of_minutes_and_the_last_state_of_each_job"
    ),
    "chart points per day: `storageSize`, `backupVersions`": (
        "tests/charts/test_charts_api.py::test_day_has_sums_of_minutes_and_the_last_state_of_each_job"
    ),
    "`.NET` durations of a day or more": "tests/reports/test_parser.py::test_duration_of_more_than_a_day_is_read",
    "`lastBackupName`": "tests/backups/test_dashboard_api.py::test_server_sums_its_jobs_and_shows_its_newest_run",
    "overdue variants O1, O2, O3": "tests/backups/test_dashboard_api.py::test_overdue_job_is_overdue_everywhere",
    "one job with a bad interval": "tests/backups/test_dashboard_api.py::test_bad_interval_does_not_affect_the_rest_of_the_dashboard",
    "`locked_until`, weekdays, version dates": (
        "tests/reports/test_available_versions.py::test_offset_of_the_log_line_precedes_the_zone"
    ),
    "dates in lists of versions": "tests/reports/test_available_versions.py::test_one_date_determines_the_order_of_all",
    "a dry run, and a run that was stopped and saved nothing": (
        "tests/reports/test_unsaved_runs.py::TestState::test_the_state_of_the_job_is_that_of_the_previous_run"
    ),
    "numbers that a report does not contain (no `BackendStatistics`, plain text, `LastBackupDate` of year 1, 0 in a failed or stopped run)": (
        "tests/reports/test_real_reports.py::test_every_recorded_upload_is_stored_as_the_run_was"
    ),
    "`FreeQuotaSpace` of -1, or of 0 without a total": "tests/reports/test_parser.py::test_unknown_quota_is_none",
    "a start more than a day after the report was received": (
        "tests/reports/test_wrong_clocks.py::test_the_run_counts_as_of_its_reception_and_keeps_the_sent_begin"
    ),
    "a next run that is announced for more than 400 days ahead": (
        "tests/reports/test_wrong_clocks.py::test_a_next_run_years_away_does_not_prevent_overdue_and_is_audited"
    ),
    "dashboard `lastBackupDate`, `lastBackupStatus`": (
        "tests/reports/test_unsaved_runs.py::TestState::test_the_newest_run_is_returned_as_received"
    ),
    "expected time of a job": "tests/schedules/test_next_run.py::test_run_shortly_before_its_time_fulfils_the_coming_slot",
    "months and years": "tests/schedules/test_intervals.py::test_months_do_not_drift_over_24_months",
    "grace period": "tests/schedules/test_overdue.py::test_tolerance_is_exact_across_a_change_of_the_clocks",
    "notifications at upload": "tests/notifications/test_delivery_kill.py::test_a_killed_delivery_worker_loses_nothing",
    "duplicates": "tests/reports/test_upload_api.py::TestAnswers::test_of_two_equal_concurrent_reports_one_is_stored",
    "settings of all jobs": (
        "tests/notifications/test_configuration_api.py::TestJobs::test_a_save_changes_only_the_named_jobs_and_fields"
    ),
    "rejected reports": "tests/reports/test_rejected_reports_api.py::test_rejected_upload_is_accepted_by_current_rules",
    "restore from SQL": "tests/database/test_database_api.py::TestRejected::test_a_script_that_fails_at_its_end",
    "one channel failing": "tests/notifications/test_delivery.py::test_a_failing_channel_does_not_block_another",
    "merge, delete": "tests/backups/test_merging.py::test_failure_in_the_middle_changes_nothing",
    "a fatal run reported without results ([`Data` null or an exception](compatibility/duplicati-reports.md#json))": (
        "tests/reports/test_parser.py::test_fatal_sample_without_results_is_a_fatal_run_at_its_reception"
    ),
    "warnings and errors that are only in `LogLines`": (
        "tests/reports/test_parser.py::test_warning_sample_takes_its_warnings_from_the_levels_of_the_log"
    ),
    "`Extra.next-scheduled-run`": "tests/schedules/test_next_run.py::test_next_run_reported_by_duplicati_precedes_the_grid",
    "import of old databases": "tests/legacy_import/test_settings.py::test_existing_choices_are_kept",
    "restart": "tests/accounts/test_sessions.py::test_sessions_survive_a_restart",
    "guard `session`": "tests/web/test_access_table.py::test_route_allows_whom_the_contract_allows",
    "must change password": "tests/accounts/test_sign_in_api.py::test_new_account_must_change_the_password_first",
    "password change without the current one": "tests/accounts/test_sign_in_api.py::test_invalid_changes_are_rejected",
    "sign-in": "tests/accounts/test_sessions.py::test_signing_in_moves_to_a_new_id_and_deletes_the_old_row",
    "last administrator": "tests/accounts/test_users_api.py::TestUpdate::test_last_administrator_cannot_be_demoted",
    "cron-config and `/api/cron/*` POST": "tests/web/test_access_table.py::test_route_allows_whom_the_contract_allows",
    "new host of a mail server, an ntfy server or a webhook": (
        "tests/notifications/test_channels.py::test_a_secret_is_not_sent_to_another_server"
    ),
    "new host in a server's URL": "tests/backups/test_server_changes_api.py::TestPassword::test_new_host_deletes_the_password_with_a_notice",
    "collect": "tests/collector/test_collect.py::test_https_is_tried_first_and_no_password_is_sent_in_clear",
    "temporary passwords, tokens": "tests/accounts/test_passwords.py::test_no_secret_is_made_from_a_predictable_source",
    "CSV exports": "tests/audit/test_audit_api.py::TestDownload::test_no_cell_is_a_formula",
    "client address": "tests/web/test_network_rules.py::test_client_cannot_forge_another_address",
    "upload": "tests/reports/test_upload_api.py::TestRates::test_too_many_requests_are_rejected_with_the_time_to_wait",
    "`server_url`, test-connection, ntfy URL": (
        "tests/backups/test_server_changes_api.py::TestConnection::test_metadata_address_is_rejected"
    ),
    "log text in HTML email": "tests/notifications/test_markdown.py::test_both_views",
    "email TLS": f"{EMAIL}::test_an_untrusted_certificate_is_rejected",
    "mail server, Apprise services": f"{EMAIL}::test_name_that_resolves_to_a_forbidden_address_is_rejected",
    "`HTTP_PROXY`, `.netrc`": "tests/plugin/test_addresses.py::TestEnvironment::test_proxies_are_not_used",
    "slow mail server": f"{EMAIL}::test_whole_exchange_has_a_time_limit",
    "line breaks in `toEmail`, addresses, sender names, tokens": (
        "tests/notifications/test_test_messages_api.py::test_recipient_of_several_lines_is_named"
    ),
    "number of test messages": "tests/accounts/test_limited_accounts_api.py::TestRates::test_users_can_send_a_few_tests",
    "`Retry-After` of a server that receives messages": (
        "tests/notifications/test_delivery.py::TestRetryAfter::test_next_attempt_follows_retry_after"
    ),
    "`POST /api/notifications/clear-overdue-timestamps` of a limited account": (
        "tests/accounts/test_limited_accounts_api.py::TestAlarms::test_second_alarm_is_about_visible_servers_only"
    ),
    "ntfy, email account and additional destinations for a limited account": (
        "tests/accounts/test_limited_accounts_api.py::test_no_response_contains_destination_addresses"
    ),
    "ntfy token": "tests/notifications/test_configuration_api.py::TestNtfy::test_the_token_is_encrypted_and_never_returned",
    "CSRF and session comparison": "tests/audit/test_audit.py::test_secrets_are_masked_at_any_depth",
    "`/api/health`": "tests/database/test_health_api.py::test_visitors_get_no_error_texts",
    "`reason` of `/api/health`": (
        "tests/faults/test_health.py::TestFullDisk::test_full_disk_is_a_503_with_its_reason_until_space_is_free"
    ),
    "body not JSON, bad BeginTime": "tests/reports/test_upload_api.py::TestAnswers::test_invalid_report_is_a_400_with_the_reason",
    "EndTime missing": "tests/reports/test_parser.py::test_missing_or_invalid_end_is_begin_plus_duration",
    "unknown server or job in delete and merge": "tests/backups/test_server_changes_api.py::TestMerge::test_unknown_target",
    "bad `server_url` in PATCH": "tests/backups/test_server_changes_api.py::TestUpdate::test_invalid_address_is_rejected_and_changes_nothing",
    "unknown path below /api": "tests/web/test_errors.py::test_unknown_url_of_the_api_is_json",
    "unknown tolerance, interval, template field": (
        "tests/notifications/test_configuration_api.py::TestGracePeriod::test_an_unknown_tolerance_is_rejected_with_its_field"
    ),
    "negative or very large `limit`": "tests/audit/test_audit_api.py::test_page_numbers_are_clamped",
    "`messages_array`, `warnings_array`, `errors_array`": (
        "tests/backups/test_external_api.py::TestLatest::test_run_has_every_field_of_the_contract"
    ),
    "error bodies": "tests/web/test_errors.py::TestDebug::test_response_contains_the_technical_details",
    "503": "tests/schedules/test_cron_api.py::test_without_a_scheduler_its_controls_are_not_available",
    "sizes, durations, available_backups": "tests/backups/test_external_api.py::TestLatest::test_run_has_every_field_of_the_contract",
    "`chartData` of the dashboard, `chart-data/aggregated` without a range": (
        "tests/charts/test_charts_api.py::test_newest_two_thousand_runs_unless_all_are_requested"
    ),
    "`statusHistory`": "tests/backups/test_dashboard_api.py::test_heartbeat_bar_has_the_newest_hundred_runs",
    "`backups` of a server": "tests/backups/test_servers_api.py::test_older_runs_are_paged",
    "report formats": "tests/reports/test_upload_api.py::TestAnswers::test_report_is_accepted_in_every_form",
    "operations other than Backup": (
        "tests/reports/test_upload_api.py::TestAnswers::test_report_of_another_operation_is_accepted_and_not_stored"
    ),
    "returned sections of a rejected upload (`extraSection`, `dataSection`)": (
        "tests/reports/test_upload_api.py::TestAnswers::test_response_does_not_repeat_the_body"
    ),
    "compressed uploads that cannot be decompressed, unknown encodings": "tests/reports/test_decoding.py::test_broken_gzip_is_rejected",
    "a fatal run without results": (
        "tests/reports/test_parser.py::test_fatal_sample_without_results_is_a_fatal_run_at_its_reception"
    ),
    "`HEAD` on guarded routes": "tests/web/test_guards.py::test_reading_needs_no_token",
    "CSRF token of a sign-in": "tests/accounts/test_sessions.py::test_token_fetched_before_signing_in_is_valid_afterwards",
    "a proxy on this machine that is not in IP_TRUSTED_PROXIES (loopback with `X-Forwarded-For`, `X-Real-IP` or `Forwarded`)": (
        "tests/web/test_network_rules.py::TestUntrustedProxy::test_its_clients_are_not_localhost"
    ),
    "five wrong passwords": "tests/accounts/test_sign_in_limits.py::test_a_lock_ends_no_session_and_affects_no_other_account",
    "rate of wrong passwords": "tests/accounts/test_sign_in_limits.py::test_an_address_with_many_names_is_delayed",
    "wrong current passwords": "tests/accounts/test_sign_in_limits.py::TestCurrentPassword::test_a_stolen_session_cannot_be_used_to_guess",
    "usernames of more than 255 characters at a sign-in": (
        "tests/accounts/test_sign_in_limits.py::TestLongNames::test_stored_names_are_cut"
    ),
    "`GET /api/csrf`, `/login` without a session": "tests/accounts/test_sessions.py::test_a_visit_writes_nothing",
    "caching of private answers": "tests/web/test_every_route.py::test_every_private_response_forbids_caching",
    "`search` of more than 255 characters": (
        "tests/web/test_long_searches.py::test_the_api_rejects_an_overlong_search_with_its_field"
    ),
    "parallel wrong passwords": "tests/accounts/test_login.py::test_concurrent_attempts_do_not_allow_more_guesses",
    "missing key file": "tests/database/test_lost_key.py::test_a_start_without_the_key_keeps_everything_and_reports_it",
    "restored values": "tests/database/test_restored_values.py::test_an_invalid_setting_is_rejected_and_named",
    "tables of plugins in a restored database": (
        "tests/database/test_database_api.py::TestTablesOfPlugins::test_rows_that_would_be_lost_are_named_before"
    ),
    "changed key file": "tests/database/test_secrets.py::test_exchanged_key_deletes_nothing_until_that_is_confirmed",
    "password reset on the command line": (
        "tests/accounts/test_users.py::test_recovery_unlocks_an_account_and_ends_its_sessions"
    ),
    "a deleted or renamed `admin`": "tests/accounts/test_users.py::test_renamed_administrator_is_not_created_again",
    "`POST /api/configuration/backup-settings`": (
        "tests/notifications/test_configuration_api.py::TestJobs::test_unknown_keys_are_returned"
    ),
    "`audit-log/cleanup` with an unreadable body": (
        "tests/audit/test_audit_api.py::TestCleanup::test_a_malformed_body_deletes_nothing"
    ),
    "several jobs overdue at one check": "tests/schedules/test_overdue_check.py::TestSeveralJobs::test_they_share_a_message",
    "`{log_text}` of messages": "tests/notifications/test_messages.py::test_the_log_has_errors_before_warnings_and_each_reason_once",
    "lines of a template whose placeholders are all blank": (
        "tests/notifications/test_templates.py::test_lines_without_any_value_are_left_out_of_a_message"
    ),
    "recovery of a job": "tests/notifications/test_recoveries.py::test_an_overdue_job_that_runs_is_notified_as_recovered_once",
    "unusual runs, destinations that will be full": (
        "tests/insight/test_insight_api.py::test_the_message_about_an_unusual_run_is_enabled_and_disabled"
    ),
    "mutes, quiet hours, missing reports, failing channels": "tests/notifications/test_alarms_api.py::test_a_mute_is_set_listed_and_ended",
    "audit log of a limited account": (
        "tests/audit/test_audit_api.py::test_an_account_limited_to_some_servers_reads_its_own_actions_only"
    ),
    "`POST /api/notifications/check-overdue` of a limited account": (
        "tests/accounts/test_limited_accounts_pages.py::test_an_overdue_check_counts_jobs_of_assigned_servers_only"
    ),
    "restore": "tests/database/test_database_api.py::TestRejected::test_a_script_that_does_more_than_a_dump",
    "backups, retention, compaction, integrity check": (
        "tests/database/test_local_backups_api.py::test_a_backup_is_created_listed_downloaded_restored_and_deleted"
    ),
    "an old installation": "tests/legacy_import/test_import_api.py::test_a_file_uploaded_in_parts_is_imported_and_reported",
    "database backup and restore on PostgreSQL": (
        "tests/database/test_local_backups_api.py::TestOnPostgres::test_sqlite_functions_are_rejected_with_the_alternative"
    ),
    "cron-config, and tasks stopped or started by `/api/cron/*`": (
        "tests/faults/test_shared_schedule.py::test_changes_reach_the_process_that_runs_the_jobs"
    ),
    "`/api/cron/*`": "tests/schedules/test_cron_api.py::TestScheduler::test_health_names_the_tasks_and_their_last_runs",
    "an unknown preset of the check interval": "tests/schedules/test_cron_api.py::TestInterval::test_another_interval_is_rejected",
    "ids and names in reports": (
        "tests/reports/test_parser.py::test_identity_of_255_characters_is_kept_and_a_longer_one_shortened_with_a_hash"
    ),
    "a report without `machine-id` or `backup-id`": (
        "tests/backups/test_identities.py::TestWithoutAnId::test_the_only_server_of_the_name_gets_the_run"
    ),
    "the same run as JSON, as plain text and from collecting": (
        "tests/database/test_copies.py::test_a_run_in_the_other_format_is_accepted_and_not_stored_again"
    ),
    "posts of `--http-report-status-url` at `/api/upload`": (
        "tests/reports/test_upload_api.py::TestAnswers::test_every_recorded_status_of_a_running_operation_is_accepted_and_not_stored"
    ),
    "a rejected upload that is repeated": "tests/reports/test_rejected.py::test_retries_of_one_report_are_kept_once",
    "an exception with inner exceptions as `Data`": (
        "tests/reports/test_parser.py::test_reason_within_an_exception_is_kept"
    ),
    "log lines with dots in the time, or with another calendar": (
        "tests/reports/test_parser.py::test_warnings_are_found_after_prefixes_with_every_time_separator"
    ),
    "`BeginTime` of a day that does not exist (`2026-02-30`)": (
        f"{STRICTER}test_a_begin_on_a_day_that_does_not_exist_is_rejected_with_its_name"
    ),
    "`Duration` `5` or `12:34`": f"{STRICTER}test_a_duration_of_another_form_is_rejected_with_its_name",
    "machine-id that is a number": f"{STRICTER}test_a_numeric_machine_id_is_found_by_its_digits",
    "`ExaminedFiles` below 0, or with a fraction": f"{STRICTER}test_a_count_of_files_is_a_whole_number_of_0_or_more",
    "`Extra` that is a list or a text": (
        f"{STRICTER}test_an_extra_section_that_is_no_object_is_rejected_without_a_list_of_fields"
    ),
    "`alias` that is not a text": f"{STRICTER}test_an_alias_that_is_no_text_is_rejected_and_nothing_changes",
    "email `host` that is blank": f"{STRICTER}test_an_email_server_without_a_name_is_rejected",
    "email `hasPassword` without a password": (
        f"{STRICTER}test_has_password_of_the_email_settings_is_false_without_a_password"
    ),
    '`{"ntfy": {}}`': f"{STRICTER}test_ntfy_settings_without_an_address_are_rejected",
    "`backupSettings` that is a list or a text": f"{STRICTER}test_settings_of_jobs_that_are_no_map_are_rejected",
    "days of the audit log's retention with a fraction": (
        f"{STRICTER}test_a_retention_of_the_audit_log_that_is_no_whole_number_is_rejected"
    ),
    "`allowedWeekDays`": f"{STRICTER}test_weekdays_are_in_order",
    "`startDate`, `endDate` of the audit log with a time": "tests/audit/test_audit_api.py::test_days_are_whole_utc_days",
    "405": f"{STRICTER}test_an_unsupported_method_is_json_with_the_supported_ones",
    "body of a redirect from a trailing slash": (f"{STRICTER}test_a_trailing_slash_redirects_to_the_url_without_it"),
    "`sessions_cleared_on_startup` in the audit log": f"{STRICTER}test_a_start_does_not_change_the_audit_log",
    "API keys": "tests/accounts/test_keys_api.py::test_script_changes_settings_without_session_and_token",
    "rates by address": "tests/accounts/test_client_addresses.py::test_addresses_of_one_ipv6_subscriber_are_counted_together",
    "servers and jobs without runs in the weekly clean-up": (
        "tests/database/test_maintenance.py::test_only_a_cleanup_with_deletions_is_audited"
    ),
    "runs that start at the same time in a merge": "tests/backups/test_merging.py::test_run_at_the_same_time_is_kept_once",
    "merging servers whose jobs share a name, settings": "tests/backups/test_merging.py::test_settings_of_the_target_are_unchanged",
    "a report without `Data`": "tests/reports/test_parser.py::test_empty_report_is_no_failed_run",
    "`page` and `limit` that are not numbers": (
        "tests/accounts/test_users_api.py::TestList::test_invalid_number_counts_as_missing"
    ),
    "a slash in a name, sent as `%2F`": "tests/web/test_routing.py::test_a_name_in_a_url_is_received_unchanged",
    "errors of `/api/auth/*` without a code in the original": (
        "tests/accounts/test_sign_in_api.py::test_unreadable_body_has_a_code"
    ),
    "charts in the pages": "tests/backups/test_detail_pages.py::test_the_range_limits_the_points_of_a_chart",
    "log of a run": "tests/backups/test_detail_pages.py::TestLog::test_first_thousand_lines_are_shown_with_a_link_to_all",
    "`/status/<link>`": ("tests/sharing/test_status_page.py::test_page_opens_by_its_link_without_signing_in"),
    "heartbeat bars": "tests/backups/test_dashboard_pages.py::test_a_missed_run_is_a_gap_in_the_heartbeat_bar",
    "dashboard": "tests/backups/test_dashboard_pages.py::test_a_tag_of_a_server_or_of_a_job_filters",
    "collect: connection": "tests/collector/test_collect.py::test_either_generation_returns_server_runs_and_schedules",
    "collect: a bad log entry": (
        "tests/collector/test_collect.py::test_invalid_entry_is_counted_with_its_reason_and_affects_no_other"
    ),
    "collect: name of the server": "tests/collector/test_collect_real.py::TestIdentity::test_nothing_is_renamed",
    "collect: log": "tests/collector/test_collect.py::test_log_of_720_entries_is_read_whole_each_time",
    "collect: a running job, a synchronisation": (
        "tests/collector/test_collect_real.py::test_failing_additional_requests_send_no_notification"
    ),
    "collect: host name that Duplicati rejects": (
        "tests/collector/test_collect_real.py::TestHostName::test_a_rejected_name_is_retried_by_address"
    ),
    "collect: requests": "tests/collector/test_collect_real.py::TestLogin::test_login_is_not_remembered_by_the_server",
    "collect: request headers": "tests/backups/test_server_headers.py::test_another_address_gets_no_headers",
    "collect: stored URL": "tests/collector/test_collect.py::test_only_administrators_change_the_address_of_a_server",
    "sync-schedule of an unknown server": (
        "tests/collector/test_collect.py::test_schedules_of_an_unknown_server_are_not_stored"
    ),
    "collect, several servers and automatically": "tests/collector/test_collect_api.py::test_collection_is_polled_until_it_ends",
    "display settings, last tab, collapsed sidebar": (
        "tests/backups/test_dashboard_pages.py::test_the_view_is_remembered_with_the_account"
    ),
    "unlocking an account": "tests/accounts/test_users_api.py::test_a_locked_account_is_unlocked_early",
    "`/api/audit-log`": "tests/audit/test_audit_api.py::test_search_matches_a_part_of_a_text_in_any_case",
    "maximum report size, public URL": (
        "tests/reports/test_rejected_reports_api.py::test_the_size_of_uploads_can_be_set_and_reset_to_the_environment"
    ),
    "invalid events, weekdays, ntfy URLs and topics": (
        "tests/notifications/test_configuration_api.py::TestNtfy::test_an_invalid_destination_is_rejected"
    ),
    "ntfy destination: unused keys": (
        "tests/notifications/test_configuration_api.py::TestNtfy::test_unused_keys_are_left_out"
    ),
    "messages to ntfy": f"{NTFY}::TestNtfy::test_json_is_published_to_the_root_of_the_server",
    "statuses in `audit-log/filters`": "tests/audit/test_audit_api.py::test_filters_list_existing_values",
    "flags such as `hasPassword` in the audit log": (
        "tests/audit/test_audit.py::test_a_flag_about_a_secret_is_not_masked"
    ),
    "a restore of more than 200 MiB": "tests/database/test_database_api.py::TestRejected::test_a_file_above_the_limit",
    "SQL dump": "tests/database/test_database_api.py::test_a_script_creates_the_same_tables_rows_and_indexes",
    "downloaded backups of the database": (
        "tests/database/test_database_api.py::test_a_backup_is_an_intact_database_with_a_descriptive_name"
    ),
    "bodies by route": "tests/test_server.py::test_body_over_the_limit_of_its_route_is_rejected",
    "values and levels of JSON": "tests/reports/test_lenient_json.py::test_maximum_number_of_values_is_accepted_and_one_more_is_rejected",
    "`Content-Length` together with `Transfer-Encoding`": (
        "tests/test_server.py::test_content_length_and_chunks_exclude_each_other"
    ),
    "NUL in a body, query or URL": "tests/web/test_errors.py::TestNul::test_body_with_nul_is_rejected",
    "texts of runs in lists (`/api/servers/:id`, `/api/detail`)": (
        "tests/backups/test_servers_api.py::test_runs_of_a_server_and_their_points"
    ),
    "body of `/api/cron/*` POST": "tests/schedules/test_cron_api.py::TestScheduler::test_body_is_optional",
}


def rows(manual: Path) -> list[str]:
    """Return the first cell of each row of each table."""
    lines = [line for line in manual.read_text().splitlines() if line.startswith("| ")]
    return [cell for line in lines if (cell := line.split(" | ")[0].removeprefix("| ")) not in HEADINGS]


@cache
def names_of(file: str) -> set[str]:
    """Return the tests of a file, those of a class with its name as prefix."""
    found = set()
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
    return found


def test_every_deviation_has_a_test_and_every_test_its_deviation():
    assert sorted(rows(MANUAL)) == sorted(TESTS)


def test_every_named_test_exists():
    named = {test: test.partition("::") for test in TESTS.values()}
    assert [test for test, (file, _, name) in named.items() if name not in names_of(file)] == []
