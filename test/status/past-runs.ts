import type { TestDatabase } from '../support/engines.ts'

export interface PutRun {
  readonly job: string
  readonly startedAt: number
  readonly deleted: number
  readonly outcome?: string
  readonly tookMs?: number
  readonly worker?: string
  readonly error?: string
}

const field = (name: string): string => `value ->> '${name}'`
const whole = (name: string): string => `CAST(${field(name)} AS BIGINT)`

/** Puts runs on record, as if the program had done them. */
export async function pastRuns(database: TestDatabase, runs: readonly PutRun[]): Promise<void> {
  const rows = runs.map(({ job, startedAt, deleted, outcome = 'succeeded', tookMs = 40, worker = 'host-a:1', error = null }) => ({
    job,
    startedAt,
    finishedAt: startedAt + tookMs,
    deleted,
    outcome,
    worker,
    error,
  }))
  const sqlite = database.url.startsWith('sqlite')
  await database.sql(
    `INSERT INTO maintenance_runs (job, outcome, "trigger", worker, version, started_at, finished_at, rows_deleted, batches, error)
     SELECT ${field('job')}, ${field('outcome')}, 'schedule', ${field('worker')}, '1.2.3', ${whole('startedAt')}, ${whole('finishedAt')},
       ${whole('deleted')}, 1, ${field('error')} FROM ${sqlite ? 'json_each($1)' : 'json_array_elements($1::json) AS e (value)'}`,
    [JSON.stringify(rows)],
  )
}
