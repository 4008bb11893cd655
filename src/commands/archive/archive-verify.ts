import { verify } from '../../archive/read/verify.ts'
import type { ArchiveRecord } from '../../archive/state.ts'
import { DatabaseError } from '../../database/database-error.ts'
import type { ExitCode } from '../../errors.ts'
import { counted } from '../../number-text.ts'
import { jsonDocument, visible } from '../../observe/control-characters.ts'
import type { Program } from '../../program.ts'
import { formatDay, type EpochMs } from '../../time/clock.ts'
import type { OpenedArchive } from './open-archive.ts'

/** A day such as `2026-08-25`, in UTC, or a duration before now. */
export type Since = { readonly day: string } | { readonly agoMs: number }

/** Verifies every file and the chain that they form. Returns 1 if something is wrong. */
export async function verifyArchive(
  program: Program,
  { store, record }: OpenedArchive,
  { since, json }: { readonly since: Since | undefined; readonly json: boolean },
): Promise<ExitCode> {
  const { host, database, shutdown } = program
  const now = await database.now()
  const day = since === undefined ? undefined : 'day' in since ? since.day : formatDay(now - since.agoMs)
  const found = await verify({ database, record, store, since: day, stopping: shutdown.stopping })
  const { pending: inHand, ...document } = found
  if (json) host.write(jsonDocument({ ...document, inHand }))
  else {
    for (const problem of found.problems) host.print(`${visible(problem)}\n`)
    const what = `${found.files} files, ${found.rows} rows, ${found.bytes} bytes in ${visible(store.root)}`
    const unread = found.filesRead === found.files ? '' : `; ${found.files - found.filesRead} of days before ${day} were not read`
    const unvouched =
      found.unvouchedFiles === 0
        ? ''
        : `; ${found.unvouchedFiles} more do not count, because a link between them and the head of the chain is missing or was altered`
    const removed = found.removedFiles === 0 ? '' : `; ${found.removedFiles} were removed after they expired`
    const pending =
      found.pending === 0 ? '' : `; ${found.pending} are pending: the run that wrote them is still working, or the next run settles them`
    host.print(`${found.sound ? 'sound' : problemsText(found.problems.length)}: ${what}${unread}${unvouched}${removed}${pending}\n`)
  }
  // A partial verification is not recorded: what was not read may be damaged.
  if (day === undefined) await noteResult(program, record, now, found.sound ? 'sound' : 'damaged')
  return found.sound ? 0 : 1
}

function problemsText(count: number): string {
  return counted(count, 'problem')
}

/** For `status` and the metrics. If it fails, the result is still valid and has been printed. */
async function noteResult({ database, events }: Program, record: ArchiveRecord, at: EpochMs, verdict: 'sound' | 'damaged'): Promise<void> {
  try {
    await database.transaction((tx) => record.noteVerified(tx, at, verdict))
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    events.warning(
      `the archive is ${verdict}, but that could not be recorded in the database; status and metrics keep showing the result before: ${error.message}`,
    )
  }
}
