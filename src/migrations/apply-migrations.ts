import { DatabaseError } from '../database/database-error.ts'
import { readLedger } from './ledger.ts'
import type { AppliedMigration, MigrateOptions } from './migrate-options.ts'
import { stateAfter } from './migration-failure.ts'
import type { MigrationFile } from './migration-files.ts'
import { filesFor, pendingMigrations } from './prospect.ts'

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
        // Most starts find nothing to apply.
        isCurrent = await (await import('./apply-pending.ts')).applyPending(options, note)
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
