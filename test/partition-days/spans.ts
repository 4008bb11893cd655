import type { Simulated } from './simulation.ts'

/** As the issue of partitions has it. */
export const MONTHS: Simulated = {
  retentionDays: 90,
  ruleDays: 180,
  busyDays: 90,
  rowsADay: 2_000,
  away: { from: 30, days: 30 },
  aheadDays: 14,
}

/** The same within a minute: the worker is away for longer than partitions were made ahead. */
export const WEEKS: Simulated = {
  retentionDays: 3,
  ruleDays: 7,
  busyDays: 12,
  rowsADay: 200,
  away: { from: 4, days: 6 },
  aheadDays: 4,
}
