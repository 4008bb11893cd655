import type { ExitCode } from '../../errors.ts'
import type { Program } from '../../program.ts'
import { countOfHold, type HeldCount } from '../../runs/hold-counts.ts'
import { RELEASING_RIGHTS } from '../../runs/hold-rights.ts'
import { releaseHold } from '../../runs/releasing-holds.ts'
import type { StoredHold } from '../../runs/stored-holds.ts'
import { releasedText } from '../../terminal/hold-text.ts'
import { styleOf } from '../../terminal/style.ts'
import { receiptBookOf } from '../receipts/receipt-book-of.ts'
import { countingOf, HELD_JOB, recordedHolds, sparedByOthers, unknownHold, unlessForbidden, whoAsks, withoutTable } from './open-holds.ts'

export interface ReleaseRequest {
  readonly name: string
  readonly reason: string
  readonly by: string | undefined
}

/** `hold release`: from the next run on its rows may go, unless something else keeps them. */
export async function releaseOne(program: Program, request: ReleaseRequest): Promise<ExitCode> {
  const { host, database, events, shutdown } = program
  const { name } = request
  const holds = await recordedHolds(program, RELEASING_RIGHTS)
  if (holds === undefined) throw withoutTable()
  const ofName = holds.filter((hold) => hold.name === name)
  if (ofName.length === 0) throw unknownHold(name, holds)
  const hold = ofName.find(({ released }) => released === undefined)
  const reason = await database.storable(request.reason)
  const by = await whoAsks(program, request.by)
  const count = hold === undefined ? undefined : await unlessForbidden(program, RELEASING_RIGHTS, () => countOf(program, hold, holds))
  const change = {
    database,
    clock: host.clock,
    stopping: shutdown.stopping,
    job: HELD_JOB,
    name,
    reason,
    by,
    receipts: await receiptBookOf(program),
  }
  const { id, releasedAt, receipt } = await unlessForbidden(program, RELEASING_RIGHTS, () => releaseHold(change))
  events.holdReleased({ id, name, by, reason, rows: count?.alone, more: count?.more ?? false, receipt })
  host.print(releasedText({ name, table: HELD_JOB.table, releasedAt, reason, by, keeps: hold?.keeps, count }, styleOf(host)))
  return 0
}

/** One that cannot be understood, or that is on rows of another job, has nothing to count. */
async function countOf(program: Program, { id, job, keeps }: StoredHold, holds: readonly StoredHold[]): Promise<HeldCount | undefined> {
  if (job !== HELD_JOB.name || 'problems' in keeps) return undefined
  return countOfHold(countingOf(program), keeps, sparedByOthers(holds, id))
}
