import { restoreFiles } from '../../archive/read/restore.ts'
import type { ExitCode } from '../../errors.ts'
import { jsonDocument, visible } from '../../observe/control-characters.ts'
import type { Program } from '../../program.ts'
import { cutoffOf } from '../../purge/cutoff.ts'
import type { OpenedArchive } from './open-archive.ts'

export interface RestoreRequest {
  readonly files: readonly string[]
  readonly from: string | undefined
  readonly to: string | undefined
  readonly into: string | undefined
  readonly json: boolean
}

/** Into a table of its own, unless another is named; into the table itself only what the next purge would leave there. */
export async function restoreArchive(
  { host, settings, events, database, shutdown }: Program,
  { job, store, record }: OpenedArchive,
  request: RestoreRequest,
): Promise<ExitCode> {
  const { files, from, to, json } = request
  const into = request.into ?? `${job.table}_restored`
  const retentionMs = settings.jobs.find((each) => each.job.name === job.name)?.retentionMs
  const cutoff = database.namesOneTable(into, job.table) ? cutoffOf(retentionMs, await database.now()) : undefined
  const { notes, ...restored } = await restoreFiles({
    database,
    record,
    store,
    restoring: { source: job.table, into, timeColumn: job.column, cutoff },
    files,
    from,
    to,
    stopping: shutdown.stopping,
  })
  for (const note of notes) events.warning(note)
  if (json) host.print(jsonDocument({ into, ...restored }))
  else {
    const left = [
      ...(restored.present > 0 ? [`${restored.present} were there already`] : []),
      ...(restored.expired > 0 ? [`${restored.expired} were left out, which the next purge would take again`] : []),
      ...(restored.conflicting > 0 ? [`${restored.conflicting} were left out, because another row has their key`] : []),
    ]
    host.print(
      `${restored.inserted} rows of ${restored.files} files restored into ${visible(into)}${left.map((each) => `; ${each}`).join('')}\n`,
    )
  }
  if (restored.unvouchedHead !== undefined)
    events.warning(
      `this database knows of no archive: that ${restored.unvouchedHead} is the newest of ${store.root}, and all that stands in the files, is vouched for by nothing but the files themselves`,
    )
  if (restored.elsewhere.length > 0)
    events.warning(
      `the archive is not whole, and what is missing may hold rows of these days; archive verify says more: ${restored.elsewhere.join('; ')}`,
    )
  return restored.conflicting > 0 || restored.elsewhere.length > 0 ? 1 : 0
}
