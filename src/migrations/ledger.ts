import { DatabaseError } from '../database/database-error.ts'
import type { Database } from '../database/database.ts'
import type { Relation } from '../database/migrating.ts'
import type { Query } from '../database/query.ts'
import { readBack } from '../database/read-back.ts'
import { storedTime, storedCount, storedText, boundedText } from '../database/stored-values.ts'
import { MaintenanceError } from '../errors.ts'
import { someText } from '../number-text.ts'
import type { EpochMs } from '../time/clock.ts'
import type { MigrationFile } from './migration-files.ts'

/** Where the worker records what it applied. Made by the runner, not by a migration. */
export const LEDGER = 'maintenance_migrations'

export interface LedgerRow {
  readonly version: number
  /** `initial_schema` */
  readonly name: string
  readonly checksum: string
  readonly appliedAt: EpochMs
  readonly durationMs: number
  readonly appVersion: string
}

/** `undefined`: there is no ledger yet. */
export type Ledger = readonly LedgerRow[] | undefined

/** Only needs the right to read the table. Before that, the catalogue is checked to see whether the table is ours. */
export async function readLedger(database: Database): Promise<Ledger> {
  if (!(await database.tablesAmong([LEDGER])).has(LEDGER)) return undefined
  try {
    const { rows } = await database.query<StoredRow>(`SELECT ${SELECTED} FROM ${database.named(LEDGER)} ORDER BY version`)
    return rows.map(ledgerRow)
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    if (error.kind === 'failed') refuseForeignLedger(await database.relations())
    if (error.kind !== 'forbidden') throw error
    throw new DatabaseError('forbidden', [...error.lines, GRANT], { cause: error })
  }
}

/** Refuses a table that has the ledger's name but belongs to something else. */
export function refuseForeignLedger(existing: ReadonlyMap<string, Relation>): void {
  const there = existing.get(LEDGER)
  if (there === undefined || (there.kind === 'table' && COLUMNS.every((column) => there.columns.has(column)))) return
  const columns = someText([...there.columns.keys()])
  throw new MaintenanceError('MIGRATION_REFUSED', [
    `The ${there.kind} ${LEDGER} is not the worker's record of migrations: its columns are ${columns}.`,
    'Nothing was changed. Rename it, or set MIGRATIONS_ENABLED=false to run the jobs on the tables as they are.',
  ])
}

/** Call inside a transaction that holds the migration lock. */
export async function makeLedger(tx: Query, table: string): Promise<void> {
  await tx.query(`CREATE TABLE IF NOT EXISTS ${table} (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    app_version TEXT NOT NULL
  )`)
}

export async function isRecorded(tx: Query, table: string, version: number): Promise<boolean> {
  const { rows } = await tx.query(`SELECT version FROM ${table} WHERE version = $1`, [version])
  return rows.length > 0
}

export async function record(
  tx: Query,
  table: string,
  file: MigrationFile,
  row: Omit<LedgerRow, 'version' | 'name' | 'checksum'>,
): Promise<void> {
  await tx.query(`INSERT INTO ${table} (version, name, checksum, applied_at, duration_ms, app_version) VALUES ($1, $2, $3, $4, $5, $6)`, [
    file.version,
    file.name,
    file.checksum,
    row.appliedAt,
    row.durationMs,
    row.appVersion,
  ])
  await readBack(tx, table, { version: file.version }, { name: file.name, checksum: file.checksum })
}

const GRANT = `The worker reads ${LEDGER} when it starts. Grant its role SELECT on that table and USAGE on its schema.`

const NUMBERS = ['version', 'applied_at', 'duration_ms']
/** Limited in length: a longer checksum or name cannot be that of a file. */
const TEXTS = ['name', 'checksum', 'app_version']
const COLUMNS = [...NUMBERS, ...TEXTS]
const SELECTED = [...NUMBERS, ...TEXTS.map((name) => `${boundedText(name)} AS ${name}`)].join(', ')

interface StoredRow {
  readonly version: number
  readonly name: string
  readonly checksum: string
  readonly applied_at: number
  readonly duration_ms: number
  readonly app_version: string
}

function ledgerRow(stored: StoredRow): LedgerRow {
  const text = (column: 'name' | 'checksum' | 'app_version'): string => storedText(stored[column], `${LEDGER}.${column}`)
  return {
    version: storedCount(stored.version, `${LEDGER}.version`),
    name: text('name'),
    checksum: text('checksum'),
    appliedAt: storedTime(stored.applied_at, `${LEDGER}.applied_at`),
    durationMs: storedCount(stored.duration_ms, `${LEDGER}.duration_ms`),
    appVersion: text('app_version'),
  }
}
