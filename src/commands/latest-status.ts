import type { Program } from '../program.ts'
import { latestStatus, type LatestStatus } from '../status/latest.ts'
import { readStatus } from '../status/status.ts'
import { statusContextOf } from './status-context.ts'

/** The status of this program's own database, as its settings have it. */
export function latestStatusOf(program: Program): LatestStatus {
  const context = statusContextOf(program)
  return latestStatus(() => readStatus(program.database, context), program.host.clock)
}
