import type { ExitCode } from '../errors.ts'
import { migrate, pendingMigrations } from '../migrations/apply-migrations.ts'
import type { MigrationFile } from '../migrations/migration-files.ts'
import type { Program } from '../program.ts'

/** `migrate`: applies pending migrations and ends; with a dry run it names them and changes nothing. */
export async function runMigrate(program: Program, dryRun: boolean): Promise<ExitCode> {
  if (dryRun) await tellPending(program)
  else await applyMigrations(program)
  return 0
}

/** One line for each migration that a run would apply. */
export async function tellPending({ database, migrationFiles, events }: Program): Promise<readonly MigrationFile[]> {
  const pending = await pendingMigrations({ database, files: migrationFiles })
  for (const file of pending) events.note(`migration ${file.fileName} is pending and would be applied`)
  if (pending.length === 0) events.note('no migration is pending')
  return pending
}

/** Applies what is pending, unless the settings say that somebody else does. */
export async function applyMigrations({ host, settings, events, database, migrationFiles, shutdown }: Program): Promise<void> {
  const { enabled, lockTimeoutMs } = settings.migrations
  if (enabled)
    await migrate({
      database,
      files: migrationFiles,
      appVersion: host.version,
      lockTimeoutMs,
      signal: shutdown.stopping,
      clock: host.clock,
      listener: events,
    })
  else events.note('migrations are disabled by migrations.enabled; the database is taken as it stands')
  events.migrationsEnded()
}
