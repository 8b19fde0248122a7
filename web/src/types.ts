// The parts of the API's answers that the app shows.
export interface Me { id: string; full_name: string; email_address: string; roles: string[]; organization_ids: string[] }
export interface Usage { date: string; total: number; discarded: number; too_big: number; deleted: number; blocked: number; limit?: number }
export interface Project { id: string; name: string; organization_id: string; organization_name: string; delete_bot_data_enabled: boolean; promoted_tabs: string[]; event_count: number; stack_count: number; usage: Usage[]; usage_hours: Usage[]; created_utc: string }
export interface Invite { token: string; email_address: string; date_added: string }
export interface Organization { id: string; name: string; invites: Invite[]; usage: Usage[]; usage_hours: Usage[]; max_events_per_month: number; is_suspended: boolean; is_over_monthly_limit: boolean; retention_days: number; event_count: number; project_count: number }
export interface Token { id: string; scopes: string[]; notes?: string; is_disabled: boolean; created_utc: string; expires_utc?: string; user_id?: string }
export interface Login { id: string; user_agent?: string; created_utc: string; expires_utc?: string; is_current: boolean }
export interface Overview { queue: { entries: number | null; oldest_utc: string | null; workers: number | null; problem: string | null }; outcomes: { outcome: string; reason: string; events: number }[]; dead_letters: { reason: string; letters: number; bytes: number }[]; held_posts: number; partitions: number; event_bytes: number; database_bytes: number; rollups_behind: number; kept_since: string }
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Data = { [name: string]: Json };
export interface EventSummary { id: string; template_key: string; data: Data; date: string; project_id: string; project_name: string; tags?: string[]; type: string; version?: string }
export interface StackSummary { id: string; template_key: string; data: Data; project_id: string; project_name: string; tags: string[]; title: string; status: Status; first_occurrence: string; last_occurrence: string; total: number; users: number; total_users: number }
export interface Stack { id: string; organization_id: string; project_id: string; type: string; status: Status; snooze_until_utc?: string; signature_info: Record<string, string>; fixed_in_version?: string; date_fixed?: string; title: string; total_occurrences: number; first_occurrence: string; last_occurrence: string; description?: string; occurrences_are_critical: boolean; references: string[]; tags: string[] }
export type Status = "open" | "fixed" | "regressed" | "snoozed" | "ignored" | "discarded";
export interface StoredEvent { id: string; project_id: string; organization_id: string; stack_id?: string; is_first_occurrence: boolean; created_utc: string; type: string; source?: string; date: string; tags?: string[]; message?: string; geo?: string; value?: number; count?: number; data?: Data; reference_id?: string }
export interface Bucket { key: string | number; key_as_string: string; date?: string; total: number; aggregations: Aggregations }
export type Aggregations = Record<string, { value?: number | string | null; items?: Bucket[]; total?: number }>;
export interface Count { total: number; aggregations: Aggregations }
