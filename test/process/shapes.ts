import { JOBS, type Job } from '../../src/catalogue.ts'
import type { TestDatabase, TestEngine } from '../support/engines.ts'

/** One database as others may have furnished it: what hangs on the table that is purged, and what happens when one of its rows goes. */
export interface Shape {
  readonly seed: number
  readonly number: number
  readonly job: Job
  /** How many rows have expired, and how many have not. */
  readonly old: number
  readonly young: number
  readonly rows: Rows
  readonly child: Child | undefined
  readonly trigger: Trigger | undefined
  readonly archived: boolean
  /** The table into which somebody writes meanwhile. */
  readonly written: Job['table']
  /** Told to stop, once so large a share of the expired rows is gone. */
  readonly stopped: { readonly as: 'worker' | 'run-now'; readonly share: number } | undefined
}

interface Rows {
  readonly bytes: number
  /** Of the expired rows the first few have a megabyte each. */
  readonly large: number
}

/** A table of somebody else's that refers to the purged one. */
interface Child {
  readonly rows: number
  readonly onDelete: 'NO ACTION' | 'CASCADE' | 'SET NULL'
  readonly deferred: boolean
  readonly indexed: boolean
  /** Which of the expired rows are referred to: none, every fifth, each. */
  readonly refers: 'to none' | 'to some' | 'to each'
}

type Trigger = { readonly when: 'BEFORE' | 'AFTER' } & (
  | { readonly does: 'notes' }
  | { readonly does: 'reads'; readonly rows: number }
  | { readonly does: 'sleeps'; readonly ms: number }
  /** For every so-manieth row. */
  | { readonly does: 'raises'; readonly of: number; readonly how: 'ABORT' | 'FAIL' | 'ROLLBACK' }
  | { readonly does: 'keeps in silence'; readonly of: number }
)

/** Rows of a table that is read as a whole, at the least. */
const ROWS_A_MS = 10_000
/** A row that is refused is tried by itself, and then there is a pause. */
const REFUSED_MS = 8
/** The least that is purged of a shape, however dear its rows. */
const LEAST_OLD = 30
const SQLITE_LONGEST_ROW_MS = 120

export interface Draw {
  readonly seed: number
  readonly number: number
  readonly engine: TestEngine
  /** How long deleting the rows of a shape may take, about: of dear rows there are fewer. */
  readonly budgetMs: number
}

/** The same draw is the same shape. */
export function shapeOf({ seed, number, engine, budgetMs }: Draw): Shape {
  const draw = randomly(seed * 1_009 + number)
  const sqlite = engine.name === 'sqlite'
  const job = draw.of(JOBS)
  // A counter of rate limits has no number of its own to which somebody would refer.
  const child = job.table === 'rate_limits' || draw.share() < 0.3 ? undefined : childOf(draw)
  const trigger = draw.share() < 0.25 ? undefined : triggerOf(draw, sqlite)
  const rowMs = childMs(child) + triggerMs(trigger)
  const most = Math.round(800 + 400 * draw.share())
  const old = Math.round(Math.max(LEAST_OLD, Math.min(most, budgetMs / rowMs)))
  const mayBeLarge = job.table !== 'rate_limits'
  return {
    seed,
    number,
    job,
    old,
    young: Math.max(old, 1_000),
    rows: { bytes: draw.of([100, 100, mayBeLarge ? 2_000 : 100]), large: mayBeLarge ? draw.of([0, 0, 5]) : 0 },
    child,
    trigger: sqlite && rowMs > SQLITE_LONGEST_ROW_MS ? undefined : trigger,
    archived: job.archived === true && draw.share() < 0.5,
    written: draw.of([job.table, 'audit_logs']),
    stopped: number % 3 === 0 ? { as: draw.of(['worker', 'run-now']), share: 0.5 * draw.share() } : undefined,
  }
}

function childOf(draw: Random): Child {
  const onDelete = draw.of(['NO ACTION', 'CASCADE', 'SET NULL'] as const)
  return {
    rows: draw.of([0, 1_000, 30_000, 300_000]),
    onDelete,
    // Then it is COMMIT that fails.
    deferred: draw.share() < (onDelete === 'NO ACTION' ? 0.5 : 0.1),
    indexed: draw.share() < 0.4,
    refers: draw.of(['to none', 'to some', 'to each']),
  }
}

