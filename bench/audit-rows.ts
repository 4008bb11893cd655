import { DAY, HOUR, type EpochMs } from '../src/time/clock.ts'

/** What the gateway writes for a call of a tool: about 850 bytes a row, over 120 days, a quarter of them older than the retention. */
export interface AuditRow {
  readonly toolName: string
  readonly user: string
  readonly action: string
  readonly status: string
  readonly parameters: string
  readonly output: string
  readonly error: string | null
  readonly executionTimeMs: number
}

export const COLUMNS = [
  'tool_name',
  '"user"',
  'action',
  'status',
  'parameters',
  'output',
  'error',
  'execution_time',
  '"timestamp"',
] as const

/** Over how many days rows are spread where nothing else is said; a quarter of them has expired. */
export const HISTORY_DAYS = 120
export const RETENTION_MS = retentionOf(HISTORY_DAYS)
const HISTORY_MS = HISTORY_DAYS * DAY
/** No row expires while the benchmark runs, so that every trial deletes exactly the same rows. */
const GAP_MS = 3 * HOUR

const TOOLS = 40
const USERS = 500
const ACTIONS = ['invoke', 'invoke', 'invoke', 'invoke', 'invoke', 'invoke', 'list_tools', 'register'] as const
const STATUSES = [
  'success',
  'success',
  'success',
  'success',
  'success',
  'success',
  'success',
  'failure',
  'denied',
  'policy_violation',
] as const

/** Text like a tool's result; a row holds a piece of it. */
export const PROSE = Array.from(
  { length: 400 },
  (_, n) => `{"item":${n},"path":"/srv/data/report-${n * 7919}.csv","lines":${n * 31}},`,
).join('')
const LEAST_OUTPUT = 150
const MOST_OUTPUT = 1_050

export function retentionOf(days: number): number {
  return (days * DAY * 3) / 4
}

export function expiredOf(rows: number): number {
  return Math.floor(rows / 4)
}

/** The same number always gives the same row, whenever and wherever it is made. */
export function auditRow(n: number): AuditRow {
  const any = (kind: number, below: number): number => scattered(n * 16 + kind) % below
  const status = STATUSES[any(3, STATUSES.length)]!
  const start = any(4, PROSE.length - MOST_OUTPUT)
  return {
    toolName: `tool-${any(0, TOOLS)}`,
    user: `user-${any(1, USERS)}@example.com`,
    action: ACTIONS[any(2, ACTIONS.length)]!,
    status,
    parameters: `{"path": "/srv/data/report-${n}.csv", "limit": ${any(5, 1000)}, "recursive": false}`,
    output: PROSE.slice(start, start + LEAST_OUTPUT + any(6, MOST_OUTPUT - LEAST_OUTPUT)),
    error: status === 'success' ? null : `refused by rule ${any(7, 60)}`,
    executionTimeMs: any(8, 4_000),
  }
}

/** In the order of `COLUMNS`. */
export function valuesOf(row: AuditRow, time: EpochMs): (string | number | null)[] {
  const { toolName, user, action, status, parameters, output, error, executionTimeMs } = row
  return [toolName, user, action, status, parameters, output, error, executionTimeMs, stored(time)]
}

/** When row `n` of so many was written, relative to when the database was made. */
export function writtenAt(n: number, rows: number, made: EpochMs): EpochMs {
  const expired = expiredOf(rows)
  if (n < expired) return made - HISTORY_MS + (n * (HISTORY_MS - RETENTION_MS)) / expired
  return made - RETENTION_MS + GAP_MS + ((n - expired) * (RETENTION_MS - GAP_MS)) / (rows - expired)
}

/** As the gateway's ORM stores a time: naive UTC with microseconds. */
export function stored(time: EpochMs): string {
  return `${new Date(time).toISOString().slice(0, 23).replace('T', ' ')}000`
}

export interface Spread {
  /** Over how many days. */
  readonly days?: number
  /** About a sixth of the usual size: for very many of them. */
  readonly small?: boolean
}

/** Inserts rows `$1` up to, but not including, `$2` of `$3`, as `auditRow` and `writtenAt` describe them; `$4` is `PROSE`, `$5` the time made. */
export function postgresInsert({ days = HISTORY_DAYS, small = false }: Spread = {}): string {
  const [historyMs, retentionMs] = [days * DAY, retentionOf(days)]
  const [least, most] = small ? [10, 30] : [LEAST_OUTPUT, MOST_OUTPUT]
  return `
INSERT INTO audit_logs (${COLUMNS.join(', ')})
SELECT
  'tool-' || a[1] % ${TOOLS},
  'user-' || a[2] % ${USERS} || '@example.com',
  (ARRAY[${texts(ACTIONS)}])[1 + a[3] % ${ACTIONS.length}],
  (ARRAY[${texts(STATUSES)}])[1 + a[4] % ${STATUSES.length}],
  '{"path": "/srv/data/report-' || n || '.csv", "limit": ' || a[5] % 1000 || ', "recursive": false}',
  substr($4::text, 1 + a[6] % ${PROSE.length - MOST_OUTPUT}, ${least} + a[7] % ${most - least}),
  CASE WHEN a[4] % ${STATUSES.length} < ${STATUSES.filter((status) => status === 'success').length} THEN NULL ELSE 'refused by rule ' || a[5] % 60 END,
  a[1] % 4000,
  $5::timestamp + interval '1 ms' * CASE
    WHEN n < $3::bigint / 4 THEN -${historyMs} + n * ${historyMs - retentionMs}::float8 / ($3 / 4)
    ELSE -${retentionMs - GAP_MS} + (n - $3 / 4) * ${retentionMs - GAP_MS}::float8 / ($3 - $3 / 4)
  END
FROM generate_series($1::bigint, $2::bigint - 1) AS n,
  LATERAL (SELECT array_agg((hashint8extended(n, kind) & 1073741823)::integer ORDER BY kind) AS a FROM generate_series(1, 7) AS kind) AS scattered`
}

function texts(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(', ')
}

/** A fixed number for each number, without a pattern (the finaliser of MurmurHash3). */
function scattered(n: number): number {
  let bits = n | 0
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}
