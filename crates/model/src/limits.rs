//! The named bound of every loop, queue, string, packet, retry and wait.
//!
//! Each says its unit and its source. Counts that an operator may set are defaults here and live
//! in the instance's own record.

use std::time::Duration;

/// Characters in a registration, group or device id. Source: `dps-service-api` §7.
pub const ID_CHARS_MAX: usize = 128;
/// Characters in a CA certificate's name. Source: ARM, `certificateName`.
pub const CERTIFICATE_NAME_CHARS_MAX: usize = 256;
/// Characters that the name of a provisioning service or a hub has at least. Source: ARM,
/// `provisioningServiceName`, `resourceName`.
pub const SERVICE_NAME_CHARS_MIN: usize = 3;
/// Characters in a shared access policy's name. Source: ARM, `keyName`.
pub const POLICY_NAME_CHARS_MAX: usize = 64;

/// Bytes of one DPS request body or MQTT message. Source: `includes/iot-dps-limits.md`, 96 KB.
pub const DPS_MESSAGE_BYTES_MAX: usize = 96 * 1024;
/// Bytes of one device-to-cloud message. Source: `iot-hub` §7.2, 256 KB.
pub const TELEMETRY_MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Bytes of an MQTT packet before the client has signed in: a CONNECT with a SAS token fits in a
/// tenth of this.
pub const PACKET_BEFORE_SIGN_IN_BYTES_MAX: usize = 16 * 1024;
/// Bytes of one registry or service API request body. Source: ours, wide enough for a bulk of 10.
pub const SERVICE_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of HTTP request head. Source: ours.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Certificates looked at in what a device sends; the rest is refused unread. Source: ours.
pub const CHAIN_PRESENTED_MAX: usize = 16;
/// Certificates in one path from leaf to the topmost CA. Source: `dependencies.md` §2.
pub const CHAIN_DEPTH_MAX: usize = 8;
/// Signature checks spent on one presented chain. Source: ours; bounds hostile cross-signing.
pub const CHAIN_SIGNATURES_MAX: usize = 32;
/// Bytes of one certificate. Source: ours; real device certificates stay under 4 KiB.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// Bytes of one certificate signing request. Source: ours; RSA of 4096 bits stays under 2 KiB.
pub const SIGNING_REQUEST_BYTES_MAX: usize = 8 * 1024;
/// Days that an issued certificate is valid, by its policy. Source: `dps-device-api` §7, 1 to 90.
pub const ISSUED_VALIDITY_DAYS: std::ops::RangeInclusive<u32> = 1..=90;
/// Credential policies of an instance. Source: ours.
pub const CREDENTIAL_POLICIES_MAX: usize = 32;
/// Issuing CAs of one policy that were replaced and are trusted on. Source: ours.
pub const EARLIER_ISSUERS_MAX: usize = 8;

/// Bytes of a symmetric key, decoded. Source: `dps-service-api` V-15.
pub const SYMMETRIC_KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
/// Bytes of a symmetric key that DPS generates. Source: settled D-17.
pub const SYMMETRIC_KEY_GENERATED_BYTES: usize = 64;
/// Bytes of a symmetric key that a hub generates. Source: `iot-hub` §2.3.
pub const HUB_KEY_GENERATED_BYTES: usize = 32;
/// Bytes of a SAS token. Source: ours; real ones stay under 600.
pub const SAS_BYTES_MAX: usize = 4096;
/// How far a SAS token's expiry may lie in the past. Source: `dps-service-api` K-05, five minutes.
pub const SAS_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// How long an operation may be polled with a token that was good when it was written. Source:
/// ours; the longest wait for a webhook is far below.
pub const POLLED_WITH_OLD_TOKEN: Duration = Duration::from_secs(600);

/// Bytes of a bearer token. Source: ours; half of a request's head, real ones stay under 4 KiB.
pub const BEARER_BYTES_MAX: usize = 8 * 1024;
/// Characters of a bearer's subject. Source: OpenID Connect Core §2, 255.
pub const SUBJECT_CHARS_MAX: usize = 255;
/// Bytes of an issuer's discovery document or key set. Source: ours; real ones stay under 32 KiB.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// Keys of an issuer. Source: ours; Microsoft Entra has about ten.
pub const JWKS_KEYS_MAX: usize = 64;
/// How long an issuer may take over a document, connecting included. Source: ours.
pub const JWKS_TIMEOUT: Duration = Duration::from_secs(15);
/// How often an issuer's keys are fetched. Source: ours; what it withdraws is believed no longer.
pub const JWKS_REFRESH: Duration = Duration::from_secs(600);
/// The least time between two fetches, however many unknown keys are named. Source: ours.
pub const JWKS_PAUSE: Duration = Duration::from_secs(60);
/// How long keys are believed of an issuer that can not be asked. Source: ours; a day.
pub const JWKS_KEPT_MAX: Duration = Duration::from_secs(24 * 3600);
/// IP filter rules of one service. Source: `dps-service-api` §4; Azure's later bound.
pub const IP_FILTER_RULES_MAX: usize = 100;
/// Characters of an IP filter rule's name. Source: ARM, `filterName`.
pub const IP_FILTER_NAME_CHARS_MAX: usize = 128;

