import { randomInt } from 'node:crypto'
import { sampleOf } from '../../archive/read/sample.ts'
import { bytesIn, verify, type Verification } from '../../archive/read/verify.ts'
import type { ArchiveRecord } from '../../archive/state.ts'
import { DatabaseError } from '../../database/database-error.ts'
import type { ExitCode } from '../../errors.ts'
import { counted, countText, plural } from '../../number-text.ts'
import { jsonDocument, visible } from '../../observe/control-characters.ts'
import type { Program } from '../../program.ts'
import type { EpochMs } from '../../time/clock.ts'
import { minuteText } from '../../time/time-text.ts'
import type { OpenedArchive } from './open-archive.ts'

/** The beginning of a day such as `2026-08-25`, in UTC, or a duration before now. */
export type Since = { readonly day: string } | { readonly agoMs: number }

/**
 * Verifies every file, or those that were written since, and the chain that they form. Returns 1 if something is wrong, or if files exist and none was read.
 */
export async function verifyArchive(
  program: Program,
  { store, record, discarded }: OpenedArchive,
  { since, sample, json }: { readonly since: Since | undefined; readonly sample: boolean; readonly json: boolean },
): Promise<ExitCode> {
  const { host, database, shutdown } = program
  const now = await database.now()
  const sinceMs = since === undefined ? undefined : 'day' in since ? Date.parse(since.day) : now - since.agoMs
  const found = await verify({
    database,
    record,
    store,
    discarded,
    since: sinceMs,
    sampling: sample ? (files) => sampleOf(files, now, randomInt) : undefined,
    // On standard error, because the answer is for standard output.
    reading: (files) => {
      if (files.length > 0)
        host.printError(`Reading ${counted(files.length, 'file')}, ${counted(bytesIn(files), 'byte')}, in ${visible(store.root)}.\n`)
    },
    stopping: shutdown.stopping,
  })
  const { pending: inHand, newest, ...document } = found
  if (json) host.write(jsonDocument({ ...document, inHand }))
  else {
    for (const problem of found.problems) host.print(`${visible(problem)}\n`)
    if (found.result === 'damaged' && newest !== undefined) host.print(`${newestText(newest)}\n`)
    const what = `${counted(found.files, 'file')}, ${counted(found.rows, 'row')}, ${counted(found.bytes, 'byte')} in ${visible(store.root)}`
    const left = found.files - found.filesRead
    const unread =
      found.sample !== undefined
        ? sampleText(found.files, found.sample)
        : left === 0
          ? ''
          : `; ${countText(left)} written before ${minuteText(sinceMs ?? now)} UTC ${plural(left, 'was', 'were')} not read`
    const unvouched =
      found.unvouchedFiles === 0
        ? ''
        : `; ${countText(found.unvouchedFiles)} more do not count, because a link between them and the head of the chain is missing or was altered`
    const removed = found.removedFiles === 0 ? '' : `; ${found.removedFiles} were removed after they expired`
    const pending =
      found.pending === 0 ? '' : `; ${found.pending} are pending: the run that wrote them is still working, or the next run settles them`
    host.print(`${verdictText(found)}: ${what}${unread}${unvouched}${removed}${pending}\n`)
  }
  if (found.result === 'unread')
    host.printError(
      `No file was read: --since counts from when a file was written. Give an earlier time, or leave it out to read every file.\n`,
    )
  // What `--since` leaves out is never read by it. A sample comes to every file some time.
  if (since === undefined || found.result === 'empty')
    await noteResult(program, record, { at: now, verdict: found.sound ? 'sound' : 'damaged', ofSample: sample })
  return found.sound ? 0 : 1
}

function sampleText(files: number, { recent, older, bytes, digests }: NonNullable<Verification['sample']>): string {
  return (
    `; the sizes of all were compared${digests === 0 ? '' : `, the digests of ${countText(digests)} as the server says them`}, and ${countText(recent + older)} of ${countText(files)} were read (${counted(bytes, 'byte')}): ` +
    `${countText(recent)} written in the last 8 days, and ${countText(older)} of the ${countText(files - recent)} older ones`
  )
}

function verdictText({ result, problems }: Verification): string {
  switch (result) {
    case 'sound':
      return 'sound'
    case 'damaged':
      return counted(problems.length, 'problem')
    case 'empty':
      return 'nothing to verify, since nothing was ever archived'
    case 'unread':
      return 'not verified'
  }
}

/** What a person has to know first: how urgent it is. */
function newestText({ manifest, isWrong }: NonNullable<Verification['newest']>): string {
  return isWrong
    ? `The newest file, ${manifest}, is among them: no rows are archived or deleted until it is restored from its backup.`
    : `The newest file, ${manifest}, is not among them.`
}

/** For `status` and the metrics. If recording fails, the result is still valid and has been printed. */
async function noteResult(
  { database, events }: Program,
  record: ArchiveRecord,
  { at, verdict, ofSample }: { readonly at: EpochMs; readonly verdict: 'sound' | 'damaged'; readonly ofSample: boolean },
): Promise<void> {
  try {
    if (!(await database.transaction((tx) => record.noteVerified(tx, at, verdict, ofSample))))
      events.warning(
        'the archive was found damaged before, and a sample may leave out the files that are. So status, metrics and alerts keep saying so, until archive ' +
          'verify without --sample finds it sound',
      )
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    events.warning(
      `the archive is ${verdict}, but that could not be recorded in the database; status and metrics keep showing the previous result: ${error.message}`,
    )
  }
}
