// A worker on a server that is about to crash: `purging.ts URL ARCHIVE`; without an archive, `purging.ts URL`. Tells its parent of each transaction
// before it begins, and of each batch.
import { DAY } from '../../src/time/clock.ts'
import { AUDIT_LOGS, opened, QUIET, run } from '../runs/support.ts'
import { changed } from './work.ts'

export type Progress = { readonly transaction: number } | { readonly deleted: number } | { readonly outcome: string }

const PART_ROWS = 60
const BATCH_ROWS = 20

if (process.send !== undefined) {
  const tell = (progress: Progress): void => void process.send!(progress)
  const [url = '', directory] = process.argv.slice(2)
  await using database = await opened(url)
  let transaction = 0
  const { outcome } = await run(
    changed(database, {
      pacing: { ...database.pacing, firstRows: BATCH_ROWS, mostRows: BATCH_ROWS },
      transaction: (work) => {
        tell({ transaction: (transaction += 1) })
        return database.transaction(work)
      },
    }),
    { job: AUDIT_LOGS, retentionMs: 90 * DAY, accepted: new Set(['empty-table', 'no-archive'] as const) },
    {
      listener: { ...QUIET, jobBatch: (_, { total }) => tell({ deleted: total }) },
      archive: directory === undefined ? undefined : { directory, uid: process.getuid?.(), keptMs: undefined, partRows: PART_ROWS },
    },
  )
  tell({ outcome })
  process.disconnect()
}
