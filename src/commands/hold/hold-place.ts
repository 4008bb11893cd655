import type { ExitCode } from '../../errors.ts'
import { MaintenanceError } from '../../errors.ts'
import { matchesText } from '../../policy/holds.ts'
import type { Spared } from '../../policy/spared.ts'
import type { Program } from '../../program.ts'
import { countOfHold, type HeldCount } from '../../runs/hold-counts.ts'
import { PLACING_RIGHTS, READING_RIGHTS } from '../../runs/hold-rights.ts'
import { placeHold, type Placed } from '../../runs/placing-holds.ts'
import { momentText, placedText } from '../../terminal/hold-text.ts'
import { styleOf } from '../../terminal/style.ts'
import type { EpochMs } from '../../time/clock.ts'
import { minuteText } from '../../time/time-text.ts'
import { archivedRows, type ArchivedRows } from './archived-rows.ts'
import { receiptBookOf } from '../receipts/receipt-book-of.ts'
import { countingOf, HELD_JOB, recordedHolds, sparedByOthers, unlessForbidden, whoAsks, withoutTable } from './open-holds.ts'

export interface PlaceRequest {
  readonly name: string
  readonly spared: Spared
  readonly reason: string
  readonly by: string | undefined
  readonly reviewAt: EpochMs | undefined
  readonly dryRun: boolean
  readonly evenIfNone: boolean
}

/** `hold place`: everything is counted first, so that nobody waits for a lock meanwhile. */
export async function placeOne(program: Program, request: PlaceRequest): Promise<ExitCode> {
  const { host, database, events, shutdown } = program
  const { name, spared, reviewAt, dryRun } = request
  const rights = dryRun ? READING_RIGHTS : PLACING_RIGHTS
  const holds = await recordedHolds(program, rights)
  if (holds === undefined) throw withoutTable()
  const reason = await database.storable(request.reason)
  const by = await whoAsks(program, request.by)
  await refuseImpossible(program, request)
  const inForce = holds.find((hold) => hold.name === name && hold.released === undefined)
  if (inForce !== undefined)
    throw new MaintenanceError(
      'USAGE',
      `A hold ${JSON.stringify(name)} is in force already since ${minuteText(inForce.placedAt)} UTC, placed by ${JSON.stringify(inForce.placedBy)}. ` +
        'Nothing was changed. Choose another name: several holds may keep the same rows.',
    )
  const [count, archived] = await unlessForbidden(program, rights, async () => [
    await countOfHold(countingOf(program), spared, sparedByOthers(holds)),
    await archivedRows(program, spared),
  ])
  if (!request.evenIfNone && isNone(count, archived)) throw noRow()
  const { record } = archived
  const change = {
    database,
    clock: host.clock,
    stopping: shutdown.stopping,
    job: HELD_JOB,
    name,
    reason,
    by,
    receipts: dryRun ? undefined : await receiptBookOf(program),
  }
  const placed: Placed | undefined = dryRun
    ? undefined
    : await unlessForbidden(program, rights, () => placeHold({ ...change, spared, reviewAt, archive: record }))
  if (placed !== undefined)
    events.holdPlaced({ id: placed.id, name, by, reason, rows: count?.rows ?? 0, more: count?.more ?? false, receipt: placed.receipt })
  const { table } = HELD_JOB
  host.print(placedText({ name, table, spared, reason, by, reviewAt, count, archived, placed }, styleOf(host)))
  return 0
}

/** Only what is certain counts as none. */
function isNone(count: HeldCount | undefined, { files, unknown }: ArchivedRows): boolean {
  return (count === undefined || (count.rows === 0 && !count.more)) && files === 0 && unknown === undefined
}

function noRow(): MaintenanceError {
  return new MaintenanceError(
    'USAGE',
    `No row of ${HELD_JOB.table} matches, and no file of the archive has rows of that time. Nothing was changed, because a slip of the pen is the likeliest reason. ` +
      'Correct the conditions, or add --even-if-none to keep rows that are still to come.',
  )
}

async function refuseImpossible({ database }: Program, { spared, reviewAt }: PlaceRequest): Promise<void> {
  const matches = matchesText(spared, HELD_JOB.holdable.by)
  const problems = [
    ...((await database.storable(matches)) === matches
      ? []
      : ['A condition has a character that the encoding of this database lacks, so no row can match it.']),
    ...(reviewAt !== undefined && reviewAt <= (await database.now())
      ? [`--review is ${momentText(reviewAt)}, which has passed: give the time at which somebody should ask again.`]
      : []),
  ]
  if (problems.length > 0) throw new MaintenanceError('USAGE', [...problems, 'Nothing was changed.'])
}
