import type { Database } from '../database/database.ts'
import { boundedText, orNothing, storedCount, storedText, storedTime } from '../database/stored-values.ts'
import { HOLDS, RUN_HOLDS } from '../runs/hold-tables.ts'
import type { RunTables } from '../runs/past-runs.ts'
import type { EpochMs } from '../time/clock.ts'

/** A hold that is in force, without what it keeps: a status may be read by anybody who reaches the port, and a hold names people. */
export interface HoldStatus {
  readonly name: string
  readonly placedAt: EpochMs
  /** From then on somebody should ask whether it is still needed. */
  readonly reviewAt: EpochMs | undefined
  /** How many expired rows it kept in the run; `undefined`: that run did not know of it, or there was none. */
  readonly kept: number | undefined
}

interface StoredHold {
  readonly name: unknown
  readonly placed_at: unknown
  readonly review_at: unknown
  readonly kept: unknown
}

/** `run`: the one that says how many rows each of them kept. */
export async function readHolds(
  database: Database,
  tables: Pick<RunTables, 'held'> | undefined,
  job: string,
  run: number | undefined,
): Promise<readonly HoldStatus[]> {
  const [kept, join] =
    tables?.held === undefined
      ? ['NULL', '']
      : ['k."rows"', ` LEFT JOIN ${tables.held} AS k ON k.hold = h.id AND k.run = CAST($2 AS bigint)`]
  const { rows } = await database.query<StoredHold>(
    `SELECT ${boundedText('h.name')} AS name, h.placed_at, h.review_at, ${kept} AS kept FROM ${database.named(HOLDS)} AS h${join}
     WHERE h.job = $1 AND h.released_at IS NULL ORDER BY h.id`,
    tables?.held === undefined ? [job] : [job, run ?? 0],
  )
  return rows.map((row) => ({
    name: storedText(row.name, `${HOLDS}.name`),
    placedAt: storedTime(row.placed_at, `${HOLDS}.placed_at`),
    reviewAt: orNothing(storedTime, row.review_at, `${HOLDS}.review_at`),
    kept: orNothing(storedCount, row.kept, `${RUN_HOLDS}.rows`),
  }))
}

/** The holds whose review is due. */
export function dueForReview(holds: readonly HoldStatus[], at: EpochMs): readonly HoldStatus[] {
  return holds.filter(({ reviewAt }) => reviewAt !== undefined && reviewAt <= at)
}
