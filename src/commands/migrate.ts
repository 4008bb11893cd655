import { MaintenanceError, type ExitCode } from '../errors.ts'
import { migrate } from '../migrations/apply-migrations.ts'
import { pendingMigrations } from '../migrations/prospect.ts'
import { grantedRoles, grantingSentence } from '../migrations/granted-roles.ts'
import { padded } from '../migrations/file-names.ts'
import type { MigrationFile } from '../migrations/migration-files.ts'
import { counted, plural } from '../number-text.ts'
import type { Program } from '../program.ts'

export interface MigrateRequest {
  readonly dryRun: boolean
  /** The number of the last one to apply; `undefined`: the newest. */
  readonly to: number | undefined
}

/** `migrate`: applies pending migrations and ends; a dry run names them and changes nothing. */
export async function runMigrate(program: Program, { dryRun, to }: MigrateRequest): Promise<ExitCode> {
  if (dryRun) await notePending(program, to)
  else {
    if (!program.settings.migrations.enabled) await refuseWhilePending(program, to)
    await applyMigrations(program, to)
  }
  return 0
}

/** Nobody who runs `migrate` should take a database for migrated when it is not. */
async function refuseWhilePending({ database, migrationFiles }: Program, to?: number): Promise<void> {
  const pending = await pendingMigrations({ database, files: migrationFiles, to })
  if (pending.length === 0) return
  throw new MaintenanceError(
    'MIGRATION_REFUSED',
    `${counted(pending.length, 'migration')} ${plural(pending.length, 'is', 'are')} pending (${pending.map(({ stem }) => stem).join(', ')}), and MIGRATIONS_ENABLED is false. ` +
      `Nothing was applied. A user that may create tables can apply them. Run: MIGRATIONS_ENABLED=true mcp-gateway-maintenance migrate${to === undefined ? '' : ` --to ${padded(to)}`}`,
  )
}

/** One line for each migration that a run would apply. */
export async function notePending({ settings, database, migrationFiles, events }: Program, to?: number): Promise<readonly MigrationFile[]> {
  const pending = await pendingMigrations({ database, files: migrationFiles, to })
  const fate = settings.migrations.enabled ? 'and would be applied' : 'but would not be applied, because MIGRATIONS_ENABLED is false'
  for (const file of pending) {
    events.note(`migration ${file.fileName} is pending ${fate}`)
    const roles = await grantedRoles(database, file)
    if (roles.length > 0) events.note(grantingSentence(file.path, file.script.grants, roles))
  }
  if (pending.length === 0) events.note(to === undefined ? 'no migration is pending' : `no migration up to ${padded(to)} is pending`)
  return pending
}

async function noteStop({ database, migrationFiles, events, shutdown }: Program, to: number): Promise<void> {
  if (shutdown.stopping.aborted) return
  const left = await pendingMigrations({ database, files: migrationFiles })
  if (left.length > 0) events.note(`stopped at ${padded(to)}, as --to asks: ${left.map(({ stem }) => stem).join(', ')} stay pending`)
}

/** Applies what is pending, unless the settings say that somebody else does. */
export async function applyMigrations(program: Program, to?: number): Promise<void> {
  const { host, settings, events, database, migrationFiles, shutdown } = program
  const { enabled, lockTimeoutMs } = settings.migrations
  if (enabled)
    await migrate({
      database,
      files: migrationFiles,
      to,
      appVersion: host.version,
      lockTimeoutMs,
      signal: shutdown.stopping,
      clock: host.clock,
      listener: events,
    })
  else events.note('migrations are disabled by migrations.enabled; the database is used as it is')
  if (enabled && to !== undefined) await noteStop(program, to)
  events.migrationsEnded()
}