function triggerOf(draw: Random, sqlite: boolean): Trigger {
  const when = draw.of(['BEFORE', 'AFTER'] as const)
  const of = draw.of([2, 4, 10, 50])
  switch (draw.of(['notes', 'reads', 'reads', sqlite ? 'reads' : 'sleeps', 'raises', 'keeps in silence'] as const)) {
    case 'notes':
      return { when, does: 'notes' }
    case 'reads':
      return { when, does: 'reads', rows: draw.of([1_000, 30_000, 300_000, 1_000_000]) }
    case 'sleeps':
      return { when, does: 'sleeps', ms: Math.ceil(100 ** draw.share()) }
    case 'raises':
      return { when, does: 'raises', of, how: draw.of(['ABORT', 'FAIL', 'ROLLBACK']) }
    case 'keeps in silence':
      return { when: 'BEFORE', does: 'keeps in silence', of }
  }
}

function childMs(child: Child | undefined): number {
  if (child === undefined) return 0
  const share = { 'to none': 0, 'to some': 1 / 5, 'to each': 1 }[child.refers]
  return (child.indexed ? 0 : child.rows / ROWS_A_MS) + (child.onDelete === 'NO ACTION' ? share * REFUSED_MS : 0)
}

function triggerMs(trigger: Trigger | undefined): number {
  if (trigger?.does === 'reads') return trigger.rows / ROWS_A_MS
  if (trigger !== undefined && 'of' in trigger) return (2 / trigger.of) * REFUSED_MS
  return trigger?.does === 'sleeps' ? trigger.ms : 0.01
}

/** As one line, for people. */
export function described({ job, old, young, rows, child, trigger, archived, written, stopped }: Shape): string {
  return [
    `${job.table}: ${old} old and ${young} young rows of ${rows.bytes} bytes${rows.large === 0 ? '' : `, ${rows.large} of a megabyte`}`,
    child === undefined
      ? 'no child'
      : `${child.rows} rows refer ${child.refers}, ${child.onDelete}${child.deferred ? ' deferred' : ''}, ${child.indexed ? 'indexed' : 'without an index'}`,
    trigger === undefined ? 'no trigger' : `${trigger.when} DELETE ${JSON.stringify({ ...trigger, when: undefined })}`,
    ...(archived ? ['archived'] : []),
    `${written} written`,
    ...(stopped === undefined ? [] : [`${stopped.as} told to stop at ${Math.round(100 * stopped.share)} %`]),
  ].join('; ')
}

/** Which column tells the rows of a table apart by number, says whose they are, and takes any text. */
const COLUMNS: Readonly<Record<string, { readonly key: string; readonly owner: string; readonly text: string; readonly others: string }>> =
  {
    audit_logs: { key: 'id', owner: '"user"', text: 'output', others: 'tool_name, action, status' },
    policy_decisions: { key: 'id', owner: 'user_identifier', text: 'reason', others: 'resource, action, decision' },
    sessions: { key: 'id', owner: 'user_identifier', text: 'user_data', others: 'session_token, ip_address, user_agent' },
    rate_limits: { key: 'request_count', owner: 'subject', text: 'resource', others: 'window_start, window_seconds, request_count' },
  }

/** Row `n`, `old` or `young`. On an empty table its number is `n`. */
function othersOf(table: string): string {
  if (table === 'rate_limits') return `'2020-01-01 00:00:00', n, n`
  return table === 'sessions' ? `'t' || n, '::1', 'agent'` : `'a', 'b', 'c'`
}

