import { DatabaseError } from '../database/database-error.ts'
import type { Database } from '../database/database.ts'
import { MaintenanceError } from '../errors.ts'
import type { Clock } from '../time/clock.ts'
import { applyFile } from './apply-file.ts'
import { slowTables } from './indexes/index-builds.ts'
import { LEDGER, readLedger, type Ledger } from './ledger.ts'
import { whatStands } from './migration-failure.ts'
import type { MigrationFile } from './migration-files.ts'
import { planMigrations } from './plan.ts'
import { refuseOtherShapes } from './shapes/shapes.ts'
import { runsOutsideTransaction } from './sql/directives.ts'

export interface MigrationListener {
  applied(migration: AppliedMigration): void
  /** Nothing is pending any more: how many this run applied, and the number the database stands at. */
  current(applied: number, latest: number): void
  /** Another worker is migrating. */
  waiting(holder: string, waitedMs: number): void
  /** Somebody else holds a lock that the file needs; who, where that can be seen. */
  blocked(path: string, reason: string, waitedMs: number): void
  /** An index that an attempt that died has left half built was taken away; it is built again. */
  healed(path: string, index: string): void
  slowIndex(table: string, rows: number, message: string): void
}

export interface AppliedMigration {
  readonly version: number
  readonly name: string
  readonly durationMs: number
}

export interface MigrateOptions {
  readonly database: Database
  /** Of both engines, as `readMigrationFiles` gives them. */
  readonly files: readonly MigrationFile[]
  readonly appVersion: string
  /** How long to wait for another worker that is migrating, and then for the locks on tables. */
  readonly lockTimeoutMs: number
  /** Looked at between files: the file in hand is finished. */
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly listener: MigrationListener
}

/**
 * Applies what is pending, each file once however many workers start together, and answers with what this one applied. An up-to-date database
 * is one SELECT. Rejects with `MIGRATION_REFUSED` or `MIGRATION_FAILED`, or with the `DatabaseError` of what stood in the way; the database
 * is then where the last good file left it.
 */
export async function migrate(options: MigrateOptions): Promise<readonly AppliedMigration[]> {
  const { signal, listener } = options
  const applied: AppliedMigration[] = []
  const tell = (migration: AppliedMigration): void => {
    applied.push(migration)
    listener.applied(migration)
  }
  for (;;) {
    const pending = await pendingMigrations(options)
    if (pending.length === 0) break
    if (signal.aborted) return applied
    try {
      await applyPending(options, tell)
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.kind !== 'lost') throw error
      await tellWhatSurvived(options, pending, applied, error, tell)
    }
  }
  listener.current(applied.length, filesFor(options).at(-1)?.version ?? 0)
  return applied
}

/** What `migrate` would apply, in order. Reads only; rejects as `migrate` would before its first statement. */
export async function pendingMigrations({
  database,
  files,
}: Pick<MigrateOptions, 'database' | 'files'>): Promise<readonly MigrationFile[]> {
  const pending = planned(filesFor({ database, files }), await readLedger(database))
  await refuseImpossible(database, pending)
  return pending
}

/** Before the first statement. */
async function refuseImpossible(database: Database, pending: readonly MigrationFile[]): Promise<void> {
  if (pending.length > 0) refuseOtherShapes(await database.relations(), pending)
  const outside = pending.filter(({ text }) => runsOutsideTransaction(text))
  if (outside.length === 0 || !(await database.pooled())) return
  throw new MaintenanceError('MIGRATION_REFUSED', [
    `${outside.map(({ path }) => path).join(', ')} runs outside a transaction and DATABASE_URL goes through a pooler, which may give each statement another session`,
    'nothing was changed; run `mcp-gateway-maintenance migrate` once with a DATABASE_URL that leads directly to the server',
  ])
}

async function applyPending(options: MigrateOptions, tell: (migration: AppliedMigration) => void): Promise<void> {
  const { database, signal, listener, lockTimeoutMs } = options
  const lock = { timeoutMs: lockTimeoutMs, signal, waiting: (holder: string, waitedMs: number) => listener.waiting(holder, waitedMs) }
  try {
    await database.withMigrationLock(lock, async (apply, outside) => {
      const ledger = await readLedger(database)
      const pending = planned(filesFor(options), ledger)
      await refuseImpossible(database, pending)
      for (const file of pending) {
        if (signal.aborted) return
        for (const { table, rows, message } of await slowTables(database, file.text)) listener.slowIndex(table, rows, message)
        const blocked = (reason: string, waitedMs: number): void => listener.blocked(file.path, reason, waitedMs)
        const healed = (index: string): void => listener.healed(file.path, index)
        const ours = { table: database.named(LEDGER), missing: ledger === undefined }
        const durationMs = await applyFile({ ...options, file, apply, outside, ledger: ours, blocked, healed })
        if (durationMs !== undefined) tell({ version: file.version, name: file.name, durationMs })
      }
    })
  } catch (error) {
    // A lock on a table has been made a failure of its file by now: this is the migration lock, and nothing has begun.
    if (!(error instanceof DatabaseError) || error.kind !== 'busy') throw error
    if (signal.aborted) return
    const problems = [...error.lines, 'no migration was begun here; start again when the other worker has finished']
    throw new MaintenanceError('MIGRATION_FAILED', problems, { cause: error })
  }
}

/** The answer to COMMIT may be what was lost: only the ledger knows whether the file in hand was applied. */
async function tellWhatSurvived(
  { database, signal }: MigrateOptions,
  pending: readonly MigrationFile[],
  applied: readonly AppliedMigration[],
  loss: DatabaseError,
  tell: (migration: AppliedMigration) => void,
): Promise<void> {
  const inHand = pending.find(({ version }) => !applied.some((each) => each.version === version))
  try {
    await database.reconnected(signal)
  } catch (error) {
    if (!(error instanceof DatabaseError) || inHand === undefined) throw error
    const unknown = `whether ${inHand.path} was applied is not known: the next start looks it up`
    throw new DatabaseError(error.kind, [...loss.lines, ...error.lines, unknown], { cause: error })
  }
  const told = new Set(applied.map(({ version }) => version))
  const recorded = new Map((await readLedger(database))?.map((row) => [row.version, row]))
  const survived = pending.filter(({ version }) => recorded.has(version) && !told.has(version))
  if (survived.length === 0) {
    const problems = [...loss.lines, ...(inHand === undefined ? [] : [`connected again: ${whatStands(inHand)}`])]
    throw new DatabaseError('lost', problems, { cause: loss })
  }
  for (const { version, name } of survived) tell({ version, name, durationMs: recorded.get(version)?.durationMs ?? 0 })
}

function planned(files: readonly MigrationFile[], ledger: Ledger): readonly MigrationFile[] {
  const plan = planMigrations(files, ledger ?? [])
  if (plan.kind === 'ready') return plan.pending
  throw new MaintenanceError('MIGRATION_REFUSED', [...plan.problems, 'nothing was changed'])
}

function filesFor({ database, files }: Pick<MigrateOptions, 'database' | 'files'>): readonly MigrationFile[] {
  return files.filter(({ fileName }) => database.migrationFiles.test(fileName))
}
