// The parts of the API's answers that the app shows: as the document has them, or closer where it leaves something open.
import type { CountView, Data, HourlyUsageView, MonthlyUsageView, StackStatus, StackView, StoredEventForm } from "./api_types";

export type {
  CurrentUserView as Me, Data, InvitationView as Invite, Json, LoginView as Login, MatchingView as Matching, OrganizationView as Organization, OverviewView as Overview, ProjectView as Project, LetterView as Letter, LettersView as Letters, ShownLetter, SettingsView as Config, StackView as Stack,
  TokenView as Token, UserView as Person,
} from "./api_types";
export type Status = StackStatus;
export type Usage = HourlyUsageView | MonthlyUsageView;

// Stored events have these; the document describes them together with what clients post.
export type StoredEvent = StoredEventForm & { type: string; date: string };

// Lists answer with rows of events or of stacks, by their `mode`.
export interface EventSummary { id: string; template_key: string; data: Data; date: string; project_id: string; project_name: string; tags?: string[]; type: string; version?: string }
export interface StackSummary extends Pick<StackView, "id" | "project_id" | "title" | "status" | "tags" | "first_occurrence" | "last_occurrence"> { template_key: string; data: Data; project_name: string; total: number; users: number; total_users: number }

export interface Bucket { key: string | number; key_as_string: string; date?: string; total: number; aggregations: Aggregations }
export type Aggregations = Record<string, { value?: number | string | null; items?: Bucket[]; total?: number }>;
export type Count = Omit<CountView, "aggregations"> & { aggregations: Aggregations };
