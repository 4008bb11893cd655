import { DatabaseError } from '../database/database-error.ts'
import type { Relation } from '../database/migrating.ts'
import { MaintenanceError } from '../errors.ts'
import { applyFile } from './apply-file.ts'
import { grantedRoles } from './granted-roles.ts'
import { slowTables } from './indexes/slow-tables.ts'
import { readLedger, refuseForeignLedger, type Ledger } from './ledger.ts'
import type { AppliedMigration, MigrateOptions } from './migrate-options.ts'
import { stateAfter } from './migration-failure.ts'
import { refuseBadFiles, type MigrationFile } from './migration-files.ts'
import { refuseForPartitioned } from './partitioned-tables.ts'
import { planMigrations } from './plan.ts'
import { refuseOtherShapes } from './shapes/shapes.ts'

type Applied = (migration: AppliedMigration) => void

/**
 * Applies pending migrations, each file once however many workers start together, and returns those that this worker applied. An up-to-date database costs
 * one query of the catalogue and one SELECT. Rejects with `MIGRATION_REFUSED`, `MIGRATION_FAILED` or a `DatabaseError`; the database is then at the last
 * migration that succeeded.
 */
export async function migrate(options: MigrateOptions): Promise<readonly AppliedMigration[]> {
  const { database, signal, listener } = options
  /** By version: a failover of the database may take back what was applied, and then it is applied again. */
  const applied = new Map<number, AppliedMigration>()
  const note: Applied = (migration) => {
    applied.set(migration.version, migration)
    listener.applied(migration)
  }
  let isCurrent = false
  for (let losses = 0; ;) {
    let begun: Begun | undefined
    try {
      const pending = await pendingMigrations(options)
      isCurrent = pending.length === 0
      if (!isCurrent && !signal.aborted) {
        begun = { pending, server: await database.serverStartedAt() }
        isCurrent = await applyPending(options, note)
        begun = undefined
      }
      // What is reported as applied is still applied after a power cut: whoever migrates by hand does not look again.
      if (applied.size > 0) await database.durable()
      break
    } catch (error) {
      losses += 1
      if (!(error instanceof DatabaseError) || error.kind !== 'lost' || (begun === undefined && losses > MOST_LOSSES)) throw error
      if (begun === undefined) await database.reconnected(signal)
      else await noteWhatSurvived(options, { ...begun, applied, mayGoOn: losses <= MOST_LOSSES }, error, note)
    }
  }
  if (isCurrent) listener.current(applied.size, options.to ?? filesFor(options).at(-1)?.version ?? 0)
  return [...applied.values()]
}

/** After so many failovers and restarts of the server a person should look. */
const MOST_LOSSES = 5

interface Begun {
  readonly pending: readonly MigrationFile[]
  /** See `Migratable.serverStartedAt`. */
  readonly server: number | undefined
}

interface Cut extends Begun {
  readonly applied: ReadonlyMap<number, AppliedMigration>
  readonly mayGoOn: boolean
}

/** What `migrate` would apply, in order. Only reads. Rejects where `migrate` would reject before its first statement. */
export async function pendingMigrations(options: Planned): Promise<readonly MigrationFile[]> {
  return (await prospect(options)).pending
}

type Planned = Pick<MigrateOptions, 'database' | 'files' | 'to'>

/** The current state, and what is pending. */
interface Prospect {
  readonly ledger: Ledger
  readonly pending: readonly MigrationFile[]
  /** Empty if nothing is pending. */
  readonly existing: ReadonlyMap<string, Relation>
}

