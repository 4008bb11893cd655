import { restoreFiles } from '../../archive/read/restore.ts'
import { retentionOf } from '../../catalogue.ts'
import type { ExitCode } from '../../errors.ts'
import { countText, counted, someClauses } from '../../number-text.ts'
import { jsonDocument, visible } from '../../observe/control-characters.ts'
import type { Program } from '../../program.ts'
import { sparedByRule } from '../../policy/rules.ts'
import { cutoffOf } from '../../purge/cutoff.ts'
import { readingHolds } from '../../runs/archive-run.ts'
import { mayHaveHolds } from '../../runs/holds-in-force.ts'
import { formatDuration } from '../../time/clock.ts'
import type { OpenedArchive } from './open-archive.ts'

export interface RestoreRequest {
  readonly files: readonly string[]
  readonly from: string | undefined
  readonly to: string | undefined
  readonly into: string | undefined
  readonly json: boolean
}

/** Restores into a separate table unless another is named. Into the archived table itself, only rows that the next purge would keep are restored. */
export async function restoreArchive(
  { host, settings, events, database, shutdown }: Program,
  { job, store, record }: OpenedArchive,
  request: RestoreRequest,
): Promise<ExitCode> {
  const { files, from, to, json } = request
  const into = request.into ?? `${job.table}_restored`
  const { retentionMs, rules = [] } = settings.jobs.find((each) => each.job.name === job.name) ?? {}
  const retention = retentionOf(job)
  const isPurged = database.namesOneTable(into, job.table)
  const now = await database.now()
  const cutoff = isPurged ? cutoffOf({ retentionMs, graceMs: 0 }, now) : undefined
  const holds = isPurged && (await mayHaveHolds(database, job)) ? await readingHolds(database, job, 'Nothing was restored')(database) : []
  const { notes, ...restored } = await restoreFiles({
    database,
    record,
    store,
    restoring: { source: job.table, into, timeColumn: job.column, cutoff },
    spared: [...rules.map((rule) => sparedByRule(rule, now)), ...holds.map(({ spared }) => spared)],
    files,
    from,
    to,
    stopping: shutdown.stopping,
  })
  for (const note of notes) events.warning(note)
  if (json) host.write(jsonDocument({ into, ...restored }))
  else {
    const left = [
      ...(restored.spared > 0
        ? [
            `${countText(restored.spared)} of them are older than ${formatDuration(retentionMs ?? 0)} and stay, because a hold or a rule keeps them`,
          ]
        : []),
      ...(restored.present > 0 ? [`${countText(restored.present)} were there already`] : []),
      ...(restored.expired > 0
        ? [
            `${countText(restored.expired)} were left out, because they are older than ${formatDuration(retentionMs ?? 0)} and the next purge would delete them again`,
          ]
        : []),
      ...(restored.conflicting > 0 ? [`${countText(restored.conflicting)} were left out, because another row has their key`] : []),
    ]
    const advice =
      restored.expired === 0 || retention === undefined
        ? ''
        : `To restore them into ${visible(into)} anyway, set ${retention.environment} to more than their age, here and for every worker on this ` +
          `database, and restore again; without --into they go into ${job.table}_restored, which no purge touches\n`
    host.print(
      `${counted(restored.inserted, 'row')} of ${counted(restored.files, 'file')} restored into ${visible(into)}${left.map((each) => `; ${each}`).join('')}\n${advice}`,
    )
  }
  if (restored.unvouchedHead !== undefined)
    events.warning(
      `this database knows of no archive, so only the files themselves vouch that ${restored.unvouchedHead} is the newest manifest in ${store.root} and that their content is right`,
    )
  if (restored.elsewhere.length > 0)
    events.warning(
      `the archive is damaged, and missing files may hold rows of these days. Run archive verify for details: ${someClauses(restored.elsewhere)}`,
    )
  return restored.conflicting > 0 || restored.elsewhere.length > 0 ? 1 : 0
}
