import type { Slice } from '../database/purging.ts'
import type { SparedRows } from '../policy/spared.ts'

interface Walk<S extends Slice> {
  next(size: number, after: Slice | undefined, until?: Slice): Promise<S | undefined>
}

/**
 * The walk of a run, which leaves out what is spared by now: of a hold that was placed in the course of the run, one batch meets the first rows and deletes none of
 * them, and the walk then passes over the others. Batches that delete nothing do not show what a row costs, so the next ones would stay as small as they are, and
 * an archive would copy rows in vain. A slice is a place in the later walk too, since table, column and cutoff are the same.
 */
export function currentRows<S extends Slice>(first: Walk<S>, spared: () => SparedRows, open: (spared: SparedRows) => Walk<S>): Walk<S> {
  let latest = { spared: spared(), rows: first }
  return {
    next(...asked) {
      const now = spared()
      if (now !== latest.spared) latest = { spared: now, rows: open(now) }
      return latest.rows.next(...asked)
    },
  }
}
