import type { Shape } from './adoption.ts'

/** The views that each migration makes. Tables are read from the files; a view's columns have the types of what it selects. */
export const VIEW_SHAPES: ReadonlyMap<number, Shape> = new Map<number, Shape>([
  [
    1,
    {
      recent_audit_activity: {
        kind: 'view',
        columns: {
          id: 'whole',
          tool_name: 'text',
          user: 'text',
          action: 'text',
          status: 'text',
          execution_time: 'whole',
          timestamp: 'time',
        },
      },
      policy_violations: {
        kind: 'view',
        columns: { id: 'whole', tool_name: 'text', user: 'text', action: 'text', reason: 'text', timestamp: 'time' },
      },
      tool_usage_stats: {
        kind: 'view',
        columns: {
          tool_name: 'text',
          invocation_count: 'whole',
          unique_users: 'whole',
          avg_execution_time_ms: 'other',
          last_used_at: 'time',
        },
      },
    },
  ],
  [
    2,
    {
      maintenance_history: {
        kind: 'view',
        columns: {
          id: 'whole',
          job: 'text',
          outcome: 'text',
          trigger: 'text',
          worker: 'text',
          version: 'text',
          started_at: 'time',
          finished_at: 'time',
          cutoff: 'time',
          retention: 'whole',
          rows_deleted: 'whole',
          batches: 'whole',
          undated: 'whole',
          unreadable: 'whole',
          locked: 'whole',
          error: 'text',
        },
      },
    },
  ],
  [
    5,
    {
      maintenance_archive_history: {
        kind: 'view',
        columns: {
          id: 'whole',
          job: 'text',
          outcome: 'text',
          started_at: 'time',
          finished_at: 'time',
          cutoff: 'time',
          rows_deleted: 'whole',
          rows_archived: 'whole',
          bytes_archived: 'whole',
          files_archived: 'whole',
        },
      },
    },
  ],
])
