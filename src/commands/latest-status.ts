import { archivePlanOf, type Foundation, type Program } from '../program.ts'
import { latestStatus, type LatestStatus } from '../status/latest.ts'
import { readStatus, type StatusContext } from '../status/read-status.ts'

/** The status of this program's own database, read as its settings say. */
export function latestStatusOf(program: Program): LatestStatus {
  const context = statusContextOf(program)
  return latestStatus((before) => readStatus(program.database, context, before), program.host.clock)
}

export function statusContextOf({ host, settings, migrationFiles }: Foundation): StatusContext {
  return {
    version: host.version,
    migrationsEnabled: settings.migrations.enabled,
    files: migrationFiles,
    jobs: settings.jobs,
    archive: archivePlanOf({ host, settings }),
    partitionsEnabled: settings.partitions.enabled,
    scheduleTimeZone: settings.schedule.timeZone,
    clock: host.clock,
  }
}
