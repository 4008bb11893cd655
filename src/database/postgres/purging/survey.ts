import { DatabaseError } from '../../database-error.ts'
import type { SparedExpired } from '../../purging.ts'
import type { Transaction, Value } from '../../query.ts'
import { plannedRows } from './estimate.ts'
import type { Expired } from './edges.ts'
import { expiredSql, STEERED } from './slice-sql.ts'
import { arrayOf } from './spared-sql.ts'
import { Stretches, type Stretch } from './stretches.ts'
import { furtherTimeSql, nextTimeSql, surveySql, thresholdsSql, type SurveyedTest } from './survey-sql.ts'

export interface Surveyed {
  readonly spared: SparedExpired
  readonly stretches: readonly Stretch[]
}

interface Parts {
  /** Of a statement; more only if they have the same time. */
  readonly rows: number
  /** A part is divided by its time into so many pieces; a piece without a free row is passed over. One bit of a bigint each. */
  readonly pieces: number
  readonly settings: string
}

/** An index that has all the columns may be read as a whole: the planner knows best how many rows are found. */
const LARGE: Parts = { rows: 1_000_000, pieces: 63, settings: 'SET LOCAL enable_seqscan = on; SET LOCAL statement_timeout = 3000' }
/** From the first large part on that took too long. */
const SMALL: Parts = { rows: 100_000, pieces: 7, settings: '' }
/** The gateway needs the other processors. */
const UNPARALLEL = 'SET LOCAL max_parallel_workers_per_gather = 0'

/** Part by part in order of the time, each in a transaction of its own. */
export async function surveyOf(expired: Expired, tests: readonly SurveyedTest[], asked: number): Promise<Surveyed> {
  const each = Array.from({ length: asked }, () => 0)
  let together = 0
  const stretches = new Stretches()
  let parts = LARGE
  // What the planner expects saves looking for the end of the part.
  let isWhole = (await plannedRows(expired.query, expiredSql(expired), [expired.cutoff])) <= LARGE.rows
  for (let from: string | undefined = '-infinity'; from !== undefined;) {
    try {
      const part: Part = await surveyPart(expired, tests, from, parts, isWhole)
      for (const [index, count] of part.each.entries()) each[index]! += count
      together += part.together
      for (const stretch of part.stretches) stretches.add(stretch)
      from = part.end
    } catch (error) {
      if (parts === SMALL || !(error instanceof DatabaseError) || error.kind !== 'busy') throw error
      parts = SMALL
      isWhole = false
    }
  }
  return { spared: { each, together }, stretches: stretches.joined }
}

interface Part extends SparedExpired {
  readonly stretches: readonly Stretch[]
  /** Where the next part begins. */
  readonly end: string | undefined
}

function surveyPart(
  expired: Expired,
  tests: readonly SurveyedTest[],
  from: string,
  { rows: most, pieces, settings }: Parts,
  isWhole: boolean,
): Promise<Part> {
  const { scan, cutoff } = expired
  return scan(async (tx) => {
    await tx.query(`${STEERED}; ${UNPARALLEL}; ${settings}`)
    const end = isWhole ? undefined : await endOf(tx, expired, from, most)
    const range = [cutoff, from, end ?? cutoff]
    const thresholds = (await tx.query<{ at: string }>(thresholdsSql(expired, pieces), range)).rows.map(({ at }) => at)
    const to = end ?? null
    // There is no row.
    if (thresholds.length === 0) return { each: [], together: 0, stretches: [{ from, to }], end }
    const values: Value[] = [...range, arrayOf(thresholds)]
    const { rows } = await tx.query<{ counts: string; pieces: string | null; first: string | null }>(
      surveySql(expired, tests, values),
      values,
    )
    const { counts, pieces: free, first } = rows[0]!
    const [together, ...each] = counts.slice(1, -1).split(',').map(Number)
    return { each, together: together!, stretches: stretchesOf({ from, to }, thresholds, BigInt(free ?? 0), first), end }
  })
}

async function endOf(tx: Transaction, expired: Expired, from: string, rows: number): Promise<string | undefined> {
  const further = (await tx.query<{ at: string; equal: boolean }>(furtherTimeSql(expired), [expired.cutoff, from, rows])).rows[0]
  if (further?.equal !== true) return further?.at
  return (await tx.query<{ at: string }>(nextTimeSql(expired), [expired.cutoff, from])).rows[0]?.at
}

/** `free`: a bit for each piece that has a free row; `first`: the time of the first one. */
function stretchesOf({ from, to }: Stretch, thresholds: readonly string[], free: bigint, first: string | null): Stretch[] {
  if (first === null) return [{ from, to }]
  const isFree = thresholds.map((_, index) => (free & (1n << BigInt(index + 1))) !== 0n)
  const firstPiece = (free & 1n) !== 0n ? 0 : isFree.indexOf(true) + 1
  const behind = thresholds.flatMap((at, index) =>
    index + 1 > firstPiece && isFree[index] === false
      ? [{ from: at, to: index + 1 < thresholds.length ? thresholds[index + 1]! : to }]
      : [],
  )
  return [{ from, to: first }, ...behind]
}
