import { migrate } from '../migrations/apply-migrations.ts'
import type { Program } from '../program.ts'

/** Applies what is pending, unless the settings say that somebody else does. */
export async function applyMigrations(program: Program): Promise<void> {
  const { settings, events } = program
  if (settings.migrations.enabled) await applyPending(program)
  else events.note('migrations are disabled by migrations.enabled; the database is taken as it stands')
  events.migrationsEnded()
}

async function applyPending({ host, settings, events, database, migrationFiles, shutdown }: Program): Promise<void> {
  await migrate({
    database,
    files: migrationFiles,
    appVersion: host.version,
    lockTimeoutMs: settings.migrations.lockTimeoutMs,
    signal: shutdown.stopping,
    clock: host.clock,
    listener: events,
  })
}
