import { sha256, NO_RUN } from '../format.ts'
import { archiveFailed } from '../damage.ts'
import { someClauses } from '../../number-text.ts'
import type { Archive } from '../archive.ts'
import { openArchive } from '../check.ts'
import { DiscardedFiles } from '../discarded-files.ts'
import { manifestText } from '../manifest.ts'
import { PlaceRecord } from '../moved.ts'
import { reconciledManifest } from '../reconcile/reconciled-step.ts'
import { NO_STEP, type Step } from '../step.ts'
import type { Spool, Store } from '../store/store.ts'
import { manifestProblems } from './copy-target.ts'
import type { ArchiveCopy, Copied } from './copy.ts'

export interface SwitchOptions {
  /** At the place that is left, under the job's lease. */
  readonly archive: Archive
  readonly target: Store
  readonly spool: Spool
  readonly copy: ArchiveCopy
  /** Of the target, as the settings name it. */
  readonly place: string
}

/**
 * Copies what is still missing, and adds a link to the chain that lies at the target alone. From the moment at which that is the newest one, whoever archives to
 * the place before lacks it, and stops before it deletes anything; until then nothing has changed. So there is no moment at which runs could write to both.
 */
export async function switchArchive({ archive, target, spool, copy, place }: SwitchOptions): Promise<Copied> {
  const { record, options, source } = archive
  const { database, underLease, program, now } = options
  const named = (table: string): string => database.named(table)
  const discarded = new DiscardedFiles(named, source.table)
  const places = new PlaceRecord(named, source.table)
  // Settles what is pending.
  await openArchive(archive)
  const copied = await copy.complete()
  const state = await record.load(database)
  const { chain } = copied
  if (state.step !== undefined || state.head?.sha256 !== chain.head.sha256)
    throw archiveFailed('the archive was changed while the lease was held, and was not switched')
  // Links of switches that were interrupted.
  const left = [...(await discarded.load(database, state.position)).keys()].filter(
    (path) => !chain.links.has(path) && !chain.files.has(path),
  )
  await target.remove(left)

  const position = state.position + 1
  const manifest = reconciledManifest(source, { program, now, position, previous: state.head, joined: [], setAside: [] })
  const text = manifestText(manifest)
  const link = { manifest: manifest.manifest, sha256: sha256(text) }
  const step: Step = { ...NO_STEP, run: NO_RUN, drafts: archive.spool.prefix, successors: [link.manifest] }
  // Should this process die before the link is the newest, nothing refers to it, and it may still arrive in a bucket.
  await underLease(async (tx) => {
    await record.begin(tx, step, { from: state.position, position, removed: '' })
    await discarded.note(tx, [link.manifest], false)
  })
  await database.durable()
  await spool.clean('')
  await spool.write(link.manifest, text)
  await spool.sync()
  await spool.publish([link.manifest])
  const problems = await manifestProblems(target, link.manifest, link.sha256)
  if (problems.length > 0) throw archiveFailed(`${target.root} does not give back what was written there: ${someClauses(problems)}`)
  try {
    await underLease(async (tx) => {
      await record.close(tx, { ...step, successors: undefined, files: [{ ...link, rows: 0 }] })
      await places.note(tx, place)
      await discarded.forget(tx, [link.manifest])
    })
  } catch (error) {
    // If only the answer to COMMIT was lost, it is done.
    const { head } = await record.load(database).catch(() => state)
    if (head?.sha256 !== link.sha256) throw error
  }
  await database.durable()
  return copied
}
