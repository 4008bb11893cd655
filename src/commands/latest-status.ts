import type { Program } from '../program.ts'
import { latestStatus, type LatestStatus } from '../status/latest.ts'
import { readStatus } from '../status/read-status.ts'
import { statusContextOf } from './status-context.ts'

/** The status of this program's own database, as its settings have it. */
export function latestStatusOf(program: Program): LatestStatus {
  const context = statusContextOf(program)
  return latestStatus((before) => readStatus(program.database, context, before), program.host.clock)
}
