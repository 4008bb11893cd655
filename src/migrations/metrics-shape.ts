import type { TypeFamily } from '../database/database.ts'
import type { Shape } from './adoption.ts'

function runs(time: TypeFamily): Readonly<Record<string, TypeFamily>> {
  return {
    id: 'whole',
    job: 'text',
    outcome: 'text',
    trigger: 'text',
    worker: 'text',
    version: 'text',
    started_at: time,
    finished_at: time,
    cutoff: time,
    retention: 'whole',
    rows_deleted: 'whole',
    batches: 'whole',
    undated: 'whole',
    unreadable: 'whole',
    locked: 'whole',
    error: 'text',
  }
}

/** What `002_add_metrics` makes. A test applies the file and compares. */
export const METRICS_SHAPE: Shape = {
  maintenance_runs: { kind: 'table', columns: runs('whole') },
  maintenance_leases: { kind: 'table', columns: { job: 'text', holder: 'text', fence: 'whole', expires_at: 'whole' } },
  maintenance_history: { kind: 'view', columns: runs('time') },
}
