"""The error codes of the application, with their texts. A new error is a line here and `Refused("its_code")`.

`docs/errors.md` lists them; a test compares the list, the codes and the sources. Sentences are part of the API where
docs/compatibility prescribes them. Texts of pages are marked for translation, and so are sentences that pages show.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from app.plugin import N_, NP_, ErrorText, Refused, declare_errors

__all__ = [
    "TEXTS",
    "ErrorText",
    "InputText",
    "InputTooLarge",
    "Refused",
    "declare_errors",
    "dump_refusal",
    "load_refusal",
]


class InputTooLarge(Refused):
    """What was sent is, or unpacks to, more than is accepted."""


TOO_MANY_TESTS = N_("Too many test notifications were sent. Try again in a minute.")
URL_INVALID = N_("Enter a URL that starts with http:// or https://.")

TEXTS: dict[str, ErrorText] = {
    # Requests
    "not_found": ErrorText("Not found", 404, page=N_("Check the URL. The page may have been deleted.")),
    "bad_request": ErrorText("The request cannot be understood", page=N_("Invalid request.")),
    "method_not_allowed": ErrorText("Method not allowed", 405, page=N_("This URL cannot be opened directly.")),
    "request_too_large": ErrorText("The request is too large", 413, page=N_("The upload is too large.")),
    "http_error": ErrorText("%(name)s"),
    "input_invalid": ErrorText("%(sentence)s"),
    "body_not_json": ErrorText("The request body is not valid JSON"),
    "body_not_an_object": ErrorText("The request body must be a JSON object"),
    "body_with_nul": ErrorText("A string in the request body contains a NUL character, which cannot be stored"),
    "query_with_nul": ErrorText(N_("The query contains a NUL character, which cannot be searched for")),
    "search_too_long": ErrorText(
        "search: at most %(most)s characters", page=N_("The search can have at most %(most)s characters.")
    ),
    "text_too_long": ErrorText(
        "%(name)s: must not be longer than %(most)s characters", page=N_("Enter at most %(most)s characters.")
    ),
    "value_not_storable": ErrorText(
        N_("The request contains a string or number that cannot be stored"),
    ),
    "conflicting_change": ErrorText(
        "Someone else just changed this; reload and try again",
        503,
        page=N_("Someone else just changed this. Reload and try again."),
    ),
    "unexpected": ErrorText(
        "Something unexpected went wrong; the application log has the details",
        500,
        page=N_("Unexpected error. See the application log for details."),
    ),
    # Faults of the database
    "database_unreachable": ErrorText(
        "The database cannot be reached at the moment",
        503,
        page=N_("The database cannot be reached. Try again later."),
        wire="DATABASE_NOT_READY",
    ),
    "database_locked": ErrorText(
        "The database is busy or locked at the moment",
        503,
        page=N_("The database is busy or locked. Try again later."),
        wire="DATABASE_NOT_READY",
    ),
    "database_damaged": ErrorText(
        "The database is damaged; restore a backup",
        503,
        page=N_("The database is damaged. An administrator must restore a backup."),
        wire="DATABASE_NOT_READY",
    ),
    "database_read_only": ErrorText(
        "The database cannot be written",
        503,
        page=N_("The database is read-only. An administrator must check the permissions of its directory."),
        wire="DATABASE_NOT_READY",
    ),
    "disk_full": ErrorText(
        "The disk is full, so nothing can be stored",
        503,
        page=N_("The disk is full, so nothing can be stored. An administrator must free up space."),
        wire="DATABASE_NOT_READY",
    ),
    "disk_error": ErrorText(
        "The disk of the database cannot be read or written",
        503,
        page=N_("The disk of the database cannot be read or written. An administrator must check it."),
        wire="DATABASE_NOT_READY",
    ),
    "database_schema": ErrorText(
        "The database lacks tables or columns that this version needs",
        503,
        page=N_("The database lacks tables or columns that this version needs. Run “duplistatus doctor” to list them."),
        wire="DATABASE_NOT_READY",
    ),
    # Access
    "ip_not_allowed": ErrorText(
        "Your address is not allowed here",
        403,
        page=N_("Access from your IP address is not allowed."),
        wire="IP_NOT_ALLOWED",
    ),
    "client_address_unknown": ErrorText(
        "Your address is unknown: the proxy on the host of duplistatus is not listed in IP_TRUSTED_PROXIES",
        403,
        page=N_("Your IP address is unknown. Add the proxy on the host of duplistatus to IP_TRUSTED_PROXIES."),
        wire="IP_NOT_ALLOWED",
    ),
    "probe_rate_limited": ErrorText(
        "Too many probes from this address, try again later", 429, wire="PROBE_RATE_LIMITED"
    ),
    "too_many_requests": ErrorText(N_("Too many requests from this address, try again later"), 429),
    "api_key_required": ErrorText("A valid API key is required: ?api_key=…, X-Api-Key or Authorization: Bearer", 401),
    "api_key_without_scope": ErrorText("This API key does not have the scope '%(scope)s'", 403),
    "api_key_without_account": ErrorText("API keys have no account and no password", 403),
    "no_access_rule": ErrorText(N_("No access rule covers this URL"), 403),
    "csrf_token_required": ErrorText("CSRF token required", 403),
    "csrf_token_invalid": ErrorText(
        "Invalid CSRF token", 403, page=N_("This page has expired and nothing was saved. Reload it and try again.")
    ),
    "session_invalid": ErrorText("Invalid or expired session", 401),
    "authentication_required": ErrorText("Authentication required", 401),
    "password_change_required": ErrorText(
        N_("The password must be changed first"), 403, wire="PASSWORD_CHANGE_REQUIRED"
    ),
    "administrator_required": ErrorText(
        "Administrator access required", 403, page=N_("Only administrators may do this.")
    ),
    "selected_servers_only": ErrorText(
        "This account can see selected servers only", 403, page=N_("This account can only see selected servers.")
    ),
    # Signing in
    "required_credentials": ErrorText(
        "Username and password are required",
        page=N_("Enter your username and your password."),
        wire="REQUIRED_CREDENTIALS",
    ),
    "invalid_credentials": ErrorText(
        "Invalid username or password",
        401,
        page=N_("The username or the password is wrong."),
        wire="INVALID_CREDENTIALS",
    ),
    "account_locked": ErrorText(
        "The account is locked after too many wrong passwords; try again in %(num)s minutes",
        403,
        page=NP_(
            "The account is locked after too many wrong passwords; try again in %(num)d minute.",
            "The account is locked after too many wrong passwords; try again in %(num)d minutes.",
        ),
        wire="ACCOUNT_LOCKED",
    ),
    "too_many_attempts": ErrorText(
        "Too many sign-in attempts; try again later",
        429,
        page=N_("Too many wrong passwords. Wait a few minutes and try again."),
        wire="TOO_MANY_ATTEMPTS",
    ),
    "database_not_ready": ErrorText(
        "The database is not ready",
        503,
        page=N_("The database is not ready; try again in a moment."),
        wire="DATABASE_NOT_READY",
    ),
    "no_active_session": ErrorText("There is no active session", wire="NO_ACTIVE_SESSION"),
    "session_cookie_missing": ErrorText("No session cookie", 401),
    "session_id_missing": ErrorText("No session id", 401),
    # Passwords
    "new_password_required": ErrorText(
        "New password is required", page=N_("Enter a new password."), wire="NEW_PASSWORD_REQUIRED"
    ),
    "current_password_incorrect": ErrorText(
        "Current password is incorrect",
        401,
        page=N_("The current password is wrong."),
        wire="CURRENT_PASSWORD_INCORRECT",
    ),
    "new_password_same_as_current": ErrorText(
        "The new password must differ from the current one",
        page=N_("The new password must differ from the current one."),
        wire="NEW_PASSWORD_SAME_AS_CURRENT",
    ),
    "policy_not_met": ErrorText(
        "New password does not meet policy requirements", page="%(problems)s", wire="POLICY_NOT_MET"
    ),
    "password_policy_not_met": ErrorText("Password does not meet policy requirements", page="%(problems)s"),
    "password_too_weak": ErrorText("%(problems)s"),
    "password_is_default": ErrorText(
        "Cannot use the default password. Please choose a different password",
        page=N_("The default password cannot be used. Choose a different password."),
    ),
    "password_too_short": ErrorText(
        "Password must be at least %(num)s characters long",
        page=NP_("The password needs at least %(num)d character.", "The password needs at least %(num)d characters."),
    ),
    "password_without_upper": ErrorText(
        "Password must contain at least one uppercase letter (A-Z)",
        page=N_("The password needs an upper-case letter (A-Z)."),
    ),
    "password_without_lower": ErrorText(
        "Password must contain at least one lowercase letter (a-z)",
        page=N_("The password needs a lower-case letter (a-z)."),
    ),
    "password_without_digit": ErrorText(
        "Password must contain at least one number (0-9)", page=N_("The password needs a digit (0-9).")
    ),
    # Accounts
    "user_not_found": ErrorText(
        "User not found", 404, page=N_("This account no longer exists."), wire="USER_NOT_FOUND"
    ),
    "username_unknown": ErrorText("There is no user '%(name)s'", 404),
    "username_length": ErrorText(
        "Username must be between %(least)s and %(most)s characters",
        page=N_("Enter a username of %(least)s to %(most)s characters."),
    ),
    "username_taken": ErrorText(
        "Username already exists", 409, page=N_("This username is already in use. Enter a different one.")
    ),
    "account_server_unknown": ErrorText(
        "serverIds: server '%(server)s' does not exist", page=N_("A selected server no longer exists.")
    ),
    "own_account_kept": ErrorText("Cannot delete your own account", page=N_("You cannot delete your own account.")),
    "last_admin_kept": ErrorText(
        "Cannot delete the last admin account", page=N_("The last administrator cannot be deleted.")
    ),
    "last_admin_demoted": ErrorText(
        "The last admin account must remain an administrator",
        page=N_("The last administrator must remain an administrator."),
    ),
    # API keys
    "key_not_found": ErrorText(N_("API key not found"), 404),
    "key_name_missing": ErrorText(
        "name: enter a name that identifies the client", page=N_("Enter a name that describes who uses the key.")
    ),
    "key_name_too_long": ErrorText("name: %(most)s characters at most", page=N_("Enter at most %(most)s characters.")),
    "key_scope_unknown": ErrorText("scope: expected one of %(scopes)s", page=N_("Select a permission from the list.")),
    "key_day_too_late": ErrorText("lastValidDay: enter an earlier day, or none", page=N_("Enter an earlier date.")),
    "key_day_passed": ErrorText(
        "lastValidDay: must not be in the past", page=N_("This date has passed. Enter a later date.")
    ),
    "key_expired": ErrorText(
        "This key has expired; create a new one", page=N_("This key has expired. Create a new one.")
    ),
    # Network access
    "proxy_not_trusted": ErrorText(
        "Your own address is unknown because you connect through an untrusted proxy. No allow list would accept "
        "requests through it. Set IP_TRUSTED_PROXIES to the address from which the proxy connects, for example "
        "127.0.0.1",
        page=N_(
            "You connect through an untrusted proxy on the host of duplistatus, so your "
            "address is unknown and the allow lists reject it. Set IP_TRUSTED_PROXIES to "
            "the address from which the proxy connects, for example 127.0.0.1, and restart "
            "duplistatus."
        ),
        wire="PROXY_NOT_TRUSTED",
    ),
    "own_address_missing": ErrorText(
        "Your own address %(address)s is not in the list, so you would lock yourself out",
        page=N_("Your own address %(address)s is not in the list. Add it, or you will lock yourself out."),
    ),
    "network_invalid": ErrorText(
        "networks: '%(network)s' is not an address or a network such as 192.0.2.0/24",
        page=N_("“%(network)s” is not an address or a network such as 192.0.2.0/24."),
    ),
    # Audit log and application log
    "no_logs_to_export": ErrorText(N_("No logs to export")),
    "audit_entry_not_found": ErrorText(N_("Audit entry not found"), 404),
    "log_number_invalid": ErrorText("Invalid rotated file number"),
    "log_file_invalid": ErrorText("Invalid file parameter format"),
    "log_file_missing": ErrorText(N_("Failed to export logs"), 500),
    # Servers, jobs and runs
    "server_not_found": ErrorText("Server not found", 404, page=N_("Server not found. It may have been deleted.")),
    "job_not_found": ErrorText("Backup job not found", 404, page=N_("Backup job not found. It may have been deleted.")),
    "run_not_found": ErrorText("Backup not found", 404, page=N_("Run not found. It may have been deleted.")),
    "no_runs_of_job": ErrorText(N_('No backups found for "%(job)s" on this server'), 404),
    "target_server_not_found": ErrorText(
        "Target server not found", 404, page=N_("Server not found. It may have been deleted.")
    ),
    "no_duplicate_servers": ErrorText(N_("No duplicate servers with this name were found."), 404),
    "server_unknown": ErrorText("Server not found", 404),
    "server_name_ambiguous": ErrorText("Several servers are named '%(name)s'"),
    "url_invalid": ErrorText("Invalid URL format", page=URL_INVALID),
    "url_scheme": ErrorText("URL must use HTTP or HTTPS protocol", page=URL_INVALID),
    "address_forbidden": ErrorText(
        "%(host)s is a link-local, metadata or multicast address, which is not allowed",
        page=N_("Connections to this type of address are not allowed."),
    ),
    "too_many_tags": ErrorText("tags: at most %(most)s tags", page=N_("Enter at most %(most)s tags.")),
    "tag_too_long": ErrorText(
        "tags: a tag can have at most %(most)s characters", page=N_("A tag can have at most %(most)s characters.")
    ),
    "tag_with_comma": ErrorText("tags: a tag cannot contain a comma", page=N_("A tag cannot contain a comma.")),
    "quota_invalid": ErrorText(N_("Enter a size greater than 0.")),
    "limit_invalid": ErrorText("limit: expected a whole number"),
    "before_invalid": ErrorText("before: expected a time in ISO 8601"),
    "version_check_disabled": ErrorText(N_("The check for Duplicati versions is disabled")),
    # Charts
    "dates_invalid": ErrorText("Invalid date parameters"),
    "chart_not_found": ErrorText(N_("Chart not found"), 404),
    "chart_unknown": ErrorText("series: unknown chart '%(name)s'"),
    # Reports
    "report_duplicate": ErrorText("ignored, duplicated data", 409, page=N_("This run is already stored.")),
    "content_encoding_unknown": ErrorText(N_("Content-Encoding must be gzip, deflate or identity"), 415),
    "report_too_large": ErrorText(N_("The report is larger than %(most)s bytes"), 413),
    "json_too_many_values": ErrorText(N_("The JSON text contains more than %(most)s values"), 413),
    "json_too_deep": ErrorText(N_("The JSON text is nested more than %(most)s levels deep"), 413),
    "body_truncated": ErrorText(N_("The compressed body is truncated or followed by other data")),
    "body_not_decompressible": ErrorText(N_("The body is marked as compressed, but cannot be decompressed")),
    "form_truncated": ErrorText(N_("The form is truncated")),
    "form_too_many_fields": ErrorText(N_("The form has more than %(most)s fields")),
    "form_without_report": ErrorText(
        N_("The form has no field '%(name)s'; remove --send-http-message-parameter-name from Duplicati's options")
    ),
    "form_not_encoded": ErrorText(
        "The form is not URL-encoded: percent signs must be written as %%25",
        page=N_("The form is not URL-encoded: percent signs must be encoded."),
    ),
    "form_not_multipart": ErrorText(N_("The form cannot be read as multipart/form-data")),
    "form_headers_too_long": ErrorText(N_("The headers of a field are longer than %(most)s bytes")),
    "report_value_invalid": ErrorText(
        "%(path)s %(expected)s", page=N_("The field %(path)s of the report is invalid: %(expected)s.")
    ),
    "value_no_string": ErrorText("is not a string", page=N_("expected a string")),
    "value_too_long": ErrorText("is longer than %(most)s characters", page=N_("expected at most %(most)s characters")),
    "value_no_number": ErrorText("is not a number", page=N_("expected a number")),
    "value_too_large": ErrorText("is larger than can be stored", page=N_("the number is too large")),
    "value_no_list": ErrorText("is not a list of strings", page=N_("expected a list of strings")),
    "value_no_object": ErrorText("is not an object", page=N_("expected an object")),
    "value_no_date": ErrorText(
        "is not an ISO 8601 date such as 2026-11-20T02:00:01Z",
        page=N_("expected an ISO 8601 date such as 2026-11-20T02:00:01Z"),
    ),
    "value_no_duration": ErrorText(
        "is not a duration of the form [d.]hh:mm:ss[.fffffff]",
        page=N_("expected a duration of the form [d.]hh:mm:ss[.fffffff]"),
    ),
    "report_list_too_long": ErrorText(N_("%(path)s has more than %(most)s lines"), 413),
    "report_too_many_lines": ErrorText(N_("The report has more than %(most)s lines"), 413),
    "report_too_costly": ErrorText(N_("Reading the report takes too much time or memory"), 413),
    "report_date_localized": ErrorText(
        N_(
            "Data.BeginTime is missing or in a localized format: set Duplicati's option "
            "--send-http-result-output-format=Json"
        )
    ),
    "report_identity_missing": ErrorText(
        "The plain-text report does not name %(names)s: set Duplicati's option "
        "--send-http-result-output-format=Json, or leave --send-http-message alone, or add lines "
        "`machine-id: %%machine-id%%`, `backup-name: %%backup-name%%`, `backup-id: %%backup-id%%` and "
        "`machine-name: %%machine-name%%` to it",
        page=N_(
            "The plain-text report does not contain %(fields)s. Set Duplicati's option "
            "--send-http-result-output-format=Json, or leave --send-http-message unchanged."
        ),
    ),
    "report_operation_missing": ErrorText(N_("Only reports of backups are accepted: Data.MainOperation is missing")),
    "report_of_other_operation": ErrorText(
        N_("Only reports of backups are accepted: Data.MainOperation is not Backup")
    ),
    "report_not_an_object": ErrorText(N_("The report is JSON, but not an object with Data and Extra")),
    "report_data_not_an_object": ErrorText(N_("Data is not an object")),
    "report_extra_missing": ErrorText(N_("The section Extra is missing: send the whole JSON report")),
    "report_extra_not_an_object": ErrorText(N_("Extra is not an object")),
    "report_fields_missing": ErrorText(N_("These fields are missing in %(section)s: %(names)s")),
    "report_unreadable": ErrorText(
        N_(
            "The body is neither JSON nor a plain-text report of Duplicati: use --send-http-json-urls, or set "
            "--send-http-result-output-format=Json and leave --send-http-message alone"
        )
    ),
    "rejected_report_not_found": ErrorText(N_("Rejected report not found"), 404),
    "rejected_report_not_stored": ErrorText(N_("The body of this report could not be read and was not stored")),
    "upload_limit_range": ErrorText(
        "maxUploadMib: expected a whole number from %(least)s to %(most)s",
        page=N_("Enter a whole number from %(least)s to %(most)s."),
    ),
    "public_url_invalid": ErrorText(
        "publicUrl: %(reason)s",
        page=N_("Enter a URL that starts with http:// or https://, without a username, ? or #."),
    ),
    # Schedules
    "interval_invalid": ErrorText(
        "%(reason)s", page=N_("Invalid interval. Enter one such as 1D2h30m, with the units s m h D W M Y.")
    ),
    "interval_character": ErrorText(
        "'%(sign)s' is not allowed in an interval",
        page=N_("“%(sign)s” is not allowed in an interval. Enter one such as 1D2h30m."),
    ),
    "interval_zero": ErrorText(N_("The interval must be a whole number greater than 0.")),
    "weekday_missing": ErrorText(N_("Select at least one day.")),
    "tolerance_unknown": ErrorText(
        "'%(tolerance)s' is not a grace period", page=N_("Select a grace period from the list.")
    ),
    "frequency_unknown": ErrorText(
        "'%(frequency)s' is not a repeat interval", page=N_("Select a repeat interval from the list.")
    ),
    "check_interval_unknown": ErrorText(
        "'%(interval)s' is not an interval of the check", page=N_("Select an interval from the list.")
    ),
    "no_learned_schedule": ErrorText(N_("No schedule has been learned for this job yet"), 409),
    # Tasks
    "scheduler_not_running": ErrorText(
        "Cron service is not running",
        503,
        page=N_("Scheduled tasks are disabled in this process (RUN_JOBS=false)."),
    ),
    "task_unknown": ErrorText(N_("Unknown task: %(name)s"), 404),
    "task_change_failed": ErrorText("%(reason)s", 500),
    # Collecting
    "collect_failed": ErrorText("%(reason)s", 500),
    "answer_without_system_info": ErrorText(N_("The Duplicati server returned no readable system information"), 500),
    "answer_without_options": ErrorText(
        N_("The Duplicati server did not return its options, so its machine id is unknown"), 500
    ),
    "answer_without_machine_id": ErrorText(N_("The Duplicati server did not return its machine id"), 500),
    "answer_without_machine_name": ErrorText(N_("The Duplicati server did not return its machine name"), 500),
    "answer_name_too_long": ErrorText(
        N_("The Duplicati server has an id or a name longer than %(most)s characters"), 500
    ),
    "answer_without_jobs": ErrorText(N_("The Duplicati server did not return its backup jobs"), 500),
    "answer_without_job_id": ErrorText(N_("the list of jobs contains no id for it"), 500),
    "answer_log_unreadable": ErrorText(N_("its log is not a list of entries"), 500),
    "host_unknown": ErrorText(
        "The host name is not known", 500, page=N_("The host name cannot be resolved. Check the spelling.")
    ),
    "host_unreachable": ErrorText(
        "The host cannot be reached from here",
        500,
        page=N_("The host cannot be reached. Check the address and the network."),
    ),
    "connection_refused": ErrorText(
        "Connection refused; check the port", 500, page=N_("Connection refused. Check the port.")
    ),
    "connection_interrupted": ErrorText(
        "The connection was interrupted", 500, page=N_("The connection was interrupted.")
    ),
    "no_response_in_time": ErrorText(N_("No response within %(seconds)s seconds"), 500),
    "no_encrypted_connection": ErrorText(
        "No encrypted connection could be established; the server may support http only",
        500,
        page=N_("No encrypted connection could be established. The server may support http only."),
    ),
    "certificate_not_valid_yet": ErrorText(
        "The certificate is not good yet; perhaps a clock is wrong",
        500,
        page=N_("The certificate is not valid yet. Check the clocks."),
    ),
    "certificate_expired": ErrorText(N_("The certificate has expired"), 500),
    "certificate_of_another_host": ErrorText(
        "The certificate is one for another host name", 500, page=N_("The certificate is for another host name.")
    ),
    "certificate_not_trusted": ErrorText(
        "The certificate is not trusted; it may be self-signed",
        500,
        page=N_(
            "The certificate is not trusted. If it is self-signed, disable certificate verification for this server."
        ),
    ),
    "no_connection": ErrorText(N_("No connection to Duplicati at %(address)s\n%(scheme)s: %(reason)s"), 500),
    "no_connection_https": ErrorText(
        N_("No connection to Duplicati at %(address)s\nHTTPS: %(reason)s\nHTTP: %(http)s"), 500
    ),
    "http_not_tried": ErrorText(N_("Not tried; the password is sent unencrypted only if http is selected"), 500),
    "http_possible": ErrorText(
        "A Duplicati answers there without encryption; choose http to send it the password in clear",
        500,
        page=N_("A Duplicati answers there without encryption; select http to send it the password unencrypted."),
    ),
    "sign_in_redirected": ErrorText(
        "The server sends the login on to another address, to which no password is sent",
        500,
        page=N_("The server redirects the sign-in to another URL. Enter that URL instead."),
    ),
    "not_duplicati": ErrorText(
        "What answers there is no Duplicati (status %(http_status)s)",
        500,
        page=N_("This address is not a Duplicati server (status %(http_status)s)."),
    ),
    "sign_in_failed": ErrorText("Login failed: %(phrase)s", 500, page=N_("The sign-in failed: %(phrase)s")),
    "no_token_received": ErrorText(
        "No authentication token received", 500, page=N_("Unexpected reply. Is this a Duplicati server?")
    ),
    "host_name_rejected": ErrorText(
        "This Duplicati rejects the host name %(host)s: allow it with --webservice-allowed-hostnames "
        "(DUPLICATI__WEBSERVICE_ALLOWED_HOSTNAMES), or use its IP address",
        500,
        page=N_(
            "This Duplicati rejects the host name. Allow it with "
            "--webservice-allowed-hostnames (DUPLICATI__WEBSERVICE_ALLOWED_HOSTNAMES), or "
            "use its IP address."
        ),
    ),
    # What was requested: a part of the next four.
    "request_of_system_info": ErrorText("the facts about the server", page=N_("system information")),
    "request_of_settings": ErrorText("the settings of the server", page=N_("server settings")),
    "request_of_jobs": ErrorText("the list of backup jobs", page=N_("list of backup jobs")),
    "request_of_job_settings": ErrorText("the settings of the job", page=N_("job settings")),
    "request_of_log": ErrorText("the log", page=N_("log of the job")),
    "request_of_versions": ErrorText("the list of versions", page=N_("list of versions")),
    "request_of_state": ErrorText("the state of the server", page=N_("server state")),
    "request_of_task": ErrorText("the running task", page=N_("running task")),
    "request_of_start": ErrorText("the start of the backup", page=N_("start of the job")),
    "request_failed": ErrorText(
        "The request for %(what)s failed: %(reason)s", 500, page=N_("The request (%(what)s) failed: %(reason)s")
    ),
    "request_answered": ErrorText(
        "Failed to get %(what)s: %(phrase)s", 500, page=N_("The server rejected the request (%(what)s): %(phrase)s")
    ),
    "response_not_json": ErrorText(
        "Failed to get %(what)s: the response is empty or not JSON",
        500,
        page=N_("The response is empty or not JSON (%(what)s)"),
    ),
    "response_too_large": ErrorText(
        "Failed to get %(what)s: the response is too large", 500, page=N_("The response is too large (%(what)s)")
    ),
    "job_log_too_large": ErrorText(N_("The log is too large to be read"), 500),
    "job_skipped": ErrorText(N_("skipped because the server stopped responding"), 500),
    "job_settings_skipped": ErrorText(N_("settings skipped because the server stopped responding"), 500),
    "job_unknown_to_duplicati": ErrorText(
        "The Duplicati server no longer has a backup job of this name",
        500,
        page=N_("The server no longer has a backup job with this name."),
    ),
    # Problems of a collection that stored the rest
    "problem_of_job": ErrorText(N_("%(job)s: %(reason)s")),
    "job_without_name": ErrorText(N_("Entry %(number)s of the list of jobs has no name")),
    "server_not_known_yet": ErrorText(
        N_("its server is not known yet; the schedule is saved when a run of it is stored")
    ),
    "logs_not_collected_yet": ErrorText(N_("this server is not known yet; collect its logs first")),
    # The test of a connection
    "no_response_to_test": ErrorText(N_("The server did not answer within %(seconds)s seconds")),
    "no_secure_connection": ErrorText(
        N_("No secure connection: check the certificate of the server, or try http instead of https")
    ),
    "no_connection_to_server": ErrorText(N_("No connection to the server: check host and port, or try %(scheme)s")),
    "answer_unlike_duplicati": ErrorText(
        "The server answered with status %(http_status)s, which is not what Duplicati does",
        page=N_("This address is not a Duplicati server (status %(http_status)s)."),
    ),
    "server_url_missing": ErrorText(N_("Enter a URL first.")),
    "collected_data_missing": ErrorText(N_("No data was kept for this server"), 404),
    "collect_interval_unknown": ErrorText("Unknown interval", page=N_("Select an interval from the list.")),
    "no_collectable_server": ErrorText(N_("No server can be collected from: store a URL and a password first")),
    "too_many_servers": ErrorText(N_("At most %(most)s servers at once")),
    "too_many_collections": ErrorText(N_("Too many collections are running; try again later"), 409),
    "collection_not_found": ErrorText(N_("Collection not found or expired"), 404),
    "server_without_job": ErrorText(N_("This server has no such backup job"), 404),
    "server_not_visible": ErrorText(
        N_("This account can see selected servers only, and this server is not one of them"), 403
    ),
    "server_password_missing": ErrorText(
        N_("No password is stored for this server: give a host name and a password, or store one"), 404
    ),
    "server_password_unreadable": ErrorText(
        "The stored password cannot be read, since the master key has changed; enter it again",
        page=N_("The stored password cannot be read because the key file has changed. Enter it again."),
    ),
    "server_headers_unreadable": ErrorText(
        "The stored headers cannot be read, since the master key has changed; enter them again",
        page=N_("The stored headers cannot be read because the key file has changed. Enter them again."),
    ),
    "stored_url_invalid": ErrorText("%(reason)s", page=URL_INVALID),
    "host_name_missing": ErrorText(N_("A host name is required")),
    "host_name_invalid": ErrorText(N_("Invalid host name or port")),
    "password_missing": ErrorText("A password is required", page=N_("Enter the password.")),
    # Notification channels and tests
    "channel_not_found": ErrorText(N_("Channel not found"), 404),
    "channel_type_unknown": ErrorText(N_("No channel type '%(name)s' is installed"), 404),
    "channel_kind_unknown": ErrorText("No notification channel of type '%(name)s' is installed", 404),
    "channel_name_length": ErrorText(N_("Enter a name of at most %(most)s characters.")),
    "channel_name_taken": ErrorText(N_("Another channel has this name. Choose a different one."), 409),
    "channel_settings_invalid": ErrorText("%(label)s: %(reason)s"),
    "channel_secret_kept": ErrorText("%(label)s: Enter it again: the stored one was meant for another server."),
    "channel_incomplete": ErrorText(N_("The settings are not complete yet.")),
    "channel_secrets_unreadable": ErrorText(
        N_("The stored secrets were encrypted with another key file; enter them again.")
    ),
    "channel_settings_outdated": ErrorText(N_("The stored settings do not match the current plugin; save them again.")),
    "email_not_configured": ErrorText(N_("Email is not configured")),
    "email_not_configured_or_given": ErrorText("Email is not configured, and no configuration was given"),
    "no_smtp_to_delete": ErrorText("No SMTP configuration found to delete", 404),
    "no_usable_channel": ErrorText(N_("No channel is enabled and configured.")),
    "notification_test_failed": ErrorText("Failed to send test notification: %(reason)s", 500),
    "ntfy_configuration_missing": ErrorText("NTFY configuration is required"),
    "ntfy_url_or_topic_missing": ErrorText("NTFY URL and topic are required"),
    "ntfy_url_invalid": ErrorText("NTFY URL: %(reason)s", page=URL_INVALID),
    "template_missing": ErrorText("Template is required for template type"),
    "too_many_tests": ErrorText("Too many test notifications; try again later", 429, page=TOO_MANY_TESTS),
    # Notifications of jobs, templates, mutes and summaries
    "notification_event_unknown": ErrorText("'%(event)s' is not an event", page=N_("Select an event from the list.")),
    "delivery_not_found": ErrorText(N_("Delivery not found"), 404),
    "delivery_not_repeatable": ErrorText(
        "This notification is %(state)s; only waiting or failed ones can be sent again",
        409,
        page=N_("Only waiting or failed notifications can be sent again."),
    ),
    "job_or_server_not_found": ErrorText(N_("Job or server not found"), 404),
    "destinations_invalid": ErrorText("%(reason)s"),
    "nothing_to_change": ErrorText(N_("Nothing to change. Select jobs and the settings to change.")),
    "no_topic_to_test": ErrorText(N_("No topic to send a test to. Save a topic first.")),
    "no_address_to_test": ErrorText(N_("No email address to send a test to. Save an address first.")),
    "placeholder_unknown": ErrorText("%(path)s: %(reason)s"),
    "mute_end_passed": ErrorText(
        "until: must be in the future and after the beginning", page=N_("Enter an end in the future.")
    ),
    "mute_too_long": ErrorText(
        "until: a mute can last at most %(days)s days", page=N_("A mute can last at most %(days)s days.")
    ),
    "mute_note_too_long": ErrorText(
        "note: must have fewer than %(most)s characters", page=N_("Enter a note of fewer than %(most)s characters.")
    ),
    "not_muted": ErrorText(N_("Not muted"), 404),
    "summary_without_email": ErrorText(N_("Email is disabled or not configured, so no summary can be sent.")),
    "digest_without_channels": ErrorText(
        N_("None of the selected channels is enabled and configured, so no digest can be sent.")
    ),
    "digest_period_unknown": ErrorText(
        "The period must be off, weekly or monthly", page=N_("Select a period from the list.")
    ),
    "digest_weekday_unknown": ErrorText(
        "The weekday must be a number from 0 (Sunday) to 6 (Saturday)", page=N_("Select a weekday from the list.")
    ),
    "digest_channel_unknown": ErrorText(
        "One of these channels does not exist", page=N_("One of these channels no longer exists. Select another one.")
    ),
    "digest_channel_missing": ErrorText("Select at least one channel", page=N_("Select at least one channel.")),
    "email_address_invalid": ErrorText(
        "'%(address)s' is not an email address", page=N_("“%(address)s” is not an email address.")
    ),
    "time_of_day_invalid": ErrorText(
        "Enter a time of day such as 07:30", page=N_("Enter a time of day such as 07:30.")
    ),
    # Publishing
    "badge_slug_invalid": ErrorText(
        "slug: 2 to 64 letters, digits, - and _, beginning with a letter or a digit",
        page=N_("Enter 2 to 64 letters, digits, - and _, starting with a letter or digit."),
    ),
    "badge_slug_taken": ErrorText(
        "slug: already used by another badge", 409, page=N_("Another badge uses this name. Enter a different one.")
    ),
    "badge_server_missing": ErrorText("serverId: required for the badge of a job"),
    "badge_subject_not_found": ErrorText(
        "There is no such server or job with runs",
        404,
        page=N_("This server or job no longer exists. Select another one."),
    ),
    "too_many_badges": ErrorText(
        "The limit of %(most)s badges is reached", page=N_("The limit of %(most)s badges is reached.")
    ),
    "badge_not_found": ErrorText(N_("Badge not found"), 404),
    "metrics_disabled": ErrorText(N_("Metrics are disabled"), 404),
    "status_title_too_long": ErrorText(
        "title: %(count)s characters at most", page=N_("The title is too long. Enter at most %(count)s characters.")
    ),
    "status_servers_missing": ErrorText(
        "servers: select at least one server or job, or show all",
        page=N_("Select at least one server or job, or all servers."),
    ),
    # Requests to other servers: the external monitor, and the newest versions
    "request_not_answered": ErrorText(N_("no answer within %(seconds)s seconds")),
    "request_not_secure": ErrorText(N_("no secure connection")),
    "request_not_connected": ErrorText(N_("no connection to the server")),
    "request_answered_with_status": ErrorText(N_("the server returned status %(http_status)s")),
    "request_answer_too_large": ErrorText(N_("the response is too large")),
    "answer_without_versions": ErrorText(N_("the answer names no version")),
    "failure_of_channel": ErrorText(N_("%(channel)s: %(reason)s")),
    # Plugins that cannot be used
    "plugin_no_api_group": ErrorText(N_("the entry point does not name an ApiGroup")),
    "plugin_group_names_differ": ErrorText(
        N_("entry point %(name)s, group %(group)s and blueprint %(blueprint)s differ")
    ),
    "plugin_no_subclass": ErrorText(N_("the entry point does not name a subclass of %(base)s")),
    "plugin_lacks_attributes": ErrorText(N_("%(plugin)s lacks %(names)s")),
    "plugin_lacks_definitions": ErrorText(N_("%(plugin)s does not define %(names)s")),
    "plugin_settings_invalid": ErrorText("%(reason)s", page=N_("The settings cannot be shown: %(reason)s")),
    "plugin_names_differ": ErrorText(N_("entry point %(name)s and class name %(class_name)s differ")),
    # Settings, and what is stored
    "setting_impossible": ErrorText(N_("The setting %(name)s has an impossible value: %(reason)s")),
    "stored_value_impossible": ErrorText("%(place)s"),
    "stored_value_invalid": ErrorText(N_("%(place)s: %(reason)s")),
    "value_of_column": ErrorText(N_("The table %(table)s has an impossible value in %(column)s")),
    "settings_of_channel": ErrorText(N_("The table channels has impossible settings of %(kind)s")),
    "value_of_setting": ErrorText(N_("The table settings has an impossible value of the setting %(name)s")),
    "stored_settings_no_object": ErrorText("expected an object"),
    "stored_settings_invalid": ErrorText("%(name)s: %(reason)s"),
    "stored_secret_not_encrypted": ErrorText("%(name)s: expected an encrypted value"),
    "setting_invalid": ErrorText("%(name)s: invalid value", page=N_("Invalid value.")),
    "setting_range": ErrorText(
        "%(name)s: must be from %(least)s to %(most)s",
        page=N_("Enter a whole number from %(least)s to %(most)s."),
    ),
    "monitor_service_unknown": ErrorText(
        "service: must be one of %(services)s", page=N_("Select a service from the list.")
    ),
    "monitor_url_missing": ErrorText(
        "Enter the URL of the external monitor first", page=N_("Enter the URL of the external monitor first.")
    ),
    "monitor_url_required": ErrorText("url: required", page=N_("Enter the URL shown by the service.")),
    "monitor_url_too_long": ErrorText(
        "url: must have at most %(most)s characters", page=N_("Enter at most %(most)s characters.")
    ),
    "monitor_url_invalid": ErrorText("url: %(reason)s", page=URL_INVALID),
    # Backups of the database
    "file_missing": ErrorText(N_("No file provided")),
    "backup_format_unknown": ErrorText("Invalid format: expected db or sql"),
    "database_backup_failed": ErrorText(N_("Failed to create the database backup"), 500),
    "local_backup_failed": ErrorText(N_("The backup could not be created: %(reason)s"), 500),
    "database_backup_not_found": ErrorText(N_("Database backup not found"), 404),
    "database_is_postgresql": ErrorText(
        N_("The database is PostgreSQL: use pg_dump and pg_restore on its server"), 501
    ),
    "no_room_for_safety_backup": ErrorText(
        N_("There is not enough free disk space for a safety backup of the database"), 500
    ),
    "no_room_for_compaction": ErrorText(N_("Not enough free disk space: compacting needs %(megabytes)s MB"), 500),
    "period_not_found": ErrorText(N_("Period not found"), 404),
    "rows_without_parent": ErrorText(
        "%(count)s rows of %(table)s belong to nothing",
        page=N_("%(count)s rows of the table %(table)s refer to rows that do not exist."),
    ),
    "damage_of_file": ErrorText("%(text)s"),
    "restore_failed": ErrorText(N_("Failed to restore database"), 500),
    "plugin_tables_lost": ErrorText(N_("These tables of plugins would be lost: %(tables)s. Nothing was changed"), 409),
    "file_format_unknown": ErrorText(N_("Unknown file format: expected a SQLite database or a SQL dump")),
    "file_is_the_database": ErrorText("%(path)s is the database itself, not a backup of it"),
    "file_without_its_wal": ErrorText(
        "%(name)s-wal next to the file contains its newest data, so the backup is not complete; move %(name)s-wal away "
        "to restore without them"
    ),
    "sql_file_empty": ErrorText(N_("SQL file is empty")),
    "sql_file_not_utf8": ErrorText(N_("The SQL file is not UTF-8 text")),
    "sql_too_slow": ErrorText(N_("it takes too long")),
    "sql_file_unreadable": ErrorText(N_("The SQL file cannot be read: %(reason)s")),
    "file_fails_integrity_check": ErrorText(N_("The file is damaged: its integrity check failed")),
    "file_not_intact": ErrorText(N_("The file is not an intact SQLite database")),
    "file_not_a_backup": ErrorText(N_("The file is not a backup of this program")),
    "file_not_duplistatus": ErrorText(N_("The file is not a duplistatus database: %(reason)s")),
    "file_of_original": ErrorText(
        N_(
            "This is a database of the original duplistatus, which is imported and not restored: use Import on the "
            "page of Database maintenance, or the command duplistatus import"
        )
    ),
    "file_of_newer_version": ErrorText(
        N_("The file was created by a newer version of duplistatus or by another program")
    ),
    "file_without_administrator": ErrorText(N_("The file contains no administrator, so nobody could sign in")),
    "file_with_virtual_table": ErrorText(
        N_("The file contains a virtual table (%(name)s): not a backup of duplistatus")
    ),
    "file_with_object": ErrorText(N_("The file contains a %(kind)s (%(name)s): not a backup of duplistatus")),
    "file_with_computed_columns": ErrorText(N_("The table %(name)s has computed columns: not a backup of duplistatus")),
    "file_with_computed_index": ErrorText(N_("The index %(name)s is computed: not a backup of duplistatus")),
    "file_with_dangling_rows": ErrorText(N_("Rows of the file refer to rows that do not exist")),
    "file_with_wrong_types": ErrorText(N_("The table %(table)s contains values of the wrong type: %(column)s")),
    "file_values_unreadable": ErrorText(N_("The file contains values that cannot be read: %(reason)s")),
    "file_without_columns": ErrorText(N_("The table %(table)s lacks %(columns)s")),
    # The key file
    "no_secrets_to_clear": ErrorText(N_("The key file decrypts all stored secrets: there is nothing to clear"), 409),
    "secret_format_unknown": ErrorText(N_("A stored secret has an unknown format"), 500),
    "secret_of_another_key": ErrorText(
        N_("A stored secret was encrypted with another master key; please enter it again"), 500
    ),
    "key_file_missing": ErrorText(N_("The master key file %(name)s is missing"), 503),
    "key_file_unreadable": ErrorText(N_("The master key file %(name)s cannot be read"), 503),
    "key_file_length": ErrorText(
        N_("The master key file %(name)s must contain %(expected)s bytes, but contains %(length)s"), 503
    ),
    "key_file_needed": ErrorText(
        "%(reason)s: %(remedy)s",
        503,
        page=N_("%(reason)s. Restore the right file, or clear the stored passwords under Database maintenance."),
    ),
    # Importing an older installation
    "import_key_length": ErrorText(N_("A key file contains %(expected)s bytes, this one contains %(length)s")),
    "import_key_unusable": ErrorText("%(reason)s"),
    "import_file_too_large": ErrorText(
        N_("The file is larger than %(gibibytes)s GiB: import it with the command"), 413
    ),
    "import_not_sqlite": ErrorText(N_("The file is not a SQLite database")),
    "no_room_for_import": ErrorText(N_("There is not enough free disk space for this file"), 500),
    "no_room_for_import_copy": ErrorText(
        N_("%(name)s exists next to the file, and there is not enough free space to copy both")
    ),
    "import_stopped": ErrorText(
        N_("The import stopped unexpectedly (%(kind)s); see the application log for details"), 500
    ),
    "import_running": ErrorText(N_("An import is running"), 409),
    "import_nothing_uploaded": ErrorText(N_("No database was uploaded"), 404),
    "no_older_installation": ErrorText(N_("No older installation found to import"), 404),
    "import_offset_unexpected": ErrorText("Unexpected offset: this is not the next chunk of the file", 409),
    "import_chunk_too_long": ErrorText("The chunk is longer than the announced file size"),
    "import_file_not_in_directory": ErrorText("There is no file %(name)s in this directory"),
    "import_file_not_found": ErrorText("File not found"),
    "import_file_unreadable": ErrorText(N_("The file cannot be read: %(reason)s")),
    "import_of_this_version": ErrorText(
        N_("The file is a database of this version of duplistatus: restore it instead of importing it")
    ),
    "import_not_duplistatus": ErrorText(
        N_("The file is not a database of duplistatus: it lacks the tables of servers and backups")
    ),
    "import_computed_columns": ErrorText(
        N_("The table %(table)s has computed columns, so the file is not a duplistatus database")
    ),
    "import_table_damaged": ErrorText(N_("The file is damaged: the table %(table)s does not pass SQLite's check")),
    "import_table_is_no_table": ErrorText(
        N_("%(table)s is a %(kind)s instead of a table: the file cannot be imported")
    ),
    "import_column_missing": ErrorText(N_("The table %(table)s lacks the column %(column)s")),
    "import_schema_invalid": ErrorText(N_("The file contains an invalid schema version")),
    "import_schema_too_new": ErrorText(
        N_("The file has schema version %(version)s; versions up to %(known)s are supported")
    ),
    "import_table_incomplete": ErrorText(
        N_(
            "The table %(table)s could not be read completely (%(reason)s). Imported data is kept; start the import "
            "again to resume"
        )
    ),
    # What an import changed or skipped
    "account_without_name": ErrorText(N_("An account without a valid name was skipped")),
    "account_without_password_hash": ErrorText(N_("An account without a valid password hash was skipped")),
    "default_admin_replaced": ErrorText(
        N_("The unused default administrator was replaced by the administrators of the older installation")
    ),
    "account_known": ErrorText(N_("The account %(name)s exists here already and keeps its password")),
    "audit_entry_incomplete": ErrorText(N_("An audit entry without time or action was skipped")),
    "server_without_id": ErrorText(N_("A server without a valid id was skipped")),
    "server_completed": ErrorText(N_("A server that is here already got its alias, note or address")),
    "server_password_skipped": ErrorText(
        N_("The Duplicati password of %(name)s was skipped: the server has a different URL here")
    ),
    "server_url_skipped": ErrorText(N_("The URL of a server was skipped: it does not start with http:// or https://")),
    "job_settings_without_runs": ErrorText(N_("Settings of a job without runs were skipped")),
    "job_setting_kept": ErrorText(
        N_("A setting of a job was not changed because it already has a different value here")
    ),
    "job_interval_unreadable": ErrorText(
        "An interval that cannot be read became ours, one day",
        page=N_("An unreadable interval was replaced by the default of one day"),
    ),
    "job_weekdays_unknown": ErrorText(
        "Weekdays that do not exist became all weekdays",
        page=N_("Weekdays that do not exist were replaced by all weekdays"),
    ),
    "server_defaults_skipped": ErrorText(N_("The defaults of a server that no longer exists were skipped")),
    "job_settings_without_server": ErrorText(
        N_("Settings whose server is not in the file or has a duplicate name were skipped")
    ),
    "setting_kept": ErrorText(N_("The setting %(name)s was not changed because it already has a different value here")),
    "setting_skipped": ErrorText(N_("The setting %(name)s was skipped. %(reason)s")),
    "setting_value_unknown": ErrorText(N_("The setting %(name)s was skipped: unknown value")),
    "task_schedule_skipped": ErrorText(N_("The schedule of %(name)s was skipped: not a valid crontab expression")),
    "channel_kept": ErrorText(N_("The %(kind)s settings were not changed because they are already configured here")),
    "channel_skipped": ErrorText(N_("The %(kind)s settings were skipped. %(reason)s")),
    "key_file_does_not_match": ErrorText(N_("The key file does not match the older installation")),
    "secret_not_decrypted": ErrorText(N_("%(what)s was cleared: the key file cannot decrypt it; enter it again")),
    "secret_without_key": ErrorText(
        N_("%(what)s was cleared: it cannot be read without the old key file; enter it again")
    ),
    "password_of_server": ErrorText(N_("The Duplicati password of %(name)s")),
    "username_of_email": ErrorText(N_("The username of the email settings")),
    "password_of_email": ErrorText(N_("The password of the email settings")),
    "run_of_unlisted_server": ErrorText(N_("A run's server is not listed in the file: it is named by its id")),
    "run_without_id": ErrorText(N_("A run without id was skipped")),
    "run_got_an_id": ErrorText(N_("A run whose id was no UUID got another one")),
    "run_without_time": ErrorText(N_("A run without a readable time was skipped")),
    "run_without_name": ErrorText(
        "A run without the name of its %(what)s was skipped",
        page=N_("A run without the name of its server or job was skipped"),
    ),
    "run_name_too_long": ErrorText(
        "A run was skipped because the name of its %(what)s is longer than %(most)s characters",
        page=N_("A run was skipped because the name of its server or job is longer than %(most)s characters"),
    ),
    "run_with_same_start": ErrorText(N_("A run was skipped because its job has another run with the same start time")),
    "table_skipped": ErrorText(N_("The table %(name)s was skipped: it is not supported")),
    "further_remarks": ErrorText(N_("Further remarks, which are not kept")),
    "demo_needs_empty_database": ErrorText(
        "The database already contains data; a demo requires an empty one (see DATA_DIR)", 409
    ),
}
declare_errors(TEXTS)


class InputText(str):
    """The sentence of a refusal as the message of a schema, which keeps its code."""

    code: str

    def __new__(cls, refusal: Refused) -> Self:
        """Make it from a refusal."""
        text = super().__new__(cls, refusal.message)
        text.code = refusal.code
        return text


# Errors that are stored: code and parameters beside the English sentence, so that pages can translate them.

# Errors as parameters of errors are three levels deep at most.
MOST_LEVELS = 8
CODE, PARAMS = "code", "params"


def dump_refusal(refusal: Refused) -> dict[str, Any]:
    """Return code, field and parameters as JSON; `load_refusal` reads it."""
    params = {name: _dumped(value) for name, value in refusal.params.items()}
    return {CODE: refusal.code, "field": refusal.field, PARAMS: params}


def load_refusal(stored: Any) -> Refused | None:
    """Return the stored error; None without one, and for a code that this version does not know."""
    try:
        return _loaded(stored, MOST_LEVELS) if isinstance(stored, Mapping) else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _dumped(value: Any) -> Any:
    if isinstance(value, Refused):
        return dump_refusal(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_dumped(item) for item in value]
    return str(value)


def _loaded(stored: Any, levels: int) -> Any:
    if levels == 0:
        raise ValueError("too many levels")
    if isinstance(stored, list):
        return [_loaded(item, levels - 1) for item in stored]
    if not isinstance(stored, Mapping):
        return stored
    params = {str(name): _loaded(value, levels - 1) for name, value in stored[PARAMS].items()}
    field = stored.get("field")
    refusal = Refused(str(stored[CODE]), field if isinstance(field, str) else None, **params)
    if not refusal.is_declared:
        raise ValueError("an unknown code")
    str(refusal)  # raises if a parameter is missing
    return refusal
