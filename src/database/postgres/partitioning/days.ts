import { DAY, type EpochMs } from '../../../time/clock.ts'
import type { TimeType } from '../times.ts'
import type { BoundTime } from './tree.ts'

/** The days of partitions begin at midnight as the time column reads it; times are readings in milliseconds, without a zone as if they were UTC. */
export function dayOf(reading: EpochMs): EpochMs {
  return Math.floor(reading / DAY) * DAY
}

/** `audit_logs_p20261130`, the partition of the day that begins at this reading; with the time of day, to the microsecond, if it begins later. */
export function partitionName(table: string, from: EpochMs | BoundTime): string {
  if (typeof from === 'number') return `${table}_p${isoDay(from).replaceAll('-', '')}`
  const [, day = '', clock = '', fraction = ''] = /^([\d-]+) ([\d:]+)(?:\.(\d+))?/.exec(from.text) ?? []
  const time = fraction === '' ? clock.replaceAll(':', '') : `${clock.replaceAll(':', '')}${fraction.padEnd(6, '0')}`
  return `${table}_p${day.replaceAll('-', '')}${/^0*$/.test(time) ? '' : `_${time}`}`
}

export function defaultName(table: string): string {
  return `${table}_default`
}

/** A bound at a midnight, as it is written in statements: it means the same in every session. */
export function midnight(day: EpochMs, type: TimeType): BoundTime {
  return { text: `${isoDay(day)} 00:00:00${type === 'timestamptz' ? '+00' : ''}`, reading: day }
}

function isoDay(day: EpochMs): string {
  return new Date(day).toISOString().slice(0, 10)
}

/**
 * Where the partition of all earlier rows ends: midnight of the day after tomorrow. From the moment in which rows from then on are refused to the end of the
 * conversion it is at least a day away, whatever the writers' clocks show.
 */
export function firstBound(reading: EpochMs): EpochMs {
  return dayOf(reading) + 2 * DAY
}

/** The days that get a partition at once, from the bound on: as many as are made ahead of today later. */
export function firstDays(bound: EpochMs, aheadMs: number): readonly EpochMs[] {
  return Array.from({ length: Math.max(1, Math.ceil(aheadMs / DAY)) }, (_, day) => bound + day * DAY)
}
