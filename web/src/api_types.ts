// Types of the api's answers, from its OpenAPI document. `make web` writes this file; do not edit it.
// A member that may be missing has a question mark. Dates are texts in ISO 8601.
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Data = { [name: string]: Json };
export interface AboutView { informational_version: string; app_mode: string; app_scope: string }
export interface BulkResult { workers: string[]; success: string[]; failure: Failure[] }
export interface Configuration { version: number; settings: Record<string, string> }
export interface CountView { total: number; aggregations: Data; is_estimated?: boolean }
export interface CurrentUserView { id: string; organization_ids: string[]; full_name: string; email_address: string; email_notifications_enabled: boolean; is_email_address_verified: boolean; is_active: boolean; is_invite: boolean; roles: string[]; has_local_account: boolean; o_auth_accounts: Json[] }
export interface Deleting { workers: string[] }
export interface EndingTrace { outcome: string; reason: string; events: number }
export interface Failure { allowed: boolean; id: string; message: string; status_code: number }
export interface Finding { level: "broken" | "warning"; subject: string; what: string; do: string }
export interface HourlyUsageView { date: string; total: number; blocked: number; discarded: number; too_big: number; deleted: number }
export interface InvitationView { token: string; email_address: string; date_added: string }
export interface Invited { email_address: string }
export interface LetterContent { content_type: string; content_encoding: string; user_agent: string; client_ip: string; text: string; is_decompressed: boolean; is_cut: boolean }
export interface LetterState { reason: string; letters: number; bytes: number }
export interface LetterTrace { id: string; project_id: string | null; reason: string; detail: string; accepted_utc: string; created_utc: string }
export interface LetterView { id: string; project_id: string | null; project_name: string | null; reason: string; detail: string; accepted_utc: string; created_utc: string; bytes: number; removed_bytes: number; can_be_replayed: boolean }
export interface LettersTrace { found: LetterTrace[]; looked_at: number; is_whole: boolean }
export interface LettersView { letters: number; bytes: number; done: number; left: number; cannot_be_replayed: number }
export interface ListedEvent { type?: string | null; source?: string | null; date?: string | null; tags?: string[] | null; message?: string | null; geo?: string | null; value?: number | null; count?: number | null; data?: Data | null; reference_id?: string | null; id: string; project_id: string; organization_id?: string; stack_id?: string; is_first_occurrence?: boolean; created_utc?: string; template_key?: string; project_name?: string; version?: string; title?: string; status?: string; first_occurrence?: string; last_occurrence?: string; total?: number; users?: number; total_users?: number }
export interface LoginToken { token: string }
export interface LoginView { id: string; user_agent?: string | null; created_utc: string; expires_utc?: string | null; is_current: boolean }
export interface MatchingView { stacks: number; events: number; undo: Record<string, string[]> }
export interface MonthlyUsageView { date: string; total: number; blocked: number; discarded: number; too_big: number; deleted: number; limit: number }
export interface OrganizationView { id: string; created_utc: string; updated_utc: string; name: string; plan_id: string; plan_name: string; plan_description: string; billing_status: number; billing_price: number; max_events_per_month: number; bonus_events_per_month: number; retention_days: number; is_suspended: boolean; has_premium_features: boolean; features: Json[]; max_users: number; max_projects: number; project_count: number; stack_count: number; event_count: number; invites: InvitationView[]; usage_hours: HourlyUsageView[]; usage: MonthlyUsageView[]; is_throttled: boolean; is_over_monthly_limit: boolean; is_over_request_limit: boolean }
export interface OutcomeState { outcome: string; reason: string; events: number }
export interface OverviewView { queue: QueueState; outcomes: OutcomeState[]; dead_letters: LetterState[]; dead_letters_fullness: number; held_posts: number; replays: number; partitions: number; partitions_ahead: number; event_bytes: number; database_bytes: number; rollups_behind: number; findings: Finding[]; kept_since: string }
export interface Problem { type: string; title: string; status: number; instance: string; errors: Record<string, string[]> }
export interface ProjectView { id: string; created_utc: string; organization_id: string; organization_name: string; name: string; delete_bot_data_enabled: boolean; promoted_tabs: string[]; stack_count: number; event_count: number; has_premium_features: boolean; has_slack_integration: boolean; usage_hours: HourlyUsageView[]; usage: MonthlyUsageView[] }
export interface QueueState { entries?: number | null; oldest_utc?: string | null; workers?: number | null; problem?: string | null }
export interface QueueTrace { found: WaitingTrace[]; entries: number; looked_at: number; problem?: string | null }
export interface SettingsView { version: number; settings: Record<string, string> }
export interface ShownLetter { id: string; project_id: string | null; project_name: string | null; reason: string; detail: string; accepted_utc: string; created_utc: string; bytes: number; removed_bytes: number; can_be_replayed: boolean; content: LetterContent }
export type StackStatus = "discarded" | "fixed" | "ignored" | "open" | "regressed" | "snoozed";
export interface StackView { id: string; organization_id: string; project_id: string; type: string; status: StackStatus; snooze_until_utc?: string | null; signature_hash: string; signature_info: Record<string, string>; fixed_in_version?: string | null; date_fixed?: string | null; title: string; total_occurrences: number; first_occurrence: string; last_occurrence: string; description?: string | null; occurrences_are_critical: boolean; references: string[]; tags: string[]; duplicate_signature: string; created_utc: string; updated_utc: string; is_deleted: boolean; allow_notifications: boolean }
export interface StoredEventForm { type?: string | null; source?: string | null; date?: string | null; tags?: string[] | null; message?: string | null; geo?: string | null; value?: number | null; count?: number | null; data?: Data | null; reference_id?: string | null; id: string; organization_id: string; project_id: string; stack_id?: string; is_first_occurrence: boolean; created_utc: string }
export interface StoredTrace { event_id: string; project_id: string; project_name: string; stack_id: string | null; type: string; date: string; created_utc: string }
export interface TokenView { id: string; organization_id?: string | null; project_id?: string | null; user_id?: string | null; default_project_id?: string | null; scopes: string[]; expires_utc?: string | null; notes?: string | null; is_disabled: boolean; is_suspended: boolean; created_utc: string; updated_utc: string }
export interface TraceView { reference_id: string; verdict: "dead_lettered" | "not_found" | "stored" | "waiting"; kept_since: string; stored: StoredTrace[]; queue: QueueTrace; dead_letters: LettersTrace; endings: EndingTrace[]; said: string[] }
export interface UnknownFieldView { name: string; nearest?: string | null }
export interface UserView { id: string; organization_ids: string[]; full_name: string; email_address: string; email_notifications_enabled: boolean; is_email_address_verified: boolean; is_active: boolean; is_invite: boolean; roles: string[] }
export interface ValidationView { is_valid: boolean; uses_premium_features: boolean; message?: string; unknown_fields?: UnknownFieldView[]; warnings?: string[] }
export interface WaitingTrace { project_id: string; project_name: string | null; kind: "description" | "event"; accepted_utc: string; shard: number; entry_id: string; entries_before: number; is_in_hand: boolean; worker?: string | null; idle_seconds?: number | null; deliveries: number }