/// Registration records of an instance, by default. Source: `includes/iot-dps-limits.md`.
pub const REGISTRATIONS_MAX: u64 = 1_000_000;
/// Individual enrollments of an instance, by default. Source: same.
pub const INDIVIDUAL_ENROLLMENTS_MAX: u64 = 1_000_000;
/// Enrollment groups of each attestation kind, by default. Source: same.
pub const ENROLLMENT_GROUPS_MAX: u64 = 100;
/// CA certificates of an instance, by default. Source: same.
pub const CA_CERTIFICATES_MAX: u64 = 25;
/// How far off the end of an exception for expired certificates may be. Source: ours; an exception
/// is for the time that a fleet needs to get new ones.
pub const EXPIRY_EXCEPTION_MAX: Duration = Duration::from_secs(90 * 24 * 3600);
/// Exceptions in force at once in one instance. Source: ours; each registration looks through them.
pub const EXPIRY_EXCEPTIONS_MAX: usize = 100;
/// Characters of an exception's reason. Source: ours.
pub const EXPIRY_EXCEPTION_REASON_CHARS_MAX: usize = 256;
/// Regions of an instance. Source: ours; each registration that looks for the nearest hub goes
/// through them.
pub const REGIONS_MAX: usize = 256;
/// Ranges of addresses of one region. Source: ours.
pub const REGION_NETWORKS_MAX: usize = 64;
/// The greatest latency from a region to a hub, in milliseconds. Source: ours, a minute.
pub const LATENCY_MILLISECONDS_MAX: u32 = 60_000;
/// Linked hubs of an instance, by default. Source: same.
pub const LINKED_HUBS_MAX: u64 = 50;
/// The most that an operator may set any of these to. Source: ours.
pub const QUOTA_MAX: u64 = 1_000_000_000;
/// Shared access policies of one service. Source: ours; a new hub has five.
pub const ACCESS_POLICIES_MAX: usize = 64;
/// Never-assigned, refused records kept for one entry; the oldest goes. Source: settled D-11.
pub const REFUSED_RECORDS_PER_ENTRY_MAX: usize = 1_000;

/// Rows of a query page when the caller names no size. Source: `dps-service-api` Q-02.
pub const QUERY_PAGE_DEFAULT: usize = 100;
/// Rows of a query page at the most. Source: same.
pub const QUERY_PAGE_MAX: usize = 1_000;

/// How often a commit that met a conflict is judged again. Source: architecture §2.
pub const COMMIT_RETRIES_MAX: usize = 4;
/// How often a registration is decided again because a row that it rests on was written meanwhile:
/// any write to a group is one. Source: ours; beside 16 writers four of five tries are overtaken.
pub const REGISTRATION_TRIES_MAX: usize = 48;
/// How long it is decided again. Source: ours, well under an SDK's patience.
pub const REGISTRATION_PATIENCE: Duration = Duration::from_secs(5);
/// The longest pause before it is decided again, in milliseconds. Source: ours; 48 of them stay
/// under the patience.
pub const REGISTRATION_PAUSE_MS_MAX: u64 = 64;
/// Attempts whose explanation is kept in memory. Source: settled D-15.
pub const ATTEMPTS_KEPT_MAX: usize = 4_096;