/** Makes the rows, the child and the trigger in a database with every migration. The odd ones of the first rows have expired, the latest first. */
export async function furnish(database: TestDatabase, engine: TestEngine, shape: Shape): Promise<void> {
  const { job, old, young, rows, child, trigger } = shape
  const { key, owner, text, others } = COLUMNS[job.table]!
  const isOld = `n % 2 = 1 AND n < ${2 * old}`
  const sqlite = engine.name === 'sqlite'
  const ageOf =
    job.keep.from === 'written'
      ? `CASE WHEN ${isOld} THEN -100 * 86400 - 60 * n ELSE -n END`
      : `CASE WHEN ${isOld} THEN -60 - n ELSE 3600 + n END`
  const filler = (bytes: string): string => (sqlite ? `substr(hex(zeroblob((${bytes} + 1) / 2)), 1, ${bytes})` : `repeat('0', ${bytes})`)
  const bytes = rows.large === 0 ? String(rows.bytes) : `CASE WHEN ${isOld} AND n < ${2 * rows.large} THEN 1000000 ELSE ${rows.bytes} END`
  const window = job.table === 'rate_limits' && !sqlite ? othersOf(job.table).replace(`00'`, `00'::timestamp`) : othersOf(job.table)
  await database.sql(
    `INSERT INTO ${job.table} (${owner}, ${others}, ${text}, ${job.column})
     SELECT CASE WHEN ${isOld} THEN 'old' ELSE 'young' END${job.table === 'rate_limits' ? ' || n' : ''}, ${window}, ${filler(bytes)}, ${engine.momentOf(ageOf)}
       FROM ${series(engine, old + young)}`,
  )
  if (child !== undefined) await refer(database, engine, shape, child)
  if (trigger !== undefined) await pull(database, engine, { table: job.table, key }, trigger)
}

async function refer(database: TestDatabase, engine: TestEngine, { job, old }: Shape, child: Child): Promise<void> {
  const { rows, onDelete, deferred, indexed, refers } = child
  const number = engine.name === 'sqlite' ? 'integer' : 'bigint'
  await database.sql(
    `CREATE TABLE shape_child (id ${number} PRIMARY KEY, of_row ${number} REFERENCES ${job.table} (id) ON DELETE ${onDelete}${deferred ? ' DEFERRABLE INITIALLY DEFERRED' : ''})`,
  )
  const to = refers === 'to none' ? 'NULL' : `1 + 2 * ${refers === 'to each' ? `(n % ${old})` : `(5 * (n % ${Math.ceil(old / 5)}))`}`
  if (rows > 0) await database.sql(`INSERT INTO shape_child SELECT n, ${to} FROM ${series(engine, rows)}`)
  if (indexed) await database.sql('CREATE INDEX shape_child_of_row ON shape_child (of_row)')
}

async function pull(
  database: TestDatabase,
  engine: TestEngine,
  { table, key }: { readonly table: string; readonly key: string },
  trigger: Trigger,
): Promise<void> {
  await database.sql('CREATE TABLE shape_notes (n bigint)')
  if (trigger.does === 'reads') {
    await database.sql('CREATE TABLE shape_read (n bigint)')
    await database.sql(`INSERT INTO shape_read SELECT n FROM ${series(engine, trigger.rows)}`)
  }
  const { when } = trigger
  const on = `${when} DELETE ON ${table} FOR EACH ROW`
  const some = 'of' in trigger ? `WHEN (OLD.${key} % ${trigger.of} = 1)` : ''
  if (engine.name === 'sqlite') {
    await database.sql(`CREATE TRIGGER shape_trigger ${on} ${some} BEGIN ${sqliteBody(trigger, key)}; END`)
    return
  }
  await database.sql(
    `CREATE FUNCTION shape_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${postgresBody(trigger, key)}; RETURN OLD; END $$`,
  )
  await database.sql(`CREATE TRIGGER shape_trigger ${on} ${some} EXECUTE FUNCTION shape_trigger()`)
}

const REFUSAL = 'the gateway keeps this row'

function sqliteBody(trigger: Trigger, key: string): string {
  switch (trigger.does) {
    case 'reads':
      return readAll(key)
    case 'raises':
      return `SELECT RAISE(${trigger.how}, '${REFUSAL}')`
    case 'keeps in silence':
      return 'SELECT RAISE(IGNORE)'
    case 'sleeps':
      throw new Error('SQLite cannot sleep')
    case 'notes':
      return `INSERT INTO shape_notes VALUES (OLD.${key})`
  }
}

