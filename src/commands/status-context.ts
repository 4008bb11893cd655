import { archivePlanOf, type Program } from '../program.ts'
import type { StatusContext } from '../status/read-status.ts'

export function statusContextOf({ host, settings, migrationFiles }: Omit<Program, 'database'>): StatusContext {
  return {
    version: host.version,
    migrationsEnabled: settings.migrations.enabled,
    files: migrationFiles,
    jobs: settings.jobs,
    archive: archivePlanOf({ host, settings }),
    scheduleTimeZone: settings.schedule.timeZone,
    clock: host.clock,
  }
}