/** Rejects unless everything that is pending can be applied. */
async function prospect(options: Planned): Promise<Prospect> {
  const { database, to } = options
  const ledger = await readLedger(database)
  const plan = planMigrations(filesFor(options), ledger ?? [], to)
  if (plan.kind === 'refused') throw new MaintenanceError('MIGRATION_REFUSED', [...plan.problems, 'Nothing was changed.'])
  const { pending } = plan
  if (pending.length === 0) return { ledger, pending, existing: new Map() }
  refuseBadFiles(pending)
  const existing = await database.relations()
  refuseForeignLedger(existing)
  refuseOtherShapes(existing, pending)
  refuseForPartitioned(existing, pending)
  const outside = pending.filter(({ script }) => script.outside !== undefined)
  if (outside.length > 0 && (await database.pooled())) {
    throw new MaintenanceError('MIGRATION_REFUSED', [
      `${outside.map(({ path }) => path).join(', ')} runs outside a transaction, but DATABASE_URL goes through a pooler, which may give each statement a different session.`,
      'Nothing was changed. Run `mcp-gateway-maintenance migrate` once with a DATABASE_URL that leads directly to the server.',
    ])
  }
  return { ledger, pending, existing }
}

/** Returns false if the program was asked to stop while something is still pending. */
async function applyPending(options: MigrateOptions, note: Applied): Promise<boolean> {
  const { database, signal, listener, lockTimeoutMs } = options
  const lock = { timeoutMs: lockTimeoutMs, signal, waiting: (holder: string, waitedMs: number) => listener.waiting(holder, waitedMs) }
  try {
    return await database.withMigrationLock(lock, async (apply, outside) => {
      const { ledger, pending, existing } = await prospect(options)
      const run = { ...options, apply, outside, ledgerMissing: ledger === undefined }
      for (const file of pending) {
        if (signal.aborted) return false
        const slow = await slowTables(database, existing, file.script.statements)
        for (const { table, rows, message } of slow) listener.slowIndex(table, rows, message)
        const roles = await grantedRoles(database, file)
        if (roles.length > 0) listener.granting(file.path, file.script.grants, roles)
        const outcome = await applyFile(run, file)
        if (outcome === 'stopped') return false
        if (outcome !== 'recorded') note(outcome)
      }
      return true
    })
  } catch (error) {
    // A lock on a table is reported as a failure of its file, so this is the migration lock, and nothing has begun.
    if (!(error instanceof DatabaseError) || error.kind !== 'busy') throw error
    if (signal.aborted) return false
    const problems = [...error.lines, 'This worker began no migration. Start again when the other worker has finished.']
    throw new MaintenanceError('MIGRATION_FAILED', problems, { cause: error })
  }
}

/**
 * The answer to COMMIT may have been lost, so only the ledger shows whether the current file was applied. If it was not, the file is tried again on another
 * server, or on this one after a restart or a time in which it took no writes. On a server that goes on it is a failure: somebody may have ended the session, or the
 * file has crashed its backend, and would again.
 */
async function noteWhatSurvived(
  { database, signal }: MigrateOptions,
  { pending, server, applied, mayGoOn }: Cut,
  loss: DatabaseError,
  note: Applied,
): Promise<void> {
  const current = pending.find(({ version }) => !applied.has(version))
  try {
    await database.reconnected(signal)
  } catch (error) {
    if (!(error instanceof DatabaseError) || current === undefined) throw error
    const unknown = `It is not known whether ${current.path} was applied. The next start finds out.`
    throw new DatabaseError(error.kind, [...loss.lines, ...error.lines, unknown], { cause: error })
  }
  const recorded = new Map((await readLedger(database))?.map((row) => [row.version, row]))
  const survived = pending.filter(({ version }) => recorded.has(version) && !applied.has(version))
  const notItsFault = tookNoWrites(loss) || (await database.serverStartedAt()) !== server
  if (survived.length === 0 && !(mayGoOn && notItsFault)) {
    const problems = [...loss.lines, ...(current === undefined ? [] : [`Connected again. ${stateAfter(current)}`])]
    throw new DatabaseError('lost', problems, { cause: loss })
  }
  for (const { version, name } of survived) note({ version, name, durationMs: recorded.get(version)?.durationMs ?? 0 })
}

/** The server became a standby, or was made read-only for a while. */
function tookNoWrites(error: unknown): boolean {
  if (error instanceof DatabaseError && error.kind === 'read-only') return true
  return error instanceof Error && tookNoWrites(error.cause)
}

function filesFor({ database, files }: Pick<MigrateOptions, 'database' | 'files'>): readonly MigrationFile[] {
  return files.filter(({ fileName }) => database.migrationFiles.test(fileName))
}