/// How long a client may take over its TLS handshake. Source: `dependencies.md` §1.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take over its CONNECT or request head after the handshake. Source: ours.
pub const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a session without keep-alive may be silent. Source: `iot-hub` §7.1, 1767 s.
pub const SESSION_IDLE_MAX: Duration = Duration::from_secs(1767);
/// TLS handshakes under way at once. Source: ours; further clients wait in the backlog.
pub const HANDSHAKES_MAX: usize = 512;
/// TLS handshakes under way at once from one address; half of all, so that a slow one leaves room.
pub const HANDSHAKES_PER_ADDRESS_MAX: usize = HANDSHAKES_MAX / 2;
/// Connections of one address of whose clients nothing is known yet. Source: ours; devices that
/// share one are each known a moment after their handshake.
pub const STRANGERS_PER_ADDRESS_MAX: usize = 512;
/// How long a device may stay at a provisioning service that does not let it in. Source: ours;
/// SDKs register at once, and poll a refusal within seconds.
pub const STRANGER_STAYS_MAX: Duration = Duration::from_secs(60);
/// Bytes of an MQTT packet at a provisioning service: more than a message, so that one which is
/// too large is answered.
pub const DPS_PACKET_BYTES_MAX: usize = 128 * 1024;
/// Connections open at once. Source: ours; a configured value replaces it.
pub const CONNECTIONS_MAX: usize = 100_000;
/// Connections of refused addresses that are served in a second, by default. Source: ours.
pub const REFUSED_CONNECTIONS_PER_SECOND: u32 = 200;
/// How long such a connection waits for its turn. Source: `dps-device-api` §8, where the most
/// impatient client gives up after 8 seconds.
pub const REFUSED_CONNECTION_WAIT_MAX: Duration = Duration::from_secs(5);
/// Refusals of devices that a provisioning service records in a second, by default. Source: ours.
pub const REFUSED_RECORDS_PER_SECOND: u32 = 50;
/// How many seconds' worth of them it records at once. Source: ours.
pub const REFUSED_RECORDS_LEAD: Duration = Duration::from_secs(20);
/// Questions that one webhook is asked at once; further devices wait. Source: ours.
pub const CONSULTATIONS_PER_WEBHOOK_MAX: usize = 32;
/// Registrations that wait for webhooks at once; beyond it a poll takes one up. Source: ours.
pub const CONSULTATIONS_WAITING_MAX: usize = 10_000;
/// As many of them may wait for one webhook or hub elsewhere, so that a slow one leaves room for
/// the devices of others; beyond it a poll takes one up. Source: ours, a quarter.
pub const CONSULTATIONS_WAITING_PER_LANE_MAX: usize = 2_500;
/// How long a webhook's connection and handshake may take. Source: W-09.
pub const WEBHOOK_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a webhook may take for its answer, further tries included. Source: W-09.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer of a webhook, in bytes. Source: ours; a twin and a payload fit.
pub const WEBHOOK_ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Characters in an event subscription's name. Source: ARM, `eventSubscriptionName`.
pub const SUBSCRIPTION_NAME_CHARS_MAX: usize = 64;
/// Characters that it has at least. Source: as above.
pub const SUBSCRIPTION_NAME_CHARS_MIN: usize = 3;
/// Event subscriptions of a server. Source: ours; each is looked at with every commit.
pub const SUBSCRIPTIONS_MAX: usize = 64;
/// Events that wait for one subscription, its dead letters included; further ones are dropped and
/// counted. Source: ours, some 200 MB on disk.
pub const EVENTS_KEPT_MAX: u64 = 100_000;
/// As many of these may be there when a connection's event comes, which is dropped else: what is
/// left is for what operators must not miss. Source: ours, four fifths.
pub const EVENTS_KEPT_FOR_CONNECTIONS_MAX: u64 = 80_000;
/// Characters of the text by which an event subscription chooses subjects. Source: ours.
pub const SUBJECT_FILTER_CHARS_MAX: usize = 512;
/// Bytes of the address that events are sent to. Source: ours, as most HTTP servers.
pub const ENDPOINT_URL_BYTES_MAX: usize = 4096;
/// Events of one subscription, the first of each subject, that are looked at for the next to send,
/// by when they are due. Source: ours.
pub const EVENTS_LOOKED_AT: usize = 256;
/// Events that one subscription is sent at once, each of another subject. Source: ours.
pub const EVENTS_SENT_AT_ONCE: usize = 16;
/// How long a receiver may take to take an event. Source: Event Grid, 30 seconds.
pub const EVENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Tries to deliver an event, at most and by default. Source: Event Grid's retry policy.
pub const EVENT_TRIES_MAX: u32 = 30;
/// Minutes for which an event is tried, at most and by default. Source: Event Grid's retry policy.
pub const EVENT_LIFE_MINUTES_MAX: u32 = 1440;
/// Connections that were made or lost and wait to become events; further ones are dropped and
/// counted. Source: ours.
pub const CONNECTIONS_TOLD_MAX: usize = 10_000;
/// Dead letters of one page, and of one commit. Source: ours.
pub const DEAD_LETTERS_PAGE: usize = 100;
/// How long a registration waits for a hub elsewhere that does not answer. Source: ours.
pub const REMOTE_HUB_PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection to a hub elsewhere and its handshake may take. Source: ours.
pub const REMOTE_HUB_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a hub elsewhere may take for one answer. Source: ours.
pub const REMOTE_HUB_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer of a hub elsewhere, in bytes. Source: ours; a twin with metadata fits.
pub const REMOTE_HUB_ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long a token for a hub elsewhere is good. Source: ours.
pub const REMOTE_HUB_TOKEN_LIFETIME: Duration = Duration::from_secs(300);
/// How often jobs that nobody works on are taken up. Source: ours.
pub const JOBS_SWEPT_EVERY: Duration = Duration::from_secs(10);
/// Jobs that are taken up at once. Source: ours.
pub const JOBS_AT_ONCE: usize = 32;
/// Phases that a job may enter before it rests for a while. Source: ours; four do.
pub const JOB_TURNS_MAX: usize = 16;
/// Jobs of an instance that are listed. Source: ours.
pub const JOBS_SHOWN_MAX: usize = 1_000;
/// How long a shutting-down server waits for its connections. Source: ours.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
