import type { ExitCode } from '../../errors.ts'
import { jsonDocument } from '../../observe/control-characters.ts'
import type { Program } from '../../program.ts'
import { countOfHold } from '../../runs/hold-counts.ts'
import { READING_RIGHTS } from '../../runs/hold-rights.ts'
import { HELD_FILES, RUN_HOLDS } from '../../runs/hold-tables.ts'
import { RUNS } from '../../runs/run-records.ts'
import { heldFiles, keptInRuns, type StoredHold } from '../../runs/stored-holds.ts'
import { holdText, type ShownHold } from '../../terminal/hold-text.ts'
import { styleOf } from '../../terminal/style.ts'
import { formatTime } from '../../time/clock.ts'
import { holdDocument } from './hold-document.ts'
import { countingOf, HELD_JOB, recordedHolds, sparedByOthers, unknownHold, unlessForbidden, withoutTable } from './open-holds.ts'

const MOST_RUNS = 5
/** A person reads no more; a document may hold them all. */
const MOST_FILES = 20
const MOST_FILES_IN_DOCUMENT = 100_000

/** `hold show`: every hold of this name, released ones too. Changes nothing. */
export async function showHolds(program: Program, { name, json }: { readonly name: string; readonly json: boolean }): Promise<ExitCode> {
  const { host, database } = program
  const holds = await recordedHolds(program, READING_RIGHTS)
  if (holds === undefined) throw withoutTable()
  const ofName = holds.filter((hold) => hold.name === name)
  if (ofName.length === 0) throw unknownHold(name, holds)
  const shown: ShownHold[] = []
  for (const hold of ofName)
    shown.push(
      await unlessForbidden(program, READING_RIGHTS, () => shownHold(program, hold, holds, json ? MOST_FILES_IN_DOCUMENT : MOST_FILES)),
    )
  if (json) host.write(jsonDocument({ name, holds: shown.map(documentOf) }))
  else {
    const now = await database.now()
    host.print(shown.map((each) => holdText(each, HELD_JOB.table, now, styleOf(host))).join('\n'))
  }
  return 0
}

async function shownHold(program: Program, hold: StoredHold, holds: readonly StoredHold[], mostFiles: number): Promise<ShownHold> {
  const { database } = program
  const isCounted = hold.released === undefined && hold.job === HELD_JOB.name && !('problems' in hold.keeps)
  return {
    hold,
    count:
      isCounted && !('problems' in hold.keeps)
        ? await countOfHold(countingOf(program), hold.keeps, sparedByOthers(holds, hold.id))
        : undefined,
    runs: await keptInRuns(database, { runs: database.named(RUNS), runHolds: database.named(RUN_HOLDS) }, hold.id, MOST_RUNS),
    files: await heldFiles(database, database.named(HELD_FILES), hold.id, mostFiles + 1),
    mostFiles,
  }
}

function documentOf({ hold, count, runs, files, mostFiles }: ShownHold): object {
  return {
    ...holdDocument(hold),
    rows:
      count === undefined ? null : { matching: count.rows, expired: count.expired, keptByItAlone: count.alone ?? null, more: count.more },
    runs: runs.map(({ run, startedAt, rows }) => ({ run, startedAt: formatTime(startedAt), rows })),
    files: files.slice(0, mostFiles),
    moreFiles: files.length > mostFiles,
  }
}
