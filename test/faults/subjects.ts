import { JOBS, type Job } from '../../src/catalogue.ts'

/** A table that is purged, and how its rows are told apart. */
export interface Subject {
  readonly job: Job
  readonly table: string
  /** The column that holds a row's mark: `go-…` for one that has expired, `stay-…` for one that has not, `gw-…` for one of the gateway's. */
  readonly mark: string
  /** The column that says when its time has come. */
  readonly time: string
  /** Other columns that must not be NULL, and what they are given. */
  readonly filling: Readonly<Record<string, string>>
  /** Seconds from now, in SQL, of the n-th row that has expired and of the n-th that has not. */
  readonly expired: string
  readonly living: string
}

export const SUBJECTS: readonly Subject[] = [
  subject('audit_logs', 'tool_name', { '"user"': 'u', action: 'invoke', status: 'success' }, '- 91 * 86400 - n', '- 89 * 86400 + n'),
  subject('policy_decisions', 'resource', { user_identifier: 'u', action: 'invoke', decision: 'allow' }, '- 60 - n', '7200 + n'),
  subject('sessions', 'session_token', { user_identifier: 'u' }, '- 60 - n', '7200 + n'),
]

function subject(table: string, mark: string, filling: Subject['filling'], expired: string, living: string): Subject {
  const job = JOBS.find((each) => each.table === table)
  if (job === undefined) throw new Error(`no job purges ${table}`)
  return { job, table, mark, time: `"${job.column}"`, filling, expired, living }
}

export function subjectOf(table: string): Subject {
  return SUBJECTS.find((each) => each.table === table)!
}

/** An INSERT of the columns a row needs; `mark` and `time` are expressions. */
export function insertInto({ table, mark, time, filling }: Subject, marked: string, at: string, from = ''): string {
  const columns = [mark, time, ...Object.keys(filling)].join(', ')
  const values = [marked, at, ...Object.values(filling).map((value) => `'${value}'`)].join(', ')
  return from === '' ? `INSERT INTO ${table} (${columns}) VALUES (${values})` : `INSERT INTO ${table} (${columns}) SELECT ${values} ${from}`
}
