import { HOUR, MINUTE, type EpochMs } from '../../../time/clock.ts'
import { wallClockThreshold } from '../../../time/zones.ts'
import type { TimeColumn } from '../../purging.ts'
import type { Query } from '../../query.ts'
import { LT } from '../exact.ts'
import { qualified, quoted } from '../identifiers.ts'
import { asText, type TimeType } from '../times.ts'

/** Zones differ by multiples of this. */
const STEP_MS = 15 * MINUTE
/** How far from a multiple the newest row may be: it is as old as the last call. */
const TOLERANCE_MS = MINUTE
/** No zone is further from another than this. */
const REACH_MS = 26 * HOUR
/** A table whose last rows lie this close together is written all the time: its newest row should be of now. */
const BUSY_ROWS = 20
const BUSY_MS = 2 * MINUTE

/** A newest row that lies in the future, or on a busy table a zone's difference in the past, was stamped by other clocks than `timeZone` says. */
export async function zoneWarning(
  options: { readonly query: Query; readonly schema: string; readonly timeZone: string; readonly now: () => Promise<EpochMs> },
  { table, column }: TimeColumn,
  type: TimeType,
): Promise<string | undefined> {
  if (type === 'timestamptz') return undefined
  const { query, schema, timeZone } = options
  const newestFirst = `SELECT t.${quoted(column)} AS at FROM ${qualified(schema, table)} AS t WHERE t.${quoted(column)} ${LT} 'infinity'::pg_catalog.${type} ORDER BY t.${quoted(column)} DESC`
  const { rows } = await query.query<{ newest: string | null; earlier: string | null }>(
    `SELECT (SELECT ${asText('n.at')} FROM (${newestFirst} LIMIT 1) AS n) AS newest, (SELECT ${asText('e.at')} FROM (${newestFirst} OFFSET ${BUSY_ROWS} LIMIT 1) AS e) AS earlier`,
  )
  const newest = Date.parse(`${rows[0]?.newest}Z`)
  const earlier = Date.parse(`${rows[0]?.earlier}Z`)
  const aheadMs = newest - wallClockThreshold(await options.now(), timeZone)
  const way = zoneSuspicion(aheadMs, newest - earlier <= BUSY_MS)
  if (way === undefined) return undefined
  return (
    `The newest row of ${schema}.${table} is ${span(aheadMs)} ${way} the clock when "${column}" is read in time zone ${timeZone}: ` +
    'the gateway may stamp its rows in another zone. Set DATABASE_TIME_ZONE to it, or rows are deleted too early or too late.'
  )
}

export function zoneSuspicion(aheadMs: number, busy: boolean): 'ahead of' | 'behind' | undefined {
  if (aheadMs > STEP_MS) return 'ahead of'
  const behindMs = -aheadMs
  const offMs = Math.abs(behindMs - Math.round(behindMs / STEP_MS) * STEP_MS)
  return busy && behindMs > STEP_MS - TOLERANCE_MS && behindMs < REACH_MS && offMs <= TOLERANCE_MS ? 'behind' : undefined
}

function span(ms: number): string {
  const minutes = Math.round(Math.abs(ms) / MINUTE)
  return minutes % 60 === 0 ? `${minutes / 60} h` : `${minutes} min`
}
