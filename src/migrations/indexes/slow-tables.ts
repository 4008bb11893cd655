import { DatabaseError } from '../../database/database-error.ts'
import type { Migratable, Relation } from '../../database/migrating.ts'
import { counted, countText } from '../../number-text.ts'
import { SECOND } from '../../time/clock.ts'
import { durationText } from '../../time/time-text.ts'
import { type Statement } from '../sql/statements.ts'
import { keyword, nameOf } from '../sql/tokens.ts'

export interface IndexBuild {
  readonly index: string
  readonly table: string
}

export interface SlowTable {
  readonly table: string
  /** Approximate. */
  readonly rows: number
  readonly message: string
}

/** A warning is logged before an index is built on a table of at least this size. */
export const LARGE_TABLE_ROWS = 100_000
/** A rough figure for one index over short text on ordinary storage. */
const SECONDS_PER_MILLION_ROWS = 2

/**
 * The large tables that will be locked against writes while these statements build missing indexes, and for about how long.
 */
export async function slowTables(
  database: Migratable,
  existing: ReadonlyMap<string, Relation>,
  statements: readonly Statement[],
): Promise<readonly SlowTable[]> {
  const missing: IndexBuild[] = []
  for (const build of indexBuilds(statements)) {
    if (existing.get(build.table)?.kind === 'table' && (await database.indexState(build.index)) === 'missing') missing.push(build)
  }
  const slow: SlowTable[] = []
  for (const [table, builds] of Map.groupBy(missing, (build) => build.table)) {
    const rows = await rowsOf(database, table)
    if (rows > LARGE_TABLE_ROWS) slow.push({ table, rows, message: warning(table, rows, builds) })
  }
  return slow
}

/** Ignores errors: a role that may not read the table may not index it either, and an earlier file may have dropped it. The migration itself will report that. */
async function rowsOf(database: Migratable, table: string): Promise<number> {
  try {
    return await database.approximateRows(table)
  } catch (error) {
    if (error instanceof DatabaseError && (error.kind === 'forbidden' || error.kind === 'failed')) return 0
    throw error
  }
}

function warning(table: string, rows: number, builds: readonly IndexBuild[]): string {
  const seconds = Math.max(1, Math.round((rows / 1_000_000) * builds.length * SECONDS_PER_MILLION_ROWS))
  return (
    `${table} has about ${countText(rows)} rows and gets ${counted(builds.length, 'index', 'indexes')}: writes to it may be blocked for about ${durationText(seconds * SECOND)} ` +
    `(estimated at ${SECONDS_PER_MILLION_ROWS} s per million rows and index)`
  )
}

/** `CREATE [UNIQUE] INDEX [IF NOT EXISTS] name ON [ONLY] table`: those that lock the table. */
export function indexBuilds(statements: readonly Statement[]): readonly IndexBuild[] {
  return statements.flatMap(({ tokens }) => {
    const rest = tokens.slice(0, 12).filter((token) => !NOISE.has(keyword(token)))
    const [create, what, index, on, table] = rest
    if (create === undefined || keyword(create) !== 'CREATE' || what === undefined || keyword(what) !== 'INDEX') return []
    if (index === undefined || on === undefined || keyword(on) !== 'ON' || table === undefined) return []
    return [{ index: nameOf(index), table: nameOf(table) }]
  })
}

const NOISE: ReadonlySet<string> = new Set(['UNIQUE', 'IF', 'NOT', 'EXISTS', 'ONLY'])