function postgresBody(trigger: Trigger, key: string): string {
  switch (trigger.does) {
    case 'reads':
      return readAll(key)
    case 'raises':
      return `RAISE EXCEPTION '${REFUSAL}'`
    case 'keeps in silence':
      return 'RETURN NULL'
    case 'sleeps':
      return `PERFORM pg_sleep(${trigger.ms / 1_000})`
    case 'notes':
      return `INSERT INTO shape_notes VALUES (OLD.${key})`
  }
}

function readAll(key: string): string {
  return `INSERT INTO shape_notes SELECT count(*) FROM shape_read WHERE n = OLD.${key}`
}

function series({ name }: TestEngine, rows: number): string {
  return name === 'sqlite'
    ? `(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${rows}) SELECT n FROM s) AS s`
    : `generate_series(1, ${rows}) AS s (n)`
}

/** How many of the expired rows something keeps from being deleted. */
export function keptOf({ old, child, trigger }: Shape): number {
  return Array.from({ length: old }, (_, at) => 2 * at + 1).filter((n) => isReferred(n, old, child) || isRefused(n, trigger)).length
}

function isReferred(n: number, old: number, child: Child | undefined): boolean {
  if (child?.onDelete !== 'NO ACTION' || child.refers === 'to none') return false
  const every = child.refers === 'to each' ? 1 : 5
  const at = (n - 1) / 2
  // The first row of the child that refers to it; the remainder 0 comes last.
  return at % every === 0 && (at === 0 ? Math.ceil(old / every) : at / every) <= child.rows
}

function isRefused(n: number, trigger: Trigger | undefined): boolean {
  return trigger !== undefined && 'of' in trigger && n % trigger.of === 1
}

/** What a message about the rows that are left must name. */
export function causeOf({ child, trigger }: Shape): RegExp {
  const causes = [
    ...(child?.onDelete === 'NO ACTION' ? ['foreign key'] : []),
    ...(trigger?.does === 'raises' ? [REFUSAL] : []),
    ...(trigger?.does === 'keeps in silence' ? ['silently prevents', String.raw`RAISE\(IGNORE\)`] : []),
  ]
  return new RegExp(causes.join('|'), 'i')
}

export interface Counts {
  readonly old: number
  readonly young: number
  readonly written: number
}

export async function countsOf(database: TestDatabase, { job, written }: Shape): Promise<Counts> {
  const owned = async (table: string, who: string): Promise<number> => {
    const [row] = await database.sql<{ n: number }>(`SELECT count(*) AS n FROM ${table} WHERE ${COLUMNS[table]!.owner} LIKE '${who}%'`)
    return row!.n
  }
  return { old: await owned(job.table, 'old'), young: await owned(job.table, 'young'), written: await owned(written, 'writer') }
}

/** With one value to bind, which differs from row to row. */
export function insertion(engine: TestEngine, table: string): string {
  const value = engine.name === 'sqlite' ? '?' : '$1'
  const at = engine.moment(table === 'audit_logs' ? 0 : 7_200)
  switch (table) {
    case 'sessions':
      return `INSERT INTO sessions (session_token, user_identifier, expires_at) VALUES (${value}, 'writer', ${at})`
    case 'policy_decisions':
      return `INSERT INTO policy_decisions (user_identifier, resource, action, decision, expires_at) VALUES ('writer', ${value}, 'a', 'allow', ${at})`
    case 'rate_limits':
      return `INSERT INTO rate_limits (subject, resource, window_start, window_seconds, expires_at) VALUES ('writer', ${value}, '2020-01-01 00:00:00', 60, ${at})`
    default:
      return `INSERT INTO audit_logs ("user", tool_name, action, status, timestamp) VALUES ('writer', ${value}, 'a', 'b', ${at})`
  }
}

interface Random {
  /** From 0 to below 1. */
  share(): number
  of<const T>(these: readonly T[]): T
}

/** Mulberry32. */
function randomly(seed: number): Random {
  let state = seed >>> 0
  const share = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return { share, of: (these) => these[Math.floor(share() * these.length)]! }
}
