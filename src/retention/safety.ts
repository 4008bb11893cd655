import { DAY, formatDuration, HOUR, MINUTE, SECOND } from '../time.ts'

/** Clocks further apart than this: one of them is wrong, and nobody knows which. */
const CLOCKS_STOP_MS = HOUR
const CLOCKS_WARN_MS = 5 * MINUTE
/** A purge by a shorter retention than before may take this part of the table without asking. */
export const SMALL_PART = 1 / 10
/** A table of more rows than this is never emptied without asking. */
export const MOST_ROWS_EMPTIED = 1_000

export type ClockVerdict = { readonly kind: 'fine' } | { readonly kind: 'warning' | 'stop'; readonly message: string }

/** Rows are stamped by hosts and judged by the database: their clocks have to agree. */
export function judgeClocks(hostAheadMs: number): ClockVerdict {
  const apartMs = Math.abs(hostAheadMs)
  if (apartMs <= CLOCKS_WARN_MS) return { kind: 'fine' }
  const told = `the clock of this host is ${roughly(apartMs)} ${hostAheadMs > 0 ? 'ahead of' : 'behind'} the database's`
  if (apartMs <= CLOCKS_STOP_MS) return { kind: 'warning', message: `${told}; rows are purged by the database's clock` }
  return { kind: 'stop', message: `${told}: one of them is wrong, and with it what has expired. Nothing was deleted; correct the clock` }
}

export interface Shrinking {
  readonly job: string
  readonly table: string
  readonly retentionMs: number
  readonly lastAcceptedMs: number
  readonly rows: number
}

export function shrinkingMessage({ job, table, retentionMs, lastAcceptedMs, rows }: Shrinking): string {
  return (
    `the retention of ${job} is ${formatDuration(retentionMs)}, and the last run went by ${formatDuration(lastAcceptedMs)}: more than a tenth of the ` +
    `${rows.toLocaleString('en-US')} rows of ${table} would go. Nothing was deleted. If that is meant, run once ` +
    `--run-now --job ${job} --accept-shorter-retention with the same settings, and the schedule goes by the new retention; if not, restore the old one`
  )
}

export function emptyingMessage(job: string, table: string): string {
  return (
    `every row of ${table} that has a time would go, the newest included, and there are more than ${MOST_ROWS_EMPTIED.toLocaleString('en-US')}: the clock is wrong, ` +
    'or nothing has been written for as long as the retention. Nothing was deleted. Look at the clock and at the newest rows; if they are right, run once ' +
    `--run-now --job ${job} --accept-empty-table`
  )
}

/** Whether so few of the rows would go that nobody needs to be asked: that many may. */
export function smallPartOf(rows: number): number {
  return Math.floor(rows * SMALL_PART)
}

function roughly(ms: number): string {
  const [unit, name] = UNITS.find(([size]) => ms >= 1.5 * size) ?? [SECOND, 'seconds']
  return `${Math.round(ms / unit)} ${name}`
}

const UNITS = [
  [DAY, 'days'],
  [HOUR, 'hours'],
  [MINUTE, 'minutes'],
] as const
